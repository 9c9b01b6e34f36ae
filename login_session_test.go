package admit

import (
	"encoding/base64"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"testing"
	"time"
)

// threats 44, 46, 49: what a login sets is sealed, the site's alone, and new each
// time.
func TestLoginSession(t *testing.T) {
	p := newProvider(t)
	f, _ := p.serveLogin(loginSite{})
	b := f.web()
	b.cookies = append(b.cookies, &http.Cookie{Name: sessionName, Value: "planted", Domain: "localhost", Path: "/"})
	b.logIn()
	set := 0
	for _, h := range b.trail {
		for _, c := range h.answer.Cookies() {
			if h.url.Path == "/oauth2/callback" && c.Name == sessionName {
				set++
				if !c.HttpOnly || !c.Secure || c.Path != "/" || c.SameSite != http.SameSiteLaxMode {
					t.Errorf("cookie %s", c.Raw)
				}
			}
			if raw, err := base64.RawURLEncoding.DecodeString(c.Value); err == nil && (strings.Contains(string(raw), "ada") || strings.Contains(string(raw), "nonce")) {
				t.Errorf("cookie %s can be read", c.Name)
			}
		}
		if cc := h.answer.Header.Get("Cache-Control"); h.url.Host == "localhost" && len(h.answer.Cookies()) > 0 && !strings.Contains(cc, "no-store") { // threat 54
			t.Errorf("%v: Cache-Control %q", h, cc)
		}
	}
	if set != 1 {
		t.Errorf("%d session cookies", set)
	}
	first := b.value(sessionName)
	if a := b.open("/oauth2/login?return_to=/x"); !a.reached() || b.value(sessionName) == first {
		t.Errorf("again: %v", b.trail)
	}
	if f.ask("GET", "localhost", "/x", "Cookie: "+sessionName+"="+first).reached() {
		t.Error("the session before counts")
	}
	// A state is no session, and a session no state.
	asked := b.begin("/x")
	state := b.value(b.names(stateName)[0])
	if f.ask("GET", "localhost", "/x", "Cookie: "+sessionName+"="+state).reached() {
		t.Error("a state counts as a session")
	}
	thief := f.web()
	thief.cookies = []*http.Cookie{{Name: b.names(stateName)[0], Value: b.value(sessionName), Domain: "localhost", Path: "/"}}
	thief.stateRefused(thief.callback(p.answerOf(thief, asked)))
}

// threat 44: a session is one of this client at this provider.
func TestLoginSessionBound(t *testing.T) {
	p := newProvider(t)
	secret := "secret 0123456789abcdef0123456789abcdef"
	f, _ := p.serveLogin(loginSite{session: secret})
	b := f.web()
	b.logIn()
	asked := b.begin("/x")
	site := loginSite{session: secret}
	f.reload(p.integration(site), site.body(t))
	if !b.isIn() { // the same: a reload ends nothing
		t.Error("a reload ended the session")
	}
	if a := b.callback(p.answerOf(b, asked)); !a.reached() {
		t.Errorf("a reload ended a login under way: %v\n%s", b.trail, a.body)
	}
	b.begin("/x")
	for name, text := range map[string]string{
		"client": strings.Replace(p.integration(site), "client_id "+clientID, "client_id another", 1),
		"issuer": strings.Replace(p.integration(site), "issuer "+p.issuer, "issuer "+p.issuer+"/other\ndiscovery "+p.issuer+"/.well-known/openid-configuration", 1),
	} {
		f.reload(text, site.body(t))
		copied := &webBrowser{t: t, f: f, cookies: slices.Clone(b.cookies)}
		if copied.isIn() {
			t.Errorf("another %s: the session counts", name)
		}
	}
	f.reload(p.integration(site), site.body(t))
	if !b.isIn() {
		t.Error("the session is gone")
	}
}

// threat 50: secrets are changed one after the other; one that is gone means logging
// in again, never an error and never a circle.
func TestSecretRotation(t *testing.T) {
	p := newProvider(t)
	const older, newer = "0123456789abcdef0123456789abcdef", "fedcba9876543210fedcba9876543210"
	with := func(secrets string) (string, string) {
		site := loginSite{session: "secret " + secrets}
		return p.integration(site), site.body(t)
	}
	f, _ := p.serveLogin(loginSite{session: "secret " + older})
	b := f.web()
	b.logIn()
	started := f.web()
	asked := started.begin("/x")
	f.reload(with(newer + " " + older))
	if !b.isIn() {
		t.Error("out though the secret is still there")
	}
	if a := started.callback(p.answerOf(started, asked)); !a.reached() {
		t.Errorf("%v\n%s", started.trail, a.body)
	}
	late := f.web()
	f.reload(with(older))
	asked = late.begin("/x")
	f.reload(with(newer))
	late.stateRefused(late.callback(p.answerOf(late, asked)))
	if b.isIn() {
		t.Error("in though the secret is gone")
	}
	b.logIn()
	late.logIn()
}

