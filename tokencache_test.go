package admit

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/caddyserver/caddy/v2/modules/caddyhttp"

	"github.com/caddy-admit/admit/claims"
	"github.com/caddy-admit/admit/jwt"
)

// cachedTokens returns how many uses the verified tokens of each integration have,
// and how many there are in the cache that integrations share.
func cachedTokens() (uses []int, shared int) {
	tokenPool.Range(func(key, _ any) bool {
		n, _ := tokenPool.References(key)
		uses = append(uses, n)
		return true
	})
	shared, _ = sharedCache.Size()
	return uses, shared
}

// counted returns what the cache was asked since.
func counted(t *testing.T, f func()) (hits, misses uint64) {
	t.Helper()
	h, m, _ := jwt.CacheCounts()
	f()
	hits, misses, _ = jwt.CacheCounts()
	return hits - h, misses - m
}

// Verified tokens outlive a reload that leaves their integration as it is, whether
// it succeeds or fails, and go with the last configuration that has it.
func TestTokensOutliveReload(t *testing.T) {
	t.Run("running", func(t *testing.T) {
		s := serve(t, secretIntegration, "admit\nrespond ok")
		token := bearer(t, nil)
		asks := func(what string, wantHits uint64, uses string, status int, reason string) {
			t.Helper()
			hits, misses := counted(t, func() { s.get("/", token).want(t, status, reason) })
			if got, n := cachedTokens(); hits != wantHits || hits+misses != 1 || fmt.Sprint(got) != uses || n > 1 {
				t.Errorf("%s: %d hits, %d misses, uses %v, %d tokens", what, hits, misses, got, n)
			}
		}
		asks("first", 0, "[1]", 200, "")
		asks("again", 1, "[1]", 200, "")
		s.load(secretIntegration, "admit {\nrequire groups staff\n}\nrespond again")
		asks("after a reload, with a rule", 1, "[1]", 403, "rule")
		if err := loadText(caddyfileText(s.addr, secretIntegration, "admit {\nheader_up X-User {env.ADMIT_TEST_NOT_SET}\n}\nrespond no")); err == nil {
			t.Fatal("loaded")
		}
		asks("after a reload that failed", 1, "[1]", 403, "rule")
		s.load(strings.Replace(secretIntegration, "audience api", "audience api other", 1), "admit\nrespond ok")
		asks("with another audience", 0, "[1]", 200, "")
		asks("with another audience, again", 1, "[1]", 200, "")
		s.load(strings.Replace(secretIntegration, "audience api", "audience other", 1), "admit\nrespond ok")
		asks("an audience that the token has not", 0, "[1]", 401, "wrong_audience")
		s.load(strings.Replace(secretIntegration, testSecret, strings.Repeat("x", 32), 1), "admit\nrespond ok")
		asks("another secret", 0, "[1]", 401, "bad_signature")
		s.load(strings.Replace(secretIntegration, "admit local", "admit other", 1), "admit\nrespond ok")
		asks("another name", 0, "[1]", 200, "")
		s.load(strings.Replace(secretIntegration, "audience api", "audience api\ncache off", 1), "admit\nrespond ok")
		if hits, misses := counted(t, func() { s.get("/", token).want(t, 200, "") }); hits+misses != 0 {
			t.Errorf("off: %d hits, %d misses", hits, misses)
		}
		if got, n := cachedTokens(); got != nil || n != 0 {
			t.Errorf("off: uses %v, %d tokens", got, n)
		}
		s.load(strings.Replace(secretIntegration, "audience api", "audience api\ncache 1", 1), "admit\nrespond ok")
		asks("a cache of its own", 0, "[1]", 200, "")
		asks("a cache of its own, again", 1, "[1]", 200, "")
		s.get("/", bearer(t, map[string]any{"sub": "bob"})).want(t, 200, "")
		asks("which has room for one", 0, "[1]", 200, "")
	})
	if got, n := cachedTokens(); got != nil || n != 0 {
		t.Errorf("uses %v, %d tokens after the end", got, n)
	}
}

