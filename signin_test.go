package admit

import (
	"bufio"
	"fmt"
	"net/http"
	"net/url"
	"os"
	"slices"
	"strings"
	"testing"
)

// A browser that nobody knows is sent to log in and comes back to the page that it
// asked for (issue 4).
func TestSignIn(t *testing.T) {
	f, _ := serveHome(t, homeIntegration(t, "home", ""), "admit {\nlogin\nrequire /admin/* groups admin\n}\n"+upstream(t))
	b := f.browser()
	a := b.visit("/admin/x?a=1&b=%2F%3F&c")
	want := "/oauth2/login?return_to=" + url.QueryEscape("/admin/x?a=1&b=%2F%3F&c")
	if a.StatusCode != 302 || location(a) != want || a.Header.Get("Cache-Control") != "no-store" || a.Header.Get("WWW-Authenticate") != "" {
		t.Fatalf("got %d to %q, want %q; %v", a.StatusCode, location(a), want, a.Header)
	}
	form := b.visit(location(a), "Sec-Fetch-Site: same-origin")
	if form.StatusCode != 200 || !strings.Contains(form.body, `name="return_to" value="/admin/x?a=1&amp;b=%2F%3F&amp;c"`) || !strings.Contains(form.body, `action="/oauth2/login"`) {
		t.Fatalf("form %d:\n%s", form.StatusCode, form.body)
	}
	checkForm(t, form)
	a = b.post("/oauth2/login", signInForm("ada", adaPassword, "/admin/x?a=1&b=%2F%3F&c"))
	if a.StatusCode != 303 || location(a) != "/admin/x?a=1&b=%2F%3F&c" || a.body != "" {
		t.Fatalf("signed in: %d to %q: %s", a.StatusCode, location(a), a.body)
	}
	// threat 49
	if cc := a.Header["Cache-Control"]; len(cc) != 1 || !strings.Contains(cc[0], "no-store") {
		t.Errorf("Cache-Control %q", cc)
	}
	for _, cookie := range a.Cookies() {
		if !strings.HasPrefix(cookie.Name, "__Host-admit-home") || !cookie.Secure || !cookie.HttpOnly || cookie.SameSite != http.SameSiteLaxMode || cookie.Path != "/" || cookie.Domain != "" {
			t.Errorf("cookie %s", cookie.Raw)
		}
	}
	got := b.visit(location(a)).seen(t)
	if got.URI != "/admin/x?a=1&b=%2F%3F&c" || got.Header.Get("Cookie") != "" {
		t.Errorf("the application saw %v", got)
	}
	// Nobody else is in.
	if a := f.browser().visit("/x"); a.StatusCode != 302 {
		t.Errorf("somebody else: %d", a.StatusCode)
	}
}

