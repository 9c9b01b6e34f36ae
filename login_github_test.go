package admit

import (
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"testing"
)

// fakeGitHub makes a provider speak as GitHub does: OAuth 2.0 alone, answers in form
// encoding unless JSON is asked for, errors with status 200, and an API whose lists
// come in pages.
type fakeGitHub struct {
	*fakeProvider
	emails, orgs, teams []object
}

func newGitHub(t *testing.T) *fakeGitHub {
	g := &fakeGitHub{fakeProvider: newProvider(t)}
	g.plain, g.auth, g.lifetime = true, "any", 0
	g.emails = []object{
		{"email": "old@example.com", "verified": true, "primary": false},
		{"email": "evil@example.com", "verified": false, "primary": false},
		{"email": "Ada@example.com", "verified": true, "primary": true},
	}
	g.orgs = []object{{"login": "acme"}, {"login": "other"}, {"login": "third"}}
	team := func(org, slug string) object {
		return object{"slug": slug, "name": "The " + slug, "organization": object{"login": org}}
	}
	g.teams = []object{team("acme", "ops"), team("acme", "dev"), team("other", "ops")}
	for i := range 120 { // on a second page
		g.teams = append(g.teams, team("third", fmt.Sprint("team-", i)))
	}
	g.instead["/user"] = g.api(func(http.ResponseWriter, *http.Request) any {
		return object{"login": "ada", "id": 4711, "name": "Ada", "email": nil, "type": "User"}
	})
	g.instead["/user/emails"] = g.api(func(w http.ResponseWriter, r *http.Request) any { return g.page(w, r, g.emails) })
	g.instead["/user/orgs"] = g.api(func(w http.ResponseWriter, r *http.Request) any { return g.page(w, r, g.orgs) })
	g.instead["/user/teams"] = g.api(func(w http.ResponseWriter, r *http.Request) any { return g.page(w, r, g.teams) })
	g.instead["/token"] = g.serveTokenByForm
	return g
}

// site is the preset, with the addresses replaced.
func (g *fakeGitHub) site() loginSite {
	return loginSite{
		issuer: "preset github", gate: "require groups acme/ops",
		login: "authorization_url " + g.URL + "/authorize\ntoken_url " + g.URL + "/token\nuserinfo_url " + g.URL + "/user",
	}
}

// api answers requests with a good token, in the provider's lock.
func (g *fakeGitHub) api(answer func(http.ResponseWriter, *http.Request) any) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		g.mu.Lock()
		defer g.mu.Unlock()
		token, _ := strings.CutPrefix(r.Header.Get("Authorization"), "token ") // both words will do
		if !strings.HasPrefix(r.Header.Get("Authorization"), "Bearer ") {
			r.Header.Set("Authorization", "Bearer "+token)
		}
		if g.ofToken(r) == nil || r.Header.Get("User-Agent") == "" {
			w.WriteHeader(http.StatusUnauthorized)
			writeJSON(w, object{"message": "marked: Bad credentials"})
			return
		}
		writeJSON(w, answer(w, r))
	}
}

// page returns one page of a list and says where the next one is.
func (g *fakeGitHub) page(w http.ResponseWriter, r *http.Request, list []object) []object {
	query := func(name string, standard int) int {
		if n, err := strconv.Atoi(r.URL.Query().Get(name)); err == nil {
			return n
		}
		return standard
	}
	n, size := query("page", 1), min(query("per_page", 30), 100)
	from, to := min((n-1)*size, len(list)), min(n*size, len(list))
	if to < len(list) {
		next := r.URL.Query()
		next.Set("page", strconv.Itoa(n+1))
		w.Header().Set("Link", fmt.Sprintf(`<%s%s?%s>; rel="next", <%s%s?page=99>; rel="last"`, g.URL, r.URL.Path, next.Encode(), g.URL, r.URL.Path))
	}
	return list[from:to]
}

// serveTokenByForm is the token endpoint.
func (g *fakeGitHub) serveTokenByForm(w http.ResponseWriter, r *http.Request) {
	g.mu.Lock()
	defer g.mu.Unlock()
	answer := url.Values{"error": {"bad_verification_code"}, "error_description": {hostileText}}
	if login := g.granted(r.PostForm); login != nil {
		access := g.random("gho")
		login.access = append(login.access, access)
		answer = url.Values{"access_token": {access}, "scope": {"read:user,user:email,read:org"}, "token_type": {"bearer"}}
	}
	w.Header().Set("Content-Type", "application/x-www-form-urlencoded; charset=utf-8")
	fmt.Fprint(w, answer.Encode())
}

