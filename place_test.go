package admit

import (
	"io"
	"net"
	"net/http"
	"net/http/fcgi"
	"net/url"
	"strings"
	"testing"
)

// threats 38, 42: where a token may be, and what is made of several.
func TestPlaces(t *testing.T) {
	s := serve(t, `admit local {
		secret `+testSecret+`
		from header Authorization Bearer
		from header Authorization Token
		from header X-Key
		from cookie sid
		from query token
	}`, "admit\nrespond ok")
	tok := sign(t, testSecret, good(nil))
	bad := sign(t, "another secret, another secret, 32", good(nil))
	for _, tc := range []struct {
		name, target string
		headers      []string
		status       int
		reason       string
	}{
		{"Bearer", "/", []string{"Authorization: Bearer " + tok}, 200, ""},
		{"another configured scheme", "/", []string{"Authorization: token " + tok}, 200, ""},
		{"a scheme that is not", "/", []string{"Authorization: Basic " + tok}, 401, "missing_credential"},
		{"no scheme", "/", []string{"Authorization: " + tok}, 401, "missing_credential"},
		{"empty", "/", []string{"Authorization: "}, 401, "missing_credential"},
		{"tab behind the scheme", "/", []string{"Authorization: Bearer\t" + tok}, 400, "malformed_credential"},
		{"scheme and blanks", "/", []string{"Authorization: Bearer   "}, 400, "malformed_credential"},
		{"comma at the end", "/", []string{"Authorization: Bearer " + tok + ","}, 400, "malformed_credential"},
		{"two tokens", "/", []string{"Authorization: Bearer " + tok + " " + tok}, 400, "malformed_credential"},
		{"quoted", "/", []string{`Authorization: Bearer "` + tok + `"`}, 400, "malformed_credential"},
		{"not ASCII", "/", []string{"Authorization: Bearer é" + tok}, 400, "malformed_credential"},
		{"two lines, one of them empty", "/", []string{"Authorization: Bearer " + tok, "Authorization: "}, 400, "several_credentials"},
		{"two lines of which one is not ours", "/", []string{"Authorization: Bearer " + tok, "Authorization: Basic eDp5"}, 400, "several_credentials"},
		{"own header", "/", []string{"X-Key: " + tok}, 200, ""},
		{"own header in other case", "/", []string{"x-kEY: " + tok}, 200, ""},
		{"own header with a scheme", "/", []string{"X-Key: Bearer " + tok}, 400, "malformed_credential"},
		{"own header twice", "/", []string{"X-Key: " + tok, "X-Key: " + tok}, 400, "several_credentials"},
		{"query", "/?token=" + tok, nil, 200, ""},
		{"query, name encoded", "/?t%6Fken=" + tok, nil, 200, ""},
		{"query, name in capitals", "/?TOKEN=" + tok, nil, 401, "missing_credential"},
		{"query, empty", "/?token=", nil, 400, "malformed_credential"},
		{"query, twice", "/?token=" + tok + "&token=" + tok, nil, 400, "several_credentials"},
		{"query, twice, one encoded", "/?token=" + tok + "&%74oken=x", nil, 400, "several_credentials"},
		{"query, badly encoded", "/?token=%zz", nil, 400, "malformed_credential"},
		{"fragment in the request line", "/#token=" + tok, nil, 401, "missing_credential"},
		{"cookie", "/", []string{"Cookie: sid=" + tok}, 200, ""},
		{"cookie among others", "/", []string{"Cookie: a=b; sid=" + tok + "; c=d"}, 200, ""},
		{"cookie in two lines", "/", []string{"Cookie: a=b", "Cookie: sid=" + tok}, 200, ""},
		{"cookie, name in capitals", "/", []string{"Cookie: SID=" + tok}, 401, "missing_credential"},
		{"cookie, empty", "/", []string{"Cookie: sid="}, 401, "missing_credential"},
		{"cookie, not a token", "/", []string{"Cookie: sid=x"}, 401, "malformed_token"},
		{"two cookies of one name, the first bad", "/", []string{"Cookie: sid=" + bad + "; sid=" + tok}, 200, ""},
		{"two cookies of one name, the second bad", "/", []string{"Cookie: sid=" + tok + "; sid=" + bad}, 200, ""},
		{"two cookies of one name, both bad", "/", []string{"Cookie: sid=" + bad + "; sid=x"}, 401, "bad_signature"},
		{"the good one behind many", "/", []string{"Cookie: sid=1; sid=2; sid=3; sid=4; sid=" + tok}, 401, "malformed_token"},
		{"header and query", "/?token=" + tok, []string{"Authorization: Bearer " + tok}, 400, "several_credentials"},
		{"two headers", "/", []string{"Authorization: Bearer " + tok, "X-Key: " + tok}, 400, "several_credentials"},
		{"header and another header, bad", "/", []string{"Authorization: Bearer " + tok, "X-Key: ,"}, 400, "malformed_credential"},
		{"good header, bad cookie", "/", []string{"Authorization: Bearer " + tok, "Cookie: sid=" + bad}, 200, ""},
		{"bad header, good cookie", "/", []string{"Authorization: Bearer " + bad, "Cookie: sid=" + tok}, 401, "bad_signature"},
		{"malformed header, good cookie", "/", []string{"Authorization: Bearer", "Cookie: sid=" + tok}, 400, "malformed_credential"},
		{"bad query, good cookie", "/?token=" + bad, []string{"Cookie: sid=" + tok}, 401, "bad_signature"},
		{"header of a scheme not asked for, good cookie", "/", []string{"Authorization: Basic eDp5", "Cookie: sid=" + tok}, 200, ""},
	} {
		t.Run(tc.name, func(t *testing.T) { s.get(tc.target, tc.headers...).want(t, tc.status, tc.reason) })
	}
}

