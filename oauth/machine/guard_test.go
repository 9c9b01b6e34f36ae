package machine

import (
	"fmt"
	"net/http"
	"net/netip"
	"runtime"
	"strings"
	"sync"
	"testing"
	"time"
)

// TestGuesses: 1,000 wrong secrets reach the endpoint fewer than 20 times, one
// after the other or at once, and slow nobody who has the right one and was there
// before (threat 88).
func TestGuesses(t *testing.T) {
	for _, tc := range []struct {
		name     string
		attacker func(n int) netip.Addr
		fresh    string // what the right secret gets where it never was
	}{
		{"from an address of its own", func(int) netip.Addr { return rogue }, "good"},
		{"from the client's address", func(int) netip.Addr { return home }, "good"},
		{"from everywhere", elsewhere, "good"},
	} {
		for _, atOnce := range []bool{false, true} {
			t.Run(fmt.Sprint(tc.name, ", at once: ", atOnce), func(t *testing.T) {
				e := newEndpoint(t, one("app", "right"))
				c := newClients(t, e, nil)
				right := func(address netip.Addr) string {
					_, err := c.Token(t.Context(), "app", "right", address)
					return verdict(err)
				}
				if got := right(home); got != "good" || e.calledFor() != 1 {
					t.Fatal(got)
				}
				var wg sync.WaitGroup
				for n := range 1000 {
					guess := func() {
						_, err := c.Token(t.Context(), "app", fmt.Sprint("wrong-", n), tc.attacker(n))
						if got := verdict(err); got != "401 bad_client" && !strings.HasPrefix(got, "429") {
							t.Errorf("guess %d: got %s", n, got)
						}
					}
					if atOnce {
						wg.Go(guess)
					} else {
						guess()
					}
				}
				wg.Wait()
				if n := e.calledFor(); n == 0 || n >= 20 {
					t.Errorf("%d calls", n)
				}
				if got := right(home); got != "good" || e.calledFor() != 0 {
					t.Errorf("in memory: got %s", got)
				}
				if got := right(netip.MustParseAddr("203.0.113.9")); got != tc.fresh || e.calledFor() != 0 {
					t.Errorf("in memory, from a new address: got %s", got)
				}
				// The lock is at its longest now, and the token is over.
				e.clock.advance(TokenCap)
				for n := range 1000 {
					_, _ = c.Token(t.Context(), "app", fmt.Sprint("later-", n), tc.attacker(n))
				}
				e.calledFor()
				if got := right(home); got != "good" || e.calledFor() != 1 {
					t.Errorf("asked anew, from where it was right: got %s", got)
				}
			})
		}
	}
}

// TestNewSecretUnderAttack: a new secret is good at once where the id was right
// before, and is stopped elsewhere as a guess is.
func TestNewSecretUnderAttack(t *testing.T) {
	e := newEndpoint(t, one("app", "old"))
	c := newClients(t, e, nil)
	if _, err := c.Token(t.Context(), "app", "old", home); err != nil {
		t.Fatal(err)
	}
	for n := range 100 {
		_, _ = c.Token(t.Context(), "app", fmt.Sprint("wrong-", n), elsewhere(n))
	}
	e.answer(one("app", "new"))
	if _, err := c.Token(t.Context(), "app", "new", rogue); verdict(err) != "429 user" {
		t.Errorf("from a new address: got %s", verdict(err))
	}
	if _, err := c.Token(t.Context(), "app", "new", home); err != nil {
		t.Errorf("from an old one: got %v", err)
	}
	if _, err := c.Token(t.Context(), "app", "new", rogue); err != nil {
		t.Errorf("in memory, from a new address: got %v", err)
	}
	// To be right goes on for as long as it is used, and ends with a secret.
	for range 49 {
		e.clock.advance(provenFor / 2)
		if _, err := c.Token(t.Context(), "app", "new", home); err != nil {
			t.Fatal(err)
		}
	}
	e.clock.advance(provenFor / 2)
	for n := range 50 {
		_, _ = c.Token(t.Context(), "app", fmt.Sprint("later-", n), home)
	}
	if _, err := c.Token(t.Context(), "app", "new", home); err != nil {
		t.Errorf("after many days: got %v", err)
	}
	e.answer(one("app", "newer"))
	e.clock.advance(TokenCap)
	if _, err := c.Token(t.Context(), "app", "new", home); verdict(err) != "401 bad_client" {
		t.Errorf("after the next one: got %s", verdict(err))
	}
	for n := range 50 {
		_, _ = c.Token(t.Context(), "app", fmt.Sprint("last-", n), home)
	}
	if _, err := c.Token(t.Context(), "app", "new", home); verdict(err) != "429 address" {
		t.Errorf("as a guess among others: got %s", verdict(err))
	}
}

