package admit

import (
	"net/http"
	"net/url"
	"slices"
	"strings"
	"testing"
	"time"
)

// threats 17, 59.
var conformanceKeys = []conformance{
	{"-kid-absent-single-jwks", func(t *testing.T, p *fakeProvider) {
		p.idHeader = func(header object) { header["kid"] = nil }
		f, _ := p.serveLogin(loginSite{})
		f.web().logIn()
		p.change(func() {
			p.published = []object{p.key.jwk()}
			p.key = keyOf("ES256", "es-evil")
		})
		b := f.web()
		b.refused(b.open("/x"), 403, "login_refused")
	}},
	{"-kid-absent-multiple-jwks", func(t *testing.T, p *fakeProvider) {
		p.idHeader = func(header object) { header["kid"] = nil }
		p.published = []object{keyOf("RS256", "rs-1").jwk(), keyOf("ES256", "es-2").jwk(), p.key.jwk()}
		f, _ := p.serveLogin(loginSite{})
		f.web().logIn()
		p.change(func() { p.key = keyOf("ES256", "es-evil") })
		b := f.web()
		b.refused(b.open("/x"), 403, "login_refused")
	}},
	{"-signing-key-rotation", func(t *testing.T, p *fakeProvider) {
		f, _ := p.serveLogin(loginSite{})
		f.web().logIn()
		forward(t, 11*time.Second) // keys are not fetched more often than that
		p.change(func() { p.key = keyOf("ES256", "es-2") })
		f.web().logIn()
		if n := p.count("/jwks"); n != 2 {
			t.Errorf("%d requests for keys", n)
		}
	}},
	{"-signing-key-rotation-just-before-signing", func(t *testing.T, p *fakeProvider) {
		f, _ := p.serveLogin(loginSite{})
		f.web().logIn()
		forward(t, 11*time.Second)
		p.change(func() {
			p.idHeader = func(header object) { // while the token is being made
				p.key = keyOf("ES256", "es-3")
				header["kid"] = "es-3"
			}
		})
		f.web().logIn()
		// One that nobody publishes is refused, and no reason to ask again at once.
		signedBy("ES256", "es-evil")(p)
		p.change(func() { p.idHeader = func(header object) { header["kid"] = "es-evil" } })
		b := f.web()
		b.refused(b.open("/x"), 403, "login_refused")
		if n := p.count("/jwks"); n != 2 {
			t.Errorf("%d requests for keys", n)
		}
	}},
}

var conformanceLogout = slices.Concat([]conformance{
	{"-rp-init-logout", func(t *testing.T, p *fakeProvider) {
		f, _ := p.serveLogin(loginSite{gate: "bypass /open"})
		b := f.web()
		b.logIn()
		a := b.click("/oauth2/logout?return_to=%2Fopen%3Fa%3Db")
		if !a.reached() || a.seen(t).URI != "/open?a=b" {
			t.Errorf("%v\n%s", b.trail, a.body)
		}
		asked := p.last("/end-session").form
		if asked.Get("id_token_hint") != p.issued[slices.IndexFunc(p.issued, func(s string) bool { return strings.Count(s, ".") == 2 })] ||
			asked.Get("post_logout_redirect_uri") != "http://localhost/oauth2/logged-out" || len(asked.Get("state")) < 20 {
			t.Errorf("asked %v", asked)
		}
		if b.isIn() || len(b.sessionCookies()) > 0 || len(b.names(stateName)) > 0 {
			t.Errorf("cookies %v", b.names(""))
		}
		if a := b.click("/oauth2/logout"); a.StatusCode != 200 || !strings.Contains(a.body, "Signed out") {
			t.Errorf("again: %v\n%s", b.trail, a.body)
		}
	}},
	{"-rp-init-logout-no-state", logoutState(func(answer url.Values) { answer.Del("state") })},
	{"-rp-init-logout-other-state", logoutState(func(answer url.Values) { answer.Set("state", answer.Get("state")+"x") })},
	{"-rp-backchannel-rpinitlogout", func(t *testing.T, p *fakeProvider) {
		f, _ := p.serveLogin(loginSite{session: "store storage"})
		b, other := f.web(), f.web()
		other.logIn() // the same person, at another browser
		b.logIn()
		p.backChannel(f, p.logoutToken(nil, nil), 200)
		if b.isIn() || !other.isIn() {
			t.Errorf("in: %v, at another browser %v", b.isIn(), other.isIn())
		}
	}},
	logoutRefused("-rp-backchannel-rpinitlogout-alg-none", func(p *fakeProvider) { p.key.alg = "none" }),
	logoutRefused("-rp-backchannel-rpinitlogout-wrong-alg", func(p *fakeProvider) { p.key = keyOf("HS256", "es-1") }),
	logoutRefused("-rp-backchannel-rpinitlogout-wrong-key", signedBy("ES256", "es-evil")), // beside the suite's
	logoutRefused("-rp-backchannel-rpinitlogout-wrong-iss", nil, object{"iss": "https://evil.example"}, object{"iss": nil}),
	logoutRefused("-rp-backchannel-rpinitlogout-wrong-aud", nil, object{"aud": "another"}, object{"aud": nil}, object{"aud": []string{}}),
	logoutRefused("-rp-backchannel-rpinitlogout-no-event", nil, object{"events": nil}, object{"events": object{}}),
	logoutRefused("-rp-backchannel-rpinitlogout-wrong-event", nil,
		object{"events": object{"http://schemas.openid.net/event/frontchannel-logout": object{}}},
		object{"events": object{"http://schemas.openid.net/event/backchannel-logout": "x"}},
		object{"events": "http://schemas.openid.net/event/backchannel-logout"}),
	logoutRefused("-rp-backchannel-rpinitlogout-with-nonce", nil, object{"nonce": "x"}, object{"nonce": ""}),
	// Back-Channel Logout 1.0 section 2.6 has more to check than the suite does.
	logoutRefused("-rp-backchannel-rpinitlogout-wrong-time", nil, object{"exp": 1}, object{"iat": nil}, object{"exp": nil}, object{"iat": 99999999999}),
	logoutRefused("-rp-backchannel-rpinitlogout-no-jti", nil, object{"jti": nil}, object{"jti": ""}),
	logoutRefused("-rp-backchannel-rpinitlogout-nobody", nil, object{"sub": nil, "sid": nil}),
})

