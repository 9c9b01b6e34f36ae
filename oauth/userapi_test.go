package oauth

import (
	"fmt"
	"net/http"
	"strings"
	"testing"
)

// plainConfig is that of a provider without ID tokens.
func plainConfig(c *RelyingPartyConfig) {
	c.Discovery, c.Issuer, c.IDTokens = nil, "", nil
	base := strings.TrimSuffix(c.DiscoveryURL, "/.well-known/openid-configuration")
	c.Endpoints = Endpoints{Authorization: base + "/authorize", Token: base + "/token", Userinfo: base + "/user"}
	c.Scopes = []string{"read:user"}
}

// TestPlain: without ID tokens the user API says who it is.
func TestPlain(t *testing.T) {
	for _, tc := range []struct {
		name, document string
		subject, want  string // claims, or how it ended
	}{
		{"sub", `{"sub":"u1","id":1}`, "u1", `{"sub":"u1","id":1}`},
		{"number", `{"id":583231,"login":"octocat"}`, "583231", `{"sub":"583231","id":583231,"login":"octocat"}`},
		{"text", `{"id":"x","login":"octocat"}`, "x", `{"sub":"x","id":"x","login":"octocat"}`},
		{"login", `{"login":"octocat"}`, "octocat", `{"sub":"octocat","login":"octocat"}`},
		{"sources", `{"login":"octocat","_claim_sources":{}}`, "octocat", `{"sub":"octocat","login":"octocat"}`},
		// threat 31
		{"nobody", `{"name":"Ada"}`, "", "refused: userinfo"},
		{"sub of another type", `{"sub":1,"id":1}`, "", "refused: userinfo"},
		{"empty sub", `{"sub":"","id":1}`, "", "refused: userinfo"},
		{"fraction", `{"id":1.5,"login":"x"}`, "", "refused: userinfo"},
		{"exponent", `{"id":1e3}`, "", "refused: userinfo"},
		{"null", `{"id":null,"login":"x"}`, "", "refused: userinfo"},
		{"error with 200", `{"error":"` + marker + `"}`, "", "refused: userinfo"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			p := newIDP(t)
			p.page("/user", 200, tc.document)
			g, err := login(p.party(t, plainConfig), "code=code-1")
			if got := outcome(t, g, err); got != tc.want {
				t.Errorf("got %s, want %s", got, tc.want)
			}
			if err == nil && (g.Subject != tc.subject || g.Tokens.ID != "" || g.SID != "") {
				t.Errorf("got %+v", g) // an ID token that nobody has checked is not kept
			}
			if p.forms[0].Get("code_verifier") != "verifier-1" { // threat 57
				t.Errorf("got %v", p.forms[0])
			}
		})
	}
}

func gitHub(c *RelyingPartyConfig) {
	plainConfig(c)
	c.Vendor = VendorGitHub
}

// listOf writes so many entries, numbered from start.
func listOf(entry string, start, n int) string {
	var list []string
	for i := range n {
		list = append(list, fmt.Sprintf(entry, start+i))
	}
	return "[" + strings.Join(list, ",") + "]"
}

const octocat = `{"login":"octocat","id":583231,"email":"public@example.com","groups":["admin"],"_claim_names":{}}`

