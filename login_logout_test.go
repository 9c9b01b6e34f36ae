package admit

import (
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"
)

const backChannelPath = "/oauth2/backchannel-logout"

// threat 73: logout tokens come once, by POST, as a form, and nothing else is one.
func TestBackChannel(t *testing.T) {
	p := newProvider(t)
	f, _ := p.serveLogin(loginSite{session: "store storage"})
	b := f.web()
	b.logIn()
	good := p.logoutToken(nil, nil)
	form := url.Values{"logout_token": {good}}.Encode()
	for name, tc := range map[string]struct {
		method, target string
		headers        []string
		status         int
	}{
		"GET":         {"GET", backChannelPath + "?" + form, nil, 405},
		"PUT":         {"PUT", backChannelPath, []string{formType, "body:" + form}, 405},
		"preflight":   {"OPTIONS", backChannelPath, []string{"Origin: https://evil.example", "Access-Control-Request-Method: POST"}, 405},
		"in the URL":  {"POST", backChannelPath + "?" + form, []string{formType, "body:"}, 400},
		"JSON":        {"POST", backChannelPath, []string{"Content-Type: application/json", `body:{"logout_token":"` + good + `"}`}, 400},
		"text":        {"POST", backChannelPath, []string{"Content-Type: text/plain", "body:" + form}, 400},
		"nothing":     {"POST", backChannelPath, []string{formType, "body:"}, 400},
		"twice":       {"POST", backChannelPath, []string{formType, "body:" + form + "&" + form}, 400},
		"no token":    {"POST", backChannelPath, []string{formType, "body:logout_token=marked"}, 400},
		"too long":    {"POST", backChannelPath, []string{formType, "body:logout_token=" + strings.Repeat("x", 200_000)}, 400},
		"as a bearer": {"POST", backChannelPath, []string{"Authorization: Bearer " + good, formType, "body:"}, 400},
	} {
		a := f.ask(tc.method, "localhost", tc.target, tc.headers...)
		if a.StatusCode != tc.status && !(tc.status == 400 && (a.StatusCode == 413 || a.StatusCode == 415)) || a.Header.Get("Cache-Control") != "no-store" ||
			a.Header.Get("Access-Control-Allow-Origin") != "" || strings.Contains(a.body, "marked") {
			t.Errorf("%s: %d %v\n%s", name, a.StatusCode, a.Header, a.body)
		}
	}
	// An ID token is none, nor is any token with another type.
	p.change(func() { p.published = nil })
	p.backChannel(f, p.key.token(object{
		"iss": p.issuer, "sub": "ada-1", "sid": p.logins[0].sid, "aud": clientID, "iat": now().Unix(), "exp": now().Add(time.Minute).Unix(), "jti": "id",
	}, nil), 400)
	p.backChannel(f, p.logoutToken(nil, object{"typ": "at+jwt"}), 400)
	p.backChannel(f, p.logoutToken(object{"sub": "ada-1", "sid": 7}, nil), 400)
	// And a logout token is no credential.
	if a := f.ask("GET", "localhost", "/x", "Authorization: Bearer "+good); a.reached() {
		t.Error("a logout token lets in")
	}
	if !b.isIn() {
		t.Error("the session is gone")
	}
	p.backChannel(f, good, 200)
	if b.isIn() {
		t.Error("the session is there")
	}
	// threat 73: replayed against a later session of the same person and provider.
	again := p.logoutToken(object{"sid": nil}, nil)
	p.backChannel(f, again, 200)
	b.logIn()
	p.backChannel(f, again, 400)
	p.backChannel(f, good, 400)
	if !b.isIn() {
		t.Error("a logout token that came before ended a session")
	}
}

