package admit

import (
	"net/http"
	"net/url"
	"strings"
	"testing"
)

// loginExamples holds, for each example where people log in at a provider, who comes
// to it.
var loginExamples = map[string]func(t *testing.T, config map[string]any){
	"login":         visitLogin,
	"two-providers": visitTwoProviders,
	"subdomains":    visitSubdomains,
	"github-team":   visitGitHubTeam,
	"grafana-login": visitGrafanaLogin,
	"webhooks":      visitWebhooks,
}

// providerFor starts a provider for an integration of an example, of which somebody
// with these claims is a user.
func providerFor(t *testing.T, config map[string]any, name string, claims object) (p *fakeProvider, as func(object)) {
	t.Helper()
	p = newProvider(t)
	p.offline = true
	client := p.standIn(config, name)
	as = func(more object) {
		p.say(said{id: merged(object{"iss": p.issuer, "sub": "ada", "aud": client, "email": "ada@example.com", "email_verified": true}, claims, more)}, client)
	}
	as(nil)
	return p, as
}

// visitRow is a page that somebody opens who has logged in.
type visitRow struct {
	name, url string
	claims    object
	status    int
	want      string
}

// visit logs in as each row says, in a browser of its own, and opens its page.
func visit(t *testing.T, addr string, as func(object), rows []visitRow) {
	t.Helper()
	for _, row := range rows {
		t.Run(row.name, func(t *testing.T) {
			as(row.claims)
			resp, body := newBrowser(t, behindProxy(addr)).open(row.url)
			if resp.StatusCode != row.status || !strings.Contains(body, row.want) || row.status == 200 && resp.Request.URL.String() != row.url {
				t.Errorf("got %d at %v: %s", resp.StatusCode, resp.Request.URL, body)
			}
		})
	}
}

func visitLogin(t *testing.T, config map[string]any) {
	t.Setenv("APP_SECRET", clientSecret)
	p, as := providerFor(t, config, "corp", object{"groups": []string{"staff"}})
	addr := runBehindProxy(t, config)
	const site = "https://app.example.com"
	visit(t, addr, as, []visitRow{
		{name: "staff", url: site + "/orders?page=2", status: 200, want: "X-Email: ada@example.com\nX-User: ada\n"},
		{name: "admin", url: site + "/admin/x", claims: object{"groups": []string{"staff", "admins"}}, status: 200},
		{name: "not admin", url: site + "/admin/x", status: 403, want: "rule"},
		{name: "not staff", url: site + "/", claims: object{"groups": []string{"guests"}}, status: 403, want: "ada"},
		{name: "of another issuer", url: site + "/", claims: object{"iss": "/other"}, status: 403, want: "login_refused"},
	})
	for _, row := range []exampleRow{
		{name: "a program", path: "/", headers: []string{"X-Forwarded-Proto: https"}, status: 401, body: `"reason":"missing_credential","login":"/oauth2/login"`},
		{name: "a program with an ID token", path: "/", headers: []string{"Authorization: Bearer " + p.key.token(object{"iss": p.issuer, "sub": "ada", "aud": clientID, "exp": now().Unix() + 60, "groups": "staff"}, object{})}, status: 401, body: "missing_credential"},
	} {
		row.host = "app.example.com"
		t.Run(row.name, func(t *testing.T) { row.send(t, addr) })
	}
}

func visitTwoProviders(t *testing.T, config map[string]any) {
	t.Setenv("STAFF_SECRET", clientSecret)
	t.Setenv("PARTNERS_SECRET", clientSecret)
	staffAt, staff := providerFor(t, config, "staff", nil)
	partnersAt, partners := providerFor(t, config, "partners", object{"email": "bea@partners.example.net", "groups": []string{"portal-users"}})
	addr := runBehindProxy(t, config)
	const site = "https://portal.example.com"
	choose := func(t *testing.T, path, by string) (*http.Response, string) {
		b := newBrowser(t, behindProxy(addr))
		resp, page := b.open(site + path)
		if resp.Request.URL.Path != "/oauth2/login" || !strings.Contains(page, "integration=staff") || !strings.Contains(page, "integration=partners") {
			t.Fatalf("no choice at %v: %s", resp.Request.URL, page)
		}
		return b.open(site + "/oauth2/login?" + url.Values{"integration": {by}, "return_to": {path}}.Encode())
	}
	for _, row := range []struct {
		name, by, path string
		as             func(object)
		claims         object
		status         int
		want           string
	}{
		{name: "staff", by: "staff", path: "/internal/x", as: staff, status: 200, want: "X-User-From: staff\nX-User: ada@example.com\n"},
		{name: "partner", by: "partners", path: "/x", as: partners, status: 200, want: "X-User-From: partners\nX-User: bea@partners.example.net\n"},
		{name: "partner, internal", by: "partners", path: "/internal/x", as: partners, status: 403, want: "rule"},
		{name: "partner who names a group of staff", by: "partners", path: "/x", as: partners, claims: object{"groups": []string{"readers"}}, status: 403, want: "rule"},
		{name: "partner who names somebody of staff", by: "partners", path: "/x", as: partners, claims: object{"email": "ada@example.com"}, status: 403, want: "rule"},
	} {
		t.Run(row.name, func(t *testing.T) {
			row.as(row.claims)
			if resp, body := choose(t, row.path, row.by); resp.StatusCode != row.status || !strings.Contains(body, row.want) {
				t.Errorf("got %d at %v: %s", resp.StatusCode, resp.Request.URL, body)
			}
		})
	}
	// threat 60: each has a callback of its own.
	for name, p := range map[string]*fakeProvider{"staff": staffAt, "partners": partnersAt} {
		if got := p.last("/authorize").form.Get("redirect_uri"); got != site+"/oauth2/callback/"+name {
			t.Errorf("%s: comes back to %s", name, got)
		}
	}
}

