package jwt

import (
	"bytes"
	"crypto/ecdh"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/asn1"
	"encoding/pem"
	"fmt"
	"math/big"
	"strings"
	"testing"
	"time"
)

// withMember writes a JWK and replaces a member by JSON text.
func withMember(jwk, name, value string) string {
	return strings.TrimSuffix(jwk, "}") + `,"` + name + `":` + value + `}`
}

func pemOf(kind string, der []byte) string {
	return string(pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: der}))
}

// Keys that must not be used are dropped with a word why; the others still work.
// threat 10
func TestParseKeySet(t *testing.T) {
	r, e, ed := rsaKeys[0](), ec256(), edTest()
	small := must(rsa.GenerateKey(rand.Reader, 1024))
	private := func(jwk string) string { return withMember(jwk, "d", `"AQAB"`) }
	huge := new(big.Int).Add(new(big.Int).Lsh(big.NewInt(1), 64), big.NewInt(65537))
	rsaWith := func(n, e *big.Int) string {
		return `{"kty":"RSA","n":"` + b64(n.Bytes()) + `","e":"` + b64(e.Bytes()) + `"}`
	}
	point := must(e.PublicKey.Bytes())[1:]
	off := append([]byte(nil), point...)
	off[63] ^= 1
	ec := func(curve string, x, y []byte) string {
		return `{"kty":"EC","crv":"` + curve + `","x":"` + b64(x) + `","y":"` + b64(y) + `"}`
	}
	for _, tc := range []struct{ name, jwk, dropped string }{
		{"RSA", jwkOf(r), ""},
		{"RSA for signatures", jwkOf(r, "use", "sig", "alg", "RS256", "kid", "a"), ""},
		{"RSA with key_ops", withMember(jwkOf(r), "key_ops", `["verify"]`), ""},
		{"RSA for encryption", jwkOf(r, "use", "enc"), `"use" is not "sig"`},
		{"RSA with key_ops for encryption", withMember(jwkOf(r), "key_ops", `["encrypt","wrapKey"]`), `"key_ops"`},
		{"RSA with alg for encryption", jwkOf(r, "alg", "RSA-OAEP"), `"alg" is not`},
		{"RSA with alg none", jwkOf(r, "alg", "none"), `"alg" is not`},
		{"RSA with alg of EC", jwkOf(r, "alg", "ES256"), `does not fit`},
		{"RSA with alg of a secret", jwkOf(r, "alg", "HS256"), `does not fit`}, // threat 8
		{"RSA of 1024 bits", jwkOf(small), "1024 bits"},
		{"RSA of 8192 bits", rsaWith(new(big.Int).Add(new(big.Int).Lsh(big.NewInt(1), 8191), big.NewInt(1)), big.NewInt(65537)), ""},
		{"RSA of 16384 bits", rsaWith(new(big.Int).Add(new(big.Int).Lsh(big.NewInt(1), 16383), big.NewInt(1)), big.NewInt(65537)), "16384 bits"},
		{"RSA, even modulus", rsaWith(new(big.Int).Sub(r.N, big.NewInt(1)), big.NewInt(65537)), "unusable"},
		{"RSA, exponent 3", rsaWith(r.N, big.NewInt(3)), ""},
		{"RSA, exponent of 31 bits", rsaWith(r.N, big.NewInt(1<<31-1)), ""},
		{"RSA, exponent 1", rsaWith(r.N, big.NewInt(1)), "exponent"},
		{"RSA, exponent 0", rsaWith(r.N, big.NewInt(0)), "unusable"},
		{"RSA, even exponent", rsaWith(r.N, big.NewInt(65536)), "exponent"},
		{"RSA, exponent beyond 64 bits", rsaWith(r.N, huge), "exponent"},
		{"RSA, private", private(jwkOf(r)), "private"},
		{"RSA with an issuer", jwkOf(r, "issuer", "https://a"), ""},
		{"RSA with an issuer that is no text", withMember(jwkOf(r), "issuer", `["https://a"]`), `"issuer"`},
		{"EC", jwkOf(e), ""},
		{"EC with its alg", jwkOf(e, "alg", "ES256"), ""},
		{"EC with alg of another curve", jwkOf(e, "alg", "ES384"), "does not fit"},
		{"EC off the curve", ec("P-256", off[:32], off[32:]), "no point"},
		{"EC at zero", ec("P-256", make([]byte, 32), make([]byte, 32)), "no point"},
		{"EC on another curve", ec("P-384", point[:32], point[32:]), "no point"},
		{"EC on an unknown curve", ec("secp256k1", point[:32], point[32:]), "not a"},
		{"EC, private", private(jwkOf(e)), "private"},
		{"Ed25519", jwkOf(ed), ""},
		{"Ed25519 with alg EdDSA", jwkOf(ed, "alg", "EdDSA"), ""},
		{"Ed25519 with alg Ed25519", jwkOf(ed, "alg", "Ed25519"), ""},
		{"Ed25519 with alg Ed448", jwkOf(ed, "alg", "Ed448"), `"alg" is not`},
		{"Ed25519 cut", `{"kty":"OKP","crv":"Ed25519","x":"` + b64(make([]byte, 31)) + `"}`, "Ed25519"},
		{"Ed25519, private", private(jwkOf(ed)), "private"},
		{"X25519", `{"kty":"OKP","crv":"X25519","x":"` + b64(must(ecdh.X25519().GenerateKey(rand.Reader)).PublicKey().Bytes()) + `"}`, "unsupported"},
		{"shared secret", jwkOf(secret), "shared secret"},
		{"shared secret with alg", jwkOf(secret, "alg", "HS256", "use", "sig"), "shared secret"},
		{"unknown type", `{"kty":"AKP","alg":"ML-DSA-44","pub":"AAAA"}`, "not a JWK"},
		{"no type", `{"kid":"a"}`, "not a JWK"},
		{"no object", `"key"`, "not a JWK"},
		{"null", `null`, "not a JWK"},
		{"a set", jwks(jwkOf(r)), "not a JWK"},
	} {
		set, dropped, err := ParseKeySet([]byte(jwks(tc.jwk, jwkOf(ec384(), "kid", "good"))))
		if err != nil {
			t.Errorf("%s: %v", tc.name, err)
			continue
		}
		if len(set.byID["good"]) != 1 {
			t.Errorf("%s: took the good key with it", tc.name)
		}
		if tc.dropped == "" && (set.Len() != 2 || dropped != nil) {
			t.Errorf("%s: got %d keys, dropped %q", tc.name, set.Len(), dropped)
		}
		if tc.dropped != "" && (set.Len() != 1 || len(dropped) != 1 || !strings.Contains(dropped[0], tc.dropped) || !strings.HasPrefix(dropped[0], "key 0: ")) {
			t.Errorf("%s: got %d keys, dropped %q, want %q", tc.name, set.Len(), dropped, tc.dropped)
		}
	}
	for _, bad := range []string{``, `{}`, `[]`, `{"keys":null}`, `{"keys":{}}`, `{"keys":[]`, jwkOf(r), `<html>`} {
		if set, _, err := ParseKeySet([]byte(bad)); err == nil {
			t.Errorf("%.20q: taken for a set of %d keys", bad, set.Len())
		}
	}
	if set, _, err := ParseKeySet([]byte(`{"keys":[]}`)); err != nil || set.Len() != 0 {
		t.Errorf("empty set: got %v", err)
	}
}

