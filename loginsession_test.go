package admit

import (
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/caddyserver/caddy/v2"

	"github.com/caddy-admit/admit/oauth"
)

// running returns an integration of the configuration that runs.
func running(t *testing.T, name string) *integration {
	t.Helper()
	app, err := caddy.ActiveContext().App("admit")
	if err != nil {
		t.Fatal(err)
	}
	in := app.(*App).ready[name]
	if in == nil {
		t.Fatalf("no integration %s", name)
	}
	return in
}

// loggedIn makes a session of what a provider has granted, and returns the line with
// its cookies.
func loggedIn(t *testing.T, in *integration, g *oauth.Grant) string {
	t.Helper()
	session, err := in.sessionOf(g)
	if err != nil {
		t.Fatal(err)
	}
	w, r := httptest.NewRecorder(), httptest.NewRequest(http.MethodGet, "https://app.example.com/", nil)
	if err := in.sessions.Start(r.Context(), w, r, session); err != nil {
		t.Fatal(err)
	}
	var pairs []string
	for _, c := range w.Result().Cookies() {
		if c.MaxAge >= 0 {
			pairs = append(pairs, c.Name+"="+c.Value)
		}
	}
	return "Cookie: " + strings.Join(pairs, "; ")
}

// Sessions of a provider count as its claims say, and nothing that a client may
// send itself does: an ID token is no credential of an API. They belong to one
// client of one provider (threat 44).
func TestProviderSession(t *testing.T) {
	testDisks.Delete(t.Name())
	key := newKey("k1", "one")
	is, other := newIssuer(t, key.jwk(nil)), newIssuer(t)
	config := func(issuer, client, more string) string {
		return "storage admit_test " + t.Name() + "\nadmit corp {\nissuer " + issuer + "\nlogin {\nclient_id " + client + "\n}\n" + more + "\n}"
	}
	const gate = "admit {\nlogin\nrequire /staff/* groups staff\nheader_up X-User {http.auth.user.id}\n}\nrespond \"{http.request.header.X-User} {http.auth.user.groups}\""
	s := serve(t, config(is.URL, "my-app", ""), gate)
	ada := loggedIn(t, running(t, "corp"), &oauth.Grant{Claims: []byte(`{"sub": "ada", "groups": ["staff"]}`)})
	bob := loggedIn(t, running(t, "corp"), &oauth.Grant{Claims: []byte(`{"sub": "bob"}`)})
	for _, tc := range []struct {
		name, path, header string
		status             int
		want               string
	}{
		{"no session", "/", "X: y", 401, "missing_credential"},
		{"session", "/", ada, 200, "ada staff"},
		{"another", "/", bob, 200, "bob "},
		{"rule", "/staff/x", ada, 200, "ada"},
		{"rule that refuses", "/staff/x", bob, 403, "rule"},
		{"cut", "/", ada[:len(ada)-1], 401, "session_invalid"},
		{"ID token of the client", "/", key.bearer(t, is.URL, map[string]any{"aud": "my-app"}), 401, "missing_credential"},
	} {
		a := s.get(tc.path, tc.header)
		if a.StatusCode != tc.status || !strings.Contains(a.body, tc.want) {
			t.Errorf("%s: got %d %q, want %d %q", tc.name, a.StatusCode, a.body, tc.status, tc.want)
		}
	}
	for _, tc := range []struct {
		name, config string
		status       int
	}{
		{"reload", config(is.URL, "my-app", "leeway 5s"), 200},
		{"another client", config(is.URL, "other-app", ""), 401},
		{"another issuer", config(other.URL, "my-app", ""), 401},
		{"the user is another claim", config(is.URL, "my-app", "identity {\nuser email\n}"), 401},
		{"mapped", config(is.URL, "my-app", "identity {\nmap staff people\n}"), 200},
	} {
		s.load(tc.config, gate)
		if a := s.get("/", ada); a.StatusCode != tc.status {
			t.Errorf("%s: got %d %q, want %d", tc.name, a.StatusCode, a.body, tc.status)
		}
	}
	s.load(config(is.URL, "my-app", "audience my-app"), gate)
	if a := s.get("/", key.bearer(t, is.URL, map[string]any{"aud": "my-app"})); a.StatusCode != 200 || a.body != "ada " {
		t.Errorf("token for a named audience: got %d %q", a.StatusCode, a.body)
	}
	s.get("/", key.bearer(t, is.URL, map[string]any{"aud": "other-app"})).want(t, 401, "wrong_audience")
}

