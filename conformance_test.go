package admit

import (
	"net/url"
	"slices"
	"strings"
	"testing"
	"time"
)

// conformance is a test of the OpenID Foundation's for relying parties, by the
// suffix of its name there (oidcc-client-test...).
type conformance struct {
	suffix string
	test   func(*testing.T, *fakeProvider)
}

// TestConformance: the OpenID Connect Core, Discovery and logout tests for relying
// parties in the code flow. Each misbehaving provider stands beside the same one
// that does not: idTokenRefused logs in first.
func TestConformance(t *testing.T) {
	for _, tc := range slices.Concat(conformanceLogin, conformanceTokens, conformanceKeys, conformanceRefresh, conformanceLogout) {
		name := tc.suffix
		if name == "" {
			name = "(none)"
		}
		t.Run(name, func(t *testing.T) { tc.test(t, newProvider(t)) })
	}
}

var conformanceLogin = []conformance{
	{"", func(t *testing.T, p *fakeProvider) {
		f, _ := p.serveLogin(loginSite{options: "userinfo"})
		got := f.web().logIn()
		if got.Header.Get("X-User") != "ada-1" || got.Header.Get("X-Groups") != "staff" || got.Header.Get("X-Name") != "Ada of the userinfo endpoint" {
			t.Errorf("the application saw %v", got.Header)
		}
		if got.Header.Get("X-Email") != "ada@example.com" { // the ID token's own claims win
			t.Errorf("e-mail %q", got.Header.Get("X-Email"))
		}
		if p.count("/authorize") != 1 || p.count("/token") != 1 || p.count("/userinfo") != 1 {
			t.Errorf("requests %v", p.counts)
		}
	}},
	{"-nonce-unless-code-flow", func(t *testing.T, p *fakeProvider) {
		f, _ := p.serveLogin(loginSite{})
		f.web().logIn()
		first := p.login().asked
		f.web().logIn()
		for _, name := range []string{"nonce", "state", "code_challenge"} { // threats 57, 58
			if again := p.login().asked.Get(name); len(again) < 20 || again == first.Get(name) {
				t.Errorf("%s %q, then %q", name, first.Get(name), again)
			}
		}
	}},
	{"-scope-userinfo-claims", func(t *testing.T, p *fakeProvider) {
		f, _ := p.serveLogin(loginSite{
			options: "userinfo\nidentity {\nuser phone_number\ngroups address.locality\n}",
			login:   "scopes openid profile email phone address",
		})
		got := f.web().logIn()
		if got.Header.Get("X-User") != "+1 555 0100" || got.Header.Get("X-Groups") != "London" {
			t.Errorf("the application saw %v", got.Header)
		}
		if scope := p.login().asked.Get("scope"); scope != "openid profile email phone address" {
			t.Errorf("scope %q", scope)
		}
	}},
	{"-userinfo-bearer-header", func(t *testing.T, p *fakeProvider) {
		f, _ := p.serveLogin(loginSite{options: "userinfo"})
		f.web().logIn()
		r := p.last("/userinfo")
		if r.header.Get("Authorization") != "Bearer "+p.login().access[0] || len(r.form) > 0 {
			t.Errorf("%v %v", r.form, r.header)
		}
	}},
	{"-userinfo-invalid-sub", func(t *testing.T, p *fakeProvider) { // threat 59
		f, _ := p.serveLogin(loginSite{options: "userinfo"})
		f.web().logIn()
		for _, sub := range []any{"eve-1", "", nil, 7, "ada-1 ", "Ada-1", []string{"ada-1"}} {
			p.change(func() { p.userinfo = func(claims object) { claims["sub"] = sub } })
			b := f.web()
			b.refused(b.open("/x"), 403, "login_refused")
		}
	}},
	{"-client-secret-basic", func(t *testing.T, p *fakeProvider) {
		f, _ := p.serveLogin(loginSite{})
		f.web().logIn()
		user, password, ok := basicOf(p.last("/token").header)
		if !ok || user != clientID || password != url.QueryEscape(clientSecret) {
			t.Errorf("client %q", user)
		}
		stopCaddy(t)
		f, _ = p.serveLogin(loginSite{secret: "client_secret wrong"})
		b := f.web()
		b.refused(b.open("/x"), 403, "login_refused")
	}},
	{"-form-post-error", func(t *testing.T, p *fakeProvider) {
		f, _ := p.serveLogin(loginSite{login: "param response_mode form_post"})
		b := f.web()
		b.logIn()
		if p.login().asked.Get("response_mode") != "form_post" || b.trail[len(b.trail)-2].method != "POST" {
			t.Errorf("%v", b.trail)
		}
		p.change(func() {
			p.answer = func(asked, answer url.Values) {
				answer.Del("code")
				answer.Set("error", "access_denied")
				answer.Set("error_description", hostileText)
			}
		})
		b = f.web()
		b.refused(b.open("/x"), 403, "login_refused")
		if p.count("/token") != 1 || p.count("/authorize") != 2 {
			t.Errorf("requests %v", p.counts)
		}
	}},
	{"-discovery-openid-config", func(t *testing.T, p *fakeProvider) {
		f, _ := p.serveLogin(loginSite{})
		f.web().logIn()
		if n := p.count("/.well-known/openid-configuration"); n != 1 {
			t.Errorf("%d requests for the discovery document", n)
		}
	}},
	{"-discovery-jwks-uri-keys", func(t *testing.T, p *fakeProvider) {
		f, _ := p.serveLogin(loginSite{})
		f.web().logIn()
		// Another provider's keys are its own.
		stopCaddy(t)
		other := newProvider(t)
		other.key = keyOf("ES256", "es-other")
		f, _ = other.serveLogin(loginSite{})
		f.web().logIn()
		if p.count("/jwks") != 1 || other.count("/jwks") != 1 {
			t.Errorf("%d and %d requests for keys", p.count("/jwks"), other.count("/jwks"))
		}
	}},
	{"-discovery-issuer-mismatch", func(t *testing.T, p *fakeProvider) { // threat 21
		f, _ := p.serveLogin(loginSite{})
		p.change(func() { p.discovery = func(document object) { document["issuer"] = p.issuer + "/" } })
		b := f.web()
		b.refused(b.open("/x"), 503, "unavailable")
		if p.count("/authorize") != 0 {
			t.Error("sent to log in all the same")
		}
		p.change(func() { p.discovery = nil })
		forward(t, time.Minute) // the first fetch is tried again
		f.web().logIn()
	}},
}

