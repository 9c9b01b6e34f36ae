package e2e

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"io"
	"maps"
	"net/http"
	"net/http/httptest"
	"net/url"
	"path/filepath"
	"strings"
	"testing"
)

// loginSite sends browsers to an OpenID provider.
const loginSite = `
{
	{{.Globals}}
	admit corp {
		issuer {{.Issuer}}
		{{.Outer}}
		login {
			client_id web
			client_secret {env.CLIENT_SECRET}
			scopes {{.Scopes}}
		}
		session {
			secret {env.SESSION_SECRET}
			{{.Session}}
		}
	}
}
{{.Site}} {
	log
	admit {
		login
		require /admin/* groups admins
		header_up X-User {http.auth.user.id}
		header_up X-Email {http.auth.user.claims.email}
	}
	reverse_proxy {{.Upstream}}
}
`

// sessionSecret is what the tests look for in logs.
const sessionSecret = "marked-session-secret-of-the-tests-0123456789"

// sessionName is the name of its cookie at loginSite.
const sessionName = "__Host-admit-corp"

// startLogin starts processes of Caddy with loginSite on one storage, known to the
// provider as the relying party "web". What the provider and they tell each other
// must not come up in their logs.
func startLogin(t *testing.T, p *provider, u *upstream, web party, processes int, v values) []*caddy {
	t.Helper()
	all := values{
		"Issuer": p.issuer, "Scopes": "openid email profile groups", "Session": "", "Outer": "",
		"Storage":           filepath.Join(t.TempDir(), "storage"),
		"env.CLIENT_SECRET": partySecret, "env.SESSION_SECRET": sessionSecret,
	}
	maps.Copy(all, v)
	var started []*caddy
	var sites []string
	for range processes {
		c := startCaddy(t, u, loginSite, all)
		p.confide(t, c)
		started, sites = append(started, c), append(sites, c.URL)
	}
	p.register(t, web, sites...)
	return started
}

// confide makes the end of the test look for what the provider heard and said in
// what Caddy said.
func (p *provider) confide(t *testing.T, c *caddy) {
	c.sent.add(partySecret, sessionSecret)
	t.Cleanup(func() { c.sent.add(p.told.values()...) })
}

// login logs somebody in at a site and returns the cookies of the session.
func (c *caddy) login(t *testing.T, who *person, user string) string {
	t.Helper()
	if got := who.logIn(c.URL+"/", user); got.status != http.StatusOK || got.header.Get("Seen-User") != user || got.at.Path != "/" {
		t.Fatalf("the login of %s ends at %s, %d: %s", user, got.at.Redacted(), got.status, got.body)
	}
	return c.sessionOf(t, who)
}

// sessionOf returns the cookies of somebody's session.
func (c *caddy) sessionOf(t *testing.T, who *person) string {
	t.Helper()
	u, err := url.Parse(c.URL)
	if err != nil {
		t.Fatal(err)
	}
	var found []string
	for _, cookie := range who.Jar.Cookies(u) {
		if cookie.Name == sessionName || cookie.Name == sessionName+".1" {
			c.sent.add(cookie.Value)
			found = append(found, cookie.Name+"="+cookie.Value)
		}
	}
	if found == nil {
		t.Fatal("there is no session")
	}
	return strings.Join(found, "; ")
}

// watch passes requests on and keeps what they and their answers tell in confidence:
// codes, states, verifiers, tokens, secrets.
func watch(next http.Handler, told *secrets) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, err := io.ReadAll(r.Body)
		if err != nil {
			http.Error(w, "no body", http.StatusBadRequest)
			return
		}
		r.Body = io.NopCloser(bytes.NewReader(body))
		told.keep(r.URL.RawQuery)
		told.keep(string(body))
		if id, secret, ok := r.BasicAuth(); ok {
			told.add(secret, base64.StdEncoding.EncodeToString([]byte(id+":"+secret)))
		}
		got := httptest.NewRecorder()
		next.ServeHTTP(got, r)
		if to, err := url.Parse(got.Header().Get("Location")); err == nil {
			told.keep(to.RawQuery)
		}
		var answer map[string]any
		if json.Unmarshal(got.Body.Bytes(), &answer) == nil {
			for _, name := range confidential {
				if value, ok := answer[name].(string); ok {
					told.add(value)
				}
			}
		}
		maps.Copy(w.Header(), got.Header())
		w.WriteHeader(got.Code)
		_, _ = w.Write(got.Body.Bytes())
	})
}

var confidential = []string{
	"code", "state", "nonce", "code_verifier", "client_secret", "client_assertion", "password",
	"access_token", "refresh_token", "id_token", "id_token_hint", "logout_token",
}

// keep adds what is confidential of a query or a form.
func (s *secrets) keep(form string) {
	values, err := url.ParseQuery(form)
	if err != nil {
		return
	}
	for _, name := range confidential {
		s.add(values[name]...)
	}
}

func (s *secrets) values() []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	var all []string
	for v := range s.all {
		all = append(all, v)
	}
	return all
}
