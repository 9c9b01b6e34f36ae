package jwt

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/hmac"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/sha512"
	"errors"
	"fmt"
	"hash"
	"sync"
)

const (
	minRSABits = 2048
	// maxRSABits bounds what one verification may cost: the time grows with the
	// square of the size.
	maxRSABits = 8192
)

// key is a key that is ready to verify, and what it may be used for.
type key struct {
	id     string
	alg    *algorithm // the only one it may be used with; nil: whatever fits its type
	issuer string     // the "issuer" member of keys of Entra ID
	verifier
}

// verifier checks signatures with one key.
type verifier interface {
	// fits reports whether the algorithm is one for keys of this type and size.
	fits(*algorithm) bool
	// verify checks a signature over input. It is called only with what fits.
	verify(a *algorithm, input, signature []byte) bool
	// material returns what makes the key different from others of its type.
	material() []byte
}

// usable reports whether the key may check signatures of the algorithm.
func (k *key) usable(a *algorithm) bool {
	return (k.alg == nil || k.alg == a) && k.fits(a)
}

// fingerprint returns a hash of the key and of what it may be used for.
func (k *key) fingerprint() string {
	alg := ""
	if k.alg != nil {
		alg = k.alg.name
	}
	h := sha256.New()
	// Each part is quoted: no two lists of parts give one text.
	fmt.Fprintf(h, "%T %q %q %q %q", k.verifier, k.id, alg, k.issuer, k.material())
	return string(h.Sum(nil))
}

// newVerifier makes a verifier of a public key. It returns an error that says
// what is wrong for a key that nobody should trust.
func newVerifier(public crypto.PublicKey) (verifier, error) {
	switch k := public.(type) {
	case *rsa.PublicKey:
		if bits := k.N.BitLen(); bits < minRSABits || bits > maxRSABits {
			return nil, fmt.Errorf("RSA key of %d bits: must have %d to %d", bits, minRSABits, maxRSABits)
		}
		if k.N.Bit(0) == 0 || k.E < 3 || k.E%2 == 0 {
			return nil, errors.New("RSA key with an unusable modulus or exponent")
		}
		return rsaKey{k}, nil
	case *ecdsa.PublicKey:
		size, ok := map[elliptic.Curve]int{elliptic.P256(): 32, elliptic.P384(): 48, elliptic.P521(): 66}[k.Curve]
		if !ok {
			return nil, errors.New("EC key on an unknown curve")
		}
		if _, err := k.ECDH(); err != nil {
			return nil, errors.New("EC key that is no point of its curve")
		}
		return ecKey{k, size}, nil
	case ed25519.PublicKey:
		if len(k) != ed25519.PublicKeySize {
			return nil, errors.New("Ed25519 key of a wrong size")
		}
		return edKey{k}, nil
	}
	return nil, fmt.Errorf("unsupported key type %T", public)
}

type rsaKey struct{ public *rsa.PublicKey }

func (k rsaKey) fits(a *algorithm) bool { return a.family == familyRS || a.family == familyPS }

func (k rsaKey) material() []byte { return fmt.Appendf(nil, "%x %d", k.public.N, k.public.E) }

func (k rsaKey) verify(a *algorithm, input, signature []byte) bool {
	var buf [64]byte
	digest := digestOf(a.hash, input, buf[:0])
	if a.family == familyPS {
		opts := rsa.PSSOptions{SaltLength: rsa.PSSSaltLengthEqualsHash} // RFC 7518 section 3.5
		return rsa.VerifyPSS(k.public, a.hash, digest, signature, &opts) == nil
	}
	return rsa.VerifyPKCS1v15(k.public, a.hash, digest, signature) == nil
}

type ecKey struct {
	public *ecdsa.PublicKey
	size   int // of each of r and s, RFC 7518 section 3.4
}

func (k ecKey) fits(a *algorithm) bool {
	if a.family != familyES {
		return false
	}
	switch k.size {
	case 32:
		return a.hash == crypto.SHA256
	case 48:
		return a.hash == crypto.SHA384
	}
	return a.hash == crypto.SHA512
}

