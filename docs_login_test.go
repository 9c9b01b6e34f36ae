package admit

import (
	"cmp"
	"encoding/json"
	"maps"
	"net/url"
	"path/filepath"
	"strings"
	"testing"
)

// pageRow is somebody who logs in at a site of docs/login. Claims stand over those
// that the page shows, in the document about the user where they are; nil takes one
// away.
type pageRow struct {
	name, path string
	claims     map[string]any
	status     int
	want       string // a header that the application sees, or a part of a page
}

// pageSite says how somebody logs in at one site of a page.
type pageSite struct {
	user   string            // as the application learns it
	asks   map[string]string // parameters of the authorization request
	logout string            // the path at the provider where one logs out; "": none
	rows   []pageRow
}

// pageSites holds, for each page of docs/login and each Caddyfile in it that is
// whole, who logs in.
var pageSites = map[string][]pageSite{
	"google.md": {{
		user: "ada@example.com", asks: map[string]string{"access_type": "offline", "hd": "example.com", "scope": "openid profile email"},
		rows: []pageRow{
			{name: "a private account", claims: object{"hd": nil, "email": "eve@gmail.com"}, status: 403, want: "rule"},
			{name: "another organisation", claims: object{"hd": "evil.example"}, status: 403, want: "rule"},
			{name: "an address that is not verified", claims: object{"email_verified": false}, status: 200, want: "X-User: 110169484474386276334\n"},
			{name: "another issuer", claims: object{"iss": "/evil"}, status: 403, want: "login_refused"},
			{name: "the issuer's other spelling", claims: object{"iss": "accounts.google.com"}, status: 200},
		},
	}},
	"entra.md": {{
		user: "bbbbbbbb-0000-4000-8000-000000000002\n", asks: map[string]string{"scope": "openid profile email offline_access"},
		logout: "/end-session",
		rows: []pageRow{
			{name: "admin", path: "/admin/x", status: 200, want: "X-Name: ada@example.com\n"},
			{name: "not admin", path: "/admin/x", claims: object{"roles": nil}, status: 403, want: "rule"},
			{name: "another tenant", claims: object{"iss": "/99999999-2222-3333-4444-555555555555/v2.0", "tid": "99999999-2222-3333-4444-555555555555"}, status: 403, want: "login_refused"},
			{name: "another client", claims: object{"aud": "other"}, status: 403, want: "login_refused"},
		},
	}},
	"okta.md": {{
		user: "ada@example.com", asks: map[string]string{"scope": "openid profile email groups offline_access"},
		logout: "/end-session",
		rows: []pageRow{
			{name: "no group", claims: object{"groups": nil}, status: 403, want: "rule"},
			{name: "userinfo about another", claims: object{"sub": "00uother"}, status: 403, want: "login_refused"},
		},
	}},
	"cognito.md": {{
		user: "ada", asks: map[string]string{"scope": "openid profile email"}, logout: "/logout",
		rows: []pageRow{
			{name: "e-mail", status: 200, want: "X-Email: ada@example.com\n"},
			{name: "e-mail, not verified", claims: object{"email_verified": "false"}, status: 200, want: "in\nX-User: ada\n"},
		},
	}},
	"auth0.md": {{
		user: "ada@example.com", asks: map[string]string{"scope": "openid profile email offline_access"}, logout: "/v2/logout",
		rows: []pageRow{
			{name: "no role", claims: object{"https://example.com/roles": nil}, status: 403, want: "rule"},
			{name: "issuer without its slash", claims: object{"iss": ""}, status: 403, want: "login_refused"},
		},
	}},
	"keycloak.md": {{
		user: "ada", logout: "/end-session",
		rows: []pageRow{
			{name: "role alone", claims: object{"groups": nil}, status: 200},
			{name: "neither", claims: object{"groups": nil, "realm_access": nil}, status: 403, want: "rule"},
			{name: "e-mail", status: 200, want: "X-Email: ada@example.com\n"},
			{name: "e-mail, not verified", claims: object{"email_verified": false}, status: 200, want: "in\nX-User: ada\n"},
			{name: "inside name", claims: object{"iss": "/inside/realms/staff"}, status: 403, want: "login_refused"},
		},
	}},
	"gitlab.md": {{
		user: "ada", rows: []pageRow{
			{name: "admin", path: "/admin/x", status: 200},
			{name: "not admin", path: "/admin/x", claims: object{"groups": []string{"acme"}}, status: 403, want: "rule"},
			{name: "userinfo about another", claims: object{"sub": "1"}, status: 403, want: "login_refused"},
		},
	}},
	"github.md": {{
		user: "ada", asks: map[string]string{"scope": "read:user user:email read:org", "nonce": ""},
		rows: []pageRow{
			{name: "admin", path: "/admin/x", status: 200},
			{name: "no login", claims: object{"login": nil}, status: 403, want: "login_refused"},
		},
	}},
	"generic.md": {
		{user: "248289761001", rows: []pageRow{
			{name: "e-mail", status: 200, want: "X-Email: ada@example.com\n"},
			{name: "not staff", claims: object{"groups": nil}, status: 403, want: "rule"},
			{name: "another client", claims: object{"aud": "other"}, status: 403, want: "login_refused"},
		}},
		{user: "ada", asks: map[string]string{"scope": "profile", "nonce": ""}, rows: []pageRow{
			{name: "somebody else", claims: object{"login": "eve"}, status: 403, want: "rule"},
			{name: "no name", claims: object{"login": nil, "id": nil}, status: 403, want: "login_refused"},
		}},
		{user: "ada", logout: "/end-session", rows: []pageRow{
			{name: "issuer without its slash", claims: object{"iss": "/application/o/my-app"}, status: 403, want: "login_refused"},
		}},
		{user: "ada@example.zitadel.cloud", rows: []pageRow{
			{name: "another role", claims: object{"urn:zitadel:iam:org:project:roles": object{"reader": object{}}}, status: 403, want: "rule"},
			{name: "another party", claims: object{"azp": "123456789012345670"}, status: 403, want: "login_refused"},
		}},
		{user: "ada@example.com", asks: map[string]string{"scope": "openid profile email groups offline_access"}, rows: []pageRow{
			{name: "another team", claims: object{"groups": []string{"acme:other"}}, status: 403, want: "rule"},
		}},
		{user: "ada", rows: []pageRow{
			{name: "no groups", claims: object{"groups": nil}, status: 403, want: "rule"},
		}},
	},
}

