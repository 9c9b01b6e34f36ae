package local

import (
	"errors"
	"fmt"
	"net/netip"
	"strings"
	"sync/atomic"
	"testing"
	"time"
)

// guessClock is a clock that a test moves.
type guessClock struct{ ahead atomic.Int64 }

func (c *guessClock) now() time.Time {
	return time.Date(2026, 1, 1, 12, 0, 0, 0, time.UTC).Add(time.Duration(c.ahead.Load()))
}
func (c *guessClock) advance(d time.Duration) { c.ahead.Add(int64(d)) }

var (
	home  = netip.MustParseAddr("192.0.2.1")
	rogue = netip.MustParseAddr("198.51.100.7")
)

// elsewhere returns another address for each n.
func elsewhere(n int) netip.Addr {
	return netip.AddrFrom4([4]byte{10, byte(n >> 16), byte(n >> 8), byte(n)})
}

// try makes one login and returns how long it is locked, 0 if it was let through.
func try(t *testing.T, l *Limiter, id string, address netip.Addr, good bool) time.Duration {
	t.Helper()
	if err := l.Locked(id, address); err != nil {
		var locked *LockedError
		if !errors.As(err, &locked) {
			t.Fatal(err)
		}
		return locked.RetryAfter
	}
	a, err := l.Begin(t.Context(), id, address)
	if err != nil {
		t.Fatalf("not locked, but Begin says %v", err)
	}
	if good {
		a.Succeed()
	} else {
		a.Fail()
	}
	return 0
}

// fails lets n logins fail, each as soon as it is let through.
func fails(t *testing.T, c *guessClock, l *Limiter, n int, id string, address func(int) netip.Addr) {
	t.Helper()
	for i := range n {
		for {
			wait := try(t, l, id, address(i), false)
			if wait == 0 {
				break
			}
			c.advance(wait)
		}
	}
}

func at(a netip.Addr) func(int) netip.Addr { return func(int) netip.Addr { return a } }

// TestBackoff: five failures of a user are free, twenty of an address, then each
// doubles the wait up to 5 min (threat 78).
func TestBackoff(t *testing.T) {
	doubling := []time.Duration{1, 2, 4, 8, 16, 32, 64, 128, 256, 300, 300, 300}
	for _, tc := range []struct {
		name string
		free int
		next func(n int) (string, netip.Addr)
	}{
		{"one user, many addresses", 5, func(n int) (string, netip.Addr) { return "ada", elsewhere(n) }},
		{"one address, many users", 20, func(n int) (string, netip.Addr) { return fmt.Sprint("user", n), rogue }},
	} {
		c := new(guessClock)
		l := NewLimiter(c.now)
		for n := range tc.free + 1 {
			if id, address := tc.next(n); try(t, l, id, address, false) != 0 {
				t.Fatalf("%s: locked after %d failures", tc.name, n)
			}
		}
		for n, seconds := range doubling {
			id, address := tc.next(1000 + n)
			want := seconds * time.Second
			if got := try(t, l, id, address, true); got != want {
				t.Errorf("%s: lock %d: got %v, want %v", tc.name, n+1, got, want)
			}
			c.advance(want - 1)
			if got := try(t, l, id, address, true); got != 1 {
				t.Errorf("%s: lock %d: got %v at its end, want 1 ns: attempts must not prolong it", tc.name, n+1, got)
			}
			c.advance(1)
			if got := try(t, l, id, address, false); got != 0 {
				t.Errorf("%s: lock %d: got %v after it", tc.name, n+1, got)
			}
		}
	}
}

// TestNetwork: who owns a /64 is one client.
func TestNetwork(t *testing.T) {
	for _, tc := range []struct {
		a, b string
		same bool
	}{
		{"2001:db8::1", "2001:db8::ffff:ffff:ffff:ffff", true},
		{"2001:db8::1", "2001:db8:0:1::1", false},
		{"192.0.2.1", "::ffff:192.0.2.1", true},
		{"192.0.2.1", "192.0.2.2", false},
		{"fe80::1%eth0", "fe80::2%eth1", true},
		{"::fffe:192.0.2.1", "::1", true}, // not a mapped one
	} {
		if same := Network(netip.MustParseAddr(tc.a)) == Network(netip.MustParseAddr(tc.b)); same != tc.same {
			t.Errorf("%s and %s: got %v, want %v", tc.a, tc.b, same, tc.same)
		}
	}
	if Network(netip.Addr{}) == Network(netip.MustParseAddr("::")) {
		t.Error("no address is the address ::")
	}
}

