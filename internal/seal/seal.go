// Package seal keeps what leaves the gate from being read or changed: cookies,
// and values in a storage that others can open. It is AES-256-GCM (NIST SP
// 800-38D) with a key of its own for each purpose (HKDF, RFC 5869).
package seal

import (
	"crypto/aes"
	"crypto/cipher"
	"crypto/hkdf"
	"crypto/rand"
	"crypto/sha256"
	"encoding/binary"
	"errors"
)

// MinSecret is the length in bytes of the shortest secret that is accepted.
const MinSecret = 32

const (
	version   = 1
	nonceSize = 12
	overhead  = 1 + nonceSize + 16 // version, nonce, tag
)

var (
	// ErrOpen means that something was not sealed here, for this purpose and this
	// context, or was changed since. It does not say which.
	ErrOpen = errors.New("seal: cannot be opened")
	// ErrSecret means that a secret is too short, or that there is none.
	ErrSecret = errors.New("seal: a secret must have at least 32 bytes")
)

// Sealer seals and opens for one purpose. It is safe for concurrent use.
type Sealer struct {
	keys    []cipher.AEAD // the first seals, all open
	context []byte
}

// New makes a sealer from secrets, of which the first seals and all open.
// Purpose and context say what is sealed and for whom; what was sealed for
// others does not open. It returns [ErrSecret] for a secret that is too short.
func New(secrets [][]byte, purpose string, context ...string) (*Sealer, error) {
	if len(secrets) == 0 {
		return nil, ErrSecret
	}
	s := &Sealer{context: join(append([]string{purpose}, context...))}
	for _, secret := range secrets {
		if len(secret) < MinSecret {
			return nil, ErrSecret
		}
		key, err := hkdf.Key(sha256.New, secret, nil, "admit/"+purpose, 32)
		if err != nil {
			return nil, err
		}
		block, err := aes.NewCipher(key)
		if err != nil {
			return nil, err
		}
		aead, err := cipher.NewGCM(block)
		if err != nil {
			return nil, err
		}
		s.keys = append(s.keys, aead)
	}
	return s, nil
}

// join writes texts so that no two lists give the same bytes: each after its
// length.
func join(texts []string) []byte {
	var out []byte
	for _, text := range texts {
		out = binary.BigEndian.AppendUint32(out, uint32(len(text)))
		out = append(out, text...)
	}
	return out
}

// Seal appends the sealed plaintext to dst. It adds 29 bytes.
func (s *Sealer) Seal(dst, plaintext []byte) []byte {
	dst = append(dst, version)
	start := len(dst)
	dst = append(dst, make([]byte, nonceSize)...)
	nonce := dst[start:]
	rand.Read(nonce) // never fails (crypto/rand)
	return s.keys[0].Seal(dst, nonce, plaintext, s.context)
}

// Open appends the plaintext of what was sealed to dst. It returns [ErrOpen] for
// everything else.
func (s *Sealer) Open(dst, sealed []byte) ([]byte, error) {
	if len(sealed) < overhead || sealed[0] != version {
		return nil, ErrOpen
	}
	nonce, text := sealed[1:1+nonceSize], sealed[1+nonceSize:]
	for _, key := range s.keys {
		if plain, err := key.Open(dst, nonce, text, s.context); err == nil {
			return plain, nil
		}
	}
	return nil, ErrOpen
}