// TestLoginDocuments logs in at each Caddyfile of docs/login, at a stand-in that
// says what the page shows.
func TestLoginDocuments(t *testing.T) {
	files, err := filepath.Glob("docs/login/*.md")
	if err != nil || len(files) != len(pageSites) {
		t.Fatalf("%d pages, %d of them known: %v", len(files), len(pageSites), err)
	}
	for _, file := range files {
		doc := readDoc(t, file)
		sites := pageSitesOf(t, doc)
		known := pageSites[filepath.Base(file)]
		if len(sites) != len(known) {
			t.Errorf("%s: %d whole Caddyfiles, %d of them known", file, len(sites), len(known))
			continue
		}
		for i, site := range sites {
			t.Run(filepath.Base(file)+"/"+site.name, func(t *testing.T) { site.visit(t, doc, &known[i]) })
		}
	}
}

// shownSite is a Caddyfile of a page and what the page says that the provider says.
type shownSite struct {
	name, text string
	said
}

func pageSitesOf(t *testing.T, doc document) (sites []shownSite) {
	t.Helper()
	for _, f := range doc.fences() {
		kind, part, _ := strings.Cut(f.info, " ")
		switch {
		case f.info == "caddyfile":
			_, name, _ := strings.Cut(f.text, "\tadmit ")
			name, _, _ = strings.Cut(name, " ")
			sites = append(sites, shownSite{name: name, text: f.text})
		case kind == "jsonc" && part != "":
			site := &sites[len(sites)-1]
			into := map[string]*object{"id_token": &site.id, "access_token": &site.access, "userinfo": &site.userinfo}[part]
			if err := json.Unmarshal([]byte(f.text), into); err != nil {
				t.Fatalf("%s: %v", doc.name, err)
			}
		}
	}
	return sites
}

