package admit

import (
	"net/http"
	"net/url"
	"slices"
	"strings"
	"testing"
	"time"
)

// threats 20, 21: a discovery document that leads astray leads nowhere, and no
// secret goes there.
func TestHostileDiscovery(t *testing.T) {
	for name, change := range map[string]object{
		"no authorization endpoint":   {"authorization_endpoint": nil},
		"authorization by script":     {"authorization_endpoint": "javascript:alert(1)"},
		"authorization without TLS":   {"authorization_endpoint": "http://evil.example/authorize"},
		"authorization with a user":   {"authorization_endpoint": "https://a:b@evil.example/authorize"},
		"authorization is no text":    {"authorization_endpoint": []string{"https://evil.example"}},
		"authorization is relative":   {"authorization_endpoint": "/authorize"},
		"token endpoint without TLS":  {"token_endpoint": "http://evil.example/token"},
		"no token endpoint":           {"token_endpoint": nil},
		"keys without TLS":            {"jwks_uri": "http://evil.example/jwks"},
		"no keys":                     {"jwks_uri": nil},
		"userinfo without TLS":        {"userinfo_endpoint": "http://evil.example/userinfo"},
		"no userinfo":                 {"userinfo_endpoint": nil},
		"an issuer that is no text":   {"issuer": 7},
		"an issuer in another case":   {"issuer": "HTTP://127.0.0.1"},
		"endpoint with a line break":  {"authorization_endpoint": "https://idp.example/\r\nSet-Cookie: evil=1"},
		"endpoint that is a fragment": {"authorization_endpoint": "https://idp.example/#x"},
	} {
		t.Run(name, func(t *testing.T) {
			p := newProvider(t)
			p.discovery = func(document object) { put(document, change) }
			f, _ := p.serveLogin(loginSite{options: "userinfo"})
			b := f.web()
			a := b.open("/x")
			if b.value("evil") != "" || strings.Contains(location(a), "evil") {
				t.Errorf("%d to %q", a.StatusCode, location(a))
			}
			reason := "token_endpoint_unavailable"
			if strings.Contains(name, "keys") && strings.Contains(a.body, "keys_unavailable") {
				reason = "keys_unavailable"
			}
			b.refused(a, 503, reason)
			if a.Header.Get("Retry-After") == "" {
				t.Errorf("header %v", a.Header)
			}
		})
	}
}

// threat 59: a userinfo endpoint that is down, says no, or says too much.
func TestUserinfoTroubles(t *testing.T) {
	p := newProvider(t)
	f, _ := p.serveLogin(loginSite{options: "userinfo"})
	say := func(status int, kind, body string) http.HandlerFunc {
		return func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Type", kind)
			w.Header().Set("Location", "http://127.0.0.1:1/steal")
			w.WriteHeader(status)
			_, _ = w.Write([]byte(body))
		}
	}
	const jsonType = "application/json"
	for name, tc := range map[string]struct {
		instead http.HandlerFunc
		status  int
	}{
		"good":        {say(200, jsonType, `{"sub":"ada-1","marked":1}`), 200},
		"401":         {say(401, jsonType, `{"error":"invalid_token"}`), 403},
		"403":         {say(403, jsonType, `{}`), 403},
		"500":         {say(500, jsonType, `marked`), 503},
		"a redirect":  {say(302, jsonType, ``), 503},
		"an array":    {say(200, jsonType, `[{"sub":"ada-1"}]`), 403},
		"two subs":    {say(200, jsonType, `{"sub":"eve-1","sub":"ada-1"}`), 403},
		"more behind": {say(200, jsonType, `{"sub":"ada-1"}{}`), 403},
		"signed":      {say(200, "application/jwt", p.key.token(object{"sub": "ada-1"}, nil)), 403},
		"nothing":     {say(200, jsonType, ``), 403},
		"too much":    {say(200, jsonType, `{"sub":"ada-1","x":"`+strings.Repeat("x", 2<<20)+`"}`), 503},
		"hangs up":    {func(http.ResponseWriter, *http.Request) { panic(http.ErrAbortHandler) }, 503},
	} {
		t.Run(name, func(t *testing.T) {
			p.change(func() { p.instead["/userinfo"] = tc.instead })
			b := f.web()
			a := b.open("/x")
			if tc.status == 200 {
				if !a.reached() {
					t.Errorf("%v\n%s", b.trail, a.body)
				}
				return
			}
			b.refused(a, tc.status, map[int]string{403: "login_refused", 503: "token_endpoint_unavailable"}[tc.status])
		})
	}
	// What userinfo says never wins over the token, nor takes its place (threat 59).
	p.change(func() {
		clear(p.instead)
		p.userinfo = func(claims object) {
			put(claims, object{"iss": "https://evil.example", "aud": "x", "exp": 1, "groups": []string{"admin"}, "email": "evil@example.com", "email_verified": true})
		}
	})
	if got := f.web().logIn().Header; got.Get("X-Groups") != "staff" || got.Get("X-Email") != "ada@example.com" {
		t.Errorf("the application saw %v", got)
	}
	// A verified address of userinfo does not verify the token's, nor the other way
	// round (threat 30).
	p.change(func() { p.says(object{"email": "ada@example.com", "email_verified": nil}) })
	if got := f.web().logIn().Header.Get("X-Email"); got == "evil@example.com" {
		t.Errorf("e-mail %q", got)
	}
	p.change(func() { p.says(object{"email": nil, "email_verified": true}) })
	p.change(func() {
		p.userinfo = func(claims object) { put(claims, object{"email": "evil@example.com", "email_verified": false}) }
	})
	if got := f.web().logIn().Header.Get("X-Email"); got != "" {
		t.Errorf("e-mail %q", got)
	}
}

