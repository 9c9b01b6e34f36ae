package local

import (
	"crypto/rand"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/base64"
	"encoding/hex"
	"errors"
	"fmt"
	"regexp"

	"github.com/caddy-admit/admit/claims"
)

const (
	// keyPrefix lets people and scanners see what leaked.
	keyPrefix = "admit_"
	// A key that is shorter than minKey can be guessed and never matches.
	minKey = 16
	maxKey = 1024
)

// APIKey is what is known of a key that opens by itself. The key is not.
type APIKey struct {
	// ID is who calls with the key.
	ID string
	// Claims are the key's own, an empty object where there are none.
	Claims *claims.Set

	digest [sha256.Size]byte
}

var digestForm = regexp.MustCompile(`^[0-9a-f]{64}$`)

// ReadAPIKey makes an API key of configuration: an id under the rules for user
// ids, the SHA-256 of the key in 64 lower-case hexadecimal digits and own claims
// as the JSON text of an object, nil for none.
func ReadAPIKey(id, sha256Hex string, own []byte) (APIKey, error) {
	k := APIKey{ID: id}
	err := checkID(id)
	if err == nil && !digestForm.MatchString(sha256Hex) {
		err = errors.New("expected the SHA-256 of the key, 64 digits 0-9 and a-f; \"caddy admit api-key <id>\" makes one")
	}
	if err == nil {
		k.Claims, err = ownClaims(own)
	}
	if err != nil {
		return APIKey{}, fmt.Errorf("api_key %s: %w", shown(id), err)
	}
	_, _ = hex.Decode(k.digest[:], []byte(sha256Hex)) // digestForm has checked it
	if k.digest == sha256.Sum256(nil) {
		return APIKey{}, fmt.Errorf("api_key %s: that is the SHA-256 of an empty key", shown(id))
	}
	return k, nil
}

// APIKeys is a list of API keys. It never changes.
type APIKeys struct {
	byDigest map[[sha256.Size]byte]APIKey
}

// NewAPIKeys makes a list. An id or a key that is there twice is an error.
func NewAPIKeys(keys []APIKey) (*APIKeys, error) {
	list := &APIKeys{byDigest: make(map[[sha256.Size]byte]APIKey, len(keys))}
	ids := make(map[string]bool, len(keys))
	for _, k := range keys {
		if ids[k.ID] {
			return nil, fmt.Errorf("api_key %s: given twice", shown(k.ID))
		}
		if other, twice := list.byDigest[k.digest]; twice {
			return nil, fmt.Errorf("api_key %s: the same key as that of %s", shown(k.ID), shown(other.ID))
		}
		ids[k.ID] = true
		list.byDigest[k.digest] = k
	}
	return list, nil
}

// Len returns the number of keys.
func (l *APIKeys) Len() int { return len(l.byDigest) }

// Lookup returns what belongs to a key that a client sent: the whole of it, byte
// by byte. How long it takes tells nothing about other keys, since they are found
// by their hash.
func (l *APIKeys) Lookup(key string) (APIKey, bool) {
	if l == nil || len(key) < minKey || len(key) > maxKey {
		return APIKey{}, false
	}
	digest := sha256.Sum256([]byte(key))
	found, ok := l.byDigest[digest]
	if !ok || subtle.ConstantTimeCompare(found.digest[:], digest[:]) != 1 {
		return APIKey{}, false
	}
	return found, true
}

// NewAPIKey makes a key of 256 random bits, "admit_" and 43 characters, and the
// hash of it for the configuration.
func NewAPIKey() (key, sha256Hex string) {
	random := make([]byte, 32)
	rand.Read(random) // never fails (crypto/rand)
	key = keyPrefix + base64.RawURLEncoding.EncodeToString(random)
	sum := sha256.Sum256([]byte(key))
	return key, hex.EncodeToString(sum[:])
}
