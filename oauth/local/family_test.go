package local

import (
	"context"
	"errors"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/caddy-admit/admit/internal/store"
	"github.com/caddy-admit/admit/internal/store/storetest"
)

var ada = Member{User: "ada", Stamp: "s1"}

func always(Member) bool { return true }

// never is for families that nobody has ended.
func never(context.Context, string, time.Time) (bool, error) { return false, nil }

// familyClock is a clock that a test moves.
type familyClock struct{ at time.Time }

func (c *familyClock) now() time.Time { return c.at }

func newFamilies(s store.Store, c *familyClock) *Families {
	return NewFamilies(s, "home", 24*time.Hour, never, c.now)
}

func begin(t *testing.T, fs *Families) string {
	t.Helper()
	token, err := fs.Begin(context.Background(), ada)
	if err != nil {
		t.Fatal(err)
	}
	return token
}

func rotate(t *testing.T, fs *Families, token string) string {
	t.Helper()
	next, m, err := fs.Rotate(context.Background(), token, always)
	if err != nil || m != ada {
		t.Fatalf("got member %v, %v", m, err)
	}
	return next
}

func spent(t *testing.T, fs *Families, token string) {
	t.Helper()
	if _, _, err := fs.Rotate(context.Background(), token, always); !errors.Is(err, ErrInvalidGrant) {
		t.Errorf("got error %v, want ErrInvalidGrant", err)
	}
}

// TestRotate: each token is good once; within the grace the last spent one gets
// the same successor, after that its reuse ends the family (threat 80).
func TestRotate(t *testing.T) {
	c := &familyClock{time.Now()}
	shared := new(storetest.Memory)
	fs, other := newFamilies(shared, c), newFamilies(shared, c)
	first := begin(t, fs)
	second := rotate(t, fs, first)
	c.at = c.at.Add(grace)
	if again := rotate(t, other, first); again != second {
		t.Errorf("another successor within the grace")
	}
	third := rotate(t, other, second)
	c.at = c.at.Add(grace + time.Second)
	spent(t, fs, second)
	spent(t, fs, third) // the owner has to sign in again, and so has the thief
}

// TestRotateOld: a token that is older than the last spent one ends the family at once.
func TestRotateOld(t *testing.T) {
	fs := newFamilies(new(storetest.Memory), &familyClock{time.Now()})
	first := begin(t, fs)
	third := rotate(t, fs, rotate(t, fs, first))
	spent(t, fs, first)
	spent(t, fs, third)
}

// TestRotateForged: nobody ends a family without a token that was once good, and
// every edited token is refused (threat 87).
func TestRotateForged(t *testing.T) {
	fs := newFamilies(new(storetest.Memory), &familyClock{time.Now()})
	token := begin(t, fs)
	for i := range token {
		edited := []byte(token)
		if edited[i]++; edited[i] == token[i] {
			continue
		}
		spent(t, fs, string(edited))
		spent(t, fs, token[:i])
		if err := fs.End(context.Background(), string(edited)); err != nil {
			t.Error(err)
		}
	}
	spent(t, fs, token+"A")
	spent(t, newFamilies(new(storetest.Memory), &familyClock{time.Now()}), token)
	rotate(t, fs, token)
}

// TestRotateMember: whose credential has changed, or who is gone, is out (threat 72).
func TestRotateMember(t *testing.T) {
	fs := newFamilies(new(storetest.Memory), &familyClock{time.Now()})
	token := begin(t, fs)
	if _, _, err := fs.Rotate(context.Background(), token, func(m Member) bool { return m.Stamp == "s2" }); !errors.Is(err, ErrInvalidGrant) {
		t.Errorf("got error %v", err)
	}
	spent(t, fs, token)
}

// TestRotateTogether: many with one token, in two processes, get one successor
// (threat 69).
func TestRotateTogether(t *testing.T) {
	c := &familyClock{time.Now()}
	shared := new(storetest.Memory)
	processes := []*Families{newFamilies(shared, c), newFamilies(shared, c)}
	token := begin(t, processes[0])
	var mu sync.Mutex
	successors, wg := map[string]int{}, sync.WaitGroup{}
	for i := range 40 {
		wg.Go(func() {
			next, _, err := processes[i%2].Rotate(context.Background(), token, always)
			if err != nil {
				t.Error(err)
			}
			mu.Lock()
			successors[next]++
			mu.Unlock()
		})
	}
	wg.Wait()
	if len(successors) != 1 {
		t.Errorf("%d successors, want 1", len(successors))
	}
}

// TestRotateLife: a family that nobody uses ends, and is swept.
func TestRotateLife(t *testing.T) {
	c := &familyClock{time.Now()}
	shared := new(storetest.Memory)
	fs := newFamilies(shared, c)
	left, used := begin(t, fs), begin(t, fs)
	c.at = c.at.Add(23 * time.Hour)
	used = rotate(t, fs, used)
	c.at = c.at.Add(2 * time.Hour)
	if err := fs.Sweep(context.Background()); err != nil {
		t.Fatal(err)
	}
	if keys, err := shared.List(context.Background(), store.Folder(familyFolder)); err != nil || len(keys) != 1 {
		t.Errorf("after the sweep: %d families, %v", len(keys), err)
	}
	spent(t, fs, left)
	rotate(t, fs, used)
}

func TestEnd(t *testing.T) {
	fs := newFamilies(new(storetest.Memory), &familyClock{time.Now()})
	first := begin(t, fs)
	second := rotate(t, fs, first)
	if err := fs.End(context.Background(), first); err != nil {
		t.Fatal(err)
	}
	spent(t, fs, second)
}