// threat 19: a provider that never comes to an end keeps no login waiting for long,
// whatever it is asked about it.
func TestSlowProvider(t *testing.T) {
	p := newProvider(t)
	f, _ := p.serveLogin(loginSite{options: "userinfo login"})
	f.web().logIn()
	life := redeemLife
	redeemLife = 300 * time.Millisecond
	t.Cleanup(func() { redeemLife = life })
	for _, path := range []string{"/token", "/userinfo"} {
		for _, begins := range []bool{false, true} {
			p.change(func() {
				p.instead[path] = func(w http.ResponseWriter, r *http.Request) {
					if begins {
						w.Header().Set("Content-Type", "application/json")
						_, _ = w.Write([]byte("{"))
						_ = http.NewResponseController(w).Flush()
					}
					<-r.Context().Done()
				}
			})
			b := f.web()
			b.refused(b.open("/x"), 503, "token_endpoint_unavailable")
			p.change(func() { clear(p.instead) })
		}
	}
}

// threats 93, 95: what a provider calls somebody is text wherever it ends up, and
// nobody is sent round in a circle for it.
func TestHostileNames(t *testing.T) {
	p := newProvider(t)
	f, _ := p.serveLogin(loginSite{gate: "deny /no/* user *", options: "identity {\nuser sub\ngroups groups\n}"})
	for _, tc := range []struct {
		sub any
		in  bool
	}{
		{"{env.HOME}{http.request.uuid}{{.}}", true},
		{`"><script>alert(1)</script>`, true},
		{"ada@example.com", true},
		{"Zoë", true},
		{strings.Repeat("x", 2000), true},
		{"ada\r\nX-Groups: admin", false},
		{"ada\x00", false},
		{"\u007f", false},
		{"", false},
		{7, false},
		{[]string{"ada", "eve"}, false},
		{object{"ada": 1}, false},
	} {
		p.change(func() { p.says(object{"sub": tc.sub}) })
		b := f.web()
		a := b.open("/x")
		if len(b.trail) > 5 || a.StatusCode >= 500 || a.reached() != tc.in || a.Header.Get("X-Groups") != "" {
			t.Errorf("%q: %v\n%s", tc.sub, b.trail, a.body)
			continue
		}
		if !tc.in {
			continue
		}
		got := a.seen(t).Header
		if got.Get("X-User") != tc.sub || got.Get("X-Groups") != "staff" {
			t.Errorf("%q: the application saw %v", tc.sub, got)
		}
		if a := b.open("/no/x"); a.StatusCode != 403 || strings.Contains(a.body, "<script>alert") || len(b.trail) != 1 {
			t.Errorf("%q: %v\n%s", tc.sub, b.trail, a.body)
		}
	}
}

// threat 65: a browser that loses its session each time is stopped, not sent round
// for ever.
func TestLoginLoop(t *testing.T) {
	p := newProvider(t)
	f, _ := p.serveLogin(loginSite{})
	b := f.web()
	var a answered
	for range 20 {
		b.cookies = slices.DeleteFunc(b.cookies, func(c *http.Cookie) bool { return c.Name == sessionName })
		a = b.open("/x")
		if !a.reached() {
			break
		}
	}
	if n := p.count("/authorize"); a.StatusCode != 500 || n < 5 || n > 15 {
		t.Errorf("%d after %d logins\n%s", a.StatusCode, n, a.body)
	}
	checkPage(t, a)
	if a := f.web().open("/x"); !a.reached() { // nobody else is
		t.Errorf("another browser: %d", a.StatusCode)
	}
}

// threats 55, 64: other parameters of the login page are no way to steer a login.
func TestLoginParametersOfOthers(t *testing.T) {
	p := newProvider(t)
	f, _ := p.serveLogin(loginSite{})
	b := f.web()
	a := b.once("/oauth2/login?" + url.Values{
		"return_to": {"/x"}, "redirect_uri": {"https://evil.example"}, "client_id": {"evil"}, "scope": {"everything"}, "state": {"chosen"}, "nonce": {"chosen"},
		"code_challenge": {"chosen"}, "code_challenge_method": {"plain"}, "response_mode": {"fragment"}, "response_type": {"token"}, "prompt": {"none"}, "login_hint": {"ada@example.com"},
		"request_uri": {"https://evil.example/r"}, "max_age": {"1"}, "iss": {"https://evil.example"},
	}.Encode())
	u, err := url.Parse(location(a))
	if err != nil {
		t.Fatal(err)
	}
	asked := u.Query()
	if strings.Contains(u.RawQuery, "evil") || strings.Contains(u.RawQuery, "chosen") || asked.Get("prompt") != "" || asked.Get("scope") != "openid profile email" ||
		asked.Get("response_type") != "code" || asked.Get("code_challenge_method") != "S256" || asked.Has("response_mode") || asked.Has("request_uri") || asked.Has("max_age") {
		t.Errorf("asked %v", asked)
	}
	if asked.Get("login_hint") != "ada@example.com" {
		t.Errorf("login_hint %q", asked.Get("login_hint"))
	}
}
