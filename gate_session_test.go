package admit

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"
)

// A session beside a credential that was sent on purpose is ignored, whether that
// is good or bad.
func TestSessionBesideCredential(t *testing.T) {
	f, _ := serveHome(t, homeIntegration(t, "home", "basic\ntokens\napi_key robot "+sha256Hex(robotKey)), "admit {\nlogin\nheader_up X-User {http.auth.user.id}\n}\n"+upstream(t))
	b := f.browser().signIn()
	for _, tc := range []struct {
		name, header string
		status       int
		user         string
	}{
		{"alone", "X: y", 200, "ada"},
		{"password", basicHeader("bob", bobPassword), 200, "bob"},
		{"bad password", basicHeader("bob", "x"), 401, ""},
		{"malformed", "Authorization: Basic !", 400, ""},
		{"API key", "X-API-Key: " + robotKey, 200, "robot"},
		{"bad API key", "X-API-Key: " + robotKey + "x", 401, ""},
		{"API key as a token", "Authorization: Bearer " + robotKey, 200, "robot"},
		{"bad token", "Authorization: Bearer a.b.c", 401, ""},
		{"another scheme", "Authorization: Digest x", 200, "ada"},
	} {
		a := b.visit("/x", tc.header)
		if a.StatusCode != tc.status {
			t.Errorf("%s: %d, want %d", tc.name, a.StatusCode, tc.status)
		} else if tc.status == 200 && a.seen(t).Header.Get("X-User") != tc.user {
			t.Errorf("%s: %v, want %s", tc.name, a.seen(t).Header, tc.user)
		}
		if len(b.cookies) == 0 {
			t.Errorf("%s: the session was ended", tc.name)
		}
	}
}

// threats 44, 47: whatever is done to the cookie, somebody is logged out, the
// cookie is deleted, and the browser is sent to log in: once.
func TestBrokenSession(t *testing.T) {
	f, _ := serveHome(t, homeIntegration(t, "home", "")+homeIntegration(t, "other", "")+
		homeIntegration(t, "twin", "session {\ncookie __Host-admit-home\n}"),
		"handle /other/* {\nadmit other {\nlogin\nendpoints /other/oauth2\n}\n"+upstream(t)+"\n}\nhandle /twin/* {\nadmit twin {\nlogin\nendpoints /twin/oauth2\n}\n"+upstream(t)+"\n}\nhandle {\nadmit home {\nlogin\n}\n"+upstream(t)+"\n}")
	const name = "__Host-admit-home"
	good := f.browser().signIn().cookies[name]
	other := f.browser()
	if a := other.post("/other/oauth2/login", signInForm("ada", adaPassword, "/")); a.StatusCode != 303 {
		t.Fatalf("other: %d", a.StatusCode)
	}
	for _, tc := range []struct{ name, cookies string }{
		{"cut", name + "=" + good[:len(good)-1]},
		{"cut in half", name + "=" + good[:len(good)/2]},
		{"longer", name + "=" + good + "A"},
		{"edited", name + "=" + edited(good, len(good)/2)},
		{"edited at its start", name + "=" + edited(good, 0)},
		{"edited at its end", name + "=" + edited(good, len(good)-1)},
		{"empty", name + "="},
		{"nothing but a second chunk", name + ".1=" + good},
		{"text", name + "=hello"},
		{"of another integration", name + "=" + other.cookies["__Host-admit-other"]},
		{"quoted", name + "=\"" + good + "\""},
		{"many chunks", name + "=x; " + name + ".1=x; " + name + ".999999999=x"},
		{"long", name + "=" + strings.Repeat("x", 9000)},
	} {
		cookie := "Cookie: " + tc.cookies
		a := f.ask("GET", "localhost", "/x?y", append(slices.Clone(navigation), cookie)...)
		if a.StatusCode != 302 || location(a) != "/oauth2/login?return_to=%2Fx%3Fy" || !strings.Contains(a.Header.Get("Cache-Control"), "no-store") {
			t.Errorf("%s: %d to %q", tc.name, a.StatusCode, location(a))
		}
		deleted := 0
		for _, c := range a.Cookies() {
			if strings.HasPrefix(c.Name, name) && c.MaxAge < 0 && c.Path == "/" && c.Secure {
				deleted++
			}
		}
		if deleted < 2 || deleted != len(a.Cookies()) {
			t.Errorf("%s: deleted %d of %v", tc.name, deleted, a.Header["Set-Cookie"])
		}
		// Not even a browser that keeps the cookie is sent round in a circle.
		if a := f.ask("GET", "localhost", location(a), append(slices.Clone(navigation), cookie)...); a.StatusCode != 200 {
			t.Errorf("%s: login page %d to %q", tc.name, a.StatusCode, location(a))
		}
		// One answer for every failure.
		if a := f.ask("GET", "localhost", "/x", cookie); a.StatusCode != 401 || !strings.Contains(a.body, `"reason":"session_invalid"`) {
			t.Errorf("%s: API client %d %s", tc.name, a.StatusCode, a.body)
		}
	}
	// A good one beside broken ones of the same name counts (threat 48).
	if a := f.browser().visit("/x", "Cookie: "+name+"=planted; "+name+"="+good+"; "+name+"="+good[1:]); !a.reached() {
		t.Errorf("planted cookies: %d", a.StatusCode)
	}
	// A session is not one of another integration, not even under the same name.
	for _, path := range []string{"/twin/x", "/other/x"} {
		if a := f.browser().visit(path, "Cookie: "+name+"="+good+"; __Host-admit-other="+good); a.reached() {
			t.Errorf("%s: let in", path)
		}
	}
}