// threats 47, 62: somebody with many groups logs in, and the cookies of five logins
// under way, a session and its note stay below 8 KiB.
func TestManyGroups(t *testing.T) {
	p := newProvider(t)
	var groups []string
	for i := range 600 {
		groups = append(groups, fmt.Sprintf("%08x-1111-2222-3333-444444444444", i*7919))
	}
	p.idClaims = func(_ url.Values, claims object) { claims["groups"] = groups }
	f, _ := p.serveLogin(loginSite{gate: "require groups " + groups[599]})
	b := f.web()
	if a := b.open("/x"); !a.reached() || !strings.HasSuffix(a.seen(t).Header.Get("X-Groups"), ","+groups[599]) {
		t.Fatalf("%v\n%.500s", b.trail, a.body)
	}
	for range 6 {
		b.begin("/" + strings.Repeat("x", 250))
		forward(t, time.Second)
	}
	if !b.isIn() {
		t.Error("out")
	}
	if sent := b.cookieLine(&url.URL{Host: "localhost", Path: "/"}, false, true); len(sent) > 8<<10 || len(b.names(stateName)) != 5 {
		t.Errorf("%d bytes of cookies: %v", len(sent), b.names(""))
	}
	// 100 groups fit into cookies, in two parts or one: they shrink and grow.
	for _, n := range []int{60, 10, 80, 599, 1} {
		p.change(func() {
			p.idClaims = func(_ url.Values, claims object) { claims["groups"] = append(groups[:n:n], groups[599]) }
		})
		if a := b.open("/oauth2/login?return_to=/x"); !a.reached() || len(strings.Split(a.seen(t).Header.Get("X-Groups"), ",")) != n+1 {
			t.Errorf("%d groups: %v\n%.500s", n, b.trail, a.body)
		}
		forward(t, time.Minute)
	}
}

// threats 52, 53: a storage that is out of reach is no missing session and no reason
// to log in; what lies in it can be read by nobody.
func TestLoginSessionStored(t *testing.T) {
	p := newProvider(t)
	p.offline = true
	f, disk := p.serveLogin(loginSite{})
	b := f.web()
	b.logIn()
	cookie := b.value(sessionName)
	disk.mu.Lock()
	stored := 0
	for key, value := range disk.values {
		if !strings.HasPrefix(key, "admit/") {
			continue
		}
		stored++
		for _, secret := range append(p.secrets(), "ada@example.com", "ada-1", `"staff"`, cookie) {
			if strings.Contains(string(value), secret) || strings.Contains(key, secret) {
				t.Errorf("%s: %q can be read in the storage", key, secret)
			}
		}
	}
	disk.mu.Unlock()
	if stored < 2 {
		t.Errorf("%d values in the storage", stored)
	}
	forward(t, 11*time.Second) // what is in memory is too old by then
	disk.fail("load", "store", "list", "delete", "lock")
	a, _ := b.request(navigated{method: "GET", target: "/x"})
	if a.StatusCode != 503 || a.Header.Get("Retry-After") == "" || location(a) != "" || !strings.Contains(a.body, "storage_unavailable") || b.value(sessionName) != cookie {
		t.Errorf("%d to %q\n%s", a.StatusCode, location(a), a.body)
	}
	// Nor can anybody log in, who would have to be kept there: a page, and no circle.
	other := f.web()
	other.refused(other.open("/x"), 503, "storage_unavailable")
	disk.fail()
	if !b.isIn() {
		t.Error("out after the outage")
	}
	other.logIn()
}

// A session whose claims no longer name the user, since another claim does by now,
// means logging in again: the new login may bring that claim.
func TestSessionOfNobody(t *testing.T) {
	p := newProvider(t)
	f, _ := p.serveLogin(loginSite{})
	b := f.web()
	b.logIn()
	site := loginSite{options: "identity {\nuser employee\n}"}
	f.reload(p.integration(site), site.body(t))
	if a := b.fetch("GET", "/x"); a.StatusCode != 401 || !strings.Contains(a.body, "session_invalid") {
		t.Errorf("%d %s", a.StatusCode, a.body)
	}
	b.refused(b.open("/x"), 403, "login_refused") // once, and no more
	p.change(func() { p.says(object{"employee": "e-1"}) })
	if a := b.open("/x"); !a.reached() || a.seen(t).Header.Get("X-User") != "e-1" {
		t.Errorf("%v\n%s", b.trail, a.body)
	}
}
