package local

import (
	"errors"
	"testing"
)

// TestAddressAlone: what nobody's name is on is counted by address, and shares that
// counter with logins; no user is locked by it.
func TestAddressAlone(t *testing.T) {
	c := &guessClock{}
	l := NewLimiter(c.now)
	for n := range freePerAddress + 1 {
		if err := l.LockedAddress(rogue); err != nil {
			t.Fatalf("after %d: %v", n, err)
		}
		a, err := l.BeginAddress(t.Context(), rogue)
		if err != nil {
			t.Fatal(err)
		}
		a.Fail()
	}
	var locked *LockedError
	if err := l.LockedAddress(rogue); !errors.As(err, &locked) || locked.By != "address" || !locked.New {
		t.Errorf("got %v", err)
	}
	if _, err := l.BeginAddress(t.Context(), rogue); !errors.As(err, &locked) {
		t.Errorf("got %v", err)
	}
	if err := l.Locked("ada", rogue); !errors.As(err, &locked) || locked.By != "address" {
		t.Errorf("got %v", err)
	}
	for _, id := range []string{"", "ada"} {
		if err := l.Locked(id, home); err != nil {
			t.Errorf("%q: got %v", id, err)
		}
	}
	a, err := l.BeginAddress(t.Context(), home)
	if err != nil {
		t.Fatal(err)
	}
	a.Succeed()
	if n := len(l.known.items); n != 0 {
		t.Errorf("%d users are known, want none", n)
	}
}
