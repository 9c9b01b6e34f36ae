package oauth

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	"github.com/caddy-admit/admit/internal/store"
)

const (
	// outageLife is how long a session counts after it was due, while the provider
	// cannot be asked.
	outageLife = time.Hour

	refreshLife     = 30 * time.Second // of one attempt, all of it
	refreshWait     = 3 * time.Second  // of a request that can go on with the claims at hand
	refreshPatience = 10 * time.Second // of one that cannot
	refreshPause    = 10 * time.Second // after a failure, doubling ...
	refreshMaxPause = time.Minute      // ... to this

	maxRefreshes = 1000 // under way, and failures that are remembered
)

// errBusy means that the provider was not asked, since somebody else may be asking.
var errBusy = fmt.Errorf("%w: the session is being renewed", store.ErrUnavailable)

// refreshes are the attempts of this process to renew sessions: one at a time for
// each session, whoever waits for it (threat 69).
type refreshes struct {
	life, wait, patience time.Duration

	mu      sync.Mutex
	running map[string]*refresh
	failed  map[string]failure
}

// refresh is an attempt to renew a session.
type refresh struct {
	done chan struct{} // closed when the outcome is there
	late atomic.Bool   // it takes longer than a request waits

	session *Session // is shared
	err     error
}

// failure is an attempt that may be made again.
type failure struct {
	err   error
	pause time.Duration
	until time.Time // then it may
	// unsaved is what the provider gave for the tokens in spent, when the storage
	// could not keep it: asking again with a spent refresh token would end the
	// session.
	unsaved *Session
	spent   Tokens
}

// due reports whether the provider is to be asked about a session.
func (s *Sessions) due(session *Session) bool {
	return s.config.Renewer != nil && session.stored && !session.Due.IsZero() && !s.now().Before(session.Due)
}

// current returns a session as the provider says it is. While the provider cannot
// be asked it is the one at hand, until an hour after it was due; from then on the
// error is [ErrSessionExpired], or a [store.ErrUnavailable] where the storage was
// what failed (threats 52 and 71). A session that the provider has ended is
// [ErrSessionRevoked].
func (s *Sessions) current(ctx context.Context, session *Session) (*Session, error) {
	if !s.due(session) {
		return session, nil
	}
	counts := s.now().Before(session.Due.Add(outageLife))
	renewed, err := s.refresh(ctx, session.ID, counts)
	switch {
	case err == nil:
		session = renewed
	case final(err):
		if marked := s.revoked(ctx, session); marked != nil {
			return nil, marked
		}
		return nil, err
	case !counts && errors.Is(err, store.ErrUnavailable):
		return nil, err
	case !counts:
		return nil, ErrSessionExpired
	}
	if err := s.revoked(ctx, session); err != nil {
		return nil, err // while it was renewed
	}
	s.noteAge(session, s.now())
	return session, nil
}

// final reports whether an error says that a session is over.
func final(err error) bool {
	return errors.Is(err, ErrSessionExpired) || errors.Is(err, ErrSessionRevoked) || errors.Is(err, ErrSessionInvalid)
}

// refresh waits for the attempt to renew a session. The attempt goes on without
// the request: what the provider gives is not to be lost.
func (s *Sessions) refresh(ctx context.Context, id string, counts bool) (*Session, error) {
	attempt, err := s.attempt(ctx, id)
	if err != nil {
		return nil, err
	}
	wait := s.refreshes.patience
	if counts {
		wait = s.refreshes.wait
	}
	if counts && attempt.late.Load() {
		wait = 0
	}
	ctx, cancel := context.WithTimeout(ctx, wait)
	defer cancel()
	select {
	case <-attempt.done:
		return attempt.session, attempt.err
	case <-ctx.Done():
	}
	if errors.Is(ctx.Err(), context.DeadlineExceeded) {
		attempt.late.Store(true) // the others need not wait as well
	}
	return nil, fmt.Errorf("%w: %w", ErrTokenEndpoint, ctx.Err())
}

// attempt returns the attempt to renew a session that is under way, or begins one.
// Where it is too early for another, the error is that of the last one.
func (s *Sessions) attempt(ctx context.Context, id string) (*refresh, error) {
	now, r := s.now(), &s.refreshes
	r.mu.Lock()
	defer r.mu.Unlock()
	if attempt := r.running[id]; attempt != nil {
		return attempt, nil
	}
	attempt := &refresh{done: make(chan struct{})}
	if record, ok := s.records.peek(id); ok && !s.due(record) {
		attempt.session = record // one that has just ended
		close(attempt.done)
		return attempt, nil
	}
	last := r.failed[id]
	if wait := last.until.Sub(now); wait > 0 && wait <= last.pause {
		return nil, last.err
	}
	if len(r.running) >= maxRefreshes {
		return nil, errBusy
	}
	if r.running == nil {
		r.running = make(map[string]*refresh)
	}
	r.running[id] = attempt
	go s.run(context.WithoutCancel(ctx), id, attempt, last)
	return attempt, nil
}

func (s *Sessions) run(ctx context.Context, id string, attempt *refresh, last failure) {
	ctx, cancel := context.WithTimeout(ctx, s.refreshes.life)
	defer cancel()
	attempt.session, attempt.err = s.renewFromProvider(ctx, id, &last)
	last.err = attempt.err
	s.refreshes.end(id, last, s.now())
	close(attempt.done)
}

// under reports whether a session is being renewed.
func (r *refreshes) under(id string) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.running[id] != nil
}

// end notes how an attempt has ended, and when there may be another (threat 71).
func (r *refreshes) end(id string, f failure, now time.Time) {
	r.mu.Lock()
	defer r.mu.Unlock()
	delete(r.running, id)
	if f.err == nil || final(f.err) {
		delete(r.failed, id)
		return
	}
	f.pause = max(refreshPause, min(2*f.pause, refreshMaxPause))
	f.until = now.Add(f.pause)
	if r.failed == nil {
		r.failed = make(map[string]failure)
	}
	r.failed[id] = f
	for other, old := range r.failed { // threat 97
		if len(r.failed) <= maxRefreshes {
			return
		}
		if other != id && (old.unsaved == nil || len(r.failed) > 2*maxRefreshes) {
			delete(r.failed, other)
		}
	}
}
