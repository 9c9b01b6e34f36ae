package jwt

import (
	"strings"
	"testing"
)

// A row is the header of a token that is right in everything else.
func TestHeader(t *testing.T) {
	attacker := rsaKeys[1]()
	v := newTestVerifier(t, basePolicy(), StaticKeys(keySet(t, jwkOf(rsaKeys[0](), "kid", "k1"))))
	for _, tc := range []struct{ header, want string }{
		{`{"alg":"RS256"}`, ""},
		{`{"alg":"RS256","kid":"k1"}`, ""},
		{`{"\u0061lg":"R\u0053256","kid":"k1"}`, ""},
		// threat 1
		{`{}`, "unsupported_algorithm"},
		{`{"alg":null}`, "unsupported_algorithm"},
		{`{"alg":""}`, "unsupported_algorithm"},
		{`{"alg":"none"}`, "unsupported_algorithm"},
		{`{"alg":"None"}`, "unsupported_algorithm"},
		{`{"alg":"NONE"}`, "unsupported_algorithm"},
		{`{"alg":"none "}`, "unsupported_algorithm"},
		{`{"alg":"n\u006fne"}`, "unsupported_algorithm"},
		{`{"alg":"RS256 "}`, "unsupported_algorithm"},
		{`{"alg":"rs256"}`, "unsupported_algorithm"},
		{`{"alg":"RS256\u0000"}`, "unsupported_algorithm"},
		{`{"alg":["RS256"]}`, "unsupported_algorithm"},
		{`{"alg":256}`, "unsupported_algorithm"},
		{`{"Alg":"RS256"}`, "unsupported_algorithm"}, // threat 3
		{`{"ALG":"none","alg":"RS256"}`, ""},
		{`{"alg":"RS1"}`, "unsupported_algorithm"},
		{`{"alg":"ES256K"}`, "unsupported_algorithm"},
		{`{"alg":"HS256"}`, "unsupported_algorithm"}, // threat 8: not among those of public keys
		{`{"alg":"PS256"}`, "bad_signature"},         // threat 12
		{`{"alg":"RS512"}`, "bad_signature"},
		// threat 13
		{`{"alg":"RS256","crit":["x"],"x":1}`, "critical_header"},
		{`{"alg":"RS256","crit":["exp"],"exp":1}`, "critical_header"},
		{`{"alg":"RS256","crit":[]}`, "critical_header"},
		{`{"alg":"RS256","crit":null}`, "critical_header"},
		{`{"alg":"RS256","cr\u0069t":["b64"],"b64":true}`, "critical_header"},
		{`{"alg":"RS256","b64":false}`, "critical_header"},
		{`{"alg":"RS256","b64":true}`, "critical_header"},
		{`{"alg":"RS256","Crit":["x"]}`, ""},
		// threat 9: what names a key is not looked at.
		{`{"alg":"RS256","jku":"http://127.0.0.1:1/"}`, ""},
		{`{"alg":"RS256","x5u":"http://127.0.0.1:1/"}`, ""},
		{`{"alg":"RS256","jwk":` + jwkOf(attacker) + `}`, ""},
		{`{"alg":"RS256","x5c":["AAAA"],"x5t":"AAAA","jwks":{"keys":[]}}`, ""},
		// threat 4, threat 96
		{`{"alg":"RS256","enc":"A256GCM"}`, "encrypted"},
		{`{"alg":"PBES2-HS256+A128KW","enc":"A256GCM","p2c":1000000000,"p2s":"AAAA"}`, "encrypted"},
		{`{"alg":"dir"}`, "unsupported_algorithm"},
		{`{"alg":"RS256","zip":"DEF"}`, ""}, // means nothing in a signed token
		// threat 14: a lookup in a map and nothing else.
		{`{"alg":"RS256","kid":"k2"}`, "unknown_key"},
		{`{"alg":"RS256","kid":""}`, "unknown_key"},
		{`{"alg":"RS256","kid":"K1"}`, "unknown_key"},
		{`{"alg":"RS256","kid":"k1 "}`, "unknown_key"},
		{`{"alg":"RS256","kid":"../../../../dev/null"}`, "unknown_key"},
		{`{"alg":"RS256","kid":"/etc/passwd\u0000"}`, "unknown_key"},
		{`{"alg":"RS256","kid":"http://127.0.0.1:1/"}`, "unknown_key"},
		{`{"alg":"RS256","kid":"' OR 1=1 --"}`, "unknown_key"},
		{`{"alg":"RS256","kid":"{env.HOME}"}`, "unknown_key"}, // threat 95
		{`{"alg":"RS256","kid":"` + strings.Repeat("k1", 5000) + `"}`, "unknown_key"},
		{`{"alg":"RS256","kid":null}`, "malformed_token"},
		{`{"alg":"RS256","kid":1}`, "malformed_token"},
		{`{"alg":"RS256","kid":["k1"]}`, "malformed_token"},
		// threat 27
		{`{"alg":"RS256","typ":"JWT"}`, ""},
		{`{"alg":"RS256","typ":"jwt"}`, ""},
		{`{"alg":"RS256","typ":"at+jwt"}`, ""},
		{`{"alg":"RS256","typ":"application/at+jwt"}`, ""},
		{`{"alg":"RS256","typ":"Application/AT+JWT"}`, ""},
		{`{"alg":"RS256","typ":""}`, "wrong_type"},
		{`{"alg":"RS256","typ":"application/"}`, "wrong_type"},
		{`{"alg":"RS256","typ":"application/application/jwt"}`, "wrong_type"},
		{`{"alg":"RS256","typ":"text/jwt"}`, "wrong_type"},
		{`{"alg":"RS256","typ":"JWT "}`, "wrong_type"},
		{`{"alg":"RS256","typ":"JWT; x=y"}`, "wrong_type"},
		{`{"alg":"RS256","typ":null}`, "wrong_type"},
		{`{"alg":"RS256","typ":["JWT"]}`, "wrong_type"},
		{`{"alg":"RS256","typ":"logout+jwt"}`, "wrong_type"},
		{`{"alg":"RS256","typ":"dpop+jwt"}`, "wrong_type"},
		{`{"alg":"RS256","typ":"secevent+jwt"}`, "wrong_type"},
		{`{"alg":"RS256","typ":"Refresh"}`, "wrong_type"},
		{`{"alg":"RS256","cty":"JWT"}`, ""},
	} {
		raw := sign("RS256", rsaKeys[0](), tc.header, goodClaims())
		if got := check(t, v, raw); got != tc.want {
			t.Errorf("%.100s: got %q, want %q", tc.header, got, tc.want)
		}
	}
	// threat 9: the same headers with the attacker's own signature.
	for _, header := range []string{
		`{"alg":"RS256","jwk":` + jwkOf(attacker) + `}`,
		`{"alg":"RS256","kid":"k1","jwk":` + jwkOf(attacker, "kid", "k1") + `}`,
		`{"alg":"RS256","jku":"http://127.0.0.1:1/"}`,
	} {
		if got := check(t, v, sign("RS256", attacker, header, goodClaims())); got != "bad_signature" {
			t.Errorf("%.60s: got %q", header, got)
		}
	}
}