// What is not named is not looked at.
func TestPlacesReplaceTheDefault(t *testing.T) {
	tok := sign(t, testSecret, good(nil))
	s := serve(t, "admit local {\nsecret "+testSecret+"\nfrom cookie sid\n}", "admit\n"+upstream(t))
	for _, headers := range [][]string{
		{"Authorization: Bearer " + tok},
		{"Authorization: Bearer " + tok, "Authorization: Bearer " + tok},
		{"X-Key: " + tok},
	} {
		a := s.get("/?token="+tok, headers...)
		a.want(t, 401, "missing_credential")
		if got := a.Header.Get("WWW-Authenticate"); !strings.HasPrefix(got, "Bearer ") {
			t.Errorf("challenge %q", got)
		}
	}
	got := s.get("/?token=x", "Cookie: sid="+tok, "Authorization: Basic eDp5").seen(t)
	if got.URI != "/?token=x" || got.Header.Get("Authorization") != "Basic eDp5" || got.Header.Get("Cookie") != "sid="+tok {
		t.Errorf("seen: %+v", got)
	}
}

// Challenges name each scheme that is taken.
func TestChallengePerScheme(t *testing.T) {
	s := serve(t, "admit local {\nsecret "+testSecret+"\nfrom header Authorization Bearer\nfrom header Authorization Token\nfrom query t\n}",
		"admit {\nrealm x\n}\nrespond ok")
	got := strings.Join(s.get("/").Header.Values("WWW-Authenticate"), "\n")
	if want := "Bearer realm=\"x\"\nToken realm=\"x\""; got != want {
		t.Errorf("got %q, want %q", got, want)
	}
}