// threat 97: what is refused is never in the cache: nobody can fill it without tokens.
func TestRefusedTokensAreNotKept(t *testing.T) {
	s := serve(t, secretIntegration, "admit {\nrequire groups staff\n}\nrespond ok")
	for i := range 20 {
		more := map[string]any{"jti": fmt.Sprint(i)}
		good := bearer(t, more)
		s.get("/", good[:len(good)-8]+"AAAAAAAA").want(t, 401, "bad_signature")
		for _, tc := range []struct {
			name, reason string
			value        any
		}{{"exp", "expired", 1}, {"aud", "wrong_audience", "x"}, {"nbf", "not_yet_valid", time.Now().Add(time.Hour).Unix()}, {"sub", "no_identity", ""}} {
			s.get("/", bearer(t, map[string]any{"jti": fmt.Sprint(i), tc.name: tc.value})).want(t, 401, tc.reason)
		}
	}
	if _, n := cachedTokens(); n != 0 {
		t.Errorf("%d tokens", n)
	}
}

// threats 81, 89: everything that a verified token depends on is part of what its place in the pool
// depends on. Fields that are added to a policy or a mapping later are found here.
func TestTokensDependOn(t *testing.T) {
	base := func() *draft {
		return &draft{integration: &integration{mapping: &claims.Mapping{}}, keys: keyOrigin{}}
	}
	seen := map[string]string{}
	add := func(what string, d *draft) {
		t.Helper()
		key, err := d.dependsOn()
		if err != nil {
			t.Fatal(err)
		}
		if before, ok := seen[key]; ok {
			t.Errorf("%s and %s share their tokens", what, before)
		}
		seen[key] = what
	}
	add("nothing", base())
	each := func(what string, of func(*draft) reflect.Value) {
		for i := range of(base()).NumField() {
			d := base()
			v := of(d)
			if name := v.Type().Field(i).Name; v.Type().Field(i).IsExported() {
				fill(t, v.Field(i))
				add(what+"."+name, d)
			}
		}
	}
	each("policy", func(d *draft) reflect.Value { return reflect.ValueOf(&d.policy).Elem() })
	each("mapping", func(d *draft) reflect.Value { return reflect.ValueOf(d.mapping).Elem() })
	each("keys", func(d *draft) reflect.Value { return reflect.ValueOf(&d.keys).Elem() })
	for _, secret := range []string{"one", "two"} {
		d := base()
		d.keys.static = jwt.NewSecretKeySet([]byte(secret))
		add("secret "+secret, d)
	}
	for i, cache := range []*Cache{{Entries: 1}, {Entries: 1, Bytes: 1}} {
		d := base()
		d.cache = cache
		add(fmt.Sprint("cache ", i), d)
	}
	d := base()
	d.policy.AudienceClaims = []claims.Path{claims.MustPath("another.claim")}
	add("another audience claim", d)
}

// fill gives a field a value that is not its zero one.
func fill(t *testing.T, v reflect.Value) {
	t.Helper()
	path := claims.MustPath("a.claim")
	for _, value := range []any{
		"text", true, time.Second, []string{"text"}, []claims.Path{path}, map[string][]string{"a": {"b"}}, map[string][]claims.Path{"a": {path}},
	} {
		if reflect.TypeOf(value) == v.Type() {
			v.Set(reflect.ValueOf(value))
			return
		}
	}
	t.Fatalf("no value for a %v: add one", v.Type())
}

// A hit allocates nothing, from the token to the decision of the rules, with one
// integration and with many.
func TestHitAllocations(t *testing.T) {
	if raceEnabled {
		t.Skip("the race detector allocates")
	}
	for _, n := range []int{1, 50} {
		c, token := cachedGate(t, n)
		ctx := t.Context()
		if got := testing.AllocsPerRun(1000, func() {
			d := c.places[0].check(ctx, token)
			if reason, _ := c.apply(&c.rules, &d, nil); d.Identity == nil || reason != "" {
				t.Fatal(d.Reason, reason)
			}
		}); got > 0 {
			t.Errorf("%d integrations: %v allocations", n, got)
		}
	}
}

