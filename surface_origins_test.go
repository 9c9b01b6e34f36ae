package admit

import (
	"strings"
	"testing"
)

const (
	listedOrigin = "Origin: https://app.example.com"
	otherOrigin  = "Origin: https://evil.example"
	asksPost     = "Access-Control-Request-Method: POST"
)

// DESIGN 1.2, threat 102: only a real preflight of a listed origin passes, and
// with nothing in it that does anything.
func TestPreflight(t *testing.T) {
	f := serveOne(t, "admit local {\nsecret "+testSecret+"\nfrom header Authorization Bearer\nfrom header X-Token\nfrom cookie sid\nfrom query token\n}", `
		@far not path /far/*
		admit @far {
			origins https://app.example.com http://localhost:3000
			header_up X-User {http.auth.user.id}
			forward token X-Forwarded-Token
		}
		`+upstream(t))
	for _, tc := range []struct {
		name, method string
		headers      []string
		passes       bool
	}{
		{"real", "OPTIONS", []string{listedOrigin, asksPost}, true},
		{"real, the second", "OPTIONS", []string{"Origin: http://localhost:3000", asksPost}, true},
		{"real, header asked for", "OPTIONS", []string{listedOrigin, asksPost, "Access-Control-Request-Headers: authorization"}, true},
		{"another origin", "OPTIONS", []string{otherOrigin, asksPost}, false},
		{"another scheme", "OPTIONS", []string{"Origin: http://app.example.com", asksPost}, false},
		{"another port", "OPTIONS", []string{"Origin: https://app.example.com:8443", asksPost}, false},
		{"below the origin", "OPTIONS", []string{"Origin: https://x.app.example.com", asksPost}, false},
		{"a longer origin", "OPTIONS", []string{listedOrigin + ".evil.example", asksPost}, false},
		{"capitals, as no browser sends", "OPTIONS", []string{"Origin: HTTPS://APP.EXAMPLE.COM", asksPost}, false},
		{"null", "OPTIONS", []string{"Origin: null", asksPost}, false},
		{"no origin", "OPTIONS", []string{asksPost}, false},
		{"two origins", "OPTIONS", []string{listedOrigin, listedOrigin, asksPost}, false},
		{"two origins in a line", "OPTIONS", []string{listedOrigin + " https://app.example.com", asksPost}, false},
		{"a listed one and another", "OPTIONS", []string{listedOrigin, otherOrigin, asksPost}, false},
		{"no method asked for", "OPTIONS", []string{listedOrigin}, false},
		{"an empty method", "OPTIONS", []string{listedOrigin, "Access-Control-Request-Method: "}, false},
		{"two methods", "OPTIONS", []string{listedOrigin, asksPost, asksPost}, false},
		{"two methods in a line", "OPTIONS", []string{listedOrigin, asksPost + ", PUT"}, false},
		{"GET", "GET", []string{listedOrigin, asksPost}, false},
		{"POST", "POST", []string{listedOrigin, asksPost}, false},
		{"overridden method", "POST", []string{listedOrigin, asksPost, "X-HTTP-Method-Override: OPTIONS"}, false},
	} {
		t.Run(tc.name, func(t *testing.T) {
			a := f.ask(tc.method, "a.example", "/x", tc.headers...)
			if a.reached() != tc.passes || !tc.passes && a.StatusCode != 401 {
				t.Errorf("got %d %q", a.StatusCode, a.body)
			}
		})
	}
	// What a browser never puts into a preflight is gone.
	got := f.ask("OPTIONS", "a.example", "/x?a=b&token=abc&c=d", listedOrigin, asksPost, "Access-Control-Request-Headers: x",
		bearer(t, nil), "X-Token: abc", "Cookie: sid=abc; other=1", "Cookie: more=2", "X-User: root", "X-Forwarded-Token: abc",
		"X-HTTP-Method-Override: DELETE", "x-http-method: DELETE", "X-METHOD-OVERRIDE: DELETE", "Trailer: X-User", "Content-Type: text/plain", "body:delete=all").seen(t)
	if got.URI != "/x?a=b&c=d" || got.Body != "" || got.Method != "OPTIONS" || len(got.Trailer) > 0 {
		t.Errorf("seen %+v", got)
	}
	for _, name := range []string{
		"Authorization", "X-Token", "Cookie", "X-User", "X-Forwarded-Token", "X-Http-Method-Override", "X-Http-Method",
		"X-Method-Override", "Trailer", "Transfer-Encoding",
	} {
		if value, there := got.Header[name]; there {
			t.Errorf("%s: %q reached the application", name, value)
		}
	}
	for _, name := range []string{"Origin", "Access-Control-Request-Method", "Access-Control-Request-Headers"} {
		if got.Header.Get(name) == "" {
			t.Errorf("%s did not reach the application", name)
		}
	}
	chunked := f.ask("OPTIONS", "a.example", "/x", listedOrigin, asksPost, "Transfer-Encoding: chunked", "Connection: close\r\n\r\n5\r\nhello\r\n0").seen(t)
	if chunked.Body != "" || len(chunked.Header["Transfer-Encoding"]) > 0 {
		t.Errorf("seen %+v", chunked)
	}
	// One that asks with a credential all the same is nobody.
	for _, entry := range f.entries("decision") {
		if entry["method"] == "OPTIONS" && entry["verdict"] == "bypassed" && (entry["user"] != "" || entry["reason"] != "") {
			t.Errorf("entry %v", entry)
		}
	}
	// Where the gate does not protect, a preflight is what it was.
	if got := f.ask("OPTIONS", "a.example", "/far/x", listedOrigin, asksPost, bearer(t, nil), "Cookie: a=b", "X-User: root").seen(t); got.Header.Get("Authorization") == "" || got.Header.Get("Cookie") != "a=b" || got.Header.Get("X-User") != "" {
		t.Errorf("seen %+v", got)
	}
}

