package jwt

import (
	"crypto/aes"
	"crypto/cipher"
	"crypto/fips140"
	"crypto/rand"
	"crypto/sha256"
	"hash/maphash"
	"sync"
	"sync/atomic"
)

// CacheKey stands for the whole text of a token in a [Cache].
type CacheKey struct {
	sum    [16]byte
	place  uint64 // where in a table it lies
	stripe *stripe
}

// NewCacheKey hashes a token, of at most [MaxTokenSize] bytes, under a secret of
// this process.
//
// The hash is GMAC (NIST SP 800-38D), for it takes a quarter of the time of
// SHA-256. As an authenticator GMAC must never use a nonce twice, because whoever
// sees two tags under one nonce can find the key. Here nobody ever sees a tag. What
// is left is a universal hash: for any two texts of that size the chance over the
// secret that they collide is at most 2^-117 (1027 blocks in a field of 2^128),
// and all that somebody who tries learns is that they did not. Where in a table
// the key lies, which takes part in timing, is hashed once more, with no algebra in it.
func NewCacheKey(raw string) CacheKey {
	h := hashers.Get().(*hasher)
	if mac := tokenMAC(); mac != nil {
		mac.Seal(h.sum[:0], h.nonce[:], nil, view(raw))
	} else {
		h.sumSHA(raw)
	}
	k := CacheKey{sum: [16]byte(h.sum[:16]), stripe: h.stripe}
	k.place = maphash.Bytes(placeSeed, k.sum[:])
	hashers.Put(h)
	return k
}

// Sum returns the hash alone, for memories of other texts than tokens.
func (k *CacheKey) Sum() [16]byte { return k.sum }

// hasher is the room that hashing a token takes. Two that are used at once share no
// cache line.
type hasher struct {
	nonce  [12]byte // always zero
	sum    [sha256.Size]byte
	text   []byte // with SHA-256: the secret, then a token
	stripe *stripe
	_      [176]byte // to 256 bytes
}

var (
	hashers   = sync.Pool{New: func() any { return &hasher{stripe: nextStripe()} }}
	placeSeed = maphash.MakeSeed()

	tokenSecret = sync.OnceValue(func() []byte {
		secret := make([]byte, 32)
		rand.Read(secret) // never fails (crypto/rand)
		return secret
	})
	// tokenMAC is nil in the FIPS 140-3 mode, which takes no nonce from a caller.
	tokenMAC = sync.OnceValue(func() cipher.AEAD {
		if fips140.Enabled() {
			return nil
		}
		block, err := aes.NewCipher(tokenSecret())
		if err != nil {
			panic(err) // only for a key of another size
		}
		mac, err := cipher.NewGCM(block)
		if err != nil {
			panic(err) // only for another cipher
		}
		return mac
	})
)

func (h *hasher) sumSHA(raw string) {
	h.text = append(append(h.text[:0], tokenSecret()...), raw...)
	h.sum = sha256.Sum256(h.text)
	clear(h.text)
}

// stripe counts what happens to tokens. Requests that run at once mostly have one
// each, so that they do not wait for each other's counters.
type stripe struct {
	hits, misses atomic.Uint64
	_            [112]byte // to the end of the pair of cache lines that is fetched at once
}

var (
	stripes    [16]stripe
	stripeTurn atomic.Uint32
	evictions  atomic.Uint64
)

func nextStripe() *stripe { return &stripes[stripeTurn.Add(1)%uint32(len(stripes))] }

// Hit and Miss count that a token was found, or was not and had to be verified.
func (k *CacheKey) Hit()  { k.stripe.hits.Add(1) }
func (k *CacheKey) Miss() { k.stripe.misses.Add(1) }

// CacheCounts returns how many tokens were found in the caches of this process, were
// not, and were taken out to make room.
func CacheCounts() (hit, missed, evicted uint64) {
	for i := range stripes {
		hit += stripes[i].hits.Load()
		missed += stripes[i].misses.Load()
	}
	return hit, missed, evictions.Load()
}
