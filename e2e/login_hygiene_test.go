package e2e

import (
	"bytes"
	"fmt"
	"io"
	"maps"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"testing"
)

// TestLoginHygiene does what can be done with a login, rightly and wrongly, with
// every log level on. No code, state, verifier, token, secret or cookie may come up
// in a log, a page or the configuration that the admin endpoint shows; the end of the
// test looks for them. (The other tests of logins do so in logs, too.)
func TestLoginHygiene(t *testing.T) {
	t.Parallel()
	p := startProvider(t, "")
	c := startLogin(t, p, newUpstream(t), party{Grants: refreshing, TTL: int(dueAfter.Seconds())}, 1, nil)[0]
	who := newPerson(t)
	callbacks := make(map[string]bool)
	who.Transport = &pagesOf{who.Transport, c, callbacks}
	session := c.login(t, who, "ada")
	c.wantUser(t, request{cookie: session, path: "/x"}, "ada")
	if a := c.get(t, request{cookie: session, path: "/oauth2/userinfo"}); a.status != 200 || !strings.Contains(a.body, "ada") {
		t.Errorf("userinfo: %d %s", a.status, a.body)
	}
	for _, callback := range slices.Collect(maps.Keys(callbacks)) { // once more, edited, doubled, and in a browser that did not ask
		for _, to := range []string{callback, callback + "x", callback + "&" + strings.SplitN(callback, "?", 2)[1]} {
			who.visit(to)
			stranger := newPerson(t)
			stranger.Transport = &pagesOf{stranger.Transport, c, callbacks}
			stranger.visit(to)
		}
	}

	// Answers of the provider that cannot be used.
	for _, fault := range []http.HandlerFunc{
		func(w http.ResponseWriter, r *http.Request) { http.Error(w, "down: "+posted(r), http.StatusBadGateway) },
		func(w http.ResponseWriter, r *http.Request) {
			w.Header().Set("Content-Type", "application/json")
			w.WriteHeader(http.StatusBadRequest)
			_, _ = fmt.Fprintf(w, `{"error": "invalid_grant", "error_description": %q}`, posted(r))
		},
		func(w http.ResponseWriter, r *http.Request) {
			w.Header().Set("Content-Type", "application/json")
			_, _ = fmt.Fprint(w, `{"access_token": "marked-access-token", "token_type": "bearer", "expires_in": 5, "id_token": "e30.marked-id-token-payload.marked-signature"}`)
		},
	} {
		other := newPerson(t)
		other.Transport = &pagesOf{other.Transport, c, callbacks}
		form := other.visit(c.URL + "/x")
		p.fault("/token", fault)
		got := other.post(form, "", url.Values{"username": {"bob"}, "password": {"any"}})
		if got.status != 403 && got.status != 503 || got.at.Path != "/oauth2/callback" {
			t.Errorf("the login ends at %s, %d", got.at.Redacted(), got.status)
		}
		p.fault("/token", nil)
	}
	c.sent.add("marked-access-token", "marked-id-token-payload", "marked-signature")

	overdue(t)
	c.wantUser(t, request{cookie: session, path: "/x"}, "ada") // renewed
	p.account(t, "ada", nil)
	overdue(t)
	c.wantRefusal(t, request{cookie: session, path: "/x"}, 401, "session_expired", "session_invalid", "revoked")
	who.visit(c.URL + "/oauth2/logout")

	for _, path := range []string{"/config/", "/config/apps/admit"} {
		resp, err := http.Get("http://" + c.admin + path)
		if err != nil {
			t.Fatal(err)
		}
		config, _ := io.ReadAll(resp.Body)
		_ = resp.Body.Close()
		if !strings.Contains(string(config), "{env.CLIENT_SECRET}") || !strings.Contains(string(config), "{env.SESSION_SECRET}") {
			t.Errorf("%s does not show the placeholders: %s", path, config)
		}
		_, _ = c.answers.Write(config)
	}
	if n := len(c.logs.entries("http.handlers.admit")); n < 10 {
		t.Errorf("only %d log entries of the gate: there was little to look through", n)
	}
}

// posted is what a provider could repeat of a token request.
func posted(r *http.Request) string {
	body, _ := io.ReadAll(r.Body)
	return string(body) + r.Header.Get("Authorization")
}

// pagesOf keeps the pages of a site, but not their headers: a redirect to the
// provider has the state, and a login sets cookies. It remembers the callbacks.
type pagesOf struct {
	http.RoundTripper
	*caddy
	callbacks map[string]bool
}

func (p *pagesOf) RoundTrip(r *http.Request) (*http.Response, error) {
	resp, err := p.RoundTripper.RoundTrip(r)
	if err != nil || !strings.HasPrefix(r.URL.String(), p.URL) {
		return resp, err
	}
	if r.URL.Path == "/oauth2/callback" {
		p.callbacks[r.URL.String()] = true
	}
	body, err := io.ReadAll(resp.Body)
	_ = resp.Body.Close()
	_, _ = p.answers.Write(body)
	resp.Body = io.NopCloser(bytes.NewReader(body))
	return resp, err
}
