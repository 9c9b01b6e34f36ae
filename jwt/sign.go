package jwt

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/caddy-admit/admit/internal/store"
)

const (
	// reloadKeys is how often the storage is asked for keys that another process
	// may have made.
	reloadKeys = time.Minute
	// reloadUnknown is the least time between two looks for an unknown key.
	reloadUnknown = time.Second
	// reloadTimeout bounds how long a request waits for that, reloadPause is the
	// time between two tries while the storage fails.
	reloadTimeout = 2 * time.Second
	reloadPause   = 10 * time.Second
	// firstTimeout bounds the wait for the first keys. A lock that a dead process
	// holds becomes free after ten seconds or so, with Caddy's file storage.
	firstTimeout = 20 * time.Second
	firstPause   = time.Second
	// keyOverlap is how long a new key is published before it signs, so that who
	// keeps a copy of the key set knows it by then.
	keyOverlap = 10 * time.Minute
)

// Signing says how tokens are signed.
type Signing struct {
	Store store.Store
	// Key is where the keys lie in the storage.
	Key string
	// Algorithm is one of [SigningAlgorithms].
	Algorithm string
	// Age is how long a key signs before a new one is made.
	Age time.Duration
	// Keep is how long a key verifies after it has stopped signing: the longest
	// life of a token, with leeway.
	Keep time.Duration
	Now  func() time.Time
}

// SigningKeys are keys that are made here at first use and kept in the storage.
// Several processes on one storage share them. They are also a [KeySource] for
// the tokens that they sign. They are safe for concurrent use.
type SigningKeys struct {
	Signing
	current atomic.Pointer[signingSet]

	mu        sync.Mutex // held by the one that asks the storage
	notBefore time.Time  // when the storage may be asked again after it failed
	failed    error      // why there were no first keys
}

// signingSet is one version of the keys, oldest first. It is never changed.
type signingSet struct {
	keys       []*signingKey
	set        *KeySet
	public     []json.RawMessage
	loaded     time.Time
	generation uint64
}

// NewSigningKeys makes signing keys. It does not touch the storage.
func NewSigningKeys(s Signing) *SigningKeys { return &SigningKeys{Signing: s} }

// Sign makes a token of a payload, a JSON text, with a header that says typ. It
// returns an error that wraps [store.ErrUnavailable] if there is no key and none
// can be made.
func (s *SigningKeys) Sign(ctx context.Context, typ string, payload []byte) (string, error) {
	set, err := s.load(ctx)
	if err != nil {
		return "", err
	}
	k := set.signer(s.Now(), s.Algorithm)
	header, err := json.Marshal(struct {
		Alg string `json:"alg"`
		Kid string `json:"kid"`
		Typ string `json:"typ"`
	}{k.Alg, k.ID, typ})
	if err != nil {
		return "", err
	}
	return k.sign(header, payload)
}

// PublicKeys returns the public keys, each a JWK (RFC 7517). A secret has none.
func (s *SigningKeys) PublicKeys(ctx context.Context) ([]json.RawMessage, error) {
	set, err := s.load(ctx)
	if err != nil {
		return nil, err
	}
	return set.public, nil
}

// Keys implements [KeySource].
func (s *SigningKeys) Keys(ctx context.Context) (*KeySet, uint64, error) {
	set, err := s.load(ctx)
	if err != nil {
		return nil, 0, err
	}
	return set.set, set.generation, nil
}

// Refresh implements [KeySource]: another process may have made a key since.
func (s *SigningKeys) Refresh(ctx context.Context, seen uint64) (*KeySet, uint64, error) {
	set := s.current.Load()
	if set != nil && set.generation == seen && s.Now().Sub(set.loaded) >= reloadUnknown {
		s.reload(ctx, set)
	}
	return s.Keys(ctx)
}

// load returns the keys at hand. When they are old the one that comes first asks
// the storage for newer ones; nobody else waits for it, and it not for long.
func (s *SigningKeys) load(ctx context.Context) (*signingSet, error) {
	if set := s.current.Load(); set != nil {
		if s.Now().Sub(set.loaded) >= reloadKeys {
			s.reload(ctx, set)
		}
		return s.current.Load(), nil
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if set := s.current.Load(); set != nil {
		return set, nil
	}
	if s.failed != nil && s.Now().Before(s.notBefore) {
		return nil, s.failed // those who waited need not all try
	}
	ctx, cancel := context.WithTimeout(ctx, firstTimeout)
	defer cancel()
	set, err := s.renew(ctx, nil)
	if s.failed = err; err != nil {
		s.notBefore = s.Now().Add(firstPause)
	}
	return set, err
}

// reload asks the storage for newer keys than those of set. If it does not
// answer they stay good: nothing was lost.
func (s *SigningKeys) reload(ctx context.Context, set *signingSet) {
	if !s.mu.TryLock() {
		return
	}
	defer s.mu.Unlock()
	now := s.Now()
	if s.current.Load() != set || now.Before(s.notBefore) {
		return
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), reloadTimeout)
	defer cancel()
	if _, err := s.renew(ctx, set); err != nil {
		s.notBefore = now.Add(reloadPause)
	}
}

