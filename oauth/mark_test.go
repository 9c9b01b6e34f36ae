package oauth

import (
	"context"
	"errors"
	"fmt"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/caddy-admit/admit/internal/store"
)

// TestLogout: a copied cookie is dead at once on this node and 10 s later on every
// other one, and the browser has nothing left (threat 45).
func TestLogout(t *testing.T) {
	for _, in := range []string{"cookie", "storage"} {
		c, d := newClock(), newDisk()
		change := func(c *SessionConfig) { c.Store = in }
		here, there := node(t, c, d, change), node(t, c, d, change)
		b, bob := newBrowser(), newBrowser()
		session := b.login(t, here, Session{User: "ada", Claims: large(3000)})
		bob.login(t, here, Session{User: "bob"})
		thief := b.copy()
		if got := thief.open(there); got != "ada" {
			t.Fatalf("%s: got %s", in, got)
		}
		b.logout(t, here)
		if got := thief.open(here) + " " + b.open(here) + " " + bob.open(here); got != "revoked none bob" {
			t.Errorf("%s, here: got %s", in, got)
		}
		if _, err := d.Load(context.Background(), here.recordKey(session.ID)); !errors.Is(err, store.ErrNotExist) {
			t.Errorf("%s: the record: %v", in, err)
		}
		c.advance(10 * time.Second)
		if got := thief.open(there) + " " + bob.open(there); got != "revoked bob" {
			t.Errorf("%s, there: got %s", in, got)
		}
		// A process that starts later knows it too, and login works again.
		b.login(t, there, Session{User: "ada"})
		if got := thief.open(node(t, c, d, change)) + " " + b.open(here); got != "revoked ada" {
			t.Errorf("%s, later: got %s", in, got)
		}
	}
}

// TestLogoutOthers: a session that lay beside the one that counted ends with it,
// else it would be the next (threats 45 and 48).
func TestLogoutOthers(t *testing.T) {
	c, d := newClock(), newDisk()
	s, planted, b := node(t, c, d), newBrowser(), newBrowser()
	planted.login(t, s, Session{User: "mallory"})
	c.advance(time.Hour)
	b.login(t, s, Session{User: "ada"})
	r := b.request()
	r.AddCookie(planted.Cookies(site)[0])
	session, err := s.Open(context.Background(), r)
	if err != nil || session.User != "ada" {
		t.Fatalf("got %v, %v", session, err)
	}
	if err := s.End(context.Background(), httptest.NewRecorder(), r, session); err != nil {
		t.Fatal(err)
	}
	if got := b.open(s) + " " + planted.open(s); got != "revoked revoked" {
		t.Errorf("got %s", got)
	}
}

// TestRefreshLogout: logging out does not ask the provider, and works also where a
// session does not count since the provider is down: a copy of its cookie would come
// back to life with it (threat 45).
func TestRefreshLogout(t *testing.T) {
	c, _, p, b, nodes := due(t, 1)
	s, thief := nodes[0], b.copy()
	c.advance(time.Hour)
	p.set(func(*Session) error { return ErrTokenEndpoint })
	if got := b.open(s); got != "expired" || p.calls() != 1 {
		t.Fatalf("got %s", got)
	}
	c.advance(time.Minute)
	session, err := s.OpenToEnd(context.Background(), b.request())
	if err != nil || session.User != "ada" || p.calls() != 0 {
		t.Fatalf("got %+v, %v", session, err)
	}
	if err := s.End(context.Background(), httptest.NewRecorder(), b.request(), session); err != nil {
		t.Fatal(err)
	}
	p.set(nil)
	if got := thief.open(s); got != "revoked" || p.calls() != 0 {
		t.Errorf("the copy: got %s", got)
	}
	if _, err := s.OpenToEnd(context.Background(), b.request()); !errors.Is(err, ErrSessionRevoked) {
		t.Errorf("again: got error %v", err)
	}
}

