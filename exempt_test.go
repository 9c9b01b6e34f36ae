package admit

import (
	"strings"
	"testing"

	"github.com/caddyserver/caddy/v2"
)

// DESIGN 1.2, "bypass".
//
// threat 33: nothing but a canonical path in the line exempts a request.
func TestBypass(t *testing.T) {
	s := serve(t, secretIntegration, `
		admit {
			bypass /status /healthz
			bypass /public/*
			bypass GET HEAD /read/*
		}
		respond ok`)
	host := "http://" + s.addr
	for _, tc := range []struct {
		method, target string
		headers        []string
		status         int
	}{
		{"GET", "/status", nil, 200},
		{"POST", "/status", nil, 200},
		{"GET", "/healthz?full=1", nil, 200},
		{"GET", "/status/", nil, 401},
		{"GET", "/status/x", nil, 401},
		{"GET", "/Status", nil, 401},
		{"GET", "/statusx", nil, 401},
		{"GET", "/status;x", nil, 401},
		{"GET", "/status%00", nil, 401},
		{"GET", "/status%0a", nil, 401},
		{"GET", "/status%20", nil, 401},
		{"GET", "/status%3fx", nil, 401},
		{"GET", "/status%23x", nil, 401},
		{"GET", "/x?/status", nil, 401},
		{"GET", "/x#/status", nil, 401},
		{"GET", "/x?path=/public/", nil, 401},
		{"GET", "/public", nil, 200},
		{"GET", "/public/", nil, 200},
		{"GET", "/public/a/b", nil, 200},
		{"GET", "/public/%61", nil, 200},
		{"GET", "/PUBLIC/a", nil, 401},
		{"GET", "/publicx", nil, 401},
		{"GET", "/public/../admin", nil, 401},
		{"GET", "/public/..", nil, 401},
		{"GET", "/public/.", nil, 401},
		{"GET", "/public/./a", nil, 401},
		{"GET", "/public/%2e%2e/admin", nil, 401},
		{"GET", "/public/%2E./admin", nil, 401},
		{"GET", "/public/%252e%252e/admin", nil, 401},
		{"GET", "/public/..%2fadmin", nil, 401},
		{"GET", "/public/..%252fadmin", nil, 401},
		{"GET", "/public%2fa", nil, 401},
		{"GET", "/public/a%2Fb", nil, 401},
		{"GET", "/public/..;/admin", nil, 401},
		{"GET", "/public/..%3b/admin", nil, 401},
		{"GET", "/public;/../admin", nil, 401},
		{"GET", `/public/..\admin`, nil, 401},
		{"GET", "/public/..%5cadmin", nil, 401},
		{"GET", "/public//admin", nil, 401},
		{"GET", "//public/a", nil, 401},
		{"GET", "/admin/../public/a", nil, 401},
		{"GET", "/x/%2e%2e/public/a", nil, 401},
		{"GET", "/public/%25", nil, 401},
		{"GET", host + "/public/a", nil, 200},
		{"GET", host + "/admin", nil, 401},
		{"GET", host + "/public/../admin", nil, 401},
		{"GET", "*", nil, 401}, // OPTIONS * is answered by the HTTP server itself
		{"GET", "/read/x", nil, 200},
		{"HEAD", "/read/x", nil, 200},
		{"POST", "/read/x", nil, 401},
		{"POST", "/read/x", []string{"X-HTTP-Method-Override: GET"}, 401},
		{"get", "/read/x", nil, 401},
		{"OPTIONS", "/read/x", []string{"Origin: http://x", "Access-Control-Request-Method: GET"}, 401},
		{"HEAD", "/admin", nil, 401},
		{"OPTIONS", "/admin", nil, 401},
		{"GET", "/admin", []string{"X-Forwarded-Uri: /public/a"}, 401},
		{"GET", "/admin", []string{"X-Original-URL: /public/a", "X-Rewrite-URL: /public/a"}, 401},
		{"GET", "/admin", []string{"X-Forwarded-Prefix: /public", "X-Forwarded-For: 127.0.0.1"}, 401},
		{"GET", "/admin", []string{"User-Agent: kube-probe/1.0", "X-Forwarded-Method: OPTIONS"}, 401},
		{"GET", "/public/a", []string{"Authorization: Bearer x"}, 200},
	} {
		if got := s.send(tc.method, tc.target, tc.headers...); got.StatusCode != tc.status && (got.StatusCode != 400 || tc.status == 200) {
			t.Errorf("%s %s %q: %d, want %d", tc.method, tc.target, tc.headers, got.StatusCode, tc.status)
		}
	}
}

