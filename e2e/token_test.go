package e2e

import (
	"crypto/hmac"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"encoding/pem"
	"net/http"
	"strings"
	"testing"

	"github.com/go-jose/go-jose/v4"
)

// hs256 signs text that already is "<header>.<payload>", padded or not.
func hs256(signingInput string, key []byte) []byte {
	mac := hmac.New(sha256.New, key)
	mac.Write([]byte(signingInput))
	return mac.Sum(nil)
}

// encoded returns header and claims in compact form, ready to be signed.
func encoded(header, claims string) string {
	return base64.RawURLEncoding.EncodeToString([]byte(header)) + "." +
		base64.RawURLEncoding.EncodeToString([]byte(claims))
}

// hs256Token makes a token of a shared secret.
func hs256Token(claims string, key []byte) string {
	input := encoded(`{"alg":"HS256","typ":"JWT"}`, claims)
	return input + "." + base64.RawURLEncoding.EncodeToString(hs256(input, key))
}

// parts takes a token apart and decodes its header and claims.
func parts(t *testing.T, token string) (header, claims, signature string) {
	t.Helper()
	p := strings.Split(token, ".")
	if len(p) != 3 {
		t.Fatalf("%d parts in a token", len(p))
	}
	h, err1 := base64.RawURLEncoding.DecodeString(p[0])
	c, err2 := base64.RawURLEncoding.DecodeString(p[1])
	if err1 != nil || err2 != nil {
		t.Fatal(err1, err2)
	}
	return string(h), string(c), p[2]
}

// replaced changes text in the decoded header or claims and keeps the signature.
func replaced(t *testing.T, token, from, to string) string {
	t.Helper()
	header, claims, signature := parts(t, token)
	if !strings.Contains(header+claims, from) {
		t.Fatalf("no %q in the token", from)
	}
	return encoded(strings.Replace(header, from, to, 1), strings.Replace(claims, from, to, 1)) + "." + signature
}

// unknownKid gives a token a kid that no key has.
func unknownKid(t *testing.T, token string) string {
	t.Helper()
	header, claims, signature := parts(t, token)
	var members map[string]any
	if err := json.Unmarshal([]byte(header), &members); err != nil {
		t.Fatal(err)
	}
	members["kid"] = "kid-of-nobody"
	changed, _ := json.Marshal(members)
	return encoded(string(changed), claims) + "." + signature
}

// confused signs a token's claims by HS256 with the issuer's public RSA key as the
// secret: what a verifier accepts that takes the algorithm from the token.
func confused(t *testing.T, token, jwksURL string) string {
	t.Helper()
	resp, err := http.Get(jwksURL)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	var set jose.JSONWebKeySet
	if err := json.NewDecoder(resp.Body).Decode(&set); err != nil {
		t.Fatal(err)
	}
	header, claims, _ := parts(t, token)
	for _, key := range set.Keys {
		public, ok := key.Key.(*rsa.PublicKey)
		if !ok {
			continue
		}
		der, err := x509.MarshalPKIXPublicKey(public)
		if err != nil {
			t.Fatal(err)
		}
		secret := pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: der})
		input := encoded(strings.Replace(header, "RS256", "HS256", 1), claims)
		return input + "." + base64.RawURLEncoding.EncodeToString(hs256(input, secret))
	}
	t.Fatal("no RSA key in the JWKS")
	return ""
}