// threats 79, 82: an unknown user, a wrong password, a disabled user and one whose
// password is too long for bcrypt are answered alike.
func TestSignInAlike(t *testing.T) {
	file, _ := usersFile(t, userMember(t, "ada", adaPassword, "")+","+userMember(t, "bob", bobPassword, "")+","+userMember(t, "eve", adaPassword, `, "disabled": true`))
	f, _ := serveHome(t, "admit home {\nusers "+file+"\ntokens\nbasic\n}", "admit {\nlogin\n}\n"+upstream(t))
	var first string
	for _, tc := range []struct{ name, user, password string }{
		{"wrong password", "ada", "x"},
		{"unknown", "mallory", adaPassword},
		{"disabled", "eve", adaPassword},
		{"another case", "Ada", adaPassword},
		{"a space", "ada ", adaPassword},
		{"no password", "ada", ""},
		{"nobody", "", ""},
		{"too long", "bob", strings.Repeat("x", 73)},
		{"NUL", "bob", bobPassword + "\x00"},
		{"markup", `"><script>alert(1)</script>{{.}}{http.request.uuid}`, "x"},
	} {
		a := f.browser().post("/oauth2/login", signInForm(tc.user, tc.password, "/x"))
		if a.StatusCode != 401 || len(a.Cookies()) > 0 || a.Header.Get("Cache-Control") != "no-store" {
			t.Errorf("%s: %d %v", tc.name, a.StatusCode, a.Header)
		}
		checkForm(t, a)
		a.Header.Del("Date")
		a.Header.Del("Content-Length")
		// threats 93, 95: what was typed is text.
		escaped := strings.NewReplacer(`"`, "&#34;", "<", "&lt;", ">", "&gt;").Replace(tc.user)
		if !strings.Contains(a.body, ` value="`+escaped+`">`) {
			t.Errorf("%s: the name is not there:\n%s", tc.name, a.body)
		}
		all := fmt.Sprint(a.Header, strings.ReplaceAll(strings.ReplaceAll(a.body, ` value="`+escaped+`">`, ` value="">`), " autofocus", ""))
		if first == "" {
			first = all
		}
		if all != first {
			t.Errorf("%s:\n%s\nnot\n%s", tc.name, all, first)
		}
		// So do the token endpoint and Basic.
		token := f.ask("POST", "localhost", "/oauth2/token", formType, "body:"+url.Values{"grant_type": {"password"}, "username": {tc.user}, "password": {tc.password}}.Encode())
		if want := `{"error":"invalid_grant"}`; tc.user != "" && tc.password != "" && (token.StatusCode != 400 || strings.TrimSpace(token.body) != want) {
			t.Errorf("%s: token endpoint %d %s", tc.name, token.StatusCode, token.body)
		}
	}
}

// threat 78: who guesses is slowed down, and told so.
func TestSignInLocked(t *testing.T) {
	f, _ := serveHome(t, homeIntegration(t, "home", "tokens"), "admit {\nlogin\n}\n"+upstream(t))
	var a answered
	for i := range 7 {
		a = f.browser().post("/oauth2/login", signInForm([]string{"ada", "ADA", "ada ", "ａｄａ"}[i%4], fmt.Sprint("x", i), "/deep"))
	}
	if a.StatusCode != 429 || a.Header.Get("Retry-After") != "1" || !strings.Contains(a.body, "Too many attempts") || !strings.Contains(a.body, `value="/deep"`) {
		t.Fatalf("got %d %v\n%s", a.StatusCode, a.Header, a.body)
	}
	checkForm(t, a)
	// Nor does the right password help, here or at the token endpoint.
	if a := f.browser().post("/oauth2/login", signInForm("ada", adaPassword, "/")); a.StatusCode != 429 {
		t.Errorf("right password: %d", a.StatusCode)
	}
	a = f.ask("POST", "localhost", "/oauth2/token", formType, "body:grant_type=password&username=ada&password="+adaPassword)
	if a.StatusCode != 429 || a.Header.Get("Retry-After") != "1" || strings.TrimSpace(a.body) != `{"error":"slow_down"}` {
		t.Errorf("token endpoint: %d %v %s", a.StatusCode, a.Header, a.body)
	}
	// Others are not.
	if a := f.browser().post("/oauth2/login", signInForm("bob", bobPassword, "/")); a.StatusCode != 303 {
		t.Errorf("bob: %d", a.StatusCode)
	}
	// One line an attack.
	locked := 0
	for _, entry := range f.entries("") {
		if entry["reason"] == "locked_out" && entry["level"] != "debug" {
			locked++
		}
	}
	if locked != 1 {
		t.Errorf("%d lines about an attack, want 1", locked)
	}
}

