package jwt

import (
	"context"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"encoding/json"
	"encoding/pem"
	"math/big"
	"strings"
	"testing"

	"github.com/caddy-admit/admit/claims"
)

func privatePEM(kind string, der []byte, err error) []byte {
	return pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: must(der, err)})
}

// privateJWK writes a whole key as a JWK with some more members.
func privateJWK(key any, d []byte, more ...string) []byte {
	var m map[string]any
	if err := json.Unmarshal([]byte(jwkOf(key, more...)), &m); err != nil {
		panic(err)
	}
	m["d"] = b64(d)
	if k, ok := key.(*rsa.PrivateKey); ok {
		m["p"], m["q"] = b64(k.Primes[0].Bytes()), b64(k.Primes[1].Bytes())
		m["dp"], m["dq"] = b64(k.Precomputed.Dp.Bytes()), b64(k.Precomputed.Dq.Bytes())
		m["qi"] = b64(k.Precomputed.Qinv.Bytes())
	}
	return must(json.Marshal(m))
}

func TestParsePrivateKey(t *testing.T) {
	pkcs8 := func(key any) []byte {
		der, err := x509.MarshalPKCS8PrivateKey(key)
		return privatePEM("PRIVATE KEY", der, err)
	}
	sec1, err := x509.MarshalECPrivateKey(ec256())
	ecPEM := privatePEM("EC PRIVATE KEY", sec1, err)
	ecD := must(ec256().Bytes())
	small := must(rsa.GenerateKey(rand.Reader, 1024))
	other := must(rsa.GenerateKey(rand.Reader, 2048))
	mixed := *rsaKeys[0]()
	mixed.D = new(big.Int).Set(other.D)
	spki, spkiErr := x509.MarshalPKIXPublicKey(&ec256().PublicKey)
	for _, tc := range []struct {
		name string
		data []byte
		alg  string // "" for an error
		kid  string
		want string // part of the error
	}{
		{"RSA, PKCS 8", pkcs8(rsaKeys[0]()), "RS256", "", ""},
		{"RSA, PKCS 1", privatePEM("RSA PRIVATE KEY", x509.MarshalPKCS1PrivateKey(rsaKeys[0]()), nil), "RS256", "", ""},
		{"EC, PKCS 8", pkcs8(ec256()), "ES256", "", ""},
		{"EC, SEC 1", ecPEM, "ES256", "", ""},
		{"Ed25519", pkcs8(edTest()), "EdDSA", "", ""},
		{"RSA as JWK", privateJWK(rsaKeys[0](), rsaKeys[0]().D.Bytes(), "kid", "r1"), "RS256", "r1", ""},
		{"EC as JWK", privateJWK(ec256(), ecD, "kid", "e1", "alg", "ES256"), "ES256", "e1", ""},
		{"Ed25519 as JWK", privateJWK(edTest(), edTest().Seed(), "alg", "Ed25519"), "EdDSA", "", ""},

		{"EC as JWK with another alg", privateJWK(ec256(), ecD, "alg", "ES384"), "", "", "is not ES256"},
		{"RSA as JWK with another alg", privateJWK(rsaKeys[0](), rsaKeys[0]().D.Bytes(), "alg", "PS256"), "", "", "is not RS256"},
		{"RSA as JWK with another key's d", privateJWK(&mixed, mixed.D.Bytes()), "", "", "private key"},
		{"EC as JWK with another key's point", privateJWK(newEC(ec256().Curve)(), ecD), "", "", "private key"},
		{"RSA too small", pkcs8(small), "", "", "1024 bits"},
		{"P-384", pkcs8(ec384()), "", "", "expected RSA, EC on P-256"},
		{"public PEM", privatePEM("PUBLIC KEY", spki, spkiErr), "", "", "another kind"},
		{"public JWK", []byte(jwkOf(ec256())), "", "", "not a private key"},
		{"a secret as JWK", []byte(`{"kty":"oct","k":"c2VjcmV0"}`), "", "", "not a private key"},
		{"two keys", append(append([]byte{}, ecPEM...), ecPEM...), "", "", "expected one PEM block"},
		{"encrypted", privatePEM("ENCRYPTED PRIVATE KEY", []byte("x"), nil), "", "", "expected an unencrypted"},
		{"broken PEM", privatePEM("PRIVATE KEY", []byte("x"), nil), "", "", "cannot be read"},
		{"text", []byte("hunter2"), "", "", "neither PEM nor JWK"},
		{"empty", nil, "", "", "neither PEM nor JWK"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			k, err := ParsePrivateKey(tc.data)
			if err != nil {
				if tc.alg != "" || !strings.Contains(err.Error(), tc.want) || strings.Contains(err.Error(), "hunter2") {
					t.Errorf("got error %v, want one with %q", err, tc.want)
				}
				return
			}
			if tc.alg == "" {
				t.Fatalf("accepted, want an error with %q", tc.want)
			}
			raw := must(k.Sign("JWT", []byte(`{"iss":"app"}`)))
			token := must(Parse(raw))
			if got := token.header.Get("alg").String() + " " + token.header.Get("kid").String(); got != tc.alg+" "+tc.kid {
				t.Errorf("got header %s", got)
			}
			v := must(NewVerifier(Policy{Algorithms: []string{tc.alg}, Types: DefaultTypes, ExpiryOptional: true}, StaticKeys(newKeySet([]*key{k.key.key})), clock))
			if err := v.Verify(context.Background(), token); err != nil {
				t.Error(err)
			}
		})
	}
}

// TestHalfHash has the example of OpenID Connect Core 1.0 appendix A.3.
func TestHalfHash(t *testing.T) {
	const access = "jHkWEdUXMU1BwAsC4vtUsZwnNvTIxEl0z9K3vx5KF0Y"
	for alg, want := range map[string]string{
		"RS256": "77QmUPtjPfzWtF2AnpK9RQ",
		"ES256": "77QmUPtjPfzWtF2AnpK9RQ",
		"XX256": "",
	} {
		token := must(Parse(b64([]byte(`{"alg":"`+alg+`"}`)) + "." + b64([]byte(`{}`)) + "." + b64([]byte("x"))))
		if got := token.HalfHash(access); got != want {
			t.Errorf("%s: got %q, want %q", alg, got, want)
		}
	}
	for alg, size := range map[string]int{"ES384": 32, "PS512": 43, "EdDSA": 43, "HS256": 22} {
		token := must(Parse(b64([]byte(`{"alg":"`+alg+`"}`)) + "." + b64([]byte(`{}`)) + "." + b64([]byte("x"))))
		if got := token.HalfHash(access); len(got) != size {
			t.Errorf("%s: got %q, want %d characters", alg, got, size)
		}
	}
}

// TestParseSized: a limit is one on the whole text (threat 2).
func TestParseSized(t *testing.T) {
	raw := sign("HS256", secret, `{"alg":"HS256"}`, `{"pad":"`+strings.Repeat("x", MaxTokenSize)+`"}`)
	if _, err := Parse(raw); err == nil || err.Error() != reject(claims.MalformedToken).Error() {
		t.Errorf("got %v", err)
	}
	if _, err := ParseSized(raw, len(raw)); err != nil {
		t.Error(err)
	}
	if _, err := ParseSized(raw, len(raw)-1); err == nil {
		t.Error("longer than the limit, and accepted")
	}
}
