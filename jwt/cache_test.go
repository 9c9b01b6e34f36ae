package jwt

import (
	"context"
	"errors"
	"fmt"
	"math"
	"math/rand/v2"
	"strings"
	"testing"
	"time"

	"github.com/caddy-admit/admit/claims"
)

var testMapping = claims.Mapping{Integration: "corp", User: []claims.Path{claims.MustPath("sub")}, Groups: []claims.Path{claims.MustPath("groups")}}

// keep verifies a token and keeps it, as an integration does.
func keep(tb testing.TB, s *Space, v *Verifier, raw string) CacheKey {
	tb.Helper()
	token := must(Parse(raw))
	if err := v.Verify(tb.Context(), token); err != nil {
		tb.Fatal(err)
	}
	k := NewCacheKey(raw)
	s.Keep(k, token, testMapping.Identify(token.Claims))
	return k
}

// kept makes something that can be put into a cache without verifying anything.
func kept(n int) (CacheKey, *Token, *claims.Identity) {
	t := &Token{keys: &KeySet{}, checked: seconds(noon)}
	t.until = seconds(noon) + 300
	set := must(claims.Parse(fmt.Appendf(nil, `{"iss":"https://idp.example/realms/corp","aud":"api","sub":"5f0c2a9e-8f3e-4f7b-9a54-%012d","iat":1700000000,"nbf":1700000000,"exp":1700000300,`+
		`"jti":"4d2f3c1b-7f4e-4a0b-a1d5-%012d","email":"ann@corp.example","groups":["staff","admins"],"roles":["reader","writer"],"pad":%q}`, n, n, strings.Repeat("x", 190))))
	return NewCacheKey(fmt.Sprint("token ", n)), t, testMapping.Identify(set)
}

// What is found is what was kept, in its own space. threat 7: another spelling of a
// token is another token.
func TestCache(t *testing.T) {
	c := NewCache(0, 64<<20)
	one, other := c.NewSpace(), c.NewSpace()
	v, raw := benchVerifier(t, "EdDSA"), benchToken("EdDSA")
	if e := c.Find(NewCacheKey(raw)); e != nil {
		t.Fatal("found before it was kept")
	}
	k := keep(t, one, v, raw)
	if k.sum != NewCacheKey(raw).sum {
		t.Fatal("two keys of one token")
	}
	e := c.Find(k)
	if e == nil || e.Space() != one || e.Next() != nil || e.Identity().User() != "5f0c2a9e-8f3e-4f7b-9a54-3d1f0a9c6b11" {
		t.Fatalf("found %+v", e)
	}
	keep(t, other, v, raw)
	keep(t, other, v, raw) // again
	spaces := map[*Space]int{}
	for e := c.Find(k); e != nil; e = e.Next() {
		spaces[e.Space()]++
	}
	if len(spaces) != 2 || spaces[one] != 1 || spaces[other] != 1 {
		t.Errorf("spaces %v", spaces)
	}
	for i := range raw { // any other text is another token
		changed := raw[:i] + "~" + raw[i+1:]
		if c.Find(NewCacheKey(changed)) != nil || c.Find(NewCacheKey(raw[:i])) != nil {
			t.Fatalf("found with another character at %d, or cut there", i)
		}
	}
	one.Forget(e)
	one.Forget(e)
	if e := c.Find(k); e == nil || e.Space() != other || e.Next() != nil {
		t.Error("forgot another one")
	}
	other.Close()
	keep(t, other, v, raw)
	if n, bytes := c.Size(); n != 0 || bytes != 0 || c.Find(k) != nil {
		t.Errorf("%d entries, %d bytes in a closed space", n, bytes)
	}
	token := must(Parse(raw))
	if one.Keep(k, token, testMapping.Identify(token.Claims)); c.Find(k) != nil {
		t.Error("kept a token that nobody has verified")
	}
	if err := v.Verify(t.Context(), must(Parse(raw[:len(raw)-8]+"AAAAAAAA"))); err == nil {
		t.Error("accepted")
	}
}

