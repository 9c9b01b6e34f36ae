package admit

import (
	"fmt"
	"maps"
	"net/url"
	"slices"
	"strings"
	"testing"
)

// threats 45, 75: a page of this site, or somebody who typed the address, logs out;
// another site has to ask.
func TestLogout(t *testing.T) {
	f, _ := serveHome(t, homeIntegration(t, "home", ""), "admit {\nlogin\n}\n"+upstream(t))
	page := func(site string) []string { return append(slices.Clone(navigation), "Sec-Fetch-Site: "+site) }
	for _, tc := range []struct {
		name, method string
		headers      []string
		out          bool
	}{
		{"typed", "GET", page("none"), true},
		{"a link of this site", "GET", page("same-origin"), true},
		{"a link of another site", "GET", page("cross-site"), false},
		{"a link of a sibling", "GET", page("same-site"), false},
		{"an image of this site", "GET", []string{"Sec-Fetch-Site: same-origin", "Sec-Fetch-Mode: no-cors", "Sec-Fetch-Dest: image"}, false},
		{"an image of another site", "GET", []string{"Sec-Fetch-Site: cross-site", "Sec-Fetch-Mode: no-cors", "Sec-Fetch-Dest: image"}, false},
		{"prefetch", "GET", append(page("same-origin"), "Sec-Purpose: prefetch"), false},
		{"prerender", "GET", append(page("same-origin"), "Sec-Purpose: prefetch;prerender"), false},
		{"old browser", "GET", []string{"Accept: text/html"}, false},
		{"a form", "POST", []string{formType, "body:"}, true},
		{"a form of this site", "POST", append(page("same-origin"), formType, "body:return_to="), true},
		{"a form of an old browser", "POST", []string{"Origin: http://localhost", formType, "body:"}, true},
		{"a script without a form", "POST", append(slices.Clone(script), "Sec-Fetch-Site: same-origin"), true},
		{"a form of another site", "POST", append(page("cross-site"), formType, "body:"), false},
		{"a form of another origin", "POST", []string{"Origin: https://evil.example", formType, "body:"}, false},
		{"a form of nowhere", "POST", []string{"Origin: null", formType, "body:"}, false},
	} {
		b := f.browser().signIn()
		stolen := maps.Clone(b.cookies)
		a := b.do(tc.method, "/oauth2/logout", tc.headers...)
		if a.StatusCode != 200 || !strings.Contains(a.Header.Get("Cache-Control"), "no-store") || (len(a.Cookies()) > 0) != tc.out {
			t.Errorf("%s: %d %v", tc.name, a.StatusCode, a.Header)
		}
		if !tc.out {
			checkForm(t, a) // asks
		} else {
			checkPage(t, a)
		}
		for _, cookie := range a.Cookies() {
			if cookie.MaxAge >= 0 || cookie.Path != "/" || cookie.Domain != "" || !cookie.Secure || !cookie.HttpOnly || cookie.Value != "" {
				t.Errorf("%s: not deleted: %s", tc.name, cookie.Raw)
			}
		}
		// A copy of the cookie is dead, too (threat 45).
		for _, b := range []*localBrowser{b, {f, "localhost", stolen}} {
			if a := b.visit("/x"); a.reached() == tc.out {
				t.Errorf("%s: %d, want out %v", tc.name, a.StatusCode, tc.out)
			}
		}
	}
}

