package jwt

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/hmac"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"math/big"
	"time"
)

// SigningAlgorithms lists the algorithms that tokens can be signed with here.
var SigningAlgorithms = []string{"EdDSA", "ES256", "RS256", "HS256"}

// storedKey is a signing key as it lies in the storage.
type storedKey struct {
	ID      string    `json:"kid"`
	Alg     string    `json:"alg"`
	Created time.Time `json:"created"`
	Private []byte    `json:"private"` // PKCS #8, or the secret of HS256
}

// signingKey is a key that is ready to sign and to verify.
type signingKey struct {
	storedKey
	signer crypto.Signer // nil for a secret
	secret []byte
	key    *key
}

// newStoredKey makes a key.
func newStoredKey(alg string, now time.Time) (storedKey, error) {
	id := make([]byte, 12)
	rand.Read(id) // never fails (crypto/rand)
	k := storedKey{ID: base64.RawURLEncoding.EncodeToString(id), Alg: alg, Created: now}
	var private any
	var err error
	switch alg {
	case "HS256":
		k.Private = make([]byte, 32)
		rand.Read(k.Private)
		return k, nil
	case "EdDSA":
		_, private, err = ed25519.GenerateKey(rand.Reader)
	case "ES256":
		private, err = ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	case "RS256":
		private, err = rsa.GenerateKey(rand.Reader, 3072)
	default:
		err = fmt.Errorf("jwt: cannot sign with %s", alg)
	}
	if err != nil {
		return storedKey{}, err
	}
	k.Private, err = x509.MarshalPKCS8PrivateKey(private)
	return k, err
}

var errStoredKey = errors.New("jwt: a stored signing key cannot be read")

// ready makes a stored key usable.
func (s storedKey) ready() (*signingKey, error) {
	k := &signingKey{storedKey: s}
	alg := algorithms[s.Alg]
	if alg == nil || s.ID == "" {
		return nil, errStoredKey
	}
	var v verifier
	if alg.family == familyHS {
		if len(s.Private) < HashSize(s.Alg) {
			return nil, errStoredKey
		}
		k.secret, v = s.Private, newMACKey(s.Private)
	} else {
		private, err := x509.ParsePKCS8PrivateKey(s.Private)
		signer, ok := private.(crypto.Signer)
		if err != nil || !ok {
			return nil, errStoredKey
		}
		k.signer = signer
		if v, err = newVerifier(signer.Public()); err != nil || !v.fits(alg) {
			return nil, errStoredKey
		}
	}
	k.key = &key{id: s.ID, alg: alg, verifier: v}
	return k, nil
}

// sign signs header and payload, which are JSON texts, to a token.
func (k *signingKey) sign(header, payload []byte) (string, error) {
	b64 := base64.RawURLEncoding
	input := b64.AppendEncode(nil, header)
	input = append(input, '.')
	input = b64.AppendEncode(input, payload)
	signature, err := k.signature(input)
	if err != nil {
		return "", err
	}
	return string(b64.AppendEncode(append(input, '.'), signature)), nil
}

func (k *signingKey) signature(input []byte) ([]byte, error) {
	if k.signer == nil {
		mac := hmac.New(sha256.New, k.secret)
		mac.Write(input)
		return mac.Sum(nil), nil
	}
	if k.key.alg.family == familyEdDSA {
		return k.signer.Sign(rand.Reader, input, crypto.Hash(0))
	}
	digest := sha256.Sum256(input)
	if private, ok := k.signer.(*ecdsa.PrivateKey); ok {
		r, s, err := ecdsa.Sign(rand.Reader, private, digest[:])
		if err != nil {
			return nil, err
		}
		return append(fixed(r), fixed(s)...), nil
	}
	return k.signer.Sign(rand.Reader, digest[:], crypto.SHA256)
}

// fixed writes a coordinate of P-256 in its full length (RFC 7518 section 3.4).
func fixed(n *big.Int) []byte { return n.FillBytes(make([]byte, 32)) }

// public returns the key as a JWK with nothing private in it (RFC 7517, RFC 8037),
// nil for a secret.
func (k *signingKey) public() (json.RawMessage, error) {
	b64 := base64.RawURLEncoding.EncodeToString
	jwk := map[string]string{"kid": k.ID, "alg": k.Alg, "use": "sig"}
	if k.signer == nil {
		return nil, nil
	}
	switch public := k.signer.Public().(type) {
	case ed25519.PublicKey:
		jwk["kty"], jwk["crv"], jwk["x"] = "OKP", "Ed25519", b64(public)
	case *ecdsa.PublicKey:
		point, err := public.Bytes() // 4, x, y (SEC 1 section 2.3.3)
		if err != nil {
			return nil, err
		}
		jwk["kty"], jwk["crv"], jwk["x"], jwk["y"] = "EC", "P-256", b64(point[1:33]), b64(point[33:])
	case *rsa.PublicKey:
		jwk["kty"], jwk["n"], jwk["e"] = "RSA", b64(public.N.Bytes()), b64(big.NewInt(int64(public.E)).Bytes())
	}
	return json.Marshal(jwk)
}