// logoutState makes a test of a provider that sends people back without the state
// of their logout.
func logoutState(change func(answer url.Values)) func(*testing.T, *fakeProvider) {
	return func(t *testing.T, p *fakeProvider) {
		f, _ := p.serveLogin(loginSite{gate: "bypass /open"})
		b, other := f.web(), f.web()
		other.logIn()
		b.logIn()
		p.change(func() { p.endSession = func(_, answer url.Values) { change(answer) } })
		a := b.click("/oauth2/logout?return_to=/open")
		if a.reached() || a.StatusCode >= 500 || strings.Contains(a.Header.Get("Content-Type"), "json") {
			t.Errorf("%v\n%s", b.trail, a.body)
		}
		if b.isIn() || !other.isIn() {
			t.Errorf("in: %v, at another browser %v", b.isIn(), other.isIn())
		}
		// Where nobody logs out, the state of another's logout is nothing either.
		used := p.last("/end-session").form.Get("state")
		if a := other.arrive("/oauth2/logged-out?state=" + url.QueryEscape(used)); a.reached() && a.seen(t).URI != "/" || !other.isIn() {
			t.Errorf("another browser: %d, in %v", a.StatusCode, other.isIn())
		}
	}
}

// logoutRefused makes a test of logout tokens that are refused, one for each of
// claims, all by a provider that was changed (threat 73).
func logoutRefused(suffix string, change func(*fakeProvider), claims ...object) conformance {
	return conformance{suffix, func(t *testing.T, p *fakeProvider) {
		f, _ := p.serveLogin(loginSite{session: "store storage"})
		b := f.web()
		b.logIn()
		good := p.key
		p.published = []object{good.jwk()}
		if change != nil {
			p.change(func() { change(p) })
		}
		for _, more := range append(claims, object{})[:max(1, len(claims))] {
			p.backChannel(f, p.logoutToken(more, nil), 400)
			if !b.isIn() {
				t.Errorf("%v: the session is gone", more)
			}
		}
		p.change(func() { p.key = good })
		p.backChannel(f, p.logoutToken(nil, nil), 200)
		if b.isIn() {
			t.Error("the session is there after a good one")
		}
	}}
}

// backChannel sends a logout token as providers do, and wants a status.
func (p *fakeProvider) backChannel(f *front, raw string, status int) {
	p.t.Helper()
	a := f.ask("POST", "localhost", "/oauth2/backchannel-logout", formType, "body:"+url.Values{"logout_token": {raw}}.Encode())
	if a.StatusCode != status || a.Header.Get("Cache-Control") != "no-store" || len(a.Cookies()) > 0 {
		p.t.Errorf("back-channel logout: %d, want %d: %v\n%s", a.StatusCode, status, a.Header, a.body)
	}
	if strings.Contains(a.body, raw) || status == http.StatusOK && strings.TrimSpace(a.body) != "" {
		p.t.Errorf("back-channel logout says %q", a.body)
	}
}
