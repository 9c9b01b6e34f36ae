package local

import (
	"bytes"
	"context"
	"crypto/rand"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"slices"
	"time"

	"github.com/caddy-admit/admit/claims"
	"github.com/caddy-admit/admit/jwt"
)

// AccessTokenType is the "typ" header of the access tokens that are made here
// (RFC 9068 section 2.1).
const AccessTokenType = "at+jwt"

// Tokens makes access tokens for local users (RFC 9068).
type Tokens struct {
	// Issuer and Audience are the "iss" and "aud" of the tokens.
	Issuer   string
	Audience []string
	// Access is how long one is good.
	Access time.Duration
	Keys   *jwt.SigningKeys
	Now    func() time.Time
}

// Make signs an access token for a user with the user's claims. Registered
// claims are those of the token, whatever the user's are called (CVE-2024-29892).
func (t *Tokens) Make(ctx context.Context, user string, own *claims.Set) (string, error) {
	id := make([]byte, 16)
	rand.Read(id) // never fails (crypto/rand)
	now := t.Now()
	var kept map[string]json.RawMessage
	members := map[string]any{}
	if own != nil {
		if err := json.Unmarshal(own.Bytes(), &kept); err != nil {
			return "", fmt.Errorf("local: claims of %s: %w", user, err)
		}
	}
	for name, value := range kept {
		if !slices.Contains(ReservedClaims, name) {
			members[name] = value
		}
	}
	members["iss"], members["sub"], members["jti"] = t.Issuer, user, base64.RawURLEncoding.EncodeToString(id)
	members["iat"], members["exp"] = now.Unix(), now.Add(t.Access).Unix()
	if members["aud"] = any(t.Audience); len(t.Audience) == 1 {
		members["aud"] = t.Audience[0]
	}
	payload, err := json.Marshal(members)
	if err != nil {
		return "", fmt.Errorf("local: %w", err)
	}
	return t.Keys.Sign(ctx, AccessTokenType, payload)
}

// Named returns claims with a "sub" before them: those by which the gate knows a
// user or the holder of an API key.
func Named(id string, own *claims.Set) (*claims.Set, error) {
	sub, err := json.Marshal(id)
	if err != nil {
		return nil, fmt.Errorf("local: %w", err)
	}
	data := append([]byte(`{"sub":`), sub...)
	rest := []byte("}")
	if own != nil {
		if rest = bytes.TrimSpace(own.Bytes())[1:]; len(bytes.TrimSpace(rest)) > 1 {
			data = append(data, ',')
		}
	}
	return claims.Parse(append(data, rest...))
}
