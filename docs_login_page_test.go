package admit

import (
	"encoding/json"
	"maps"
	"net/url"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// The first site of docs/login.md does what the page says: people come back to where
// they wanted to go, programs are told where to log in, a page's script learns who it
// is.
func TestLoginFirstSite(t *testing.T) {
	doc := readDoc(t, "docs/login.md")
	t.Setenv("APP_SECRET", clientSecret)
	config := adaptTree(t, doc.first("caddyfile").text)
	p, _ := providerFor(t, config, "corp", object{"groups": []string{"staff"}})
	addr := runBehindProxy(t, config)
	const site, deep = "https://app.example.com", "/orders?page=2&q=%2F"
	b := newBrowser(t, behindProxy(addr))
	if resp, body := b.open(site + deep); resp.StatusCode != 200 || resp.Request.URL.RequestURI() != deep || !strings.Contains(body, "X-User: ada\n") {
		t.Errorf("got %d at %v: %s", resp.StatusCode, resp.Request.URL, body)
	}
	if asked := p.login().asked; asked.Get("redirect_uri") != site+"/oauth2/callback" {
		t.Errorf("redirect URI %s", asked.Get("redirect_uri"))
	}
	var me map[string]any
	_, body := b.open(site + "/oauth2/userinfo")
	if err := json.Unmarshal([]byte(body), &me); err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"id", "integration", "groups", "claims", "session_expires"} {
		if me[name] == nil || !strings.Contains(doc.text, "`"+name+"`") {
			t.Errorf("userinfo, %s: got %v", name, me)
		}
	}
	row := exampleRow{host: "app.example.com", path: deep, headers: []string{"X-Forwarded-Proto: https"}, status: 401, body: strings.TrimSpace(doc.first("jsonc").text)}
	row.send(t, addr)
}

// The site with a way in of one's own lets people in while the provider is down.
func TestLoginWayIn(t *testing.T) {
	t.Setenv("APP_SECRET", clientSecret)
	for _, f := range readDoc(t, "docs/login.md").fences() {
		if f.info != "caddyfile" || !strings.Contains(f.text, "admit emergency {") {
			continue
		}
		config := adaptTree(t, f.text)
		p, _ := providerFor(t, config, "corp", nil)
		p.Close()
		b := newBrowser(t, behindProxy(runBehindProxy(t, config)))
		const site = "https://app.example.com"
		if _, page := b.open(site + "/x"); !strings.Contains(page, "integration=corp") || !strings.Contains(page, "integration=emergency") {
			t.Errorf("no choice: %s", page)
		}
		if resp, _ := b.open(site + "/oauth2/login?integration=corp&return_to=/x"); resp.StatusCode != 503 {
			t.Errorf("the provider: %d", resp.StatusCode)
		}
		resp, body := b.send(site+"/oauth2/login", url.Values{"integration": {"emergency"}, "username": {"admin"}, "password": {"ada-demo"}, "return_to": {"/x"}})
		if resp.StatusCode != 200 || !strings.Contains(body, "X-User-From: emergency\nX-User: admin\n") {
			t.Errorf("the way in: %d %s", resp.StatusCode, body)
		}
		return
	}
	t.Error("the page has no such site")
}

// The site of docs/from-oauth2-proxy.md tells the application what oauth2-proxy
// would, and leaves the same paths alone.
func TestFromOAuth2ProxySite(t *testing.T) {
	t.Setenv("APP_SECRET", clientSecret)
	config := adaptTree(t, readDoc(t, "docs/from-oauth2-proxy.md").first("caddyfile").text)
	p, as := providerFor(t, config, "corp", object{"groups": []string{"staff", "ops"}})
	addr := runBehindProxy(t, config)
	const site = "https://app.example.com"
	visit(t, addr, as, []visitRow{
		{name: "staff", url: site + "/x?rd=1", status: 200, want: "in\nX-Auth-Request-Email: ada@example.com\nX-Auth-Request-Groups: staff,ops\nX-Auth-Request-User: ada\n"},
		{name: "another domain", url: site + "/", claims: object{"email": "ada@example.com.evil.example"}, status: 403, want: "rule"},
		{name: "an address that is not verified", url: site + "/", claims: object{"email_verified": false}, status: 403, want: "rule"},
		{name: "not staff", url: site + "/", claims: object{"groups": []string{"ops"}}, status: 403, want: "rule"},
	})
	if asked := p.login().asked.Get("redirect_uri"); asked != site+"/oauth2/callback" {
		t.Errorf("redirect URI %s", asked)
	}
	for _, row := range []exampleRow{
		{name: "health", path: "/health", status: 200, body: "in\n"},
		{name: "health, a change", method: "POST", path: "/health", status: 401},
		{name: "webhook", method: "POST", path: "/webhooks/x", headers: []string{"X-Auth-Request-User: root"}, status: 200, body: "in\n"},
		{name: "webhook, by another path", method: "POST", path: "/webhooks/../x", status: 401},
	} {
		row.host = "app.example.com"
		t.Run(row.name, func(t *testing.T) { row.send(t, addr) })
	}
}

