package jwt

import (
	"crypto"
	"strings"
	"testing"

	"github.com/caddy-admit/admit/claims"
	"github.com/lestrrat-go/jwx/v2/jwa"
	"github.com/lestrrat-go/jwx/v2/jws"
)

var benchAlgorithms = []string{"RS256", "PS256", "ES256", "ES384", "EdDSA", "HS256"}

// benchToken is a token of about 800 bytes with the usual claims.
func benchToken(alg string, edit ...string) string {
	header := `{"alg":"` + alg + `","typ":"JWT","kid":"key-2024-01"}`
	edit = append([]string{
		"sub", `"5f0c2a9e-8f3e-4f7b-9a54-3d1f0a9c6b11"`, "nbf", `1699999990`, "jti", `"4d2f3c1b-7f4e-4a0b-a1d5-0d6f2b8e9c77"`,
		"email", `"ann@corp.example"`, "groups", `["staff","admins"]`, "roles", `["reader","writer"]`,
		"pad", `"` + strings.Repeat("x", 80) + `"`,
	}, edit...)
	return sign(alg, keyFor(alg), header, goodClaims(edit...))
}

func benchVerifier(tb testing.TB, alg string) *Verifier {
	p := basePolicy()
	if strings.HasPrefix(alg, "HS") {
		p.Algorithms = Symmetric
		return newTestVerifier(tb, p, StaticKeys(NewSecretKeySet(secret)))
	}
	return newTestVerifier(tb, p, StaticKeys(keySet(tb, jwkOf(keyFor(alg), "kid", "key-2024-01", "use", "sig"), jwkOf(rsaKeys[1](), "kid", "key-2023-12"))))
}

func benchCheck(b *testing.B, v *Verifier, raw string, want claims.Reason) {
	b.ReportAllocs()
	b.SetBytes(int64(len(raw)))
	for b.Loop() {
		token, err := Parse(raw)
		if err != nil {
			b.Fatal(err)
		}
		err = v.Verify(b.Context(), token)
		if rejected, _ := err.(*RejectedError); err == nil != (want == "") || rejected != nil && rejected.Reason != want {
			b.Fatal(err)
		}
	}
}

func BenchmarkParse(b *testing.B) {
	raw := benchToken("RS256")
	b.ReportAllocs()
	for b.Loop() {
		if _, err := Parse(raw); err != nil {
			b.Fatal(err)
		}
	}
}

// BenchmarkCheck is parsing and verifying, as on a request that no cache knows.
func BenchmarkCheck(b *testing.B) {
	for _, alg := range benchAlgorithms {
		b.Run(alg, func(b *testing.B) { benchCheck(b, benchVerifier(b, alg), benchToken(alg), "") })
	}
	b.Run("RS256-expired", func(b *testing.B) {
		benchCheck(b, benchVerifier(b, "RS256"), benchToken("RS256", "exp", "1699990000"), claims.Expired)
	})
}

// wholeCheck is everything from the token to the decision.
func wholeCheck(tb testing.TB, alg string) func() {
	v, raw := benchVerifier(tb, alg), benchToken(alg)
	rules := benchRules()
	m := claims.Mapping{User: []claims.Path{claims.MustPath("sub")}, Groups: []claims.Path{claims.MustPath("groups")}}
	ctx := tb.Context()
	return func() {
		token, err := Parse(raw)
		if err != nil {
			tb.Fatal(err)
		}
		if err := v.Verify(ctx, token); err != nil {
			tb.Fatal(err)
		}
		if reason, _ := rules.Judge(m.Identify(token.Claims), nil); reason != "" {
			tb.Fatal(reason)
		}
	}
}

func BenchmarkWholeCheck(b *testing.B) {
	for _, alg := range benchAlgorithms {
		b.Run(alg, func(b *testing.B) {
			check := wholeCheck(b, alg)
			b.ReportAllocs()
			for b.Loop() {
				check()
			}
		})
	}
}

// BenchmarkSignature compares the standard library, as used here, with jwx.
func BenchmarkSignature(b *testing.B) {
	for _, alg := range benchAlgorithms {
		token := must(Parse(benchToken(alg)))
		k := must(newVerifierFor(alg))
		b.Run(alg+"/stdlib", func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				if !k.verify(algorithms[alg], token.input, token.signature) {
					b.Fatal("refused")
				}
			}
		})
		b.Run(alg+"/jwx", func(b *testing.B) {
			verifier := must(jws.NewVerifier(jwa.SignatureAlgorithm(alg)))
			key := publicOf(alg)
			b.ReportAllocs()
			for b.Loop() {
				if err := verifier.Verify(token.input, token.signature, key); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

func publicOf(alg string) any {
	switch k := keyFor(alg).(type) {
	case interface{ Public() crypto.PublicKey }:
		return k.Public()
	default:
		return k
	}
}

func newVerifierFor(alg string) (verifier, error) {
	if strings.HasPrefix(alg, "HS") {
		return newMACKey(secret), nil
	}
	return newVerifier(publicOf(alg))
}

// A cold check must stay cheap; the first number is that of the library's own.
func TestCheckAllocations(t *testing.T) {
	if raceEnabled {
		t.Skip("the race detector allocates")
	}
	for alg, limit := range map[string]float64{"RS256": 16, "ES256": 17, "EdDSA": 5, "HS256": 5} {
		if n := testing.AllocsPerRun(100, wholeCheck(t, alg)); n > limit {
			t.Errorf("%s: %v allocations, want at most %v", alg, n, limit)
		}
	}
}