// threat 74: by session or by person, and both must fit where both are given.
func TestBackChannelWhom(t *testing.T) {
	p := newProvider(t)
	f, _ := p.serveLogin(loginSite{session: "store storage"})
	first, second, eve := f.web(), f.web(), f.web()
	p.change(func() { p.user = "eve" })
	eve.logIn()
	p.change(func() { p.user = "ada" })
	check := func(what string, want ...bool) {
		t.Helper()
		if got := []bool{first.isIn(), second.isIn(), eve.isIn()}; got[0] != want[0] || got[1] != want[1] || got[2] != want[2] {
			t.Errorf("%s: in %v, want %v", what, got, want)
		}
	}
	first.logIn()
	firstID := p.login().sid
	second.logIn()
	p.backChannel(f, p.logoutToken(object{"sid": "sid-of-nobody"}, nil), 200)
	check("another session", true, true, true)
	p.backChannel(f, p.logoutToken(object{"sub": "eve-1", "sid": firstID}, nil), 200)
	check("a session of another person", true, true, true)
	p.backChannel(f, p.logoutToken(object{"sub": nil, "sid": firstID}, nil), 200)
	check("one session", false, true, true)
	first.logIn()
	p.backChannel(f, p.logoutToken(object{"sid": nil}, nil), 200)
	check("all of a person", false, false, true)
	first.logIn() // what begins afterwards is another session
	check("a new one", true, false, true)
}

// threat 77: where sessions lie in cookies there is no back-channel logout that does
// nothing.
func TestBackChannelNowhere(t *testing.T) {
	p := newProvider(t)
	f, _ := p.serveLogin(loginSite{})
	b := f.web()
	b.logIn()
	a := f.ask("POST", "localhost", backChannelPath, formType, "body:"+url.Values{"logout_token": {p.logoutToken(nil, nil)}}.Encode())
	if a.StatusCode != 401 || !b.isIn() {
		t.Errorf("%d, in: %v", a.StatusCode, b.isIn())
	}
}

// threat 75: no other site logs anybody out, here or at the provider.
func TestLogoutCSRF(t *testing.T) {
	p := newProvider(t)
	f, _ := p.serveLogin(loginSite{gate: "bypass /open"})
	b := f.web()
	b.logIn()
	evil := &url.URL{Scheme: "http", Host: "evil.localhost"}
	for name, n := range map[string]navigated{
		"link":     {method: "GET", from: evil},
		"image":    {method: "GET", from: evil, headers: []string{"Sec-Fetch-Mode: no-cors", "Sec-Fetch-Dest: image"}},
		"own":      {method: "GET", headers: []string{"Sec-Fetch-Site: same-origin", "Sec-Fetch-Mode: no-cors", "Sec-Fetch-Dest: image"}},
		"prefetch": {method: "GET", headers: []string{"Sec-Purpose: prefetch"}},
		"form":     {method: "POST", from: evil, form: url.Values{"return_to": {"/open"}}},
		"script":   {method: "POST", from: evil, headers: []string{"Sec-Fetch-Mode: no-cors", "Content-Type: text/plain"}},
	} {
		n.target = "/oauth2/logout"
		a, _ := b.request(n)
		if a.StatusCode/100 == 3 || a.Header.Get("Refresh") != "" || !b.isIn() || p.count("/end-session") != 0 {
			t.Errorf("%s: %d to %q, in: %v", name, a.StatusCode, location(a), b.isIn())
		}
	}
	// The page that asks logs out.
	a := b.click("http://localhost/oauth2/logout", "Sec-Fetch-Site: cross-site")
	if a.StatusCode != 200 || !strings.Contains(a.body, `<form method="post" action="/oauth2/logout"`) {
		t.Fatalf("%d\n%s", a.StatusCode, a.body)
	}
	b.submit("/oauth2/logout", url.Values{})
	if b.isIn() || p.count("/end-session") != 1 {
		t.Errorf("%v, in: %v", b.trail, b.isIn())
	}
}