// TestRotateOutage: when the storage fails nothing is spent, and nothing is taken
// for invalid (threat 52).
func TestRotateOutage(t *testing.T) {
	failing := ""
	shared := &storetest.Memory{Fail: func(operation, _ string) error {
		if operation == failing {
			return errors.New("disk full")
		}
		return nil
	}}
	fs := newFamilies(shared, &familyClock{time.Now()})
	token := begin(t, fs)
	for _, failing = range []string{"load", "store", "lock"} {
		if _, _, err := fs.Rotate(context.Background(), token, always); !errors.Is(err, store.ErrUnavailable) {
			t.Errorf("%s fails: got error %v, want ErrUnavailable", failing, err)
		}
	}
	failing = ""
	rotate(t, fs, token)
}

// TestSecretTogether: of many who need the secret first, one asks the storage,
// where a lock may cost each of them a second.
func TestSecretTogether(t *testing.T) {
	var locks atomic.Int64
	shared := &storetest.Memory{Fail: func(operation, _ string) error {
		if operation == "lock" {
			locks.Add(1)
		}
		return nil
	}}
	fs := newFamilies(shared, &familyClock{time.Now()})
	var wg sync.WaitGroup
	for range 40 {
		wg.Go(func() {
			if _, err := fs.Begin(context.Background(), ada); err != nil {
				t.Error(err)
			}
		})
	}
	wg.Wait()
	if n := locks.Load(); n != 1 {
		t.Errorf("%d locks for one secret", n)
	}
}

// marks end what somebody began until a time, in place of sessions' marks.
type marks struct {
	until map[string]time.Time
	err   error
}

func (m *marks) ended(_ context.Context, user string, began time.Time) (bool, error) {
	return !began.After(m.until[user]), m.err
}

// TestRotateEnded: a family that began before its user was revoked is not good,
// nor is the token that was spent last, and nothing is spent while that cannot be
// asked. A later family is good, and so is another user's (threats 45 and 72).
func TestRotateEnded(t *testing.T) {
	c, shared := &familyClock{time.Now()}, new(storetest.Memory)
	m := &marks{until: map[string]time.Time{}}
	fs := NewFamilies(shared, "home", 24*time.Hour, m.ended, c.now)
	unspent, first := begin(t, fs), begin(t, fs)
	second := rotate(t, fs, first)
	bobs, err := fs.Begin(context.Background(), Member{User: "bob"})
	if err != nil {
		t.Fatal(err)
	}

	m.err = store.ErrUnavailable
	for _, token := range []string{unspent, second} {
		if _, _, err := fs.Rotate(context.Background(), token, always); !errors.Is(err, store.ErrUnavailable) {
			t.Errorf("got error %v, want ErrUnavailable", err)
		}
	}
	m.err = nil
	if again := rotate(t, fs, first); again != second {
		t.Error("a token was spent during the outage")
	}

	m.until["ada"] = c.at
	c.at = c.at.Add(time.Second)
	later := begin(t, fs)
	spent(t, fs, unspent)
	spent(t, fs, first) // within the grace
	spent(t, fs, second)
	rotate(t, fs, later)
	if _, m, err := fs.Rotate(context.Background(), bobs, always); err != nil || m.User != "bob" {
		t.Errorf("got %v, %v", m, err)
	}
}

// TestListFamilies: good families are listed, ended ones can be deleted, and those
// of other integrations are left alone.
func TestListFamilies(t *testing.T) {
	c, shared := &familyClock{time.Now()}, new(storetest.Memory)
	m := &marks{until: map[string]time.Time{}}
	fs := NewFamilies(shared, "home", 24*time.Hour, m.ended, c.now)
	other := NewFamilies(shared, "other", 24*time.Hour, never, c.now)
	begin(t, other)
	began := c.at
	first := begin(t, fs)
	c.at = c.at.Add(time.Hour)
	rotate(t, fs, first)
	if _, err := fs.Begin(context.Background(), Member{User: "bob"}); err != nil {
		t.Fatal(err)
	}
	list := func(fs *Families) (users string, all []Stored) {
		t.Helper()
		all, err := fs.List(context.Background())
		if err != nil {
			t.Fatal(err)
		}
		for _, stored := range all {
			users += stored.User + " "
		}
		return users, all
	}
	got, all := list(fs)
	if got != "bob ada " || !all[1].Began.Equal(began) || !all[1].Used.Equal(c.at) || !all[0].Used.Equal(c.at) || !all[1].Ends.Equal(c.at.Add(24*time.Hour)) {
		t.Errorf("got %s: %+v", got, all)
	}
	m.until["ada"] = c.at
	if got, _ := list(fs); got != "bob " {
		t.Errorf("got %s", got)
	}
	if n, err := fs.DeleteEnded(context.Background()); n != 1 || err != nil {
		t.Errorf("deleted %d, %v", n, err)
	}
	m.until = nil
	if got, _ := list(fs); got != "bob " {
		t.Errorf("deleted and there again: %s", got)
	}
	if got, _ := list(other); got != "ada " {
		t.Errorf("the other integration's: %s", got)
	}
	c.at = c.at.Add(25 * time.Hour)
	if got, _ := list(fs); got != "" {
		t.Errorf("expired: %s", got)
	}
	shared.Fail = func(op, _ string) error {
		if op == "list" {
			return errors.New("read-only file system")
		}
		return nil
	}
	if _, err := fs.List(context.Background()); !errors.Is(err, store.ErrUnavailable) {
		t.Errorf("got %v", err)
	}
}
