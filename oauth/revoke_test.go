package oauth

import (
	"context"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/caddy-admit/admit/internal/store"
)

// TestRevoke: what began before is out, here at once and on other nodes after
// 10 s, in cookies and in storage; nobody else is, and a new login counts (threats
// 45 and 72).
func TestRevoke(t *testing.T) {
	for _, in := range []string{"cookie", "storage"} {
		for _, tc := range []struct{ user, here, there string }{
			{"ada", "revoked bob", "revoked bob"},
			{"Ada", "ada bob", "ada bob"},
			{"", "revoked revoked", "revoked revoked"},
		} {
			c, d := newClock(), newDisk()
			change := func(c *SessionConfig) { c.Store = in }
			here, there := node(t, c, d, change), node(t, c, d, change)
			ada, bob := newBrowser(), newBrowser()
			ada.login(t, here, Session{User: "ada"})
			bob.login(t, here, Session{User: "bob"})
			if got := ada.open(there) + " " + bob.open(there); got != "ada bob" {
				t.Fatalf("got %s", got)
			}
			began := c.now()
			c.advance(time.Minute)
			if err := here.Revoke(context.Background(), tc.user, 0); err != nil {
				t.Fatal(err)
			}
			if got := ada.open(here) + " " + bob.open(here); got != tc.here {
				t.Errorf("%s, %q, here: got %s, want %s", in, tc.user, got, tc.here)
			}
			c.advance(10 * time.Second)
			if got := ada.open(there) + " " + bob.open(there); got != tc.there {
				t.Errorf("%s, %q, there: got %s, want %s", in, tc.user, got, tc.there)
			}
			for _, s := range []*Sessions{here, there} {
				for user, want := range map[string]bool{"ada": tc.user != "Ada", "bob": tc.user == ""} {
					old, err := s.Ended(context.Background(), user, began)
					if err != nil || old != want {
						t.Errorf("%q: what %s began before has ended: %v, %v", tc.user, user, old, err)
					}
					if later, err := s.Ended(context.Background(), user, c.now()); err != nil || later {
						t.Errorf("%q: what %s began later has ended: %v", tc.user, user, err)
					}
				}
			}
			ada.login(t, there, Session{User: "ada"})
			if got := ada.open(here); got != "ada" {
				t.Errorf("%s, %q, after a new login: got %s", in, tc.user, got)
			}
		}
	}
}

// TestRevokeAgain: a node whose clock is behind lets nobody back in whom another
// one has revoked; a mark that cannot be, far in the future, is replaced.
func TestRevokeAgain(t *testing.T) {
	ahead, d := newClock(), newDisk()
	behind := newClock()
	ahead.advance(30 * time.Second)
	here, there := node(t, ahead, d), node(t, behind, d)
	b := newBrowser()
	b.login(t, here, Session{User: "ada"})
	for _, s := range []*Sessions{here, there} {
		if err := s.Revoke(context.Background(), "ada", 0); err != nil {
			t.Fatal(err)
		}
	}
	if got := b.open(there) + " " + b.open(node(t, ahead, d)); got != "revoked revoked" {
		t.Errorf("got %s", got)
	}
	if err := d.Store(context.Background(), here.markKey(mark{MarkUser, "ada"}), []byte("damaged")); err != nil {
		t.Fatal(err)
	}
	b.login(t, here, Session{User: "ada"})
	if got := b.open(node(t, ahead, d)); got != "revoked" {
		t.Errorf("with a damaged mark: got %s", got)
	}
	ahead.advance(time.Second)
	if err := here.Revoke(context.Background(), "ada", 0); err != nil {
		t.Fatal(err)
	}
	b.login(t, here, Session{User: "ada"})
	ahead.advance(10 * time.Second)
	b.login(t, here, Session{User: "ada"})
	if got := b.open(node(t, ahead, d)); got != "ada" {
		t.Errorf("once it was revoked again: got %s", got)
	}
}

