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
