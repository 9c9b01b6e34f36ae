package machine

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/caddy-admit/admit/internal/outbound"
)

// TestClientsAnswers: a row is what a token endpoint says, and what the gate makes
// of it. It never takes an endpoint that is down for a wrong secret, nor the other
// way round (threat 88).
func TestClientsAnswers(t *testing.T) {
	other := unsigned(`{"aud":"https://other.example.com"}`)
	for _, tc := range []struct {
		name   string
		answer http.HandlerFunc
		want   string
		token  string
	}{
		{name: "token", answer: says(200, `{"access_token":"at-1","token_type":"Bearer","expires_in":60}`), want: "good", token: "at-1"},
		{name: "type in other case", answer: says(200, `{"access_token":"at-1","token_type":"bEARER","expires_in":60}`), want: "good", token: "at-1"},
		{name: "token for another audience, which the caller checks", answer: says(200, `{"access_token":"`+other+`","token_type":"Bearer","expires_in":60}`), want: "good", token: other},
		{name: "expires_in missing", answer: says(200, `{"access_token":"at-1","token_type":"Bearer"}`), want: "good", token: "at-1"},
		{name: "expires_in negative", answer: says(200, `{"access_token":"at-1","token_type":"Bearer","expires_in":-60}`), want: "good", token: "at-1"},
		{name: "token of another type", answer: says(200, `{"access_token":"at-1","token_type":"DPoP","expires_in":60}`), want: "503"}, // threat 101
		{name: "no access token", answer: says(200, `{"access_token":"at-1","token_type":"N_A","expires_in":60}`), want: "503"},
		{name: "token with a line break", answer: says(200, `{"access_token":"at\r\nX-User: ada","token_type":"Bearer"}`), want: "503"},
		{name: "token with a space", answer: says(200, `{"access_token":"at 1","token_type":"Bearer"}`), want: "503"},
		{name: "token too long", answer: says(200, `{"access_token":"`+strings.Repeat("a", 16<<10+1)+`","token_type":"Bearer"}`), want: "503"},
		{name: "no token", answer: says(200, `{"token_type":"Bearer"}`), want: "503"},

		{name: "wrong secret", answer: says(401, `{"error":"invalid_client","error_description":"`+marker+`"}`), want: "401 bad_client"},
		{name: "wrong secret with 400", answer: says(400, `{"error":"invalid_client"}`), want: "401 bad_client"},
		{name: "wrong secret with 200", answer: says(200, `{"error":"incorrect_client_credentials"}`), want: "401 bad_client"},
		{name: "401 and nothing", answer: says(401, ``), want: "401 bad_client"},
		{name: "client without this grant", answer: says(400, `{"error":"unauthorized_client"}`), want: "401 bad_client"},
		{name: "client without this API", answer: says(403, `{"error":"access_denied"}`), want: "401 bad_client"},

		{name: "scope", answer: says(400, `{"error":"invalid_scope","error_description":"`+marker+`"}`), want: "503 invalid_scope"},
		{name: "scope with 401", answer: says(401, `{"error":"invalid_scope"}`), want: "503 invalid_scope"},
		{name: "audience", answer: says(400, `{"error":"invalid_target"}`), want: "503 invalid_target"},
		{name: "no such grant", answer: says(400, `{"error":"unsupported_grant_type"}`), want: "503 unsupported_grant_type"},
		{name: "no such endpoint", answer: http.NotFound, want: "503"},
		{name: "forbidden by somebody in between", answer: says(403, marker), want: "503"},
		{name: "text as code", answer: says(400, `{"error":"`+marker+` !"}`), want: "503"},

		{name: "500", answer: says(500, `{"error":"invalid_client"}`), want: "503"},
		{name: "too many", answer: says(429, `{"error":"invalid_client"}`), want: "503"},
		{name: "HTML", answer: page, want: "503"},
		{name: "64 MiB", answer: says(200, `{"access_token":"at-1","token_type":"Bearer"}`+strings.Repeat(" ", 64<<20)), want: "503"},
		{name: "empty", answer: says(200, ``), want: "503"},
		{name: "nothing at all", answer: silence, want: "503"},
		{name: "not in time", answer: hang, want: "503"},
		{name: "redirect", answer: http.RedirectHandler("/elsewhere", http.StatusTemporaryRedirect).ServeHTTP, want: "503"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			e := newEndpoint(t, tc.answer)
			c := newClients(t, e, nil)
			if tc.name == "not in time" {
				c.checker.call = 50 * time.Millisecond
			}
			token, err := c.Token(t.Context(), "app", marker, home)
			if verdict(err) != tc.want || token != tc.token {
				t.Errorf("got %q, %q, want %q", token, verdict(err), tc.want)
			}
			checkError(t, err)
			if err == nil {
				return
			}
			// What went wrong is known for 10 s, and no longer.
			e.calledFor()
			e.clock.advance(badFor - 1)
			if _, err := c.Token(t.Context(), "app", marker, home); verdict(err) != tc.want || e.calledFor() != 0 {
				t.Errorf("within 10 s: got %v", err)
			}
			e.answer(one("app", marker))
			e.clock.advance(1)
			if _, err := c.Token(t.Context(), "app", marker, home); err != nil || e.calledFor() != 1 {
				t.Errorf("after 10 s: got %v", err)
			}
		})
	}
}

