package admit

import (
	"fmt"
	"slices"
	"strings"
	"testing"
)

// threats 64, 66: only somebody who opens a page is sent to log in, and the
// application sees none of these requests.
func TestRedirect(t *testing.T) {
	f, _ := serveHome(t, homeIntegration(t, "home", ""), "admit {\nlogin\norigins https://app.example\n}\n"+upstream(t))
	html := "Accept: text/html"
	for _, tc := range []struct {
		name, method string
		headers      []string
		status       int
	}{
		{"a link", "GET", navigation, 302},
		{"from another site", "GET", append(slices.Clone(navigation), "Sec-Fetch-Site: cross-site"), 302},
		{"old browser", "GET", []string{html}, 302},
		{"navigation without destination", "GET", []string{"Sec-Fetch-Mode: navigate"}, 302},
		{"a form", "POST", navigation, 401},
		{"a form of an old browser", "POST", []string{html}, 401},
		{"HEAD", "HEAD", navigation, 401},
		{"PUT", "PUT", navigation, 401},
		{"fetch", "GET", script, 401},
		{"fetch of HTML", "GET", []string{"Sec-Fetch-Mode: cors", html}, 401},
		{"XHR of an old browser", "GET", []string{html, "X-Requested-With: XMLHttpRequest"}, 401},
		{"image", "GET", []string{"Sec-Fetch-Mode: no-cors", "Sec-Fetch-Dest: image", html}, 401},
		{"frame", "GET", []string{"Sec-Fetch-Mode: navigate", "Sec-Fetch-Dest: iframe", html}, 401},
		{"object", "GET", []string{"Sec-Fetch-Mode: navigate", "Sec-Fetch-Dest: object", html}, 401},
		{"prefetch", "GET", append(slices.Clone(navigation), "Sec-Purpose: prefetch;prerender"), 401},
		{"old prefetch", "GET", append(slices.Clone(navigation), "Purpose: prefetch"), 401},
		{"prefetch of old Firefox", "GET", append(slices.Clone(navigation), "X-Moz: prefetch"), 401},
		{"socket", "GET", []string{"Sec-Fetch-Mode: websocket", "Connection: Upgrade", "Upgrade: websocket"}, 401},
		{"socket by navigation", "GET", append(slices.Clone(navigation), "Connection: Upgrade", "Upgrade: websocket"), 401},
		{"API client", "GET", nil, 401},
		{"anything accepted", "GET", []string{"Accept: */*"}, 401},
		{"preflight of nobody", "OPTIONS", []string{"Origin: https://evil.example", "Access-Control-Request-Method: PUT"}, 401},
		{"preflight", "OPTIONS", []string{"Origin: https://app.example", "Access-Control-Request-Method: PUT"}, 200},
		{"bad token", "GET", append(slices.Clone(navigation), "Authorization: Basic eDp5"), 302},
	} {
		a := f.ask(tc.method, "localhost", "/favicon.ico", tc.headers...)
		if a.StatusCode != tc.status || (location(a) != "") != (tc.status == 302) || a.reached() != (tc.status == 200) {
			t.Errorf("%s: %d to %q, want %d: %s", tc.name, a.StatusCode, location(a), tc.status, a.body)
		}
		if (a.Header.Get("WWW-Authenticate") != "") != (tc.status == 401) || len(a.Cookies()) > 0 {
			t.Errorf("%s: %v", tc.name, a.Header)
		}
		if tc.status != 200 && a.Header.Get("Cache-Control") != "no-store" {
			t.Errorf("%s: Cache-Control %q", tc.name, a.Header.Get("Cache-Control"))
		}
	}
	// threat 63: what is too long to come back to is the start page.
	if a := f.browser().visit("/" + strings.Repeat("x", 2100)); location(a) != "/oauth2/login?return_to=%2F" {
		t.Errorf("long target: sent to %q", location(a))
	}
	// What is not of this site is not passed on as a target that works.
	a := f.browser().visit("//evil.example/x")
	if form := f.browser().visit(location(a)); a.StatusCode != 302 || !strings.Contains(form.body, `name="return_to" value="/"`) {
		t.Errorf("two slashes: %d to %q:\n%s", a.StatusCode, location(a), form.body)
	}
}

// Plain http on a far host cannot log in: a page and a log line, never a loop.
func TestPlainHTTP(t *testing.T) {
	f, _ := serveHome(t, homeIntegration(t, "home", ""), "admit {\nlogin\n}\n"+upstream(t))
	for _, tc := range []struct {
		host   string
		secure bool
	}{
		{"localhost", true},
		{"localhost:8080", true},
		{"app.localhost", true},
		{"127.0.0.1", true},
		{"[::1]:80", true},
		{"a.example", false},
		{"192.0.2.1", false},
		{"localhost.evil.example", false},
		{"evil-localhost", false},
		{"127.0.0.1.example", false},
	} {
		b := f.browser()
		b.host = tc.host
		gate, form := b.visit("/x"), b.visit("/oauth2/login")
		post := b.post("/oauth2/login", signInForm("ada", adaPassword, "/"))
		want := []int{302, 200, 303}
		if !tc.secure {
			want = []int{401, 400, 400}
		}
		if got := []int{gate.StatusCode, form.StatusCode, post.StatusCode}; !slices.Equal(got, want) {
			t.Errorf("%s: %v, want %v", tc.host, got, want)
		}
		if !tc.secure && (!strings.Contains(gate.body, "https") || !strings.Contains(form.body, "https") || len(b.cookies) > 0) {
			t.Errorf("%s: pages do not say why:\n%s\n%s", tc.host, gate.body, form.body)
		}
	}
	lines := 0
	for _, entry := range f.entries("") {
		if text := fmt.Sprint(entry["msg"]); strings.Contains(text, "plain http") && entry["level"] != "debug" {
			lines++
		}
	}
	if lines == 0 {
		t.Error("no log line")
	}
}