// TestRevokeStays: a mark is not swept while anything that it ends may last.
func TestRevokeStays(t *testing.T) {
	for _, lasts := range []time.Duration{0, 2000 * time.Hour} {
		c, d := newClock(), newDisk()
		s := node(t, c, d)
		began := c.now()
		if err := s.Revoke(context.Background(), "ada", lasts); err != nil {
			t.Fatal(err)
		}
		for _, tc := range []struct {
			after time.Duration
			want  bool
		}{{max(lasts, revokedFor) - time.Hour, true}, {2 * time.Hour, false}} {
			c.advance(tc.after)
			if err := SweepSessions(context.Background(), d, c.now()); err != nil {
				t.Fatal(err)
			}
			if got, err := node(t, c, d).Ended(context.Background(), "ada", began); err != nil || got != tc.want {
				t.Errorf("%v later: ended %v, %v, want %v", tc.after, got, err, tc.want)
			}
		}
	}
}

// TestList: the sessions in storage that count are listed, without what opens
// them, and those that a mark ended can be deleted.
func TestList(t *testing.T) {
	c, d := newClock(), newDisk()
	s, other := node(t, c, d, inStorage), node(t, c, d, inStorage, func(c *SessionConfig) { c.Integration, c.Cookie = "other", "other" })
	ada, bob, out := newBrowser(), newBrowser(), newBrowser()
	adas := ada.login(t, s, Session{User: "ada", Claims: large(100)})
	c.advance(time.Hour)
	bob.login(t, s, Session{User: "bob"})
	out.login(t, s, Session{User: "out"})
	out.logout(t, s)
	newBrowser().login(t, other, Session{User: "foreign"})
	newBrowser().login(t, node(t, c, d), Session{User: "sealed"}) // lies in a cookie

	list := func() (users string, all []Stored) {
		t.Helper()
		all, err := node(t, c, d, inStorage).List(context.Background())
		if err != nil {
			t.Fatal(err)
		}
		for _, stored := range all {
			users += stored.User + " "
			if strings.Contains(stored.Key, adas.ID) {
				t.Errorf("the key %s holds the session's ID", stored.Key)
			}
		}
		return users, all
	}
	got, all := list()
	if got != "bob ada " || !all[1].Began.Equal(adas.Began) || !all[1].Seen.Equal(adas.Began) || !all[1].Ends.Equal(adas.Began.Add(8*time.Hour)) {
		t.Errorf("got %s: %+v", got, all)
	}
	if err := s.Revoke(context.Background(), "ada", 0); err != nil {
		t.Fatal(err)
	}
	if got, _ := list(); got != "bob " {
		t.Errorf("revoked: got %s", got)
	}
	if n, err := s.DeleteRevoked(context.Background()); n != 1 || err != nil {
		t.Errorf("deleted %d, %v", n, err)
	}
	if _, err := d.Load(context.Background(), s.recordKey(adas.ID)); !errors.Is(err, store.ErrNotExist) {
		t.Errorf("the record is there: %v", err)
	}
	if got := bob.open(s); got != "bob" {
		t.Errorf("got %s", got)
	}
	if c.advance(8 * time.Hour); true {
		if got, _ := list(); got != "" {
			t.Errorf("idle for too long: got %s", got)
		}
	}
}

// TestRevokeOutage: what could not be noted is an error, and what could not be
// asked is no answer.
func TestRevokeOutage(t *testing.T) {
	ctx := context.Background()
	for _, operation := range []string{"list", "load", "store", "delete"} {
		c, d := newClock(), newDisk()
		s := node(t, c, d, inStorage)
		newBrowser().login(t, s, Session{User: "ada"})
		d.fail(operation)
		revoke := s.Revoke(ctx, "ada", 0)
		_, list := node(t, c, d, inStorage).List(ctx)
		_, ended := node(t, c, d, inStorage).Ended(ctx, "ada", c.now())
		_, deleted := s.DeleteRevoked(ctx)
		for what, tc := range map[string]struct {
			err  error
			want bool
		}{
			"revoke": {revoke, operation == "store"},
			"list":   {list, operation == "list" || operation == "load"},
			"ended":  {ended, operation == "load"},
			"delete": {deleted, operation != "store"},
		} {
			if errors.Is(tc.err, store.ErrUnavailable) != tc.want || (tc.err != nil) != tc.want {
				t.Errorf("%s fails, %s: %v", operation, what, tc.err)
			}
		}
	}
}