// TestClientsDiscovery: an endpoint that cannot be found says nothing about a secret.
func TestClientsDiscovery(t *testing.T) {
	e := newEndpoint(t, one("app", "s"))
	c := newClients(t, e, func(c *ClientsConfig) {
		c.URL = func(context.Context) (string, error) { return "", fmt.Errorf("%w: down", outbound.ErrUnavailable) }
	})
	if _, err := c.Token(t.Context(), "app", "s", home); !errors.Is(err, outbound.ErrUnavailable) || e.calledFor() != 0 {
		t.Errorf("got %v", err)
	}
}

// TestClientsRequest: id and secret arrive as they are, whatever is in them
// (RFC 6749 section 2.3.1), and what is no client's is never sent.
func TestClientsRequest(t *testing.T) {
	e := newEndpoint(t, says(200, `{"access_token":"at","token_type":"Bearer","expires_in":60}`))
	c := newClients(t, e, nil)
	pairs := [][2]string{
		{"app", "simple"},
		{"a:p%p", "s:e%c%3Ar+e t&=/?"},
		{"https://app.example.com/client", "päss wörd"},
	}
	for _, pair := range pairs {
		if _, err := c.Token(t.Context(), pair[0], pair[1], home); err != nil {
			t.Fatal(err)
		}
	}
	for i, pair := range pairs {
		if e.basic[i] != pair {
			t.Errorf("got %q, want %q", e.basic[i], pair)
		}
		f := e.forms[i]
		if len(f) != 4 || f.Get("grant_type") != "client_credentials" || f.Get("scope") != "read write" ||
			f.Get("audience") != "https://api.example.com" || f.Get("resource") != "https://api.example.com" {
			t.Errorf("got form %v", f)
		}
	}
	e.calledFor()
	for _, pair := range [][2]string{
		{"", "s"},
		{"app", ""}, // a public client has no tokens of its own
		{"app\n", "s"},
		{"app", "s\x00"},
		{"app", "s\x7f"},
		{"app", "\xff"},
		{strings.Repeat("a", maxClientID+1), "s"},
		{"app", strings.Repeat("a", maxClientSecret+1)},
	} {
		if _, err := c.Token(t.Context(), pair[0], pair[1], home); err != ErrBadClient || e.calledFor() != 0 {
			t.Errorf("%.20q: got %v", pair, err)
		}
	}

	bare := newClients(t, e, func(c *ClientsConfig) { c.Scopes, c.Audience = nil, "" })
	named := newClients(t, e, func(c *ClientsConfig) { c.Scopes, c.Audience = nil, "api" })
	e.forms = nil
	for _, c := range []*Clients{bare, named} {
		if _, err := c.Token(t.Context(), "app", "s", home); err != nil {
			t.Fatal(err)
		}
	}
	if f := e.forms[0]; len(f) != 1 {
		t.Errorf("without scopes and audience: got %v", f)
	}
	if f := e.forms[1]; len(f) != 2 || f.Get("audience") != "api" {
		t.Errorf("an audience that is no URI: got %v", f)
	}
}