// cachedGate is a gate with many integrations, of which the last but one vouches for
// the token.
func cachedGate(tb testing.TB, n int) (*checker, string) {
	key, c, e := newKey("k", "cached"), &checker{}, newExpander()
	for i := range n {
		iss := fmt.Sprintf("https://issuer-%d.example", i)
		config := Integration{Issuer: []string{iss}, JWKS: testKeysFile(tb, key), Audience: []string{"api"}}
		in, err := config.provision(fmt.Sprint("issuer-", i), nil, log())
		if err != nil {
			tb.Fatal(err)
		}
		tb.Cleanup(in.release)
		c.integrations = append(c.integrations, in)
	}
	c.rules.Require = scopeless(e, "require", []Rule{{Claim: "groups", Patterns: []string{"staff"}}}, false)
	c.rules.Deny = scopeless(e, "deny", []Rule{{Claim: "user", Patterns: []string{"mallory"}}}, true)
	c.takeFrom(c.integrations)
	set := good(map[string]any{"iss": fmt.Sprintf("https://issuer-%d.example", max(0, n-2)), "groups": []string{"dev", "staff"}, "email": "ada@example.com", "pad": strings.Repeat("x", 300)})
	token := benchToken(tb, key, set)
	if d := c.places[0].check(tb.Context(), token); d.Reason != "" {
		tb.Fatal(d.Reason)
	}
	return c, token
}

// threat 97: however often a configuration is loaded anew, what is kept holds on to one
// mapping; another one has tokens of its own.
func TestTokensShareMapping(t *testing.T) {
	open := func(groups string) *integration {
		t.Helper()
		config := Integration{Secret: &Secret{Value: testSecret}, Identity: &Identity{User: []string{"sub"}, Groups: []string{groups}}}
		in, err := config.provision("local", nil, log())
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(in.release)
		return in
	}
	first, again, other := open("groups"), open("groups"), open("roles")
	if first.mapping != again.mapping || first.kept != again.kept {
		t.Error("the same configuration has another mapping")
	}
	if first.mapping == other.mapping || first.kept == other.kept {
		t.Error("another configuration has the same mapping")
	}
}

// What the whole handler allocates on a hit, with a rule and two headers about the
// identity, and for a refusal: the state of the request, and its place among Caddy's
// placeholders.
func TestHandlerAllocations(t *testing.T) {
	if raceEnabled {
		t.Skip("the race detector allocates")
	}
	key := newKey("k", "allocations")
	h := benchGate(t, key, nil)
	token := "Bearer " + benchToken(t, key, good(map[string]any{"iss": "https://corp.example", "groups": []string{"dev", "staff", "ops"}}))
	next := caddyhttp.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) error {
		if r.Header.Get("X-User") != "ada" || r.Header.Get("X-Groups") != "dev,staff,ops" {
			t.Errorf("headers %v", r.Header)
		}
		return nil
	})
	for _, tc := range []struct {
		name, authorization string
		status              int // 0: none is written
	}{{"a token that is known", token, 0}, {"no credential", "", 401}} {
		plain := httptest.NewRequest(http.MethodGet, "http://a.example/x", http.NoBody)
		if tc.authorization != "" {
			plain.Header.Set("Authorization", tc.authorization)
		}
		const runs = 200
		var requests []*http.Request
		for range runs + 2 {
			requests = append(requests, benchRequest(plain))
		}
		w, n := &benchWriter{header: http.Header{}}, 0
		serve := func() {
			if err := h.ServeHTTP(w, requests[n], next); err != nil || w.status != tc.status {
				t.Fatalf("status %d, error %v", w.status, err)
			}
			n++
		}
		serve() // is verified
		got := testing.AllocsPerRun(runs, serve)
		if t.Logf("%s: %v allocations", tc.name, got); got > 3 {
			t.Errorf("%s: %v allocations, at most 3 are expected", tc.name, got)
		}
	}
}
