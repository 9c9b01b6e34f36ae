package e2e

import (
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"
)

// TestLoginSizes: somebody with six hundred groups logs in, five logins are under way
// beside, and the cookies of the host stay under 8 KiB all the while.
func TestLoginSizes(t *testing.T) {
	t.Parallel()
	p := startProvider(t, "")
	var groups []string
	for i := range 600 {
		groups = append(groups, fmt.Sprintf("department-%03d-of-a-large-company", i))
	}
	p.account(t, "mia", map[string]any{"email": "mia@example.test", "groups": append(groups, "admins")})
	u := newUpstream(t)
	c := startLogin(t, p, u, party{}, 1, nil)[0]
	who := newPerson(t)
	site, err := url.Parse(c.URL)
	if err != nil {
		t.Fatal(err)
	}
	size := func() (n, states int) {
		for _, cookie := range who.Jar.Cookies(site) {
			n += len(cookie.Name) + len(cookie.Value) + len("=; ")
			if strings.Contains(cookie.Name, ".state.") {
				states++
			}
		}
		return n, states
	}
	begin := func() {
		for i := range 7 { // with the longest targets that a browser keeps, and longer ones
			who.visit(c.URL + "/oauth2/login?" + url.Values{"return_to": {"/x?" + strings.Repeat("y", 200+200*i)}}.Encode())
		}
	}
	begin()
	if n, states := size(); states != 5 || n > 5*600 {
		t.Errorf("%d logins under way take %d bytes", states, n)
	}
	deep := "/admin/x?" + strings.Repeat("z", 1500)
	if got := who.logIn(c.URL+deep, "mia"); got.status != http.StatusOK || got.at.RequestURI() != deep || got.header.Get("Seen-User") != "mia" {
		t.Fatalf("the login ends at %s, %d", got.at.Redacted(), got.status)
	}
	c.sessionOf(t, who)
	who.CheckRedirect = func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse } // the provider knows mia
	begin()
	if n, states := size(); states != 5 || n > 8<<10 {
		t.Errorf("the session and %d logins under way take %d bytes", states, n)
	}
	u.take()
	if got := who.visit(c.URL + "/admin/y"); got.status != http.StatusOK || got.header.Get("Seen-User") != "mia" {
		t.Errorf("with all of them: %d", got.status)
	}
	if cookies := u.only(t).Header.Get("Cookie"); cookies != "" {
		t.Errorf("the upstream gets cookies of %d bytes", len(cookies))
	}
}

// TestLoginOutage: while the provider is down nobody can log in, who is logged in
// stays, and API clients are refused as ever. Nobody is sent in circles.
func TestLoginOutage(t *testing.T) {
	t.Parallel()
	p := startProvider(t, "")
	down := func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusServiceUnavailable) }
	p.fault(providerDiscovery, down)
	c := startLogin(t, p, newUpstream(t), party{}, 1, nil)[0]
	who := newPerson(t)
	for range 2 {
		got := who.visit(c.URL + "/x")
		if got.status != http.StatusServiceUnavailable || got.header.Get("Retry-After") == "" || got.at.Host != strings.TrimPrefix(c.URL, "http://") {
			t.Errorf("a login at a provider that is down: %d at %s", got.status, got.at.Redacted())
		}
	}
	c.wantRefusal(t, request{path: "/x"}, 401, "missing_credential")
	p.fault(providerDiscovery, nil)
	eventually(t, 40*time.Second, "the provider is found", func() bool {
		return strings.HasPrefix(who.visit(c.URL+"/x").at.String(), p.issuer)
	})
	session := c.login(t, who, "ada")

	p.fault("/token", down)
	other := newPerson(t)
	form := other.visit(c.URL + "/x")
	if got := other.post(form, "", url.Values{"username": {"bob"}, "password": {"any"}}); got.status != http.StatusServiceUnavailable || got.header.Get("Retry-After") == "" {
		t.Errorf("a callback while the token endpoint is down: %d", got.status)
	}
	c.wantUser(t, request{cookie: session}, "ada")
	p.fault("/token", nil)
	if got := other.visit(c.URL + "/x?a=1"); got.status != http.StatusOK || got.header.Get("Seen-User") != "bob" || got.at.RequestURI() != "/x?a=1" {
		t.Errorf("bob again: %d at %s", got.status, got.at.Redacted())
	}
}
