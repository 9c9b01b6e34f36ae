package admit

import (
	"net/http"
	"net/http/httptest"
	"net/url"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
)

// threat 65: what a provider says when it refuses is a page and a line in the log,
// in our words.
func TestProviderErrors(t *testing.T) {
	p := newProvider(t)
	f, _ := p.serveLogin(loginSite{})
	for _, tc := range []struct {
		code  string
		known bool // has the form of an error code, so the log names it
	}{
		{"access_denied", true},
		{"login_required", true},
		{"invalid_request", true},
		{"unauthorized_client", true},
		{"invalid_scope", true},
		{"server_error", true},
		{"temporarily_unavailable", true},
		{"redirect_uri_mismatch", true},
		{"never_heard_of_this", true},
		{"marked<script>alert(1)</script>", false},
		{"marked\r\nSet-Cookie: evil=1", false},
		{"Marked-" + strings.Repeat("x", 5000), false},
		{"{env.HOME}", false},
	} {
		p.change(func() {
			p.answer = func(_, answer url.Values) {
				answer.Del("code")
				answer.Set("error", tc.code)
				answer.Set("error_description", hostileText)
				answer.Set("error_uri", "https://evil.example/marked")
			}
		})
		b := f.web()
		a := b.open("/deep?link")
		b.refused(a, 403, "login_refused")
		if len(b.names(stateName)) > 0 || b.value("evil") != "" || strings.Contains(a.body, "evil.example") || strings.Contains(a.body, tc.code) && !tc.known {
			t.Errorf("%s: cookies %v\n%s", tc.code, b.names(""), a.body)
		}
		lines := f.entries("login refused")
		if len(lines) == 0 {
			t.Fatalf("%s: no line in the log", tc.code)
		}
		line := lines[len(lines)-1]
		if named := line["provider_error"] == tc.code; named != tc.known || line["reason"] != "login_refused" || line["integration"] != "corp" {
			t.Errorf("%s: logged %v", tc.code, line)
		}
	}
	if n := p.count("/token"); n != 0 {
		t.Errorf("%d token requests", n)
	}
	// There is a way on that is no loop.
	p.change(func() { p.answer = nil })
	f.web().logIn()
}

// threat 65: a token endpoint that refuses, one that answers something else, and one
// that does not answer: 403, or 503 where trying again may help.
func TestTokenEndpointTroubles(t *testing.T) {
	p := newProvider(t)
	f, _ := p.serveLogin(loginSite{})
	say := func(status int, kind, body string) http.HandlerFunc {
		return func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Type", kind)
			w.WriteHeader(status)
			_, _ = w.Write([]byte(body))
		}
	}
	elsewhere := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		t.Errorf("the code went on to %s with %v", r.URL, r.Header)
	}))
	defer elsewhere.Close()
	for name, tc := range map[string]struct {
		instead http.HandlerFunc
		status  int
	}{
		"invalid_grant":      {say(400, "application/json", `{"error":"invalid_grant","error_description":"marked"}`), 403},
		"invalid_client":     {say(401, "application/json", `{"error":"invalid_client"}`), 403},
		"error with 200":     {say(200, "application/json", `{"error":"bad_verification_code","error_description":"marked"}`), 403},
		"no ID token":        {say(200, "application/json", `{"access_token":"marked","token_type":"Bearer"}`), 403},
		"ID token no text":   {say(200, "application/json", `{"access_token":"marked","token_type":"Bearer","id_token":{"a":1}}`), 0},
		"ID token no JWT":    {say(200, "application/json", `{"access_token":"marked","token_type":"Bearer","id_token":"marked"}`), 403},
		"ID token encrypted": {say(200, "application/json", `{"access_token":"marked","token_type":"Bearer","id_token":"eyJhbGciOiJSU0EtT0FFUCJ9.a.b.c.d"}`), 403},
		"token type MAC":     {say(200, "application/json", `{"access_token":"marked","token_type":"mac","id_token":"marked"}`), 403},
		"HTML":               {say(200, "text/html", "<html>marked"), 503},
		"nothing":            {say(200, "application/json", ""), 503},
		"an array":           {say(200, "application/json", "[]"), 503},
		"500":                {say(500, "text/plain", "marked"), 503},
		"429":                {say(429, "text/plain", "marked"), 503},
		"a redirect": {func(w http.ResponseWriter, r *http.Request) {
			http.Redirect(w, r, elsewhere.URL+"/token", http.StatusTemporaryRedirect)
		}, 503},
		"hangs up": {func(http.ResponseWriter, *http.Request) { panic(http.ErrAbortHandler) }, 503},
		"too much": {func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Type", "application/json")
			_, _ = w.Write([]byte(`{"access_token":"` + strings.Repeat("x", 3<<20) + `"}`))
		}, 503},
	} {
		t.Run(name, func(t *testing.T) {
			p.change(func() { p.instead["/token"] = tc.instead })
			b := f.web()
			a := b.open("/x")
			if status := tc.status; status != 0 {
				b.refused(a, status, map[int]string{403: "login_refused", 503: "token_endpoint_unavailable"}[status])
			} else if a.StatusCode != 403 && a.StatusCode != 503 || b.isIn() {
				t.Errorf("%d\n%s", a.StatusCode, a.body)
			}
		})
	}
	p.change(func() { clear(p.instead) })
	f.web().logIn()
}

