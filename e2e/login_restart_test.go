package e2e

import (
	"net/http"
	"strings"
	"testing"
)

// TestLoginRestart: sessions outlive a reload and a restart, those in the browser
// and those in the storage, also when the provider is down; so does a login that is
// under way.
func TestLoginRestart(t *testing.T) {
	t.Parallel()
	for name, web := range map[string]party{"in the browser": {}, "in the storage": {Grants: refreshing}} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			p := startProvider(t, "")
			u := newUpstream(t)
			storage := t.TempDir()
			first := startLogin(t, p, u, web, 1, values{"Storage": storage})[0]
			who := newPerson(t)
			session := first.login(t, who, "ada")
			waiting := newPerson(t)
			form := waiting.visit(first.URL + "/deep?a=1")

			first.reload(t, loginSite, nil)
			first.wantUser(t, request{cookie: session}, "ada")
			if got := waiting.post(form, "", map[string][]string{"username": {"bob"}, "password": {"any"}}); got.status != 200 || got.at.RequestURI() != "/deep?a=1" || got.header.Get("Seen-User") != "bob" {
				t.Errorf("a login over a reload ends at %s, %d", got.at.Redacted(), got.status)
			}
			other := first.sessionOf(t, waiting)

			first.stop(t)
			second := startLogin(t, p, u, web, 1, values{"Storage": storage})[0]
			p.stop()
			second.wantUser(t, request{cookie: session, path: "/admin/x"}, "ada")
			second.wantUser(t, request{cookie: other}, "bob")
			second.wantRefusal(t, request{cookie: other, path: "/admin/x"}, 403, "rule")
		})
	}
}

// TestLoginBroken: an edited, mixed, truncated or foreign session means logging in
// again. It is never an error, and never a loop. threats 44, 47, 48
func TestLoginBroken(t *testing.T) {
	t.Parallel()
	for name, web := range map[string]party{"in the browser": {}, "in the storage": {Grants: refreshing}} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			p := startProvider(t, "")
			c := startLogin(t, p, newUpstream(t), web, 1, nil)[0]
			elsewhere := startLogin(t, p, newUpstream(t), party{ID: "web"}, 1, values{"env.SESSION_SECRET": "another-secret-of-the-tests-0123456789abcdef"})[0]
			p.register(t, web, c.URL, elsewhere.URL)
			ada, bob := c.login(t, newPerson(t), "ada"), c.login(t, newPerson(t), "bob")
			foreign := elsewhere.login(t, newPerson(t), "ada")
			value := func(cookie string) string { _, v, _ := strings.Cut(cookie, "="); return v }
			flip := func(text string, at int) string {
				b := []byte(text)
				if b[at] == 'A' {
					b[at] = 'B'
				} else {
					b[at] = 'A'
				}
				return string(b)
			}
			v, w := value(ada), value(bob)
			for what, bad := range map[string]string{
				"edited":      flip(v, len(v)/2),
				"its end":     flip(v, len(v)-3),
				"truncated":   v[:len(v)-4],
				"mixed":       v[:len(v)/2] + w[len(w)/2:],
				"longer":      v + "AAAA",
				"empty":       "",
				"not base64":  "%%%",
				"of another":  value(foreign),
				"a path":      "../../" + v,
				"very long":   strings.Repeat("A", 7000),
				"as a chunk ": v + "; " + sessionName + ".1=" + w,
			} {
				a := c.get(t, request{cookie: sessionName + "=" + bad})
				if what == "as a chunk " && a.status == 200 && a.header.Get("Seen-User") == "ada" {
					continue // what stands beside a whole session is no part of it
				}
				if a.status != http.StatusUnauthorized || a.header.Get("Seen-User") != "" {
					t.Errorf("%s, to an API client: %d %s", what, a.status, a.problem.Reason)
				}
				if bad == "" || strings.ContainsAny(bad, "%;") {
					continue
				}
				// A browser that has it logs in once, and is there.
				who := newPerson(t)
				u := who.visit(c.URL + "/x").at // the form
				if !strings.HasPrefix(u.String(), p.issuer) {
					t.Fatalf("no form but %s", u.Redacted())
				}
				who.setCookie(c.URL, sessionName, bad)
				if got := who.logIn(c.URL+"/x?a=1", "ada"); got.status != 200 || got.at.RequestURI() != "/x?a=1" || got.header.Get("Seen-User") != "ada" {
					t.Errorf("%s: the login ends at %s, %d", what, got.at.Redacted(), got.status)
				}
			}
			c.wantUser(t, request{cookie: ada}, "ada")
		})
	}
}