// renew reads the keys and makes a new one if it is time. s.mu is held.
func (s *SigningKeys) renew(ctx context.Context, old *signingSet) (*signingSet, error) {
	set, err := s.read(ctx, old)
	if err != nil && !errors.Is(err, store.ErrNotExist) {
		return nil, err
	}
	if err == nil && !set.due(s.Now(), s.Signing) {
		return set, nil
	}
	unlock, err := s.Store.Lock(ctx, s.Key)
	if err != nil {
		return nil, err
	}
	defer unlock()
	set, err = s.read(ctx, old) // another process may have been quicker
	if err != nil && !errors.Is(err, store.ErrNotExist) {
		return nil, err
	}
	if err == nil && !set.due(s.Now(), s.Signing) {
		return set, nil
	}
	return s.add(ctx, set)
}

// add makes a key, drops those whose tokens have ended, and stores the rest. The
// storage lock is held.
func (s *SigningKeys) add(ctx context.Context, set *signingSet) (*signingSet, error) {
	now := s.Now()
	var keys []storedKey
	if set != nil {
		for i, k := range set.keys {
			last := i == len(set.keys)-1
			if last || now.Before(set.keys[i+1].Created.Add(keyOverlap+s.Keep)) {
				keys = append(keys, k.storedKey)
			}
		}
	}
	made, err := newStoredKey(s.Algorithm, now.UTC())
	if err != nil {
		return nil, err
	}
	data, err := json.Marshal(append(keys, made))
	if err != nil {
		return nil, err
	}
	if err := s.Store.Store(ctx, s.Key, data); err != nil {
		return nil, err
	}
	return s.keep(data, set)
}

// read takes the keys from the storage. s.mu is held.
func (s *SigningKeys) read(ctx context.Context, old *signingSet) (*signingSet, error) {
	data, err := s.Store.Load(ctx, s.Key)
	if err != nil {
		return nil, err
	}
	return s.keep(data, old)
}

// keep makes the keys of a stored text the current ones.
func (s *SigningKeys) keep(data []byte, old *signingSet) (*signingSet, error) {
	var stored []storedKey
	if err := json.Unmarshal(data, &stored); err != nil || len(stored) == 0 {
		return nil, fmt.Errorf("%w: %w", store.ErrUnavailable, errStoredKey)
	}
	set := &signingSet{loaded: s.Now(), generation: 1}
	if old != nil {
		set.generation = old.generation
	}
	var verify []*key
	for _, one := range stored {
		k, err := one.ready()
		if err != nil {
			return nil, fmt.Errorf("%w: %w", store.ErrUnavailable, err)
		}
		set.keys, verify = append(set.keys, k), append(verify, k.key)
		jwk, err := k.public()
		if err != nil {
			return nil, err
		}
		if jwk != nil {
			set.public = append(set.public, jwk)
		}
	}
	set.set = newKeySet(verify)
	if old != nil && !sameKeys(old.keys, set.keys) {
		set.generation++
	}
	s.current.Store(set)
	return set, nil
}

func sameKeys(a, b []*signingKey) bool {
	return slices.EqualFunc(a, b, func(a, b *signingKey) bool { return a.ID == b.ID })
}

// due reports whether it is time for a new key: none is of the algorithm, or the
// newest is about to end signing.
func (set *signingSet) due(now time.Time, s Signing) bool {
	newest := set.keys[len(set.keys)-1]
	return newest.Alg != s.Algorithm || !now.Before(newest.Created.Add(s.Age-min(keyOverlap, s.Age/2)))
}

// signer returns the key that signs: the newest of the algorithm that has been
// published for a while, or the newest of all.
func (set *signingSet) signer(now time.Time, alg string) *signingKey {
	for _, k := range slices.Backward(set.keys) {
		if k.Alg == alg && !now.Before(k.Created.Add(keyOverlap)) {
			return k
		}
	}
	for _, k := range set.keys {
		if k.Alg == alg {
			return k // the first of its kind: nobody has waited for it
		}
	}
	return set.keys[len(set.keys)-1]
}