// TestGitHub: a row is what GitHub says beside the user's own document.
func TestGitHub(t *testing.T) {
	const known = `{"sub":"583231",`
	const user = `,"login":"octocat","id":583231}`
	type page struct {
		status int
		body   string
	}
	emails := page{200, `[{"email":"old@example.com","primary":false,"verified":true},{"email":"octocat@example.com","primary":true,"verified":true}]`}
	orgs := page{200, `[{"login":"acme"},{"login":"umbrella"}]`}
	teams := page{200, `[{"slug":"dev","organization":{"login":"acme"}}]`}
	for _, tc := range []struct {
		name                string
		emails, orgs, teams page
		want                string
		note                string
	}{
		{"all of it", emails, orgs, teams, known + `"email":"octocat@example.com","email_verified":true,"groups":["acme","umbrella","acme/dev"]` + user, ""},
		{"none of it", page{200, `[]`}, page{200, `[]`}, page{200, `[]`}, known + `"groups":[]` + user, ""},
		{"address not verified", page{200, `[{"email":"a@x","primary":true,"verified":false}]`}, orgs, teams, known + `"groups":["acme","umbrella","acme/dev"]` + user, ""},
		{"address not primary", page{200, `[{"email":"a@x","primary":false,"verified":true}]`}, orgs, teams, known + `"groups":["acme","umbrella","acme/dev"]` + user, ""},
		{"verified as text", page{200, `[{"email":"a@x","primary":true,"verified":"true"}]`}, orgs, teams, known + `"groups":["acme","umbrella","acme/dev"]` + user, ""},
		{"another case", page{200, `[{"Email":"a@x","Primary":true,"Verified":true}]`}, page{200, `[{"Login":"acme"}]`}, page{200, `[]`}, known + `"groups":[]` + user, ""},
		{"names that pose", emails, page{200, `[{"login":"acme/admin"},{"login":""},{"login":1},{}]`}, page{200, `[{"slug":"a/b","organization":{"login":"acme"}},{"slug":"x","organization":"acme"},{"slug":"x"}]`}, known + `"email":"octocat@example.com","email_verified":true,"groups":[]` + user, ""},
		{"no scope for addresses", page{404, marker}, orgs, teams, known + `"groups":["acme","umbrella","acme/dev"]` + user, "emails"},
		{"no scope for teams", emails, orgs, page{403, marker}, known + `"email":"octocat@example.com","email_verified":true,"groups":["acme","umbrella"],"_claim_names":{"groups":"github"}` + user, "teams"},
		{"no scope at all", page{404, ""}, page{403, ""}, page{403, ""}, known + `"groups":[],"_claim_names":{"groups":"github"}` + user, "emails, orgs, teams"},
		{"no list", emails, page{200, `{"message":"` + marker + `"}`}, teams, "refused: userinfo", ""},
		{"token gone", emails, orgs, page{401, marker}, "refused: userinfo", ""},
		{"in trouble", emails, orgs, page{502, marker}, "down", ""},
	} {
		t.Run(tc.name, func(t *testing.T) {
			p := newIDP(t)
			p.page("/user", 200, octocat)
			p.page("/user/emails", tc.emails.status, tc.emails.body)
			p.page("/user/orgs", tc.orgs.status, tc.orgs.body)
			p.page("/user/teams", tc.teams.status, tc.teams.body)
			g, err := login(p.party(t, gitHub), "code=code-1")
			if got := outcome(t, g, err); got != tc.want {
				t.Errorf("got %s\nwant %s", got, tc.want)
			}
			if err == nil && (g.Subject != "583231" || !strings.Contains(g.Note, tc.note) || (g.Note == "") != (tc.note == "")) {
				t.Errorf("got subject %s, note %q", g.Subject, g.Note)
			}
		})
	}
}

// TestGitHubLimit: a 403 that means "too many calls" is no answer about groups.
func TestGitHubLimit(t *testing.T) {
	for name, value := range map[string]string{"X-RateLimit-Remaining": "0", "Retry-After": "60"} {
		p := newIDP(t)
		p.page("/user", 200, octocat)
		p.page("/user/emails", 200, `[]`)
		p.page("/user/orgs", 200, `[]`)
		p.pages["/user/teams"] = func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set(name, value)
			w.WriteHeader(http.StatusForbidden)
		}
		g, err := login(p.party(t, gitHub), "code=code-1")
		if got := outcome(t, g, err); got != "down" {
			t.Errorf("%s: got %s", name, got)
		}
	}
}

// TestGitHubPages: lists are read to their end, for ten pages, wherever their
// links lead.
func TestGitHubPages(t *testing.T) {
	for _, tc := range []struct {
		orgs, pages int
		hidden      bool
	}{{0, 1, false}, {99, 1, false}, {100, 2, false}, {250, 3, false}, {999, 10, false}, {1000, 10, true}, {5000, 10, true}} {
		p := newIDP(t)
		p.page("/user", 200, octocat)
		p.page("/user/emails", 200, `[]`)
		p.page("/user/teams", 200, `[]`)
		p.pages["/user/orgs"] = func(w http.ResponseWriter, r *http.Request) {
			if r.Header.Get("Accept") != acceptGitHub {
				t.Errorf("got Accept %q", r.Header.Get("Accept"))
			}
			w.Header().Set("Link", `<https://evil.example/user/orgs?page=2>; rel="next"`)
			var page int
			_, _ = fmt.Sscan(r.URL.Query().Get("page"), &page)
			start := (page - 1) * 100
			_, _ = w.Write([]byte(listOf(`{"login":"org%d"}`, start, max(0, min(100, tc.orgs-start)))))
		}
		g, err := login(p.party(t, gitHub), "code=code-1")
		if err != nil {
			t.Fatal(err)
		}
		asked := 0
		for _, call := range p.calls {
			if strings.HasPrefix(call, "/user/orgs?") {
				asked++
			}
		}
		groups := strings.Count(string(g.Claims), `"org`)
		hidden := strings.Contains(string(g.Claims), pointers)
		if asked != tc.pages || groups != min(tc.orgs, 1000) || hidden != tc.hidden {
			t.Errorf("%d organisations: %d calls, %d groups, hidden %v", tc.orgs, asked, groups, hidden)
		}
	}
}
