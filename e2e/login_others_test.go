package e2e

import (
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/zitadel/oidc/v3/example/server/storage"
)

// register makes a relying party known, before anybody asks for it.
func (z *zitadel) register(id, secret string, redirects ...string) {
	z.clients[id] = storage.WebClient(id, secret, redirects...)
}

// logIn opens a page that leads to the login page, and logs the example's user in.
func (z *zitadel) logIn(t *testing.T, who *person, to string) sight {
	t.Helper()
	form := who.visit(to)
	if !strings.HasPrefix(form.at.String(), z.URL+"/login/") {
		t.Fatalf("%s leads to %s, %d: %s", to, form.at.Redacted(), form.status, form.body)
	}
	return who.post(form, "/login/username", url.Values{
		"id": {form.at.Query().Get("authRequestID")}, "username": {"test-user@127.0.0.1"}, "password": {"verysecure"},
	})
}

// TestLoginZitadel logs in at a provider written in Go, whose ID tokens name nobody:
// the e-mail address is known at userinfo only. Claims are renewed in the time that
// the session asks for.
func TestLoginZitadel(t *testing.T) {
	t.Parallel()
	z := startZitadel(t, "")
	u := newUpstream(t)
	c := startCaddy(t, u, loginSite, values{
		"Issuer": z.URL, "Scopes": "openid email profile offline_access", "Session": "refresh 2s", "Outer": "userinfo",
		"env.CLIENT_SECRET": partySecret, "env.SESSION_SECRET": sessionSecret,
	})
	c.sent.add(partySecret, sessionSecret)
	z.register("web", partySecret, c.URL+"/oauth2/callback")
	who := newPerson(t)
	if got := z.logIn(t, who, c.URL+"/deep?a=1"); got.status != 200 || got.at.RequestURI() != "/deep?a=1" || got.header.Get("Seen-User") != "id1" {
		t.Fatalf("the login ends at %s, %d: %s", got.at.Redacted(), got.status, got.body)
	}
	if got := u.only(t).Header.Get("X-Email"); got != "test-user@zitadel.ch" {
		t.Errorf("the upstream is told the address %q", got)
	}
	session, before := c.sessionOf(t, who), z.fetched("/oauth/token")
	eventually(t, 10*time.Second, "the session is renewed", func() bool {
		c.wantUser(t, request{cookie: session}, "id1")
		return z.fetched("/oauth/token") > before
	})
	c.wantRefusal(t, request{cookie: session, path: "/admin/x"}, http.StatusForbidden, "rule")
}

// TestLoginGlewlwyd logs in at a provider that shares no line of code with the
// others, and renews a session by refresh tokens whose answers hold no ID token.
func TestLoginGlewlwyd(t *testing.T) {
	t.Parallel()
	g := startGlewlwyd(t, dueAfter)
	c := startCaddy(t, newUpstream(t), loginSite, values{
		"Issuer": g.issuer, "Scopes": "openid", "Session": "", "Outer": "", "env.CLIENT_SECRET": partySecret, "env.SESSION_SECRET": sessionSecret,
	})
	c.sent.add(partySecret, sessionSecret)
	g.register(t, "web", c.URL+"/oauth2/callback")
	who := newPerson(t)
	got := g.logIn(t, who, c.URL+"/admin/deep?a=1&b=%2F", "web")
	user := got.header.Get("Seen-User")
	if got.status != 200 || got.at.RequestURI() != "/admin/deep?a=1&b=%2F" || user == "" {
		t.Fatalf("the login ends at %s, %d: %s", got.at.Redacted(), got.status, got.body)
	}
	session := c.sessionOf(t, who)
	eventually(t, 5*time.Second, "glewlwyd has logged the login", func() bool { return g.granted() == 1 })
	for range 2 {
		overdue(t)
		c.wantUser(t, request{cookie: session, path: "/admin/x"}, user)
	}
	eventually(t, 5*time.Second, "the session was renewed twice", func() bool { return g.granted() == 3 })
}
