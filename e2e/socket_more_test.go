package e2e

import (
	"slices"
	"strings"
	"testing"
)

// TestSocketOpen is the control: without a gate the same bytes do reach the
// application, or nothing would be proven by their absence.
func TestSocketOpen(t *testing.T) {
	t.Parallel()
	c, w, _ := startSocketSite(t, strangeNames)
	for _, name := range slices.Concat(spellings("x-user"), spellings("x-auth-groups")) {
		c.raw(t, "GET / HTTP/1.1\nHost: open\n"+name+": mallory\n\n")
		// Caddy drops the right spelling itself where another one is let in.
		strange := strings.ContainsAny(name, "_.")
		if got := w.only(t); strings.Contains(got, ": mallory\n") != strange {
			t.Errorf("%s: the upstream got %q", name, got)
		}
	}
	c, w, _ = startSocketSite(t, "")
	for _, headers := range []string{"X-User: mallory\n", "x-user: mallory\nX-Hop: 1\nConnection: x-hop\n"} {
		c.raw(t, "GET / HTTP/1.1\nHost: open\n"+headers+"\n")
		if got := w.only(t); !strings.Contains(got, "X-User: mallory\n") || strings.Contains(got, "Hop") {
			t.Errorf("the upstream got %q", got)
		}
	}
	c.raw(t, "POST / HTTP/1.1\nHost: open\n"+chunked("Trailer: X-User\n", "X-User: mallory\n"))
	if got := w.only(t); !strings.HasSuffix(got, "0\nX-User: mallory\n\n") {
		t.Errorf("the upstream got %q", got)
	}
}

// chunked is the rest of a POST request: its last header lines and its body with
// trailers.
func chunked(headers, trailers string) string {
	return headers + "Transfer-Encoding: chunked\n\n3\nabc\n0\n" + trailers + "\n"
}

// TestSocketAuthorization doubles the credential. The gate refuses where it looks
// at it, and changes nothing where it does not.
func TestSocketAuthorization(t *testing.T) {
	t.Parallel()
	c, w, good := startSocketSite(t, "")
	const basic = "Authorization: Basic YWRhOmFkYQ=="
	_, token, _ := strings.Cut(good, "Bearer ")
	for name, lines := range map[string][]string{
		"the same twice":      {good, good},
		"Basic first":         {basic, good},
		"Basic last":          {good, basic},
		"only Basic":          {basic, basic},
		"empty first":         {"Authorization: ", good},
		"empty last":          {good, "Authorization: "},
		"two in one line":     {good + ", Bearer " + token},
		"two tokens":          {good + " " + token},
		"three":               {good, good, good},
		"without a token":     {"Authorization: Bearer"},
		"something behind it": {good + ","},
	} {
		for _, way := range ways {
			sent, seen := way.methodAndPath("GET")
			way.authorized = true
			if seen != "GET /public/x" && seen != "GET /unmatched" && !way.stripped {
				method, _, _ := strings.Cut(seen, " ")
				way.seen, way.identified = "/error/400", false
				seen = method + " " + way.seen
			}
			raw := strings.ReplaceAll(strings.Join(lines, "\n"), "Authorization", "authoriZATION")
			c.raw(t, sent+" HTTP/1.1\nHost: gate\n"+way.headers+raw+"\n\n")
			wantWire(t, way.name+", "+name, w, seen, "", way.lines(lines...))
		}
	}
}

// TestSocketTrailers sends identity headers after the body.
func TestSocketTrailers(t *testing.T) {
	t.Parallel()
	for servers, options := range map[string]string{"standard": "", "strange names": strangeNames} {
		t.Run(servers, func(t *testing.T) {
			t.Parallel()
			c, w, credential := startSocketSite(t, options)
			for name, body := range map[string]string{
				"announced":    chunked("Trailer: X-User\n", "X-User: mallory\n"),
				"list":         chunked("Trailer: x-user, X-Auth-Groups\n", "X-User: mallory\nx-auth-groups: root\n"),
				"lines":        chunked("Trailer: X-User\ntrailer: X-Other\n", "X-User: mallory\nX-Other: 1\n"),
				"underscore":   chunked("Trailer: X_User, x.user\n", "X_User: mallory\nx.user: mallory\n"),
				"not sent":     chunked("Trailer: X-User\n", ""),
				"out of place": chunked("", "X-User: mallory\n"),
				"hop by hop":   chunked("TE: trailers\nConnection: TE, Trailer\nTrailer: X-User\n", "X-User: mallory\n"),
				"with another": chunked("Trailer: X-Sum\n", "X-User: mallory\nX-Sum: 1\n"),
			} {
				for _, way := range ways {
					sent, seen := way.methodAndPath("POST")
					headers := way.headers
					if way.authorized {
						headers += credential + "\n"
					}
					c.raw(t, sent+" HTTP/1.1\nHost: gate\n"+headers+body)
					if way.refused() && strings.Contains(strings.ToLower(body), "trailer: ") {
						w.none(t) // refused directly: an error route would pass the trailers on
						continue
					}
					want := "3\nabc\n0\n\n"
					if way.stripped {
						want = "" // a preflight has no body
					}
					wantWire(t, way.name+", "+name, w, seen, want, way.lines(credential))
				}
			}
		})
	}
}
