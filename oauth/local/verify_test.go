package local

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"
)

// hashCounter takes the place of hashing: it knows the passwords and counts what
// work would have been done.
type hashCounter struct {
	mu        sync.Mutex
	passwords map[string]string // by the text of the hash
	work      []effort
	during    func()
}

func (h *hashCounter) verify(hash Hash, password string) bool {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.work = append(h.work, hash.parsed.effort)
	if h.during != nil {
		h.during()
	}
	return h.passwords[hash.parsed.text] == password
}

// spent returns the work since it was asked last, in a fixed order.
func (h *hashCounter) spent() string {
	h.mu.Lock()
	defer h.mu.Unlock()
	var all []string
	for _, e := range h.work {
		all = append(all, fmt.Sprintf("%+v", e))
	}
	h.work = nil
	slices.Sort(all)
	return strings.Join(all, "; ")
}

const bcryptText = "$2a$12$" + bcryptTail

// Those of other users, just as hard.
var (
	otherBcryptText = strings.Replace(bcryptText, "X3ul", "Y3ul", 1)
	otherArgon2Text = strings.Replace(caddyArgon2id, "P2nzck", "Q2nzck", 1)
)

// checker is a checker of these users whose hashing is counted.
func checker(t *testing.T, c *guessClock, users ...User) (*Checker, *hashCounter) {
	t.Helper()
	list, err := NewUsers(users, "", nil)
	if err != nil {
		t.Fatal(err)
	}
	h := &hashCounter{passwords: map[string]string{
		bcryptText: "bcrypt", otherBcryptText: "other bcrypt", caddyArgon2id: "argon", otherArgon2Text: "other argon",
	}}
	k := NewChecker(list, NewLimiter(c.now), c.now)
	k.hash, k.turns = h.verify, newTurns(2)
	return k, h
}

func disabled(u User) User {
	u.Disabled = true
	return u
}

// TestCheckEven: whoever is asked for, the same work is done and the same error
// comes back: nothing tells whether a user exists (threats 79 and 82).
func TestCheckEven(t *testing.T) {
	alike := []User{makeUser(t, "ada", bcryptText), disabled(makeUser(t, "bob", otherBcryptText))}
	mixed := []User{makeUser(t, "ada", bcryptText), disabled(makeUser(t, "bob", caddyArgon2id)), makeUser(t, "eve", otherArgon2Text)}
	for name, users := range map[string][]User{"alike": alike, "mixed": mixed, "nobody": nil} {
		want := ""
		for n, tc := range []struct{ id, password string }{
			{"ada", "wrong"},
			{"ada", ""},
			{"ada", "argon"}, // another user's
			{"ada", strings.Repeat("x", 100)},
			{"ada", "a\x00b"},
			{"Ada", "bcrypt"},
			{"ada ", "bcrypt"},
			{"bob", "argon"}, // right, but disabled
			{"bob", "other bcrypt"},
			{"bob", "wrong"},
			{"eve", "wrong"},
			{"mallory", "wrong"},
			{"", ""},
			{"a:b", "x"},
			{strings.Repeat("x", 5000), "x"},
		} {
			k, h := checker(t, new(guessClock), users...)
			user, err := k.Check(t.Context(), tc.id, tc.password, elsewhere(n))
			work := h.spent()
			if want == "" {
				want = work
			}
			if err != ErrBadPassword || user.ID != "" || work != want || work == "" {
				t.Errorf("%s, %.10q with %.10q: got %q, %v after %s, want after %s", name, tc.id, tc.password, user.ID, err, work, want)
			}
			// A remembered one looks the same for all as well.
			if _, err := k.Check(t.Context(), tc.id, tc.password, elsewhere(n)); err != ErrBadPassword || h.spent() != "" {
				t.Errorf("%s, %.10q with %.10q again: got %v", name, tc.id, tc.password, err)
			}
		}
		k, h := checker(t, new(guessClock), users...)
		if user, err := k.Check(t.Context(), "ada", "bcrypt", home); users != nil && (err != nil || user.ID != "ada" || h.spent() != want) {
			t.Errorf("%s: the right password: got %q, %v", name, user.ID, err)
		}
	}
}

// TestCheckReal: the hashes as they are, without a stand-in.
func TestCheckReal(t *testing.T) {
	list, err := NewUsers([]User{makeUser(t, "ada", argon2Hash("pass"))}, "", nil)
	if err != nil {
		t.Fatal(err)
	}
	k := NewChecker(list, NewLimiter(time.Now), time.Now)
	if user, err := k.Check(t.Context(), "ada", "pass", netip.Addr{}); err != nil || user.ID != "ada" {
		t.Errorf("the right password: got %q, %v", user.ID, err)
	}
	for _, id := range []string{"ada", "bob"} {
		if _, err := k.Check(t.Context(), id, "Pass", netip.Addr{}); err != ErrBadPassword {
			t.Errorf("%s with a wrong one: got %v", id, err)
		}
	}
}

