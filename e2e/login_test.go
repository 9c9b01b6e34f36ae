package e2e

import (
	"maps"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"
)

// TestLoginFlows logs in with every way in which a client can prove itself, and in
// which an answer comes back. Beside each stands a login that differs in one thing
// and is refused.
func TestLoginFlows(t *testing.T) {
	t.Parallel()
	p := startProvider(t, "")
	key, public := clientKey(t)
	otherKey, _ := clientKey(t)
	const secret, wrong = "client_secret {env.CLIENT_SECRET}", "client_secret marked-and-wrong-client-secret"
	// Names are short: the parts of a state are looked for in logs.
	flows := []struct {
		name, lines string
		party       party
		outer       string // of the integration, beside login
		status      int    // where the login ends: 200 at the page, else at the callback
	}{
		{name: "basic", lines: secret, status: 200},
		{name: "basic-wrong", lines: wrong, status: 403},
		{name: "post", lines: secret + "\nclient_auth post", party: party{Auth: "client_secret_post"}, status: 200},
		{name: "post-wrong", lines: wrong + "\nclient_auth post", party: party{Auth: "client_secret_post"}, status: 403},
		{name: "none", party: party{Auth: "none"}, status: 200},
		{name: "none-basic", status: 403},
		{name: "key", lines: "client_auth private_key_jwt " + key, party: party{Auth: "private_key_jwt", Keys: public}, status: 200},
		{name: "key-wrong", lines: "client_auth private_key_jwt " + otherKey, party: party{Auth: "private_key_jwt", Keys: public}, status: 403},
		{name: "form", lines: secret + "\nparam response_mode form_post", status: 200},
		{name: "form-wrong", lines: wrong + "\nparam response_mode form_post", status: 403},
		{
			name: "access", lines: secret + "\nsession_token access\nparam resource " + apiAudience + "/?alg=ES256&ttl=600",
			outer: "audience " + apiAudience, status: 200,
		},
		{
			name: "others", lines: secret + "\nsession_token access\nparam resource https://others.test/?alg=ES256&ttl=600",
			outer: "audience " + apiAudience, status: 403,
		},
	}
	var integrations, sites strings.Builder
	for _, f := range flows {
		scopes := "openid email profile groups"
		if f.outer != "" {
			scopes += " read"
		}
		integrations.WriteString("admit " + f.name + " {\nissuer {{.Issuer}}\n" + f.outer + "\nlogin {\nclient_id " + f.name + "\nscopes " + scopes + "\n" + f.lines + "\n}\n}\n")
		sites.WriteString("http://" + f.name + ".localhost:{{.Port}} {\nlog\nadmit " + f.name +
			" {\nlogin\nrequire groups admins\nheader_up X-User {http.auth.user.id}\n}\nreverse_proxy {{.Upstream}}\n}\n")
	}
	u := newUpstream(t)
	c := startCaddy(t, u, "{\n{{.Globals}}\n"+integrations.String()+"}\n"+sites.String(), values{
		"Issuer": p.issuer, "env.CLIENT_SECRET": partySecret,
	})
	p.confide(t, c)
	c.sent.add("marked-and-wrong-client-secret")
	const deep = "/reports/7?year=2026&x=a%20b&x=%2F"
	for _, f := range flows {
		t.Run(f.name, func(t *testing.T) {
			site := "http://" + f.name + ".localhost:" + c.values["Port"]
			f.party.ID = f.name
			p.register(t, f.party, site)
			who := newPerson(t)
			u.take()
			got := who.logIn(site+deep, "ada")
			if strings.HasPrefix(f.name, "form") {
				got = who.submit(got, nil)
			}
			if f.status == http.StatusOK {
				if got.status != 200 || got.at.RequestURI() != deep || got.header.Get("Seen-User") != "ada" {
					t.Errorf("the login ends at %s, %d: %s", got.at.Redacted(), got.status, got.body)
				}
				if seen := u.only(t); seen.URI != deep || strings.Contains(seen.Header.Get("Cookie"), "admit") {
					t.Errorf("the upstream got %s and cookies %q", seen.URI, seen.Header.Get("Cookie"))
				}
				return
			}
			if got.status != f.status || got.at.Path != "/oauth2/callback" || len(u.take()) != 0 {
				t.Errorf("the login ends at %s, %d: %s", got.at.Redacted(), got.status, got.body)
			}
			if again := who.visit(site + deep); !strings.HasPrefix(again.at.Path, "/oauth2/") && !strings.HasPrefix(again.at.String(), p.issuer) {
				t.Errorf("after a refused login: %d at %s", again.status, again.at.Redacted())
			}
		})
	}
}