// threat 66: nothing of what is protected goes with a redirect, and the application
// does not see the request.
func TestRedirectOnly(t *testing.T) {
	var hits atomic.Int32
	app := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		hits.Add(1)
		_, _ = w.Write([]byte("marked"))
	}))
	defer app.Close()
	p := newProvider(t)
	f, _ := serveHome(t, p.integration(loginSite{}), "admit {\nlogin\n}\nreverse_proxy "+strings.TrimPrefix(app.URL, "http://"))
	b := f.web()
	for _, target := range []string{"/x", "/oauth2/login?return_to=/x", "/oauth2/callback", "/oauth2/callback?error=access_denied", "/oauth2/logged-out"} {
		a := b.once(target)
		if strings.Contains(a.body, "marked") || a.StatusCode/100 == 3 && a.body != "" || !strings.Contains(a.Header.Get("Cache-Control"), "no-store") { // threats 49, 54
			t.Errorf("%s: %d %v %q", target, a.StatusCode, a.Header, a.body)
		}
		if a.Header.Get("Referrer-Policy") != "no-referrer" && target != "/x" { // threat 68
			t.Errorf("%s: %v", target, a.Header)
		}
	}
	for _, header := range []string{"Sec-Fetch-Mode: cors", "Sec-Fetch-Mode: no-cors", "Sec-Fetch-Dest: iframe", "Sec-Purpose: prefetch", "Upgrade: websocket"} {
		b.once("/x", header)
	}
	if n := hits.Load(); n != 0 {
		t.Errorf("the application saw %d requests", n)
	}
}

// threat 64: only a page that somebody opens is sent to log in; the login endpoint
// sends nobody else on either, and leaves no state behind.
func TestWhoIsSentToLogIn(t *testing.T) {
	p := newProvider(t)
	f, _ := p.serveLogin(loginSite{})
	for _, tc := range []struct {
		name, method string
		headers      []string
	}{
		{"POST", "POST", []string{"Sec-Fetch-Site: same-origin"}},
		{"HEAD", "HEAD", nil},
		{"fetch", "GET", []string{"Sec-Fetch-Mode: cors", "Sec-Fetch-Dest: empty"}},
		{"image", "GET", []string{"Sec-Fetch-Mode: no-cors", "Sec-Fetch-Dest: image"}},
		{"frame", "GET", []string{"Sec-Fetch-Dest: iframe"}},
		{"prefetch", "GET", []string{"Sec-Purpose: prefetch"}},
		{"prerender", "GET", []string{"Sec-Purpose: prefetch;prerender"}},
		{"socket", "GET", []string{"Sec-Fetch-Mode: websocket", "Sec-Fetch-Dest: websocket", "Connection: Upgrade", "Upgrade: websocket"}},
		{"preflight", "OPTIONS", []string{"Sec-Fetch-Mode: cors", "Access-Control-Request-Method: PUT", "Origin: https://app.example"}},
		{"program", "GET", []string{"Sec-Fetch-Mode: -", "Sec-Fetch-Dest: -", "Sec-Fetch-Site: -", "Accept: application/json"}},
	} {
		for _, target := range []string{"/x", "/oauth2/login?return_to=/x"} {
			b := f.web()
			a, _ := b.request(navigated{method: tc.method, target: target, headers: tc.headers})
			own := target != "/x" && tc.method == "POST" // a form is no way to begin a login
			if a.StatusCode/100 == 3 || a.StatusCode < 400 && !own && target == "/x" || location(a) != "" || len(b.names("")) > 0 {
				t.Errorf("%s %s: %d to %q, cookies %v", tc.name, target, a.StatusCode, location(a), b.names(""))
			}
		}
	}
	if n := p.count("/authorize"); n != 0 {
		t.Errorf("%d logins", n)
	}
	f.web().logIn()
}

