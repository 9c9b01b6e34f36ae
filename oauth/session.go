package oauth

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"slices"
	"time"

	"github.com/caddy-admit/admit/internal/store"
)

var (
	// ErrNoSession means that the request has no session cookie.
	ErrNoSession = errors.New("oauth: no session")
	// ErrSessionInvalid means that no session cookie of the request opens: forged,
	// cut, mixed, of another integration or under a secret that is gone. Which of
	// these it is nobody learns. The caller clears the cookies.
	ErrSessionInvalid = errors.New("oauth: session is invalid")
	// ErrSessionExpired means that the session was idle or lasted too long.
	ErrSessionExpired = errors.New("oauth: session is expired")
	// ErrSessionRevoked means that the session was ended by a logout, a later login
	// or a mark.
	ErrSessionRevoked = errors.New("oauth: session is revoked")
	// ErrSessionSize means that a session does not fit into cookies and may not be
	// kept elsewhere.
	ErrSessionSize = errors.New("oauth: session does not fit into cookies: look at session store")
)

// Session is somebody who has logged in. It holds claims, not verdicts: rules are
// applied on every request.
type Session struct {
	// ID is 144 random bits in base64url, new at each login.
	ID   string
	User string
	// Claims is a JSON object. It is shared and must not be changed.
	Claims json.RawMessage
	// Stamp tells the credential by which a local user logged in from a later one.
	Stamp string
	// Subject and SID are what the provider calls the user and its own session, by
	// which it may end this one: see [Sessions.MarkProvider].
	Subject, SID string
	// IDToken is the ID token, which a provider may want to see at the logout.
	// [Sessions.Start] takes it from Tokens if it is there.
	IDToken string
	// Tokens is what the provider gave, by which the session is renewed; its ID is
	// empty. A session with an access or refresh token is kept in storage.
	Tokens Tokens
	// Due is when the provider is asked anew, zero for never. A session that is
	// ever due is kept in storage.
	Due time.Time
	// Began is the login, Seen the last use that was noted, Ends the time that
	// nothing prolongs. [Sessions.Start] sets them.
	Began, Seen, Ends time.Time

	stored bool // kept in storage; what the cookie holds is a reference
	opened *sessionMemo
}

// Grant returns what the provider said last.
func (s *Session) Grant() *Grant {
	tokens := s.Tokens
	tokens.ID = s.IDToken
	return &Grant{Claims: s.Claims, Subject: s.Subject, SID: s.SID, Tokens: tokens, Due: s.Due}
}

// Take notes what a provider says. An ID token or a refresh token that was not
// given anew stays (RFC 6749 section 6, OpenID Connect Core 1.0 section 12.2); so
// does the sid.
func (s *Session) Take(g *Grant) {
	tokens := g.Tokens
	tokens.Refresh = cmp.Or(tokens.Refresh, s.Tokens.Refresh)
	s.Claims, s.Due, s.Tokens = g.Claims, g.Due, tokens
	s.Subject, s.SID = cmp.Or(g.Subject, s.Subject), cmp.Or(g.SID, s.SID)
	s.opened = nil // it is another one now
	s.settle()
}

// settle puts the ID token where it is kept.
func (s *Session) settle() {
	s.IDToken = cmp.Or(s.Tokens.ID, s.IDToken)
	s.Tokens.ID = ""
}

// inStorage reports whether a session must be kept in storage. Tokens by which
// somebody else could act for the user do not travel, not even sealed; what is
// renewed has to be in one place.
func (s *Session) inStorage() bool {
	return s.Tokens.Access != "" || s.Tokens.Refresh != "" || !s.Due.IsZero()
}

// leeway is how far the clocks of nodes that share sessions may lie apart.
const leeway = time.Minute

// Expires returns when a session ends if it is not renewed before.
func (s *Sessions) Expires(session *Session) time.Time {
	end := session.Ends
	if limit := session.Began.Add(s.config.Max); limit.Before(end) {
		end = limit // the limit was lowered since
	}
	if session.Seen.IsZero() || s.config.Idle == 0 {
		return end
	}
	if limit := session.Seen.Add(s.config.Idle); limit.Before(end) {
		end = limit
	}
	return end
}

