package admit

import (
	"net/http"
	"net/url"
	"strings"
	"testing"
)

// serveDomain runs hosts below app.localhost that log in at one of them: a and b
// are protected, open is not, and other is by another integration.
func serveDomain(t *testing.T, p *fakeProvider) *front {
	t.Helper()
	integration := p.integration(loginSite{login: "callback http://login.app.localhost/oauth2/callback", session: "domain app.localhost"})
	app := upstream(t)
	gate := "admit corp {\nlogin\n" + whoHeaders + "}\n" + app
	f := serveHosts(t, integration+homeIntegration(t, "home", ""),
		"http://login.app.localhost:PORT, http://a.app.localhost:PORT, http://b.app.localhost:PORT {\nlog\n"+gate+"\n}\n"+
			"http://open.app.localhost:PORT {\n"+app+"\n}\nhttp://other.app.localhost:PORT {\nadmit home {\nlogin\n}\n"+app+"\n}\n")
	t.Cleanup(func() { p.keptSecret(f) })
	return f
}

// threats 41, 56: who logs in at the one host goes back to hosts that share the
// session and are protected, and to no others.
func TestCentralReturnTargets(t *testing.T) {
	p := newProvider(t)
	f := serveDomain(t, p)
	for target, good := range map[string]bool{
		"http://a.app.localhost/x?y=z":             true,
		"http://b.app.localhost/":                  true,
		"/x":                                       true,
		"http://open.app.localhost/x":              false,
		"http://other.app.localhost/x":             false,
		"http://unknown.app.localhost/x":           false,
		"http://app.localhost/x":                   false,
		"http://a.app.localhost.evil.example/x":    false,
		"http://a.app.localhost@evil.example/x":    false,
		"http://evil.example/a.app.localhost":      false,
		"http://evilapp.localhost/x":               false,
		`http://evil.example\.app.localhost/x`:     false,
		"http://evil.example#.a.app.localhost/x":   false,
		"http://evil.example?.a.app.localhost/x":   false,
		"http://evil.example%2f.a.app.localhost/x": false,
		"//a.app.localhost/x":                      false,
		"javascript://a.app.localhost/%0aalert(1)": false,
		"ftp://a.app.localhost/x":                  false,
		"http://a.app.localhost/oauth2/logout":     false,
		"http://a.app.localhost:1/x":               false,
		"http://a.app.localhost/\r\nSet-Cookie: a": false,
	} {
		b := f.web()
		a := b.once("http://login.app.localhost/oauth2/login?" + url.Values{"return_to": {target}}.Encode())
		u, err := url.Parse(location(a))
		if err != nil || u.Path != "/authorize" {
			t.Fatalf("%s: %d to %q", target, a.StatusCode, location(a))
		}
		a, _ = b.request(navigated{method: "GET", target: "http://login.app.localhost/oauth2/callback?" + p.answerOf(b, u.Query()).Encode(), crossed: true})
		want := "/"
		if good {
			want = target
		}
		if location(a) != want {
			t.Errorf("%s: %d to %q", target, a.StatusCode, location(a))
		}
		if a := b.once("http://login.app.localhost/oauth2/logged-out?" + url.Values{"return_to": {target}}.Encode()); location(a) != want && location(a) != "" && location(a) != "/" {
			t.Errorf("%s: logged out to %q", target, location(a))
		}
	}
	// A host that does not share the session is sent nowhere at all.
	b := f.web()
	if a := b.once("http://localhost/oauth2/login?return_to=/x"); location(a) != "" {
		t.Errorf("another host: %d to %q", a.StatusCode, location(a))
	}
}

// A strict session is there after a login, by way of a page, and not for links of
// other sites.
func TestStrictSession(t *testing.T) {
	for _, mode := range []string{"query", "form_post"} {
		t.Run(mode, func(t *testing.T) { strictSession(t, mode) })
	}
}

func strictSession(t *testing.T, mode string) {
	p := newProvider(t)
	f, _ := p.serveLogin(loginSite{session: "same_site strict", login: "param response_mode " + mode})
	b := f.web()
	b.logIn()
	last := b.trail[len(b.trail)-2]
	if last.url.Path != "/oauth2/callback" || last.status != 200 || last.answer.Header.Get("Referrer-Policy") != "no-referrer" {
		t.Errorf("%v", b.trail)
	}
	for _, c := range b.cookies {
		if c.Name == sessionName && c.SameSite != http.SameSiteStrictMode {
			t.Errorf("cookie %s", c.Raw)
		}
	}
	if strings.Contains(last.answer.body, "code=") {
		t.Errorf("page:\n%s", last.answer.body)
	}
}