// After logging out one comes to where the page asked, on this site.
func TestLogoutTarget(t *testing.T) {
	f, _ := serveHome(t, homeIntegration(t, "home", ""), "admit {\nlogin\nbypass /bye\n}\n"+upstream(t))
	for _, tc := range []struct{ query, form, want string }{
		{"/bye", "", "/bye"},
		{"", "/bye?x", "/bye?x"},
		{"/a", "/b", "/b"},
		{"//evil.example", "", "/"},
		{"", "https://evil.example", "/"},
		{"/oauth2/login", "", "/"},
	} {
		b := f.browser().signIn()
		a := b.goOn(b.post("/oauth2/logout?"+url.Values{"return_to": {tc.query}}.Encode(), url.Values{"return_to": {tc.form}}))
		if a.StatusCode != 303 || location(a) != tc.want || len(b.cookies) > 0 {
			t.Errorf("%v: %d to %q; %v", tc, a.StatusCode, location(a), b.cookies)
		}
	}
	// Who asks first keeps the target, and is not signed out until the button is pressed.
	b := f.browser().signIn()
	a := b.do("GET", "/oauth2/logout?return_to=/bye", append(slices.Clone(navigation), "Sec-Fetch-Site: cross-site")...)
	if !strings.Contains(a.body, `action="/oauth2/logout"`) || !strings.Contains(a.body, `name="return_to" value="/bye"`) || len(b.cookies) == 0 {
		t.Errorf("%v\n%s", b.cookies, a.body)
	}
	// A program never sees a redirect.
	for _, form := range []url.Values{nil, {"return_to": {"/bye"}}} {
		b := f.browser().signIn()
		a := b.do("POST", "/oauth2/logout?return_to=/bye", append(slices.Clone(script), "Sec-Fetch-Site: same-origin", formType, "body:"+form.Encode())...)
		if a.StatusCode != 200 || location(a) != "" || a.Header.Get("Refresh") != "" || !strings.Contains(a.body, "signed out") || len(b.cookies) > 0 {
			t.Errorf("a script with %v: %d %v", form, a.StatusCode, a.Header)
		}
	}
	// Nobody is signed in: nothing goes wrong.
	if a := f.browser().post("/oauth2/logout", nil); a.StatusCode != 200 || !strings.Contains(a.body, "signed out") {
		t.Errorf("nobody: %d\n%s", a.StatusCode, a.body)
	}
	if a := f.browser().visit("/oauth2/logged-out"); a.StatusCode != 200 {
		t.Errorf("logged-out: %d", a.StatusCode)
	}
}

// threat 46: a login ends the session that the browser had, and takes a new id.
func TestNoFixation(t *testing.T) {
	f, _ := serveHome(t, homeIntegration(t, "home", ""), "admit {\nlogin\n}\n"+upstream(t))
	b := f.browser().signIn()
	old := maps.Clone(b.cookies)
	a := b.post("/oauth2/login", signInForm("bob", bobPassword, "/"))
	if a.StatusCode != 303 || maps.Equal(old, b.cookies) {
		t.Fatalf("%d, cookies %v", a.StatusCode, b.cookies)
	}
	if info, _ := b.userinfo(); info.ID != "bob" {
		t.Errorf("signed in as %q", info.ID)
	}
	if a := (&localBrowser{f, "localhost", old}).visit("/x"); a.reached() {
		t.Error("the old session lives on")
	}
	// A failed login changes nothing.
	b.post("/oauth2/login", signInForm("ada", "x", "/"))
	if info, _ := b.userinfo(); info.ID != "bob" {
		t.Errorf("signed in as %q", info.ID)
	}
}

