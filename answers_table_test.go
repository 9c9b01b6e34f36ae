package admit

import (
	"fmt"
	"maps"
	"net/http"
	"slices"
	"strings"
	"testing"
)

// tableRow is a row of the table of what each request gets.
type tableRow struct {
	name    string
	headers []string
	target  string
	status  int
	code    string // the member "error"
	reason  string
	scope   string // in the challenge
}

// TestTable holds every cell of DESIGN 2's table that there is today, for each
// kind of client and method.
func TestTable(t *testing.T) {
	down, key := "http://"+freeAddr(t), newKey("k", "k")
	stranger, near := newKey("s", "s"), newIssuer(t, key.jwk(nil))
	f := serveOne(t, `admit local {
		secret `+testSecret+`
		from header Authorization Bearer
		from query token
		from header X-Token
		from cookie sid
	}
	admit down {
		issuer `+down+`
		audience any
	}
	admit near {
		jwks `+near.URL+`/jwks
		audience any
	}
	admit far {
		jwks `+down+`/jwks
		audience any
	}`, `
		admit /down down
		admit /near near {
			realm place
		}
		admit /two near far
		admit /in/* local {
			realm place
			require groups staff
			require /in/scoped scope write
			deny user mallory
		}
		`+upstream(t))
	tok := sign(t, testSecret, good(object{"groups": "staff"}))
	rows := []tableRow{
		{name: "no credential", target: "/in/x", status: 401, reason: "missing_credential"},
		{name: "a scheme not asked for", target: "/in/x", headers: []string{"Authorization: Basic eDp5"}, status: 401, reason: "missing_credential"},
		{name: "malformed credential", target: "/in/x", headers: []string{"Authorization: Bearer a b"}, status: 400, code: "invalid_request", reason: "malformed_credential"},
		{name: "two Authorization lines", target: "/in/x", headers: []string{"Authorization: Bearer " + tok, "Authorization: Bearer " + tok}, status: 400, code: "invalid_request", reason: "several_credentials"},
		{name: "header and query", target: "/in/x?token=" + tok, headers: []string{"Authorization: Bearer " + tok}, status: 400, code: "invalid_request", reason: "several_credentials"},
		{name: "two headers", target: "/in/x", headers: []string{"Authorization: Bearer " + tok, "X-Token: " + tok}, status: 400, code: "invalid_request", reason: "several_credentials"},
		{name: "token refused: expired", target: "/in/x", headers: []string{bearer(t, object{"exp": 1})}, status: 401, code: "invalid_token", reason: "expired"},
		{name: "token refused: signature", target: "/in/x", headers: []string{"Authorization: Bearer " + tok + "x"}, status: 401, code: "invalid_token", reason: "bad_signature"},
		{name: "token refused: no token at all", target: "/in/x", headers: []string{"Authorization: Bearer x"}, status: 401, code: "invalid_token", reason: "malformed_token"},
		{name: "token refused: from a cookie", target: "/in/x", headers: []string{"Cookie: sid=x"}, status: 401, code: "invalid_token", reason: "malformed_token"},
		{name: "rule on groups", target: "/in/x", headers: []string{bearer(t, nil)}, status: 403, code: "access_denied", reason: "rule"},
		{name: "rule on scope", target: "/in/scoped", headers: []string{"Authorization: Bearer " + tok}, status: 403, code: "insufficient_scope", reason: "rule", scope: "write"},
		{name: "deny", target: "/in/x", headers: []string{bearer(t, object{"groups": "staff", "sub": "mallory"})}, status: 403, code: "access_denied", reason: "denied"},
		{name: "keys unreachable", target: "/down", headers: []string{key.bearer(t, down, nil)}, status: 503, code: "temporarily_unavailable", reason: "keys_unavailable"},
		{name: "nobody's key", target: "/near", headers: []string{stranger.bearer(t, "x", nil)}, status: 401, code: "invalid_token", reason: "unknown_key"},
		{name: "nobody's key, but one integration is out of reach", target: "/two", headers: []string{stranger.bearer(t, "x", nil)}, status: 503, code: "temporarily_unavailable", reason: "keys_unavailable"},
	}
	for _, row := range rows {
		for _, client := range []struct {
			name    string
			headers []string
			page    bool
		}{
			{"API client", nil, false},
			{"script", script, false},
			{"browser", navigation, true},
			{"old browser", []string{"Accept: text/html"}, true},
		} {
			var first answered
			for _, method := range []string{"GET", "HEAD", "POST"} {
				t.Run(fmt.Sprint(row.name, "/", client.name, "/", method), func(t *testing.T) {
					a := f.ask(method, "a.example", row.target, append(slices.Clone(client.headers), row.headers...)...)
					row.check(t, a, method, client.page)
					if method == "GET" {
						first = a
					}
					sameHeaders(t, first, a)
				})
			}
		}
	}
	// The row next to them all is let in.
	f.get("/in/scoped", bearer(t, object{"groups": "staff", "scope": "write"})).want(t, 200, "")
}