// threats 55, 85: only a form of a page of this site signs in.
func TestSignInRequests(t *testing.T) {
	f, _ := serveHome(t, homeIntegration(t, "home", ""), "admit {\nlogin\n}\n"+upstream(t))
	right := signInForm("ada", adaPassword, "/").Encode()
	for _, tc := range []struct {
		name, method, target string
		headers              []string
		status               int
	}{
		{"a form", "POST", "/oauth2/login", []string{formType, "body:" + right}, 303},
		{"of the same origin", "POST", "/oauth2/login", []string{"Sec-Fetch-Site: same-origin", formType, "body:" + right}, 303},
		{"old browser", "POST", "/oauth2/login", []string{"Origin: http://localhost", formType, "body:" + right}, 303},
		{"with parameters", "POST", "/oauth2/login", []string{"Content-Type: application/x-www-form-urlencoded; charset=utf-8", "body:" + right}, 303},
		{"another site", "POST", "/oauth2/login", []string{"Sec-Fetch-Site: cross-site", formType, "body:" + right}, 403},
		{"a sibling", "POST", "/oauth2/login", []string{"Sec-Fetch-Site: same-site", formType, "body:" + right}, 403},
		{"another origin", "POST", "/oauth2/login", []string{"Origin: http://evil.example", formType, "body:" + right}, 403},
		{"another port", "POST", "/oauth2/login", []string{"Origin: http://localhost:81", formType, "body:" + right}, 403},
		{"null origin", "POST", "/oauth2/login", []string{"Origin: null", formType, "body:" + right}, 403},
		{"two origins", "POST", "/oauth2/login", []string{"Origin: http://localhost", "Origin: http://localhost", formType, "body:" + right}, 403},
		{"JSON", "POST", "/oauth2/login", []string{"Content-Type: application/json", `body:{"username":"ada","password":"` + adaPassword + `"}`}, 400},
		{"text", "POST", "/oauth2/login", []string{"Content-Type: text/plain", "body:" + right}, 400},
		{"multipart", "POST", "/oauth2/login", []string{"Content-Type: multipart/form-data; boundary=x", "body:--x\r\nContent-Disposition: form-data; name=\"username\"\r\n\r\nada\r\n--x--"}, 400},
		{"no type", "POST", "/oauth2/login", []string{"body:" + right}, 400},
		{"not a form", "POST", "/oauth2/login", []string{formType, "body:username=%zz"}, 400},
		{"huge", "POST", "/oauth2/login", []string{formType, "body:" + right + "&x=" + strings.Repeat("x", maxForm)}, 400},
		{"in the query", "GET", "/oauth2/login?" + right, nil, 200},
		{"in the query, posted", "POST", "/oauth2/login?" + right, []string{formType, "body:"}, 401},
		{"GET with a body", "GET", "/oauth2/login", []string{formType, "body:" + right}, 200},
		{"HEAD", "HEAD", "/oauth2/login?" + right, nil, 200},
		{"PUT", "PUT", "/oauth2/login", []string{formType, "body:" + right}, 405},
		{"override", "GET", "/oauth2/login", []string{"X-HTTP-Method-Override: POST", formType, "body:" + right}, 200},
		{"other integration", "POST", "/oauth2/login", []string{formType, "body:integration=other&" + right}, 401},
	} {
		a := f.ask(tc.method, "localhost", tc.target, tc.headers...)
		if a.StatusCode != tc.status || (len(a.Cookies()) > 0) != (tc.status == 303) || !strings.Contains(a.Header.Get("Cache-Control"), "no-store") {
			t.Errorf("%s: %d %v, want %d\n%s", tc.name, a.StatusCode, a.Header, tc.status, a.body)
		}
		if tc.status == 405 && a.Header.Get("Allow") != "GET, HEAD, POST" {
			t.Errorf("%s: Allow %q", tc.name, a.Header.Get("Allow"))
		}
		if strings.Contains(a.body, adaPassword) {
			t.Errorf("%s: the password is in the answer", tc.name)
		}
	}
}