// TestClientsOneCall: 12 first calls at once make one token request, whoever of
// them goes away.
func TestClientsOneCall(t *testing.T) {
	arrived, release := make(chan struct{}, 16), make(chan struct{})
	e := newEndpoint(t, func(w http.ResponseWriter, r *http.Request) {
		arrived <- struct{}{}
		<-release
		one("app", "s")(w, r)
	})
	c := newClients(t, e, nil)
	gone, leave := context.WithCancel(t.Context())
	first := make(chan error)
	go func() {
		_, err := c.Token(gone, "app", "s", home)
		first <- err
	}()
	<-arrived
	leave()
	if err := <-first; verdict(err) != "503" || !errors.Is(err, context.Canceled) {
		t.Errorf("who has gone: got %v", err)
	}
	var wg sync.WaitGroup
	for n := range 12 {
		wg.Go(func() {
			if token, err := c.Token(t.Context(), "app", "s", elsewhere(n)); token != "token-of-app" {
				t.Errorf("got %q, %v", token, err)
			}
		})
	}
	close(release)
	wg.Wait()
	if n := e.calledFor(); n != 1 {
		t.Errorf("%d calls, want 1", n)
	}
}

// TestClientsKey: no two credentials meet in the cache, and no two clients of
// different scopes or audience (threats 81, 89).
func TestClientsKey(t *testing.T) {
	e := newEndpoint(t, func(w http.ResponseWriter, r *http.Request) {
		user, password, _ := r.BasicAuth()
		says(200, fmt.Sprintf(`{"access_token":"%x","token_type":"Bearer","expires_in":3600}`, user+"\x00"+password))(w, r)
	})
	c := newClients(t, e, nil)
	seen := map[string]bool{}
	for _, pair := range [][2]string{{"a", "bc"}, {"ab", "c"}, {"a:b", "c"}, {"a", "b:c"}, {"A", "bc"}, {"a", "Bc"}, {"a", "bc "}, {" a", "bc"}} {
		for range 2 {
			token, err := c.Token(t.Context(), pair[0], pair[1], home)
			if err != nil {
				t.Fatal(err)
			}
			if n := e.calledFor(); (n == 0) != seen[token] {
				t.Errorf("%q: %d calls", pair, n)
			}
			seen[token] = true
		}
	}
	if len(seen) != 8 {
		t.Errorf("%d tokens, want 8", len(seen))
	}
	a := c.checker.digest("a", "bc", "read", "x")
	for _, other := range [][]string{{"a", "bc", "write", "x"}, {"a", "bc", "read", "y"}, {"a", "bc", "readx", ""}, {"a", "bc", "read"}} {
		if c.checker.digest(other...) == a {
			t.Errorf("%q meets another", other)
		}
	}
	if newClients(t, e, nil).checker.digest("a") == c.checker.digest("a") {
		t.Error("the key of the hash is not random")
	}
}

// TestRefuse: an id that is no client's is refused and counted as a wrong secret is,
// and nobody is asked (threats 79, 88).
func TestRefuse(t *testing.T) {
	e := newEndpoint(t, one("app", "right"))
	c := newClients(t, e, nil)
	if _, err := c.Token(t.Context(), "app", "right", home); err != nil || e.calledFor() != 1 {
		t.Fatal(err)
	}
	if err := c.Refuse(t.Context(), "app", "right", home); verdict(err) != "401 bad_client" { // known as a client's
		t.Errorf("got %v", err)
	}
	for n := range 8 {
		_, asked := c.Token(t.Context(), "nobody", fmt.Sprint(n), rogue)
		refused := c.Refuse(t.Context(), "ada", fmt.Sprint(n), rogue)
		if verdict(asked) != verdict(refused) {
			t.Errorf("guess %d: got %v, asked %v", n, refused, asked)
		}
	}
	if n := e.calledFor(); n >= 8 {
		t.Errorf("%d calls", n)
	}
}
