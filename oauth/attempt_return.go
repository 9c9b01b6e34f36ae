package oauth

import (
	"context"
	"strings"
	"sync"
	"time"

	"github.com/caddy-admit/admit/internal/store"
)

const (
	// maxInline is the length in bytes of the longest return target in a cookie.
	maxInline = 256
	// maxTargets is how many longer ones a process stores in ten minutes: anybody
	// can begin a login, and each costs a file (threat 97).
	maxTargets = 1000
	// maxSpent bounds the states that are remembered, some hundred bytes each.
	maxSpent = 10_000
)

// safeTarget returns a return target, or "/" for one that is too long or leads
// elsewhere than to this host and to those that share the session (threats 56 and
// 63). Which of them there are the caller knows. A logout without a target has
// none: at "/" somebody could be logged in again at once.
func (s *Sessions) safeTarget(kind AttemptKind, target string) string {
	if kind == Logout && target == "" {
		return ""
	}
	if _, err := ReturnPath(target); err == nil {
		return target
	}
	u, err := ReturnURL(target)
	if err != nil || s.config.Domain == "" || !s.Covers(u.Hostname()) {
		return "/"
	}
	if local := u.Hostname() == "localhost" || strings.HasSuffix(u.Hostname(), ".localhost"); u.Scheme != "https" && !local {
		return "/"
	}
	return target
}

// storeTarget puts the return target of an attempt into the storage. Where that
// fails, the login goes on and ends at "/".
func (s *Sessions) storeTarget(ctx context.Context, seals *sessionSeals, a *Attempt, now time.Time) {
	if a.stored = s.targets.take(now); !a.stored {
		a.ReturnTo = "/"
		return
	}
	ctx, cancel := bounded(ctx)
	defer cancel()
	plain := appendText(appendText(nil, a.State()), a.ReturnTo) // it opens for no other attempt
	value := withExpiry(a.began.Add(attemptLife), seals.target.Seal(nil, plain))
	if err := s.storage.Store(ctx, s.targetKey(a), value); err != nil {
		a.stored, a.ReturnTo = false, "/"
	}
}

func (s *Sessions) targetKey(a *Attempt) string {
	return store.Key(targetFolder, s.config.Integration, a.State())
}

// loadTarget takes the return target of an attempt out of the storage. ReturnTo
// stays empty if there is none.
func (s *Sessions) loadTarget(ctx context.Context, seals *sessionSeals, a *Attempt) {
	ctx, cancel := bounded(ctx)
	defer cancel()
	value, err := s.storage.Load(ctx, s.targetKey(a))
	if err != nil {
		return
	}
	_ = s.storage.Delete(ctx, s.targetKey(a)) // else it is swept
	_, sealed, _ := cutExpiry(value)
	plain, err := seals.target.Open(nil, sealed)
	if err != nil {
		return
	}
	p := parser{rest: plain, ok: true}
	if state, target := string(p.text()), p.text(); p.ok && state == a.State() {
		a.ReturnTo = string(target)
	}
}

// targets counts the return targets that were stored in the last ten minutes or
// less.
type targets struct {
	mu    sync.Mutex
	since time.Time
	n     int
}

// take reports whether one more may be stored.
func (t *targets) take(now time.Time) bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	if age := now.Sub(t.since); age >= attemptLife || age < 0 {
		t.since, t.n = now, 0
	}
	t.n++
	return t.n <= maxTargets
}

// Spent remembers the attempts that have come back, for as long as a copy of the
// cookie could: a code that is shown to a provider twice costs the tokens that it
// has given out for it (RFC 6749 section 4.1.2, threats 55 and 67). Past the bound
// some are forgotten before their time: anybody can begin logins. The zero value is
// ready for use, by several goroutines too.
type Spent struct {
	mu    sync.Mutex
	until map[string]time.Time
}

// take reports whether an attempt comes back for the first time.
func (s *Spent) take(name string, now time.Time) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if now.Before(s.until[name]) {
		return false
	}
	if s.until == nil {
		s.until = make(map[string]time.Time)
	}
	if len(s.until) >= maxSpent {
		s.forget(now)
	}
	s.until[name] = now.Add(attemptLife + leeway)
	return true
}

// forget makes room: what is over goes, and some others if that was too little.
func (s *Spent) forget(now time.Time) {
	for name, until := range s.until {
		if !now.Before(until) {
			delete(s.until, name)
		}
	}
	for name := range s.until {
		if len(s.until) <= maxSpent-maxSpent/10 {
			return
		}
		delete(s.until, name)
	}
}