// Two gates on one host: each sends to the login of its own, one sees who is known
// to the other only where both name the integration, and to log out ends all.
func TestTwoGates(t *testing.T) {
	f, _ := serveHome(t, homeIntegration(t, "home", "")+homeIntegration(t, "work", ""), `
		admit /home/* home {
			login
		}
		admit /desk/* work {
			login
		}
		admit /both/* home work {
			login
		}
		`+upstream(t))
	b := f.browser()
	work := b.visit("/desk/x")
	if got := location(work); got != "/oauth2/login?integration=work&return_to=%2Fdesk%2Fx" {
		t.Fatalf("work: sent to %q", got)
	}
	form := b.visit(location(work))
	if !strings.Contains(form.body, `name="integration" value="work"`) {
		t.Fatalf("work: %d\n%s", form.StatusCode, form.body)
	}
	values := signInForm("ada", adaPassword, "/desk/x")
	values.Set("integration", "work")
	if a := b.post("/oauth2/login", values); location(a) != "/desk/x" {
		t.Fatalf("signing in: %d to %q", a.StatusCode, location(a))
	}
	reached := func(want ...bool) {
		t.Helper()
		var got []bool
		for _, path := range []string{"/home/x", "/desk/x", "/both/x", "/other"} {
			got = append(got, b.visit(path).reached())
		}
		if !slices.Equal(got, want) {
			t.Errorf("let in: %v, want %v", got, want)
		}
	}
	reached(false, true, true, true)
	if info, status := b.userinfo(); status != 200 || info.Integration != "work" {
		t.Errorf("userinfo %d %+v", status, info)
	}
	if got := location(b.visit("/home/x")); got != "/oauth2/login?return_to=%2Fhome%2Fx" {
		t.Errorf("home: sent to %q", got)
	}
	b.signIn()
	reached(true, true, true, true)
	if len(b.cookies) != 2 {
		t.Errorf("cookies %v", b.cookies)
	}
	// No gate lets the cookies of the others through.
	for _, path := range []string{"/home/x", "/desk/x", "/both/x", "/other"} {
		if got := b.visit(path).seen(t); got.Header.Get("Cookie") != "" {
			t.Errorf("%s: the application saw %q", path, got.Header.Get("Cookie"))
		}
	}
	b.post("/oauth2/logout", nil)
	if len(b.cookies) > 0 {
		t.Errorf("cookies %v", b.cookies)
	}
	reached(false, false, false, true)
	// Both can log in at the third: a page to choose from, though the first answers.
	a := b.visit(location(b.visit("/both/x")))
	if a.StatusCode != 200 || !strings.Contains(a.body, "integration=work") && !strings.Contains(a.body, "integration=home") && !strings.Contains(a.body, `value="home"`) {
		t.Errorf("both: %d\n%s", a.StatusCode, a.body)
	}
}

// The userinfo endpoint says who somebody is, and nothing that opens anything.
func TestUserinfo(t *testing.T) {
	f, _ := serveHome(t, homeIntegration(t, "home", "tokens\nbasic"), "admit {\nlogin\norigins https://app.example\n}\n"+upstream(t))
	b := f.browser().signIn()
	info, status := b.userinfo()
	if status != 200 || info.ID != "ada" || info.Integration != "home" || fmt.Sprint(info.Groups) != "[staff admin]" || info.Claims["sub"] != "ada" || info.Expires == nil {
		t.Errorf("%d %+v", status, info)
	}
	a := b.do("GET", "/oauth2/userinfo", "Origin: https://app.example")
	if a.Header.Get("Access-Control-Allow-Origin") != "https://app.example" || a.Header.Get("Content-Type") != "application/json" || !strings.Contains(a.Header.Get("Cache-Control"), "no-store") {
		t.Errorf("header %v", a.Header)
	}
	for _, value := range b.cookies {
		if strings.Contains(a.body, value) || strings.Contains(a.body, "stamp") {
			t.Errorf("userinfo %s", a.body)
		}
	}
	if a := b.do("GET", "/oauth2/userinfo", "Origin: https://evil.example"); a.Header.Get("Access-Control-Allow-Origin") != "" {
		t.Errorf("header %v", a.Header)
	}
	for name, tc := range map[string]struct {
		header string
		status int
	}{
		"nobody":      {"X: y", 401},
		"password":    {basicHeader("ada", adaPassword), 200},
		"bad":         {basicHeader("ada", "x"), 401},
		"bad session": {"Cookie: __Host-admit-home=x", 401},
		"bad token":   {"Authorization: Bearer x", 401},
	} {
		a := f.ask("GET", "localhost", "/oauth2/userinfo", append(slices.Clone(navigation), tc.header)...)
		if a.StatusCode != tc.status || (a.Header.Get("WWW-Authenticate") != "") != (tc.status == 401) || location(a) != "" {
			t.Errorf("%s: %d %v", name, a.StatusCode, a.Header)
		}
	}
	if a := b.do("POST", "/oauth2/userinfo"); a.StatusCode != 405 || a.Header.Get("Allow") != "GET, HEAD" {
		t.Errorf("POST: %d %v", a.StatusCode, a.Header)
	}
}