// TestLoginAPI: who is no browser is never redirected.
func TestLoginAPI(t *testing.T) {
	t.Parallel()
	p := startProvider(t, "")
	u := newUpstream(t)
	c := startLogin(t, p, u, party{}, 1, nil)[0]
	html := http.Header{"Accept": {"text/html"}}
	with := func(name, value string) http.Header {
		h := html.Clone()
		h.Set(name, value)
		return h
	}
	// These headers are no secrets, as those of c.get are.
	get := func(r request) answer {
		req, err := http.NewRequest(r.method, c.URL+"/x", nil)
		if err != nil {
			t.Fatal(err)
		}
		maps.Copy(req.Header, r.header)
		resp, err := c.client.Do(req)
		if err != nil {
			t.Fatal(err)
		}
		a, err := c.read(resp)
		if err != nil {
			t.Fatal(err)
		}
		return a
	}
	if a := get(request{header: html}); a.status != http.StatusFound {
		t.Errorf("a browser that says little of itself: %d", a.status)
	}
	for name, r := range map[string]request{
		"no header":  {},
		"post":       {method: "POST", header: html},
		"HEAD":       {method: "HEAD", header: html},
		"fetch":      {header: with("Sec-Fetch-Mode", "cors")},
		"image":      {header: http.Header{"Sec-Fetch-Mode": {"no-cors"}, "Sec-Fetch-Dest": {"image"}, "Accept": {"text/html"}}},
		"frame":      {header: http.Header{"Sec-Fetch-Mode": {"navigate"}, "Sec-Fetch-Dest": {"iframe"}, "Accept": {"text/html"}}},
		"prefetch":   {header: with("Sec-Purpose", "prefetch")},
		"old script": {header: with("X-Requested-With", "XMLHttpRequest")},
		"socket":     {header: http.Header{"Accept": {"text/html"}, "Connection": {"Upgrade"}, "Upgrade": {"websocket"}}},
		"preflight":  {method: "OPTIONS", header: http.Header{"Origin": {"https://app.test"}, "Access-Control-Request-Method": {"GET"}}},
	} {
		if a := get(r); a.status != http.StatusUnauthorized || a.header.Get("Location") != "" || len(a.header.Values("Set-Cookie")) != 0 {
			t.Errorf("%s: %d to %q with %d cookies", name, a.status, a.header.Get("Location"), len(a.header.Values("Set-Cookie")))
		}
	}
	if n := p.fetched("/token"); n != 0 || len(u.take()) != 0 {
		t.Errorf("%d token requests", n)
	}
}

// TestLoginRefused: who says no at the provider comes back to a page that says so,
// without the provider's words, and can try again.
func TestLoginRefused(t *testing.T) {
	t.Parallel()
	p := startProvider(t, "")
	c := startLogin(t, p, newUpstream(t), party{}, 1, nil)[0]
	who := newPerson(t)
	form := who.visit(c.URL + "/deep?a=1")
	got := who.post(form, "", url.Values{"deny": {"1"}})
	if got.status != http.StatusForbidden || got.at.Path != "/oauth2/callback" || strings.Contains(got.body, "script") || strings.Contains(got.body, "words of") {
		t.Errorf("the end is at %s, %d: %s", got.at.Redacted(), got.status, got.body)
	}
	eventually(t, 5*time.Second, "the log has the provider's code", func() bool { return strings.Contains(c.logs.String(), `"access_denied"`) })
	if strings.Contains(c.logs.String(), "words of") {
		t.Error("the log holds the provider's words")
	}
	if got := who.logIn(c.URL+"/deep?a=1", "ada"); got.status != 200 || got.at.RequestURI() != "/deep?a=1" {
		t.Errorf("after that the login ends at %s, %d", got.at.Redacted(), got.status)
	}
}

// TestLoginState: an answer of the provider counts once, and in the browser only
// that asked for it.
func TestLoginState(t *testing.T) {
	t.Parallel()
	p := startProvider(t, "")
	u := newUpstream(t)
	c := startLogin(t, p, u, party{}, 1, nil)[0]
	mallory, ada := newPerson(t), newPerson(t)
	form := mallory.visit(c.URL + "/")
	mallory.CheckRedirect = func(r *http.Request, _ []*http.Request) error {
		if r.URL.Path == "/oauth2/callback" {
			return http.ErrUseLastResponse
		}
		return nil
	}
	answer := mallory.post(form, "", url.Values{"username": {"mallory"}, "password": {"any"}}).header.Get("Location")
	if !strings.Contains(answer, "code=") {
		t.Fatal("the provider gave no code")
	}
	u.take()
	for _, to := range []string{answer, strings.Replace(answer, "state=corp.", "state=corp.x", 1), c.URL + "/oauth2/callback", c.URL + "/oauth2/callback?code=a", answer + "&state=x"} {
		if got := ada.visit(to); got.status != http.StatusBadRequest || got.at.Path != "/oauth2/callback" {
			t.Errorf("an answer for somebody else: %d at %s", got.status, got.at.Redacted())
		}
	}
	c.login(t, ada, "ada")
	// In its own browser it counts; once more it leads to the start page, since there
	// is a session.
	for range 2 {
		if got := mallory.visit(answer); got.status != http.StatusOK || got.at.Path != "/" || got.header.Get("Seen-User") != "mallory" {
			t.Errorf("the answer in its own browser: %d at %s", got.status, got.at.Redacted())
		}
	}
	if n := p.counts(t)["authorization_code success"]; n != 2 {
		t.Errorf("%d codes were redeemed, want mallory's and ada's", n)
	}
	if got := ada.visit(c.URL + "/"); got.header.Get("Seen-User") != "ada" {
		t.Errorf("ada is %q", got.header.Get("Seen-User"))
	}
}
