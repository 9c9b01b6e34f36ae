package oauth

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"math"
	"net/http"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/caddy-admit/admit/internal/seal"
	"github.com/caddy-admit/admit/internal/store"
)

// SessionConfig says whose sessions these are and how long they last.
type SessionConfig struct {
	// Integration, Issuer and ClientID bind sessions to an integration: those of
	// another one do not open.
	Integration, Issuer, ClientID string
	// Cookie is the name of the session cookie, Domain the domain of which all
	// hosts share it. A name with the prefix __Host- allows no domain.
	Cookie, Domain string
	// SameSite is lax, strict or none. Default: lax.
	SameSite string
	// Idle is how long a session lasts without use; 0 leaves that out. Max is how
	// long it lasts at most, from the login on.
	Idle, Max time.Duration
	// Store is cookie, storage, or auto: storage for what holds tokens or does not
	// fit into cookies. Default: auto.
	Store string
	// Secrets has at least 32 bytes each; the first seals, all open. Without any,
	// one is made at first use and kept in the storage.
	Secrets [][]byte
	// Renewer asks the provider about a session that is due, which is its own to
	// change, and returns it as it is now. An [ErrRefused] ends the session; with
	// any other error it lives on until an hour after it was due; a session beside
	// such an error has new tokens, which are kept. Nil: no session is ever due.
	Renewer func(ctx context.Context, session *Session) (*Session, error)
	// Spent remembers the logins that came back, and should outlive a reload. Nil: the
	// sessions have their own.
	Spent *Spent
	// Observe, if not nil, is told how each renewal ended: nil, an [ErrRefused], a
	// [store.ErrUnavailable], or what else Renewer said.
	Observe func(err error)
}

// Sessions keeps the sessions of one integration, in cookies or in a storage. It
// is safe for concurrent use.
type Sessions struct {
	config  SessionConfig
	cookies sessionCookies
	storage store.Store
	now     func() time.Time

	memory    openedCookies
	marksMade atomic.Uint64 // by this process

	ready   atomic.Pointer[sessionSeals] // once they are known, so that no request waits for another
	seals   lookups[string, *sessionSeals]
	records lookups[string, *Session]
	marks   lookups[mark, time.Time]

	spent   *Spent
	targets targets // how many return targets were stored of late

	renewing sync.Map      // IDs of records of which the use is being noted
	paused   atomic.Int64  // until when no use is noted, in Unix milliseconds
	lockWait time.Duration // for the lock of a record

	refreshes refreshes
}

// sessionSeals seals what is sealed: what the cookie of a session holds, and that
// of a login under way; a record in storage, and a return target there. None
// opens as another.
type sessionSeals struct{ cookie, record, attempt, target *seal.Sealer }

const (
	secretName = "session"
	forever    = time.Duration(math.MaxInt64)

	recordLife = 5 * time.Second  // how old a record from memory may be
	markLife   = 10 * time.Second // how old the answer that there is no mark may be

	maxRecords  = 1000     // in memory, some kilobytes each
	recordBytes = 32 << 20 // of all texts in them: what a provider says may be long
	maxMarks    = 20_000   // in memory, some hundred bytes each
)

// Check reports a mistake in the configuration, except in secrets.
func (c SessionConfig) Check() error {
	if _, err := newSessionCookies(c); err != nil {
		return err
	}
	if c.Max <= 0 || c.Idle < 0 {
		return fmt.Errorf("oauth: session: idle %v, max %v: must be positive", c.Idle, c.Max)
	}
	if !slices.Contains([]string{"", "auto", "cookie", "storage"}, c.Store) {
		return fmt.Errorf("oauth: session: store %q: expected auto, cookie or storage", c.Store)
	}
	return nil
}

