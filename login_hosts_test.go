package admit

import (
	"fmt"
	"net/url"
	"slices"
	"strings"
	"testing"
)

// serveHosts runs sites of hosts below app.localhost, with a storage of its own.
func serveHosts(t *testing.T, global, sites string) *front {
	t.Helper()
	forgetGuesses(t)
	t.Cleanup(func() { testDisks.Delete(t.Name()) })
	return serveFront(t, "storage admit_test "+t.Name()+"\n"+global, sites)
}

// hosts says which hosts of Caddy's a navigation went over.
func (b *webBrowser) hosts() (names []string) {
	for _, hop := range b.trail {
		if name := hop.url.Hostname(); name != "127.0.0.1" && (len(names) == 0 || names[len(names)-1] != name) {
			names = append(names, name)
		}
	}
	return names
}

// The host where all log in may be spelled in any way; where a proxy changes its name
// there is a page and a line in the log, and no circle.
func TestCentralLoginSpelled(t *testing.T) {
	p := newProvider(t)
	gate := "admit corp {\nlogin\n}\n" + upstream(t)
	sites := "http://auth.app.localhost:PORT {\n" + gate + "\n}\nhttp://a.app.localhost:PORT {\n" + gate + "\n}\n"
	corp := p.integration(loginSite{login: "callback http://AUTH.app.localhost:80/oauth2/callback", session: "domain app.localhost"})
	f := serveHosts(t, corp, sites)
	b := f.web()
	if a := b.open("http://a.app.localhost/x"); !a.reached() || p.last("/authorize").form.Get("redirect_uri") != "http://auth.app.localhost/oauth2/callback" {
		t.Errorf("%v\n%s", b.trail, a.body)
	}
	stopCaddy(t)
	f = serveHosts(t, corp, strings.Replace(sites, "{\nlogin", "{\nlogin\npublic_url http://inside.app.localhost", 1))
	b = f.web()
	b.refused(b.open("http://a.app.localhost/x"), 500, "Nobody can sign in here")
	if len(b.trail) != 3 || len(p.logins) != 1 {
		t.Errorf("%v", b.trail)
	}
	said := slices.DeleteFunc(f.entries(""), func(line map[string]any) bool { return line["level"] != "error" })
	if len(said) != 1 || !strings.Contains(fmt.Sprint(said[0]["msg"]), "public_url") || said[0]["arrived"] != "http://inside.app.localhost" {
		t.Errorf("the log says %v", said)
	}
}

// All hosts log in at one: one redirect URI is registered, one session counts on all
// of them, each has rules of its own, and nobody is led out of them.
func TestCentralLogin(t *testing.T) {
	p := newProvider(t)
	p.idClaims = func(_ url.Values, claims object) { claims["groups"] = []string{"staff"} }
	const central = "http://auth.app.localhost/oauth2/callback"
	gate := func(rule string) string { return "admit corp {\nlogin\nbypass /bye\n" + rule + "\n}\n" + upstream(t) }
	f := serveHosts(t, p.integration(loginSite{login: "callback " + central, session: "domain app.localhost"}),
		"http://auth.app.localhost:PORT {\n"+gate("")+"\n}\n"+
			"http://a.app.localhost:PORT {\n"+gate("require groups staff")+"\n}\n"+
			"http://b.app.localhost:PORT {\n"+gate("require groups admins")+"\n}\n"+
			"http://open.app.localhost:PORT {\n"+upstream(t)+"\n}\n")
	b := f.web()
	a := b.open("http://a.app.localhost/deep?x=1&y=%2F")
	if got := strings.Join(b.hosts(), " "); !a.reached() || a.seen(t).URI != "/deep?x=1&y=%2F" || got != "a.app.localhost auth.app.localhost a.app.localhost" {
		t.Fatalf("over %s: %v\n%s", got, b.trail, a.body)
	}
	if got := p.last("/authorize").form.Get("redirect_uri"); got != central {
		t.Errorf("redirect URI %s", got)
	}
	if a := b.open("http://b.app.localhost/"); a.StatusCode != 403 || len(b.trail) != 1 {
		t.Errorf("rules of another host: %d by %v", a.StatusCode, b.trail)
	}

	// threat 56: only hosts where a gate takes the same sessions are returned to.
	for target, want := range map[string]string{
		"http://a.app.localhost/x?y=z":                  "http://a.app.localhost/x?y=z",
		"http://b.app.localhost/":                       "http://b.app.localhost/",
		"http://open.app.localhost/":                    "/",
		"http://nobody.app.localhost/":                  "/",
		"https://a.app.localhost/":                      "/",
		"http://a.app.localhost:8080/":                  "/",
		"http://evil.example/":                          "/",
		"http://a.app.localhost@evil.example/":          "/",
		"http://a.app.localhost/oauth2/logout":          "/",
		"http://a.app.localhost//evil.example":          "/",
		"//a.app.localhost/":                            "/",
		"http://a.app.localhost.evil.example/":          "/",
		`http://a.app.localhost\@evil.example/`:         "/",
		"http://a.app.localhost/\r\nLocation: //evil/x": "/",
	} {
		b := f.web()
		b.open("http://auth.app.localhost/oauth2/login?" + url.Values{"return_to": {target}}.Encode())
		last := b.trail[len(b.trail)-1].url
		base := &url.URL{Scheme: "http", Host: "auth.app.localhost", Path: "/"}
		if wanted, err := base.Parse(want); err != nil || last.String() != wanted.String() {
			t.Errorf("%q: came back to %s", target, last)
		}
	}

	// Logging out on one host ends the session on all, and comes back from the
	// provider by way of the host that is registered there.
	b.open("http://a.app.localhost/")
	if a := b.submit("http://a.app.localhost/oauth2/logout", url.Values{"return_to": {"/bye"}}); !a.reached() || b.at.String() != "http://a.app.localhost/bye" {
		t.Errorf("logged out to %v: %v", b.at, b.trail)
	}
	ended := p.last("/end-session").form
	if got := ended.Get("post_logout_redirect_uri"); got != "http://auth.app.localhost/oauth2/logged-out" {
		t.Errorf("post-logout redirect URI %q", got)
	}
	went := false
	for _, hop := range b.trail {
		went = went || hop.url.Host == "auth.app.localhost" && hop.url.Path == "/oauth2/logged-out"
	}
	if !went {
		t.Errorf("not by way of the central host: %v", b.trail)
	}
	for _, host := range []string{"a", "b", "auth"} {
		if a := b.once("http://" + host + ".app.localhost/"); a.StatusCode != 302 {
			t.Errorf("%s after logging out: %d", host, a.StatusCode)
		}
	}
}