// TestLockOfAnother: who waits for the same answer as somebody whose address was
// locked meanwhile asks alone.
func TestLockOfAnother(t *testing.T) {
	release := make(chan struct{})
	e := newEndpoint(t, one("app", "right"))
	c := newClients(t, e, nil)
	if _, err := c.Token(t.Context(), "app", "right", home); err != nil {
		t.Fatal(err)
	}
	e.clock.advance(TokenCap)
	e.answer(func(w http.ResponseWriter, r *http.Request) {
		if _, password, _ := r.BasicAuth(); password != "right" {
			<-release
		}
		one("app", "right")(w, r)
	})
	flights := func(n int) {
		for open := -1; open != n; runtime.Gosched() {
			c.checker.asker.mu.Lock()
			open = len(c.checker.running)
			c.checker.asker.mu.Unlock()
		}
	}
	var wg sync.WaitGroup
	for n := range 6 { // as many as may be wrong until the next is locked
		wg.Go(func() { _, _ = c.Token(t.Context(), "app", fmt.Sprint("wrong-", n), elsewhere(n)) })
	}
	flights(6)
	wg.Go(func() {
		// Locked, unless the client itself asked meanwhile.
		if _, err := c.Token(t.Context(), "app", "right", rogue); err != nil && verdict(err) != "429 user" {
			t.Errorf("from a new address: got %v", err)
		}
	})
	flights(7)
	wg.Go(func() {
		if _, err := c.Token(t.Context(), "app", "right", home); err != nil {
			t.Errorf("the client itself: got %v", err)
		}
	})
	for range 1000 {
		runtime.Gosched()
	}
	close(release)
	wg.Wait()
}

// TestGuessesInMemory: while an id is locked nobody tries secrets against what is
// in memory for longer than against the endpoint.
func TestGuessesInMemory(t *testing.T) {
	e := newEndpoint(t, one("app", "right"))
	c := newClients(t, e, nil)
	if _, err := c.Token(t.Context(), "app", "right", home); err != nil {
		t.Fatal(err)
	}
	for n := range 100 {
		_, _ = c.Token(t.Context(), "app", fmt.Sprint("wrong-", n), rogue)
	}
	if _, err := c.Token(t.Context(), "app", "right", rogue); verdict(err) != "429 address" {
		t.Errorf("the right guess: got %s", verdict(err))
	}
	if _, err := c.Token(t.Context(), "other", "right", rogue); verdict(err) != "429 address" {
		t.Errorf("another client: got %s", verdict(err))
	}
	if _, err := c.Token(t.Context(), "app", "right", home); err != nil {
		t.Errorf("the client itself: got %v", err)
	}
	// The same wrong one again is no further guess.
	for range 100 {
		_, _ = c.Token(t.Context(), "app", "old", elsewhere(1))
		e.clock.advance(time.Second)
	}
	if _, err := c.Token(t.Context(), "app", "right", elsewhere(1)); err != nil {
		t.Errorf("beside a program with an old secret: got %v", err)
	}
}

// TestOutageIsNoGuess: who cannot be checked is not locked out.
func TestOutageIsNoGuess(t *testing.T) {
	e := newEndpoint(t, says(503, ""))
	c := newClients(t, e, nil)
	for n := range 50 {
		if _, err := c.Token(t.Context(), "app", fmt.Sprint("s", n), home); !strings.HasPrefix(verdict(err), "503") {
			t.Fatalf("%d: got %s", n, verdict(err))
		}
	}
	e.clock.advance(time.Second)
	e.answer(one("app", "right"))
	if _, err := c.Token(t.Context(), "app", "right", home); err != nil {
		t.Errorf("got %v", err)
	}
}