// NewSessions returns the sessions of a configuration. It does not use the
// storage, which is asked when the first session is opened or started.
func NewSessions(config SessionConfig, storage store.Store, now func() time.Time) (*Sessions, error) {
	if err := config.Check(); err != nil {
		return nil, err
	}
	cookies, err := newSessionCookies(config)
	if err != nil {
		return nil, err
	}
	s := &Sessions{config: config, cookies: cookies, storage: storage, now: now, lockWait: renewWait}
	if s.spent = config.Spent; s.spent == nil {
		s.spent = new(Spent)
	}
	s.refreshes.life, s.refreshes.wait, s.refreshes.patience = refreshLife, refreshWait, refreshPatience
	s.seals = lookups[string, *sessionSeals]{ask: s.loadSeals, life: forever, limit: 1, now: now}
	s.records = lookups[string, *Session]{ask: s.loadRecord, life: recordLife, limit: maxRecords, size: (*Session).size, room: recordBytes, now: now}
	s.marks = lookups[mark, time.Time]{ask: s.loadMark, life: markLife, limit: maxMarks, now: now}
	if len(config.Secrets) > 0 {
		seals, err := s.newSeals(config.Secrets)
		if err != nil {
			return nil, fmt.Errorf("oauth: session: %w", err)
		}
		s.seals.put(secretName, seals, now())
	}
	return s, nil
}

// Covers reports whether a browser keeps the session's cookie for a host: without
// a domain for any, else for the domain and what is below it (RFC 6265 section
// 5.1.3).
func (s *Sessions) Covers(host string) bool {
	domain, host := strings.ToLower(strings.TrimPrefix(s.config.Domain, ".")), strings.ToLower(host)
	return domain == "" || host == domain || strings.HasSuffix(host, "."+domain)
}

// sealers returns what seals and opens, which is asked for until it is known.
func (s *Sessions) sealers(ctx context.Context) (*sessionSeals, error) {
	if seals := s.ready.Load(); seals != nil {
		return seals, nil
	}
	seals, err := s.seals.get(ctx, secretName)
	if err == nil {
		s.ready.Store(seals)
	}
	return seals, err
}

// newSeals derives the keys. What a seal depends on is bound to it (threat 44).
func (s *Sessions) newSeals(secrets [][]byte) (*sessionSeals, error) {
	c := &s.config
	bound := []string{c.Integration, c.Issuer, c.ClientID, c.Cookie, c.Domain}
	seals := new(sessionSeals)
	for purpose, sealer := range map[string]**seal.Sealer{
		"session": &seals.cookie, "session record": &seals.record,
		"attempt": &seals.attempt, "return target": &seals.target,
	} {
		var err error
		if *sealer, err = seal.New(secrets, purpose, bound...); err != nil {
			return nil, err
		}
	}
	return seals, nil
}

// loadSeals gets the secret that is kept in the storage. None is ever in memory
// only: other nodes could not open what it seals, nor this one after a restart.
func (s *Sessions) loadSeals(ctx context.Context, name string) (*sessionSeals, error) {
	secret, err := store.Once(ctx, s.storage, store.Key("secrets", s.config.Integration, name), func() ([]byte, error) {
		secret := make([]byte, seal.MinSecret)
		rand.Read(secret) // never fails (crypto/rand)
		return secret, nil
	})
	if err != nil {
		return nil, err
	}
	seals, err := s.newSeals([][]byte{secret})
	if err != nil {
		return nil, fmt.Errorf("%w: the session secret there is damaged: %w", store.ErrUnavailable, err)
	}
	return seals, nil
}

// newSessionCookies checks names and attributes.
func newSessionCookies(config SessionConfig) (sessionCookies, error) {
	sameSite, ok := map[string]http.SameSite{
		"": http.SameSiteLaxMode, "lax": http.SameSiteLaxMode, "strict": http.SameSiteStrictMode, "none": http.SameSiteNoneMode,
	}[config.SameSite]
	if !ok {
		return sessionCookies{}, fmt.Errorf("oauth: session: same_site %q: expected lax, strict or none", config.SameSite)
	}
	c := sessionCookies{name: config.Cookie, second: config.Cookie + ".1", domain: config.Domain, sameSite: sameSite}
	if err := c.cookie(c.name, "").Valid(); err != nil || len(c.name) > maxCookieName {
		return c, fmt.Errorf("oauth: session: cookie %q, domain %q: not valid for a cookie", c.name, c.domain)
	}
	if hostOnly := len(c.name) >= 7 && strings.EqualFold(c.name[:7], "__Host-"); hostOnly && c.domain != "" {
		return c, errors.New("oauth: session: a cookie named __Host- has no domain")
	}
	// A multiple of 4, so that each chunk is base64 by itself.
	c.room = (chunkSize - len("; =") - len(c.second)) &^ 3
	return c, nil
}
