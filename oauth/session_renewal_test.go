package oauth

import (
	"context"
	"errors"
	"net/http/httptest"
	"strconv"
	"testing"
	"time"

	"github.com/caddy-admit/admit/internal/store"
)

// TestRefreshKeeps: a renewed session is the same login: its ID, its beginning and
// its end stay (threat 51), what was noted of its use meanwhile too, and what the
// provider did not give anew.
func TestRefreshKeeps(t *testing.T) {
	c, d, p, b, nodes := due(t, 1)
	s := nodes[0]
	first, _ := s.records.peek(openedID(s, b))
	seals, _ := s.seals.get(context.Background(), secretName)
	p.set(func(session *Session) error {
		seen := *first // another process notes the use
		seen.Seen = c.now()
		if err := s.storeRecord(context.Background(), seals, &seen); err != nil {
			return err
		}
		session.ID, session.Began, session.Ends = newSessionID(), c.now(), c.now().Add(99*time.Hour)
		return nil
	})
	b.open(s)
	for _, s := range []*Sessions{s, node(t, c, d, p.use)} {
		got, err := s.Open(context.Background(), b.request())
		if err != nil || got.ID != first.ID || !got.Began.Equal(first.Began) || !got.Ends.Equal(first.Ends) || !got.Seen.Equal(c.now()) ||
			got.IDToken != "id" || got.SID != "s1" || got.Tokens.Access != "a2" {
			t.Errorf("got %+v, %v", got, err)
		}
	}
	p.set(nil)
	for range 30 { // renewed for ever, but not used
		c.advance(16 * time.Minute)
		if got := b.open(s); got != "ada" {
			if !c.now().Equal(first.Began.Add(5*time.Minute + 8*time.Hour)) {
				t.Errorf("%s after %v", got, c.now().Sub(first.Began))
			}
			return
		}
	}
	t.Error("renewal has prolonged the session")
}

// openedID returns the ID of the session that a browser's cookie holds.
func openedID(s *Sessions, b browser) string {
	seals, _ := s.seals.get(context.Background(), secretName)
	return s.opened(seals, b.request().Header["Cookie"])[0].ID
}

// TestRefreshSoon: a provider that says that everything ends at once is asked every
// 10 s and not at each request; a refresh token that is not rotated stays, and what
// else was not said anew.
func TestRefreshSoon(t *testing.T) {
	c, d := newClock(), newDisk()
	b, asked := newBrowser(), 0
	s := node(t, c, d, func(config *SessionConfig) {
		config.Renewer = func(_ context.Context, session *Session) (*Session, error) {
			asked++
			return &Session{User: session.User, Due: c.now().Add(-time.Hour), Tokens: Tokens{Access: "new"}}, nil
		}
	})
	b.login(t, s, Session{User: "ada", SID: "s1", IDToken: "id", Tokens: Tokens{Refresh: "r1"}, Due: c.now()})
	for _, want := range []int{1, 1, 2, 2, 3} {
		if got := openRefresh(t, s, b); got != "r1" || asked != want {
			t.Errorf("got %s, asked %d times, want %d", got, asked, want)
		}
		c.advance(5 * time.Second)
	}
	if got, err := s.Open(context.Background(), b.request()); err != nil || got.SID != "s1" || got.IDToken != "id" || got.Tokens.Access != "new" {
		t.Errorf("got %+v, %v", got, err)
	}
}