// threat 67: the callback is one path and one method, and a browser that looks ahead
// does not finish a login.
func TestCallbackExact(t *testing.T) {
	p := newProvider(t)
	f, _ := p.serveLogin(loginSite{})
	b := f.web()
	b.at = &url.URL{Scheme: "http", Host: "localhost", Path: "/"}
	good := p.answerOf(b, b.begin("/x"))
	query := "?" + good.Encode()
	lookalike := "?" + url.Values{"code": {"x"}, "state": good["state"]}.Encode() // the application may log it
	for _, path := range []string{"/oauth2/callback/", "/oauth2//callback", "/OAUTH2/callback", "/oauth2/Callback", "/oauth2/callback;x", "/x/../oauth2/callback", "/oauth2/%63allback/", "/callback"} {
		a := f.ask("GET", "localhost", path+lookalike, append(slices.Clone(script), "Cookie: "+b.cookieLine(b.at, false, true))...)
		if a.StatusCode != 401 && a.StatusCode != 400 || len(a.Cookies()) > 0 {
			t.Errorf("%s: %d %v", path, a.StatusCode, a.Cookies())
		}
	}
	for _, method := range []string{"POST", "PUT", "DELETE", "OPTIONS"} {
		a, _ := b.request(navigated{method: method, target: "/oauth2/callback" + query, form: good, crossed: true})
		if a.StatusCode != 405 || !strings.Contains(a.Header.Get("Allow"), "GET") || b.isIn() {
			t.Errorf("%s: %d %v", method, a.StatusCode, a.Header)
		}
	}
	for _, header := range []string{"Sec-Purpose: prefetch", "Purpose: prefetch", "X-Moz: prefetch"} {
		if a := b.once("/oauth2/callback"+query, header); a.StatusCode/100 == 3 || a.body != "" || b.isIn() {
			t.Errorf("%s: %d to %q", header, a.StatusCode, location(a))
		}
	}
	if a, _ := b.request(navigated{method: "HEAD", target: "/oauth2/callback" + query, crossed: true}); location(a) != "" || b.isIn() {
		t.Errorf("HEAD: %d", a.StatusCode)
	}
	if n := p.count("/token"); n != 0 || len(b.names(stateName)) != 1 {
		t.Errorf("%d token requests, cookies %v", n, b.names(""))
	}
	if a := b.callback(good); !a.reached() {
		t.Errorf("%v\n%s", b.trail, a.body)
	}
	// Where answers come as a form, a query is none.
	stopCaddy(t)
	f, _ = p.serveLogin(loginSite{login: "param response_mode form_post"})
	b = f.web()
	asked := b.begin("/x")
	for _, c := range b.cookies {
		if c.SameSite != http.SameSiteNoneMode || !c.Secure {
			t.Errorf("cookie %s", c.Raw)
		}
	}
	asked.Del("response_mode")
	good = p.answerOf(b, asked)
	a, _ := b.request(navigated{method: "POST", target: "/oauth2/callback", form: good, from: &url.URL{Scheme: "http", Host: "127.0.0.1"}})
	if a.StatusCode/100 != 3 && a.StatusCode != 200 || !b.isIn() {
		t.Errorf("form: %d\n%s", a.StatusCode, a.body)
	}
	for name, headers := range map[string][]string{"JSON": {"Content-Type: application/json"}, "text": {"Content-Type: text/plain"}} {
		b := f.web()
		asked := b.begin("/x")
		asked.Del("response_mode")
		a, _ := b.request(navigated{method: "POST", target: "/oauth2/callback", form: p.answerOf(b, asked), crossed: true, headers: headers})
		if a.StatusCode < 400 || b.isIn() {
			t.Errorf("%s: %d", name, a.StatusCode)
		}
	}
}

