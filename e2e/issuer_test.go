package e2e

import (
	"crypto"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/go-jose/go-jose/v4"
)

// oneIssuer is a site whose tokens come from one issuer by discovery.
const oneIssuer = `
{
	{{.Globals}}
	admit corp {
		issuer {{.Issuer}}
		audience https://api.test
		leeway 0s
	}
}
{{.Site}} {
	log
	header X-Config {{.Config}}
	admit corp {
		require /admin/* groups admins services
		header_up X-User {http.auth.user.id}
	}
	reverse_proxy {{.Upstream}}
}
`

func TestOIDCProvider(t *testing.T) {
	t.Parallel()
	p := startProvider(t, "")
	c := startCaddy(t, newUpstream(t), oneIssuer, values{"Issuer": p.URL, "Config": "one"})
	if p.fetched(providerDiscovery)+p.fetched(providerKeys) != 0 {
		t.Error("the issuer was asked before the first request")
	}

	for _, alg := range []string{"RS256", "PS256", "ES256", "EdDSA"} {
		t.Run(alg, func(t *testing.T) {
			token := p.token(t, grant{alg: alg})
			c.wantUser(t, request{token: token}, "admins-cli")
			c.wantUser(t, request{token: token, path: "/admin/x"}, "admins-cli")
			other := p.token(t, grant{alg: alg, audience: "https://other.test"})
			c.wantRefusal(t, request{token: other}, 401, "wrong_audience")
			tampered := replaced(t, token, "admins-cli", "owners-cli")
			c.wantRefusal(t, request{token: tampered}, 401, "bad_signature")
			flipped := []byte(token)
			if i := len(flipped) - 20; flipped[i] == 'A' {
				flipped[i] = 'B'
			} else {
				flipped[i] = 'A'
			}
			c.wantRefusal(t, request{token: string(flipped)}, 401, "bad_signature")
			header, claims, _ := parts(t, token)
			none := encoded(strings.Replace(header, alg, "none", 1), claims) + "."
			c.wantRefusal(t, request{token: none}, 401, "unsupported_algorithm", "malformed_token")
			unsigned := token[:strings.LastIndex(token, ".")+1]
			c.wantRefusal(t, request{token: unsigned}, 401, "bad_signature", "malformed_token")
		})
	}
	token := p.token(t, grant{})
	c.wantRefusal(t, request{token: confused(t, token, p.node+providerKeys)}, 401, "unsupported_algorithm")
	c.wantRefusal(t, request{token: p.token(t, grant{group: "readers"}), path: "/admin/x"}, 403, "rule")
	c.wantUser(t, request{token: p.token(t, grant{group: "readers"}), path: "/x"}, "readers-cli")
	c.wantRefusal(t, request{}, 401, "missing_credential")
	if n := p.fetched(providerKeys); n != 1 {
		t.Errorf("the JWKS was fetched %d times, want once", n)
	}
}

// TestForeignKeys signs with a key that the token itself brings or points to.
func TestForeignKeys(t *testing.T) {
	t.Parallel()
	z, attacker := startZitadel(t, ""), newFront(t, "")
	c := startCaddy(t, newUpstream(t), oneIssuer, values{"Issuer": z.URL, "Config": "one"})
	good := z.token(t)
	c.wantUser(t, request{token: good}, "sid1")
	key, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}
	header, claims, _ := parts(t, good)
	var own struct{ Kid string }
	if err := json.Unmarshal([]byte(header), &own); err != nil {
		t.Fatal(err)
	}
	public, err := jose.JSONWebKey{Key: key.Public(), KeyID: own.Kid, Algorithm: "RS256", Use: "sig"}.MarshalJSON()
	if err != nil {
		t.Fatal(err)
	}
	attacker.setIssuer(http.HandlerFunc(says(`{"keys": [` + string(public) + `]}`)))
	for name, members := range map[string]string{
		"kid":     fmt.Sprintf(`"kid": %q`, own.Kid),
		"jwk":     fmt.Sprintf(`"kid": %q, "jwk": %s`, own.Kid, public),
		"only":    fmt.Sprintf(`"jwk": %s`, public),
		"jku":     fmt.Sprintf(`"kid": %q, "jku": "%s/jku"`, own.Kid, attacker.URL),
		"new kid": fmt.Sprintf(`"kid": "new", "jku": "%s/jku"`, attacker.URL),
		"x5u":     fmt.Sprintf(`"kid": %q, "x5u": "%s/x5u"`, own.Kid, attacker.URL),
		"crit":    fmt.Sprintf(`"kid": %q, "crit": ["jku"], "jku": "%s/jku"`, own.Kid, attacker.URL),
		"url":     fmt.Sprintf(`"kid": "%s/kid"`, attacker.URL),
		"path":    `"kid": "../../../../dev/null"`,
	} {
		input := encoded(`{"alg": "RS256", `+members+`}`, claims)
		sum := sha256.Sum256([]byte(input))
		signature, err := rsa.SignPKCS1v15(nil, key, crypto.SHA256, sum[:])
		if err != nil {
			t.Fatal(err)
		}
		a := c.get(t, request{token: input + "." + base64.RawURLEncoding.EncodeToString(signature)})
		if err := a.isRefusal(401, "bad_signature", "unknown_key", "critical_header"); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
	if n := attacker.fetched("/jku") + attacker.fetched("/x5u") + attacker.fetched("/kid"); n != 0 {
		t.Errorf("a URL in a token was fetched %d times", n)
	}
}

