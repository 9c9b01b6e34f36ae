package admit

import (
	"context"
	"crypto/rand"
	"encoding/base64"
	"encoding/json"
	"net/http"
	"net/textproto"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/caddy-admit/admit/claims"
	"github.com/caddy-admit/admit/internal/store"
	"github.com/caddy-admit/admit/jwt"
)

const (
	// assertionType keeps an assertion from being taken for a token of another kind
	// (RFC 8725 section 3.11).
	assertionType = "admit-assertion+jwt"
	assertionLife = time.Minute
	// assertionShift is how long assertions are given out before they count as old;
	// the old ones are given out for as long again.
	assertionShift = 15 * time.Second
	// maxAssertions bounds how many are remembered, and maxAssertion how long each may
	// be in bytes with what it says: most take a few hundred. At a site that answers
	// to any host a client can have many made about itself.
	maxAssertions = 4000
	maxAssertion  = 4096
)

// Assertion has the gate say who the client is in a short-lived JWT, by which the
// application can tell that it is the gate who asks.
type Assertion struct {
	// Header is where it goes.
	Header string `json:"header,omitempty"`
	// Audience is its "aud". Default: the site's host.
	Audience string `json:"audience,omitempty"`
}

// asserter is an [Assertion] that is ready.
type asserter struct {
	header   string // canonical
	audience string
	keys     *jwt.SigningKeys
	made     assertions
}

// assertionKeys are those of all gates. They lie in the storage, where all nodes
// find them.
func assertionKeys(kept store.Store) *jwt.SigningKeys {
	return jwt.NewSigningKeys(jwt.Signing{
		Store: kept, Key: store.Key("keys", "", "assertion"), Algorithm: "ES256",
		Age: defaultKeyAge, Keep: assertionLife + 2*defaultLeeway, Now: now,
	})
}

// readAssertion reads where an assertion goes. Its header is the gate's alone.
func (h *Handler) readAssertion(e *expander, g *guard) {
	if h.Assertion == nil {
		return
	}
	a := &asserter{
		header:   textproto.CanonicalMIMEHeaderKey(e.text("assertion", h.Assertion.Header)),
		audience: e.text("assertion", h.Assertion.Audience),
		keys:     g.asserts,
	}
	switch name := foldHeader(a.header); {
	case !mayCarryToken(a.header) || a.header == "Authorization":
		e.fail("assertion %q: not the name of a header for an assertion: expected one as X-Assertion", h.Assertion.Header)
	case slices.Contains(g.headers.names, name):
		e.fail("assertion %s: header_up or forward sets that header: expected another", a.header)
	case slices.ContainsFunc(g.places, func(p place) bool { return foldHeader(p.Header) == name }):
		e.fail("assertion %s: clients send their credential in that header: expected another", a.header)
	default:
		g.headers.names = append(g.headers.names, name)
	}
	g.assertion = a
}

// about returns an assertion about an identity for the application behind a site,
// which browsers know by its origin. The error wraps [store.ErrUnavailable] if there
// is no key to sign with.
func (a *asserter) about(ctx context.Context, id *claims.Identity, origin string) (string, error) {
	audience := a.audience
	if audience == "" {
		_, host, _ := strings.Cut(origin, "://")
		audience = strings.ToLower(hostname(host))
	}
	key := assertionKey(id, origin, audience)
	at := now()
	if made, ok := a.made.get(key, at); ok {
		return made, nil
	}
	id128 := make([]byte, 16)
	rand.Read(id128) // never fails (crypto/rand)
	payload, err := json.Marshal(struct {
		Issuer      string   `json:"iss"`
		Audience    string   `json:"aud"`
		Subject     string   `json:"sub,omitempty"`
		Groups      []string `json:"groups"`
		Integration string   `json:"integration"`
		Issued      int64    `json:"iat"`
		Expires     int64    `json:"exp"`
		ID          string   `json:"jti"`
	}{
		origin, audience, id.User(), append([]string{}, id.Groups()...), id.Integration(),
		at.Unix(), at.Add(assertionLife).Unix(), base64.RawURLEncoding.EncodeToString(id128),
	})
	if err != nil {
		return "", err
	}
	// A client that goes away must not fail others who wait for the first key.
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), store.Timeout)
	defer cancel()
	made, err := a.keys.Sign(ctx, assertionType, payload)
	if err == nil && len(key)+len(made) <= maxAssertion {
		a.made.put(key, made)
	}
	return made, err
}

// assertionKey returns everything that an assertion says, in a form that nothing
// else has: each text comes after its length.
func assertionKey(id *claims.Identity, origin, audience string) string {
	var room [256]byte
	key := room[:0]
	add := func(text string) {
		key = strconv.AppendInt(key, int64(len(text)), 10)
		key = append(append(key, ':'), text...)
	}
	add(origin)
	add(audience)
	add(id.Integration())
	add(id.User())
	for _, group := range id.Groups() {
		add(group)
	}
	return string(key)
}

// assertions remembers what was signed of late, so that signing costs nothing on most
// requests. Each is given out for at most half of its life.
type assertions struct {
	mu      sync.Mutex // held by who replaces the shift
	current atomic.Pointer[assertionsShift]
}

// assertionsShift is what was signed within some seconds, and in those before.
type assertionsShift struct {
	began  time.Time
	made   sync.Map // string, by assertionKey
	count  atomic.Int64
	before *sync.Map
}

func (a *assertions) get(key string, at time.Time) (string, bool) {
	shift := a.at(at)
	made, ok := shift.made.Load(key)
	if !ok && shift.before != nil {
		made, ok = shift.before.Load(key)
	}
	text, _ := made.(string)
	return text, ok
}

func (a *assertions) put(key, made string) {
	shift := a.current.Load()
	if _, known := shift.made.Swap(key, made); !known {
		shift.count.Add(1)
	}
}

// at returns the shift of a moment, a new one if the last is over or full. Nothing
// comes over from one that is longer ago, or that a clock set back has left in the
// future.
func (a *assertions) at(at time.Time) *assertionsShift {
	shift := a.current.Load()
	if shift != nil && !shift.over(at) {
		return shift
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	if shift = a.current.Load(); shift != nil && !shift.over(at) {
		return shift
	}
	next := &assertionsShift{began: at}
	if shift != nil && !at.Before(shift.began) && at.Sub(shift.began) < 2*assertionShift {
		next.before = &shift.made
	}
	a.current.Store(next)
	return next
}

func (s *assertionsShift) over(at time.Time) bool {
	return at.Before(s.began) || at.Sub(s.began) >= assertionShift || s.count.Load() >= maxAssertions
}

// set gives the application an assertion.
func (a *asserter) set(r *http.Request, s *state, made string) {
	if a == nil || made == "" {
		return
	}
	r.Header[a.header] = []string{made}
	if !slices.Contains(s.headers, a.header) {
		s.headers = append(s.headers, a.header)
	}
}
