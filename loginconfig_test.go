package admit

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"encoding/pem"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/caddy-admit/admit/jwt"
)

// threat 98: what is wrong with a login is an error at load, also where it is known
// then only, and no error holds a secret. What can be told from the Caddyfile alone
// is in testdata/adapt.
func TestMistakesOfLogins(t *testing.T) {
	dir := t.TempDir()
	t.Setenv("ADMIT_TEST_EMPTY", "")
	t.Setenv("ADMIT_TEST_ONE", "one")
	t.Setenv("ADMIT_TEST_TWO", "openid profile")
	t.Setenv("ADMIT_TEST_BREAK", testSecret+"\n")
	t.Setenv("ADMIT_TEST_HTTP", "http://login.example.com/t")
	text := writeTemp(t, dir, "text", map[string]any{"no": "key"})
	const issuer = "issuer https://a.example\n"
	for _, tc := range []mistake{
		{"client id empty", issuer + "login {\nclient_id {env.ADMIT_TEST_EMPTY}\n}", "", []string{"login client_id", "ADMIT_TEST_EMPTY"}},
		{"client secret not set", issuer + "login {\nclient_id app\nclient_secret {env.ADMIT_TEST_NOT_SET}\n}", "", []string{"login client_secret", "ADMIT_TEST_NOT_SET"}},
		{"client secret ends in a line break", issuer + "login {\nclient_id app\nclient_secret {env.ADMIT_TEST_BREAK}\n}", "", []string{"login client_secret", "line break"}},
		{"scopes in one variable", issuer + "login {\nclient_id app\nscopes {env.ADMIT_TEST_TWO}\n}", "", []string{"login scopes", "one scope"}},
		{"scope without openid in a variable", "login {\nclient_id app\nscopes {env.ADMIT_TEST_ONE}\n}", "", []string{"login authorization_url", "login token_url", "login userinfo_url"}},
		{"token_url over http in a variable", issuer + "login {\nclient_id app\ntoken_url {env.ADMIT_TEST_HTTP}\n}", "", []string{"login token_url", "https"}},
		{"max_age in a variable", issuer + "login {\nclient_id app\nparam max_age {env.ADMIT_TEST_ONE}\n}", "", []string{"param max_age", "seconds"}},
		{"callback in a variable", issuer + "login {\nclient_id app\ncallback {env.ADMIT_TEST_ONE}\n}", "", []string{"login callback"}},
		{"key file not there", issuer + "login {\nclient_id app\nclient_auth private_key_jwt /nowhere/key.pem\n}", "", []string{"login client_auth", "/nowhere/key.pem"}},
		{"key file is none", issuer + "login {\nclient_id app\nclient_auth private_key_jwt " + text + "\n}", "", []string{"login client_auth", text}},
		{"public provider", "preset auth0 {env.ADMIT_TEST_ONE}.eu.auth0.com\nlogin {\nclient_id app\n}", "admit {\nlogin\n}", []string{"anybody on the internet", "require user *"}},
		{"public issuer in a variable", "issuer https://{env.ADMIT_TEST_ONE}.auth0.com/\nlogin {\nclient_id app\n}", "admit {\nlogin\n}", []string{"anybody on the internet"}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			if tc.gate == "" {
				tc.gate = "admit corp"
			}
			tc.check(t, loadError(t, "admit corp {\n"+tc.integration+"\n}", tc.gate+"\nrespond ok"))
		})
	}
}

