package local

import (
	"context"
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"sync"
	"time"

	"golang.org/x/text/cases"
	"golang.org/x/text/unicode/norm"
)

const (
	freePerUser    = 5
	freePerAddress = 20
	// maxKnownUsers and maxKnownAddresses bound who is known to log in from where.
	// Only a success adds to it, and only for that user: nobody can throw out what
	// is known of others with an account of one's own.
	maxKnownUsers     = 65536
	maxKnownAddresses = 16
)

// LockedError means that a login is not looked at because too many have failed.
type LockedError struct {
	// RetryAfter is how long the lock lasts, at least.
	RetryAfter time.Duration
	// By is what was counted: "user" or "address".
	By string
	// New is true once for each attack: the time to write one line about it. Only
	// [Limiter.Locked] and what asks it first, [Checker.Check], set it.
	New bool
}

func (e *LockedError) Error() string {
	return fmt.Sprintf("local: too many failed logins, locked by %s for %v", e.By, e.RetryAfter)
}

// Limiter slows guessing of passwords. Failures are counted twice: per user, with
// or without such a user, five of them free; and per client address (IPv6: per
// /64), twenty of them free. Each one beyond locks for 1 s, doubling to 5 min.
// Attempts while locked neither count nor prolong. An hour without a failure
// forgives; nothing else does, no success above all: one who has an account, or
// shares the user's address, would guess on for free.
//
// The counter of a user does not stop whoever tries from an address from which
// that user logged in before, so that outsiders cannot lock anybody out. What
// fails there counts for the address alone.
//
// Names are counted as one that differ in case, in width or composition (NFKC)
// or in white space at the ends. Ids themselves are compared byte by byte, so no
// other spelling of a name can ever log in with its password.
//
// What is counted lies in memory: it survives a reload if the Limiter does, and
// each process counts for itself.
type Limiter struct {
	now func() time.Time
	key []byte

	mu        sync.Mutex
	users     *guessCounters
	addresses *guessCounters
	known     *recent[guessKey, []guessKey] // addresses by user
	ended     chan struct{}                 // closed when an attempt ends, nil if nobody waits
}

// NewLimiter makes a limiter with a clock. It is safe for concurrent use.
func NewLimiter(now func() time.Time) *Limiter {
	key := make([]byte, sha256.Size)
	rand.Read(key) // never fails (crypto/rand)
	return &Limiter{
		now: now, key: key,
		users:     newGuessCounters(freePerUser),
		addresses: newGuessCounters(freePerAddress),
		known:     newRecent[guessKey, []guessKey](maxKnownUsers),
	}
}

// Attempt is a login that was let through. It ends once, by one of its methods.
type Attempt struct {
	limiter *Limiter
	guess
	exempt bool // the user's counter does not count
}

// guess is what a login is counted by.
type guess struct {
	name    guessKey // as counted
	id      guessKey // exactly
	address guessKey
	nobody  bool // counted by address alone
}

func (l *Limiter) guess(id string, address netip.Addr) guess {
	return guess{
		name:    l.hash("name", canonical(id)),
		id:      l.hash("id", id),
		address: l.hash("address", Network(address)),
	}
}

func (l *Limiter) hash(kind, text string) (k guessKey) {
	mac := hmac.New(sha256.New, l.key)
	fmt.Fprintf(mac, "%s %s", kind, text)
	copy(k[:], mac.Sum(nil))
	return k
}

// canonical returns the name under which failures for an id are counted. Of what
// is too long to be an id the first bytes are enough.
func canonical(id string) string {
	return norm.NFKC.String(cases.Fold().String(strings.TrimSpace(norm.NFKC.String(id[:min(len(id), maxID)]))))
}

// Network returns what counts as one client: an IPv4 address, or the first 64 bits
// of an IPv6 address, of which one customer has them all. Clients without an
// address count as one.
func Network(a netip.Addr) string {
	a = a.Unmap().WithZone("")
	if a.Is6() {
		p, _ := a.Prefix(64)
		return p.String()
	}
	return a.String()
}