// TestRefreshMeanwhile: what happens to a session while the provider is asked
// counts more than what it says.
func TestRefreshMeanwhile(t *testing.T) {
	for _, tc := range []struct {
		name    string
		do      func(here, there *Sessions, b browser, session *Session) error
		want    string
		refresh string // in the storage
	}{
		{"logged out there", func(_, there *Sessions, b browser, session *Session) error {
			return there.End(context.Background(), httptest.NewRecorder(), b.request(), session)
		}, "expired", ""},
		{"logged out there, and refused", func(_, there *Sessions, b browser, session *Session) error {
			return errors.Join(ErrRefused, there.End(context.Background(), httptest.NewRecorder(), b.request(), session))
		}, "expired", ""},
		{"logged out here", func(here, _ *Sessions, b browser, session *Session) error {
			return here.End(context.Background(), httptest.NewRecorder(), b.request(), session)
		}, "revoked", ""},
		{"all logged out", func(here, _ *Sessions, _ browser, session *Session) error {
			return here.Mark(context.Background(), MarkUser, "ada", session.Ends)
		}, "revoked", "r2"},
		{"lock lost", func(_, there *Sessions, _ browser, session *Session) error {
			return renewed(there, session)
		}, "ada", "r9"},
		{"lock lost, and refused", func(_, there *Sessions, _ browser, session *Session) error {
			return errors.Join(ErrRefused, renewed(there, session))
		}, "ada", "r9"},
		{"another subject", func(_, _ *Sessions, _ browser, session *Session) error { // threat 70
			session.Subject = "1816"
			return nil
		}, "revoked", ""},
		{"the subject no more", func(_, _ *Sessions, _ browser, session *Session) error { // threat 70
			session.Subject = ""
			return nil
		}, "revoked", ""},
		{"nothing", func(_, _ *Sessions, _ browser, _ *Session) error { return nil }, "ada", "r2"},
	} {
		c, d, p, b, nodes := due(t, 2)
		here, there := nodes[0], nodes[1]
		id := openedID(here, b)
		p.set(func(session *Session) error { return tc.do(here, there, b, session) })
		if got := b.open(here); got != tc.want {
			t.Errorf("%s: got %s, want %s", tc.name, got, tc.want)
		}
		record, err := node(t, c, d).loadRecord(context.Background(), id)
		switch {
		case tc.refresh == "" && !errors.Is(err, store.ErrNotExist):
			t.Errorf("%s: the record is there: %v", tc.name, err)
		case tc.refresh != "" && (err != nil || record.Tokens.Refresh != tc.refresh):
			t.Errorf("%s: got %+v, %v", tc.name, record, err)
		}
		if got := b.open(node(t, c, d)); (got == "ada") != (tc.want == "ada") {
			t.Errorf("%s: elsewhere %s", tc.name, got)
		}
	}
}

// renewed writes the record of a session with other tokens.
func renewed(s *Sessions, session *Session) error {
	seals, err := s.seals.get(context.Background(), secretName)
	if err != nil {
		return err
	}
	other := *session
	other.Tokens.Refresh, other.Due = "r9", s.now().Add(time.Hour)
	return s.storeRecord(context.Background(), seals, &other)
}

// TestRefreshUnsaved: an answer that the storage could not keep is kept later,
// without spending a token twice; unless another process was faster.
func TestRefreshUnsaved(t *testing.T) {
	for _, tc := range []struct {
		faster bool
		wait   time.Duration
		want   string
		asked  int
	}{
		{false, 10 * time.Second, "r2", 0},
		{true, 10 * time.Second, "r9", 0},
		{true, 2 * time.Hour, "r10", 1}, // and due again
	} {
		c, d, p, b, nodes := due(t, 2)
		d.fail("store")
		if got := openRefresh(t, nodes[0], b); got != "r1" || p.calls() != 1 {
			t.Errorf("%+v: first got %s", tc, got)
		}
		d.fail()
		if tc.faster {
			session, err := nodes[1].loadRecord(context.Background(), openedID(nodes[1], b))
			if err == nil {
				err = renewed(nodes[1], session)
			}
			if err != nil {
				t.Fatal(err)
			}
		}
		c.advance(tc.wait)
		if got := openRefresh(t, nodes[0], b); got != tc.want || p.calls() != tc.asked || openRefresh(t, nodes[1], b) != tc.want {
			t.Errorf("%+v: got %s", tc, got)
		}
	}
}

// TestRefreshLastMoment: an answer that comes when the time is up is kept.
func TestRefreshLastMoment(t *testing.T) {
	c, d, b := newClock(), newDisk(), newBrowser()
	s := node(t, c, listening{d}, func(config *SessionConfig) {
		config.Renewer = func(ctx context.Context, session *Session) (*Session, error) {
			<-ctx.Done()
			session.Due, session.Tokens.Refresh = c.now().Add(time.Hour), "r2"
			return session, nil
		}
	})
	s.refreshes.life = time.Millisecond
	b.login(t, s, Session{User: "ada", Tokens: Tokens{Refresh: "r1"}, Due: c.now()})
	if got := openRefresh(t, s, b); got != "r2" {
		t.Errorf("got %s", got)
	}
}

// TestRefreshNoted: that a session is in use is not noted while it is renewed, for
// which the request would have to wait.
func TestRefreshNoted(t *testing.T) {
	c, d, p, b, nodes := due(t, 1)
	s := nodes[0]
	c.advance(50 * time.Minute)
	s.refreshes.wait = time.Millisecond
	release := make(chan struct{})
	p.set(func(*Session) error {
		<-release
		return nil
	})
	d.asked("lock sessions")
	b.renew(t, s)
	s.refreshes.mu.Lock()
	attempt := s.refreshes.running[openedID(s, b)]
	s.refreshes.mu.Unlock()
	close(release)
	<-attempt.done
	if got := d.asked("lock sessions"); got != 1 {
		t.Errorf("%d locks", got)
	}
	b.renew(t, s)
	if got, err := s.Open(context.Background(), b.request()); err != nil || !got.Seen.Equal(c.now()) || got.Tokens.Refresh != "r2" {
		t.Errorf("got %+v, %v", got, err)
	}
}