// With SHA-256, as in the FIPS 140-3 mode, keys are told apart as well.
func TestCacheKeySHA(t *testing.T) {
	var h hasher
	h.sumSHA("abc")
	first := h.sum
	h.sumSHA("abd")
	if h.sum == first {
		t.Error("one key for two tokens")
	}
	if h.sumSHA("abc"); h.sum != first {
		t.Error("two keys of one token")
	}
	if strings.Contains(string(h.text), "abc") {
		t.Error("the token is held")
	}
}

// threat 23: a token that was kept is judged like one that comes for the first time.
func TestRecheck(t *testing.T) {
	now, source := noon, &fakeSource{set: keySet(t, jwkOf(edTest(), "kid", "a"), jwkOf(ec256(), "kid", "b"))}
	p := basePolicy()
	p.MaxAge = time.Hour
	v := must(NewVerifier(p, source, func() time.Time { return now }))
	s := NewCache(0, 1<<20).NewSpace()
	raw := sign("EdDSA", edTest(), `{"alg":"EdDSA","kid":"a"}`, goodClaims("exp", "1700007200", "nbf", "1699999000"))
	k := keep(t, s, v, raw)
	first := source.set
	for _, tc := range []struct {
		name  string
		after time.Duration
		set   *KeySet
		err   error
		sure  bool
		want  string // what Verify says
	}{
		{"at once", 0, first, nil, true, ""},
		{"just in time", time.Hour + 49*time.Second, first, nil, true, ""},
		{"too old", time.Hour + 50*time.Second, first, nil, true, "too_old"},
		{"expired", 7260 * time.Second, first, nil, true, "expired"},
		{"the clock was put back", -1061 * time.Second, first, nil, true, "not_yet_valid"},
		{"put back less", -70 * time.Second, first, nil, true, ""},
		{"no keys", 0, nil, errors.New("down"), true, "jwt: keys unavailable: down"},
		{"expired, no keys", 7260 * time.Second, nil, errors.New("down"), true, "expired"},
		{"the same keys read again", 0, keySet(t, jwkOf(edTest(), "kid", "a"), jwkOf(ec256(), "kid", "b")), nil, true, ""},
		{"in another order", 0, keySet(t, jwkOf(ec256(), "kid", "b"), jwkOf(edTest(), "kid", "a")), nil, true, ""},
		{"one key more", 0, keySet(t, jwkOf(edTest(), "kid", "a"), jwkOf(ec256(), "kid", "b"), jwkOf(ec384(), "kid", "c")), nil, false, ""},
		{"the other key is gone", 0, keySet(t, jwkOf(edTest(), "kid", "a")), nil, false, ""},
		{"the key is gone", 0, keySet(t, jwkOf(ec256(), "kid", "b")), nil, false, "unknown_key"},
		{"the key has another id", 0, keySet(t, jwkOf(edTest(), "kid", "b"), jwkOf(ec256(), "kid", "a")), nil, false, "unknown_key"},
		{"the key is for another algorithm", 0, keySet(t, jwkOf(ec256(), "kid", "a", "alg", "ES256")), nil, false, "unknown_key"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			now, source.set, source.err = noon.Add(tc.after), tc.set, tc.err
			if got := check(t, v, raw); got != tc.want {
				t.Fatalf("Verify says %q", got)
			}
			e := s.Cache().Find(k)
			sure, err := v.Recheck(t.Context(), e)
			if sure != tc.sure {
				t.Fatalf("sure is %v, error %v", sure, err)
			}
			got := ""
			var rejected *RejectedError
			if errors.As(err, &rejected) {
				got = string(rejected.Reason)
			} else if err != nil {
				got = err.Error()
			}
			if sure && got != tc.want {
				t.Errorf("Recheck says %q, Verify %q", got, tc.want)
			}
		})
	}
}

