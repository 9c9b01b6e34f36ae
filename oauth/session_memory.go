package oauth

import (
	"bytes"
	"net/http"
	"sync"
	"sync/atomic"
	"time"

	"github.com/caddy-admit/admit/claims"
	"github.com/caddy-admit/admit/jwt"
)

const (
	// openedShards is into how many parts the memory of opened cookies is divided, so
	// that requests rarely wait for each other.
	openedShards = 16
	// openedBytes bounds what one part holds.
	openedBytes = 1 << 20
	// openedSize is what an opened cookie takes beside its text, about.
	openedSize = 1 << 10
)

// openedCookies remembers what cookies hold that were opened: browsers send the same
// one with every request. Only what was sealed by us is in it, so nobody can fill it
// with anything else (threat 97).
type openedCookies struct {
	shards [openedShards]struct {
		mu    sync.RWMutex
		known map[cookieKey]*Session
		bytes int
	}
}

// cookieKey stands for the values of both cookies of a session.
type cookieKey struct{ first, second [16]byte }

func newCookieKey(first, second string) (k cookieKey) {
	sum := jwt.NewCacheKey(first)
	if k.first = sum.Sum(); second != "" {
		sum = jwt.NewCacheKey(second)
		k.second = sum.Sum()
	}
	return k
}

// get returns the session of two values, of which the second may be empty, opened by
// open if it is not known. It is shared and must not be changed; nil is one that does
// not open.
func (o *openedCookies) get(first, second string, open func() *Session) *Session {
	key := newCookieKey(first, second)
	shard := &o.shards[key.first[0]%openedShards]
	shard.mu.RLock()
	session := shard.known[key]
	shard.mu.RUnlock()
	if session != nil {
		return session
	}
	if session = open(); session == nil {
		return nil
	}
	shard.mu.Lock()
	defer shard.mu.Unlock()
	if shard.known == nil {
		shard.known = make(map[cookieKey]*Session)
	}
	if shard.known[key] == nil {
		shard.bytes += session.opened.size + openedSize
	}
	shard.known[key] = session
	for other, s := range shard.known { // in no order
		if shard.bytes <= openedBytes {
			break
		}
		if other != key {
			shard.bytes -= s.opened.size + openedSize
			delete(shard.known, other)
		}
	}
	return session
}

// openedAlone is opened for a request with one session, which is remembered.
func (s *Sessions) openedAlone(seals *sessionSeals, first, second string) []*Session {
	if len(first) != s.cookies.room {
		second = "" // a first chunk that is not full has none, whatever was sent beside it
	}
	session := s.memory.get(first, second, func() *Session {
		var seconds []string
		switch {
		case !s.cookies.plausible(first):
			return nil
		case s.cookies.plausible(second):
			seconds = []string{second}
		}
		session := s.cookies.openFirst(seals.cookie, first, seconds)
		if session != nil {
			session.Claims = bytes.Clone(session.Claims) // without what they were opened from
			session.opened = &sessionMemo{size: len(first) + len(second)}
		}
		return session
	})
	if session == nil {
		return nil
	}
	return []*Session{session}
}

// sessionMemo is what was worked out about a session that does not change.
type sessionMemo struct {
	size     int // of the cookie's text
	identity atomic.Pointer[sessionIdentity]
	unmarked atomic.Pointer[unmarked]
}

type sessionIdentity struct {
	of       any
	identity *claims.Identity
}

// unmarked says that no mark ends a session, until a time or until this process
// makes a mark.
type unmarked struct {
	until time.Time
	marks uint64
}

// Identity returns who the session is, which identify works out of something that
// the session does not hold itself: a list of users, a mapping. For the same
// something it is asked once.
func (s *Session) Identity(of any, identify func() *claims.Identity) *claims.Identity {
	if s.opened == nil {
		return identify()
	}
	if known := s.opened.identity.Load(); known != nil && known.of == of {
		return known.identity
	}
	identity := identify()
	s.opened.identity.Store(&sessionIdentity{of, identity})
	return identity
}

// alone returns the values of the session's cookies in a request that has no two of
// one name, as most do. Nothing but their length is checked.
func (c *sessionCookies) alone(r *http.Request) (first, second string, ok bool) {
	for name, value := range cookies(r) {
		switch {
		case name == c.name && first == "" && value != "" && len(value) <= c.room:
			first = value
		case name == c.second && second == "" && value != "" && len(value) <= c.room:
			second = value
		case name == c.name, name == c.second:
			return "", "", false
		}
	}
	return first, second, first != ""
}