// TestMarks: a mark on a user or on all ends what began before it, and nothing
// else.
func TestMarks(t *testing.T) {
	for _, tc := range []struct {
		kind       MarkKind
		name, want string // ada, bob, ada after a new login
	}{
		{MarkUser, "ada", "revoked bob ada"},
		{MarkUser, "Ada", "ada bob ada"},
		{MarkUser, "", "ada bob ada"},
		{MarkAll, "", "revoked revoked ada"},
	} {
		c, d := newClock(), newDisk()
		here, there := node(t, c, d), node(t, c, d)
		other := node(t, c, d, func(c *SessionConfig) { c.Integration, c.Cookie = "other", "other" })
		ada, bob, foreign := newBrowser(), newBrowser(), newBrowser()
		ada.login(t, here, Session{User: "ada"})
		bob.login(t, here, Session{User: "bob"})
		foreign.login(t, other, Session{User: "ada"})
		for _, b := range []browser{ada, bob} {
			b.open(there)
		}
		if err := here.Mark(context.Background(), tc.kind, tc.name, c.now().Add(24*time.Hour)); err != nil {
			t.Fatal(err)
		}
		c.advance(10 * time.Second)
		old := ada.open(there) + " " + bob.open(there)
		ada.login(t, there, Session{User: "ada"})
		if got := old + " " + ada.open(here); got != tc.want || foreign.open(other) != "ada" {
			t.Errorf("%s %q: got %s, want %s; other integration %s", tc.kind, tc.name, got, tc.want, foreign.open(other))
		}
	}
}

// TestMarkLoads: a session's mark is asked for once in 10 s, however many requests
// there are, and the others' at most as often.
func TestMarkLoads(t *testing.T) {
	c, d := newClock(), newDisk()
	b := newBrowser()
	b.login(t, node(t, c, d), Session{User: "ada"})
	s := node(t, c, d)
	for i, want := range []int{3, 0, 0, 3, 0} { // its own, its user's, everybody's
		var wg sync.WaitGroup
		for range 20 {
			wg.Go(func() {
				if got := b.open(s); got != "ada" {
					t.Errorf("got %s", got)
				}
			})
		}
		wg.Wait()
		if got := d.asked("load marks"); got != want {
			t.Errorf("step %d: %d loads, want %d", i, got, want)
		}
		c.advance(9 * time.Second / 2)
	}
	// Another session of that user asks for its own only.
	s = node(t, c, d)
	b.open(s)
	second := newBrowser()
	second.login(t, node(t, c, d), Session{User: "ada"})
	d.asked("load marks")
	if got := second.open(s); got != "ada" || d.asked("load marks") != 1 {
		t.Errorf("second session: got %s", got)
	}
	// One that has begun here has no mark of its own.
	second.login(t, s, Session{User: "ada"})
	if got := second.open(s); got != "ada" || d.asked("load marks") != 0 {
		t.Errorf("third session: got %s", got)
	}
}

// listening is a storage that answers nobody who has gone.
type listening struct{ *disk }

func (l listening) Load(ctx context.Context, key string) ([]byte, error) {
	value, err := l.disk.Load(ctx, key)
	if ctx.Err() != nil {
		return nil, fmt.Errorf("%w: %w", store.ErrUnavailable, ctx.Err())
	}
	return value, err
}

// TestMarkNoQueue: a check that hangs holds up nobody else's, and a client that
// leaves does not end it for those who wait for the same.
func TestMarkNoQueue(t *testing.T) {
	c, d := newClock(), newDisk()
	s, slow, quick := node(t, c, listening{d}), newBrowser(), newBrowser()
	id := slow.login(t, s, Session{}).ID
	quick.login(t, s, Session{})
	hold, reached := make(chan struct{}), make(chan struct{}, 2)
	d.Fail = func(_, key string) error {
		if key == s.markKey(mark{MarkSession, id}) {
			reached <- struct{}{}
			<-hold
		}
		return nil
	}
	c.advance(10 * time.Second)
	left, cancel := context.WithCancel(context.Background())
	gone, stayed := make(chan error), make(chan error)
	go func() {
		_, err := s.Open(left, slow.request())
		gone <- err
	}()
	<-reached
	if got := quick.open(s); got != "" {
		t.Errorf("quick: got %s", got)
	}
	go func() {
		_, err := s.Open(context.Background(), slow.request())
		stayed <- err
	}()
	cancel()
	if err := <-gone; !errors.Is(err, store.ErrUnavailable) || !errors.Is(err, context.Canceled) {
		t.Errorf("the one that left: got error %v", err)
	}
	close(hold)
	if err := <-stayed; err != nil || len(reached) != 0 {
		t.Errorf("the one that stayed: got error %v after %d more loads", err, len(reached))
	}
}

