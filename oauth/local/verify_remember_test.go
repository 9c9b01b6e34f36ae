package local

import (
	"errors"
	"fmt"
	"net/netip"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"
)

// TestCheckRemembered: what is remembered depends on all of the login, and no
// wrong one becomes a right one (threat 81).
func TestCheckRemembered(t *testing.T) {
	ada, other := makeUser(t, "ada", bcryptText), makeUser(t, "adab", otherBcryptText)
	for _, tc := range []struct {
		name         string
		id, password string
		address      netip.Addr
		later        time.Duration
		users        []User // who is there by then, nil for no change
		wantUser     string
		wantWork     bool
	}{
		{"again", "ada", "bcrypt", home, 0, nil, "ada", false},
		{"within 2 min", "ada", "bcrypt", home, goodFor - 1, nil, "ada", false},
		{"after 2 min", "ada", "bcrypt", home, goodFor, nil, "ada", true},
		{"elsewhere", "ada", "bcrypt", rogue, 0, nil, "ada", true},
		{"another password", "ada", "bcrypt2", home, 0, nil, "", true},
		{"another name", "adab", "bcrypt", home, 0, nil, "", true},
		{"cut elsewhere", "adab", "crypt", home, 0, nil, "", true},
		{"disabled", "ada", "bcrypt", home, 0, []User{disabled(ada)}, "", true},
		{"removed", "ada", "bcrypt", home, 0, []User{other}, "", true},
		{"re-passworded", "ada", "bcrypt", home, 0, []User{makeUser(t, "ada", otherBcryptText)}, "", true},
		{"with new claims", "ada", "bcrypt", home, 0, []User{{ID: "ada", Hash: ada.Hash}}, "ada", false},
		{"a wrong one again", "ada", "wrong", home, 0, nil, "", false},
		{"a wrong one within the hour", "ada", "wrong", home, badFor - 1, nil, "", false},
		{"a wrong one after it", "ada", "wrong", home, badFor, nil, "", true},
		{"a wrong one that is right now", "ada", "other bcrypt", home, 0, []User{makeUser(t, "ada", otherBcryptText)}, "ada", true},
	} {
		c := new(guessClock)
		k, h := checker(t, c, ada, other)
		for _, password := range []string{"bcrypt", "wrong", "other bcrypt"} {
			_, _ = k.Check(t.Context(), "ada", password, home)
		}
		h.spent()
		c.advance(tc.later)
		if tc.users != nil {
			list, err := newUserList(tc.users)
			if err != nil {
				t.Fatal(err)
			}
			k.users.list.Store(list)
		}
		user, err := k.Check(t.Context(), tc.id, tc.password, tc.address)
		if work := h.spent() != ""; user.ID != tc.wantUser || (err == nil) != (tc.wantUser != "") || work != tc.wantWork {
			t.Errorf("%s: got %q, %v, hashed %v; want %q, hashed %v", tc.name, user.ID, err, work, tc.wantUser, tc.wantWork)
		}
	}
}

// TestCheckRepeated: a program that sends the same old password over and over is
// no attack; as many different ones are.
func TestCheckRepeated(t *testing.T) {
	for _, tc := range []struct {
		name     string
		password func(n int) string
		locked   bool
	}{
		{"the same", func(int) string { return "old" }, false},
		{"others", func(n int) string { return fmt.Sprint("guess", n) }, true},
	} {
		k, _ := checker(t, new(guessClock), makeUser(t, "ada", bcryptText))
		var err error
		for n := range 50 {
			_, err = k.Check(t.Context(), "ada", tc.password(n), home)
		}
		var locked *LockedError
		if errors.As(err, &locked) != tc.locked {
			t.Errorf("%s: got %v, want locked %v", tc.name, err, tc.locked)
		}
	}
}

// TestCheckTogether: equal logins at once are one hash and no lock; those of
// others are hashed by themselves (threat 81).
func TestCheckTogether(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		k, h := checker(t, new(guessClock), makeUser(t, "ada", bcryptText))
		h.during = func() { <-time.After(time.Millisecond) } // the test's own clock
		var right, wrong atomic.Int32
		var wg sync.WaitGroup
		for range 40 {
			for _, password := range []string{"bcrypt", "wrong"} {
				wg.Go(func() {
					switch user, err := k.Check(t.Context(), "ada", password, home); {
					case err == nil && user.ID == "ada" && password == "bcrypt":
						right.Add(1)
					case err == ErrBadPassword && password == "wrong":
						wrong.Add(1)
					default:
						t.Errorf("%s: got %q, %v", password, user.ID, err)
					}
				})
			}
		}
		wg.Wait()
		if right.Load() != 40 || wrong.Load() != 40 || len(h.work) != 2 {
			t.Errorf("%d right, %d wrong, %d hashes", right.Load(), wrong.Load(), len(h.work))
		}
	})
}

// TestCheckBounded: what is remembered takes bounded room (threat 97).
func TestCheckBounded(t *testing.T) {
	c := new(guessClock)
	k, _ := checker(t, c, makeUser(t, "ada", bcryptText))
	for n := range 2 * maxRemembered {
		_, _ = k.Check(t.Context(), fmt.Sprint("nobody", n), "x", elsewhere(n))
		_, _ = k.Check(t.Context(), "ada", "bcrypt", elsewhere(n))
	}
	if len(k.bad.items) != maxRemembered || len(k.good.items) != maxRemembered {
		t.Errorf("%d wrong and %d right ones remembered", len(k.bad.items), len(k.good.items))
	}
}

func BenchmarkCheckRemembered(b *testing.B) {
	list, err := NewUsers([]User{makeUser(b, "ada", argon2Hash("pass"))}, "", nil)
	if err != nil {
		b.Fatal(err)
	}
	k := NewChecker(list, NewLimiter(time.Now), time.Now)
	b.ReportAllocs()
	for b.Loop() {
		if _, err := k.Check(b.Context(), "ada", "pass", home); err != nil {
			b.Fatal(err)
		}
	}
}

// TestLoginKey: no two logins meet by where one part ends (threat 81), nor in two
// checkers.
func TestLoginKey(t *testing.T) {
	k, _ := checker(t, new(guessClock))
	other, _ := checker(t, new(guessClock))
	seen := map[loginKey][]string{other.loginKey("ada", "b", ""): nil}
	for _, parts := range [][]string{{"ada", "b", ""}, {"adab", "", ""}, {"ada", "", "b"}, {"ad", "ab", ""}, {"", "adab", ""}, {"ada", "b"}} {
		key := k.loginKey(parts...)
		if same, ok := seen[key]; ok {
			t.Errorf("%q and %q are one", parts, same)
		}
		seen[key] = parts
	}
}
