package jwt

import (
	"encoding/base64"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/caddy-admit/admit/claims"
)

// Every algorithm, and each way in which a good token can be spoilt.
// threat 1, threat 7, threat 11, threat 12
func TestAlgorithms(t *testing.T) {
	var keys []string
	for _, alg := range []string{"RS256", "ES256", "ES384", "ES512", "EdDSA"} {
		keys = append(keys, jwkOf(keyFor(alg), "use", "sig"))
	}
	public := newTestVerifier(t, basePolicy(), StaticKeys(keySet(t, keys...)))
	p := basePolicy()
	p.Algorithms = Symmetric
	shared := newTestVerifier(t, p, StaticKeys(NewSecretKeySet(secret)))

	for _, alg := range append(append([]string{}, Asymmetric...), Symmetric...) {
		v := public
		if strings.HasPrefix(alg, "HS") {
			v = shared
		}
		header, payload := `{"alg":"`+alg+`"}`, goodClaims()
		good := sign(alg, keyFor(alg), header, payload)
		input, sig := good[:strings.LastIndexByte(good, '.')], signatureOf(good)
		flip := func(i int) []byte {
			spoilt := append([]byte(nil), sig...)
			spoilt[(i+len(sig))%len(sig)] ^= 1
			return spoilt
		}
		with := func(sig []byte) string { return input + "." + b64(sig) }
		for name, raw := range map[string]string{
			"":                           good,
			"first bit":                  with(flip(0)),
			"last bit":                   with(flip(-1)),
			"middle bit":                 with(flip(len(sig) / 2)),
			"cut":                        with(sig[:len(sig)-1]),
			"cut in front":               with(sig[1:]),
			"one byte more":              with(append(append([]byte(nil), sig...), 0)),
			"one byte more in front":     with(append([]byte{0}, sig...)),
			"twice":                      with(append(append([]byte(nil), sig...), sig...)),
			"zeros":                      with(make([]byte, len(sig))),
			"half zeros":                 with(append(make([]byte, len(sig)/2), sig[len(sig)/2:]...)),
			"other half zeros":           with(append(append([]byte(nil), sig[:len(sig)/2]...), make([]byte, len(sig)/2)...)),
			"ones":                       with([]byte(strings.Repeat("\xff", len(sig)))),
			"of another payload":         with(signatureOf(sign(alg, keyFor(alg), header, goodClaims("sub", `"eve"`)))),
			"of another header":          with(signatureOf(sign(alg, keyFor(alg), header+" ", payload))),
			"of the decoded text":        with(signature(alg, keyFor(alg), header+"."+payload)),
			"DER":                        with(appendDER(nil, sig[:len(sig)/2], sig[len(sig)/2:])),
			"text of the signature":      with([]byte(b64(sig))),
			"another header, unsigned":   b64([]byte(header+" ")) + "." + b64([]byte(payload)) + "." + b64(sig),
			"another payload, unsigned":  b64([]byte(header)) + "." + b64([]byte(goodClaims("sub", `"eve"`))) + "." + b64(sig),
			"same payload, other blanks": b64([]byte(header)) + "." + b64([]byte(payload+" ")) + "." + b64(sig),
		} {
			want := "bad_signature"
			if name == "" {
				want = ""
			}
			if got := check(t, v, raw); got != want {
				t.Errorf("%s, signature %q: got %q, want %q", alg, name, got, want)
			}
		}
		if got := check(t, v, input+"."); got != "malformed_token" {
			t.Errorf("%s, no signature: got %q", alg, got)
		}
		for _, other := range append(append([]string{}, Asymmetric...), Symmetric...) {
			if other != alg && other[:2] != "HS" && alg[:2] != "HS" {
				raw := sign(alg, keyFor(alg), `{"alg":"`+other+`"}`, payload)
				if got := check(t, v, raw); got != "bad_signature" {
					t.Errorf("signed by %s, called %s: got %q", alg, other, got)
				}
			}
		}
	}
}

func signatureOf(raw string) []byte {
	return must(base64.RawURLEncoding.DecodeString(raw[strings.LastIndexByte(raw, '.')+1:]))
}