// over reports whether a session has ended by itself. One from the future has
// too: else a clock that was set back would prolong it.
func (s *Sessions) over(session *Session) bool { return s.overAt(session, s.now()) }

func (s *Sessions) overAt(session *Session, now time.Time) bool {
	return !now.Before(s.Expires(session)) || session.Began.After(now.Add(leeway))
}

// Start makes a session out of what the caller knows about somebody who has just
// logged in: User, Claims, Stamp and Tokens. The session gets a new ID; those
// that the browser had until now are ended. Besides errors of the storage, which
// are [store.ErrUnavailable], it returns [ErrSessionSize] for a session that does
// not fit into cookies where only these are allowed.
func (s *Sessions) Start(ctx context.Context, w http.ResponseWriter, r *http.Request, session *Session) error {
	seals, err := s.sealers(ctx)
	if err != nil {
		return err
	}
	for _, old := range s.opened(seals, r.Header["Cookie"]) {
		if !s.over(old) {
			if err := s.end(ctx, old); err != nil {
				return err
			}
		}
	}
	at := s.now()
	now := at.Truncate(time.Millisecond)
	session.ID = newSessionID()
	session.settle()
	session.Began, session.Seen, session.Ends = now, now, now.Add(s.config.Max)
	value, err := s.keep(ctx, seals, r, session)
	if err != nil {
		return err
	}
	s.marks.put(mark{MarkSession, session.ID}, time.Time{}, at) // nobody can have marked it yet
	s.cookies.write(w, nil, value, s.config.Max)
	return nil
}

// keep puts a new session where it belongs and returns the value of its cookie.
func (s *Sessions) keep(ctx context.Context, seals *sessionSeals, r *http.Request, session *Session) (string, error) {
	session.stored = false
	if !s.InStorage() && !session.inStorage() {
		value := s.cookies.seal(seals.cookie, session)
		if s.cookies.fits(value) && (s.config.Store == "cookie" || s.cookies.fitsBeside(value, r)) {
			return value, nil
		}
	}
	if s.config.Store == "cookie" {
		if session.IDToken == "" || session.inStorage() {
			return "", ErrSessionSize
		}
		session.IDToken = ""
		return s.keep(ctx, seals, r, session)
	}
	session.stored = true
	ctx, cancel := bounded(ctx)
	defer cancel()
	if err := s.storeRecord(ctx, seals, session); err != nil {
		return "", err
	}
	return s.cookies.seal(seals.cookie, reference(session)), nil
}

// reference is what the cookie of a session in storage holds.
func reference(session *Session) *Session {
	return &Session{ID: session.ID, Began: session.Began, Ends: session.Ends, stored: true}
}

// Open returns the session of a request, which is shared and must not be changed,
// checked against the marks that are at most 10 s old, and renewed from the provider
// if it is due. It waits for that for 3 s; then, or while the provider is out of
// reach, the session counts as it is, until an hour after it was due: after that it
// is [ErrSessionExpired]. The error is [ErrNoSession], [ErrSessionInvalid],
// [ErrSessionExpired], [ErrSessionRevoked] or a [store.ErrUnavailable]. Of several
// cookies of one name the latest login that counts wins, whatever the others are.
func (s *Sessions) Open(ctx context.Context, r *http.Request) (*Session, error) {
	return s.OpenLines(ctx, r.Header["Cookie"])
}

// OpenLines is Open for the lines of cookies in a request.
func (s *Sessions) OpenLines(ctx context.Context, lines []string) (*Session, error) {
	return s.open(ctx, lines, s.current)
}

// OpenToEnd is Open for a logout: it does not ask the provider, which may be down
// or slow, and takes no notice of how long ago it was to be asked. What it returns
// is for [Sessions.End] and lets nobody in.
func (s *Sessions) OpenToEnd(ctx context.Context, r *http.Request) (*Session, error) {
	return s.open(ctx, r.Header["Cookie"], func(_ context.Context, session *Session) (*Session, error) { return session, nil })
}

