package jwt

import (
	"bytes"
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/x509"
	"encoding/hex"
	"encoding/json"
	"encoding/pem"
	"errors"
	"fmt"

	"github.com/lestrrat-go/jwx/v2/jwk"
)

// PrivateKey signs what a client says about itself (RFC 7523).
type PrivateKey struct{ key signingKey }

// Fingerprint returns a text that no other key has, nor the same one under another
// "kid". It is no secret.
func (k *PrivateKey) Fingerprint() (string, error) {
	public, err := x509.MarshalPKIXPublicKey(k.key.signer.Public())
	if err != nil {
		return "", err
	}
	sum := sha256.Sum256(public)
	return hex.EncodeToString(sum[:]) + k.key.ID, nil
}

// ParsePrivateKey reads one private key from PEM (PKCS #8, PKCS #1, SEC 1) or a
// JWK: RSA, EC on P-256 or Ed25519. The "kid" of a JWK is kept. Its errors hold
// nothing of the key.
func ParsePrivateKey(data []byte) (*PrivateKey, error) {
	private, id, alg, err := readPrivateKey(data)
	if err != nil {
		return nil, err
	}
	fitting := ""
	switch k := private.(type) {
	case *rsa.PrivateKey:
		if err := k.Validate(); err != nil {
			return nil, errors.New("jwt: private key: its numbers do not belong together")
		}
		fitting = "RS256"
	case *ecdsa.PrivateKey:
		if k.Curve != elliptic.P256() {
			return nil, errors.New("jwt: private key: expected RSA, EC on P-256 or Ed25519")
		}
		fitting = "ES256"
	case ed25519.PrivateKey:
		fitting = "EdDSA"
	default:
		return nil, errors.New("jwt: private key: expected RSA, EC on P-256 or Ed25519")
	}
	if alg == "Ed25519" { // RFC 9864: the name of EdDSA with this curve
		alg = "EdDSA"
	}
	if alg != "" && alg != fitting {
		return nil, fmt.Errorf("jwt: private key: its \"alg\" is not %s, the one that it can sign with here", fitting)
	}
	signer := private.(crypto.Signer)
	v, err := newVerifier(signer.Public())
	if err != nil {
		return nil, fmt.Errorf("jwt: private key: %w", err)
	}
	k := &PrivateKey{signingKey{storedKey: storedKey{ID: id, Alg: fitting}, signer: signer}}
	k.key.key = &key{id: id, alg: algorithms[fitting], verifier: v}
	trial := []byte("trial")
	if signed, err := k.key.signature(trial); err != nil || !v.verify(k.key.key.alg, trial, signed) {
		return nil, errors.New("jwt: private key: its numbers do not belong together")
	}
	return k, nil
}

// readPrivateKey returns the one private key of a file, with "kid" and "alg" if it
// is a JWK.
func readPrivateKey(data []byte) (private any, id, alg string, err error) {
	block, rest := pem.Decode(data)
	if block == nil {
		return readPrivateJWK(data)
	}
	if more, _ := pem.Decode(rest); more != nil {
		return nil, "", "", errors.New("jwt: private key: expected one PEM block")
	}
	switch block.Type {
	case "PRIVATE KEY":
		private, err = x509.ParsePKCS8PrivateKey(block.Bytes)
	case "RSA PRIVATE KEY":
		private, err = x509.ParsePKCS1PrivateKey(block.Bytes)
	case "EC PRIVATE KEY":
		private, err = x509.ParseECPrivateKey(block.Bytes)
	default:
		return nil, "", "", errors.New("jwt: private key: the PEM block is of another kind: expected an unencrypted private key")
	}
	if err != nil {
		return nil, "", "", errors.New("jwt: private key: the PEM block cannot be read")
	}
	return private, "", "", nil
}

func readPrivateJWK(data []byte) (private any, id, alg string, err error) {
	parsed, err := jwk.ParseKey(bytes.TrimSpace(data))
	if err != nil {
		return nil, "", "", errors.New("jwt: private key: neither PEM nor JWK")
	}
	switch parsed.(type) {
	case jwk.RSAPrivateKey, jwk.ECDSAPrivateKey, jwk.OKPPrivateKey:
	default:
		return nil, "", "", errors.New("jwt: private key: the JWK is not a private key")
	}
	if err := parsed.Raw(&private); err != nil {
		return nil, "", "", errors.New("jwt: private key: the JWK cannot be used")
	}
	return private, parsed.KeyID(), parsed.Algorithm().String(), nil
}

// Sign makes a token of a payload, a JSON text.
func (k *PrivateKey) Sign(typ string, payload []byte) (string, error) {
	header, err := json.Marshal(struct {
		Alg string `json:"alg"`
		Kid string `json:"kid,omitempty"`
		Typ string `json:"typ"`
	}{k.key.Alg, k.key.ID, typ})
	if err != nil {
		return "", err
	}
	return k.key.sign(header, payload)
}