// threat 10: a secret in a published set must not verify an HS256 token, whatever
// algorithms are accepted.
func TestSecretInKeySet(t *testing.T) {
	p := basePolicy()
	p.Algorithms = append(append([]string{}, Asymmetric...), Symmetric...)
	set := keySet(t, jwkOf(secret, "kid", "s", "alg", "HS256"), jwkOf(ec256(), "kid", "e"))
	v := newTestVerifier(t, p, StaticKeys(set))
	for raw, want := range map[string]string{
		sign("HS256", secret, `{"alg":"HS256","kid":"s"}`, goodClaims()):   "unknown_key",
		sign("HS256", secret, `{"alg":"HS256"}`, goodClaims()):             "unknown_key",
		sign("ES256", ec256(), `{"alg":"ES256","kid":"e"}`, goodClaims()):  "",
		sign("ES256", ec256(), `{"alg":"ES256","kid":"s"}`, goodClaims()):  "unknown_key",
		sign("HS256", []byte{}, `{"alg":"HS256","kid":"e"}`, goodClaims()): "unknown_key",
	} {
		if got := check(t, v, raw); got != want {
			t.Errorf("got %q, want %q", got, want)
		}
	}
}

// A row is which keys a set has and what a token says about its own.
// threat 12, threat 15
func TestKeyChoice(t *testing.T) {
	one, two := rsaKeys[0](), rsaKeys[1]()
	filler := func(n int) (keys []string) {
		for range n {
			keys = append(keys, jwkOf(two))
		}
		return keys
	}
	for _, tc := range []struct {
		name   string
		keys   []string
		header string
		want   string
	}{
		{"kid", []string{jwkOf(two, "kid", "b"), jwkOf(one, "kid", "a")}, `{"alg":"RS256","kid":"a"}`, ""},
		{"kid of another key", []string{jwkOf(two, "kid", "b"), jwkOf(one, "kid", "a")}, `{"alg":"RS256","kid":"b"}`, "bad_signature"},
		{"kid of none", []string{jwkOf(one, "kid", "a")}, `{"alg":"RS256","kid":"c"}`, "unknown_key"},
		{"kid, key without", []string{jwkOf(two, "kid", "b"), jwkOf(one)}, `{"alg":"RS256","kid":"c"}`, ""},
		{"kid of another key, key without", []string{jwkOf(two, "kid", "b"), jwkOf(one)}, `{"alg":"RS256","kid":"b"}`, "bad_signature"},
		{"no kid, one key", []string{jwkOf(one, "kid", "a")}, `{"alg":"RS256"}`, ""},
		{"no kid, several keys", []string{jwkOf(ec256(), "kid", "e"), jwkOf(two, "kid", "b"), jwkOf(one, "kid", "a")}, `{"alg":"RS256"}`, ""},
		{"shared kid", []string{jwkOf(two, "kid", "a"), jwkOf(ec256(), "kid", "a"), jwkOf(one, "kid", "a")}, `{"alg":"RS256","kid":"a"}`, ""},
		{"shared kid, foreign key", []string{jwkOf(two, "kid", "a"), jwkOf(ec256(), "kid", "a")}, `{"alg":"RS256","kid":"a"}`, "bad_signature"},
		{"eighth key", append(filler(7), jwkOf(one)), `{"alg":"RS256"}`, ""},
		{"ninth key", append(filler(8), jwkOf(one)), `{"alg":"RS256"}`, "bad_signature"},
		{"ninth key, second that fits", append(strings.Split(strings.Repeat(jwkOf(ec256())+"|", 7)+jwkOf(two), "|"), jwkOf(one)), `{"alg":"RS256"}`, ""},
		{"ninth key, by its kid", append(filler(8), jwkOf(one, "kid", "a")), `{"alg":"RS256","kid":"a"}`, ""},
		{"alg of the key", []string{jwkOf(one, "kid", "a", "alg", "RS256")}, `{"alg":"RS256","kid":"a"}`, ""},
		{"another alg of the key", []string{jwkOf(one, "kid", "a", "alg", "PS256")}, `{"alg":"RS256","kid":"a"}`, "unknown_key"},
		{"another size of the key", []string{jwkOf(one, "kid", "a", "alg", "RS512")}, `{"alg":"RS256","kid":"a"}`, "unknown_key"},
		{"another type of key", []string{jwkOf(ec256(), "kid", "a")}, `{"alg":"RS256","kid":"a"}`, "unknown_key"},
		{"no keys", nil, `{"alg":"RS256","kid":"a"}`, "unknown_key"},
	} {
		v := newTestVerifier(t, basePolicy(), StaticKeys(keySet(t, tc.keys...)))
		if got := check(t, v, sign("RS256", one, tc.header, goodClaims())); got != tc.want {
			t.Errorf("%s: got %q, want %q", tc.name, got, tc.want)
		}
	}
	// threat 12: the curve decides, not the header.
	v := newTestVerifier(t, basePolicy(), StaticKeys(keySet(t, jwkOf(ec256(), "kid", "a"))))
	for _, alg := range []string{"ES384", "ES512"} {
		if got := check(t, v, sign(alg, ec256(), `{"alg":"`+alg+`","kid":"a"}`, goodClaims())); got != "unknown_key" {
			t.Errorf("%s on P-256: got %q", alg, got)
		}
	}
}

