package jwt

import (
	"encoding/json"
	"maps"
	"os"
	"strings"
	"testing"
)

// vectors is a file of Wycheproof.
type vectors struct {
	TestGroups []vectorGroup `json:"testGroups"`
}

// vectorGroup holds tests with one key or set of keys, Public where it is one.
type vectorGroup struct {
	Comment string          `json:"comment"`
	Public  json.RawMessage `json:"public"`
	Private json.RawMessage `json:"private"`
	Tests   []vector        `json:"tests"`
}

type vector struct {
	ID      int             `json:"tcId"`
	Comment string          `json:"comment"`
	JWS     json.RawMessage `json:"jws"` // text, or an object: the JSON serialization
	Result  string          `json:"result"`
}

func (v *vector) raw() string {
	var text string
	if json.Unmarshal(v.JWS, &text) != nil {
		return string(v.JWS)
	}
	return text
}

// vectorKey is what a group's keys have that decides whether a vector applies.
type vectorKey struct {
	Type string `json:"kty"`
	Alg  string `json:"alg"`
	K    string `json:"k"`
}

// keys reads the keys of a group as this package reads them: public ones from a
// set, shared secrets as bytes, which in a set are dropped (threat 10).
func (g *vectorGroup) keys(t *testing.T) (set *KeySet, list []vectorKey) {
	t.Helper()
	raw := g.Public
	if raw == nil {
		raw = g.Private
	}
	var doc struct {
		Keys []json.RawMessage `json:"keys"`
	}
	if json.Unmarshal(raw, &doc) != nil || doc.Keys == nil {
		doc.Keys = []json.RawMessage{raw}
	}
	var sets []*KeySet
	for _, raw := range doc.Keys {
		var k vectorKey
		if err := json.Unmarshal(raw, &k); err != nil {
			t.Fatal(err)
		}
		list = append(list, k)
		public, _, err := ParseKeySet([]byte(jwks(string(raw))))
		if err != nil {
			t.Fatal(err)
		}
		if k.Type == "oct" && public.Len() > 0 {
			t.Errorf("%s: a shared secret counts as a public key", g.Comment)
		}
		sets = append(sets, public)
	}
	return Join(sets...), list
}

// secretSet is what an operator would configure by "secret" for the group's only
// key. Its length is checked where the configuration is read: here by the same
// rule.
func secretSet(list []vectorKey) (*KeySet, bool) {
	if len(list) != 1 || list[0].Type != "oct" {
		return nil, false
	}
	secret, err := strict.DecodeString(list[0].K)
	if err != nil || HashSize(list[0].Alg) == 0 || len(secret) < HashSize(list[0].Alg) {
		return nil, false
	}
	return NewSecretKeySet(secret), true
}

// accepts runs a token through everything but the claims, which the payloads of
// these vectors do not have: the code is that of [Parse] and [Verifier.Verify].
func accepts(t *testing.T, set *KeySet, algorithms []string, raw string) bool {
	t.Helper()
	v := newTestVerifier(t, Policy{Algorithms: algorithms, Types: DefaultTypes}, StaticKeys(set))
	token := new(Token)
	if _, reason := token.split(raw); reason != "" {
		return false
	}
	alg, reason := v.rules.header(token)
	return reason == "" && v.try(set, token, alg).reason == ""
}

// leftOut says why a vector that Wycheproof calls valid is refused, or one that it
// calls invalid says nothing, "" if it must come out as in the file.
func leftOut(v *vector, keys []vectorKey) string {
	raw := v.raw()
	switch {
	case strings.Contains(raw, "..") && v.Result == "valid":
		return "empty payload: no claims"
	case strings.Trim(raw, b64Alphabet+".") != "" && v.Result == "valid":
		return "characters that are not base64url"
	case len(keys) > 1 && v.Result == "valid":
		return "several shared secrets: an integration has one"
	case v.Result == "valid" && algOf(raw) != keys[0].Alg:
		return "key for another algorithm" // RFC 7520 has two; ES521 is no algorithm at all
	case strings.HasPrefix(v.Comment, "invalidBase64Padding") && !strings.Contains(raw, "="):
		return "about padding, without any" // and with a good MAC
	case v.Comment == "rejectsKeyWithRocaVulnerability":
		return "weak primes (ROCA) are not looked for"
	}
	return ""
}

func algOf(raw string) (alg string) {
	token := new(Token)
	if _, reason := token.split(raw); reason == "" {
		alg = token.header.Get("alg").String()
	}
	return alg
}

const b64Alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"

// threat 1, threat 4, threat 7, threat 8, threat 9, threat 10, threat 11, threat 12
func TestWycheproof(t *testing.T) {
	for _, tc := range []struct {
		file           string
		valid, invalid int            // how many must have run
		left           map[string]int // how many are left out, and why
	}{
		{"json_web_signature_test.json", 34, 353, map[string]int{
			"empty payload: no claims": 6, "key for another algorithm": 4,
			"characters that are not base64url": 2, "about padding, without any": 2,
		}},
		{"json_web_key_test.json", 4, 20, map[string]int{
			"several shared secrets: an integration has one": 1, "weak primes (ROCA) are not looked for": 1,
		}},
		{"json_web_crypto_test.json", 3, 44, map[string]int{
			"encrypted": 34, "several shared secrets: an integration has one": 1, "weak primes (ROCA) are not looked for": 1,
		}},
	} {
		t.Run(tc.file, func(t *testing.T) {
			valid, invalid, left := runVectors(t, "testdata/wycheproof/"+tc.file)
			if valid != tc.valid || invalid != tc.invalid || !maps.Equal(left, tc.left) {
				t.Errorf("%d valid and %d invalid vectors ran, want %d and %d; left out %v, want %v",
					valid, invalid, tc.valid, tc.invalid, left, tc.left)
			}
		})
	}
}

func runVectors(t *testing.T, name string) (valid, invalid int, left map[string]int) {
	data, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	var file vectors
	if err := json.Unmarshal(data, &file); err != nil {
		t.Fatal(err)
	}
	left = make(map[string]int)
	for _, g := range file.TestGroups {
		set, list := g.keys(t)
		algorithms := Asymmetric
		if shared, ok := secretSet(list); ok {
			set, algorithms = shared, Symmetric
		}
		for _, v := range g.Tests {
			if v.JWS == nil {
				left["encrypted"]++
				continue
			}
			if why := leftOut(&v, list); why != "" {
				left[why]++
				continue
			}
			if v.Result == "valid" {
				valid++
			} else {
				invalid++
			}
			if got := accepts(t, set, algorithms, v.raw()); got != (v.Result == "valid") {
				t.Errorf("%s, vector %d (%s): accepted is %v, want %s", g.Comment, v.ID, v.Comment, got, v.Result)
			}
		}
	}
	return valid, invalid, left
}