// threats 56, 63: a return target stays on this site, by login, callback, and
// logout at the provider.
func TestReturnTargetsByProvider(t *testing.T) {
	p := newProvider(t)
	f, _ := p.serveLogin(loginSite{})
	for _, tc := range [][2]string{
		{"/x?y=1&z=%2F%2Fevil.example", "/x?y=1&z=%2F%2Fevil.example"},
		{"", "/"},
		{"/oauth2/logout", "/"},
		{"/oauth2/callback?code=x", "/"},
		{"/" + strings.Repeat("x", 255), "/" + strings.Repeat("x", 255)},
		{"/" + strings.Repeat("x", 1000), "/" + strings.Repeat("x", 1000)}, // in storage
		{"/" + strings.Repeat("x", 2047), "/" + strings.Repeat("x", 2047)},
		{"/" + strings.Repeat("x", 2048), "/"},
		{"/{http.request.uuid}", "/{http.request.uuid}"}, // threat 95
		{"https://evil.example/x", "/"},
	} {
		b := f.web()
		asked := b.begin(tc[0])
		if strings.Contains(asked.Get("state"), "evil") || strings.Contains(asked.Get("redirect_uri"), "evil") {
			t.Errorf("%.40q: asked %v", tc[0], asked)
		}
		a, _ := b.request(navigated{method: "GET", target: "/oauth2/callback?" + p.answerOf(b, asked).Encode(), crossed: true})
		if location(a) != tc[1] {
			t.Errorf("%.40q: sent to %.40q, want %.40q", tc[0], location(a), tc[1])
		}
	}
}

// threats 56, 76: none of what led others astray does so here.
func TestOpenRedirectsByProvider(t *testing.T) {
	p := newProvider(t)
	f, _ := p.serveLogin(loginSite{})
	b := f.web()
	out := func(line string) (where []string) {
		target := url.Values{"return_to": {line}}.Encode()
		b.cookies = nil
		u, err := url.Parse(location(b.once("/oauth2/login?" + target)))
		if err != nil || u.Host != strings.TrimPrefix(p.URL, "http://") || u.Query().Get("redirect_uri") != "http://localhost/oauth2/callback" {
			t.Fatalf("login with %q leads to %v", line, u)
		}
		a, _ := b.request(navigated{method: "GET", target: "/oauth2/callback?" + p.answerOf(b, u.Query()).Encode(), crossed: true})
		where = append(where, location(a))
		// Neither does a callback or a return from logging out that nobody asked for.
		where = append(where, location(b.once("/oauth2/callback?"+target)), location(b.once("/oauth2/callback?state="+url.QueryEscape(line))),
			location(b.once("/oauth2/logged-out?state="+url.QueryEscape(line))))
		if in := b.once("/oauth2/logged-out?" + target); location(in) != "" {
			where = append(where, location(in))
		}
		a = b.once("/oauth2/logout?" + target)
		b.at = &url.URL{Scheme: "http", Host: "localhost", Path: "/"}
		for range 6 {
			next, ok := leadsTo(a, b.at, navigated{from: b.at})
			if !ok {
				break
			}
			n, err := url.Parse(next.target)
			if err != nil {
				t.Fatalf("logout with %q leads to %q", line, next.target)
			}
			if n.Host == u.Host && n.Path == "/end-session" {
				if to := n.Query().Get("post_logout_redirect_uri"); to != "http://localhost/oauth2/logged-out" {
					t.Errorf("logout with %q asks to come back to %q", line, to)
				}
			} else if n.Host != "localhost" {
				t.Errorf("logout with %q leads to %q", line, next.target)
			} else if !strings.HasPrefix(n.Path, "/oauth2/") {
				break
			}
			a, b.at = b.request(next)
		}
		return where
	}
	for line := range openRedirects(t) {
		for _, where := range out(line) {
			if where != "" && !harmless(where) {
				t.Errorf("%q leads to %q", line, where)
			}
		}
	}
}