// A row changes members of the payload of a good token and the policy.
func TestClaims(t *testing.T) {
	now := noon.Unix()
	num := func(n int64) string { return fmt.Sprint(n) }
	optional := func(p *Policy) { p.ExpiryOptional = true }
	aged := func(p *Policy) { p.MaxAge = time.Hour }
	strict := func(p *Policy) { p.Leeway = 0 }
	two := func(p *Policy) { p.Issuers, p.Audience = []string{"https://a", "https://b/"}, []string{"x", "y"} }
	azp := func(p *Policy) {
		p.AudienceClaims = []claims.Path{claims.MustPath("aud"), claims.MustPath("azp"), claims.MustPath("a.b"), claims.MustPath("c.*")}
	}
	any := func(p *Policy) { p.Issuers, p.Audience = nil, nil }
	for _, tc := range []struct {
		edit   []string
		policy func(*Policy)
		want   string
	}{
		{nil, nil, ""},
		// threat 28
		{[]string{"exp", ""}, nil, "missing_expiry"},
		{[]string{"exp", "", "Exp", num(now + 60)}, nil, "missing_expiry"}, // threat 3
		{[]string{"exp", ""}, optional, ""},
		{[]string{"exp", "null"}, optional, "malformed_token"},
		{[]string{"exp", `"` + num(now+60) + `"`}, nil, "malformed_token"},
		{[]string{"exp", `"` + num(now+60) + `"`}, optional, "malformed_token"},
		{[]string{"exp", `[` + num(now+60) + `]`}, nil, "malformed_token"},
		{[]string{"exp", "true"}, nil, "malformed_token"},
		{[]string{"exp", "1e999"}, nil, "malformed_token"},
		{[]string{"exp", "0"}, nil, "expired"},
		{[]string{"exp", "0"}, optional, "expired"},
		{[]string{"exp", "-0"}, nil, "expired"},
		{[]string{"exp", "-1e300"}, nil, "expired"},
		{[]string{"exp", "-9223372036854775808"}, nil, "expired"},
		{[]string{"exp", "1e-300"}, nil, "expired"},
		{[]string{"exp", num(now - 60)}, nil, "expired"},
		{[]string{"exp", num(now - 59)}, nil, ""},
		{[]string{"exp", num(now) + ".5"}, strict, ""},
		{[]string{"exp", num(now)}, strict, "expired"},
		{[]string{"exp", "9223372036854775807"}, nil, ""},
		{[]string{"exp", "9223372036854775808"}, nil, ""},
		{[]string{"exp", "1e300"}, nil, ""},
		{[]string{"nbf", num(now + 60)}, nil, ""},
		{[]string{"nbf", num(now + 61)}, nil, "not_yet_valid"},
		{[]string{"nbf", num(now + 1)}, strict, "not_yet_valid"},
		{[]string{"nbf", num(now)}, strict, ""},
		{[]string{"nbf", "0"}, nil, ""},
		{[]string{"nbf", "1e30"}, nil, "not_yet_valid"},
		{[]string{"nbf", "9223372036854775807"}, nil, "not_yet_valid"},
		{[]string{"nbf", "9223372036854775808"}, nil, "not_yet_valid"},
		{[]string{"nbf", "18446744073709551616"}, nil, "not_yet_valid"},
		{[]string{"nbf", "-9223372036854775808"}, nil, ""},
		{[]string{"nbf", `"` + num(now) + `"`}, nil, "malformed_token"},
		{[]string{"nbf", "null"}, nil, "malformed_token"},
		{[]string{"iat", ""}, nil, ""},
		{[]string{"iat", `"` + num(now) + `"`}, nil, "malformed_token"},
		{[]string{"iat", num(now - 3659)}, aged, ""},
		{[]string{"iat", num(now - 3660)}, aged, "too_old"},
		{[]string{"iat", ""}, aged, "too_old"},
		{[]string{"iat", "0"}, aged, "too_old"},
		{[]string{"iat", num(now + 60)}, aged, ""},
		{[]string{"iat", num(now + 61)}, aged, "not_yet_valid"},
		{[]string{"iat", "1e300"}, aged, "not_yet_valid"},
		// threat 26
		{[]string{"iss", ""}, nil, "unknown_issuer"},
		{[]string{"iss", "", "Iss", `"https://idp.example"`}, nil, "unknown_issuer"}, // threat 3
		{[]string{"iss", "null"}, nil, "unknown_issuer"},
		{[]string{"iss", `["https://idp.example"]`}, nil, "unknown_issuer"},
		{[]string{"iss", `"https://idp.example/"`}, nil, "unknown_issuer"},
		{[]string{"iss", `"https://idp.example.evil.example"`}, nil, "unknown_issuer"},
		{[]string{"iss", `"https://idp.exampl"`}, nil, "unknown_issuer"},
		{[]string{"iss", `"HTTPS://idp.example"`}, nil, "unknown_issuer"},
		{[]string{"iss", `"idp.example"`}, nil, "unknown_issuer"},
		{[]string{"iss", `"https:\/\/idp.example"`}, nil, ""},
		{[]string{"iss", `"https://b/"`, "aud", `"y"`}, two, ""},
		{[]string{"iss", `"https://b"`, "aud", `"y"`}, two, "unknown_issuer"},
		{[]string{"iss", `"https://a/"`, "aud", `"y"`}, two, "unknown_issuer"},
		// threat 25
		{[]string{"aud", ""}, nil, "wrong_audience"},
		{[]string{"aud", "", "AUD", `"api"`}, nil, "wrong_audience"}, // threat 3
		{[]string{"aud", `"other"`}, nil, "wrong_audience"},
		{[]string{"aud", `"API"`}, nil, "wrong_audience"},
		{[]string{"aud", `"api other"`}, nil, "wrong_audience"},
		{[]string{"aud", `"ap"`}, nil, "wrong_audience"},
		{[]string{"aud", `"*"`}, nil, "wrong_audience"},
		{[]string{"aud", `""`}, nil, "wrong_audience"},
		{[]string{"aud", `["other","api"]`}, nil, ""},
		{[]string{"aud", `["other","apis"]`}, nil, "wrong_audience"},
		{[]string{"aud", `[]`}, nil, "wrong_audience"},
		{[]string{"aud", `["api",1]`}, nil, "malformed_token"},
		{[]string{"aud", `["api",null]`}, nil, "malformed_token"},
		{[]string{"aud", `[["api"]]`}, nil, "malformed_token"},
		{[]string{"aud", `{"api":1}`}, nil, "malformed_token"},
		{[]string{"aud", `null`}, nil, "malformed_token"},
		{[]string{"aud", `1`}, nil, "malformed_token"},
		{[]string{"iss", `"https://a"`, "aud", `["z","y"]`}, two, ""},
		{[]string{"aud", `"account"`, "azp", `"api"`}, azp, ""},
		{[]string{"aud", `"account"`, "azp", `"api"`}, nil, "wrong_audience"},
		{[]string{"aud", `"account"`, "azp", `"web"`}, azp, "wrong_audience"},
		{[]string{"aud", "", "a", `{"b":["api"]}`}, azp, ""},
		{[]string{"aud", `"api"`, "azp", `1`}, azp, "malformed_token"},
		{[]string{"aud", `"api"`, "c", `{"x":"api"}`}, azp, "malformed_token"},
		{[]string{"iss", "", "aud", ""}, any, ""},
		{[]string{"iss", `"https://evil"`, "aud", `{}`}, any, ""},
		{[]string{"exp", ""}, any, "missing_expiry"},
		// threat 27
		{[]string{"events", `{"http://schemas.openid.net/event/backchannel-logout":{}}`}, nil, "wrong_type"},
		{[]string{"events", `null`}, nil, "wrong_type"},
		{[]string{"Events", `{}`}, nil, ""},
		// threat 101
		{[]string{"cnf", `{"jkt":"x"}`}, nil, "bound_token"},
		{[]string{"cnf", `{"x5t#S256":"x"}`}, nil, "bound_token"},
		{[]string{"cnf", `null`}, nil, "bound_token"},
		// threat 31: who it is is not the verifier's business.
		{[]string{"sub", `""`}, nil, ""},
		{[]string{"sub", ``}, nil, ""},
	} {
		p := basePolicy()
		if tc.policy != nil {
			tc.policy(&p)
		}
		v := newTestVerifier(t, p, StaticKeys(keySet(t, jwkOf(ec256()))))
		raw := sign("ES256", ec256(), `{"alg":"ES256"}`, goodClaims(tc.edit...))
		if got := check(t, v, raw); got != tc.want {
			t.Errorf("%q: got %q, want %q", tc.edit, got, tc.want)
		}
	}
}

