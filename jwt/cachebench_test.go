package jwt

import (
	"context"
	"crypto/sha256"
	"fmt"
	"math/rand/v2"
	"runtime"
	"strings"
	"testing"

	"github.com/caddy-admit/admit/claims"
)

// hits returns a check of tokens that are cached, from the text to the decision of
// three rules: the n-th token, or one of them again. It needs nothing but the text.
func hits(tb testing.TB, alg string, n int) (check func(i int), tokens []string) {
	v, s := benchVerifier(tb, alg), NewCache(0, 64<<20).NewSpace()
	tokens = []string{benchToken(alg)}
	for i := 1; i < n; i++ {
		tokens = append(tokens, benchToken(alg, "jti", fmt.Sprintf(`"4d2f3c1b-7f4e-4a0b-a1d5-%012d"`, i)))
	}
	for _, raw := range tokens {
		keep(tb, s, v, raw)
	}
	rules, ctx := benchRules(), context.Background()
	rules.Remember() // as gates do
	return func(i int) {
		k := NewCacheKey(tokens[i%len(tokens)])
		e := s.Cache().Find(k)
		if e == nil {
			tb.Error("not found")
			return
		}
		if sure, err := v.Recheck(ctx, e); !sure || err != nil {
			tb.Error(sure, err)
			return
		}
		e.Mark()
		k.Hit()
		if reason, _ := rules.Judge(e.Identity(), nil); reason != "" {
			tb.Error(reason)
		}
	}, tokens
}

func benchRules() *claims.Rules {
	rule := func(deny bool, claim string, patterns ...string) claims.ScopedRule {
		return claims.ScopedRule{Rule: must(claims.NewRule(claim, patterns, deny))}
	}
	return &claims.Rules{
		Deny:    []claims.ScopedRule{rule(true, "user", "mallory")},
		Require: []claims.ScopedRule{rule(false, "groups", "admins"), rule(false, "email", "*@corp.example")},
	}
}

// BenchmarkHit is a check of tokens that are in the cache, on as many cores as -cpu
// says: compare -cpu 1 with -cpu 2.
func BenchmarkHit(b *testing.B) {
	for _, n := range []int{1, 10_000} {
		check, tokens := hits(b, "HS256", n)
		b.Run(fmt.Sprint(n), func(b *testing.B) {
			b.ReportAllocs()
			b.SetBytes(int64(len(tokens[0])))
			b.RunParallel(func(pb *testing.PB) {
				for i := 0; pb.Next(); i++ {
					check(i)
				}
			})
		})
	}
}

// BenchmarkScaling is work that no two goroutines share anything of: what a second
// core brings at best.
func BenchmarkScaling(b *testing.B) {
	raw := []byte(benchToken("HS256"))
	b.RunParallel(func(pb *testing.PB) {
		for pb.Next() {
			sha256.Sum256(raw)
		}
	})
}

func BenchmarkCacheKey(b *testing.B) {
	raw := benchToken("RS256")
	b.ReportAllocs()
	b.SetBytes(int64(len(raw)))
	for b.Loop() {
		NewCacheKey(raw)
	}
}

func BenchmarkCacheFind(b *testing.B) {
	s := NewCache(0, 64<<20).NewSpace()
	keys := make([]CacheKey, 10_000)
	for n := range keys {
		k, token, id := kept(n)
		s.Keep(k, token, id)
		keys[n] = k
	}
	b.ReportAllocs()
	for i := 0; b.Loop(); i++ {
		if s.Cache().Find(keys[i%len(keys)]) == nil {
			b.Fatal("not found")
		}
	}
}

// BenchmarkKeep puts tokens into a cache that is full, which makes copies of them.
func BenchmarkKeep(b *testing.B) {
	s := NewCache(0, 4<<20).NewSpace()
	keys := make([]CacheKey, 20_000)
	tokens, ids := make([]*Token, len(keys)), make([]*claims.Identity, len(keys))
	for n := range keys {
		keys[n], tokens[n], ids[n] = kept(n)
	}
	b.ReportAllocs()
	for i := 0; b.Loop(); i++ {
		n := i % len(keys)
		s.Keep(keys[n], tokens[n], ids[n])
	}
}

// BenchmarkBadSignature is a token whose last bytes were changed.
func BenchmarkBadSignature(b *testing.B) {
	for _, alg := range benchAlgorithms {
		raw := benchToken(alg)
		b.Run(alg, func(b *testing.B) {
			benchCheck(b, benchVerifier(b, alg), raw[:len(raw)-8]+"AAAAAAAA", claims.BadSignature)
		})
	}
}

// A hit allocates nothing, from the token to the decision of the rules.
func TestHitAllocations(t *testing.T) {
	if raceEnabled {
		t.Skip("the race detector allocates")
	}
	check, _ := hits(t, "EdDSA", 20)
	i := 0
	if n := testing.AllocsPerRun(1000, func() { check(i); i++ }); n > 0 {
		t.Errorf("%v allocations", n)
	}
}

// BenchmarkHitAmong is what a hit takes of the cache's memory: tokens in no order, whose
// keys are at hand, from looking one up to the decision of rules and two headers.
func BenchmarkHitAmong(b *testing.B) {
	const n = 10_000
	v, s := benchVerifier(b, "HS256"), NewCache(0, 64<<20).NewSpace()
	keys := make([]CacheKey, n)
	for i := range keys {
		keys[i] = keep(b, s, v, benchToken("HS256", "jti", fmt.Sprintf(`"4d2f3c1b-7f4e-4a0b-a1d5-%012d"`, i)))
	}
	rand.New(rand.NewPCG(1, 2)).Shuffle(n, func(i, j int) { keys[i], keys[j] = keys[j], keys[i] })
	rules, ctx := benchRules(), context.Background()
	rules.Remember()
	check := func(k *CacheKey) (sum int) {
		e := s.Cache().Find(*k)
		if sure, err := v.Recheck(ctx, e); !sure || err != nil {
			b.Error(sure, err)
		}
		e.Mark()
		id := e.Identity()
		if reason, _ := rules.Judge(id, nil); reason != "" {
			b.Error(reason)
		}
		for _, text := range id.Remember(1, func() []string { return []string{id.User(), strings.Join(id.Groups(), ",")} }) {
			sum += int(text[0]) + int(text[len(text)-1]) // as who copies it
		}
		return sum
	}
	for range 3 {
		for i := range keys {
			check(&keys[i])
		}
	}
	b.ReportAllocs()
	for i := 0; b.Loop(); i++ {
		check(&keys[i%n])
	}
}

// BenchmarkCollection is what the garbage collector spends on 50,000 tokens.
func BenchmarkCollection(b *testing.B) {
	s := NewCache(0, 256<<20).NewSpace()
	keys := new(KeySet)
	for n := range 50_000 {
		k, token, id := kept(n)
		token.keys = keys
		s.Keep(k, token, id)
		for range 2 {
			s.Cache().Find(k).Identity().Remember(1, func() []string { return []string{id.User(), strings.Join(id.Groups(), ",")} })
		}
	}
	for b.Loop() {
		runtime.GC()
	}
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	b.ReportMetric(float64(m.HeapObjects)/50_000, "objects/token")
	b.ReportMetric(float64(m.HeapAlloc)/50_000, "B/token")
	runtime.KeepAlive(s)
}