// threat 98: what only JSON can express is refused as well.
func TestMistakesOfLoginsInJSON(t *testing.T) {
	const issuer = `"issuer": ["https://a.example"], `
	const google = `"vendor": "google", "issuer": ["https://accounts.google.com"], "login": {"client_id": "app"}`
	for _, tc := range []mistake{
		{"nothing in it", issuer + `"login": {}`, "", []string{"login client_id"}},
		{"vendor", issuer + `"audience": ["api"], "vendor": "okto"`, "", []string{`vendor "okto"`, "github, gitlab, google or keycloak"}},
		{"GitHub without a login", `"vendor": "github"`, "", []string{"login block"}},
		{"userinfo", issuer + `"userinfo": "never", "login": {"client_id": "app"}`, "", []string{`userinfo "never"`}},
		{"userinfo of tokens", `"jwks": "https://login.example.com/jwks", "audience": ["api"], "userinfo": "always"`, "", []string{"userinfo always", "expected userinfo_url"}},
		{"userinfo without a login", issuer + `"audience": ["api"], "userinfo": "login"`, "", []string{"userinfo", "login block"}},
		{"session_token", issuer + `"login": {"client_id": "app", "session_token": "both"}`, "", []string{"login session_token", `"both"`}},
		{"client_auth", issuer + `"login": {"client_id": "app", "client_auth": {"method": "jwt"}}`, "", []string{"login client_auth", `"jwt"`}},
		{"client_auth without a method", issuer + `"login": {"client_id": "app", "client_auth": {}}`, "", []string{"login client_auth"}},
		{"key that nobody needs", issuer + `"login": {"client_id": "app", "client_auth": {"method": "none", "key": "/nowhere"}}`, "", []string{"login client_auth none", "no key file"}},
		{"empty scope", issuer + `"login": {"client_id": "app", "scopes": ["openid", ""]}`, "", []string{"login scopes", "empty"}},
		{"param without a name", issuer + `"login": {"client_id": "app", "param": [{"value": "x"}]}`, "", []string{"param"}},
		{"param without a value", issuer + `"login": {"client_id": "app", "param": [{"name": "prompt"}]}`, "", []string{"login param prompt"}},
		{"refresh", issuer + `"login": {"client_id": "app"}, "session": {"refresh": -1}`, "", []string{"session refresh"}},
		{"refresh of users of one's own", `"users": "users.json", "session": {"refresh": "1h"}`, "", []string{"session refresh", "login block"}},
		{"cookies that are renewed", issuer + `"login": {"client_id": "app"}, "session": {"store": "cookie"}`, "", []string{"session store", "refresh off"}},
		{"from a header", issuer + `"login": {"client_id": "app"}, "from": [{"header": "X-Token"}]`, "", []string{"from header", "audience"}},
		{"unknown member", issuer + `"login": {"client_id": "app", "scope": "x"}`, "", []string{"scope"}},
		{"public provider", google, `"login": {}`, []string{"anybody on the internet", "corp"}},
		{"public provider, rule of a path", google, `"login": {}, "require": [{"match": [{"path": ["/x"]}], "claim": "user", "patterns": ["*"]}]`, []string{"anybody on the internet"}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			if tc.gate != "" {
				tc.gate = ", " + tc.gate
			}
			tc.checkJSON(t, `{"handler": "admit"`+tc.gate+`}`)
		})
	}
}

// The private key of a client is read at load, and there is a use for it.
func TestClientKeyFile(t *testing.T) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	der, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	file := filepath.Join(t.TempDir(), "key.pem")
	if err := os.WriteFile(file, pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der}), 0o600); err != nil {
		t.Fatal(err)
	}
	serve(t, "admit corp {\nissuer https://a.example\nlogin {\nclient_id app\nclient_auth private_key_jwt "+file+"\n}\n}", "admit {\nlogin\n}")
}

// An ID token is made for the client alone, whatever the configuration says of
// access tokens (OpenID Connect Core 1.0 section 3.1.3.7, threat 59).
func TestPolicyOfIDTokens(t *testing.T) {
	for _, vendor := range vendors {
		access := jwt.Policy{
			Issuers: []string{"https://a.example"}, Audience: []string{"api"}, Types: []string{"at+jwt"}, Algorithms: []string{"ES256"},
			ExpiryOptional: true, MaxAge: time.Hour, LenientPadding: true, Leeway: time.Second, Vendor: vendor,
		}
		p := idTokens(access, "app")
		if strings.Join(p.Audience, " ") != "app" || len(p.AudienceClaims) != 1 || strings.Join(p.Types, " ") != " JWT" || p.ExpiryOptional || p.MaxAge != 0 || p.LenientPadding {
			t.Errorf("%s: got %+v", vendor, p)
		}
		if strings.Join(p.Issuers, " ") != "https://a.example" || strings.Join(p.Algorithms, " ") != "ES256" || p.Leeway != time.Second {
			t.Errorf("%s: got %+v", vendor, p)
		}
		if wanted := vendor == jwt.VendorEntra; (p.Vendor == jwt.VendorEntra) != wanted || !wanted && p.Vendor != "" {
			t.Errorf("%s: vendor %q", vendor, p.Vendor)
		}
	}
}