// Somebody who logs out on one host can be led to another one that shares the session,
// by way of the host that is registered at the provider.
func TestCentralLogoutElsewhere(t *testing.T) {
	p := newProvider(t)
	gate := "admit corp {\nlogin\nbypass /bye\n}\n" + upstream(t)
	f := serveHosts(t, p.integration(loginSite{login: "callback http://auth.app.localhost/oauth2/callback", session: "domain app.localhost"}),
		"http://auth.app.localhost:PORT {\n"+gate+"\n}\nhttp://a.app.localhost:PORT {\n"+gate+"\n}\nhttp://b.app.localhost:PORT {\n"+gate+"\n}\n")
	for target, want := range map[string]string{
		"http://b.app.localhost/bye":       "http://b.app.localhost/bye",
		"/bye":                             "http://a.app.localhost/bye",
		"http://nobody.app.localhost/bye":  "http://a.app.localhost/", // threat 76
		"http://b.app.localhost.evil/bye":  "http://a.app.localhost/",
		"http://a.app.localhosthttp://b.x": "http://a.app.localhost/",
	} {
		b := f.web()
		b.open("http://a.app.localhost/x")
		b.submit("http://a.app.localhost/oauth2/logout", url.Values{"return_to": {target}})
		if b.at.String() != want {
			t.Errorf("logged out for %s to %v: %v", target, b.at, b.trail)
		}
	}
}

// Behind a balancer that ends TLS, the redirect URI is what the browser knows: by
// public_url, or by the headers of a proxy that is trusted, and of no other.
func TestLoginBehindBalancer(t *testing.T) {
	const forwarded = "X-Forwarded-Proto: https"
	trusted := "servers {\ntrusted_proxies static 127.0.0.1/32\n}\n"
	for _, tc := range []struct {
		name, global, gate string
		headers            []string
		want               string // the redirect URI, "" for a page that asks for https
	}{
		{"nothing said", trusted, "", nil, ""},
		{"trusted proxy", trusted, "", []string{forwarded}, "https://a.example/oauth2/callback"},
		{"trusted proxy without TLS", trusted, "", []string{"X-Forwarded-Proto: http"}, ""},
		{"any client", "", "", []string{forwarded}, ""},
		{"public_url", "", "public_url https://app.example.com:8443", nil, "https://app.example.com:8443/oauth2/callback"},
		{"public_url, any client", "", "public_url https://app.example.com", []string{"X-Forwarded-Host: evil.example", forwarded}, "https://app.example.com/oauth2/callback"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			p := newProvider(t)
			site := loginSite{gate: tc.gate}
			f := serveHosts(t, tc.global+p.integration(site), "http://:PORT {\n"+site.body(t)+"\n}")
			headers := append(append([]string{}, navigation...), tc.headers...)
			a := f.get("/x", headers...)
			if tc.want == "" {
				if a.StatusCode != 401 || !strings.Contains(a.body, "https") {
					t.Errorf("got %d:\n%s", a.StatusCode, a.body)
				}
				return
			}
			a = f.get(location(a), headers...)
			u, err := url.Parse(location(a))
			if err != nil || u.Query().Get("redirect_uri") != tc.want {
				t.Errorf("%d to %q", a.StatusCode, location(a))
			}
		})
	}
}