// threat 8: an HMAC over a token, keyed with what everybody knows of a public key.
func TestPublicKeyAsHMACSecret(t *testing.T) {
	key := rsaKeys[0]()
	spki := must(x509.MarshalPKIXPublicKey(&key.PublicKey))
	text := pemOf("PUBLIC KEY", spki)
	p := basePolicy()
	p.Algorithms = append(append([]string{}, Asymmetric...), Symmetric...)
	public := must(ParseKeyFile([]byte(text)))
	mixed := Join(public, NewSecretKeySet([]byte("another secret of thirty-two bytes")))
	for name, guess := range map[string][]byte{
		"PEM":                []byte(text),
		"PEM without break":  []byte(strings.TrimSuffix(text, "\n")),
		"DER":                spki,
		"PKCS #1":            x509.MarshalPKCS1PublicKey(&key.PublicKey),
		"PKCS #1 PEM":        []byte(pemOf("RSA PUBLIC KEY", x509.MarshalPKCS1PublicKey(&key.PublicKey))),
		"JWK":                []byte(jwkOf(key)),
		"modulus":            key.N.Bytes(),
		"modulus in base64":  []byte(b64(key.N.Bytes())),
		"exponent":           {1, 0, 1},
		"nothing":            {},
		"zeros":              make([]byte, 32),
		"name of the method": []byte("RS256"),
	} {
		raw := sign("HS256", guess, `{"alg":"HS256"}`, goodClaims())
		if got := check(t, newTestVerifier(t, p, StaticKeys(public)), raw); got != "unknown_key" {
			t.Errorf("%s: got %q", name, got)
		}
		if got := check(t, newTestVerifier(t, p, StaticKeys(mixed)), raw); got != "bad_signature" {
			t.Errorf("%s beside a secret: got %q", name, got)
		}
	}
	if got := check(t, newTestVerifier(t, p, StaticKeys(mixed)), sign("RS256", key, `{"alg":"RS256"}`, goodClaims())); got != "" {
		t.Errorf("right key: got %q", got)
	}
}

