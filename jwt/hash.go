package jwt

import (
	"crypto"
	"encoding/base64"
)

// HalfHash returns what "at_hash" says about an access token, and "c_hash" about a
// code, beside which the token was given out: the left half of a hash in base64url
// (OpenID Connect Core 1.0 section 3.1.3.6). The hash is that of the token's own
// algorithm, for EdDSA that of Ed25519 (RFC 8032 section 5.1), SHA-512. It is
// empty for an algorithm that is unknown.
func (t *Token) HalfHash(text string) string {
	alg := algorithms[t.header.Get("alg").String()]
	if alg == nil {
		return ""
	}
	hash := alg.hash
	if alg.family == familyEdDSA {
		hash = crypto.SHA512
	}
	h := hash.New()
	h.Write([]byte(text))
	digest := h.Sum(nil)
	return base64.RawURLEncoding.EncodeToString(digest[:len(digest)/2])
}
