package machine

import (
	"fmt"
	"net/http"
	"runtime"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/caddy-admit/admit/oauth"
)

// TestOutageIsNoAmplifier: credentials that are made up reach an endpoint that does
// not work no more often than it can bear, from wherever they come, and stop nobody
// who was right before (threats 88, 91).
func TestOutageIsNoAmplifier(t *testing.T) {
	for name, broken := range map[string]http.HandlerFunc{
		"500": says(500, `{}`), "429": says(429, `{}`), "a page": page, "no answer": silence,
		"scopes": says(400, `{"error":"invalid_scope"}`), "not there": http.NotFound,
	} {
		t.Run(name, func(t *testing.T) {
			e := newEndpoint(t, one("app", "right"))
			c := newClients(t, e, nil)
			if _, err := c.Token(t.Context(), "app", "right", home); err != nil {
				t.Fatal(err)
			}
			e.clock.advance(TokenCap)
			e.answer(broken)
			e.calledFor()
			for n := range 300 {
				_, err := c.Token(t.Context(), fmt.Sprint("made-up-", n), "secret", elsewhere(n))
				if got := verdict(err); !strings.HasPrefix(got, "503") {
					t.Fatalf("got %s", got)
				}
			}
			if n := e.calledFor(); n > maxProbes+1 {
				t.Errorf("%d calls within a second", n)
			}
			for n := range 10 * maxProbes {
				e.clock.advance(100 * time.Millisecond)
				_, _ = c.Token(t.Context(), fmt.Sprint("later-", n), "secret", elsewhere(n))
			}
			if n, most := e.calledFor(), int64(maxProbes*(maxProbes+1)); n == 0 || n > most {
				t.Errorf("%d calls within %d seconds", n, maxProbes)
			}
			// It works again for those who were right at once, and then for all.
			e.answer(one("app", "right"))
			for n := range 100 {
				_, _ = c.Token(t.Context(), fmt.Sprint("still-", n), "secret", elsewhere(n))
			}
			if _, err := c.Token(t.Context(), "app", "right", home); err != nil {
				t.Errorf("got %v", err)
			}
			e.answer(one("new", "right"))
			if _, err := c.Token(t.Context(), "new", "right", rogue); err != nil {
				t.Errorf("got %v", err)
			}
		})
	}
}

// TestOutageOfIntrospection: the same for tokens that nobody has seen before.
func TestOutageOfIntrospection(t *testing.T) {
	e := newEndpoint(t, says(500, `{}`))
	i, err := NewIntrospector(IntrospectorConfig{Client: newOutbound(t), Auth: oauth.ClientAuth{ID: "gate", Secret: "s"}, URL: e.url, Now: e.clock.now})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(i.Close)
	for n := range 300 {
		_, err := i.Claims(t.Context(), fmt.Sprint("made-up-token-", n), elsewhere(n))
		if got := verdict(err); !strings.HasPrefix(got, "503") {
			t.Fatalf("got %s", got)
		}
	}
	if n := e.calledFor(); n > maxProbes+1 {
		t.Errorf("%d calls within a second", n)
	}
	// A second later somebody learns that it works again.
	e.clock.advance(time.Second)
	e.answer(says(200, `{"active":true}`))
	for n := range 100 {
		if _, err := i.Claims(t.Context(), fmt.Sprint("good-token-", n), home); err != nil {
			t.Fatal(err)
		}
	}
}

// TestSlowEndpointUnderAttack: guesses that an endpoint takes long to refuse, from
// however many addresses, do not keep those out who were right before (threat 88).
func TestSlowEndpointUnderAttack(t *testing.T) {
	e := newEndpoint(t, one("app", "right"))
	c := newClients(t, e, nil)
	if _, err := c.Token(t.Context(), "app", "right", home); err != nil {
		t.Fatal(err)
	}
	e.clock.advance(TokenCap)
	e.calledFor()
	slow := make(chan struct{})
	e.answer(func(w http.ResponseWriter, r *http.Request) {
		if user, _, _ := r.BasicAuth(); user != "app" {
			<-slow
		}
		one("app", "right")(w, r)
	})
	var wg sync.WaitGroup
	for n := range 10 * maxCalls {
		wg.Go(func() { _, _ = c.Token(t.Context(), fmt.Sprint("made-up-", n), "secret", elsewhere(n)) })
	}
	for len(c.checker.strangers) < cap(c.checker.strangers) || e.calls.Load() < maxCalls-keptCalls {
		runtime.Gosched()
	}
	if _, err := c.Token(t.Context(), "app", "right", home); err != nil {
		t.Errorf("got %v", err)
	}
	if n := e.calledFor(); n != maxCalls-keptCalls+1 {
		t.Errorf("%d calls at once", n)
	}
	close(slow)
	wg.Wait()
}