// threat 16: bytes are taken as they are; how many there must be is for who reads
// the configuration.
func TestSecret(t *testing.T) {
	p := basePolicy()
	p.Algorithms = Symmetric
	given := []byte("0123456789abcdef0123456789abcdef")
	v := newTestVerifier(t, p, StaticKeys(NewSecretKeySet(given)))
	raw := sign("HS256", []byte("0123456789abcdef0123456789abcdef"), `{"alg":"HS256","kid":"any"}`, goodClaims())
	clear(given) // the set keeps a copy
	if got := check(t, v, raw); got != "" {
		t.Errorf("got %q", got)
	}
	for _, other := range []string{"0123456789abcdef0123456789abcdef\n", "0123456789abcdef0123456789abcdeg", "0123456789ABCDEF0123456789ABCDEF", ""} {
		if got := check(t, v, sign("HS256", []byte(other), `{"alg":"HS256"}`, goodClaims())); got != "bad_signature" {
			t.Errorf("%q: got %q", other, got)
		}
	}
	for alg, want := range map[string]int{"HS256": 32, "HS384": 48, "HS512": 64, "RS256": 32, "EdDSA": 0, "none": 0} {
		if got := HashSize(alg); got != want {
			t.Errorf("HashSize(%s): got %d, want %d", alg, got, want)
		}
	}
}