// DESIGN 1.2, "One gate for the site", and "bypass".
//
// threat 33: a path that is not canonical is covered by every path of gate and
// rules, so no spelling of it goes around them.
func TestPathsThatAreNotCanonical(t *testing.T) {
	s := serve(t, secretIntegration, `
		admit /admin/* {
			require /admin/root/* groups root
		}
		respond ok`)
	for _, tc := range []struct {
		target           string
		anonymous, known int
	}{
		{"/", 200, 200},
		{"/administrator", 200, 200},
		{"/public/a%20b", 200, 200},
		{"/admin", 401, 200},
		{"/admin/", 401, 200},
		{"/Admin/x", 401, 200},
		{"/%61dmin/x", 401, 200},
		{"/admin/root", 401, 403},
		{"/admin/ROOT/x", 401, 403},
		{"/x/..;/admin/x", 401, 403},
		{"/x/%2e%2e/admin/x", 401, 403},
		{"//admin/x", 401, 403},
		{"/x//y", 401, 403},
		{"/admin%2fx", 401, 403},
		{"/x%2fy", 401, 403},
		{`/x\..\admin`, 401, 403},
		{"/x;/admin", 401, 403},
		{"/%2561dmin", 401, 403},
		{"/x/./admin", 401, 403},
		{"/%00/admin", 401, 403},
	} {
		if got := s.get(tc.target).StatusCode; got != tc.anonymous {
			t.Errorf("%s without a token: %d, want %d", tc.target, got, tc.anonymous)
		}
		if got := s.get(tc.target, bearer(t, nil)).StatusCode; got != tc.known {
			t.Errorf("%s with a token: %d, want %d", tc.target, got, tc.known)
		}
		if got := s.get(tc.target, bearer(t, map[string]any{"groups": "root"})).StatusCode; got != 200 {
			t.Errorf("%s with the group: %d, want 200", tc.target, got)
		}
	}
}

// A path in a block of matchers counts as a path only if it stands alone there.
func TestMatchersOfTheGate(t *testing.T) {
	s := serve(t, secretIntegration, `
		@change {
			path /api/*
			method POST
		}
		@app not path /assets/*
		admit @change
		admit @app {
			require groups dev
		}
		respond ok`)
	for _, tc := range []struct {
		method, target string
		claims         map[string]any
		status         int
	}{
		{"GET", "/assets/x", nil, 200},
		{"POST", "/assets/x", nil, 200},
		{"GET", "/api/x", nil, 401},
		{"GET", "/api/x", map[string]any{"groups": "dev"}, 200},
		{"GET", "/api/x", map[string]any{"groups": "ops"}, 403},
		{"GET", "/assets/%2e%2e/api/x", nil, 401},
		{"GET", "/assets/../api/x", nil, 401},
	} {
		var headers []string
		if tc.claims != nil {
			headers = append(headers, bearer(t, tc.claims))
		}
		if got := s.send(tc.method, tc.target, headers...).StatusCode; got != tc.status {
			t.Errorf("%s %s %v: %d, want %d", tc.method, tc.target, tc.claims, got, tc.status)
		}
	}
}

