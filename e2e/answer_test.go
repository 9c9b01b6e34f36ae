package e2e

import (
	"fmt"
	"net/http"
	"strings"
	"testing"
)

// TestAnswers holds every kind of refusal to what its client can observe.
func TestAnswers(t *testing.T) {
	t.Parallel()
	const caddyfile = `
{
	{{.Globals}}
	admit local {
		secret text {env.ANSWER_SECRET}
		issuer local
		audience api
	}
	admit away {
		issuer {{.Away}}
		audience api
	}
}
{{.Site}} {
	log
	handle /away {
		admit away
		reverse_proxy {{.Upstream}}
	}
	handle {
		admit local {
			require /group/* groups admins
			require /scope/* scope write
			deny user mallory
			realm "the API"
		}
		reverse_proxy {{.Upstream}}
	}
}
`
	const secret = "a-secret-of-32-bytes-or-more-for-answers"
	u := newUpstream(t)
	away := "http://127.0.0.1:" + freePort(t)
	c := startCaddy(t, u, caddyfile, values{"env.ANSWER_SECRET": secret, "Away": away})
	c.sent.add(secret)
	sign := func(claims string) string {
		token := hs256Token(claims, []byte(secret))
		c.sent.add(token)
		return "Authorization: Bearer " + token + "\n"
	}
	const common = `"iss":"local","aud":"api","exp":99999999999`
	ada := sign(`{"sub":"ada","scope":"read",` + common + `}`)
	awayToken := sign(`{"sub":"ada","iss":"` + away + `","aud":"api","exp":99999999999}`)
	awayToken = strings.Replace(awayToken, encoded(`{"alg":"HS256","typ":"JWT"}`, ""), encoded(`{"alg":"RS256","typ":"JWT"}`, ""), 1)

	for _, tc := range []struct {
		name, path, headers string
		status              int
		reasons, challenge  []string // any of the reasons; all of these in WWW-Authenticate
	}{
		{"no credential", "/", "", 401, []string{"missing_credential"}, []string{`Bearer realm="the API"`}},
		{"another scheme", "/", "Authorization: Basic YWRhOmFkYQ==\n", 401, []string{"missing_credential"}, []string{`Bearer realm="the API"`}},
		{"expired", "/", sign(`{"sub":"ada","iss":"local","aud":"api","exp":1}`), 401, []string{"expired"}, []string{`error="invalid_token"`, `error_description="expired"`}},
		{"not yet", "/", sign(`{"sub":"ada","nbf":99999999998,` + common + `}`), 401, []string{"not_yet_valid"}, []string{`error="invalid_token"`}},
		{"no expiry", "/", sign(`{"sub":"ada","iss":"local","aud":"api"}`), 401, []string{"missing_expiry"}, []string{`error="invalid_token"`}},
		{"no user", "/", sign(`{` + common + `}`), 401, []string{"no_identity"}, []string{`error="invalid_token"`}},
		{"audience", "/", sign(`{"sub":"ada","iss":"local","aud":["app"],"exp":99999999999}`), 401, []string{"wrong_audience"}, []string{`error="invalid_token"`}},
		{"issuer", "/", sign(`{"sub":"ada","iss":"Local","aud":"api","exp":99999999999}`), 401, []string{"unknown_issuer"}, []string{`error="invalid_token"`}},
		{"duplicate claim", "/", sign(`{"sub":"ada","sub":"eve",` + common + `}`), 401, []string{"malformed_token"}, []string{`error="invalid_token"`}},
		{"group", "/group/x", ada, 403, []string{"rule"}, nil},
		{"scope", "/scope/x", ada, 403, []string{"rule"}, []string{`error="insufficient_scope"`, `scope="write"`}},
		{"denied", "/", sign(`{"sub":"mallory",` + common + `}`), 403, []string{"denied"}, nil},
		{"two lines", "/", ada + ada, 400, []string{"several_credentials", "malformed_credential"}, nil},
		{"no token", "/", "Authorization: Bearer\n", 400, []string{"malformed_credential"}, nil},
		{"two tokens", "/", "Authorization: Bearer a.b.c d.e.f\n", 400, []string{"malformed_credential"}, nil},
		{"keys unreachable", "/away", awayToken, 503, []string{"keys_unavailable"}, nil},
	} {
		t.Run(tc.name, func(t *testing.T) {
			for _, method := range []string{"GET", "POST", "HEAD"} {
				a := c.raw(t, fmt.Sprintf("%s %s HTTP/1.1\nHost: 127.0.0.1\n%s\n", method, tc.path, tc.headers))
				if a.status != tc.status || a.header.Get("Cache-Control") != "no-store" {
					t.Errorf("%s: got %d, Cache-Control %q", method, a.status, a.header.Get("Cache-Control"))
				}
				if got := a.header.Get("Content-Type"); got != "application/problem+json" {
					t.Errorf("%s: Content-Type %q", method, got)
				}
				challenge := strings.Join(a.header.Values("WWW-Authenticate"), "\n")
				for _, want := range tc.challenge {
					if !strings.Contains(challenge, want) {
						t.Errorf("%s: WWW-Authenticate %q lacks %q", method, challenge, want)
					}
				}
				if tc.status == 401 && challenge == "" || tc.name == "group" && strings.Contains(challenge, "insufficient_scope") {
					t.Errorf("%s: WWW-Authenticate %q", method, challenge)
				}
				if tc.status == 503 && a.header.Get("Retry-After") == "" {
					t.Errorf("%s: no Retry-After", method)
				}
				wantBody(t, method, a, tc.reasons)
			}
		})
	}
	if n := len(u.take()); n != 0 {
		t.Errorf("%d refused requests reached the upstream", n)
	}
	if a := c.raw(t, "HEAD / HTTP/1.1\nHost: 127.0.0.1\n"+ada+"\n"); a.status != 200 {
		t.Errorf("HEAD with a good token: got %d", a.status)
	}
}

func wantBody(t *testing.T, method string, a answer, reasons []string) {
	t.Helper()
	if method == http.MethodHead {
		if a.body != "" {
			t.Errorf("HEAD has a body: %q", a.body)
		}
		return
	}
	if err := a.isRefusal(a.status, reasons...); err != nil {
		t.Errorf("%s: %v", method, err)
	}
	// Where no credential was sent there is no error code (RFC 6750 section 3.1).
	if a.problem.Title == "" || (a.problem.Error == "") != (a.problem.Reason == "missing_credential") {
		t.Errorf("%s: title and error are missing: %s", method, a.body)
	}
}