func edited(text string, at int) string {
	c := byte('A')
	if text[at] == c {
		c = 'B'
	}
	return text[:at] + string(c) + text[at+1:]
}

// What changes something, or opens a socket, counts only from the site itself.
func TestSessionCrossOrigin(t *testing.T) {
	f, _ := serveHome(t, homeIntegration(t, "home", ""), "admit {\nlogin\norigins https://app.example\n}\n"+upstream(t))
	b := f.browser().signIn()
	for _, tc := range []struct {
		method, header string
		status         int
	}{
		{"GET", "Sec-Fetch-Site: cross-site", 200},
		{"POST", "Sec-Fetch-Site: same-origin", 200},
		{"POST", "Sec-Fetch-Site: cross-site", 403},
		{"POST", "Sec-Fetch-Site: same-site", 403},
		{"DELETE", "Origin: https://evil.example", 403},
		{"DELETE", "Origin: null", 403},
		{"DELETE", "Origin: http://localhost", 200},
		{"PUT", "Origin: https://app.example", 200},
		{"PATCH", "X: y", 200},
		{"GET", "Origin: https://evil.example\r\nConnection: Upgrade\r\nUpgrade: websocket", 403},
	} {
		a := b.do(tc.method, "/x", tc.header)
		if a.StatusCode != tc.status || tc.status == 403 && !strings.Contains(a.body, "cross_origin") {
			t.Errorf("%s %s: %d %s", tc.method, tc.header, a.StatusCode, a.body)
		}
	}
}