// The window of a token is when it is accepted, to the last bit.
func TestWindow(t *testing.T) {
	random := rand.New(rand.NewPCG(3, 4))
	inside := 0
	for range 20_000 {
		at := func() float64 { return 1.7e9 + float64(random.IntN(4000)) + float64(random.IntN(2))*random.Float64() }
		r := rules{Policy: Policy{
			Leeway: time.Duration(random.IntN(300)) * time.Second, MaxAge: time.Duration(random.IntN(2)*random.IntN(3000)) * time.Second,
			ExpiryOptional: random.IntN(2) == 0,
		}}
		times := times{exp: at(), nbf: at(), iat: at(), hasExp: random.IntN(4) > 0, hasNbf: random.IntN(4) > 0, hasIat: random.IntN(4) > 0}
		from, until := r.window(times)
		var accepted, in int
		for _, now := range []float64{at(), at(), from, until, math.Nextafter(from, 0), math.Nextafter(until, 0), math.Nextafter(until, 4e9), -1e300, 1e300} {
			if math.IsInf(now, 0) {
				continue
			}
			if r.timely(times, now) == "" {
				accepted++
				if now < from || now >= until {
					t.Fatalf("%+v, %+v: accepted at %v, the window is %v to %v", r.Policy, times, now, from, until)
				}
			}
			if now >= from && now < until {
				in++
			}
		}
		// What is never accepted has no entry, so its window does not matter.
		if accepted > 0 && accepted != in {
			t.Fatalf("%+v, %+v: %d moments are in the window %v to %v, %d are accepted", r.Policy, times, in, from, until, accepted)
		}
		inside += accepted
	}
	if inside < 10_000 {
		t.Errorf("only %d moments were accepted", inside)
	}
}

// fakeSource has the keys that a test gives it.
type fakeSource struct {
	set *KeySet
	err error
}

func (s *fakeSource) Keys(context.Context) (*KeySet, uint64, error) { return s.set, 0, s.err }
func (s *fakeSource) Refresh(context.Context, uint64) (*KeySet, uint64, error) {
	return s.set, 0, s.err
}

// Key sets have one fingerprint exactly if they accept the same signatures.
func TestFingerprint(t *testing.T) {
	key := func(more ...string) string { return jwkOf(ec256(), more...) }
	sets := map[string]*KeySet{
		"key":            keySet(t, key("kid", "a")),
		"other id":       keySet(t, key("kid", "b")),
		"no id":          keySet(t, key()),
		"alg":            keySet(t, key("kid", "a", "alg", "ES256")),
		"issuer":         keySet(t, key("kid", "a", "issuer", "x")),
		"another issuer": keySet(t, key("kid", "a", "issuer", "y")),
		"id with more":   keySet(t, key("kid", `a" "ES256`)),
		"other curve":    keySet(t, jwkOf(ec384(), "kid", "a")),
		"RSA":            keySet(t, jwkOf(rsaKeys[0](), "kid", "a")),
		"other RSA":      keySet(t, jwkOf(rsaKeys[1](), "kid", "a")),
		"Ed25519":        keySet(t, jwkOf(edTest(), "kid", "a")),
		"secret":         NewSecretKeySet(secret),
		"other secret":   NewSecretKeySet(secret[:40]),
		"two":            keySet(t, key("kid", "a"), key("kid", "b")),
		"none":           keySet(t),
	}
	seen := map[[32]byte]string{}
	for name, set := range sets {
		if before, ok := seen[set.Fingerprint()]; ok {
			t.Errorf("%s and %s have one fingerprint", name, before)
		}
		seen[set.Fingerprint()] = name
	}
	// More keys than are tried: their order matters.
	var many, turned []string
	for i := range maxTried + 1 {
		k := key("kid", fmt.Sprint(i))
		many, turned = append(many, k), append([]string{k}, turned...)
	}
	if keySet(t, many...).same(keySet(t, turned...)) || !keySet(t, many...).same(keySet(t, many...)) {
		t.Error("the order of many keys")
	}
}