// threat 26: a token goes to the verifier whose issuer it names, whose keys alone
// count.
func TestTakes(t *testing.T) {
	other := basePolicy()
	other.Issuers = []string{"https://other.example"}
	free := basePolicy()
	free.Issuers = nil
	v := newTestVerifier(t, basePolicy(), StaticKeys(keySet(t, jwkOf(ec256()))))
	w := newTestVerifier(t, other, StaticKeys(keySet(t, jwkOf(ec384()))))
	x := newTestVerifier(t, free, StaticKeys(keySet(t, jwkOf(ec384()))))
	token, err := Parse(sign("ES384", ec384(), `{"alg":"ES384"}`, goodClaims()))
	if err != nil {
		t.Fatal(err)
	}
	if !v.Takes(token.Claims) || w.Takes(token.Claims) || !x.Takes(token.Claims) || !v.HasIssuer() || x.HasIssuer() {
		t.Error("the token goes to the wrong verifier")
	}
	if err := v.Verify(t.Context(), token); err == nil {
		t.Error("the key of another issuer is accepted")
	}
}

// threat 29, threat 98
func TestPolicyErrors(t *testing.T) {
	const tenant = "11111111-2222-3333-4444-555555555555"
	for _, tc := range []struct {
		name string
		edit func(*Policy)
		want string // a part of the error; "": none
	}{
		{"as it is", func(*Policy) {}, ""},
		{"leeway of 5m", func(p *Policy) { p.Leeway = 5 * time.Minute }, ""},
		{"leeway over 5m", func(p *Policy) { p.Leeway = 5*time.Minute + 1 }, "leeway"},
		{"negative leeway", func(p *Policy) { p.Leeway = -1 }, "leeway"},
		{"empty issuer", func(p *Policy) { p.Issuers = []string{"https://a", ""} }, "must not be empty"},
		{"empty audience", func(p *Policy) { p.Audience = []string{""} }, "must not be empty"},
		{"negative age", func(p *Policy) { p.MaxAge = -1 }, "max_token_age"},
		{"no algorithms", func(p *Policy) { p.Algorithms = nil }, "at least one"},
		{"none", func(p *Policy) { p.Algorithms = []string{"RS256", "none"} }, `"none" is not one of`},
		{"lower case", func(p *Policy) { p.Algorithms = []string{"rs256"} }, `"rs256" is not one of`},
		{"tenants", func(p *Policy) { p.Issuers, p.Tenants = []string{"https://x/{tenantid}"}, []string{tenant} }, ""},
		{"template without tenants", func(p *Policy) { p.Issuers = []string{"https://x/{tenantid}"} }, "tenants must list"},
		{"tenants without template", func(p *Policy) { p.Tenants = []string{tenant} }, "need an issuer"},
		{"tenant that is no GUID", func(p *Policy) { p.Issuers, p.Tenants = []string{"https://x/{tenantid}"}, []string{"common"} }, `"common" is not a GUID`},
		{"tenant with a line behind", func(p *Policy) { p.Issuers, p.Tenants = []string{"https://x/{tenantid}"}, []string{tenant + "\n"} }, `is not a GUID`},
		{"vendor", func(p *Policy) { p.Vendor = VendorCognito }, ""},
		{"unknown vendor", func(p *Policy) { p.Vendor = "Cognito" }, "vendor"},
	} {
		p := basePolicy()
		tc.edit(&p)
		_, err := NewVerifier(p, StaticKeys(&KeySet{}), clock)
		if (err == nil) != (tc.want == "") || err != nil && !strings.Contains(err.Error(), tc.want) {
			t.Errorf("%s: got %v, want %q", tc.name, err, tc.want)
		}
	}
}