func visitSubdomains(t *testing.T, config map[string]any) {
	t.Setenv("APP_SECRET", clientSecret)
	p, as := providerFor(t, config, "corp", nil)
	addr := runBehindProxy(t, config)
	at := func(host, path string) string { return "https://" + host + ".corp.example.com" + path }
	for _, who := range []struct {
		name   string
		claims object
		status map[string]int // by page
	}{
		{"anybody", nil, map[string]int{
			at("wiki", "/x?y=1"): 200, at("metrics", "/"): 403, at("payroll", "/"): 403, at("docs", "/"): 200, at("lab", "/"): 403, at("login", "/"): 200,
		}},
		{"developer", object{"groups": []string{"developers", "research"}}, map[string]int{
			at("wiki", "/"): 200, at("metrics", "/d/1"): 200, at("payroll", "/"): 403, at("lab", "/"): 200,
		}},
		{"finance", object{"groups": []string{"finance"}}, map[string]int{at("payroll", "/"): 200, at("payroll", "/approve/1"): 403}},
		{"grace", object{"groups": []string{"finance"}, "email": "grace@example.com"}, map[string]int{at("payroll", "/approve/1"): 200}},
		{"mallory", object{"groups": []string{"ops"}, "email": "mallory@example.com"}, map[string]int{at("wiki", "/"): 403, at("metrics", "/"): 403}},
	} {
		t.Run(who.name, func(t *testing.T) {
			as(who.claims)
			logins := p.count("/authorize")
			b := newBrowser(t, behindProxy(addr))
			first := at("wiki", "/start")
			if resp, _ := b.open(first); resp.Request.URL.String() != first {
				t.Fatalf("ended at %v", resp.Request.URL)
			}
			for page, want := range who.status {
				if resp, body := b.open(page); resp.StatusCode != want || resp.Request.URL.String() != page {
					t.Errorf("%s: got %d at %v: %s", page, resp.StatusCode, resp.Request.URL, body)
				}
			}
			if got := p.login().asked.Get("redirect_uri"); p.count("/authorize") != logins+1 || got != at("login", "/oauth2/callback") {
				t.Errorf("%d logins, back to %s", p.count("/authorize")-logins, got)
			}
			if resp, _ := b.open(at("metrics", "/oauth2/logout")); resp.Request.URL.String() == at("wiki", "/") {
				t.Errorf("logging out ends at %v", resp.Request.URL)
			}
			if b.open(at("wiki", "/")); p.count("/authorize") != logins+2 {
				t.Error("logged out of one, the other still knows who it is")
			}
		})
	}
	for _, row := range []exampleRow{
		{name: "docs, nobody reads", host: "docs.corp.example.com", path: "/", status: 200, body: "in\n"},
		{name: "docs, nobody changes", method: "PUT", host: "docs.corp.example.com", path: "/", status: 401, body: "missing_credential"},
		{name: "wiki, a program", host: "wiki.corp.example.com", path: "/", status: 401, body: "missing_credential"},
		{name: "lab, a socket of nobody", host: "lab.corp.example.com", path: "/stream", headers: []string{"Connection: Upgrade", "Upgrade: websocket"}, status: 401, body: "missing_credential"},
	} {
		t.Run(row.name, func(t *testing.T) { row.send(t, addr) })
	}
}