func (row *tableRow) check(t *testing.T, a answered, method string, page bool) {
	t.Helper()
	if a.StatusCode != row.status || a.Header.Get("Cache-Control") != "no-store" || a.Header.Get("X-Content-Type-Options") != "nosniff" {
		t.Errorf("status %d, header %v", a.StatusCode, a.Header)
	}
	if a.Header.Get("Location") != "" || len(a.Header["Set-Cookie"]) > 0 || a.reached() {
		t.Errorf("header %v, body %q", a.Header, a.body)
	}
	if got := a.Header.Get("Retry-After"); (got != "") != (row.status == 503) {
		t.Errorf("Retry-After %q", got)
	}
	row.checkChallenge(t, a)
	kind := "application/problem+json"
	if page {
		kind = "text/html; charset=utf-8"
	}
	if got := a.Header.Get("Content-Type"); got != kind {
		t.Errorf("Content-Type %q", got)
	}
	switch {
	case method == "HEAD":
		if a.body != "" {
			t.Errorf("body %q", a.body)
		}
	case page:
		checkPage(t, a)
		if !strings.Contains(a.body, "<code>"+row.reason+"</code>") {
			t.Errorf("page without the reason:\n%s", a.body)
		}
	default:
		want := fmt.Sprintf(`{"title":%q,"status":%d,"error":%q,"reason":%q}`, http.StatusText(row.status), row.status, row.code, row.reason)
		if row.code == "" { // RFC 6750 section 3.1: no code where nothing was sent
			want = strings.Replace(want, `"error":"",`, "", 1)
		}
		if a.body != want {
			t.Errorf("got %s, want %s", a.body, want)
		}
	}
}

// checkChallenge: every 401 and 400 has one, a 403 only for a scope, a 503 none.
func (row *tableRow) checkChallenge(t *testing.T, a answered) {
	t.Helper()
	want := `Bearer realm="place"`
	if row.code != "" {
		want += fmt.Sprintf(`, error=%q, error_description=%q`, row.code, row.reason)
	}
	if row.scope != "" {
		want += fmt.Sprintf(`, scope=%q`, row.scope)
	}
	if row.status == 503 || row.status == 403 && row.scope == "" {
		want = ""
	}
	if got := strings.Join(a.Header["Www-Authenticate"], "\n"); got != want {
		t.Errorf("challenge\n%s, want\n%s", got, want)
	}
}

// sameHeaders: the method changes nothing but the body.
func sameHeaders(t *testing.T, a, b answered) {
	t.Helper()
	one, two := maps.Clone(a.Header), maps.Clone(b.Header)
	delete(one, "Date")
	delete(two, "Date")
	if !maps.EqualFunc(one, two, slices.Equal) {
		t.Errorf("headers differ:\n%v\n%v", one, two)
	}
}

// threat 93: a page holds no script and loads nothing, whatever is in it.
func checkPage(t *testing.T, a answered) {
	t.Helper()
	policy := a.Header.Get("Content-Security-Policy")
	for _, part := range []string{"default-src 'none'", "style-src 'sha256-", "base-uri 'none'", "form-action 'none'", "frame-ancestors 'none'"} {
		if !strings.Contains(policy, part) {
			t.Errorf("policy %q without %s", policy, part)
		}
	}
	if strings.Contains(policy, "unsafe") || strings.Contains(policy, "script-src") || strings.Contains(policy, "http") {
		t.Errorf("policy %q", policy)
	}
	if a.Header.Get("X-Frame-Options") != "DENY" || a.Header.Get("Referrer-Policy") != "no-referrer" {
		t.Errorf("header %v", a.Header)
	}
	lower := strings.ToLower(a.body)
	for _, part := range []string{"<script", "javascript:", " onload", "<form", "<iframe", "http://", "https://"} {
		if strings.Contains(lower, part) {
			t.Errorf("page with %q:\n%s", part, a.body)
		}
	}
	if !strings.HasPrefix(a.body, "<!DOCTYPE html>") {
		t.Errorf("page:\n%s", a.body)
	}
}