// A session holds what it needs to be renewed, and nothing where it will not be.
func TestSessionOf(t *testing.T) {
	due := time.Now().Add(time.Hour)
	grant := func() *oauth.Grant {
		return &oauth.Grant{
			Claims: []byte(`{"sub": "1", "email": "ada@example.com", "email_verified": true}`), Subject: "1", SID: "s", Due: due,
			Tokens: oauth.Tokens{Access: "access", Refresh: "refresh", ID: "id", Type: "bearer"},
		}
	}
	integration := func(more string) *integration {
		s := serve(t, "admit corp {\nissuer https://login.example.com\nidentity {\nuser email\n}\nlogin {\nclient_id my-app\n}\n"+more+"\n}", "admit")
		t.Cleanup(func() { _ = s.stop() })
		return running(t, "corp")
	}
	session, err := integration("").sessionOf(grant())
	if err != nil {
		t.Fatal(err)
	}
	if session.User != "ada@example.com" || session.Subject != "1" || session.SID != "s" || session.IDToken != "id" ||
		session.Tokens.Refresh != "refresh" || session.Tokens.Access != "access" || !session.Due.Equal(due) {
		t.Errorf("got %+v", session)
	}
	never := grant()
	never.Due = time.Time{}
	if session, err = integration("").sessionOf(never); err != nil || session.Tokens != (oauth.Tokens{}) || session.IDToken != "id" {
		t.Errorf("never due: %+v, %v", session, err)
	}
	if session, err = integration("session {\nrefresh off\n}").sessionOf(grant()); err != nil || session.Tokens != (oauth.Tokens{}) || !session.Due.IsZero() || session.IDToken != "id" {
		t.Errorf("refresh off: %+v, %v", session, err)
	}
	nobody := grant()
	nobody.Claims = []byte(`{"sub": "1", "email": "ada@example.com", "email_verified": false}`)
	if session, err = integration("").sessionOf(nobody); !errors.Is(err, errNoIdentity) || session != nil {
		t.Errorf("no user: %+v, %v", session, err)
	}
}

// The provider is asked anew when a session is due: claims are those of the last
// answer, and a refusal, or an answer that names nobody, ends the session (threat 70,
// 71).
func TestProviderSessionRenewed(t *testing.T) {
	var answer atomic.Value
	var asked atomic.Int32
	api := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		asked.Add(1)
		if text := answer.Load().(string); text != "" && r.Header.Get("Authorization") == "Bearer opaque" {
			w.Header().Set("Content-Type", "application/json")
			_, _ = io.WriteString(w, text)
			return
		}
		w.WriteHeader(http.StatusUnauthorized)
	}))
	t.Cleanup(api.Close)
	testDisks.Delete(t.Name())
	s := serve(t, "storage admit_test "+t.Name()+"\nadmit forge {\nidentity {\nuser login\n}\nsession {\nrefresh 1h\n}\nlogin {\nclient_id my-app\nscopes user\n"+
		"authorization_url "+api.URL+"/a\ntoken_url "+api.URL+"/t\nuserinfo_url "+api.URL+"/user\n}\n}",
		"admit {\nlogin\n}\nrespond \"{http.auth.user.id} {http.auth.user.groups}\"")
	begin := func() string {
		return loggedIn(t, running(t, "forge"), &oauth.Grant{
			Claims: []byte(`{"sub": "7", "login": "ada", "groups": ["old"]}`), Subject: "7",
			Tokens: oauth.Tokens{Access: "opaque", Type: "bearer"}, Due: now().Add(time.Hour),
		})
	}
	ada := begin()
	for _, step := range []struct {
		name   string
		later  time.Duration
		answer string
		status int
		want   string
		asked  int32
	}{
		{"not due", 59 * time.Minute, "", 200, "ada old", 0},
		{"due", 2 * time.Minute, `{"id": 7, "login": "ada", "groups": ["new"]}`, 200, "ada new", 1},
		{"not due again", 58 * time.Minute, "", 200, "ada new", 1},
		{"another name", 3 * time.Minute, `{"id": 7, "login": "lovelace"}`, 200, "lovelace ", 2},
		{"refused", 61 * time.Minute, "", 401, "revoked", 3},
		{"over", 0, `{"id": 7, "login": "ada"}`, 401, "revoked", 3},
	} {
		forward(t, step.later)
		answer.Store(step.answer)
		a := s.get("/", ada)
		if a.StatusCode != step.status || !strings.Contains(a.body, step.want) || asked.Load() != step.asked {
			t.Errorf("%s: got %d %q, asked %d times; want %d %q, %d", step.name, a.StatusCode, a.body, asked.Load(), step.status, step.want, step.asked)
		}
	}
	for name, text := range map[string]string{
		"nobody": `{"id": 7}`, "somebody else": `{"id": 8, "login": "ada"}`,
	} {
		ada = begin()
		forward(t, 61*time.Minute)
		answer.Store(text)
		if a := s.get("/", ada); a.StatusCode != 401 || !strings.Contains(a.body, "revoked") {
			t.Errorf("%s: got %d %q", name, a.StatusCode, a.body)
		}
	}
}