func visitGitHubTeam(t *testing.T, config map[string]any) {
	t.Setenv("GITHUB_ID", clientID)
	t.Setenv("GITHUB_SECRET", clientSecret)
	g := newGitHub(t)
	g.standIn(config, "github")
	addr := runBehindProxy(t, config)
	const site = "https://deploy.example.com"
	team := func(org, slug string) []object {
		return []object{{"slug": slug, "organization": object{"login": org}}}
	}
	for _, row := range []struct {
		name, path string
		orgs       []object
		teams      []object
		status     int
		want       string
	}{
		{"member", "/x", []object{{"login": "acme"}}, nil, 200, "X-Email: Ada@example.com\nX-User: ada\n"},
		{"not a member", "/x", []object{{"login": "acme2"}}, team("acme2", "site-admins"), 403, "rule"},
		{"of the team", "/production/x", []object{{"login": "acme"}}, team("acme", "site-admins"), 200, ""},
		{"of another team", "/production/x", []object{{"login": "acme"}}, team("acme", "site"), 403, "rule"},
		{"of that team elsewhere", "/production/x", []object{{"login": "acme"}, {"login": "evil"}}, team("evil", "site-admins"), 403, "rule"},
	} {
		t.Run(row.name, func(t *testing.T) {
			g.change(func() { g.orgs, g.teams = row.orgs, row.teams })
			resp, body := newBrowser(t, behindProxy(addr)).open(site + row.path)
			if resp.StatusCode != row.status || !strings.Contains(body, row.want) {
				t.Errorf("got %d at %v: %s", resp.StatusCode, resp.Request.URL, body)
			}
		})
	}
}

func visitGrafanaLogin(t *testing.T, config map[string]any) {
	t.Setenv("GRAFANA_SECRET", clientSecret)
	_, as := providerFor(t, config, "corp", object{"preferred_username": "ada@corp", "name": "Ada", "groups": []string{"staff"}})
	addr := runBehindProxy(t, config)
	const site = "https://grafana.example.com"
	groups := func(names ...string) object { return object{"groups": append(names, "staff")} }
	visit(t, addr, as, []visitRow{
		{name: "viewer", url: site + "/d/1?from=now-1h", status: 200, want: "in\nX-Webauth-Email: ada@example.com\nX-Webauth-Name: Ada\nX-Webauth-Role: Viewer\nX-Webauth-User: ada@corp\n"},
		{name: "editor", url: site + "/d/1", claims: groups("ops-night"), status: 200, want: "X-Webauth-Role: Editor\n"},
		{name: "admin", url: site + "/d/1", claims: groups("developers", "grafana-admins"), status: 200, want: "X-Webauth-Role: Admin\n"},
		{name: "not staff", url: site + "/d/1", claims: object{"groups": []string{"grafana-admins"}}, status: 403, want: "rule"},
	})
	for _, row := range []exampleRow{
		{name: "health", path: "/api/health", headers: []string{"X-Webauth-User: admin"}, status: 200, body: "in\n"},
		{name: "a program with a forged header", path: "/d/1", headers: []string{"X-WEBAUTH-USER: admin"}, status: 401, body: "missing_credential"},
	} {
		row.host = "grafana.example.com"
		t.Run(row.name, func(t *testing.T) { row.send(t, addr) })
	}
}

func visitWebhooks(t *testing.T, config map[string]any) {
	t.Setenv("APP_SECRET", clientSecret)
	_, as := providerFor(t, config, "corp", object{"groups": []string{"staff"}})
	addr := runBehindProxy(t, config)
	const host, key = "app.example.com", "X-Api-Key: admit_published-so-it-protects-nothing"
	visit(t, addr, as, []visitRow{
		{name: "staff", url: "https://" + host + "/x", status: 200, want: "X-User-From: corp\nX-User: ada\n"},
		{name: "staff, admin", url: "https://" + host + "/admin/x", status: 200},
		{name: "not staff", url: "https://" + host + "/x", claims: object{"groups": nil}, status: 403, want: "rule"},
		{name: "not staff, names the group of scripts", url: "https://" + host + "/x", claims: object{"groups": []string{"scripts"}}, status: 403, want: "rule"},
	})
	for _, row := range []exampleRow{
		{name: "script", path: "/api/x", headers: []string{key}, status: 200, body: "X-User-From: scripts\nX-User: backup\n"},
		{name: "script, a change", method: "POST", path: "/api/x", headers: []string{key}, status: 403, body: "denied"},
		{name: "script, admin", path: "/admin/x", headers: []string{key}, status: 403, body: "rule"},
		{name: "script with a wrong key", path: "/api/x", headers: []string{key + "x"}, status: 401, body: "bad_api_key"},
		{name: "script without a key", path: "/api/x", status: 401, body: "missing_credential"},
		{name: "webhook", method: "POST", path: "/webhooks/payments", headers: []string{"X-Signature: s", "X-User: root"}, status: 200, body: "in\nX-Signature: s\n"},
		{name: "webhook by another method", path: "/webhooks/payments", status: 401, body: "missing_credential"},
		{name: "another webhook", method: "POST", path: "/webhooks/other", status: 401, body: "missing_credential"},
		{name: "health", path: "/health", status: 200, body: "in\n"},
	} {
		row.host = host
		t.Run(row.name, func(t *testing.T) { row.send(t, addr) })
	}
}
