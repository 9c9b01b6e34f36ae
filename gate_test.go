package admit

import (
	"strings"
	"testing"
)

// DESIGN 1.2, "Claims" and "Patterns", at a gate, and DESIGN 2 for API clients.
//
// TestAnswers: a row is one request of an API client and all it can observe.
func TestAnswers(t *testing.T) {
	s := serve(t, secretIntegration, `
		admit {
			require /admin/* groups admin
			require /scoped scope write
			deny user mallory
			realm "the \"site\""
		}
		respond "hello {http.auth.user.id}"`)
	const realm = `Bearer realm="the \"site\""`
	for _, tc := range []struct {
		name, path string
		headers    []string
		status     int
		reason     string
		challenge  string
	}{
		{"no credential", "/", nil, 401, "missing_credential", realm},
		{"good", "/", []string{bearer(t, nil)}, 200, "", ""},
		{"scheme in other case, two spaces", "/", []string{strings.Replace(bearer(t, nil), "Bearer ", "bEARER  ", 1)}, 200, "", ""},
		{"a scheme not asked for", "/", []string{"Authorization: Digest abc"}, 401, "missing_credential", realm},
		{"scheme alone", "/", []string{"Authorization: Bearer"}, 400, "malformed_credential", realm + `, error="invalid_request", error_description="malformed_credential"`},
		{"two lines", "/", []string{bearer(t, nil), bearer(t, nil)}, 400, "several_credentials", realm + `, error="invalid_request", error_description="several_credentials"`},
		{"expired", "/", []string{bearer(t, map[string]any{"exp": 1})}, 401, "expired", realm + `, error="invalid_token", error_description="expired"`},
		{"denied", "/", []string{bearer(t, map[string]any{"sub": "mallory"})}, 403, "denied", ""},
		{"denied whatever the case", "/", []string{bearer(t, map[string]any{"sub": "Mallory"})}, 403, "denied", ""},
		{"rule", "/admin/x", []string{bearer(t, nil)}, 403, "rule", ""},
		{"rule covers the root", "/admin", []string{bearer(t, nil)}, 403, "rule", ""},
		{"rule covers what has two meanings", "/x/..;/admin", []string{bearer(t, nil)}, 403, "rule", ""},
		{"rule holds", "/admin/x", []string{bearer(t, map[string]any{"groups": []string{"dev", "admin"}})}, 200, "", ""},
		{"scope", "/scoped", []string{bearer(t, map[string]any{"scope": "read"})}, 403, "rule", realm + `, error="insufficient_scope", error_description="rule", scope="write"`},
		{"scope holds", "/scoped", []string{bearer(t, map[string]any{"scope": "read write"})}, 200, "", ""},
	} {
		t.Run(tc.name, func(t *testing.T) {
			a := s.get(tc.path, tc.headers...)
			if a.StatusCode != tc.status || !strings.Contains(a.body, tc.reason) || a.Header.Get("WWW-Authenticate") != tc.challenge {
				t.Errorf("got %d %q %q", a.StatusCode, a.Header.Get("WWW-Authenticate"), a.body)
			}
			if a.StatusCode == 200 {
				return
			}
			if a.Header.Get("Content-Type") != "application/problem+json" || a.Header.Get("Cache-Control") != "no-store" {
				t.Errorf("header %v", a.Header)
			}
		})
	}
}

// DESIGN 1.2, "No rules": any identity gets in, and nobody else.
func TestNoRules(t *testing.T) {
	s := serve(t, secretIntegration, "admit\nrespond {http.auth.user.id}")
	for _, user := range []string{"ada", "mallory"} {
		if got := s.get("/", bearer(t, object{"sub": user})); got.StatusCode != 200 || got.body != user {
			t.Errorf("%s: %d %q", user, got.StatusCode, got.body)
		}
	}
	s.get("/").want(t, 401, "missing_credential")
	s.get("/", bearer(t, object{"exp": 1})).want(t, 401, "expired")
}