// What is opened: keys, discovery and the relying party share what they fetch, and
// there is nothing that nobody needs.
func TestLoginOpens(t *testing.T) {
	const urls = "authorization_url https://a.example/a\ntoken_url https://a.example/t\nuserinfo_url https://a.example/u\n"
	for _, tc := range []struct {
		name, integration                 string
		verifier, openID, discovery, keys bool
	}{
		{"by discovery", "issuer https://a.example\nlogin {\nclient_id app\n}", false, true, true, true},
		{"with tokens", "issuer https://a.example\naudience api\nlogin {\nclient_id app\n}", true, true, true, true},
		{"access token", "issuer https://a.example\naudience api\nlogin {\nclient_id app\nsession_token access\n}", true, true, true, true},
		{"secret", "issuer https://a.example\nsecret " + testSecret + "\nlogin {\nclient_id app\n}", false, true, true, false},
		{"key set", "issuer https://a.example\njwks https://a.example/keys\nlogin {\nclient_id app\n}", false, true, true, true},
		{"key set, no discovery", "issuer https://a.example\njwks https://a.example/keys\nlogin {\nclient_id app\n" + urls + "}", false, true, false, true},
		{"plain", "login {\nclient_id app\nscopes user\n" + urls + "}", false, false, false, false},
		{"plain, by discovery", "issuer https://a.example\nlogin {\nclient_id app\nscopes user\n}", false, false, true, true},
		{"several tenants", "preset entra " + tenantA + " " + tenantB + "\nlogin {\nclient_id app\n}", false, true, true, true},
		{"Cognito", "preset cognito eu-west-1 pool login.example.com\naudience app\nlogin {\nclient_id app\n}", true, true, true, true},
		{"Keycloak", "preset keycloak https://sso.example.com main\nlogin {\nclient_id app\n}", false, true, true, true},
		{"GitHub", "preset github\nlogin {\nclient_id app\n}", false, false, false, false},
		{"Google", "preset google\nlogin {\nclient_id app\n}", false, true, true, true},
	} {
		t.Run(tc.name, func(t *testing.T) {
			serve(t, "admit corp {\n"+tc.integration+"\n}", "admit corp")
			in := running(t, "corp")
			if in.party == nil || in.sessions == nil || in.fetched == nil {
				t.Fatalf("got %+v", in)
			}
			got := []bool{in.verifier != nil, in.party.OpenID(), in.fetched.discovery != nil, in.fetched.remote != nil}
			if want := []bool{tc.verifier, tc.openID, tc.discovery, tc.keys}; !slices.Equal(got, want) {
				t.Errorf("verifier, OpenID, discovery, keys: got %v, want %v", got, want)
			}
		})
	}
}