// TestCanonical: no spelling of a name gives five more guesses (threat 78).
func TestCanonical(t *testing.T) {
	for _, tc := range []struct {
		a, b string
		same bool
	}{
		{"ada", "ADA", true},
		{"ada", " ada\t", true},
		{"ada", "ada", true}, // full width
		{"zoé", "zoe\u0301", true},
		{"straße", "STRASSE", true},
		{"ada", "ada@example.com", false},
		{"ada", "adb", false},
		{"ada", "a da", false},
		{"", "  ", true},
		{strings.Repeat("x", 256), strings.Repeat("x", 70000), true},
	} {
		if same := canonical(tc.a) == canonical(tc.b); same != tc.same {
			t.Errorf("%.20q and %.20q: got %v, want %v", tc.a, tc.b, same, tc.same)
		}
	}
	c := new(guessClock)
	l := NewLimiter(c.now)
	for n, id := range []string{"ada", "Ada", "ADA ", "\u00a0ada", "ADA", "aDa"} {
		try(t, l, id, elsewhere(n), false)
	}
	if try(t, l, "ada", home, true) == 0 {
		t.Error("six spellings, and no lock")
	}
}

// TestKnownAddress: outsiders cannot lock out whoever logged in from an address
// before (threat 78).
func TestKnownAddress(t *testing.T) {
	c := new(guessClock)
	l := NewLimiter(c.now)
	try(t, l, "ada", home, true)
	try(t, l, "ADA", rogue, true) // another user, whose failures count as ada's
	fails(t, c, l, 12, "ada", elsewhere)
	for _, tc := range []struct {
		name, id string
		address  netip.Addr
		locked   bool
	}{
		{"where ada logged in", "ada", home, false},
		{"elsewhere", "ada", elsewhere(999), true},
		{"where another logged in who is counted as ada", "ada", rogue, true},
		{"another spelling where ada logged in", "Ada", home, true},
	} {
		if err := l.Locked(tc.id, tc.address); (err != nil) != tc.locked {
			t.Errorf("%s: got %v, want locked %v", tc.name, err, tc.locked)
		}
	}
	// Even there guessing is slow: it counts for the address.
	fails(t, c, l, 21, "ada", at(home))
	if try(t, l, "ada", home, true) == 0 {
		t.Error("21 failures at a known address, and no lock")
	}
}

// TestSuccessResetsNothing: with an account of one's own, or the user's own
// logins beside, guessing gets no cheaper (threat 78).
func TestSuccessResetsNothing(t *testing.T) {
	for _, tc := range []struct {
		name    string
		id      string
		address netip.Addr
		victims func(n int) (string, netip.Addr)
		guesses int
	}{
		{"own account, one address", "mallory", rogue, func(n int) (string, netip.Addr) { return fmt.Sprint("user", n), rogue }, 21},
		{"the victim logs in meanwhile", "ada", home, func(n int) (string, netip.Addr) { return "ada", elsewhere(n) }, 6},
		{"the victim shares the address", "ada", home, func(int) (string, netip.Addr) { return "ada", home }, 21},
	} {
		c := new(guessClock)
		l := NewLimiter(c.now)
		for n := range tc.guesses {
			try(t, l, tc.id, tc.address, true)
			if id, address := tc.victims(n); try(t, l, id, address, false) != 0 {
				t.Fatalf("%s: locked after %d guesses", tc.name, n)
			}
		}
		if id, address := tc.victims(tc.guesses); l.Locked(id, address) == nil {
			t.Errorf("%s: %d guesses, and no lock", tc.name, tc.guesses)
		}
	}
}

// TestForgiven: an hour without a failure starts anew, whatever was tried while
// locked.
func TestForgiven(t *testing.T) {
	for _, tc := range []struct {
		quiet time.Duration
		free  int
	}{{forgiveAfter - time.Second, 1}, {forgiveAfter, 6}} {
		c := new(guessClock)
		l := NewLimiter(c.now)
		fails(t, c, l, 10, "ada", elsewhere)
		c.advance(time.Minute)
		_ = l.Locked("ada", home)
		c.advance(tc.quiet - time.Minute)
		free := 0
		for try(t, l, "ada", elsewhere(100+free), false) == 0 {
			free++
		}
		if free != tc.free {
			t.Errorf("after %v: %d more failures before a lock, want %d", tc.quiet, free, tc.free)
		}
	}
}

// TestLockedNew: one line an attack.
func TestLockedNew(t *testing.T) {
	c := new(guessClock)
	l := NewLimiter(c.now)
	news := func() (n int) {
		for range 3 {
			var locked *LockedError
			if errors.As(l.Locked("ada", rogue), &locked) && locked.New {
				n++
			}
		}
		return n
	}
	fails(t, c, l, 5, "ada", elsewhere)
	if got := news(); got != 0 {
		t.Errorf("before a lock: %d lines", got)
	}
	total := 0
	for range 20 {
		fails(t, c, l, 1, "ada", at(home))
		total += news()
	}
	if total != 1 {
		t.Errorf("one attack: %d lines", total)
	}
	c.advance(forgiveAfter)
	fails(t, c, l, 6, "ada", elsewhere)
	if got := news(); got != 1 {
		t.Errorf("the next attack: %d lines", got)
	}
}
