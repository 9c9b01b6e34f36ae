package oauth

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strconv"
	"sync"
	"testing"
	"time"

	"github.com/caddy-admit/admit/internal/store"
)

// provider renews sessions, and counts. Refresh tokens are r1, r2 and so on, each
// good for one time.
type provider struct {
	now func() time.Time

	mu       sync.Mutex
	asked    int
	spent    map[string]bool
	do       func(session *Session) error // before it answers
	outcomes []error
}

func newProvider(c *clock) *provider { return &provider{now: c.now, spent: map[string]bool{}} }

// use is a change of a configuration: sessions are renewed here.
func (p *provider) use(c *SessionConfig) {
	c.Renewer = p.renew
	c.Observe = func(err error) {
		p.mu.Lock()
		defer p.mu.Unlock()
		p.outcomes = append(p.outcomes, err)
	}
}

func (p *provider) renew(ctx context.Context, session *Session) (*Session, error) {
	p.mu.Lock()
	p.asked++
	do, again := p.do, p.spent[session.Tokens.Refresh]
	p.mu.Unlock()
	if do != nil {
		if err := do(session); err != nil {
			return nil, err
		}
	}
	if ctx.Err() != nil {
		return nil, ctx.Err()
	}
	if again {
		return nil, fmt.Errorf("%w: invalid_grant", ErrRefused)
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	p.spent[session.Tokens.Refresh] = true
	return p.answer(session), nil
}

func (p *provider) answer(session *Session) *Session {
	n, _ := strconv.Atoi(session.Tokens.Refresh[1:])
	next := strconv.Itoa(n + 1)
	session.Take(&Grant{
		Claims: json.RawMessage(next), Subject: session.Subject, Due: p.now().Add(5 * time.Minute),
		Tokens: Tokens{Access: "a" + next, Refresh: "r" + next},
	})
	return session
}

func (p *provider) set(do func(*Session) error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.do = do
}

// calls returns how often it was asked since the last time.
func (p *provider) calls() int {
	p.mu.Lock()
	defer p.mu.Unlock()
	n := p.asked
	p.asked = 0
	return n
}

// granted is a session as it is after the login, due in 5 minutes.
func (p *provider) granted() Session {
	return Session{
		User: "ada", Subject: "1815", SID: "s1", IDToken: "id", Claims: json.RawMessage("1"),
		Tokens: Tokens{Access: "a1", Refresh: "r1"}, Due: p.now().Add(5 * time.Minute),
	}
}

// due is a browser with a session in the storage that has just become due, and the
// nodes that share the storage.
func due(t *testing.T, n int) (c *clock, d *disk, p *provider, b browser, nodes []*Sessions) {
	t.Helper()
	c, d = newClock(), newDisk()
	p, b = newProvider(c), newBrowser()
	for range n {
		nodes = append(nodes, node(t, c, d, p.use))
	}
	b.login(t, nodes[0], p.granted())
	c.advance(5 * time.Minute)
	return c, d, p, b, nodes
}

// openRefresh returns the refresh token of the session that a browser has.
func openRefresh(t *testing.T, s *Sessions, b browser) string {
	t.Helper()
	session, err := s.Open(context.Background(), b.request())
	if err != nil {
		t.Fatal(err)
	}
	return session.Tokens.Refresh
}

// watched is a storage that says when somebody begins to wait for a lock.
type watched struct {
	*disk
	locks chan struct{}
}

func (w watched) Lock(ctx context.Context, name string) (func(), error) {
	w.locks <- struct{}{}
	return w.disk.Lock(ctx, name)
}

// TestRefreshOnce: fifty requests at once make one question to the provider, also
// where they come to two processes, and all of them get what it answered
// (threat 69).
func TestRefreshOnce(t *testing.T) {
	for _, n := range []int{1, 2} {
		c := newClock()
		d, p, b := watched{newDisk(), make(chan struct{}, 100)}, newProvider(c), newBrowser()
		var nodes []*Sessions
		for range n {
			nodes = append(nodes, node(t, c, d, p.use))
		}
		b.login(t, nodes[0], p.granted())
		c.advance(5 * time.Minute)
		p.set(func(*Session) error {
			for range n {
				<-d.locks // every process has begun
			}
			return nil
		})
		var wg sync.WaitGroup
		for i := range 50 {
			wg.Go(func() {
				session, err := nodes[i%n].Open(context.Background(), b.request())
				if err != nil || session.Tokens.Refresh != "r2" || string(session.Claims) != "2" {
					t.Errorf("%d processes: got %+v, %v", n, session, err)
				}
			})
		}
		wg.Wait()
		if got := p.calls(); got != 1 || len(p.outcomes) != 1 || p.outcomes[0] != nil {
			t.Errorf("%d processes: asked %d times, %v", n, got, p.outcomes)
		}
	}
}

// TestRefreshInTurn: whichever process has a session that is due renews what the
// others have renewed before.
func TestRefreshInTurn(t *testing.T) {
	c, _, p, b, nodes := due(t, 3)
	for i := range 9 {
		if got := openRefresh(t, nodes[i%3], b); got != "r"+strconv.Itoa(i+2) {
			t.Errorf("round %d: got %s", i, got)
		}
		if p.calls() != 1 || openRefresh(t, nodes[i%3], b) != "r"+strconv.Itoa(i+2) || p.calls() != 0 {
			t.Errorf("round %d: not asked once", i)
		}
		c.advance(5 * time.Minute)
	}
}

// TestRefreshLatecomer: who has read a session before it was renewed gets the new
// one at once.
func TestRefreshLatecomer(t *testing.T) {
	_, d, p, b, nodes := due(t, 1)
	old, err := nodes[0].loadRecord(context.Background(), openedID(nodes[0], b))
	if err != nil {
		t.Fatal(err)
	}
	b.open(nodes[0])
	d.asked("lock sessions")
	got, err := nodes[0].current(context.Background(), old)
	if err != nil || got.Tokens.Refresh != "r2" || p.calls() != 1 || d.asked("lock sessions") != 0 {
		t.Errorf("got %+v, %v", got, err)
	}
}

// TestRefreshNotDue: what is not due is left alone, as is what nobody renews.
func TestRefreshNotDue(t *testing.T) {
	c, d := newClock(), newDisk()
	p, b := newProvider(c), newBrowser()
	s := node(t, c, d, p.use)
	b.login(t, s, p.granted())
	if c.advance(5*time.Minute - 1); b.open(s) != "ada" || p.calls() != 0 {
		t.Error("renewed early")
	}
	if c.advance(2 * time.Hour); b.open(node(t, c, d)) != "ada" {
		t.Error("ended, though nobody renews")
	}
	session := p.granted()
	session.Due = time.Time{}
	b.login(t, s, session)
	if c.advance(2 * time.Hour); b.open(s) != "ada" || p.calls() != 0 {
		t.Error("renewed, though never due")
	}
}

// TestRefreshOutage: a session outlives an outage of the provider by an hour after
// it was due, and the storage's is told apart (threats 52 and 71).
func TestRefreshOutage(t *testing.T) {
	refuse := fmt.Errorf("%w: invalid_grant", ErrRefused)
	for _, tc := range []struct {
		name  string
		err   error
		fails string
		wait  time.Duration // since it was due
		want  string
	}{
		{"provider down", ErrTokenEndpoint, "", 0, "ada"},
		{"provider down, for an hour", ErrTokenEndpoint, "", time.Hour - 1, "ada"},
		{"provider down, for longer", ErrTokenEndpoint, "", time.Hour, "expired"},
		{"provider up again after days", nil, "", 7 * time.Hour, "ada"},
		{"other error", errors.New("x"), "", time.Hour - 1, "ada"},
		{"other error, for longer", errors.New("x"), "", time.Hour, "expired"},
		{"no lock", nil, "lock", time.Hour - 1, "ada"},
		{"no lock, for longer", nil, "lock", time.Hour, "unavailable"},
		{"nothing can be written", nil, "store", time.Hour - 1, "ada"},
		{"nothing can be written, for longer", nil, "store", time.Hour, "unavailable"},
		{"refused", refuse, "", 0, "revoked"},
		{"refused, later", refuse, "", 2 * time.Hour, "revoked"},
		{"refused, read-only", refuse, "store", 0, "revoked"},
	} {
		n := 2
		if tc.fails == "store" {
			n = 1 // another node could but spend the token again
		}
		c, d, p, b, nodes := due(t, n)
		c.advance(tc.wait)
		p.set(func(*Session) error { return tc.err })
		d.fail(tc.fails)
		for i, s := range nodes {
			if got := b.open(s); got != tc.want && (i == 0 || tc.want != "revoked" || got != "expired") {
				t.Errorf("%s, node %d: got %s, want %s", tc.name, i, got, tc.want)
			}
		}
		for _, outcome := range p.outcomes {
			if tc.err != nil && !errors.Is(outcome, tc.err) || tc.fails != "" && tc.err == nil && !errors.Is(outcome, store.ErrUnavailable) {
				t.Errorf("%s: observed %v", tc.name, outcome)
			}
		}
		if len(p.outcomes) == 0 {
			t.Errorf("%s: nothing observed", tc.name)
		}
		d.fail()
		if keys, _ := d.List(context.Background(), store.Folder(recordFolder)); len(keys) == 0 != (tc.want == "revoked") {
			t.Errorf("%s: %d records", tc.name, len(keys))
		}
	}
}

// TestRefreshClientGone: the attempt does not end with the request that began it.
func TestRefreshClientGone(t *testing.T) {
	_, _, p, b, nodes := due(t, 1)
	begun, release := make(chan struct{}), make(chan struct{})
	p.set(func(*Session) error {
		close(begun)
		<-release
		return nil
	})
	ctx, leave := context.WithCancel(context.Background())
	left := make(chan error)
	go func() {
		_, err := nodes[0].Open(ctx, b.request())
		left <- err
	}()
	<-begun
	leave()
	if err := <-left; err != nil { // the marks are known, the claims at hand count
		t.Errorf("the one who left: %v", err)
	}
	close(release)
	if got := openRefresh(t, nodes[0], b); got != "r2" || p.calls() != 1 {
		t.Errorf("got %s", got)
	}
}

// TestRefreshSlow: a request waits for a while and goes on with the claims at hand,
// those after it do not wait at all; without claims that count it is over.
func TestRefreshSlow(t *testing.T) {
	for _, tc := range []struct {
		wait time.Duration
		want string
	}{{0, "ada"}, {time.Hour, "expired"}} {
		c, _, p, b, nodes := due(t, 1)
		s := nodes[0]
		c.advance(tc.wait)
		s.refreshes.wait, s.refreshes.patience = time.Millisecond, time.Millisecond
		release := make(chan struct{})
		p.set(func(*Session) error {
			<-release
			return nil
		})
		if got := b.open(s); got != tc.want {
			t.Errorf("after %v: got %s", tc.wait, got)
		}
		s.refreshes.wait = time.Hour // so that the test hangs if it waits
		if got := b.open(s); got != tc.want {
			t.Errorf("after %v: then got %s", tc.wait, got)
		}
		s.refreshes.mu.Lock()
		attempt := s.refreshes.running[openedID(s, b)]
		s.refreshes.mu.Unlock()
		close(release)
		<-attempt.done
		if got := openRefresh(t, s, b); got != "r2" || p.calls() != 1 {
			t.Errorf("after %v: in the end got %s", tc.wait, got)
		}
	}
}

// TestRefreshLocked: who does not get the lock does not ask, and goes on.
func TestRefreshLocked(t *testing.T) {
	c, d, p, b, nodes := due(t, 1)
	s := nodes[0]
	s.lockWait, s.refreshes.wait = time.Millisecond, time.Hour // so that the test hangs if the attempt does
	unlock, err := d.Lock(context.Background(), s.recordKey(openedID(s, b)))
	if err != nil {
		t.Fatal(err)
	}
	if got := b.open(s); got != "ada" || p.calls() != 0 || len(p.outcomes) != 0 {
		t.Errorf("got %s, %v", got, p.outcomes)
	}
	unlock()
	c.advance(10 * time.Second)
	if got := openRefresh(t, s, b); got != "r2" {
		t.Errorf("got %s", got)
	}
}