// With public_url, or a proxy that is trusted, TLS may end elsewhere.
func TestPublicURLLogin(t *testing.T) {
	f, _ := serveHome(t, homeIntegration(t, "home", ""), "admit {\nlogin\npublic_url https://app.example\n}\n"+upstream(t))
	b := f.browser()
	b.host = "internal:8080"
	if a := b.visit("/x"); location(a) != "/oauth2/login?return_to=%2Fx" {
		t.Errorf("got %d to %q", a.StatusCode, location(a))
	}
	form := "body:" + signInForm("ada", adaPassword, "/x").Encode()
	if a := b.do("POST", "/oauth2/login", "Origin: https://app.example", formType, form); a.StatusCode != 303 {
		t.Errorf("signing in: %d %s", a.StatusCode, a.body)
	}
	if a := b.do("POST", "/oauth2/login", "Origin: https://evil.example", formType, form); a.StatusCode != 403 {
		t.Errorf("another origin: %d", a.StatusCode)
	}
}

// Several integrations to log in with: a page to choose from.
func TestChooser(t *testing.T) {
	f, _ := serveHome(t, homeIntegration(t, "home", "")+homeIntegration(t, "work", "")+homeIntegration(t, "third", ""), "admit home work third {\nlogin home work\n}\n"+upstream(t))
	b := f.browser()
	a := b.visit(location(b.visit("/x?y")))
	if a.StatusCode != 200 || strings.Contains(a.body, "<form") || strings.Contains(a.body, "third") {
		t.Fatalf("%d\n%s", a.StatusCode, a.body)
	}
	checkPage(t, a)
	for _, name := range []string{"home", "work"} {
		if !strings.Contains(a.body, `<a href="/oauth2/login?integration=`+name+`&amp;return_to=%2Fx%3Fy">`+name+"</a>") {
			t.Errorf("no link to %s:\n%s", name, a.body)
		}
	}
	form := b.visit("/oauth2/login?integration=work&return_to=%2Fx%3Fy")
	if !strings.Contains(form.body, `name="integration" value="work"`) {
		t.Errorf("form:\n%s", form.body)
	}
	values := signInForm("ada", adaPassword, "/x?y")
	values.Set("integration", "work")
	if a := b.post("/oauth2/login", values); location(a) != "/x?y" {
		t.Errorf("signing in: %d to %q", a.StatusCode, location(a))
	}
	if info, _ := b.userinfo(); info.Integration != "work" || b.cookies["__Host-admit-work"] == "" || b.cookies["__Host-admit-home"] != "" {
		t.Errorf("%+v %v", info, b.cookies)
	}
	// Not one that cannot log in here, and none that is not here at all.
	for _, name := range []string{"third", "none", ""} {
		values.Set("integration", name)
		if a := b.post("/oauth2/login", values); a.StatusCode == 303 {
			t.Errorf("%q: signed in", name)
		}
	}
}

// A gate in a block that does not include its endpoints says so.
func TestUnreachableLogin(t *testing.T) {
	gate := func(option string) string {
		return "handle /private/* {\nadmit {\nlogin\n" + option + "\n}\n" + upstream(t) + "\n}\nrespond public"
	}
	f, _ := serveHome(t, homeIntegration(t, "home", ""), gate(""))
	a := f.browser().visit("/private/x")
	if a.StatusCode != 500 || location(a) != "" {
		t.Errorf("got %d to %q", a.StatusCode, location(a))
	}
	found := false
	for _, entry := range f.entries("") {
		found = found || entry["level"] == "error" && strings.Contains(fmt.Sprint(entry["msg"]), `"endpoints"`)
	}
	if !found {
		t.Error("no log line")
	}
	if a := f.ask("GET", "localhost", "/private/x"); a.StatusCode != 401 {
		t.Errorf("API client: %d", a.StatusCode)
	}
	f.reload(homeIntegration(t, "home", ""), gate("endpoints /private/oauth2"))
	b := f.browser()
	a = b.visit("/private/x?y")
	if location(a) != "/private/oauth2/login?return_to=%2Fprivate%2Fx%3Fy" {
		t.Fatalf("got %d to %q", a.StatusCode, location(a))
	}
	if form := b.visit(location(a)); !strings.Contains(form.body, `action="/private/oauth2/login"`) {
		t.Errorf("form:\n%s", form.body)
	}
	a = b.post("/private/oauth2/login", signInForm("ada", adaPassword, "/private/x?y"))
	if a = b.visit(location(a)); !a.reached() {
		t.Errorf("signed in: %d %s", a.StatusCode, a.body)
	}
	if a := b.visit("/oauth2/login"); a.body != "public" {
		t.Errorf("outside: %d %s", a.StatusCode, a.body)
	}
}