// GitHub: login, verified primary address, organisations and teams.
func TestGitHubLogin(t *testing.T) {
	g := newGitHub(t)
	f, _ := g.serveLogin(g.site())
	b := f.web()
	got := b.logIn().Header
	if got.Get("X-User") != "ada" || got.Get("X-Email") != "Ada@example.com" {
		t.Errorf("user %q, e-mail %q", got.Get("X-User"), got.Get("X-Email"))
	}
	for _, group := range []string{"acme", "other", "third", "acme/ops", "acme/dev", "other/ops", "third/team-119"} {
		if !strings.Contains(","+got.Get("X-Groups")+",", ","+group+",") {
			t.Errorf("groups %q without %s", got.Get("X-Groups"), group)
		}
	}
	if scope := g.login().asked.Get("scope"); scope != "read:user user:email read:org" || g.login().asked.Has("nonce") {
		t.Errorf("asked %v", g.login().asked)
	}
	noLogout(t, g.fakeProvider, b)
}

// What is not there, or not verified, is no reason to let somebody in.
func TestGitHubTroubles(t *testing.T) {
	say := func(status int, body string) http.HandlerFunc {
		return func(w http.ResponseWriter, _ *http.Request) {
			w.WriteHeader(status)
			_, _ = w.Write([]byte(body))
		}
	}
	for _, tc := range []struct {
		name   string
		change func(*fakeGitHub)
		status int
	}{
		{"wrong code with 200", func(g *fakeGitHub) { g.answer = func(_, answer url.Values) { answer.Set("code", "marked") } }, 403},
		{"nobody", func(g *fakeGitHub) { g.instead["/user"] = say(200, `{}`) }, 403},
		{"a number only", func(g *fakeGitHub) { g.instead["/user"] = say(200, `{"id":7}`) }, 403},
		{"an error with 200", func(g *fakeGitHub) { g.instead["/user"] = say(200, `{"message":"marked"}`) }, 403},
		{"no JSON", func(g *fakeGitHub) { g.instead["/user"] = say(200, `<html>marked`) }, 403},
		{"down", func(g *fakeGitHub) { g.instead["/user"] = say(502, `marked`) }, 503},
		{"forbidden", func(g *fakeGitHub) { g.instead["/user"] = say(403, `{"message":"marked"}`) }, 0},
		{"teams down", func(g *fakeGitHub) { g.instead["/user/teams"] = say(500, `marked`) }, 503},
		{"not in the team", func(g *fakeGitHub) { g.teams = g.teams[1:] }, 403},
		{"a team of the same name elsewhere", func(g *fakeGitHub) { g.teams = g.teams[2:] }, 403},
		{"pages without end", func(g *fakeGitHub) {
			g.instead["/user/orgs"] = g.api(func(w http.ResponseWriter, r *http.Request) any {
				w.Header().Set("Link", "<"+g.URL+r.URL.String()+`>; rel="next"`)
				return slices.Repeat([]object{{"login": "again"}}, 100)
			})
		}, 0},
		{"pages elsewhere", func(g *fakeGitHub) {
			g.instead["/user/orgs"] = g.api(func(w http.ResponseWriter, _ *http.Request) any {
				w.Header().Set("Link", `<http://127.0.0.1:1/steal>; rel="next"`)
				return []object{{"login": "acme"}}
			})
		}, 0},
	} {
		t.Run(tc.name, func(t *testing.T) {
			g := newGitHub(t)
			g.change(func() { tc.change(g) })
			f, _ := g.serveLogin(g.site())
			b := f.web()
			a := b.open("/x")
			if tc.status != 0 && a.StatusCode != tc.status || tc.status == 0 && a.StatusCode >= 500 && a.StatusCode != 503 || tc.status != 0 && a.reached() || strings.Contains(a.body, "marked") {
				t.Errorf("%v\n%s", b.trail, a.body)
			}
			if n := g.count("/user/orgs"); n > 20 {
				t.Errorf("%d pages", n)
			}
		})
	}
}