// TestRefreshBounds: failures of more sessions than are remembered are forgotten,
// and no more attempts than that are made at once (threat 97).
func TestRefreshBounds(t *testing.T) {
	var r refreshes
	for i := range 3 * maxRefreshes {
		f := failure{err: ErrTokenEndpoint}
		if i%2 == 0 {
			f.unsaved = new(Session)
		}
		r.end(strconv.Itoa(i), f, time.Unix(0, 0))
		if _, ok := r.failed[strconv.Itoa(i)]; !ok || len(r.failed) > 2*maxRefreshes {
			t.Fatalf("%d failures after %d", len(r.failed), i)
		}
	}
	_, _, p, b, nodes := due(t, 1)
	nodes[0].refreshes.running = map[string]*refresh{}
	for i := range maxRefreshes {
		nodes[0].refreshes.running[strconv.Itoa(i)] = new(refresh)
	}
	if got := b.open(nodes[0]); got != "ada" || p.calls() != 0 {
		t.Errorf("got %s", got)
	}
}

// TestRefreshPauses: after a failure the next try is 10 s later, then 20 s, and so
// on to a minute (threat 71); a success forgets that.
func TestRefreshPauses(t *testing.T) {
	c, _, p, b, nodes := due(t, 1)
	p.set(func(*Session) error { return ErrTokenEndpoint })
	b.open(nodes[0])
	for _, pause := range []time.Duration{10, 20, 40, 60, 60} {
		p.calls()
		c.advance(pause*time.Second - 1)
		if got := b.open(nodes[0]); got != "ada" || p.calls() != 0 {
			t.Errorf("within %d s: %s, asked", pause, got)
		}
		c.advance(1)
		if b.open(nodes[0]); p.calls() != 1 {
			t.Errorf("after %d s: not asked", pause)
		}
	}
	p.set(nil)
	c.advance(time.Minute)
	if got := openRefresh(t, nodes[0], b); got != "r2" || len(nodes[0].refreshes.failed) != 0 {
		t.Errorf("got %s, %d failures", got, len(nodes[0].refreshes.failed))
	}
	// A clock that was set back does not stop it.
	c.advance(5 * time.Minute)
	p.set(func(*Session) error { return ErrTokenEndpoint })
	b.open(nodes[0])
	p.calls()
	nodes[0].refreshes.mu.Lock()
	for id, f := range nodes[0].refreshes.failed {
		f.until = f.until.Add(time.Hour)
		nodes[0].refreshes.failed[id] = f
	}
	nodes[0].refreshes.mu.Unlock()
	if b.open(nodes[0]); p.calls() != 1 {
		t.Error("not asked for an hour")
	}
}

// TestRefreshPartly: a provider that renews the tokens and fails afterwards, at the
// userinfo endpoint for one, must not be shown the spent refresh token again
// (threats 69 and 71). It does not prolong what a session outlives it by.
func TestRefreshPartly(t *testing.T) {
	c, d := newClock(), newDisk()
	b, down := newBrowser(), true
	var shown []string
	s := node(t, c, d, func(config *SessionConfig) {
		config.Renewer = func(_ context.Context, session *Session) (*Session, error) {
			shown = append(shown, session.Tokens.Refresh)
			n := strconv.Itoa(len(shown) + 1)
			session.Tokens = Tokens{Access: "a" + n, Refresh: "r" + n}
			if down {
				return session, ErrTokenEndpoint
			}
			session.Due = c.now().Add(time.Hour)
			return session, nil
		}
	})
	b.login(t, s, Session{User: "ada", Tokens: Tokens{Access: "a1", Refresh: "r1"}, Due: c.now()})
	for i, want := range []string{"r1", "r2", "r3"} {
		down = i < 2
		if got := b.open(s); got != "ada" || len(shown) != i+1 || shown[i] != want {
			t.Errorf("%s, shown %v", got, shown)
		}
		c.advance(time.Minute)
	}
	down = true
	c.advance(time.Hour) // due again
	for range 70 {
		if got := b.open(s); got != "ada" {
			break
		}
		c.advance(time.Minute)
	}
	if got := b.open(s); got != "expired" {
		t.Errorf("got %s after an hour of it", got)
	}
}