// Without the option a preflight is a request like any other.
func TestPreflightWithoutOrigins(t *testing.T) {
	f := serveOne(t, secretIntegration, "admit\n"+upstream(t))
	a := f.ask("OPTIONS", "a.example", "/", listedOrigin, asksPost)
	a.want(t, 401, "missing_credential")
	checkCORS(t, a, "", false)
	if a.Header.Get("Vary") != "" {
		t.Errorf("Vary %q", a.Header.Get("Vary"))
	}
}

// checkCORS compares the headers that let scripts read an answer.
func checkCORS(t *testing.T, a answered, origin string, credentials bool) {
	t.Helper()
	h := a.Header
	if h.Get("Access-Control-Allow-Origin") != origin || (h.Get("Access-Control-Allow-Credentials") == "true") != credentials {
		t.Errorf("%d: header %v, want origin %q, credentials %v", a.StatusCode, h, origin, credentials)
	}
	if readable := strings.Contains(h.Get("Access-Control-Expose-Headers"), "WWW-Authenticate"); origin != "" && origin != "*" && !readable {
		t.Errorf("header %v: challenge not readable", h)
	}
}

// DESIGN 1.2: refusals are readable for scripts of listed origins and of no others.
func TestRefusalsAreReadable(t *testing.T) {
	const cookies = "admit local {\nsecret " + testSecret + "\nfrom header Authorization Bearer\nfrom cookie sid\n}"
	cookie := "Cookie: sid=" + sign(t, testSecret, good(nil))
	gate := func(origins string) string {
		return "admit {\nrequire /admin/* groups x\norigins " + origins + "\n}\nhandle_errors 400 {\nrespond \"route\"\n}\n" + upstream(t)
	}
	t.Run("listed", func(t *testing.T) {
		f := serveOne(t, cookies, gate("https://app.example.com"))
		for _, tc := range []struct {
			target  string
			headers []string
			status  int
		}{
			{"/", nil, 401},
			{"/", []string{"Authorization: Bearer x"}, 401},
			{"/", []string{"Authorization: Bearer"}, 400}, // through an error route
			{"/admin/x", []string{bearer(t, nil)}, 403},
		} {
			for origin, want := range map[string]string{listedOrigin: "https://app.example.com", otherOrigin: "", "Origin: null": "", "X: y": ""} {
				a := f.get(tc.target, append([]string{origin}, tc.headers...)...)
				if a.StatusCode != tc.status || a.Header.Get("Vary") != "Origin" {
					t.Errorf("%s %s: %d, Vary %q", tc.target, origin, a.StatusCode, a.Header.Get("Vary"))
				}
				checkCORS(t, a, want, want != "")
			}
		}
		// For what is let in the application is responsible.
		checkCORS(t, f.get("/", listedOrigin, bearer(t, nil)), "", false)
		// A token from a cookie may make changes from there, and from nowhere else.
		const cross = "Sec-Fetch-Site: cross-site"
		f.ask("POST", "a.example", "/", listedOrigin, cross, cookie).want(t, 200, "")
		f.ask("POST", "a.example", "/", listedOrigin, cookie).want(t, 200, "")
		f.ask("POST", "a.example", "/", otherOrigin, cross, cookie).want(t, 403, "cross_origin")
		f.ask("POST", "a.example", "/", cross, cookie).want(t, 403, "cross_origin")
		f.ask("POST", "a.example", "/", listedOrigin, otherOrigin, cross, cookie).want(t, 403, "cross_origin")
		f.ask("GET", "a.example", "/", listedOrigin, cross, cookie, "Connection: Upgrade", "Upgrade: websocket").want(t, 200, "")
		f.ask("GET", "a.example", "/", otherOrigin, cross, cookie, "Connection: Upgrade", "Upgrade: websocket").want(t, 403, "cross_origin")
	})
	t.Run("all", func(t *testing.T) {
		f := serveOne(t, cookies, gate("*"))
		for _, origin := range []string{listedOrigin, otherOrigin, "Origin: null"} {
			checkCORS(t, f.get("/", origin), "*", false)
			f.ask("POST", "a.example", "/", origin, "Sec-Fetch-Site: cross-site", cookie).want(t, 403, "cross_origin")
			f.ask("POST", "a.example", "/", origin, "Sec-Fetch-Site: cross-site", bearer(t, nil)).want(t, 200, "")
			if !f.ask("OPTIONS", "a.example", "/", origin, asksPost).reached() {
				t.Errorf("%s: preflight refused", origin)
			}
		}
		f.ask("POST", "a.example", "/", "Sec-Fetch-Site: same-origin", cookie).want(t, 200, "")
	})
	// A cookie that one gate took from a page of another origin is no use at the
	// next gate, if that one does not list the origin.
	t.Run("two gates", func(t *testing.T) {
		f := serveOne(t, cookies, "admit {\norigins https://app.example.com\n}\nadmit /strict/* {\nrequire user *\n}\n"+upstream(t))
		f.ask("POST", "a.example", "/x", listedOrigin, cookie).want(t, 200, "")
		f.ask("POST", "a.example", "/strict/x", listedOrigin, cookie).want(t, 403, "cross_origin")
		f.ask("GET", "a.example", "/strict/x", listedOrigin, cookie).want(t, 200, "")
		f.ask("POST", "a.example", "/strict/x", listedOrigin, bearer(t, nil)).want(t, 200, "")
	})
}

// origins in JSON and by variable are checked at load.
func TestOriginsAtLoad(t *testing.T) {
	t.Setenv("ADMIT_TEST_ORIGIN", "https://APP.example.com:443")
	f := serveOne(t, secretIntegration, "admit {\norigins {env.ADMIT_TEST_ORIGIN}\n}\n"+upstream(t))
	if !f.ask("OPTIONS", "a.example", "/", listedOrigin, asksPost).reached() {
		t.Error("the origin is spelt another way than browsers do")
	}
	for _, tc := range [][2]string{
		{"app.example.com", "expected * or a scheme and host"},
		{"*", "expected * alone"},
	} {
		t.Setenv("ADMIT_TEST_ORIGIN", tc[0])
		if err := loadError(t, secretIntegration, "admit {\norigins https://a.example {env.ADMIT_TEST_ORIGIN}\n}"); !strings.Contains(err, tc[1]) {
			t.Errorf("%s: %s", tc[0], err)
		}
	}
}
