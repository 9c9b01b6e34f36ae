package e2e

import (
	"encoding/json"
	"net/http"
	"os"
	"os/exec"
	"strings"
	"testing"
	"time"

	"github.com/coreos/go-oidc/v3/oidc"
	"github.com/go-jose/go-jose/v4"
	"github.com/golang-jwt/jwt/v5"
)

// assertingSite tells the application who it is in a way that it can check.
const assertingSite = `
{
	{{.Globals}}
	admit corp {
		issuer {{.Issuer}}
		audience https://api.test
	}
}
{{.Site}} {
	log
	admit {
		header_up X-User {http.auth.user.id}
		assertion X-Assertion
	}
	reverse_proxy {{.Upstream}}
}
`

// assertionType is the type that an application has to look for.
const assertionType = "admit-assertion+jwt"

// TestAssertionVerify lets libraries of applications verify an assertion with the
// keys of the gate: two of Go, and that of the example in the documents. None of
// them takes it for another site's, after its end, or a token for it.
func TestAssertionVerify(t *testing.T) {
	t.Parallel()
	p := startProvider(t, "")
	u := newUpstream(t)
	c := startCaddy(t, u, assertingSite, values{"Issuer": p.issuer})
	token := p.token(t, grant{alg: "ES256"})
	c.wantUser(t, request{token: token, header: http.Header{"X-Assertion": {"forged"}}}, "admins-cli")
	assertions := named(u.only(t).Header, "X-Assertion")
	if len(assertions) != 1 {
		t.Fatalf("the application gets %d assertions", len(assertions))
	}
	assertion := assertions[0] // which Caddy itself logs at DEBUG, as all headers for applications

	ctx := oidc.ClientContext(t.Context(), c.client)
	keys := oidc.NewRemoteKeySet(ctx, c.URL+"/oauth2/jwks")
	byGoOIDC := func(issuer, audience string, at time.Time, raw string) error {
		config := oidc.Config{ClientID: audience, SupportedSigningAlgs: []string{"ES256"}, Now: func() time.Time { return at }}
		_, err := oidc.NewVerifier(issuer, keys, &config).Verify(ctx, raw)
		return err
	}
	set := keySet(t, c)
	byGolang := func(issuer, audience string, at time.Time, raw string) error {
		parser := jwt.NewParser(jwt.WithValidMethods([]string{"ES256"}), jwt.WithIssuer(issuer), jwt.WithAudience(audience),
			jwt.WithExpirationRequired(), jwt.WithIssuedAt(), jwt.WithTimeFunc(func() time.Time { return at }))
		claims := jwt.MapClaims{}
		_, err := parser.ParseWithClaims(raw, claims, func(token *jwt.Token) (any, error) {
			if token.Header["typ"] != assertionType {
				return nil, jwt.ErrTokenUnverifiable
			}
			kid, _ := token.Header["kid"].(string)
			for _, k := range set.Key(kid) {
				return k.Key, nil
			}
			return nil, jwt.ErrTokenUnverifiable
		})
		if groups, _ := json.Marshal(claims["groups"]); err == nil &&
			(claims["sub"] != "admins-cli" || string(groups) != `["admins"]` || claims["integration"] != "corp" || claims["jti"] == "") {
			t.Errorf("claims %v", claims)
		}
		return err
	}
	byJose := func(issuer, audience string, _ time.Time, raw string) error {
		return applicationOfTheDocuments(t, c, issuer, audience, raw)
	}

	now := time.Now()
	for what, verify := range map[string]func(issuer, audience string, at time.Time, raw string) error{
		"go-oidc": byGoOIDC, "golang-jwt": byGolang, "jose": byJose,
	} {
		for _, tc := range []struct {
			name, issuer, audience, raw string
			at                          time.Time
			bad                         bool
		}{
			{name: "as it is", raw: assertion},
			{name: "of another site", issuer: "https://other.test", raw: assertion, bad: true},
			{name: "for another site", audience: "other.test", raw: assertion, bad: true},
			{name: "edited", raw: replaced(t, assertion, `"admins-cli"`, `"admins-clo"`), bad: true},
			{name: "a minute later", raw: assertion, at: now.Add(62 * time.Second), bad: true},
			{name: "the client's token", raw: token, bad: true},
		} {
			if what == "jose" && !tc.at.IsZero() {
				continue // its clock is the machine's
			}
			at := now
			if !tc.at.IsZero() {
				at = tc.at
			}
			err := verify(or(tc.issuer, c.URL), or(tc.audience, "127.0.0.1"), at, tc.raw)
			if (err != nil) != tc.bad {
				t.Errorf("%s, %s: %v", what, tc.name, err)
			}
		}
	}
	// Nor does a gate take an assertion for a token.
	next := startCaddy(t, u, assertingSite, values{"Issuer": p.issuer})
	next.wantRefusal(t, request{token: assertion}, 401, "wrong_type", "unknown_issuer")
}

// keySet reads the public keys of the gate.
func keySet(t *testing.T, c *caddy) (set jose.JSONWebKeySet) {
	t.Helper()
	readJSON(t, c.URL+"/oauth2/jwks", &set)
	for _, k := range set.Keys {
		if !k.IsPublic() || !k.Valid() || k.Use != "sig" || k.Algorithm != "ES256" {
			t.Errorf("key %s: public %t, use %q, alg %q", k.KeyID, k.IsPublic(), k.Use, k.Algorithm)
		}
	}
	return set
}

// applicationOfTheDocuments runs the check that docs/delegated.md shows.
func applicationOfTheDocuments(t *testing.T, c *caddy, issuer, audience, raw string) error {
	t.Helper()
	text, err := os.ReadFile("../docs/delegated.md")
	if err != nil {
		t.Fatal(err)
	}
	_, code, found := strings.Cut(string(text), "\n```js\nimport { createRemoteJWKSet")
	code, _, _ = strings.Cut(code, "\n```\n")
	if !found {
		t.Fatal("the page has no such example")
	}
	code = strings.NewReplacer(
		"'https://console.example.com/oauth2/jwks'", "'"+c.URL+"/oauth2/jwks'",
		"'https://console.example.com'", "'"+issuer+"'", "'console.example.com'", "'"+audience+"'",
	).Replace("import { createRemoteJWKSet" + code)
	code += "\nconst { sub, groups } = await who({ headers: { 'x-assertion': process.env.ASSERTION } });" +
		"\nif (sub !== 'admins-cli' || groups[0] !== 'admins') process.exit(2);\n"
	cmd := exec.Command("node", "--input-type=module", "-")
	cmd.Dir = "provider" // where the library is
	cmd.Env = append(os.Environ(), "ASSERTION="+raw)
	cmd.Stdin = strings.NewReader(code)
	out, err := cmd.CombinedOutput()
	if err != nil && !strings.Contains(string(out), "JWTClaimValidationFailed") && !strings.Contains(string(out), "JWSSignatureVerificationFailed") && !strings.Contains(string(out), "JWKSNoMatchingKey") {
		t.Fatalf("%v\n%s", err, out)
	}
	return err
}
