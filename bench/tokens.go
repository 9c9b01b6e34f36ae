package main

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/hmac"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"math/big"
	"os"
	"path/filepath"
	"strings"
	"time"
)

var b64 = base64.RawURLEncoding

const (
	issuer   = "https://issuer.bench.example"
	audience = "bench"
)

// signer makes tokens of one algorithm.
type signer struct {
	alg  string
	jwk  map[string]any
	sign func(input []byte) []byte
}

// newSigners makes keys of all algorithms, and writes the public ones to a file.
func newSigners(folder string) (map[string]*signer, error) {
	signers := map[string]*signer{}
	rsaKey, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		return nil, err
	}
	ecKey, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, err
	}
	public, private, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		return nil, err
	}
	signers["RS256"] = &signer{"RS256", map[string]any{
		"kty": "RSA", "kid": "RS256", "n": b64.EncodeToString(rsaKey.N.Bytes()), "e": "AQAB",
	}, func(input []byte) []byte {
		sum := sha256.Sum256(input)
		signature, _ := rsa.SignPKCS1v15(nil, rsaKey, crypto.SHA256, sum[:])
		return signature
	}}
	point, err := ecKey.PublicKey.Bytes() // 4, x, y
	if err != nil {
		return nil, err
	}
	signers["ES256"] = &signer{"ES256", map[string]any{
		"kty": "EC", "kid": "ES256", "crv": "P-256", "x": b64.EncodeToString(point[1:33]), "y": b64.EncodeToString(point[33:]),
	}, func(input []byte) []byte {
		sum := sha256.Sum256(input)
		r, s, _ := ecdsa.Sign(rand.Reader, ecKey, sum[:])
		return append(fixed(r), fixed(s)...)
	}}
	signers["EdDSA"] = &signer{"EdDSA", map[string]any{
		"kty": "OKP", "kid": "EdDSA", "crv": "Ed25519", "x": b64.EncodeToString(public),
	}, func(input []byte) []byte { return ed25519.Sign(private, input) }}
	signers["HS256"] = &signer{"HS256", nil, func(input []byte) []byte {
		mac := hmac.New(sha256.New, []byte(secret))
		mac.Write(input)
		return mac.Sum(nil)
	}}
	var set struct {
		Keys []map[string]any `json:"keys"`
	}
	for _, alg := range []string{"RS256", "ES256", "EdDSA"} {
		set.Keys = append(set.Keys, signers[alg].jwk)
	}
	data, err := json.Marshal(set)
	if err != nil {
		return nil, err
	}
	return signers, os.WriteFile(filepath.Join(folder, "jwks.json"), data, 0o600)
}

const secret = "a-secret-for-nothing-but-this-bench"

func fixed(n *big.Int) []byte { return n.FillBytes(make([]byte, 32)) }

// token makes a token of about 800 bytes. More replaces claims.
func (s *signer) token(number int, more map[string]any) string {
	at := time.Now()
	claims := map[string]any{
		"iss": issuer, "aud": audience, "sub": fmt.Sprintf("user-%06d", number),
		"iat": at.Unix(), "nbf": at.Unix(), "exp": at.Add(12 * time.Hour).Unix(), "jti": fmt.Sprintf("%032d", number),
		"email": fmt.Sprintf("user-%06d@example.com", number), "email_verified": true,
		"groups": []string{"staff", "developers", "on-call"}, "scope": "openid profile email",
	}
	for name, value := range more {
		claims[name] = value
	}
	header, _ := json.Marshal(map[string]any{"alg": s.alg, "kid": s.alg, "typ": "JWT"})
	payload, _ := json.Marshal(claims)
	const size = 800
	if n := size - (len(header)+len(payload)+len(s.sign(nil)))*4/3; n > 20 {
		claims["pad"] = strings.Repeat("x", n*3/4-9)
		payload, _ = json.Marshal(claims)
	}
	input := b64.EncodeToString(header) + "." + b64.EncodeToString(payload)
	return input + "." + b64.EncodeToString(s.sign([]byte(input)))
}

// broken makes a token whose signature is one bit off.
func (s *signer) broken(number int) string {
	raw := s.token(number, nil)
	dot := strings.LastIndexByte(raw, '.')
	signature, _ := b64.DecodeString(raw[dot+1:])
	signature[len(signature)/2] ^= 1
	return raw[:dot+1] + b64.EncodeToString(signature)
}