// Cookies of Admit reach no application, on whatever path; others do, as they are.
func TestOwnCookies(t *testing.T) {
	f, _ := serveHome(t, homeIntegration(t, "home", ""), "@api path /in/*\nadmit @api {\nlogin\nbypass /in/free\noptional\nrequire /in/a user *\n}\n"+upstream(t))
	b := f.browser().signIn()
	session := "__Host-admit-home=" + b.cookies["__Host-admit-home"]
	for _, tc := range [][2]string{
		{session, ""},
		{"a=b; " + session + "; c=\"d e\";f", "a=b; c=\"d e\";f"},
		{session + "; __Host-admit-home.1=x; __Host-admit-home.7=x; __Host-admit-home.state.abc=x; z=1", "z=1"},
		{session + ";z=1;  y = 2 ", "z=1;  y = 2"},
		{session + "; __Host-admits=1; x__Host-admit-home=2; __host-admit-home=3; -admit=4", "__Host-admits=1; x__Host-admit-home=2; __host-admit-home=3; -admit=4"},
		// Those of gates elsewhere on the host neither.
		{session + "; __Host-admit=1; __Host-admit-work.1=2; __Secure-admit-corp=3; __Secure-admit.state.x=4; z=1", "z=1"},
		{"a=1;b=2; ;c", "a=1;b=2; ;c"},
	} {
		for _, path := range []string{"/in/a", "/in/free", "/in/b", "/out"} {
			if path == "/in/a" && !strings.Contains(tc[0], session) {
				continue
			}
			a := f.ask("GET", "localhost", path, "Cookie: "+tc[0])
			if got := a.seen(t).Header.Get("Cookie"); got != tc[1] {
				t.Errorf("%s %q: the application saw %q, want %q", path, tc[0], got, tc[1])
			}
		}
	}
}

// A user who is removed, disabled or has another password is out at once, claims
// are those of now, and no reload is needed.
func TestUsersFileChange(t *testing.T) {
	users := []string{"claims", "password", "disabled", "removed", "other"}
	var before, after []string
	for _, id := range users {
		before = append(before, userMember(t, id, adaPassword, `, "claims": {"groups": ["staff"]}`))
		switch id {
		case "claims":
			after = append(after, userMember(t, id, adaPassword, `, "claims": {"groups": ["guest"]}`))
		case "password":
			after = append(after, userMember(t, id, bobPassword, ""))
		case "disabled":
			after = append(after, userMember(t, id, adaPassword, `, "disabled": true`))
		case "other":
			after = append(after, before[len(before)-1])
		}
	}
	file, change := usersFile(t, strings.Join(before, ","))
	f, _ := serveHome(t, "admit home {\nusers "+file+"\nbasic\ntokens\n}", "admit {\nlogin\n}\n"+upstream(t))
	browsers, grants := map[string]*localBrowser{}, map[string]tokenAnswer{}
	for _, id := range users {
		browsers[id] = f.browser()
		browsers[id].post("/oauth2/login", signInForm(id, adaPassword, "/"))
		if info, _ := browsers[id].userinfo(); info.ID != id || fmt.Sprint(info.Groups) != "[staff]" {
			t.Fatalf("%s: signed in as %+v", id, info)
		}
		grants[id] = tokenOf(t, f.token("grant_type=password&username="+id+"&password="+adaPassword))
		f.ask("GET", "localhost", "/x", basicHeader(id, adaPassword)).seen(t) // remembered from now on
	}
	change(strings.Join(after, ","))
	eventually(t, "another list", func() bool { info, _ := browsers["claims"].userinfo(); return fmt.Sprint(info.Groups) == "[guest]" })
	for _, id := range users {
		b := browsers[id]
		old := maps.Clone(b.cookies)
		in := id == "claims" || id == "other"
		if a := b.visit("/x"); a.reached() != in || (a.StatusCode == 302) == in || (len(b.cookies) > 0) != in {
			t.Errorf("%s: session %d; cookies %v", id, a.StatusCode, b.cookies)
		}
		if a := (&localBrowser{f, "localhost", old}).do("GET", "/x"); !in && !strings.Contains(a.body, `"reason":"revoked"`) {
			t.Errorf("%s: %s", id, a.body)
		}
		if a := f.ask("GET", "localhost", "/x", basicHeader(id, adaPassword)); a.reached() != in {
			t.Errorf("%s: password %d %s", id, a.StatusCode, a.body)
		}
		if a := f.token("grant_type=refresh_token&refresh_token=" + grants[id].Refresh); (a.StatusCode == 200) != in || !in && strings.TrimSpace(a.body) != `{"error":"invalid_grant"}` {
			t.Errorf("%s: refresh %d %s", id, a.StatusCode, a.body)
		}
		if a := b.post("/oauth2/login", signInForm(id, adaPassword, "/")); (a.StatusCode == 303) != in {
			t.Errorf("%s: signing in %d", id, a.StatusCode)
		}
	}
}

