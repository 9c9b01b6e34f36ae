package jwt

import (
	"crypto"
	"crypto/sha256"
	"crypto/x509"
	"encoding/json"
	"encoding/pem"
	"errors"
	"fmt"
	"math/big"
	"slices"
	"strings"

	"github.com/lestrrat-go/jwx/v2/jwk"
)

// maxTried bounds how many keys are tried on one token.
const maxTried = 8

// KeySet is a set of keys that are ready to verify. It is never changed.
type KeySet struct {
	keys  []*key
	byID  map[string][]*key
	print [sha256.Size]byte // of all keys, see Fingerprint
}

func newKeySet(keys []*key) *KeySet {
	s := &KeySet{keys: keys, byID: make(map[string][]*key)}
	prints := make([]string, len(keys))
	for i, k := range keys {
		s.byID[k.id] = append(s.byID[k.id], k)
		prints[i] = k.fingerprint()
	}
	if len(keys) <= maxTried {
		slices.Sort(prints) // no key is left untried, so their order does not matter
	}
	s.print = sha256.Sum256([]byte(strings.Join(prints, "")))
	return s
}

// Fingerprint returns a hash of the keys and of what each may be used for. Two sets
// that have the same one accept the same signatures. It is for comparing within
// the process: that of a set with a shared secret would let somebody try secrets.
func (s *KeySet) Fingerprint() [sha256.Size]byte { return s.print }

// same reports whether two sets accept the same signatures.
func (s *KeySet) same(t *KeySet) bool { return s == t || s.print == t.print }

// Len returns the number of keys.
func (s *KeySet) Len() int { return len(s.keys) }

// named returns the keys that a token with this key id may be signed by: those
// of that id, else those without any; all keys if the token names none. exact
// says that the id was found.
func (s *KeySet) named(id string, given bool) (keys []*key, exact bool) {
	if !given {
		return s.keys, false
	}
	if id != "" {
		if keys = s.byID[id]; len(keys) > 0 {
			return keys, true
		}
	}
	return s.byID[""], false
}

// NewSecretKeySet makes a set of one shared secret.
func NewSecretKeySet(secret []byte) *KeySet {
	return newKeySet([]*key{{verifier: newMACKey(slices.Clone(secret))}})
}

// ParseKeySet reads a JWK set (RFC 7517 section 5). Keys that must not or cannot
// be used are left out while the others still work, and dropped says why, a line
// each: shared secrets, keys for encryption, private keys, RSA keys under 2048
// bits, unknown types. It returns an error if data is no key set at all.
func ParseKeySet(data []byte) (set *KeySet, dropped []string, err error) {
	var doc struct {
		Keys []json.RawMessage `json:"keys"`
	}
	if json.Unmarshal(data, &doc) != nil || doc.Keys == nil {
		return nil, nil, errors.New("jwt: not a JWK set")
	}
	var keys []*key
	for i, raw := range doc.Keys {
		k, err := parseJWK(raw)
		if err != nil {
			dropped = append(dropped, fmt.Sprintf("key %d: %v", i, err))
			continue
		}
		keys = append(keys, k)
	}
	return newKeySet(keys), dropped, nil
}

// ParseKeyFile reads public keys from PEM (public keys and certificates, one or
// more), a JWK or a JWK set. Unlike [ParseKeySet] it refuses the whole file for
// one bad key: an operator chose it.
func ParseKeyFile(data []byte) (*KeySet, error) {
	if block, _ := pem.Decode(data); block != nil {
		return parsePEM(data)
	}
	if set, dropped, err := ParseKeySet(data); err == nil {
		if len(dropped) > 0 {
			return nil, fmt.Errorf("jwt: %s", dropped[0])
		}
		if set.Len() == 0 {
			return nil, errors.New("jwt: JWK set without keys")
		}
		return set, nil
	}
	k, err := parseJWK(data)
	if err != nil {
		return nil, fmt.Errorf("jwt: neither PEM nor JWK: %w", err)
	}
	return newKeySet([]*key{k}), nil
}

// Join makes one set of several.
func Join(sets ...*KeySet) *KeySet {
	var keys []*key
	for _, s := range sets {
		keys = append(keys, s.keys...)
	}
	return newKeySet(keys)
}

func parsePEM(data []byte) (*KeySet, error) {
	var keys []*key
	for {
		block, rest := pem.Decode(data)
		if block == nil {
			break
		}
		data = rest
		public, err := publicKey(block)
		if err != nil {
			return nil, fmt.Errorf("jwt: PEM %s: %w", block.Type, err)
		}
		v, err := newVerifier(public)
		if err != nil {
			return nil, fmt.Errorf("jwt: PEM %s: %w", block.Type, err)
		}
		keys = append(keys, &key{verifier: v})
	}
	return newKeySet(keys), nil
}

func publicKey(block *pem.Block) (crypto.PublicKey, error) {
	switch block.Type {
	case "PUBLIC KEY":
		return x509.ParsePKIXPublicKey(block.Bytes)
	case "RSA PUBLIC KEY":
		return x509.ParsePKCS1PublicKey(block.Bytes)
	case "CERTIFICATE":
		cert, err := x509.ParseCertificate(block.Bytes)
		if err != nil {
			return nil, err
		}
		return cert.PublicKey, nil
	}
	return nil, errors.New("not a public key or certificate")
}

// parseJWK reads one key. Its errors name members of the key, never key material.
func parseJWK(raw []byte) (*key, error) {
	parsed, err := jwk.ParseKey(raw)
	if err != nil {
		return nil, errors.New("not a JWK that can be read")
	}
	if use := parsed.KeyUsage(); use != "" && use != string(jwk.ForSignature) {
		return nil, errors.New(`"use" is not "sig"`)
	}
	if ops := parsed.KeyOps(); len(ops) > 0 && !slices.Contains(ops, jwk.KeyOpVerify) {
		return nil, errors.New(`"key_ops" has no "verify"`)
	}
	k := &key{id: parsed.KeyID()}
	if name := parsed.Algorithm().String(); name != "" {
		if name == "Ed25519" { // RFC 9864: the name of EdDSA with this curve
			name = "EdDSA"
		}
		if k.alg = algorithms[name]; k.alg == nil {
			return nil, errors.New(`"alg" is not one of a signature`)
		}
	}
	if issuer, ok := parsed.Get("issuer"); ok {
		if k.issuer, ok = issuer.(string); !ok {
			return nil, errors.New(`"issuer" is not a text`)
		}
	}
	public, err := rawPublicKey(parsed)
	if err != nil {
		return nil, err
	}
	if k.verifier, err = newVerifier(public); err != nil {
		return nil, err
	}
	if k.alg != nil && !k.fits(k.alg) {
		return nil, errors.New(`"alg" does not fit the key`)
	}
	return k, nil
}

func rawPublicKey(parsed jwk.Key) (crypto.PublicKey, error) {
	switch k := parsed.(type) {
	case jwk.SymmetricKey:
		return nil, errors.New("a shared secret does not belong in a key set")
	case jwk.RSAPublicKey:
		// Raw would cut off what does not fit an int.
		if new(big.Int).SetBytes(k.E()).BitLen() > 31 {
			return nil, errors.New("RSA key with an unusable exponent")
		}
	case jwk.RSAPrivateKey, jwk.ECDSAPrivateKey, jwk.OKPPrivateKey:
		return nil, errors.New("a private key: give the public one")
	}
	var raw any
	if err := parsed.Raw(&raw); err != nil {
		return nil, errors.New("not a key that can be used")
	}
	return raw, nil
}