func (k ecKey) material() []byte {
	point, err := k.public.Bytes()
	if err != nil {
		return nil // no such key is ever made, see newVerifier
	}
	return point // its length tells the curve
}

func (k ecKey) verify(a *algorithm, input, signature []byte) bool {
	if len(signature) != 2*k.size {
		return false
	}
	var buf [64]byte
	digest := digestOf(a.hash, input, buf[:0])
	var room [maxDER]byte
	return ecdsa.VerifyASN1(k.public, digest, appendDER(room[:0], signature[:k.size], signature[k.size:]))
}

// maxDER is the length of the longest signature of P-521.
const maxDER = 3 + 2*(2+1+66)

// appendDER writes r and s as VerifyASN1 reads them (RFC 3279 section 2.2.3). It
// saves ten allocations over [ecdsa.Verify], which takes big integers and does
// the same.
func appendDER(dst, r, s []byte) []byte {
	r, s = withoutZeros(r), withoutZeros(s)
	length := 2 + signed(r) + 2 + signed(s)
	dst = append(dst, 0x30) // SEQUENCE
	if length >= 0x80 {
		dst = append(dst, 0x81)
	}
	dst = append(dst, byte(length))
	for _, n := range [2][]byte{r, s} {
		dst = append(dst, 0x02, byte(signed(n))) // INTEGER
		if signed(n) > len(n) {
			dst = append(dst, 0)
		}
		dst = append(dst, n...)
	}
	return dst
}

func withoutZeros(n []byte) []byte {
	for len(n) > 0 && n[0] == 0 {
		n = n[1:]
	}
	return n
}

// signed returns the length of n as a signed integer, which has one more byte
// where the first would be taken for a sign, or where there is none.
func signed(n []byte) int {
	if len(n) == 0 || n[0] >= 0x80 {
		return len(n) + 1
	}
	return len(n)
}

type edKey struct{ public ed25519.PublicKey }

func (k edKey) fits(a *algorithm) bool { return a.family == familyEdDSA }

func (k edKey) material() []byte { return k.public }

func (k edKey) verify(_ *algorithm, input, signature []byte) bool {
	return len(signature) == ed25519.SignatureSize && ed25519.Verify(k.public, input, signature)
}

// macKey is a shared secret. Its MACs are kept for reuse: setting one up costs as
// much as checking a token with it.
type macKey struct {
	pools map[crypto.Hash]*sync.Pool // of *mac
	hash  [sha256.Size]byte          // of the secret
}

type mac struct {
	hash.Hash
	sum [64]byte // room for the result
}

func newMACKey(secret []byte) macKey {
	pools := make(map[crypto.Hash]*sync.Pool)
	for _, name := range Symmetric {
		h := algorithms[name].hash
		pools[h] = &sync.Pool{New: func() any { return &mac{Hash: hmac.New(h.New, secret)} }}
	}
	return macKey{pools, sha256.Sum256(secret)}
}

func (k macKey) material() []byte { return k.hash[:] }

func (k macKey) fits(a *algorithm) bool { return a.family == familyHS }

func (k macKey) verify(a *algorithm, input, signature []byte) bool {
	pool := k.pools[a.hash]
	m := pool.Get().(*mac)
	defer pool.Put(m)
	m.Reset()
	m.Write(input)
	return hmac.Equal(m.Sum(m.sum[:0]), signature)
}

// digestOf appends the digest of input to dst. Unlike [crypto.Hash.New] it keeps
// everything on the stack.
func digestOf(h crypto.Hash, input, dst []byte) []byte {
	switch h {
	case crypto.SHA256:
		d := sha256.Sum256(input)
		return append(dst, d[:]...)
	case crypto.SHA384:
		d := sha512.Sum384(input)
		return append(dst, d[:]...)
	}
	d := sha512.Sum512(input)
	return append(dst, d[:]...)
}
