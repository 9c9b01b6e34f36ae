package admit

import (
	"net/http"
	"strings"
	"testing"
)

// userHeaders returns what servers behind could take for the header X-User.
func userHeaders(h http.Header) (values []string) {
	for name, lines := range h {
		if strings.NewReplacer("_", "-", ".", "-").Replace(strings.ToLower(name)) == "x-user" {
			values = append(values, lines...)
		}
	}
	return values
}

const spoofedSite = `
	@get {
		method GET POST
		not path /outside/*
	}
	admit @get {
		optional
		bypass /public/*
		header_up X-User {http.auth.user.id}
		header_up X-Mail {http.auth.user.claims.email}
		header_up X-Role admin groups admins
	}
	`

// DESIGN 3, "header_up", and 1.2, "One route": identity headers.
//
// threat 36: no header of ours comes from a client, however it is spelled and
// whatever becomes of the request.
func TestSpoofedHeaders(t *testing.T) {
	spellings := []string{
		"X-User: root", "x-user: root", "X-USER: root", "X_User: root", "x_user: root", "X.User: root", "x.uSER: root",
		"X-User: root\r\nX-User: root", "X-User: root\r\nX_USER: root", "X-User:root", "X-User: \troot", "X_User: root\r\nX.User: root",
	}
	places := []struct{ name, target, header, user string }{
		{"known", "/", bearer(t, nil), "ada"},
		{"anonymous", "/", "", ""},
		{"bypassed", "/public/x", "", ""},
		{"bypassed with a token", "/public/x", bearer(t, nil), ""},
		{"not covered", "/outside/x", "", ""},
		{"not covered, with a token", "/outside/x", bearer(t, nil), ""},
		{"the claim is there", "/", bearer(t, object{"sub": "bea", "email": "b@example.com", "groups": "admins"}), "bea"},
	}
	for _, options := range []string{
		"",
		"servers {\nexpected_underscore_headers X_User X_Role\n}",
		"servers {\nexpected_dot_headers X.User X.Role\n}",
		"servers {\nexpected_underscore_headers X_*\nexpected_dot_headers X.*\n}",
	} {
		s := serve(t, options+"\n"+secretIntegration, spoofedSite+upstream(t))
		for _, place := range places {
			for _, spelling := range spellings {
				headers := []string{spelling, strings.ReplaceAll(spelling, "ser", "Ser"), "X-Mail: root", "X_ROLE: admin"}
				if place.header != "" {
					headers = append(headers, place.header)
				}
				got := s.get(place.target, headers...).seen(t).Header
				if values := strings.Join(userHeaders(got), "|"); values != place.user {
					t.Errorf("%s, %s, %q: X-User is %q, want %q", options, place.name, spelling, values, place.user)
				}
				known := strings.HasPrefix(place.name, "the claim")
				if (got.Get("X-Mail") == "b@example.com") != known || (got.Get("X-Role") == "admin") != known || got["X_role"] != nil {
					t.Errorf("%s, %s: %v", options, place.name, got)
				}
			}
		}
		if err := s.stop(); err != nil {
			t.Fatal(err)
		}
	}
}

// Refused requests and error pages see nothing of it either.
func TestSpoofedHeadersOnErrors(t *testing.T) {
	s := serve(t, secretIntegration, `
		admit {
			bypass /broken
			header_up X-User {http.auth.user.id}
		}
		error /broken 500
		handle_errors {
			respond "user [{http.request.header.X-User}] id [{http.auth.user.id}]"
		}
		respond "[{http.request.header.X-User}]"`)
	if got := s.get("/broken", "X-User: root"); got.StatusCode != 500 || got.body != "user [] id []" {
		t.Errorf("error page: %d %q", got.StatusCode, got.body)
	}
	if got := s.get("/", "X-User: root"); got.StatusCode != 401 || strings.Contains(got.body, "root") {
		t.Errorf("refused: %d %q", got.StatusCode, got.body)
	}
	if got := s.get("/", "X-User: root", bearer(t, nil)); got.body != "[ada]" {
		t.Errorf("let in: %d %q", got.StatusCode, got.body)
	}
}

// threat 37: Connection takes none of our headers away, nor a credential.
func TestConnectionHeader(t *testing.T) {
	s := serve(t, secretIntegration, "admit {\nheader_up X-User {http.auth.user.id}\n}\n"+upstream(t))
	for _, connection := range []string{
		"Connection: close, X-User", "Connection: x-user, close", "Connection: X_USER, close", "connection: close,x.user",
		"Connection: close\r\nConnection: X-User", "Connection: X-User\r\nConnection: close", "Connection: close ,\tX-User ,",
		"Connection: close, Authorization, Cookie", "Connection: AUTHORIZATION, close, cookie",
	} {
		got := s.get("/", connection, "Cookie: a=b", bearer(t, nil)).seen(t).Header
		if got.Get("X-User") != "ada" || got.Get("Authorization") == "" || got.Get("Cookie") != "a=b" {
			t.Errorf("%q: %v", connection, got)
		}
	}
	// What is not ours is still for the proxy to drop.
	if got := s.get("/", "Connection: close, X-Other", "X-Other: x", bearer(t, nil)).seen(t).Header; got.Get("X-Other") != "" {
		t.Errorf("X-Other: %v", got)
	}
}

// threat 36: trailers do not bring what headers may not.
func TestTrailers(t *testing.T) {
	s := serve(t, secretIntegration, spoofedSite+upstream(t))
	for _, target := range []string{"/", "/public/x", "/outside/x"} {
		for _, declared := range []string{"", "Trailer: X-User\r\n", "Trailer: x_user, X-Other\r\n"} {
			got := s.raw("POST " + target + " HTTP/1.1\r\nHost: " + s.addr + "\r\n" + bearer(t, nil) +
				"\r\nConnection: close\r\nTransfer-Encoding: chunked\r\n" + declared +
				"\r\n2\r\nhi\r\n0\r\nX-User: root\r\nx_user: root\r\nX-Other: x\r\n\r\n").seen(t)
			want := ""
			if target == "/" {
				want = "ada"
			}
			if got.Body != "hi" || len(userHeaders(got.Trailer)) > 0 || strings.Join(userHeaders(got.Header), "|") != want {
				t.Errorf("%s, %q: %+v", target, declared, got)
			}
		}
	}
}

// A header that an earlier gate has set is kept, one that a client sent is not.
func TestHeadersOfSeveralGates(t *testing.T) {
	s := serve(t, secretIntegration, `
		route {
			admit /first/* {
				header_up X-User first:{http.auth.user.id}
			}
			admit {
				optional
				header_up X-User second:{http.auth.user.id} groups dev
			}
			`+upstream(t)+`
		}`)
	for _, tc := range []struct{ name, target, header, want string }{
		{"only the first sets it", "/first/x", bearer(t, nil), "first:ada"},
		{"both set it", "/first/x", bearer(t, object{"groups": "dev"}), "second:ada"},
		{"only the second", "/x", bearer(t, object{"groups": "dev"}), "second:ada"},
		{"neither", "/x", bearer(t, nil), ""},
		{"nobody", "/x", "Accept: */*", ""},
	} {
		t.Run(tc.name, func(t *testing.T) {
			got := s.get(tc.target, tc.header, "X-User: root").seen(t)
			if values := strings.Join(userHeaders(got.Header), "|"); values != tc.want {
				t.Errorf("got %q, want %q", values, tc.want)
			}
		})
	}
}
