package local

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"
)

// TestGuessesAtOnce: guesses that are made together are not all free, and good
// logins that are made together all pass.
func TestGuessesAtOnce(t *testing.T) {
	for _, good := range []bool{false, true} {
		synctest.Test(t, func(t *testing.T) {
			l := NewLimiter(time.Now)
			var passed, pending, most atomic.Int32
			var wg sync.WaitGroup
			for n := range 100 {
				wg.Go(func() {
					a, err := l.Begin(t.Context(), "ada", elsewhere(n))
					if err != nil {
						return
					}
					passed.Add(1)
					most.Store(max(most.Load(), pending.Add(1)))
					<-time.After(time.Millisecond) // the hash, by the test's own clock
					pending.Add(-1)
					if good {
						a.Succeed()
					} else {
						a.Fail()
					}
				})
			}
			wg.Wait()
			if want := int32(6); most.Load() != want || !good && passed.Load() != want {
				t.Errorf("good %v: %d at once, %d let through", good, most.Load(), passed.Load())
			}
			if good && passed.Load() != 100 {
				t.Errorf("%d of 100 good logins let through", passed.Load())
			}
		})
	}
}

// TestBeginCancelled: who waits for others' ends waits no longer than the context,
// and a cancelled attempt counts as none.
func TestBeginCancelled(t *testing.T) {
	l := NewLimiter(new(guessClock).now)
	var pending []*Attempt
	for range 6 {
		a, err := l.Begin(t.Context(), "ada", rogue)
		if err != nil {
			t.Fatal(err)
		}
		pending = append(pending, a)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := l.Begin(ctx, "ada", home); !errors.Is(err, ErrBusy) {
		t.Errorf("got error %v, want ErrBusy", err)
	}
	for _, a := range pending {
		a.Cancel()
	}
	if n := len(l.users.within.items) + len(l.addresses.within.items); n != 0 {
		t.Errorf("%d counters for nothing", n)
	}
}

const few = 100

// smallLimiter has room for few counters of each kind.
func smallLimiter(c *guessClock) *Limiter {
	l := NewLimiter(c.now)
	for _, r := range []*guessCounters{l.users, l.addresses} {
		r.within.max, r.beyond.max = few, few
	}
	return l
}

// TestCountersBounded: made-up names and addresses take bounded room (threat 97),
// and no flood of them opens a lock (threat 78).
func TestCountersBounded(t *testing.T) {
	c := new(guessClock)
	l := smallLimiter(c)
	fails(t, c, l, 28, "", at(rogue))
	fails(t, c, l, 12, "ada", elsewhere)
	for n := range 3 * few {
		try(t, l, fmt.Sprint("nobody", n), elsewhere(1000+n), false)
	}
	if l.Locked("ada", home) == nil || l.Locked("bob", rogue) == nil {
		t.Error("a flood has opened a lock")
	}
	for name, r := range map[string]*recent[guessKey, *guessCounter]{
		"users within": l.users.within, "users beyond": l.users.beyond,
		"addresses within": l.addresses.within, "addresses beyond": l.addresses.beyond,
	} {
		if len(r.items) > few || r.order.Len() != len(r.items) {
			t.Errorf("%s: %d counters, %d in order", name, len(r.items), r.order.Len())
		}
	}
}

// TestEndAfterFlood: a failure counts though its counter was thrown out meanwhile.
func TestEndAfterFlood(t *testing.T) {
	for _, failed := range []bool{true, false} {
		l := smallLimiter(new(guessClock))
		a, err := l.Begin(t.Context(), "ada", home)
		if err != nil {
			t.Fatal(err)
		}
		for n := range few {
			try(t, l, fmt.Sprint("nobody", n), elsewhere(n), false)
		}
		if a.end(failed, false); (l.users.find(a.name, l.now()) != nil) != failed {
			t.Errorf("failed %v: counted %v", failed, !failed)
		}
	}
}

// TestKnownBounded: somebody with an account and many addresses throws out what
// is known of oneself, not of others (threat 97).
func TestKnownBounded(t *testing.T) {
	c := new(guessClock)
	l := NewLimiter(c.now)
	try(t, l, "ada", home, true)
	for n := range 1000 {
		try(t, l, "mallory", elsewhere(n), true)
	}
	fails(t, c, l, 7, "ada", elsewhere)
	fails(t, c, l, 7, "mallory", func(n int) netip.Addr { return elsewhere(2000 + n) })
	for _, tc := range []struct {
		id      string
		address netip.Addr
		locked  bool
	}{
		{"ada", home, false},
		{"mallory", elsewhere(999), false},
		{"mallory", elsewhere(999 - maxKnownAddresses + 1), false},
		{"mallory", elsewhere(999 - maxKnownAddresses), true},
	} {
		if err := l.Locked(tc.id, tc.address); (err != nil) != tc.locked {
			t.Errorf("%s at %v: got %v, want locked %v", tc.id, tc.address, err, tc.locked)
		}
	}
}

// TestRecent: the one that was used least recently makes room.
func TestRecent(t *testing.T) {
	r := newRecent[string, int](2)
	r.put("a", 1)
	r.put("b", 2)
	r.get("a")
	r.put("c", 3)
	r.put("c", 4)
	r.drop("x")
	for key, want := range map[string]int{"a": 1, "b": 0, "c": 4} {
		if got, ok := r.get(key); got != want || ok != (want != 0) {
			t.Errorf("%s: got %d, %v, want %d", key, got, ok, want)
		}
	}
}