func (site *shownSite) visit(t *testing.T, doc document, known *pageSite) {
	config := adaptTree(t, site.text)
	host := ""
	eachObject(config, func(o map[string]any) {
		if hosts, ok := o["host"].([]any); ok {
			host = hosts[0].(string)
		}
	})
	p := newProvider(t)
	if site.name == "github" {
		g := newGitHub(t)
		p, g.teams = g.fakeProvider, append(g.teams, object{"slug": "site-admins", "organization": object{"login": "acme"}})
	}
	p.auth, p.offline, p.plain = "any", true, site.id == nil && site.access == nil
	if known.logout != "/end-session" {
		p.without("end_session_endpoint")
	} else {
		p.without()
	}
	client := p.standIn(config, site.name)
	addr := runBehindProxy(t, config)
	for _, row := range append([]pageRow{{name: "as shown", status: 200, want: "X-User: " + known.user}}, known.rows...) {
		t.Run(row.name, func(t *testing.T) {
			p.say(site.but(row.claims), client)
			b := newBrowser(t, behindProxy(addr))
			path := cmp.Or(row.path, "/page") + "?q=1&r=%2F"
			resp, body := b.open("https://" + host + path)
			if resp.StatusCode != row.status || !strings.Contains(body, row.want) {
				t.Fatalf("got %d at %v: %s\nwant %d with %q", resp.StatusCode, resp.Request.URL, body, row.status, row.want)
			}
			if row.status == 200 && resp.Request.URL.RequestURI() != path {
				t.Errorf("ended at %v", resp.Request.URL)
			}
			if row.name == "as shown" {
				known.compare(t, doc, p, b, host)
			}
		})
	}
}

// but changes claims of what a page shows: of userinfo where that is shown, else of
// the ID token. A nil one is taken away.
func (s said) but(changes object) said {
	into := &s.id
	if s.userinfo != nil {
		into = &s.userinfo
	}
	*into = put(maps.Clone(*into), changes)
	if s.id == nil && s.access != nil { // there is one all the same
		s.id = object{"iss": s.access["iss"], "sub": s.access["sub"], "aud": s.access["client_id"]}
	}
	return s
}

// compare checks what the page says about addresses: the redirect URI is the one to
// register, and logging out goes where it says.
func (known *pageSite) compare(t *testing.T, doc document, p *fakeProvider, b *browser, host string) {
	t.Helper()
	asked := p.login().asked
	if uri := asked.Get("redirect_uri"); !strings.Contains(doc.text, uri) {
		t.Errorf("the page does not say to register %s", uri)
	}
	for name, want := range known.asks {
		if got := asked.Get(name); got != want {
			t.Errorf("asked with %s %q, want %q", name, got, want)
		}
	}
	resp, body := b.open("https://" + host + "/oauth2/logout")
	stays := strings.Contains(body, "but not of the service")
	if resp.StatusCode != 200 || resp.Request.URL.Path != "/oauth2/logged-out" || stays != (known.logout == "") {
		t.Errorf("logging out ends with %d at %v: %s", resp.StatusCode, resp.Request.URL, body)
	}
	if known.logout == "" {
		return
	}
	left := p.last(known.logout).form
	back := left.Get("post_logout_redirect_uri") + left.Get("logout_uri") + left.Get("returnTo")
	if u, err := url.Parse(back); err != nil || u.Path != "/oauth2/logged-out" || !strings.Contains(doc.text, back) {
		t.Errorf("logging out comes back to %q", back)
	}
}