// threats 56, 63: a return target stays on this site.
func TestReturnTarget(t *testing.T) {
	f, _ := serveHome(t, homeIntegration(t, "home", ""), "admit {\nlogin\n}\n"+upstream(t))
	b := f.browser()
	login := func(target string) string {
		return location(b.post("/oauth2/login", signInForm("ada", adaPassword, target)))
	}
	for _, tc := range [][2]string{
		{"/x?y=1", "/x?y=1"},
		{"", "/"},
		{"/oauth2/login", "/"},
		{"/oauth2/logout", "/"},
		{"/oauth2/logout?return_to=/x", "/"},
		{"/%6fauth2/logout", "/"},
		{"/oauth2/%6Cogout", "/"},
		{"/oauth2x", "/oauth2x"},
		{"/" + strings.Repeat("x", 2047), "/" + strings.Repeat("x", 2047)},
		{"/" + strings.Repeat("x", 2048), "/"},
		{"/x\r\nSet-Cookie: a=b", "/"},
		{"/{http.request.uuid}", "/{http.request.uuid}"}, // threat 95
	} {
		if got := login(tc[0]); got != tc[1] {
			t.Errorf("%q: sent to %q, want %q", tc[0], got, tc[1])
		}
	}
	for line := range openRedirects(t) {
		for _, target := range []string{line, "/" + line} {
			got := login(target)
			if target == line && !harmless(got) {
				t.Errorf("login: %q: sent to %q", target, got)
			}
			if b.cookies["__Host-admit-home"] == "" {
				b.signIn()
			}
			out := b.goOn(b.visit("/oauth2/logout?" + url.Values{"return_to": {target}}.Encode()))
			if target != "" && out.StatusCode != 303 || target != "" && !harmless(location(out)) {
				t.Errorf("logout: %q: %d to %q", target, out.StatusCode, location(out))
			}
		}
	}
}

// checkForm fails unless the answer is a page with a form and without scripts,
// which only this site may be sent (threat 93).
func checkForm(t *testing.T, a answered) {
	t.Helper()
	h := a.Header
	policy := h.Get("Content-Security-Policy")
	for _, part := range []string{"default-src 'none'; ", "frame-ancestors 'none'", "base-uri 'none'", "form-action 'self'"} {
		if !strings.Contains(policy, part) {
			t.Errorf("policy %q without %s", policy, part)
		}
	}
	// threat 68: browsers say where a form was sent from to this site alone.
	if h.Get("X-Content-Type-Options") != "nosniff" || h.Get("Referrer-Policy") != "same-origin" || h.Get("X-Frame-Options") != "DENY" || h.Get("Content-Type") != "text/html; charset=utf-8" {
		t.Errorf("header %v", h)
	}
	if strings.Contains(a.body, "<script") || !strings.Contains(a.body, `<form method="post" action="/`) {
		t.Errorf("page:\n%s", a.body)
	}
}

// openRedirects are the 559 lines of oauth2-proxy's list, decoded once.
func openRedirects(t *testing.T) map[string]bool {
	t.Helper()
	file, err := os.Open("testdata/open-redirect/oauth2-proxy-openredirects.txt")
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	lines := map[string]bool{}
	n := 0
	for scanner := bufio.NewScanner(file); scanner.Scan(); n++ {
		decoded, err := url.QueryUnescape(scanner.Text())
		if err != nil {
			decoded = scanner.Text()
		}
		lines[decoded], lines[scanner.Text()] = true, true
	}
	if n != 559 {
		t.Errorf("%d lines", n)
	}
	return lines
}

// harmless reports whether a browser stays on the site that sends it there.
func harmless(target string) bool {
	seen := strings.NewReplacer("\t", "", "\n", "", "\r", "", `\`, "/").Replace(target)
	u, err := url.Parse(target)
	return err == nil && strings.HasPrefix(seen, "/") && !strings.HasPrefix(seen, "//") && u.Host == "" && u.Scheme == "" &&
		!slices.Contains(strings.Split(u.Path, "/"), "..") && !strings.HasPrefix(u.Path, "//")
}