// The commands of docs/login.md print what the page shows.
func TestLoginCommands(t *testing.T) {
	doc := readDoc(t, "docs/login.md")
	file := filepath.Join(t.TempDir(), "Caddyfile")
	if err := os.WriteFile(file, []byte(doc.first("caddyfile").text), 0o600); err != nil {
		t.Fatal(err)
	}
	got, _, err := runCommand("urls", "--config", file)
	if want := doc.first("text").text; err != nil || got != want {
		t.Errorf("got %q, %v, want %q", got, err, want)
	}
	for _, command := range []string{"caddy admit urls --config Caddyfile", "caddy admit revoke corp ada"} {
		if !strings.Contains(doc.text, "\n"+command+"\n") {
			t.Errorf("the page has no %q", command)
		}
	}
	p := newProvider(t)
	p.offline = true
	p.idClaims = func(_ url.Values, claims object) {
		claims["sub"], claims["email"], claims["email_verified"] = "ada", "ada@example.com", true
	}
	f, _, admin := serveAdmin(t, p.integration(loginSite{}), loginSite{}.body(t))
	b := f.web()
	b.logIn()
	if said := command(t, admin, "sessions", "corp"); !strings.Contains(said, " ada ") {
		t.Errorf("sessions: %s", said)
	}
	const nothing = "Nothing was there under this id."
	if said := command(t, admin, "revoke", "corp", "ada@example.com"); !strings.Contains(said, nothing) || !b.isIn() {
		t.Errorf("revoke of an address that is no id: %s", said)
	}
	if said := command(t, admin, "revoke", "corp", "ada"); !strings.Contains(said, "1 session,") || strings.Contains(said, nothing) || b.isIn() {
		t.Errorf("revoke: %s", said)
	}
}

// The line of the log in docs/login.md is that of a login with a wrong secret.
func TestLoginLogLine(t *testing.T) {
	shown := object{}
	for _, f := range readDoc(t, "docs/login.md").fences() {
		if f.info == "jsonc" && strings.Contains(f.text, "login refused") {
			if err := json.Unmarshal([]byte(f.text), &shown); err != nil {
				t.Fatal(err)
			}
		}
	}
	p := newProvider(t)
	f, _ := p.serveLogin(loginSite{secret: "client_secret wrong"})
	b := f.web()
	b.refused(b.open("/x"), 403, "login_refused")
	entries := f.entries("login refused")
	if len(entries) != 1 {
		t.Fatalf("%d lines", len(entries))
	}
	got := object(entries[0])
	for _, differs := range []string{"ts", "client_ip", "host", "request_id"} {
		if got[differs] == nil {
			t.Errorf("%s is missing", differs)
		}
		delete(got, differs)
	}
	if !maps.Equal(got, shown) {
		t.Errorf("got %v, the page shows %v", got, shown)
	}
}

// The table of causes has each one that there is, with codes that are known.
func TestLoginCauses(t *testing.T) {
	source, err := os.ReadFile("oauth/loginerror.go")
	if err != nil {
		t.Fatal(err)
	}
	want := map[string]bool{}
	for _, m := range regexp.MustCompile(`Cause\w+\s+= "(\w+)"`).FindAllStringSubmatch(string(source), -1) {
		want[m[1]] = false
	}
	quoted := regexp.MustCompile("`(\\w+)`")
	for _, row := range readDoc(t, "docs/login.md").rows("When it does not work") {
		if len(row) != 3 {
			continue
		}
		for _, m := range quoted.FindAllStringSubmatch(row[0], -1) {
			if _, known := want[m[1]]; !known {
				t.Errorf("%s: no such cause", m[1])
			}
			want[m[1]] = true
		}
	}
	for cause, told := range want {
		if !told {
			t.Errorf("%s is missing", cause)
		}
	}
	inLog := regexp.MustCompile("log: `(\\w+)`")
	for _, doc := range documents(t) {
		for _, m := range inLog.FindAllStringSubmatch(doc.text, -1) {
			if !want[m[1]] {
				t.Errorf("%s: %s: no such cause", doc.name, m[1])
			}
		}
	}
}
