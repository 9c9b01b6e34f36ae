package admit

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"sync"
	"testing"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/caddyconfig"
	"github.com/caddyserver/caddy/v2/modules/caddyhttp"

	"github.com/caddy-admit/admit/claims"
)

// worldPaths are what clients ask for, some of it written in several ways.
var worldPaths = []string{"/", "/x", "/X", "/x/y", "/x/Y/", "/a", "/abc/d", "/x//y", "/x/../a", "/a%2fb", "/x.php/a", "/%6b", "/%e2%84%aa"}

// worldMatchers are what rules are about.
var worldMatchers = [][]string{{"/x", "/x/*"}, {"/A*"}, {"/x/y", "/k"}}

// manyRules are rules of a gate, each with the number of a matcher.
type manyRules struct {
	rules  []Rule
	deny   []bool
	scopes []int
	any    []Rule
	trial  int // how many of the last ones are on trial
}

// moreRules makes up rules, often so many that identities remember them, and headers.
func (w *world) moreRules() {
	w.many = manyRules{}
	for range []int{0, 0, 9, 20, 70}[w.rnd.Intn(5)] {
		deny := w.often(2)
		rule := Rule{Claim: w.one("user", "groups", "name"), Patterns: []string{w.one("nobody", "no*")}}
		if !deny {
			rule = Rule{Claim: "user", Patterns: []string{"*"}}
		}
		if w.often(12) {
			rule = Rule{Claim: w.one("user", "groups", "name", "integration"), Patterns: []string{w.one("a*", "mallory", "staff", "b")}}
		}
		w.many.rules, w.many.deny = append(w.many.rules, rule), append(w.many.deny, deny)
		w.many.scopes = append(w.many.scopes, w.rnd.Intn(len(worldMatchers)+1))
	}
	w.many.trial = w.rnd.Intn(len(w.many.rules) + 1)
	if w.often(3) {
		w.many.any = []Rule{{Claim: "user", Patterns: []string{"a*"}}, {Claim: "groups", Patterns: []string{"staff", "admins"}}}
	}
	w.headers = []HeaderUp{
		{Name: "X-User", Value: w.one("{http.auth.user.id}", "{http.auth.user.integration}-{http.auth.user.id}")},
		{Name: "X-Groups", Value: "{http.auth.user.groups}"},
		{Name: "X-Admin", Value: w.one("yes", "{http.auth.user.claims.name}"), Claim: "groups", Patterns: []string{w.one("staff", "admins")}},
	}
}

// readRules gives the gate its rules and headers. With a cache it knows them as a gate
// does; without one everything is worked out on each request, paths by Caddy's matcher.
func (s *side) readRules(e *expander, c *checker) {
	w := s.w
	c.rules.Require = scopeless(e, "require", w.rules, false)
	for i, rule := range w.many.rules {
		rules := &c.rules
		if i >= len(w.many.rules)-w.many.trial {
			rules = &c.trial
		}
		scoped := claims.ScopedRule{Rule: rule.read(e, w.many.deny[i]), Scope: w.many.scopes[i]}
		if w.many.deny[i] {
			rules.Deny = append(rules.Deny, scoped)
		} else {
			rules.Require = append(rules.Require, scoped)
		}
	}
	if w.many.any != nil {
		var lines []claims.Rule
		for _, line := range scopeless(e, "any", w.many.any, false) {
			lines = append(lines, line.Rule)
		}
		rule, err := claims.NewAnyRule(lines, 1)
		e.keep(err)
		c.rules.Any = []claims.AnyRule{rule}
	}
	for _, paths := range worldMatchers {
		m := append(caddyhttp.MatchPath(nil), paths...)
		e.keep(m.Provision(caddy.Context{}))
		of := scope{matchers: caddyhttp.MatcherSets{{m}}, paths: true, onlyPath: true}
		if s.cache {
			if of.plain = plainPaths([]caddy.ModuleMap{{"path": caddyconfig.JSON(paths, nil)}}); of.plain == nil {
				e.keep(fmt.Errorf("%v: not plain", paths))
			}
		}
		c.scopes = append(c.scopes, of)
	}
	if s.headers = readHeaders(e, w.headers); s.cache {
		c.rules.Remember()
		c.trial.Remember()
	}
}

// Gates with different rules and headers share what is kept of a token. At once, and
// while the configuration is loaded anew again and again, each gives its own answer.
func TestGatesShareIdentities(t *testing.T) {
	config := Integration{Secret: &Secret{Value: testSecret}, Audience: []string{"api"}}
	tokens := map[string]string{}
	for _, user := range []string{"ada", "bob"} {
		tokens[user] = sign(t, testSecret, good(map[string]any{"sub": user, "groups": []string{user + "s"}}))
	}
	rounds := 30
	if testing.Short() || raceEnabled {
		rounds = 8
	}
	load := func(user string) (*checker, identityHeaders) {
		in, err := config.provision("local", nil, log())
		if err != nil {
			t.Error(err)
			return nil, identityHeaders{}
		}
		c, e := &checker{integrations: []*integration{in}}, newExpander()
		for n := range 10 {
			c.rules.Deny = append(c.rules.Deny, claims.ScopedRule{Rule: (&Rule{Claim: "user", Patterns: []string{fmt.Sprint("nobody", n)}}).read(e, true)})
		}
		c.rules.Require = scopeless(e, "require", []Rule{{Claim: "user", Patterns: []string{user}}}, false)
		c.rules.Remember()
		c.takeFrom(c.integrations)
		return c, readHeaders(e, []HeaderUp{{Name: "X-User", Value: user + " is {http.auth.user.id}"}})
	}
	var gates sync.WaitGroup
	for g := range 4 {
		user, other := "ada", "bob"
		if g%2 == 1 {
			user, other = other, user
		}
		gates.Go(func() {
			for range rounds {
				c, headers := load(user)
				if c == nil {
					return
				}
				for range 20 {
					for _, who := range []string{user, other} {
						plain := httptest.NewRequest(http.MethodGet, "http://a.example/x", http.NoBody)
						plain.Header.Set("Authorization", "Bearer "+tokens[who])
						r := benchRequest(plain)
						s := stateOf(r)
						d, err := c.decide(newRequest(r, r.URL, s, survey(r.Header, nil)))
						if err != nil || d.LetsIn() != (who == user) || d.Identity.User() != who {
							t.Errorf("%s at the gate of %s: %+v, %v", who, user, d, err)
						}
						s.decide(d)
						if headers.set(r, s); r.Header.Get("X-User") != user+" is "+who {
							t.Errorf("%s at the gate of %s: header %q", who, user, r.Header.Get("X-User"))
						}
					}
				}
				c.integrations[0].release()
			}
		})
	}
	gates.Wait()
	if uses, n := cachedTokens(); uses != nil || n != 0 {
		t.Errorf("uses %v, %d tokens are left", uses, n)
	}
}
