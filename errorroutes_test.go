package admit

import (
	"strings"
	"testing"
)

// TestErrorRoutesAnswer: only an error route that answers gets a refusal. One that
// sets a header or a variable would leave the client with an empty body.
func TestErrorRoutesAnswer(t *testing.T) {
	s := serve(t, secretIntegration, `
		handle_errors {
			header X-Site a
			@gone expression {err.status_code} == 404
			respond @gone "gone"
		}
		admit
		respond ok`)
	if a := s.get("/"); a.StatusCode != 401 || !strings.Contains(a.body, "missing_credential") {
		t.Errorf("got %d %q", a.StatusCode, a.body)
	}
}

// TestErrorRoutesCredential: what a client sent to get in is not for an error page
// or the application behind it, wherever it was (threat 40).
func TestErrorRoutesCredential(t *testing.T) {
	s := serve(t, `admit local {
			secret text `+testSecret+`
			audience api
			from header Authorization Bearer
			from query token
			from cookie token
		}`, `
		handle_errors {
			respond "{err.status_code} [{http.request.header.Authorization}] [{http.request.header.Cookie}] [{http.request.orig_uri}]"
		}
		admit {
			require groups admin
		}
		respond ok`)
	token := sign(t, testSecret, good(nil))
	for _, tc := range []struct{ name, target, header, want string }{
		{"header", "/x?a=1", "Authorization: Bearer " + token, "403 [] [] [/x?a=1]"},
		{"cookie", "/x?a=1", "Cookie: a=b; token=" + token, "403 [] [a=b] [/x?a=1]"},
		{"query", "/x?a=1&token=" + token, "Accept: */*", "403 [] [] [/x?a=1]"},
		{"none", "/x?a=1", "Cookie: a=b", "401 [] [a=b] [/x?a=1]"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			if a := s.get(tc.target, tc.header); a.body != tc.want {
				t.Errorf("got %q, want %q", a.body, tc.want)
			}
		})
	}
}

// TestFoldAll: a header name that differs from one of ours in nothing but signs is
// one of ours to some servers (threat 36).
func TestFoldAll(t *testing.T) {
	for _, name := range []string{"x-user", "X_User", "X.User", "X!User", "X~User", "X'User", "x|uSER"} {
		if !isOneOf(name, []string{foldHeader("X-User")}) {
			t.Errorf("%s passes", name)
		}
	}
	for _, name := range []string{"X-Use", "X-Users", "XUser", "Y-User", "X-U5er"} {
		if isOneOf(name, []string{foldHeader("X-User")}) {
			t.Errorf("%s does not pass", name)
		}
	}
}

// TestErrorRoutesTrailers: a handler before the gate may have made a copy of the
// request, and an error route that proxies would pass on the trailers of the other
// one. So a refusal with announced trailers is direct (threat 36).
func TestErrorRoutesTrailers(t *testing.T) {
	s := serve(t, secretIntegration, `
		handle_errors {
			respond "left to the error route"
		}
		admit {
			header_up X-User {http.auth.user.id}
		}
		respond ok`)
	body := "\r\n3\r\nabc\r\n0\r\n"
	for _, tc := range []struct {
		name, want string
		headers    []string
	}{
		{"none", "left to the error route", []string{"Connection: close", "Transfer-Encoding: chunked", body}},
		{"announced", "missing_credential", []string{"Connection: close", "Transfer-Encoding: chunked", "Trailer: X-User", body + "X-User: mallory"}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			if a := s.send("POST", "/", tc.headers...); !strings.Contains(a.body, tc.want) {
				t.Errorf("got %d %q", a.StatusCode, a.body)
			}
		})
	}
}