func (s *Sessions) open(ctx context.Context, lines []string, current func(context.Context, *Session) (*Session, error)) (*Session, error) {
	first, second, alone := s.cookies.alone(lines)
	if !alone && !s.cookies.present(lines) {
		return nil, ErrNoSession
	}
	seals, err := s.sealers(ctx)
	if err != nil {
		return nil, err
	}
	if alone { // without a list of one
		session := s.openedAlone(seals, first, second)
		if session == nil {
			return nil, ErrSessionInvalid
		}
		if session, err = s.check(ctx, session); err != nil {
			return nil, err
		}
		return current(ctx, session)
	}
	verdict := ErrSessionInvalid
	for _, session := range s.opened(seals, lines) {
		session, err := s.check(ctx, session)
		if err == nil {
			session, err = current(ctx, session)
		}
		if err == nil || errors.Is(err, store.ErrUnavailable) {
			return session, err
		}
		if verdict == ErrSessionInvalid {
			verdict = err
		}
	}
	return nil, verdict
}

// opened returns the sessions and references in the cookies of a request, the
// latest login first. They are genuine, and nothing more is known of them.
func (s *Sessions) opened(seals *sessionSeals, lines []string) []*Session {
	if first, second, ok := s.cookies.alone(lines); ok {
		if session := s.openedAlone(seals, first, second); session != nil {
			return []*Session{session}
		}
		return nil
	}
	sessions := s.cookies.open(seals.cookie, lines)
	if len(sessions) > 1 {
		slices.SortStableFunc(sessions, func(a, b *Session) int {
			if c := b.Began.Compare(a.Began); c != 0 {
				return c
			}
			return b.Seen.Compare(a.Seen)
		})
	}
	return sessions
}

// check returns the session that a cookie stands for, if it counts.
func (s *Sessions) check(ctx context.Context, session *Session) (*Session, error) {
	now := s.now()
	if s.overAt(session, now) {
		return nil, ErrSessionExpired
	}
	if session.stored {
		record, err := s.records.get(ctx, session.ID)
		switch {
		case errors.Is(err, store.ErrNotExist):
			if err := s.revoked(ctx, session); err != nil {
				return nil, err
			}
			return nil, ErrSessionExpired // swept
		case err != nil:
			return nil, err
		}
		now = s.now() // it may have taken a while
		if session = record; s.overAt(session, now) {
			return nil, ErrSessionExpired
		}
	}
	if err := s.revokedAt(ctx, session, now); err != nil {
		return nil, err
	}
	s.noteAge(session, now)
	return session, nil
}

// End ends a session everywhere: here at once, on other nodes within 10 s. So it
// does with all others that the request's cookies open. The cookies are deleted
// also when it returns an error, a [store.ErrUnavailable]: then a copy of a
// cookie may still count.
func (s *Sessions) End(ctx context.Context, w http.ResponseWriter, r *http.Request, session *Session) error {
	s.Clear(w, r)
	seals, err := s.sealers(ctx)
	if err == nil {
		for _, other := range s.opened(seals, r.Header["Cookie"]) {
			if other.ID != session.ID && !s.over(other) {
				err = errors.Join(err, s.end(ctx, other))
			}
		}
	}
	return errors.Join(err, s.end(ctx, session))
}

// end leaves a mark and deletes the record. The mark comes first and is what
// counts: another node may be writing the record at this moment.
func (s *Sessions) end(ctx context.Context, session *Session) error {
	err := s.Mark(ctx, MarkSession, session.ID, session.Ends)
	if session.stored {
		ctx, cancel := bounded(ctx)
		defer cancel()
		_ = s.storage.Delete(ctx, s.recordKey(session.ID)) // else it is swept
		s.records.drop(session.ID)
	}
	return err
}

// Clear tells the browser to delete the session's cookies. A copy of them still
// counts: see [Sessions.End].
func (s *Sessions) Clear(w http.ResponseWriter, r *http.Request) { s.cookies.clear(w, r) }

// bounded is the context of one operation on the storage that is to be done also
// when the client has gone.
func bounded(ctx context.Context) (context.Context, context.CancelFunc) {
	return context.WithTimeout(context.WithoutCancel(ctx), store.Timeout)
}