// TestExpires lets a token in until its time is over.
func TestExpires(t *testing.T) {
	t.Parallel()
	p := startProvider(t, "")
	c := startCaddy(t, newUpstream(t), oneIssuer, values{"Issuer": p.URL, "Config": "one"})
	short := p.token(t, grant{ttl: 3 * time.Second})
	c.wantUser(t, request{token: short}, "admins-cli")
	eventually(t, 10*time.Second, "the token expires", func() bool {
		return c.get(t, request{token: short}).status != 200
	})
	c.wantRefusal(t, request{token: short}, 401, "expired")
	c.wantUser(t, request{token: p.token(t, grant{})}, "admins-cli")
}

func TestZitadel(t *testing.T) {
	t.Parallel()
	z := startZitadel(t, "")
	c := startCaddy(t, newUpstream(t), oneIssuer, values{"Issuer": z.URL, "Config": "one"})
	access, id := z.token(t), z.idToken(t)
	c.wantUser(t, request{token: access}, "sid1")
	c.wantUser(t, request{token: access, path: "/admin/x"}, "sid1")
	c.wantRefusal(t, request{token: id}, 401, "wrong_audience")
	c.wantRefusal(t, request{token: replaced(t, access, "sid1", "sid2")}, 401, "bad_signature")
	c.wantRefusal(t, request{token: confused(t, access, z.URL+zitadelKeys)}, 401, "unsupported_algorithm")

	const idTokens = `
{
	{{.Globals}}
	admit corp {
		issuer {{.Issuer}}
		audience web
	}
}
{{.Site}} {
	admit {
		header_up X-User {http.auth.user.id}
		require email *@zitadel.ch
	}
	reverse_proxy {{.Upstream}}
}
`
	c.reload(t, strings.ReplaceAll(idTokens, "\t\trequire email *@zitadel.ch\n", ""), nil)
	c.wantUser(t, request{token: id}, "id1")
	c.wantRefusal(t, request{token: access}, 401, "wrong_audience")
	c.reload(t, idTokens, nil)
	c.wantRefusal(t, request{token: id}, 403, "rule") // its ID tokens carry no email
}

// TestTwoIssuers has both issuers on one site, and a third that nobody trusts.
func TestTwoIssuers(t *testing.T) {
	t.Parallel()
	p, z, stranger := startProvider(t, ""), startZitadel(t, ""), startZitadel(t, "")
	const caddyfile = `
{
	{{.Globals}}
	admit corp {
		issuer {{.Corp}}
		audience https://api.test
	}
	admit partner {
		issuer {{.Partner}}
		audience https://api.test
	}
}
{{.Site}} {
	log
	admit corp partner {
		require /corp/* integration corp
		require /partner/* integration partner
		header_up X-User {http.auth.user.integration}/{http.auth.user.id}
	}
	reverse_proxy {{.Upstream}}
}
`
	c := startCaddy(t, newUpstream(t), caddyfile, values{"Corp": p.URL, "Partner": z.URL})
	corp, partner := p.token(t, grant{}), z.token(t)
	for _, path := range []string{"/", "/corp", "/corp/x"} {
		c.wantUser(t, request{token: corp, path: path}, "corp/admins-cli")
	}
	for _, path := range []string{"/", "/partner", "/partner/x"} {
		c.wantUser(t, request{token: partner, path: path}, "partner/sid1")
	}
	c.wantRefusal(t, request{token: corp, path: "/partner/x"}, 403, "rule")
	c.wantRefusal(t, request{token: partner, path: "/corp/x"}, 403, "rule")
	c.wantRefusal(t, request{token: stranger.token(t)}, 401, "unknown_issuer")
	// A key of one issuer does not speak for the other.
	c.wantRefusal(t, request{token: replaced(t, partner, z.URL, p.URL)}, 401, "unknown_key")
	c.wantRefusal(t, request{token: replaced(t, stranger.token(t), stranger.URL, z.URL)}, 401, "unknown_key")
	if n := stranger.fetched(zitadelDiscovery) + stranger.fetched(zitadelKeys); n != 0 {
		t.Errorf("an issuer that nobody trusts was asked %d times", n)
	}
}
