package admit

import (
	"net"
	"net/url"
	"slices"
	"strings"
	"testing"
	"time"
)

// threats 45, 72: who logged in at a provider and is revoked is out at once, with a
// session in a cookie as with one that the provider renews, whose tokens are
// forgotten. Nobody else is, and who logs in again is in.
func TestRevokeLogin(t *testing.T) {
	for _, offline := range []bool{false, true} {
		p := newProvider(t)
		p.offline = offline
		f, d, admin := serveAdmin(t, p.integration(loginSite{}), loginSite{}.body(t))
		b := f.web()
		user := b.logIn().Header.Get("X-User")
		copied := "Cookie: " + sessionName + "=" + b.value(sessionName)
		inside := func() bool { return f.ask("GET", "localhost", "/x", copied).reached() }
		forward(t, time.Minute)
		stored := strings.Contains(command(t, admin, "sessions", "corp", user), " session ")
		command(t, admin, "revoke", "corp", user+"x")
		if stored != offline || !inside() {
			t.Fatalf("offline %v: stored %v, in %v", offline, stored, inside())
		}
		said := command(t, admin, "revoke", "corp", user)
		if strings.Contains(said, "1 session,") != offline || strings.Contains(said, "Access tokens") {
			t.Errorf("offline %v: %s", offline, said)
		}
		forward(t, 59*time.Minute)
		if asked := p.count("/token"); inside() || b.isIn() || p.count("/token") != asked {
			t.Errorf("offline %v: in, or the provider was asked anew", offline)
		}
		if keys, _ := d.List(t.Context(), "admit/sessions", false); len(keys) != 0 {
			t.Errorf("offline %v: %d sessions are left", offline, len(keys))
		}
		if b.logIn(); !b.isIn() || inside() {
			t.Errorf("offline %v: not the new session alone counts", offline)
		}
		stopCaddy(t)
	}
}

// The URLs of the line at load are those with which browsers are sent to the
// provider.
func TestRegisteredURLs(t *testing.T) {
	p := newProvider(t)
	for name, tc := range map[string]loginSite{
		"plain":            {},
		"endpoints":        {gate: "endpoints /_auth"},
		"path":             {login: "callback /sign-in/done"},
		"path among them":  {login: "callback /oauth2/callback/corp"},
		"path, endpoints":  {login: "callback /sign-in/done", gate: "endpoints /_auth"},
		"public_url":       {gate: "public_url http://app.localhost:81"},
		"one host":         {login: "callback http://app.localhost:81/in/callback", gate: "public_url http://app.localhost:81\nendpoints /in", session: "domain localhost", options: "insecure_http"},
		"one host of many": {login: "callback http://app.localhost:81/in/callback/corp", gate: "public_url http://app.localhost:81\nendpoints /in", session: "domain localhost", options: "insecure_http"},
		"one host, a path": {login: "callback http://app.localhost:81/done", gate: "public_url http://app.localhost:81", session: "domain localhost", options: "insecure_http"},
	} {
		t.Run(name, func(t *testing.T) {
			f, _ := serveHome(t, p.integration(tc), tc.body(t))
			_, port, _ := net.SplitHostPort(f.addr)
			prefix := "/oauth2"
			if i := strings.Index(tc.gate, "endpoints "); i >= 0 {
				prefix = strings.TrimPrefix(tc.gate[i:], "endpoints ")
			}
			a := f.web().once("http://localhost:" + port + prefix + "/login?return_to=/x")
			u, err := url.Parse(location(a))
			if err != nil || !u.Query().Has("redirect_uri") {
				t.Fatalf("%d to %q\n%s", a.StatusCode, location(a), a.body)
			}
			entries := f.entries("URLs to register at the provider")
			if len(entries) != 1 {
				t.Fatalf("%d entries", len(entries))
			}
			said := entries[0]["register"].([]any)[0].(map[string]any)
			if got := u.Query().Get("redirect_uri"); !slices.Contains(said["redirect"].([]any), any(got)) {
				t.Errorf("redirect_uri %s, told %v", got, said)
			}
		})
	}
}