// Locked returns a [LockedError] if a login would not be let through now, else
// nil. It counts nothing.
func (l *Limiter) Locked(id string, address netip.Addr) error {
	return l.locked(l.guess(id, address))
}

func (l *Limiter) locked(g guess) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	_, locked := l.check(g)
	if locked == nil {
		return nil
	}
	locked.New = l.tell(g)
	return locked
}

// Begin lets a login through, to be ended by its outcome, or returns a
// [LockedError]. While so many logins of this user or address are on their way
// that the next could be locked it waits for their ends, at most as long as the
// context lasts, and returns [ErrBusy] then.
func (l *Limiter) Begin(ctx context.Context, id string, address netip.Addr) (*Attempt, error) {
	return l.wait(ctx, &Attempt{limiter: l, guess: l.guess(id, address)})
}

func (l *Limiter) wait(ctx context.Context, a *Attempt) (*Attempt, error) {
	for {
		ended, err := l.begin(a)
		if ended == nil {
			if err != nil {
				return nil, err
			}
			return a, nil
		}
		select {
		case <-ended:
		case <-ctx.Done():
			return nil, ErrBusy
		}
	}
}

// begin is Begin without waiting: it returns a channel if there is a need to.
func (l *Limiter) begin(a *Attempt) (ended <-chan struct{}, err error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	full, locked := l.check(a.guess)
	if locked != nil {
		return nil, locked
	}
	if full {
		if l.ended == nil {
			l.ended = make(chan struct{})
		}
		return l.ended, nil
	}
	now := l.now()
	a.exempt = l.knows(a.guess)
	l.addresses.begin(a.address, now)
	if !a.exempt {
		l.users.begin(a.name, now)
	}
	return nil, nil
}

// check returns an error if one of the counters locks, else whether one is full.
func (l *Limiter) check(g guess) (full bool, locked *LockedError) {
	now := l.now()
	wait, full := l.addresses.wait(g.address, now)
	by := "address"
	if !l.knows(g) {
		w, f := l.users.wait(g.name, now)
		full = full || f
		if w > wait {
			wait, by = w, "user"
		}
	}
	if wait > 0 {
		return false, &LockedError{RetryAfter: wait, By: by}
	}
	return full, nil
}

// tell reports whether one of the counters locks that did not when it was last
// told.
func (l *Limiter) tell(g guess) bool {
	now := l.now()
	fresh := l.addresses.tell(g.address, now)
	return !l.knows(g) && l.users.tell(g.name, now) || fresh
}

// knows reports whether the counter of the user does not count.
func (l *Limiter) knows(g guess) bool {
	if g.nobody {
		return true
	}
	addresses, _ := l.known.get(g.id)
	return slices.Contains(addresses, g.address)
}

// Succeed ends a login with the right password. The user is known at this address
// from now on.
func (a *Attempt) Succeed() { a.end(false, true) }

// Fail ends a login with a wrong one.
func (a *Attempt) Fail() { a.end(true, false) }

// Cancel ends a login that was neither.
func (a *Attempt) Cancel() { a.end(false, false) }

func (a *Attempt) end(failed, known bool) {
	l := a.limiter
	l.mu.Lock()
	defer l.mu.Unlock()
	now := l.now()
	l.addresses.end(a.address, now, failed)
	if !a.exempt {
		l.users.end(a.name, now, failed)
	}
	if known && !a.nobody {
		l.remember(a.guess)
	}
	if l.ended != nil {
		close(l.ended)
		l.ended = nil
	}
}

// remember puts the address last among those of the user; the first makes room.
func (l *Limiter) remember(g guess) {
	old, _ := l.known.get(g.id)
	addresses := make([]guessKey, 0, len(old)+1)
	for _, address := range old {
		if address != g.address {
			addresses = append(addresses, address)
		}
	}
	addresses = append(addresses, g.address)
	l.known.put(g.id, addresses[max(0, len(addresses)-maxKnownAddresses):])
}