// TestCheckLocked: a locked login is no work, and not even the right password
// passes that is remembered, else a lock would slow no guess (threat 78).
func TestCheckLocked(t *testing.T) {
	c := new(guessClock)
	k, h := checker(t, c, makeUser(t, "ada", bcryptText))
	if _, err := k.Check(t.Context(), "ada", "bcrypt", home); err != nil {
		t.Fatal(err)
	}
	for n := range 21 {
		if _, err := k.Check(t.Context(), fmt.Sprint("nobody", n), "x", home); err != ErrBadPassword {
			t.Fatalf("guess %d: %v", n, err)
		}
	}
	h.spent()
	for n, password := range []string{"bcrypt", "wrong", "bcrypt"} {
		user, err := k.Check(t.Context(), "ada", password, home)
		var locked *LockedError
		if !errors.As(err, &locked) || locked.By != "address" || locked.RetryAfter != time.Second || locked.New != (n == 0) || user.ID != "" {
			t.Errorf("attempt %d: got %q, %+v", n, user.ID, err)
		}
	}
	if work := h.spent(); work != "" {
		t.Errorf("locked, and hashed: %s", work)
	}
	c.advance(time.Second)
	if _, err := k.Check(t.Context(), "ada", "bcrypt", home); err != nil {
		t.Errorf("after the lock: %v", err)
	}
}

// TestCheckLocksUnknown: a name that nobody has locks like one that somebody has,
// and so does that of a disabled user, even with the right password (threat 79).
func TestCheckLocksUnknown(t *testing.T) {
	for _, id := range []string{"ada", "bob", "mallory"} {
		k, _ := checker(t, new(guessClock), makeUser(t, "ada", bcryptText), disabled(makeUser(t, "bob", otherBcryptText)))
		for n := range 6 {
			if _, err := k.Check(t.Context(), id, "other bcrypt", elsewhere(n)); err != ErrBadPassword {
				t.Errorf("%s: guess %d: %v", id, n, err)
			}
		}
		_, err := k.Check(t.Context(), id, "x", home)
		var locked *LockedError
		if !errors.As(err, &locked) || locked.By != "user" || locked.RetryAfter != time.Second {
			t.Errorf("%s: got %v", id, err)
		}
	}
}

// TestCheckBusy: a flood waits for its turn, a bounded time; a user from where
// that user logged in before does not wait behind it (threat 82).
func TestCheckBusy(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		k, h := checker(t, new(guessClock), makeUser(t, "ada", bcryptText))
		if _, err := k.Check(t.Context(), "ada", "bcrypt", home); err != nil {
			t.Fatal(err)
		}
		give, err := k.turns.take(t.Context(), true) // a flood holds what it can
		if err != nil {
			t.Fatal(err)
		}
		start := time.Now()
		if _, err := k.Check(t.Context(), "eve", "x", rogue); err != ErrBusy || time.Since(start) != patience {
			t.Errorf("a stranger: got %v after %v, want ErrBusy after %v", err, time.Since(start), patience)
		}
		if n := len(k.limiter.users.within.items); n != 0 {
			t.Errorf("%d failures counted of what was not checked", n)
		}
		h.spent()
		if _, err := k.Check(t.Context(), "ada", "typo", home); err != ErrBadPassword || h.spent() == "" {
			t.Errorf("somebody known: got %v", err)
		}
		ctx, cancel := context.WithCancel(t.Context())
		cancel()
		if _, err := k.Check(ctx, "eve", "x", rogue); !errors.Is(err, context.Canceled) {
			t.Errorf("who went away: got %v", err)
		}
		give()
		synctest.Wait()
		if len(k.turns.all)+len(k.turns.strangers) != 0 {
			t.Error("turns were not given back")
		}
		if _, err := k.Check(t.Context(), "eve", "x", rogue); err != ErrBadPassword {
			t.Errorf("after the flood: got %v", err)
		}
	})
}

// TestCheckChange: somebody who is disabled while the password is hashed stays
// out.
func TestCheckChange(t *testing.T) {
	ada := makeUser(t, "ada", bcryptText)
	k, h := checker(t, new(guessClock), ada)
	h.during = func() {
		list, err := newUserList([]User{disabled(ada)})
		if err != nil {
			t.Error(err)
		}
		k.users.list.Store(list)
	}
	if user, err := k.Check(t.Context(), "ada", "bcrypt", home); err != ErrBadPassword || user.ID != "" {
		t.Errorf("got %q, %v", user.ID, err)
	}
}
