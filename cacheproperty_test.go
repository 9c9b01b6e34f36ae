package admit

import (
	"fmt"
	"math/rand"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/caddyserver/caddy/v2"

	"github.com/caddy-admit/admit/claims"
	"github.com/caddy-admit/admit/jwt"
)

// The gate gives the same answers with its cache as without, on the same stream of
// tokens, clocks, key rotations, outages, reloads and rules.
func TestCacheChangesNothing(t *testing.T) {
	seeds, steps := 8, 1000
	if testing.Short() || raceEnabled {
		seeds, steps = 3, 600
	}
	hits, _, _ := jwt.CacheCounts()
	seen := map[claims.Reason]int{}
	for seed := range seeds {
		w := newWorld(t, int64(seed))
		for step := range steps {
			what := w.change()
			for range 4 {
				raw, path := w.pick(), w.one(worldPaths...)
				with, without := w.cached.decide(t, raw, path), w.plain.decide(t, raw, path)
				if with != without {
					t.Fatalf("seed %d, step %d, after %q, path %s: with the cache %+v, without %+v", seed, step, what, path, with, without)
				}
				seen[with.reason]++
			}
		}
		w.cached.release()
		w.plain.release()
	}
	after, _, _ := jwt.CacheCounts()
	t.Logf("%d hits of %d, reasons %v", after-hits, 4*seeds*steps, seen)
	if int(after-hits) < seeds*steps/4 {
		t.Errorf("only %d hits", after-hits)
	}
	for _, reason := range []claims.Reason{
		"", "expired", "not_yet_valid", "too_old", "wrong_audience", "unknown_issuer", "unknown_key", "bad_signature", "unsupported_algorithm",
		"malformed_token", "no_identity", "rule", "denied", "keys_unavailable", "bad_api_key",
	} {
		if seen[reason] == 0 {
			t.Errorf("%q never came up", reason)
		}
	}
	tokenPool.Range(func(key, _ any) bool { t.Errorf("tokens of %v are left", key); return true })
}

// world is everything that changes: the clock, the issuers, the configuration.
type world struct {
	t       *testing.T
	rnd     *rand.Rand
	now     time.Time
	keys    map[string][]testKey // of issuers
	down    map[string]bool
	minted  []string
	configs map[string]*Integration
	order   []string // of the integrations at the gate
	rules   []Rule
	many    manyRules
	headers []HeaderUp

	cached, plain *side
}

// side is a gate, with or without a cache, and what it knows of the issuers.
type side struct {
	w       *world
	cache   bool
	sources map[string]*worldKeys
	checker *checker
	headers identityHeaders
}

var worldSecrets = []string{testSecret, "another secret, long enough for it", "a third secret, long enough for it"}

func newWorld(t *testing.T, seed int64) *world {
	w := &world{t: t, rnd: rand.New(rand.NewSource(seed)), now: time.Unix(1_800_000_000, 0), keys: map[string][]testKey{}, down: map[string]bool{}}
	w.cached, w.plain = &side{w: w, cache: true, sources: map[string]*worldKeys{}}, &side{w: w, sources: map[string]*worldKeys{}}
	for _, iss := range []string{"https://a.example", "https://b.example"} {
		w.keys[iss] = []testKey{w.key(), w.key()}
	}
	w.configure()
	w.reload()
	for range 40 {
		w.mint()
	}
	return w
}

func (w *world) one(of ...string) string { return of[w.rnd.Intn(len(of))] }

// often is true once in n times.
func (w *world) often(n int) bool { return w.rnd.Intn(n) == 0 }

func (w *world) key() testKey {
	return newKey(w.one("1", "2", "3", ""), fmt.Sprint("world ", w.rnd.Intn(6)))
}

// configure makes up the integrations and the gate.
func (w *world) configure() {
	leeway := func() *caddy.Duration {
		d := caddy.Duration(time.Duration(w.rnd.Intn(3)) * 30 * time.Second)
		return &d
	}
	issuer := func(iss string) *Integration {
		in := &Integration{Issuer: []string{iss}, JWKS: iss + "/jwks", Audience: []string{w.one("api", "other")}, Leeway: leeway()}
		if w.often(2) {
			in.Audience = []string{"api", "other"}
		}
		return in
	}
	secret := func() *Integration {
		return &Integration{Secret: &Secret{Value: w.one(worldSecrets...)}, Leeway: leeway()}
	}
	w.configs = map[string]*Integration{
		"a": issuer("https://a.example"), "b": issuer("https://b.example"), "again": issuer("https://a.example"),
		"c": secret(), "d": secret(),
		"home": {APIKey: []LocalKey{{ID: "robot", Hash: sha256Hex(robotKey)}}},
	}
	w.configs["b"].Identity = &Identity{User: []string{w.one("email", "name", "sub")}, Map: []GroupMap{{External: "staff", Local: []string{w.one("admins", "staff")}}}}
	w.configs["a"].MaxTokenAge = caddy.Duration(time.Duration(w.rnd.Intn(3)) * time.Hour)
	w.configs["d"].Expiry = w.one("required", "optional")
	for name, in := range w.configs {
		if in.Secret != nil && w.often(3) {
			in.Issuer = []string{w.one("https://b.example", "https://c.example")}
		}
		if w.often(4) {
			in.Deny = slices.Repeat([]Rule{{Claim: "user", Patterns: []string{w.one("mallory", "bob")}}}, []int{1, 9}[w.rnd.Intn(2)])
		}
		if w.often(4) && name != "home" {
			in.Cache = &Cache{Entries: 1 + w.rnd.Intn(5)}
		}
	}
	w.order = []string{"a", "b", "again", "c", "d", "home"}
	w.rnd.Shuffle(len(w.order), func(i, j int) { w.order[i], w.order[j] = w.order[j], w.order[i] })
	w.order = w.order[:1+w.rnd.Intn(len(w.order))]
	w.rules = [][]Rule{nil, {{Claim: "groups", Patterns: []string{"staff", "admins"}}}, {{Claim: "user", Patterns: []string{"a*", "m*"}}}}[w.rnd.Intn(3)]
	w.moreRules()
}