// idle and max end a session.
func TestSessionEnds(t *testing.T) {
	f, _ := serveHome(t, homeIntegration(t, "home", "session {\nidle 1s\n}")+homeIntegration(t, "max", "session {\nidle off\nmax 1s\n}"),
		"admit home max {\nlogin\n}\n"+upstream(t))
	for _, name := range []string{"home", "max"} {
		b, form := f.browser(), signInForm("ada", adaPassword, "/")
		form.Set("integration", name)
		if a := b.post("/oauth2/login", form); a.StatusCode != 303 {
			t.Fatalf("%s: %d", name, a.StatusCode)
		}
		old := maps.Clone(b.cookies)
		eventually(t, name, func() bool {
			a := (&localBrowser{f, "localhost", maps.Clone(old)}).do("GET", "/x")
			return strings.Contains(a.body, `"reason":"session_expired"`)
		})
	}
}

// An answer with a renewed session is nobody else's, whatever the application says
// (threat 49).
func TestRenewedAnswer(t *testing.T) {
	f, _ := serveHome(t, homeIntegration(t, "home", "session {\nidle 1s\n}"), "admit {\nlogin\n}\nhandle /file {\nheader Cache-Control \"public, max-age=60\"\nheader CDN-Cache-Control max-age=600\nheader Surrogate-Control max-age=600\nrespond hello\n}\n"+upstream(t))
	b := f.browser().signIn()
	first := b.cookies["__Host-admit-home"]
	eventually(t, "renewed", func() bool {
		a := b.visit("/file")
		if a.StatusCode != 200 || a.body != "hello" {
			t.Fatalf("%d %s", a.StatusCode, a.body)
		}
		want := "public, max-age=60"
		if len(a.Cookies()) > 0 {
			want = "private, no-store"
		}
		if got := a.Header["Cache-Control"]; len(got) != 1 || got[0] != want {
			t.Fatalf("Cache-Control %q, cookies %v", got, a.Cookies())
		}
		for _, name := range []string{"Cdn-Cache-Control", "Surrogate-Control"} { // what some caches heed instead
			if (a.Header.Get(name) == "") != (len(a.Cookies()) > 0) {
				t.Fatalf("%s %q, cookies %v", name, a.Header[name], a.Cookies())
			}
		}
		return b.cookies["__Host-admit-home"] != first
	})
}

// Somebody who sends a form after the session has ended is not sent anywhere, sees
// that it was not passed on, and how to sign in.
func TestFormWithoutSession(t *testing.T) {
	f, _ := serveHome(t, homeIntegration(t, "home", "basic"), "handle /closed/* {\nadmit home {\nendpoints /closed/oauth2\n}\n"+upstream(t)+"\n}\nhandle {\nadmit home {\nlogin\n}\n"+upstream(t)+"\n}")
	const link = `<a href="/oauth2/login?return_to=%2F">Sign in</a>`
	form := append(slices.Clone(navigation), "Sec-Fetch-Site: same-origin", "Content-Type: application/x-www-form-urlencoded")
	broken := append(slices.Clone(form), "Cookie: __Host-admit-home=x")
	for name, tc := range map[string]struct {
		host, path string
		headers    []string
		says       string
		linked     bool
	}{
		"no session":     {"localhost", "/x", form, "missing_credential", true},
		"broken session": {"localhost", "/x", broken, "was not passed on", true},
		"no login here":  {"localhost", "/closed/x", broken, "was not passed on", false},
		"plain http":     {"a.example", "/x", broken, onlyHTTPS, false},
		"bad password":   {"localhost", "/x", append(slices.Clone(broken), basicHeader("ada", "x")), "bad_password", false},
	} {
		a := f.ask("POST", tc.host, tc.path, tc.headers...)
		if checkPage(t, a); a.StatusCode != 401 || !strings.Contains(a.body, tc.says) || strings.Contains(a.body, link) != tc.linked {
			t.Errorf("%s: %d to %q\n%s", name, a.StatusCode, location(a), a.body)
		}
	}
}