func TestTypes(t *testing.T) {
	p := basePolicy()
	p.Types = []string{"application/Corp+JWT"}
	v := newTestVerifier(t, p, StaticKeys(keySet(t, jwkOf(ec256()))))
	for header, want := range map[string]string{
		`{"alg":"ES256","typ":"corp+jwt"}`:             "",
		`{"alg":"ES256","typ":"application/corp+jwt"}`: "",
		`{"alg":"ES256","typ":"JWT"}`:                  "wrong_type",
		`{"alg":"ES256"}`:                              "wrong_type",
	} {
		if got := check(t, v, sign("ES256", ec256(), header, goodClaims())); got != want {
			t.Errorf("%s: got %q, want %q", header, got, want)
		}
	}
}

// A header that is known from a token that was accepted says what it says to who reads
// it for the first time, to every verifier, and only accepted ones are remembered.
func TestKnownHeader(t *testing.T) {
	strictTypes, lenient := basePolicy(), basePolicy()
	strictTypes.Types, lenient.LenientPadding = []string{"at+jwt"}, true
	keys := StaticKeys(keySet(t, jwkOf(edTest(), "kid", "known-1")))
	v, strict, padding := newTestVerifier(t, basePolicy(), keys), newTestVerifier(t, strictTypes, keys), newTestVerifier(t, lenient, keys)
	text := `{"alg":"EdDSA","typ":"JWT","kid":"known-1","x":"known header"}`
	raw := sign("EdDSA", edTest(), text, goodClaims())
	first, rest, _ := strings.Cut(raw, ".")
	known := func(encoded string) bool { return knownHeader([]byte(encoded)) != nil }

	token := must(Parse(raw[:len(raw)-8] + "AAAAAAAA"))
	if err := v.Verify(t.Context(), token); err == nil || known(first) {
		t.Fatalf("got %v for a bad signature, remembered: %v", err, known(first))
	}
	for i, tc := range []struct {
		v    *Verifier
		raw  string
		want string
	}{
		{v, raw, ""},
		{strict, raw, "wrong_type"},
		{v, raw, ""},
		{v, first + "." + rest[:len(rest)-8] + "AAAAAAAA", "bad_signature"},
		{v, sign("EdDSA", edTest(), text, goodClaims("exp", "1600000000")), "expired"},
		{v, first + "=." + rest, "malformed_token"},
		{v, first + "==." + rest, "malformed_token"},
		{v, first[:len(first)-1] + "." + rest, "malformed_token"},
		{padding, raw, ""},
		{v, sign("EdDSA", edTest(), text[:len(text)-1]+`,"crit":[]}`, goodClaims()), "critical_header"},
		{v, sign("EdDSA", edTest(), strings.Replace(text, "known-1", "known-2", 1), goodClaims()), "unknown_key"},
	} {
		if got := check(t, tc.v, tc.raw); got != tc.want {
			t.Errorf("%d: got %q, want %q", i, got, tc.want)
		}
		if i == 0 && !known(first) {
			t.Error("not remembered")
		}
	}
	one, again := must(Parse(raw)), must(Parse(raw))
	if one.header != again.header || !one.header.known || string(one.header.Bytes()) != text {
		t.Errorf("got %s", one.header.Bytes())
	}
	long := sign("EdDSA", edTest(), text[:len(text)-1]+`,"y":"`+strings.Repeat("y", maxKnownHeader)+`"}`, goodClaims())
	if got := check(t, v, long); got != "" || must(Parse(long)).header.known {
		t.Errorf("a long header: got %q", got)
	}
}