// reload makes gates of the configuration. The new ones are there before the old
// ones go.
func (w *world) reload() {
	for _, s := range []*side{w.cached, w.plain} {
		old := *s
		s.provision()
		old.release()
	}
}

func (s *side) release() {
	if s.checker != nil {
		for _, in := range s.checker.integrations {
			in.release()
		}
	}
}

func (s *side) provision() {
	w, e := s.w, newExpander()
	c := &checker{}
	for _, name := range w.order {
		d := w.configs[name].read(e, name)
		if d.local == nil {
			var source jwt.KeySource = jwt.StaticKeys(d.keys.static)
			if d.keys.static == nil {
				source = s.source(d.keys.JWKS)
			}
			var err error
			if d.verifier, err = jwt.NewVerifier(d.policy, source, func() time.Time { return w.now }); err != nil {
				w.t.Fatal(err)
			}
		}
		if s.cache && d.verifier != nil {
			if err := d.keepTokens(); err != nil {
				w.t.Fatal(err)
			}
		}
		c.integrations = append(c.integrations, d.integration)
		if !s.cache {
			d.rules = claims.Rules{Deny: d.rules.Deny, Require: d.rules.Require} // nobody remembers these
		}
	}
	s.readRules(e, c)
	if err := e.err("world"); err != nil {
		w.t.Fatal(err)
	}
	c.takeFrom(c.integrations)
	s.checker = c
}

// change changes something now and then.
func (w *world) change() string {
	iss := w.one("https://a.example", "https://b.example")
	keys := w.keys[iss]
	switch w.rnd.Intn(40) {
	case 0, 1, 2:
		w.now = w.now.Add(time.Duration(w.rnd.Intn(300)) * time.Second)
		return "minutes"
	case 3, 4:
		if !w.often(4) {
			return ""
		}
		w.now = w.now.Add(time.Duration(w.rnd.Intn(7200)) * time.Second)
		return "hours"
	case 5:
		if w.often(8) {
			w.now = w.now.Add(25 * time.Hour)
			return "a day"
		}
		w.now = w.now.Add(-time.Duration(w.rnd.Intn(300)) * time.Second)
		return "clock put back"
	case 6:
		w.keys[iss] = append(slices.Clone(keys), w.key())
		return "new key"
	case 7:
		if len(keys) > 1 {
			w.keys[iss] = keys[1:]
		}
		return "key gone"
	case 8:
		w.keys[iss] = []testKey{w.key(), keys[0]}
		return "rotation"
	case 9:
		w.down[iss] = !w.down[iss]
		return "outage begins or ends"
	case 10:
		w.reload()
		return "reload of the same"
	case 11:
		w.configure()
		w.reload()
		return "reload of something else"
	case 12, 13, 14, 15, 16, 17:
		w.mint()
		return "new token"
	case 18:
		slices.Reverse(w.order)
		w.reload()
		return "reload in another order"
	}
	return ""
}

// outcome is what the gate says, in a form that can be compared.
type outcome struct {
	verdict     claims.Verdict
	reason      claims.Reason
	integration string
	credential  string
	rule        string
	identity    string
	headers     string
}

func (s *side) decide(t *testing.T, raw, path string) outcome {
	plain := httptest.NewRequest(http.MethodGet, "http://a.example"+path, http.NoBody)
	plain.Header.Set("Authorization", "Bearer "+raw)
	r := benchRequest(plain)
	state := stateOf(r)
	d, err := s.checker.decide(newRequest(r, r.URL, state, survey(r.Header, nil)))
	if err != nil {
		t.Fatal(err)
	}
	state.decide(d)
	s.headers.set(r, state)
	a := outcome{d.Verdict, d.Reason, d.Integration, d.Credential, "", "", fmt.Sprint(r.Header["X-User"], r.Header["X-Groups"], r.Header["X-Admin"])}
	if d.Rule != nil {
		a.rule = d.Rule.String()
	}
	if id := d.Identity; id != nil {
		a.identity = strings.Join([]string{id.User(), id.Integration(), strings.Join(id.Groups(), ","), string(id.Claims().Bytes())}, "|")
	}
	return a
}