// TestMarkClocks: a logout counts also where the clock is behind that of the login.
func TestMarkClocks(t *testing.T) {
	c, ahead, d := newClock(), newClock(), newDisk()
	ahead.advance(30 * time.Second)
	here, there, b := node(t, c, d), node(t, ahead, d), newBrowser()
	b.login(t, there, Session{User: "ada"})
	thief := b.copy()
	b.logout(t, here)
	ahead.advance(10 * time.Second)
	if got := thief.open(here) + " " + thief.open(there) + " " + thief.open(node(t, c, d)); got != "revoked revoked revoked" {
		t.Errorf("got %s", got)
	}
}

// TestMarkUnreadable: a mark that cannot be read still keeps somebody out.
func TestMarkUnreadable(t *testing.T) {
	for _, value := range []string{"", "x", "\n", "99999999999\n", "99999999999\nx"} {
		c, d := newClock(), newDisk()
		s, b := node(t, c, d), newBrowser()
		session := b.login(t, s, Session{User: "ada"})
		if err := d.Store(context.Background(), s.markKey(mark{MarkSession, session.ID}), []byte(value)); err != nil {
			t.Fatal(err)
		}
		if got := b.open(node(t, c, d)); got != "revoked" {
			t.Errorf("%q: got %s", value, got)
		}
		if err := SweepSessions(context.Background(), d, c.now().Add(time.Hour)); err != nil {
			t.Fatal(err)
		}
		if got := b.open(node(t, c, d)); got != "revoked" {
			t.Errorf("%q, swept: got %s", value, got)
		}
	}
}

// TestLookupsBounded: what is remembered has a bound, and an answer that was on
// its way does not replace a later one (threat 97).
func TestLookupsBounded(t *testing.T) {
	c := newClock()
	l := lookups[int, int]{life: 10 * time.Second, limit: 100, now: c.now, ask: func(_ context.Context, key int) (int, error) { return key, nil }}
	for i := range 10_000 {
		if i%1000 == 0 {
			c.advance(time.Second)
		}
		if got, err := l.get(context.Background(), i); got != i || err != nil {
			t.Fatalf("got %d, %v", got, err)
		}
		if _, ok := l.known[i]; len(l.known) > 100 || !ok {
			t.Fatalf("%d answers are remembered, this one: %v", len(l.known), ok)
		}
	}
	c.advance(10 * time.Second)
	for i := range 101 {
		l.put(i, 1, c.now())
	}
	if _, ok := l.known[9_999]; ok {
		t.Error("an old answer stayed where there is no room")
	}
	l.put(100, 2, c.now().Add(-time.Second))
	if got, _ := l.get(context.Background(), 100); got != 1 || len(l.running) != 0 {
		t.Errorf("got %d with %d on their way", got, len(l.running))
	}
}

// threat 97: answers of any length have a bound in bytes. A stranger whom no rule lets in
// has a session all the same, and may be in as many groups as they like.
func TestLookupsBoundedInBytes(t *testing.T) {
	c := newClock()
	l := lookups[int, string]{life: 10 * time.Second, limit: 1000, size: func(s string) int { return len(s) }, room: 100, now: c.now}
	taken := func() (n int) {
		for _, a := range l.known {
			n += len(a.value)
		}
		return n
	}
	for i := range 1000 {
		key, text := i%37, strings.Repeat("x", i*7%30)
		l.put(key, text, c.now())
		if i%5 == 0 {
			l.drop(i % 11)
		}
		if i%97 == 0 {
			c.advance(6 * time.Second)
		}
		if _, ok := l.known[key]; !ok && i%5 != 0 {
			t.Fatalf("%d: what was just noted is forgotten", i)
		}
		if taken() != l.taken || l.taken > 100 {
			t.Fatalf("%d: %d bytes, counted %d", i, taken(), l.taken)
		}
	}
	l.put(1, strings.Repeat("x", 5000), c.now())
	if len(l.known) != 1 {
		t.Errorf("%d answers beside one that takes all the room", len(l.known)-1)
	}
	if l.put(1, "", c.now()); l.taken != 0 {
		t.Errorf("%d bytes for an empty answer", l.taken)
	}
}
