package e2e

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/coreos/go-oidc/v3/oidc"
	"github.com/go-jose/go-jose/v4"
	"github.com/golang-jwt/jwt/v5"
)

// signedSite has an integration of its own under each name below localhost, which
// signs in its own way.
const signedSite = `
{
	{{.Globals}}
}
{{range $alg := .Algs | words}}
http://{{$alg}}.localhost:{{$.Port}} {
	admit {
		user ada {{$.Hash}} {
			groups admins staff
			team "a team"
		}
		tokens {
			issuer https://{{$alg}}.localhost
			audience api reports
			sign {{$alg}}
		}
		header_up X-User {http.auth.user.id}
	}
	reverse_proxy {{$.Upstream}}
}
{{end}}
`

// startSigned starts it. Every name is this machine.
func startSigned(t *testing.T, u *upstream) *caddy {
	t.Helper()
	c := startCaddy(t, u, signedSite, values{"Algs": "EdDSA ES256 RS256 HS256", "Hash": hashOf(t, adaPassword)})
	address := "127.0.0.1:" + c.values["Port"]
	c.client.Transport = &http.Transport{DialContext: func(ctx context.Context, network, _ string) (net.Conn, error) {
		return new(net.Dialer).DialContext(ctx, network, address)
	}}
	c.sent.add(adaPassword)
	return c
}

// named is the same Caddy under another name.
func (c *caddy) named(name string) *caddy {
	return &caddy{URL: "http://" + name + ".localhost:" + c.values["Port"], client: c.client}
}

// TestTokensVerify lets two libraries verify our access tokens with our JWKS, and
// the gate too. None of them takes a token for another site's, with an edited
// payload, or after its end.
func TestTokensVerify(t *testing.T) {
	t.Parallel()
	c := startSigned(t, newUpstream(t))
	ctx := oidc.ClientContext(t.Context(), c.client)
	other := "RS256"
	for _, alg := range []string{"EdDSA", "ES256", "RS256"} {
		t.Run(alg, func(t *testing.T) {
			site, issuer := c.named(alg), "https://"+alg+".localhost"
			got, err := site.password("ada", adaPassword)
			token := mustGet(t, got, err).Access
			c.sent.add(token, got.Refresh)
			if err := c.get(t, request{host: alg + ".localhost:" + c.values["Port"], token: token}).isUser("ada"); err != nil {
				t.Error(err)
			}

			jwks := site.URL + "/oauth2/jwks"
			keys := oidc.NewRemoteKeySet(ctx, jwks)
			config := oidc.Config{ClientID: "reports", SupportedSigningAlgs: []string{alg}}
			library := byGolangJWT(t, c, jwks, issuer, alg)
			for what, verify := range map[string]func(string) (map[string]any, error){
				"go-oidc": func(token string) (claims map[string]any, err error) {
					verified, err := oidc.NewVerifier(issuer, keys, &config).Verify(ctx, token)
					if err == nil {
						err = verified.Claims(&claims)
					}
					return claims, err
				},
				"golang-jwt": library,
			} {
				claims, err := verify(token)
				if err != nil {
					t.Errorf("%s: %v", what, err)
					continue
				}
				text, _ := json.Marshal(claims["groups"])
				if claims["sub"] != "ada" || claims["iss"] != issuer || string(text) != `["admins","staff"]` || claims["team"] != "a team" || claims["jti"] == "" {
					t.Errorf("%s: the claims are %v", what, claims)
				}
				for how, bad := range map[string]string{
					"edited":              edited(t, token),
					"of another site":     tokenOf(t, c, other),
					"with another's keys": withHeaderOf(token, tokenOf(t, c, other)),
				} {
					if _, err := verify(bad); err == nil {
						t.Errorf("%s accepts a token %s", what, how)
					}
				}
			}
			late := config
			late.Now = func() time.Time { return time.Now().Add(6 * time.Minute) }
			if _, err := oidc.NewVerifier(issuer, keys, &late).Verify(ctx, token); err == nil {
				t.Error("go-oidc accepts a token after five minutes")
			}
		})
		other = "EdDSA"
	}
}

// tokenOf gets a token at another name.
func tokenOf(t *testing.T, c *caddy, name string) string {
	t.Helper()
	got, err := c.named(name).password("ada", adaPassword)
	return mustGet(t, got, err).Access
}

// edited is a token with another subject.
func edited(t *testing.T, token string) string {
	t.Helper()
	parts := strings.Split(token, ".")
	payload, err := base64.RawURLEncoding.DecodeString(parts[1])
	if err != nil {
		t.Fatal(err)
	}
	parts[1] = base64.RawURLEncoding.EncodeToString([]byte(strings.Replace(string(payload), `"ada"`, `"eve"`, 1)))
	return strings.Join(parts, ".")
}

// withHeaderOf is a token under the header of another one.
func withHeaderOf(token, other string) string {
	head, _, _ := strings.Cut(other, ".")
	_, rest, _ := strings.Cut(token, ".")
	return head + "." + rest
}

