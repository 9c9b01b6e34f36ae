package admit

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/hmac"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"math/big"
	"net/http"
	"sync"
)

// fakeKey signs ID tokens by one algorithm: RS256, ES256, HS256 or none.
type fakeKey struct {
	alg, kid string
	rsa      *rsa.PrivateKey
	ec       *ecdsa.PrivateKey
	secret   string
}

var fakeKeys sync.Map // by algorithm and id

// keyOf returns a key, the same each time.
func keyOf(alg, kid string) fakeKey {
	if key, ok := fakeKeys.Load(alg + " " + kid); ok {
		return key.(fakeKey)
	}
	key, err := fakeKey{alg: alg, kid: kid}, error(nil)
	switch alg {
	case "RS256":
		key.rsa, err = rsa.GenerateKey(rand.Reader, 2048)
	case "ES256":
		key.ec, err = ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	case "HS256":
		key.secret = clientSecret
	}
	if err != nil {
		panic(err)
	}
	fakeKeys.Store(alg+" "+kid, key)
	return key
}

// jwk returns the public key.
func (k fakeKey) jwk() object {
	b64 := base64.RawURLEncoding.EncodeToString
	members := object{"kid": k.kid, "alg": k.alg, "use": "sig"}
	switch k.alg {
	case "RS256":
		members["kty"], members["n"], members["e"] = "RSA", b64(k.rsa.N.Bytes()), b64(big.NewInt(int64(k.rsa.E)).Bytes())
	case "ES256":
		point, err := k.ec.PublicKey.Bytes()
		if err != nil {
			panic(err)
		}
		members["kty"], members["crv"], members["x"], members["y"] = "EC", "P-256", b64(point[1:33]), b64(point[33:])
	}
	return members
}

// token signs claims. Members of more are added to the header, nil takes one out.
func (k fakeKey) token(claims, more object) string {
	input := encodePart(put(object{"alg": k.alg, "kid": k.kid, "typ": "JWT"}, more)) + "." + encodePart(claims)
	return input + "." + base64.RawURLEncoding.EncodeToString(k.sign(input))
}

func (k fakeKey) sign(input string) (signature []byte) {
	sum := sha256.Sum256([]byte(input))
	switch k.alg {
	case "RS256":
		signature, _ = rsa.SignPKCS1v15(rand.Reader, k.rsa, crypto.SHA256, sum[:])
	case "ES256":
		r, s, _ := ecdsa.Sign(rand.Reader, k.ec, sum[:])
		signature = append(r.FillBytes(make([]byte, 32)), s.FillBytes(make([]byte, 32))...)
	case "HS256":
		mac := hmac.New(sha256.New, []byte(k.secret))
		mac.Write([]byte(input))
		signature = mac.Sum(nil)
	}
	return signature
}

func encodePart(v any) string {
	text, err := json.Marshal(v)
	if err != nil {
		panic(err)
	}
	return base64.RawURLEncoding.EncodeToString(text)
}

// basicOf reads HTTP Basic credentials.
func basicOf(h http.Header) (user, password string, ok bool) {
	return (&http.Request{Header: h}).BasicAuth()
}