// threat 33, 102: optional lets nobody pass where a rule asks for somebody, and a
// bad credential nowhere.
func TestOptional(t *testing.T) {
	s := serve(t, secretIntegration, `
		@write method POST PUT
		admit {
			optional
			require /admin/* groups admin
			require @write scope write
			deny user mallory
			any /any/* {
				require user ada
				require user bea
			}
		}
		respond "{http.auth.admit.verdict}:{http.auth.user.id}"`)
	expired := bearer(t, map[string]any{"exp": 1})
	for _, tc := range []struct {
		name, method, target, header string
		status                       int
		want                         string
	}{
		{"anonymous", "GET", "/", "", 200, "anonymous:"},
		{"somebody", "GET", "/", bearer(t, nil), 200, "allowed:ada"},
		{"denied", "GET", "/", bearer(t, map[string]any{"sub": "mallory"}), 403, "denied"},
		{"bad credential", "GET", "/", expired, 401, "expired"},
		{"malformed credential", "GET", "/", "Authorization: Bearer", 400, "malformed_credential"},
		{"a scheme not asked for", "GET", "/", "Authorization: Basic eDp5", 200, "anonymous:"},
		{"require covers", "GET", "/admin/x", "", 401, "missing_credential"},
		{"require covers the root", "GET", "/admin", "", 401, "missing_credential"},
		{"require fails", "GET", "/admin/x", bearer(t, nil), 403, "rule"},
		{"require by method", "POST", "/", "", 401, "missing_credential"},
		{"require by method holds", "POST", "/", bearer(t, map[string]any{"scope": "write"}), 200, "allowed:ada"},
		{"any covers", "GET", "/any/x", "", 401, "missing_credential"},
		{"any holds", "GET", "/any/x", bearer(t, nil), 200, "allowed:ada"},
		{"a preflight is an ordinary request", "OPTIONS", "/admin/x", "", 401, "missing_credential"},
		{"not canonical", "GET", "/x//y", "", 401, "missing_credential"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			headers := strings.Fields("")
			if tc.header != "" {
				headers = []string{tc.header}
			}
			got := s.send(tc.method, tc.target, headers...)
			if tc.status != 200 {
				got.want(t, tc.status, tc.want)
			} else if got.body != tc.want {
				t.Errorf("got %d %q, want %q", got.StatusCode, got.body, tc.want)
			}
		})
	}
}

// threat 33: what is exempt for one method is not exempt under another's name.
func TestBypassAndMethodOverrides(t *testing.T) {
	s := serve(t, secretIntegration, "admit {\nbypass POST /hook\n}\n"+upstream(t))
	got := s.send("POST", "/hook", "Content-Length: 0", "X-HTTP-Method-Override: DELETE", "x-method-override: PUT", "X-HTTP-Method: PATCH", "X-Other: x").seen(t).Header
	if got.Get("X-Other") != "x" || strings.Contains(strings.Join(append(append(got["X-Http-Method-Override"], got["X-Method-Override"]...), got["X-Http-Method"]...), ""), "T") {
		t.Errorf("upstream sees %v", got)
	}
}

// threat 98: an empty list of rules on trial does not switch the others off.
func TestEmptyTrial(t *testing.T) {
	text := caddyfileText(freeAddr(t), secretIntegration, "admit {\nrequire groups admins\nreport_only\n}")
	adapted, err := adapt(text)
	if err != nil {
		t.Fatal(err)
	}
	for _, list := range []string{`{"require":[]}`, `{"deny":[]}`, `{"require":[],"deny":[]}`, `{"require":[],"deny":[{"claim":"user","patterns":["mallory"]}]}`} {
		config := strings.Replace(string(adapted), `"report_only":{}`, `"report_only":`+list, 1)
		if config == string(adapted) {
			t.Fatal("nothing replaced")
		}
		if err := caddy.Load([]byte(config), true); err == nil || !strings.Contains(err.Error(), "report_only") {
			t.Errorf("%s: %v", list, err)
		}
	}
}
