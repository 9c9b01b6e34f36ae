package oauth

import (
	"crypto/rand"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"time"

	"github.com/caddy-admit/admit/jwt"
)

// assertionLife is how long an assertion is good for. It is made for each request.
const assertionLife = time.Minute

// ClientKey is the private key by which a client proves who it is.
type ClientKey struct{ private *jwt.PrivateKey }

// ParseClientKey reads a private key in PEM or as a JWK, whose "kid" is kept: RSA
// signs with RS256, EC on P-256 with ES256, Ed25519 with EdDSA.
func ParseClientKey(pemOrJWK []byte) (*ClientKey, error) {
	private, err := jwt.ParsePrivateKey(pemOrJWK)
	if err != nil {
		return nil, fmt.Errorf("oauth: client key: %w", err)
	}
	return &ClientKey{private}, nil
}

// Fingerprint tells a key from others, and is no secret. That of nil is empty.
func (k *ClientKey) Fingerprint() (string, error) {
	if k == nil {
		return "", nil
	}
	return k.private.Fingerprint()
}

// assertion says who the client is, to one token endpoint and once (RFC 7523
// section 3, OpenID Connect Core 1.0 section 9).
func (k *ClientKey) assertion(clientID, tokenURL string, now time.Time) (string, error) {
	id := make([]byte, 18)
	rand.Read(id) // never fails (crypto/rand)
	payload, err := json.Marshal(struct {
		Issuer   string `json:"iss"`
		Subject  string `json:"sub"`
		Audience string `json:"aud"`
		ID       string `json:"jti"`
		Issued   int64  `json:"iat"`
		Expires  int64  `json:"exp"`
	}{clientID, clientID, tokenURL, base64.RawURLEncoding.EncodeToString(id), now.Unix(), now.Add(assertionLife).Unix()})
	if err != nil {
		return "", err
	}
	return k.private.Sign("JWT", payload)
}
