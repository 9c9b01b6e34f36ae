package jwt

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/hmac"
	"crypto/rand"
	"crypto/rsa"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"math/big"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/caddy-admit/admit/claims"
)

// noon is what the injected clock says unless a test moves it.
var noon = time.Unix(1_700_000_000, 0)

func clock() time.Time { return noon }

var b64 = base64.RawURLEncoding.EncodeToString

// The keys of all tests. Making them takes longer than the tests themselves.
var (
	rsaKeys = [2]func() *rsa.PrivateKey{newRSA(2048), newRSA(2048)}
	ec256   = newEC(elliptic.P256())
	ec384   = newEC(elliptic.P384())
	ec521   = newEC(elliptic.P521())
	edTest  = sync.OnceValue(func() ed25519.PrivateKey {
		_, k, err := ed25519.GenerateKey(rand.Reader)
		return must(k, err)
	})
	secret = []byte("0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef")
)

func newRSA(bits int) func() *rsa.PrivateKey {
	return sync.OnceValue(func() *rsa.PrivateKey { return must(rsa.GenerateKey(rand.Reader, bits)) })
}

func newEC(c elliptic.Curve) func() *ecdsa.PrivateKey {
	return sync.OnceValue(func() *ecdsa.PrivateKey { return must(ecdsa.GenerateKey(c, rand.Reader)) })
}

func must[T any](v T, err error) T {
	if err != nil {
		panic(err)
	}
	return v
}

// keyFor returns a private key, or a secret, for an algorithm.
func keyFor(alg string) any {
	switch alg {
	case "ES256":
		return ec256()
	case "ES384":
		return ec384()
	case "ES512":
		return ec521()
	case "EdDSA":
		return edTest()
	}
	if alg[0] == 'H' {
		return secret
	}
	return rsaKeys[0]()
}

// signature signs input with the standard library only.
func signature(alg string, key any, input string) []byte {
	if alg == "EdDSA" {
		return ed25519.Sign(key.(ed25519.PrivateKey), []byte(input))
	}
	h := map[string]crypto.Hash{"256": crypto.SHA256, "384": crypto.SHA384, "512": crypto.SHA512}[alg[2:]]
	hasher := h.New()
	hasher.Write([]byte(input))
	digest := hasher.Sum(nil)
	switch alg[:2] {
	case "HS":
		mac := hmac.New(h.New, key.([]byte))
		mac.Write([]byte(input))
		return mac.Sum(nil)
	case "RS":
		return must(rsa.SignPKCS1v15(rand.Reader, key.(*rsa.PrivateKey), h, digest))
	case "PS":
		return must(rsa.SignPSS(rand.Reader, key.(*rsa.PrivateKey), h, digest, &rsa.PSSOptions{SaltLength: rsa.PSSSaltLengthEqualsHash}))
	}
	k := key.(*ecdsa.PrivateKey)
	r, s, err := ecdsa.Sign(rand.Reader, k, digest)
	if err != nil {
		panic(err)
	}
	size := (k.Curve.Params().BitSize + 7) / 8
	return append(r.FillBytes(make([]byte, size)), s.FillBytes(make([]byte, size))...)
}

// sign makes a token of a header and a payload as they stand.
func sign(alg string, key any, header, payload string) string {
	input := b64([]byte(header)) + "." + b64([]byte(payload))
	return input + "." + b64(signature(alg, key, input))
}

// jwkOf writes the public half of a key as a JWK with some more members.
func jwkOf(key any, more ...string) string {
	m := map[string]any{}
	switch k := key.(type) {
	case *rsa.PrivateKey:
		m["kty"], m["n"], m["e"] = "RSA", b64(k.N.Bytes()), b64(big.NewInt(int64(k.E)).Bytes())
	case *ecdsa.PrivateKey:
		point := must(k.PublicKey.Bytes())[1:]
		half := len(point) / 2
		m["kty"], m["crv"], m["x"], m["y"] = "EC", k.Curve.Params().Name, b64(point[:half]), b64(point[half:])
	case ed25519.PrivateKey:
		m["kty"], m["crv"], m["x"] = "OKP", "Ed25519", b64(k.Public().(ed25519.PublicKey))
	case []byte:
		m["kty"], m["k"] = "oct", b64(k)
	}
	for i := 0; i < len(more); i += 2 {
		m[more[i]] = more[i+1]
	}
	return string(must(json.Marshal(m)))
}

func jwks(keys ...string) string { return `{"keys":[` + strings.Join(keys, ",") + `]}` }

func keySet(t testing.TB, keys ...string) *KeySet {
	t.Helper()
	set, _, err := ParseKeySet([]byte(jwks(keys...)))
	if err != nil {
		t.Fatal(err)
	}
	return set
}

// basePolicy is that of an API whose issuer signs with public keys.
func basePolicy() Policy {
	return Policy{
		Issuers:        []string{"https://idp.example"},
		Audience:       []string{"api"},
		AudienceClaims: []claims.Path{claims.MustPath("aud")},
		Algorithms:     Asymmetric,
		Types:          DefaultTypes,
		Leeway:         time.Minute,
	}
}

func newTestVerifier(t testing.TB, p Policy, keys KeySource) *Verifier {
	t.Helper()
	v, err := NewVerifier(p, keys, clock)
	if err != nil {
		t.Fatal(err)
	}
	return v
}

// check parses and verifies. It returns "" for an accepted token, the reason for
// a rejected one, and anything else as text.
func check(t testing.TB, v *Verifier, raw string) string {
	t.Helper()
	token, err := Parse(raw)
	if err == nil {
		err = v.Verify(t.Context(), token)
	}
	var rejected *RejectedError
	switch {
	case err == nil:
		return ""
	case errors.As(err, &rejected):
		if want := "jwt: token rejected: " + string(rejected.Reason); err.Error() != want {
			t.Errorf("got error text %q, want %q", err, want)
		}
		return string(rejected.Reason)
	}
	return err.Error()
}

// goodClaims are accepted by [basePolicy]. edit replaces or adds members, written
// as JSON; an empty value takes one out.
func goodClaims(edit ...string) string {
	m := map[string]json.RawMessage{
		"iss": json.RawMessage(`"https://idp.example"`),
		"aud": json.RawMessage(`"api"`),
		"sub": json.RawMessage(`"ann"`),
		"exp": json.RawMessage(fmt.Sprint(noon.Unix() + 300)),
		"iat": json.RawMessage(fmt.Sprint(noon.Unix() - 10)),
	}
	for i := 0; i < len(edit); i += 2 {
		m[edit[i]] = json.RawMessage(edit[i+1])
		if edit[i+1] == "" {
			delete(m, edit[i])
		}
	}
	return string(must(json.Marshal(m)))
}
