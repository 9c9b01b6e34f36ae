package oauth

import (
	"cmp"
	"context"
	"crypto/subtle"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/caddy-admit/admit/internal/seal"
)

const (
	// stateSize is what the cookie of an attempt adds to a request at most, name
	// and separators included. It has room for a target of maxInline bytes also
	// beside the longest name.
	stateSize = 600
	// maxAttempts is how many a browser has under way (threat 62).
	maxAttempts = 5
	// maxDropped bounds how many cookies an answer deletes to make room, maxLooked at
	// how many it looks for that: each costs a walk through all of them.
	maxDropped = 10
	maxLooked  = 20
)

// Begin starts a login or a logout at the provider. The browser keeps it in a
// cookie of its own for ten minutes, so that several tabs do not disturb each
// other; of more than five the oldest is dropped. A return target that is not safe
// or is longer than 2 KiB becomes "/"; a logout may have none. Where the provider's
// answer is a form that another site posts, crossSite lets the browser send the
// cookie with it. A login is for the host where it begins, a logout for all that
// share the session. The error is a store.ErrUnavailable.
func (s *Sessions) Begin(ctx context.Context, w http.ResponseWriter, r *http.Request, kind AttemptKind, returnTo string, crossSite bool) (*Attempt, error) {
	seals, err := s.sealers(ctx)
	if err != nil {
		return nil, err
	}
	now := s.now()
	a := newAttempt(s.config.Integration, kind, now)
	a.ReturnTo = s.safeTarget(kind, returnTo)
	if len(a.ReturnTo) > maxInline {
		s.storeTarget(ctx, seals, a, now)
	}
	s.dropAttempts(w, r, seals.attempt, now)
	cookie := s.cookies.state(stateID(a.State()), kind)
	if crossSite {
		cookie.SameSite = http.SameSiteNoneMode
	}
	cookie.Value = strict64.EncodeToString(seals.attempt.Seal(nil, appendAttempt(nil, a)))
	setCookie(w, cookie, attemptLife)
	return a, nil
}

// Finish returns the attempt of a kind that the browser began and to which a state
// belongs. It can do so once: the cookie is deleted, and a copy of it does not
// count in this process. The error is [ErrStateInvalid], or a
// store.ErrUnavailable, after which the browser may try again. A return target
// that is lost becomes "/", or none after a logout.
func (s *Sessions) Finish(ctx context.Context, w http.ResponseWriter, r *http.Request, kind AttemptKind, state string) (*Attempt, error) {
	if name, ok := StateIntegration(state); !ok || name != s.config.Integration {
		return nil, ErrStateInvalid
	}
	seals, err := s.sealers(ctx)
	if err != nil {
		return nil, err
	}
	cookie, now := s.cookies.state(stateID(state), kind), s.now()
	a := s.findAttempt(seals.attempt, r, cookie.Name, func(a *Attempt) bool {
		return a.kind == kind && !a.over(now) && subtle.ConstantTimeCompare([]byte(a.State()), []byte(state)) == 1
	})
	if a == nil || !s.spent.take(cookie.Name, now) {
		return nil, ErrStateInvalid
	}
	setCookie(w, cookie, 0)
	if a.stored {
		s.loadTarget(ctx, seals, a)
	}
	a.ReturnTo = s.safeTarget(kind, a.ReturnTo) // what is safe may have changed since (threat 56)
	return a, nil
}

// state has the attributes of the cookie of an attempt, whose value is empty: Lax,
// whatever the session's is, since the answer comes from another site.
func (c *sessionCookies) state(id string, kind AttemptKind) *http.Cookie {
	cookie := c.cookie(c.name+stateInfix+id, "")
	cookie.SameSite = http.SameSiteLaxMode
	if kind == Login {
		cookie.Domain = ""
	}
	return cookie
}

// findAttempt returns the first attempt in the cookies of a name that fits. Of
// several different ones four are tried; what could not be one does not count
// against that (threat 48).
func (s *Sessions) findAttempt(sealer *seal.Sealer, r *http.Request, name string, fits func(*Attempt) bool) *Attempt {
	var tried []string
	for other, value := range cookies(r.Header["Cookie"]) {
		if other != name || len(tried) == maxSameCookies || slices.Contains(tried, value) {
			continue
		}
		if value == "" || len(name)+len(value) > stateSize || !is64(value) {
			continue
		}
		if a := s.openAttempt(sealer, value); a != nil && fits(a) {
			return a
		}
		tried = append(tried, value)
	}
	return nil
}

func (s *Sessions) openAttempt(sealer *seal.Sealer, value string) *Attempt {
	sealed, err := strict64.DecodeString(value)
	if err != nil {
		return nil
	}
	plain, err := sealer.Open(nil, sealed)
	if err != nil {
		return nil
	}
	a, _ := parseAttempt(s.config.Integration, plain)
	return a
}

// dropAttempts deletes cookies of attempts until there is room for one more. Those
// that do not open go first, then the oldest. Where ages are not known or equal,
// the first in the request goes: browsers send what is older first (RFC 6265
// section 5.4).
func (s *Sessions) dropAttempts(w http.ResponseWriter, r *http.Request, sealer *seal.Sealer, now time.Time) {
	type state struct {
		name  string
		began int64 // in Unix milliseconds, 0: not known
	}
	var states []state
	for name := range cookies(r.Header["Cookie"]) {
		known := func(s state) bool { return s.name == name }
		if !s.cookies.isState(name) || slices.ContainsFunc(states, known) {
			continue
		}
		found := state{name: name}
		genuine := func(a *Attempt) bool {
			return !a.over(now) && strings.HasSuffix(name, stateInfix+stateID(a.State()))
		}
		if a := s.findAttempt(sealer, r, name, genuine); a != nil {
			found.began = a.began.UnixMilli()
		}
		if states = append(states, found); len(states) == maxLooked {
			break
		}
	}
	slices.SortStableFunc(states, func(a, b state) int { return cmp.Compare(a.began, b.began) })
	for i := range min(len(states)-maxAttempts+1, maxDropped) {
		s.dropState(w, states[i].name)
	}
}

// dropState deletes the cookie of an attempt. Whether it is for the host or for
// the domain cannot be seen in a request.
func (s *Sessions) dropState(w http.ResponseWriter, name string) {
	for _, kind := range []AttemptKind{Login, Logout} {
		cookie := s.cookies.state("", kind)
		cookie.Name = name
		setCookie(w, cookie, 0)
	}
}

// isState reports whether a cookie of that name is that of an attempt: of ours, or
// of other integrations with a standard name, since it is all cookies of a host
// together that have to fit into a request.
func (c *sessionCookies) isState(name string) bool {
	_, id, ok := strings.Cut(name, stateInfix)
	return ok && len(name) <= maxCookieName+len(stateInfix)+strict64.EncodedLen(stateIDBytes) && is64(id) &&
		(strings.HasPrefix(name, c.name+stateInfix) || isStandard(name) && is64(strings.ReplaceAll(name, ".", "")))
}