// threat 94: a token in the query is gone behind the gate, and nothing else is.
func TestQueryIsHidden(t *testing.T) {
	s := serve(t, "admit local {\nsecret "+testSecret+"\nfrom query token\nfrom header Authorization Bearer\n}", `
		admit {
			bypass /public/*
			optional
		}
		`+upstream(t))
	tok := sign(t, testSecret, good(nil))
	for _, tc := range []struct{ target, want string }{
		{"/x?token=" + tok, "/x"},
		{"/x?a=1&token=" + tok + "&b=2", "/x?a=1&b=2"},
		{"/x?%74oken=" + tok + "&a=%2F+%2f&&b=;&=&c", "/x?a=%2F+%2f&&b=;&=&c"},
		{"/x?a=%zz&tokens=1&token=" + tok, "/x?a=%zz&tokens=1"},
		{"/x%2Fy?token=" + tok, "/x%2Fy"},
		{"/public/x?token=" + tok + "&a=b", "/public/x?a=b"},
		{"/x?a=b", "/x?a=b"},
	} {
		if got := s.get(tc.target).seen(t); got.URI != tc.want {
			t.Errorf("%s: upstream sees %q, want %q", tc.target, got.URI, tc.want)
		}
	}
	u, err := url.Parse(s.get("/?a=b", bearer(t, nil)).seen(t).URI)
	if err != nil || u.RawQuery != "a=b" {
		t.Errorf("query %v: %v", u, err)
	}
}

// threats 40, 94: nothing behind the gate goes back to the URL with the token:
// no placeholder, no error route, no variable of FastCGI. A later gate still
// finds what the client sent.
func TestQueryIsHiddenInTheOriginal(t *testing.T) {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = listener.Close() })
	php := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { _, _ = io.WriteString(w, r.URL.RequestURI()) })
	go func() { _ = fcgi.Serve(listener, php) }()
	integration := " {\nsecret " + testSecret + "\nfrom query token\nfrom header X-Never\n}\n"
	s := serve(t, "admit first"+integration+"admit second"+integration, `
		admit first {
			deny /denied claims.sub ada
		}
		admit second
		handle /php {
			reverse_proxy `+listener.Addr().String()+` {
				transport fastcgi
			}
		}
		handle /fails {
			error 502
		}
		respond {http.request.orig_uri}|{http.request.orig_uri.query}|{http.request.uri}
		handle_errors {
			respond {http.request.orig_uri}|{http.request.uri}|{http.request.uri.query}
		}`)
	query := "?a=b&token=" + sign(t, testSecret, good(nil)) + "&c=d"
	for path, want := range map[string]string{
		"/x":      "/x?a=b&c=d|a=b&c=d|/x?a=b&c=d",
		"/php":    "/php?a=b&c=d",
		"/fails":  "/fails?a=b&c=d|/fails?a=b&c=d|a=b&c=d",
		"/denied": "/denied?a=b&c=d|/denied?a=b&c=d|a=b&c=d",
	} {
		if got := s.get(path + query); got.body != want {
			t.Errorf("%s: %d %q, want %q", path, got.StatusCode, got.body, want)
		}
	}
}

// One scheme in two spellings is one place, and no two credentials.
func TestSchemeInTwoSpellings(t *testing.T) {
	s := serve(t, "admit a {\nsecret "+testSecret+"\nfrom header Authorization Bearer\n}\nadmit b {\nsecret x"+testSecret+"\nfrom header authorization bearer\n}",
		"admit a b\nrespond {http.auth.user.integration}")
	for secret, want := range map[string]string{testSecret: "a", "x" + testSecret: "b"} {
		if got := s.get("/", "Authorization: BEARER "+sign(t, secret, good(nil))); got.body != want {
			t.Errorf("%d %q, want %q", got.StatusCode, got.body, want)
		}
	}
	text := loadError(t, "admit a {\nsecret "+testSecret+"\nfrom header X-Key Token\nfrom header X-Key token\n}", "admit\nrespond ok")
	if !strings.Contains(text, "twice") {
		t.Error(text)
	}
}