// threats 45, 76: logging out leaves nothing that counts, also where the provider
// cannot log anybody out, or has gone.
func TestLogoutHere(t *testing.T) {
	for name, change := range map[string]func(*fakeProvider){
		"a provider that can": func(*fakeProvider) {},
		"one that cannot": func(p *fakeProvider) {
			p.discovery = func(document object) { delete(document, "end_session_endpoint") }
		},
		"one that has gone": func(p *fakeProvider) { p.Close() },
	} {
		for _, offline := range []bool{false, true} { // in a cookie, in storage
			t.Run(name, func(t *testing.T) {
				p := newProvider(t)
				p.offline = offline
				if name == "one that cannot" {
					change(p)
				}
				f, _ := p.serveLogin(loginSite{})
				b := f.web()
				b.logIn()
				copied := "Cookie: " + sessionName + "=" + b.value(sessionName)
				state := p.login().asked.Get("state")
				if name == "one that has gone" {
					change(p)
					a, _ := b.request(navigated{method: "GET", target: "/oauth2/logout"})
					if a.StatusCode >= 500 {
						t.Errorf("%d\n%s", a.StatusCode, a.body)
					}
				} else if a := b.open("/oauth2/logout"); a.StatusCode != 200 || !strings.Contains(a.body, "Signed out") {
					t.Errorf("%v\n%s", b.trail, a.body)
				}
				if got := p.count("/end-session"); name == "one that cannot" && got != 0 {
					t.Error("sent to a provider that cannot")
				}
				if left := b.names(stateName); len(left) > 0 && name != "one that has gone" {
					t.Errorf("left behind: %v", left)
				}
				if len(b.sessionCookies()) > 0 || f.ask("GET", "localhost", "/x", copied).reached() {
					t.Errorf("cookies %v, or a copy of them counts", b.names(""))
				}
				if a := f.web().arrive("/oauth2/logged-out?state=" + url.QueryEscape(state)); a.StatusCode >= 500 || location(a) != "" {
					t.Errorf("state of a login: %d to %q", a.StatusCode, location(a))
				}
			})
		}
	}
}

// threats 68, 76: the ID token that ends the session at the provider is in the header
// field that leads there alone, of an answer that nobody keeps.
func TestLogoutHint(t *testing.T) {
	p := newProvider(t)
	f, _ := p.serveLogin(loginSite{})
	b := f.web()
	b.logIn()
	a, _ := b.request(navigated{method: "GET", target: "/oauth2/logout"})
	_, where, _ := strings.Cut(a.Header.Get("Refresh"), "url=")
	u, err := url.Parse(where)
	if err != nil || strings.Count(u.Query().Get("id_token_hint"), ".") != 2 {
		t.Fatalf("%d leads to %q", a.StatusCode, where)
	}
	hint := u.Query().Get("id_token_hint")
	a.Header.Del("Refresh")
	if strings.Contains(a.body+fmt.Sprint(a.Header), hint) {
		t.Errorf("%v\n%s", a.Header, a.body)
	}
	if !strings.Contains(a.Header.Get("Cache-Control"), "no-store") || a.Header.Get("Referrer-Policy") != "no-referrer" {
		t.Errorf("%v", a.Header)
	}
	for _, entry := range f.entries("") {
		if strings.Contains(fmt.Sprint(entry), hint) {
			t.Errorf("logged %v", entry)
		}
	}
}

// threat 76: the end session endpoint is as good as the document that names it.
func TestLogoutElsewhere(t *testing.T) {
	for _, endpoint := range []string{"javascript:alert(1)", "http://evil.example/logout", "//evil.example", "data:text/html,x", ""} {
		p := newProvider(t)
		p.discovery = func(document object) { document["end_session_endpoint"] = endpoint }
		f, _ := p.serveLogin(loginSite{})
		b := f.web()
		a := b.open("/x")
		if a.reached() {
			a, _ = b.request(navigated{method: "GET", target: "/oauth2/logout"})
		}
		if where := location(a) + a.Header.Get("Refresh"); a.StatusCode == http.StatusInternalServerError || strings.Contains(where, "evil") || strings.Contains(where, "javascript") || strings.Contains(where, "data:") {
			t.Errorf("%q: %d to %q", endpoint, a.StatusCode, where)
		}
		stopCaddy(t)
	}
}
