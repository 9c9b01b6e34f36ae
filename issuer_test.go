package admit

import (
	"crypto/ed25519"
	"encoding/base64"
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"sync"
	"testing"
)

// issuer publishes keys as an OpenID provider does, counts what is fetched and
// can misbehave.
type issuer struct {
	*httptest.Server

	mu      sync.Mutex
	keys    []map[string]any
	fetched map[string]int // by path
	broken  http.HandlerFunc
	name    string // in the discovery document, if not its URL
}

func newIssuer(t *testing.T, keys ...map[string]any) *issuer {
	is := &issuer{keys: keys, fetched: map[string]int{}}
	is.Server = httptest.NewServer(is)
	t.Cleanup(is.Close)
	return is
}

func (is *issuer) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	is.mu.Lock()
	is.fetched[r.URL.Path]++
	broken, keys, name := is.broken, is.keys, is.name
	is.mu.Unlock()
	if name == "" {
		name = is.URL
	}
	switch {
	case broken != nil:
		broken(w, r)
	case r.URL.Path == "/jwks":
		writeJSON(w, map[string]any{"keys": keys})
	case r.URL.Path == "/.well-known/openid-configuration":
		writeJSON(w, map[string]any{"issuer": name, "jwks_uri": is.URL + "/jwks"})
	default:
		http.NotFound(w, r)
	}
}

func writeJSON(w http.ResponseWriter, v any) {
	w.Header().Set("Content-Type", "application/json")
	_ = json.NewEncoder(w).Encode(v)
}

// misbehave answers everything with a handler from now on, nil for itself.
func (is *issuer) misbehave(with http.HandlerFunc) {
	is.mu.Lock()
	defer is.mu.Unlock()
	is.broken = with
}

func (is *issuer) count(path string) int {
	is.mu.Lock()
	defer is.mu.Unlock()
	return is.fetched[path]
}

// testKey is a key of an issuer, made of a seed.
type testKey struct {
	private ed25519.PrivateKey
	kid     string
}

func newKey(kid, seed string) testKey {
	padded := make([]byte, ed25519.SeedSize)
	copy(padded, seed)
	return testKey{ed25519.NewKeyFromSeed(padded), kid}
}

// jwk returns the public key with more members; nil leaves one out.
func (k testKey) jwk(more map[string]any) map[string]any {
	public := k.private.Public().(ed25519.PublicKey)
	members := map[string]any{
		"kty": "OKP", "crv": "Ed25519", "alg": "EdDSA", "use": "sig", "kid": k.kid,
		"x": base64.RawURLEncoding.EncodeToString(public),
	}
	for name, value := range more {
		if members[name] = value; value == nil {
			delete(members, name)
		}
	}
	return members
}

// token signs claims; header holds more members, nil leaves one out.
func (k testKey) token(t *testing.T, claims, header map[string]any) string {
	t.Helper()
	members := map[string]any{"alg": "EdDSA", "kid": k.kid, "typ": "JWT"}
	for name, value := range header {
		if members[name] = value; value == nil {
			delete(members, name)
		}
	}
	input := encodeJSON(t, members) + "." + encodeJSON(t, claims)
	return input + "." + base64.RawURLEncoding.EncodeToString(ed25519.Sign(k.private, []byte(input)))
}

// bearer returns the header line of a good token of an issuer with more claims.
func (k testKey) bearer(t *testing.T, iss string, more map[string]any) string {
	t.Helper()
	claims := good(more)
	if _, given := more["iss"]; !given {
		claims["iss"] = iss
	}
	return "Authorization: Bearer " + k.token(t, claims, nil)
}

func encodeJSON(t *testing.T, v any) string {
	t.Helper()
	text, err := json.Marshal(v)
	if err != nil {
		t.Fatal(err)
	}
	return base64.RawURLEncoding.EncodeToString(text)
}