func TestParseKeyFile(t *testing.T) {
	r, e := rsaKeys[0](), ec256()
	spki := func(key any) string { return pemOf("PUBLIC KEY", must(x509.MarshalPKIXPublicKey(key))) }
	template := x509.Certificate{SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "x"}, NotAfter: time.Unix(1, 0)}
	cert := pemOf("CERTIFICATE", must(x509.CreateCertificate(rand.Reader, &template, &template, &r.PublicKey, r)))
	small := must(rsa.GenerateKey(rand.Reader, 1024))
	for _, tc := range []struct {
		name, text string
		keys       int
		want       string // a part of the error; "": none
	}{
		{"PEM", spki(&r.PublicKey), 1, ""},
		{"several in PEM", "# ours\n" + spki(&r.PublicKey) + spki(&e.PublicKey) + spki(edTest().Public()), 3, ""},
		{"PKCS #1", pemOf("RSA PUBLIC KEY", x509.MarshalPKCS1PublicKey(&r.PublicKey)), 1, ""},
		{"certificate", cert, 1, ""},
		{"JWK", jwkOf(r), 1, ""},
		{"JWK set", jwks(jwkOf(r), jwkOf(e)), 2, ""},
		{"nothing", "", 0, "neither PEM nor JWK"},
		{"text", "ssh-ed25519 AAAA", 0, "neither PEM nor JWK"},
		{"empty JWK set", jwks(), 0, "without keys"},
		{"one bad key in a set", jwks(jwkOf(r), jwkOf(secret)), 0, "shared secret"},
		{"secret as JWK", jwkOf(secret), 0, "shared secret"},
		{"private PEM", pemOf("PRIVATE KEY", must(x509.MarshalPKCS8PrivateKey(r))), 0, "not a public key"},
		{"private PEM behind a public one", spki(&r.PublicKey) + pemOf("EC PRIVATE KEY", must(x509.MarshalECPrivateKey(e))), 0, "not a public key"},
		{"small RSA", spki(&small.PublicKey), 0, "1024 bits"},
		{"unknown curve", spki(&newEC(elliptic.P224())().PublicKey), 0, "unknown curve"},
		{"X25519", spki(must(ecdh.X25519().GenerateKey(rand.Reader)).PublicKey()), 0, "unsupported"},
		{"broken DER", pemOf("PUBLIC KEY", []byte{0x30, 1}), 0, "PEM PUBLIC KEY"},
		{"broken certificate", pemOf("CERTIFICATE", []byte{0x30, 1}), 0, "PEM CERTIFICATE"},
	} {
		set, err := ParseKeyFile([]byte(tc.text))
		if (err == nil) != (tc.want == "") || err != nil && !strings.Contains(err.Error(), tc.want) {
			t.Errorf("%s: got %v, want %q", tc.name, err, tc.want)
			continue
		}
		if err == nil && set.Len() != tc.keys {
			t.Errorf("%s: got %d keys, want %d", tc.name, set.Len(), tc.keys)
		}
		if err != nil && strings.Contains(fmt.Sprint(err), b64(secret)) {
			t.Errorf("%s: error shows the key: %v", tc.name, err)
		}
	}
	v := newTestVerifier(t, basePolicy(), StaticKeys(must(ParseKeyFile([]byte(cert)))))
	if got := check(t, v, sign("PS384", r, `{"alg":"PS384","kid":"x"}`, goodClaims())); got != "" {
		t.Errorf("key of a certificate: got %q", got)
	}
}

func TestAppendDER(t *testing.T) {
	for _, size := range []int{32, 48, 66} {
		for short := range size + 1 {
			for _, first := range []byte{0x01, 0x7f, 0x80, 0xff} {
				r, s := make([]byte, size), make([]byte, size)
				for i := short; i < size; i++ {
					r[i], s[i] = first, first
				}
				s[size-1] = 1
				got := appendDER(nil, r, s)
				want := must(asn1.Marshal(struct{ R, S *big.Int }{new(big.Int).SetBytes(r), new(big.Int).SetBytes(s)}))
				if !bytes.Equal(got, want) || len(got) > maxDER {
					t.Fatalf("%x %x: got %x, want %x", r, s, got, want)
				}
			}
		}
	}
}
