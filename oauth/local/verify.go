package local

import (
	"context"
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"net/netip"
	"sync"
	"time"

	"golang.org/x/sync/singleflight"
)

// ErrBadPassword means that a login was wrong. Whether there is no such user, the
// user is disabled or the password is another it does not tell.
var ErrBadPassword = errors.New("local: user or password is wrong")

const (
	// goodFor is how long a right password is not hashed again: HTTP Basic sends
	// it with every request.
	goodFor = 2 * time.Minute
	// badFor is how long the same wrong login counts as one guess: a program with
	// an old password would lock out everybody at its address.
	badFor        = forgiveAfter
	maxRemembered = 1024
)

// Checker checks passwords.
type Checker struct {
	users   *Users
	limiter *Limiter
	now     func() time.Time
	turns   turns
	hash    func(Hash, string) bool
	key     []byte

	flights singleflight.Group
	mu      sync.Mutex
	good    *recent[loginKey, time.Time]
	bad     *recent[loginKey, time.Time]
}

// loginKey is a keyed hash of all that the outcome of a login depends on.
type loginKey [sha256.Size]byte

// NewChecker makes a checker of passwords. The limiter may be shared with others
// and outlive it.
func NewChecker(users *Users, limiter *Limiter, now func() time.Time) *Checker {
	key := make([]byte, sha256.Size)
	rand.Read(key) // never fails (crypto/rand)
	return &Checker{
		users: users, limiter: limiter, now: now, key: key,
		turns: allTurns, hash: Hash.Verify,
		good: newRecent[loginKey, time.Time](maxRemembered),
		bad:  newRecent[loginKey, time.Time](maxRemembered),
	}
}

// Check returns the user with this id and password, for a client at this address:
// Caddy's client IP, the zero Addr if there is none. It returns
//
//   - [ErrBadPassword] for an unknown user, a disabled one and a wrong password,
//     after the same work, see [Limiter] for how failures count,
//   - a [LockedError] for whoever is locked, without any work; not even a right
//     password that is remembered passes then, else it could be guessed,
//   - [ErrBusy] if it could not be checked within 5 s,
//   - the context's error when that ends before.
//
// Equal logins at the same time are checked once. A right one is remembered for
// 2 min, as long as user, password and address stay the same; a wrong one for an
// hour: it stays wrong without work, and sent again it is no new guess.
func (c *Checker) Check(ctx context.Context, id, password string, address netip.Addr) (User, error) {
	if err := c.limiter.Locked(id, address); err != nil {
		return User{}, err
	}
	list := c.users.list.Load()
	stamp := list.users[id].stamp // "" for nobody
	key := c.loginKey(id, password, stamp, Network(address))
	good, known := c.recall(key)
	if !known {
		flight := c.flights.DoChan(string(key[:]), func() (any, error) {
			return c.check(list, key, id, password, address)
		})
		select {
		case <-ctx.Done():
			return User{}, ctx.Err()
		case result := <-flight:
			if result.Err != nil {
				return User{}, result.Err
			}
			good = result.Val.(bool)
		}
	}
	// The list may have changed while the password was hashed.
	user, current := c.users.Current(id, stamp)
	if !good || !current {
		return User{}, ErrBadPassword
	}
	return user, nil
}

// check hashes. It is not bound to the context of one of those who wait for it.
func (c *Checker) check(list *userList, key loginKey, id, password string, address netip.Addr) (good bool, err error) {
	if good, known := c.recall(key); known {
		return good, nil
	}
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	attempt, err := c.limiter.Begin(ctx, id, address)
	if err != nil {
		return false, err
	}
	give, err := c.turns.take(ctx, !attempt.exempt)
	if err != nil {
		attempt.Cancel()
		return false, err
	}
	good = list.verify(id, password, c.hash)
	give()
	c.remember(key, good)
	if good {
		attempt.Succeed()
	} else {
		attempt.Fail()
	}
	return good, nil
}

// loginKey hashes the parts, each after its length, so that no two logins meet.
// The stamp makes a new password, or a user who was enabled, a new login.
func (c *Checker) loginKey(parts ...string) (k loginKey) {
	mac := hmac.New(sha256.New, c.key)
	for _, part := range parts {
		mac.Write(binary.BigEndian.AppendUint64(nil, uint64(len(part))))
		mac.Write([]byte(part))
	}
	mac.Sum(k[:0])
	return k
}

// recall returns how the same login ended before, if that is known.
func (c *Checker) recall(key loginKey) (good, known bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	now := c.now()
	if until, ok := c.good.get(key); ok && now.Before(until) {
		return true, true
	}
	until, ok := c.bad.get(key)
	return false, ok && now.Before(until)
}

func (c *Checker) remember(key loginKey, good bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if good {
		c.good.put(key, c.now().Add(goodFor))
	} else {
		c.bad.put(key, c.now().Add(badFor))
	}
}