// idTokenRefused makes a test of something that makes an ID token bad. The same
// provider is good without it.
func idTokenRefused(suffix string, bad ...func(*fakeProvider)) conformance {
	return conformance{suffix, func(t *testing.T, p *fakeProvider) {
		f, _ := p.serveLogin(loginSite{options: "userinfo"})
		f.web().logIn()
		for i, change := range bad {
			p.change(func() {
				p.idClaims, p.idHeader, p.tokens, p.key = nil, nil, nil, keyOf("ES256", "es-1")
				change(p)
			})
			b := f.web()
			b.refused(b.open("/x"), 403, "login_refused")
			if n := p.count("/userinfo"); n != 1 {
				t.Errorf("%d: userinfo asked for with a bad ID token", i)
			}
		}
	}}
}

// claim returns a change of one claim of ID tokens; nil takes it out.
func claim(name string, value any) func(*fakeProvider) {
	return func(p *fakeProvider) { p.idClaims = func(_ url.Values, claims object) { claims[name] = value } }
}

// threats 58, 59.
var conformanceTokens = []conformance{
	idTokenRefused("-nonce-invalid", claim("nonce", "another-nonce-of-the-same-length"), claim("nonce", nil), claim("nonce", ""), claim("nonce", 7),
		func(p *fakeProvider) {
			p.idClaims = func(_ url.Values, claims object) { claims["nonce"] = p.logins[0].asked.Get("nonce") } // replayed
		}),
	idTokenRefused("-invalid-iss", claim("iss", "https://evil.example"), claim("iss", nil), func(p *fakeProvider) {
		p.idClaims = func(_ url.Values, claims object) { claims["iss"] = p.issuer + "/" }
	}),
	idTokenRefused("-invalid-aud", claim("aud", "another"), claim("aud", []string{"another", "third"}), claim("aud", "App"), claim("aud", object{"app": true}),
		claim("azp", "another"), // OpenID Connect Core 1.0 section 3.1.3.7
		func(p *fakeProvider) {
			p.idClaims = func(_ url.Values, claims object) {
				claims["aud"], claims["azp"] = []string{clientID, "another"}, "another"
			}
		}),
	idTokenRefused("-missing-aud", claim("aud", nil), claim("aud", []string{})),
	idTokenRefused("-missing-sub", claim("sub", nil), claim("sub", "")),
	idTokenRefused("-missing-iat", claim("iat", nil)),
	idTokenRefused("-invalid-athash", claim("at_hash", strings.Repeat("A", 22)), claim("at_hash", 7)),
	idTokenRefused("-missing-exp", claim("exp", nil), claim("exp", 1), claim("exp", "9999999999")), // beside the suite's
	idTokenRefused("-idtoken-sig-none", signedBy("none", "es-1"), func(p *fakeProvider) {
		p.idHeader = func(header object) { header["alg"] = "none" }
	}),
	idTokenRefused("-invalid-sig-es256", signedBy("ES256", "es-evil"), func(p *fakeProvider) {
		p.tokens = func(_ url.Values, answer object) {
			raw := answer["id_token"].(string)
			answer["id_token"] = raw[:len(raw)-8] + "AAAAAAAA"
		}
	}),
	{"-idtoken-sig-rs256", func(t *testing.T, p *fakeProvider) {
		p.key = keyOf("RS256", "rs-1")
		f, _ := p.serveLogin(loginSite{})
		f.web().logIn()
	}},
	{"-invalid-sig-rs256", func(t *testing.T, p *fakeProvider) {
		p.key = keyOf("RS256", "rs-1")
		p.published = []object{p.key.jwk()}
		f, _ := p.serveLogin(loginSite{})
		f.web().logIn()
		signedBy("RS256", "rs-evil")(p)
		p.change(func() { p.idHeader = func(header object) { header["kid"] = "rs-1" } })
		b := f.web()
		b.refused(b.open("/x"), 403, "login_refused")
	}},
	{"-invalid-sig-hs256", func(t *testing.T, p *fakeProvider) {
		// Right with the client's secret, but nobody has said that it is a key; then
		// somebody has.
		p.key = keyOf("HS256", "")
		p.published = []object{}
		f, _ := p.serveLogin(loginSite{})
		b := f.web()
		b.refused(b.open("/x"), 403, "login_refused")
		stopCaddy(t)
		byHand := loginSite{issuer: "issuer " + p.issuer + "\ndiscovery " + p.URL + "/.well-known/openid-configuration", options: "audience api\ninsecure_weak_secret\nsecret text \"" + clientSecret + "\""}
		f, _ = p.serveLogin(byHand)
		f.web().logIn()
		p.change(func() { p.key.secret = "marked:secret of another client" })
		b = f.web()
		b.refused(b.open("/x"), 403, "login_refused")
	}},
}

// signedBy makes another key sign, under the name of the published one.
func signedBy(alg, kid string) func(*fakeProvider) {
	return func(p *fakeProvider) {
		p.published = []object{p.key.jwk()}
		own := p.key.kid
		p.key = keyOf(alg, kid)
		p.key.kid = own
	}
}