// Whom rules refuse is told who they are, and may sign in as somebody else; a
// script is told where to send its user.
func TestRefusedHere(t *testing.T) {
	f, _ := serveHome(t, homeIntegration(t, "home", "basic"), "admit {\nlogin\nrequire groups nobody\n}\n"+upstream(t))
	b := f.browser().signIn()
	a := b.visit("/x?y=z")
	if checkPage(t, a); a.StatusCode != 403 || !strings.Contains(a.body, "<strong>ada</strong>") ||
		!strings.Contains(a.body, `<a href="/oauth2/login?return_to=%2Fx%3Fy%3Dz">Sign in as someone else</a>`) {
		t.Errorf("%d\n%s", a.StatusCode, a.body)
	}
	for name, tc := range map[string]struct {
		a    answered
		told bool
	}{
		"nobody":         {f.ask("GET", "localhost", "/x", script...), true},
		"broken session": {f.ask("GET", "localhost", "/x", "Cookie: __Host-admit-home=x"), true},
		"plain http":     {f.ask("GET", "a.example", "/x"), false},
		"bad password":   {f.ask("GET", "localhost", "/x", basicHeader("ada", "x")), false},
		"refused":        {b.do("GET", "/x"), false},
	} {
		if got := strings.Contains(tc.a.body, `"login":"/oauth2/login"`); got != tc.told {
			t.Errorf("%s: %s", name, tc.a.body)
		}
	}
}

// A later gate still finds the session that one before it has taken out. What handlers
// between them do to a token counts whatever cookies are beside it.
func TestSessionBetweenGates(t *testing.T) {
	global := homeIntegration(t, "home", "") + "admit api {\nsecret " + testSecret + "\nfrom header Authorization Bearer\n}\n"
	f, _ := serveHome(t, global, "admit home {\nlogin\n}\n"+upstream(t))
	tok := "Authorization: Bearer " + sign(t, testSecret, good(nil))
	session := "Cookie: a=b; __Host-admit-home=" + f.browser().signIn().cookies["__Host-admit-home"]
	for _, tc := range []struct {
		earlier, between, later string
		token, session          bool // gets in
	}{
		{"home", "request_header X-A b", "api", true, false},
		{"home", "request_header -Authorization", "api", false, false},
		{"home", "request_header -Cookie", "home", false, true},
		{"api", "request_header X-A b", "home", false, true},
		{"api", "request_header -Cookie", "home", false, true},
		{"api", "request_header Cookie x=y", "home", false, true},
	} {
		f.reload(global, "route {\nadmit "+tc.earlier+" {\noptional\n}\n"+tc.between+"\nadmit "+tc.later+"\n"+upstream(t)+"\n}")
		for _, row := range []struct {
			headers []string
			want    bool
		}{
			{[]string{"X: y"}, false},
			{[]string{"Cookie: a=b"}, false},
			{[]string{tok}, tc.token},
			{[]string{tok, "Cookie: a=b"}, tc.token},
			{[]string{tok, session}, tc.token || tc.session},
			{[]string{session}, tc.session},
		} {
			if a := f.ask("GET", "localhost", "/x", row.headers...); a.reached() != row.want {
				t.Errorf("%s, %s, %s: %.40q: %d", tc.earlier, tc.between, tc.later, row.headers, a.StatusCode)
			} else if row.want && strings.Contains(a.seen(t).Header.Get("Cookie"), "admit") {
				t.Errorf("%s, %s, %s: the application sees %v", tc.earlier, tc.between, tc.later, a.seen(t).Header)
			}
		}
	}
}
