package machine

import (
	"context"
	"errors"
	"net/netip"
	"sync"
	"time"

	"github.com/caddy-admit/admit/oauth/local"
)

const (
	// provenFor is how long a credential that was right somewhere is no guess there.
	provenFor = 24 * time.Hour
	// guessedFor is how long the same wrong credential counts as one guess: a program
	// with an old secret would lock out everybody at its address.
	guessedFor = time.Hour
	// maxMarks bounds how many credentials either is known of.
	maxMarks = 16384
)

// guard keeps apart who guesses and who has been right (threat 88).
type guard struct {
	limiter *local.Limiter
	now     func() time.Time

	mu      sync.Mutex
	proven  *cache[struct{}] // credentials, and ids, that were right at an address
	guessed *cache[struct{}] // credentials that were wrong
}

func newGuard(limiter *local.Limiter, now func() time.Time) *guard {
	return &guard{
		limiter: limiter, now: now,
		proven:  newCache[struct{}](maxMarks, maxMarks),
		guessed: newCache[struct{}](maxMarks, maxMarks),
	}
}

func (g *guard) isProven(place digest) bool {
	g.mu.Lock()
	defer g.mu.Unlock()
	_, ok := g.proven.get(place, g.now())
	return ok
}

func (g *guard) prove(places ...digest) {
	g.mu.Lock()
	defer g.mu.Unlock()
	for _, place := range places {
		g.proven.put(place, struct{}{}, 1, g.now().Add(provenFor))
	}
}

// disprove is for a credential that was right and is no longer: it has ended or was
// changed, which is no guess.
func (g *guard) disprove(key, place digest) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.proven.drop(place)
	g.guessed.put(key, struct{}{}, 1, g.now().Add(guessedFor))
}

// firstGuess reports whether a wrong credential is to be counted, and notes that
// it is.
func (g *guard) firstGuess(key digest) bool {
	g.mu.Lock()
	defer g.mu.Unlock()
	if _, known := g.guessed.get(key, g.now()); known {
		return false
	}
	g.guessed.put(key, struct{}{}, 1, g.now().Add(guessedFor))
	return true
}

// begin lets a credential through to the endpoint.
func (g *guard) begin(ctx context.Context, id string, address netip.Addr) (*local.Attempt, error) {
	if id == "" {
		return g.limiter.BeginAddress(ctx, address)
	}
	return g.limiter.Begin(ctx, id, address)
}

// locked returns a [local.LockedError] for a credential that is not known and would
// not be let through. While an id is locked what is tried with it still counts for
// the address, else an answer in memory could be guessed without end.
func (g *guard) locked(ctx context.Context, key digest, id string, address netip.Addr) error {
	if id == "" {
		return nil // the address was looked at
	}
	err := g.limiter.Locked(id, address)
	if err != nil && g.firstGuess(key) {
		if attempt, err := g.limiter.BeginAddress(ctx, address); err == nil {
			attempt.Fail()
		}
	}
	return err
}

// checker is an asker about credentials that could be guessed.
type checker[V any] struct {
	*asker[V]
	*guard
}

func newChecker[V any](limiter *local.Limiter, now func() time.Time, observe func(error)) checker[V] {
	if limiter == nil {
		limiter = local.NewLimiter(now)
	}
	a := newAsker[V](now, observe)
	a.strangers = make(chan struct{}, maxCalls-keptCalls)
	return checker[V]{a, newGuard(limiter, now)}
}

// credential is what somebody has sent.
type credential struct {
	key     digest
	id      string // by which guesses are counted beside the address, "" for none
	address netip.Addr
	idle    bool // nobody has to be asked

	network string // of the address
	place   digest // the credential at the address
}

func (c *checker[V]) credential(key digest, id string, address netip.Addr) credential {
	network := local.Network(address)
	return credential{
		key: key, id: id, address: address, network: network,
		place: c.digest("credential", string(key[:]), network),
	}
}

// home is the id at the address.
func (c *checker[V]) home(k credential) digest { return c.digest("id", k.id, k.network) }

// counted returns the name by which guesses are counted. Where the id was right
// before, what others guess elsewhere does not stop it; what is guessed there is
// counted no less. No id holds a control character.
func (c *checker[V]) counted(k credential) string {
	if k.id == "" || !c.isProven(c.home(k)) {
		return k.id
	}
	return k.network + "\x00" + k.id
}

// check returns what is known about a credential, or asks.
//
// Nobody is slowed at an address where this very credential was right before,
// whatever others try with the id or from there. All else passes an address that
// is not locked, and to be asked about also needs an id that is not.
func (c *checker[V]) check(ctx context.Context, k credential, ask func(context.Context) answer[V]) (value V, err error) {
	for range 3 {
		proven := c.isProven(k.place)
		if !proven {
			if err := c.limiter.LockedAddress(k.address); err != nil {
				return value, err
			}
		}
		got, known := c.peek(k.key)
		joined := false
		if !known {
			id := c.counted(k)
			if !proven {
				if err := c.locked(ctx, k.key, id, k.address); err != nil {
					return value, err
				}
			}
			got, joined = c.get(ctx, question[V]{key: k.key, ask: ask, proven: proven, idle: k.idle, enter: c.enter(k, id, proven)})
		}
		if locked := (*local.LockedError)(nil); joined && errors.As(got.err, &locked) {
			continue // that was about another address
		}
		if got.err == nil && !proven {
			c.prove(k.place, c.home(k))
		}
		return got.value, got.err
	}
	return value, ErrBusy
}

// enter lets an attempt through and counts how it ends.
func (c *checker[V]) enter(k credential, id string, proven bool) func(context.Context) (func(answer[V]), error) {
	if proven {
		return func(context.Context) (func(answer[V]), error) {
			return func(got answer[V]) {
				switch {
				case got.guess:
					c.disprove(k.key, k.place)
				case got.err == nil:
					c.prove(k.place, c.home(k))
				}
			}, nil
		}
	}
	return func(ctx context.Context) (func(answer[V]), error) {
		attempt, err := c.begin(ctx, id, k.address)
		if err != nil {
			return nil, err
		}
		return func(got answer[V]) {
			if got.guess && c.firstGuess(k.key) {
				attempt.Fail()
				return
			}
			attempt.Cancel()
		}, nil
	}
}
