package e2e

import (
	"fmt"
	"net/http"
	"slices"
	"strings"
	"testing"
)

// spoofed is a gate with everything that lets a request pass: a token, bypass,
// optional, and a matcher that does not cover it.
const spoofed = `
{
	{{.Globals}}
	admit local {
		secret text {env.SPOOF_SECRET}
		issuer local
		audience api
	}
}
{{.Site}} {
	log
	@guarded not path /unmatched
	admit @guarded local {
		optional
		bypass /public/*
		require /private/* user *
		header_up X-User {http.auth.user.id}
		header_up X-Groups {http.auth.user.groups}
	}
	reverse_proxy {{.Upstream}}
}
`

// TestSpoofing sends identity headers of the client's own making: none reaches the
// upstream, whatever the spelling, and the gate's own always do.
func TestSpoofing(t *testing.T) {
	t.Parallel()
	const secret = "a-secret-of-32-bytes-or-more-for-spoofing"
	u := newUpstream(t)
	c := startCaddy(t, u, spoofed, values{"env.SPOOF_SECRET": secret})
	token := hs256Token(`{"iss":"local","aud":"api","sub":"ada","groups":["dev","ops"],"exp":99999999999}`, []byte(secret))
	c.sent.add(secret, token)

	attacks := map[string]string{
		"none":             "",
		"same name":        "X-User: mallory\n",
		"lower case":       "x-user: mallory\nx-groups: admins\n",
		"mixed case":       "x-UsEr: mallory\n",
		"underscore":       "X_User: mallory\nX_Groups: admins\n",
		"lower underscore": "x_user: mallory\n",
		"dot":              "X.User: mallory\n",
		"twice":            "X-User: mallory\nX-User: eve\nX_USER: trudy\n",
		"empty":            "X-User:\n",
		"connection":       "Connection: X-User\n",
		"connection list":  "Connection: keep-alive, x-user, X-Groups\nX-User: mallory\n",
		"connections":      "Connection: X-User\nConnection: X-Groups\n",
		"upgrade":          "Connection: Upgrade, X-User\nUpgrade: websocket\n",
		"te":               "TE: trailers\nConnection: TE, X-User\n",
	}
	for name, headers := range attacks {
		for _, path := range []string{"/", "/private/x", "/public/x", "/unmatched"} {
			for _, authorized := range []bool{true, false} {
				if path == "/private/x" && !authorized {
					continue
				}
				credential, user, groups := "", "", ""
				if authorized {
					credential = "Authorization: Bearer " + token + "\n"
				}
				if authorized && path != "/public/x" && path != "/unmatched" {
					user, groups = "ada", "dev,ops"
				}
				a := c.raw(t, fmt.Sprintf("GET %s HTTP/1.1\nHost: 127.0.0.1\n%s%s\n", path, credential, headers))
				if a.status != 200 {
					t.Errorf("%s %s: got %d", name, path, a.status)
					continue
				}
				got := u.only(t)
				wantNamed(t, name+" "+path, got.Header, "X-User", user)
				wantNamed(t, name+" "+path, got.Header, "X-Groups", groups)
			}
		}
	}
	if a := c.raw(t, "GET / HTTP/1.1\nHost: 127.0.0.1\nX-User : mallory\n\n"); a.status != 400 {
		t.Errorf("a space before the colon: got %d", a.status)
	}
	c.wantRefusal(t, request{path: "/private/x", header: http.Header{"X-User": {"mallory"}}}, 401, "missing_credential")
	if n := len(u.take()); n != 0 {
		t.Errorf("%d refused requests reached the upstream", n)
	}
}

// TestTrailers sends the identity header after the body.
func TestTrailers(t *testing.T) {
	t.Parallel()
	const secret = "a-secret-of-32-bytes-or-more-for-trailers"
	u := newUpstream(t)
	c := startCaddy(t, u, spoofed, values{"env.SPOOF_SECRET": secret})
	token := hs256Token(`{"iss":"local","aud":"api","sub":"ada","exp":99999999999}`, []byte(secret))
	c.sent.add(secret, token)
	for _, path := range []string{"/private/x", "/public/x", "/unmatched"} {
		a := c.raw(t, "POST "+path+" HTTP/1.1\nHost: 127.0.0.1\nAuthorization: Bearer "+token+
			"\nTransfer-Encoding: chunked\nTrailer: X-User\n\n3\nabc\n0\nX-User: mallory\n\n")
		if a.status != 200 {
			t.Errorf("%s: got %d", path, a.status)
			continue
		}
		if got := u.only(t); len(got.Trailer) != 0 {
			t.Errorf("%s: the upstream got the trailer %v", path, got.Trailer)
		}
	}
}

// TestPaths asks for protected paths in spellings that some server takes for public.
func TestPaths(t *testing.T) {
	t.Parallel()
	u := newUpstream(t)
	c := startCaddy(t, u, spoofed, values{"env.SPOOF_SECRET": strings.Repeat("s", 32)})
	for _, path := range []string{
		"/private", "/private/", "/private/x", "/public/../private/x", "/public/%2e%2e/private/x", "/public/..%2fprivate/x",
		"//private/x", "/private//x", "/./private/x", "/public/..;/private/x", `/public/..\private/x`, "/%70rivate/x", "/private/%2e%2e/public/x",
		"/public%2f..%2fprivate/x", "/public//x", "/public/%2e/x", "/public/x%00", "/public/;x",
	} {
		a := c.raw(t, "GET "+path+" HTTP/1.1\nHost: 127.0.0.1\n\n")
		if a.status != 401 && a.status != 400 {
			t.Errorf("%s: got %d, want a refusal", path, a.status)
		}
	}
	if seen := u.take(); len(seen) != 0 {
		t.Errorf("reached the upstream: %v", seen)
	}
	for _, path := range []string{"/public", "/public/", "/public/x", "/public/x/y", "/other", "/privateer"} {
		if a := c.get(t, request{path: path}); a.status != 200 {
			t.Errorf("%s: got %d, want 200", path, a.status)
		}
	}
}

// wantNamed checks all headers that some server takes for name; "" wants none.
func wantNamed(t *testing.T, what string, h http.Header, name, value string) {
	t.Helper()
	var want []string
	if value != "" {
		want = []string{value}
	}
	if got := named(h, name); !slices.Equal(got, want) {
		t.Errorf("%s: the upstream got %s %q, want %q", what, name, got, want)
	}
}