// byGolangJWT returns a check by golang-jwt with the keys of a JWKS.
func byGolangJWT(t *testing.T, c *caddy, jwks, issuer, alg string) func(string) (map[string]any, error) {
	t.Helper()
	resp, err := c.client.Get(jwks)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	var set jose.JSONWebKeySet
	if err := json.NewDecoder(resp.Body).Decode(&set); err != nil {
		t.Fatal(err)
	}
	if kind := resp.Header.Get("Content-Type"); kind != "application/jwk-set+json" || resp.Header.Get("Access-Control-Allow-Origin") != "*" {
		t.Errorf("the JWKS is %s, for %q", kind, resp.Header.Get("Access-Control-Allow-Origin"))
	}
	for _, k := range set.Keys {
		if !k.IsPublic() || !k.Valid() || k.Use != "sig" || k.Algorithm != alg {
			t.Errorf("key %s: public %t, use %q, alg %q", k.KeyID, k.IsPublic(), k.Use, k.Algorithm)
		}
	}
	parser := jwt.NewParser(jwt.WithValidMethods([]string{alg}), jwt.WithIssuer(issuer), jwt.WithAudience("api"), jwt.WithExpirationRequired(), jwt.WithIssuedAt())
	return func(token string) (map[string]any, error) {
		claims := jwt.MapClaims{}
		_, err := parser.ParseWithClaims(token, claims, func(token *jwt.Token) (any, error) {
			kid, _ := token.Header["kid"].(string)
			if typ := token.Header["typ"]; typ != "at+jwt" || kid == "" {
				t.Errorf("the token's typ is %v, its kid %q", typ, kid)
			}
			for _, k := range set.Key(kid) {
				return k.Key, nil
			}
			return nil, jwt.ErrTokenUnverifiable
		})
		return claims, err
	}
}

// TestTokensSecret: with HS256 there is nothing to publish, and none of the public
// keys of others is a secret here.
func TestTokensSecret(t *testing.T) {
	t.Parallel()
	c := startSigned(t, newUpstream(t))
	a := c.get(t, request{host: "HS256.localhost:" + c.values["Port"], path: "/oauth2/jwks"})
	if a.status != 200 || strings.ReplaceAll(a.body, " ", "") != `{"keys":[]}` {
		t.Errorf("the JWKS of HS256: %d %s", a.status, a.body)
	}
	token := tokenOf(t, c, "HS256")
	c.sent.add(token)
	host := "HS256.localhost:" + c.values["Port"]
	if err := c.get(t, request{host: host, token: token}).isUser("ada"); err != nil {
		t.Error(err)
	}
	for what, bad := range map[string]string{"edited": edited(t, token), "of another site": tokenOf(t, c, "EdDSA"), "without a key": encoded(`{"alg":"none","typ":"at+jwt"}`, `{"iss":"https://HS256.localhost","aud":"api","sub":"ada","exp":99999999999}`) + "."} {
		if a := c.get(t, request{host: host, token: bad}); a.status != 401 && a.status != 400 {
			t.Errorf("a token %s: %d", what, a.status)
		}
	}
}

// TestTokensForms sends what a client may and what it may not.
func TestTokensForms(t *testing.T) {
	t.Parallel()
	c := startLocal(t, newUpstream(t), 1)[0]
	const form, text = "application/x-www-form-urlencoded", "application/json"
	good := url.Values{"grant_type": {"password"}, "username": {"ada"}, "password": {adaPassword}}.Encode()
	for _, tc := range []struct {
		name, method, kind, body string
		status                   int
		code                     string
	}{
		{"form", "POST", form, good, 200, ""},
		{"JSON", "POST", text, `{"grant_type":"password","username":"ada","password":"` + adaPassword + `"}`, 200, ""},
		{"GET", "GET", "", "", 405, ""},
		{"twice", "POST", form, good + "&username=bob", 400, "invalid_request"},
		{"JSON twice", "POST", text, `{"grant_type":"password","username":"ada","username":"bob","password":"` + adaPassword + `"}`, 400, "invalid_request"},
		{"other type", "POST", "text/plain", good, 415, "invalid_request"},
		{"other grant", "POST", form, strings.Replace(good, "=password", "=implicit", 1), 400, "unsupported_grant_type"},
		{"wrong password", "POST", form, strings.Replace(good, "=ada", "=bob", 1), 400, "invalid_grant"},
		{"nobody", "POST", form, strings.Replace(good, "=ada", "=eve", 1), 400, "invalid_grant"},
		{"made-up refresh token", "POST", form, "grant_type=refresh_token&refresh_token=" + strings.Repeat("A", 70), 400, "invalid_grant"},
		{"too long", "POST", form, good + "&more=" + strings.Repeat("x", 64<<10), 400, "invalid_request"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			req := httptest.NewRequest(tc.method, c.URL+"/oauth2/token", strings.NewReader(tc.body))
			req.RequestURI = ""
			if tc.kind != "" {
				req.Header.Set("Content-Type", tc.kind)
			}
			resp, err := c.client.Do(req)
			if err != nil {
				t.Fatal(err)
			}
			defer resp.Body.Close()
			var got tokens
			err = json.NewDecoder(resp.Body).Decode(&got)
			c.sent.add(got.Access, got.Refresh)
			if resp.StatusCode != tc.status || got.Error != tc.code || (got.Access != "") != (tc.status == 200) {
				t.Errorf("got %d %q, %v", resp.StatusCode, got.Error, err)
			}
			if !slices.Contains(resp.Header.Values("Cache-Control"), "no-store") {
				t.Errorf("Cache-Control is %q", resp.Header.Values("Cache-Control"))
			}
		})
	}
}