// DESIGN 1.2, "Sessions and other origins".
//
// TestCrossOrigin: a cookie proves nothing for a request that another site makes.
func TestCrossOrigin(t *testing.T) {
	s := serve(t, "admit local {\nsecret "+testSecret+"\nfrom cookie sid\nfrom header Authorization Bearer\n}", "admit\nrespond ok")
	cookie, header := "Cookie: sid="+sign(t, testSecret, good(nil)), bearer(t, nil)
	site, upper := "http://"+s.addr, "HTTP://"+strings.ToUpper(s.addr)
	upgrade := []string{"Connection: Upgrade", "Upgrade: websocket"}
	for _, tc := range []struct {
		name, method string
		headers      []string
		status       int
		reason       string
	}{
		{"same origin", "POST", []string{cookie, "Sec-Fetch-Site: same-origin"}, 200, ""},
		{"typed by the user", "POST", []string{cookie, "Sec-Fetch-Site: none"}, 200, ""},
		{"same site, another origin", "POST", []string{cookie, "Sec-Fetch-Site: same-site"}, 403, "cross_origin"},
		{"cross site", "POST", []string{cookie, "Sec-Fetch-Site: cross-site"}, 403, "cross_origin"},
		{"cross site, origin forged", "POST", []string{cookie, "Sec-Fetch-Site: cross-site", "Origin: " + site}, 403, "cross_origin"},
		{"a word nobody knows", "DELETE", []string{cookie, "Sec-Fetch-Site: x"}, 403, "cross_origin"},
		{"neither header", "PUT", []string{cookie}, 200, ""},
		{"own origin", "PATCH", []string{cookie, "Origin: " + site}, 200, ""},
		{"own origin, in capitals", "POST", []string{cookie, "Origin: " + upper}, 200, ""},
		{"another origin", "POST", []string{cookie, "Origin: http://evil.example"}, 403, "cross_origin"},
		{"another port", "POST", []string{cookie, "Origin: " + site + "1"}, 403, "cross_origin"},
		{"own host as a prefix", "POST", []string{cookie, "Origin: " + site + ".evil.example"}, 403, "cross_origin"},
		{"own host as user", "POST", []string{cookie, "Origin: " + site + "@evil.example"}, 403, "cross_origin"},
		{"opaque origin", "POST", []string{cookie, "Origin: null"}, 403, "cross_origin"},
		{"empty origin", "POST", []string{cookie, "Origin: "}, 403, "cross_origin"},
		{"two origins", "POST", []string{cookie, "Origin: " + site, "Origin: " + site}, 403, "cross_origin"},
		{"unknown method", "PURGE", []string{cookie, "Origin: http://evil.example"}, 403, "cross_origin"},
		{"another origin reads", "GET", []string{cookie, "Origin: http://evil.example", "Sec-Fetch-Site: cross-site"}, 200, ""},
		{"another origin asks", "OPTIONS", []string{cookie, "Origin: http://evil.example"}, 200, ""},
		{"another origin, a header", "POST", []string{header, "Origin: http://evil.example", "Sec-Fetch-Site: cross-site"}, 200, ""},
		{"a header beside the cookie", "POST", []string{header, cookie, "Sec-Fetch-Site: cross-site"}, 200, ""},
		{"upgrade, own origin", "GET", append([]string{cookie, "Origin: " + site}, upgrade...), 200, ""},
		{"upgrade, another origin", "GET", append([]string{cookie, "Origin: http://evil.example"}, upgrade...), 403, "cross_origin"},
		{"upgrade, cross site", "GET", append([]string{cookie, "Sec-Fetch-Site: cross-site"}, upgrade...), 403, "cross_origin"},
		{"upgrade, a header", "GET", append([]string{header, "Origin: http://evil.example"}, upgrade...), 200, ""},
		{"bad cookie", "POST", []string{"Cookie: sid=x", "Sec-Fetch-Site: cross-site"}, 401, "malformed_token"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			s.send(tc.method, "/", tc.headers...).want(t, tc.status, tc.reason)
		})
	}
}

// threat 42: many headers and long ones are refused, not fatal.
func TestHostileHeaders(t *testing.T) {
	s := serve(t, secretIntegration, "admit\nrespond ok")
	many := make([]string, 200)
	for i := range many {
		many[i] = "Authorization: Bearer x"
	}
	s.get("/", many...).want(t, 400, "several_credentials")
	// threat 2
	s.get("/", "Authorization: Bearer "+strings.Repeat(".", 12000)).want(t, 401, "malformed_token")
	if got := s.get("/", "Authorization: Bearer "+strings.Repeat("a", 40000)).StatusCode; got != 431 {
		t.Errorf("40,000 bytes: %d", got)
	}
	s.get("/", bearer(t, nil)).want(t, 200, "")
}
