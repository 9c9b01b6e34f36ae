package claims

import (
	"slices"
	"strings"
	"testing"
)

func mustRule(t testing.TB, claim string, patterns []string, deny bool) Rule {
	t.Helper()
	r, err := NewRule(claim, patterns, deny)
	if err != nil {
		t.Fatal(err)
	}
	return r
}

// identity makes one of claims; m may leave out the user.
func identity(t testing.TB, m *Mapping, claims string) *Identity {
	t.Helper()
	if m.User == nil {
		m.User = paths("sub")
	}
	m.AnyUser = true
	id := m.Identify(parse(t, claims))
	if id == nil {
		t.Fatalf("%s: no identity", claims)
	}
	return id
}

func paths(names ...string) (list []Path) {
	for _, name := range names {
		list = append(list, MustPath(name))
	}
	return list
}

func judge(t testing.TB, rule string, id *Identity) Outcome {
	t.Helper()
	words := strings.Split(rule, "|")
	for i := range words {
		words[i] = strings.TrimSpace(words[i])
	}
	r := mustRule(t, words[1], words[2:], words[0] == "deny")
	return r.Judge(id)
}

// DESIGN 1.2, "Claims", "Patterns" and "email".
//
// A row holds what a rule must take and, differing in one thing, what it must not.
func TestRuleOnClaims(t *testing.T) {
	for _, tc := range []struct{ rule, holds, fails string }{
		// Names: a whole top-level name first, then a path.
		{`require|https://x/roles|a`, `{"https://x/roles":"a"}`, `{"https://x/role":"a"}`},
		{`require|https://x.example/roles|a`, `{"https://x.example/roles":"a"}`, `{"https://x":{"example/role":"a"}}`},
		{`require|cognito:groups|a`, `{"cognito:groups":["a"]}`, `{"cognito":{"groups":["a"]}}`},
		{`require|realm_access.roles|a`, `{"realm_access":{"roles":["a"]}}`, `{"realm_access":{"role":["a"]}}`},
		{`require|a.b|x`, `{"a.b":"x","a":{"b":"y"}}`, `{"a.b":"y","a":{"b":"x"}}`},
		{`require|a.b|x`, `{"a":{"b":"x"}}`, `{"a.b":null,"a":{"b":"x"}}`},
		{`require|a\.b|x`, `{"a.b":"x"}`, `{"a":{"b":"x"}}`},
		{`require|r.my\.app.roles|x`, `{"r":{"my.app":{"roles":"x"}}}`, `{"r":{"my":{"app":{"roles":"x"}}}}`},
		{`require|a.b|x`, `{"a":{"b":"x"}}`, `{"a":[{"b":"x"}]}`},
		{`require|a.b|x`, `{"a":{"b":"x"}}`, `{"a":"b"}`},
		{`require|a\b|x`, `{"a\\b":"x"}`, `{"ab":"x"}`},
		{`require|claims.sub|x`, `{"sub":"x"}`, `{"claims":{"sub":"x"}}`},
		{`require|Sub|x`, `{"Sub":"x"}`, `{"sub":"x"}`}, // threat 3
		// Members.
		{`require|data.roles.*|a`, `{"data":{"roles":{"x":["a","b"]}}}`, `{"data":{"roles":{"a":["b"]}}}`},
		{`require|data.roles.*|a`, `{"data":{"roles":{"x":"a"}}}`, `{"data":{"roles":"a"}}`},
		{`require|data.roles.*|a`, `{"data":{"roles":[["a"]]}}`, `{"data":{"roles":[[["a"]]]}}`},
		{`require|data.roles.*|a`, `{"data":{"roles":{"x":{"a":1}}}}`, `{"data":{"roles":{"x":{"b":{"a":1}}}}}`},
		{`require|d.*|a`, `{"d":{"x":["b"],"y":["a"]}}`, `{"d":{"x":["b"],"a":["c"]}}`},
		{`require|d.*|a`, `{"d":{"x":{"b":1},"y":{"a":1}}}`, `{"d":{"x":{"b":1},"y":{"c":"a"}}}`},
		{`require|d.*|a`, `{"d":[[],{},null,7,"b","a"]}`, `{"d":[[],{},null,7,"b","c"]}`},
		{`require|data.*|a`, `{"data.*":"a","data":{"x":"b"}}`, `{"data.*":"b","data":{"x":"a"}}`},
		// Lists, objects, text that holds several values.
		{`require|roles|a`, `{"roles":["b","a"]}`, `{"roles":["b","a "]}`},
		{`require|roles|a`, `{"roles":["a"]}`, `{"roles":[["a"]]}`},
		{`require|roles|a`, `{"roles":{"a":{}}}`, `{"roles":{"b":"a"}}`},
		{`require|roles|a`, `{"roles":"a"}`, `{"roles":"a b"}`},
		{`require|scope|a`, `{"scope":"b a"}`, `{"scope":"b,a"}`},
		{`require|scope|a`, `{"scope":"a"}`, `{"scope":"a\tb"}`},
		{`require|scope|a`, `{"scope":"  a"}`, `{"scope":"\u00a0a"}`},
		{`require|scp|a`, `{"scp":"b a"}`, `{"scp":"ba"}`},
		{`require|permissions|a`, `{"permissions":"a b"}`, `{"permissions":["a b"]}`},
		{`require|data.permissions|a`, `{"data":{"permissions":"a b"}}`, `{"data":{"permission":"a b"}}`},
		{`require|permissions.*|d`, `{"permissions":{"x":"b c","y":"d"}}`, `{"permissions":{"x":"b c","d":"y"}}`},
		{`require|scope|a`, `{"scope":["b","a"]}`, `{"scope":["b a"]}`},
		// Numbers and booleans by their JSON text.
		{`require|n|1`, `{"n":1}`, `{"n":1.0}`},
		{`require|n|1e3`, `{"n":1e3}`, `{"n":1000}`},
		{`require|n|1`, `{"n":"1"}`, `{"n":true}`},
		{`require|n|true`, `{"n":true}`, `{"n":1}`},
		{`require|n|true`, `{"n":[true]}`, `{"n":"True"}`},
		{`require|n|null`, `{"n":"null"}`, `{"n":null}`},
		{`require|n|null`, `{"n":["null"]}`, `{"n":[null]}`},
		// Patterns: the whole value, case-sensitive. threat 34
		{`require|p|ab`, `{"p":"ab"}`, `{"p":"abc"}`},
		{`require|p|ab`, `{"p":"ab"}`, `{"p":"AB"}`},
		{`require|p|ab`, `{"p":"ab"}`, `{"p":"ab\n"}`},
		{`require|p|ab`, `{"p":"\u0061b"}`, `{"p":"\\u0061b"}`},
		{`require|p|a*`, `{"p":"a"}`, `{"p":"ba"}`},
		{`require|p|a*`, `{"p":"a\nb"}`, `{"p":"x\na"}`},
		{`require|p|*a`, `{"p":"ba"}`, `{"p":"ab"}`},
		{`require|p|a*b*c`, `{"p":"a--b--c"}`, `{"p":"a--c--b"}`},
		{`require|p|a*b*c`, `{"p":"abc"}`, `{"p":"a--c"}`},
		{`require|p|ab*ba`, `{"p":"abba"}`, `{"p":"aba"}`},
		{`require|p|a.c`, `{"p":"a.c"}`, `{"p":"abc"}`},
		{`require|p|a?c`, `{"p":"a?c"}`, `{"p":"abc"}`},
		{`require|p|[a]`, `{"p":"[a]"}`, `{"p":"a"}`},
		{`require|p|repo:org/*:ref:refs/heads/main`, `{"p":"repo:org/x:ref:refs/heads/main"}`, `{"p":"repo:org/x:ref:refs/heads/main2"}`},
		{`require|p|admin`, `{"p":"admin"}`, `{"p":"*"}`},
		{`require|p|adm*`, `{"p":"adm*"}`, `{"p":"*"}`},
		{`require|p|kilo`, `{"p":"kilo"}`, `{"p":"\u212ailo"}`},
		{`require|p|a|b`, `{"p":"b"}`, `{"p":"c"}`},
		// A lone star: present and not empty. threat 32
		{`require|p|*`, `{"p":"x"}`, `{}`},
		{`require|p|*`, `{"p":" "}`, `{"p":""}`},
		{`require|p|*`, `{"p":["","x"]}`, `{"p":[""]}`},
		{`require|p|*`, `{"p":[0]}`, `{"p":[]}`},
		{`require|p|*`, `{"p":{"a":null}}`, `{"p":{}}`},
		{`require|p|*`, `{"p":false}`, `{"p":null}`},
		{`require|p|**`, `{"p":"x"}`, `{"p":""}`},
		// deny ignores ASCII case, and that only.
		{`deny|p|Ab`, `{"p":"aB"}`, `{"p":"abc"}`},
		{`deny|p|a*z`, `{"p":"AxxxZ"}`, `{"p":"AxxxY"}`},
		{`deny|p|kilo`, `{"p":"KILO"}`, `{"p":"\u212ailo"}`},
		{`deny|p|é`, `{"p":"é"}`, `{"p":"É"}`},
		{`deny|p|*` + strings.Repeat("Ab", 100), `{"p":"x` + strings.Repeat("aB", 100) + `"}`, `{"p":"x` + strings.Repeat("aB", 99) + `"}`},
		{`deny|p|*`, `{"p":0}`, `{}`},
		// The e-mail address. threat 30
		{`require|email|*@corp.example`, `{"email":"a@corp.example"}`, `{"email":"a@evil.example"}`},
		{`require|email|*@corp.example`, `{"email":"a@CORP.Example"}`, `{"email":"a@corp.example.evil.example"}`},
		{`require|email|*@Corp.example`, `{"email":"a@corp.example"}`, `{"email":"acorp.example"}`},
		{`require|email|Ann@corp.example`, `{"email":"Ann@CORP.example"}`, `{"email":"ann@CORP.example"}`},
		{`require|email|*@corp.example`, `{"email":"a@corp.example"}`, `{"email":"a@evil.example@corp.example"}`},
		{`require|email|*@corp.example`, `{"email":"a@corp.example"}`, `{"email":"\"a@evil.example\"@corp.example"}`},
		{`require|email|*@corp.example`, `{"email":"a@corp.example"}`, `{"email":"@corp.example"}`},
		{`require|email|*`, `{"email":"a@b"}`, `{"email":"a@"}`},
		{`require|email|*`, `{"email":"a@b"}`, `{"email":"a@@b"}`},
		{`require|email|*`, `{"email":"a@b"}`, `{"email":"a"}`},
		{`require|email|*`, `{"email":"a@b","email_verified":true}`, `{"email":"a@b","email_verified":false}`},
		{`require|email|*`, `{"email":"a@b","email_verified":"true"}`, `{"email":"a@b","email_verified":"false"}`},
		{`require|email|*`, `{"email":"a@b","email_verified":"True"}`, `{"email":"a@b","email_verified":"FALSE"}`},
		{`require|email|*`, `{"email":"a@b","email_verified":1}`, `{"email":"a@b","email_verified":0}`},
		{`require|email|*`, `{"email":"a@b","email_verified":null}`, `{"email":"a@b","email_verified":0.0}`},
		{`require|email|*`, `{"email":"a@b"}`, `{"email":"a@b","email_verified":"no"}`},
		{`require|email|*`, `{"email":"a@b"}`, `{"email":"a@b","email_verified":[true]}`},
		{`require|email|*`, `{"email":["a@b"]}`, `{"email":["a@b"],"email_verified":false}`},
		{`require|email|*@corp.example`, `{"email":["x","a@corp.example"]}`, `{"email":["x","a@corp.example@x"]}`},
		{`require|claims.email|*`, `{"email":"a@b"}`, `{"email":"a@b","email_verified":false}`},
		// deny sees an address that nobody vouches for.
		{`deny|email|*@evil.example`, `{"email":"a@EVIL.example","email_verified":false}`, `{"email":"a@corp.example","email_verified":false}`},
		{`deny|email|*@evil.example`, `{"email":"a@b@evil.example"}`, `{"email":"a@evil.example@b"}`},
	} {
		if got := judge(t, tc.rule, identity(t, &Mapping{}, tc.holds)); got != Holds {
			t.Errorf("%.60s on %.80s: got %v, want holds", tc.rule, tc.holds, got)
		}
		if got := judge(t, tc.rule, identity(t, &Mapping{}, tc.fails)); got != Fails {
			t.Errorf("%.60s on %.80s: got %v, want fails", tc.rule, tc.fails, got)
		}
	}
}

// threat 30: trust_email and Entra ID, whose tenants' owners write any address.
func TestRuleOnEmailByMapping(t *testing.T) {
	const rule = `require|email|*@corp.example`
	for _, tc := range []struct {
		mapping Mapping
		claims  string
		want    Outcome
	}{
		{Mapping{}, `{"email":"a@corp.example"}`, Holds},
		{Mapping{VerifiedDomain: true}, `{"email":"a@corp.example"}`, Fails},
		{Mapping{VerifiedDomain: true}, `{"email":"a@corp.example","email_verified":true}`, Fails},
		{Mapping{VerifiedDomain: true}, `{"email":"a@corp.example","xms_edov":true}`, Holds},
		{Mapping{VerifiedDomain: true}, `{"email":"a@corp.example","xms_edov":"1"}`, Holds},
		{Mapping{VerifiedDomain: true}, `{"email":"a@corp.example","xms_edov":false}`, Fails},
		{Mapping{VerifiedDomain: true}, `{"email":"a@corp.example","xms_edov":"0"}`, Fails},
		{Mapping{VerifiedDomain: true}, `{"email":"a@corp.example","xms_edov":[true]}`, Fails},
		{Mapping{VerifiedDomain: true}, `{"email":"a@corp.example","xms_edov":true,"email_verified":false}`, Fails},
		{Mapping{VerifiedDomain: true, TrustEmail: true}, `{"email":"a@corp.example"}`, Holds},
		{Mapping{TrustEmail: true}, `{"email":"a@corp.example","email_verified":false}`, Holds},
		{Mapping{TrustEmail: true}, `{"email":"a@evil.example@corp.example"}`, Fails},
	} {
		m := tc.mapping
		if got := judge(t, rule, identity(t, &m, tc.claims)); got != tc.want {
			t.Errorf("%+v on %s: got %v, want %v", tc.mapping, tc.claims, got, tc.want)
		}
	}
}

// A claim that the token replaces by a pointer is unknown: it satisfies no rule
// that requires and escapes none that denies.
func TestRuleOnPointedClaims(t *testing.T) {
	mapping := func() *Mapping {
		return &Mapping{Groups: paths("groups", "roles"), Named: map[string][]Path{"team": paths("dept", "groups")}}
	}
	for _, tc := range []struct {
		name, claim, claims string
		want                Outcome
	}{
		{"no pointer", "groups", `{"groups":["a"]}`, Holds},
		{"overage", "groups", `{"_claim_names":{"groups":"src1"},"_claim_sources":{"src1":{"endpoint":"https://x"}}}`, Unknown},
		{"overage beside values", "groups", `{"groups":["a"],"_claim_names":{"groups":"src1"}}`, Unknown},
		{"overage of one of two sources", "groups", `{"roles":["a"],"_claim_names":{"groups":"src1"}}`, Unknown},
		{"overage, raw claim", "claims.groups", `{"_claim_names":{"groups":"src1"}}`, Unknown},
		{"overage, named claim", "team", `{"dept":"a","_claim_names":{"groups":"src1"}}`, Unknown},
		{"overage, another claim", "dept", `{"dept":"a","_claim_names":{"groups":"src1"}}`, Holds},
		{"hasgroups", "groups", `{"hasgroups":true}`, Unknown},
		{"hasgroups as text", "groups", `{"hasgroups":"true"}`, Unknown},
		{"hasgroups odd", "groups", `{"hasgroups":[]}`, Unknown},
		{"hasgroups false", "groups", `{"groups":["a"],"hasgroups":false}`, Holds},
		{"hasgroups, another claim", "dept", `{"dept":"a","hasgroups":true}`, Holds},
		{"pointer into an object", "address.country", `{"address":{"country":"a"},"_claim_names":{"address":"src1"}}`, Unknown},
		{"empty pointers", "groups", `{"groups":["a"],"_claim_names":{}}`, Holds},
		{"broken pointers", "dept", `{"dept":"a","_claim_names":"groups"}`, Unknown},
		{"pointer for user", "user", `{"sub":"a","_claim_names":{"sub":"src1"}}`, Unknown},
	} {
		for _, verb := range []string{"require", "deny"} {
			id := identity(t, mapping(), tc.claims)
			if got := judge(t, verb+"|"+tc.claim+"|a", id); got != tc.want {
				t.Errorf("%s: %s got %v, want %v", tc.name, verb, got, tc.want)
			}
		}
		rules := Rules{Deny: []ScopedRule{{Rule: mustRule(t, tc.claim, []string{"b"}, true)}}}
		reason, _ := rules.Judge(identity(t, mapping(), tc.claims), nil)
		if (reason == Denied) != (tc.want == Unknown) {
			t.Errorf("%s: deny of something else got %q", tc.name, reason)
		}
	}
}

// Names of the identity win over claims; the raw claim stays within reach.
func TestRuleOnIdentity(t *testing.T) {
	m := &Mapping{
		Integration: "corp",
		User:        paths("sub"),
		Groups:      paths("roles"),
		GroupMap:    map[string][]string{"ext": {"local", "more"}},
		Named:       map[string][]Path{"team": paths("dept", "unit"), "late": paths("absent", "unit"), "mail": paths("email")},
	}
	id := identity(t, m, `{"sub":"ann","roles":["ext","other"],"user":"eve","groups":["root"],"integration":"evil","team":"x","dept":"d","unit":["u"],"email":"a@Corp.example"}`)
	for rule, want := range map[string]Outcome{
		`require|user|ann`: Holds, `require|user|eve`: Fails, `require|claims.user|eve`: Holds,
		`require|groups|local`: Holds, `require|groups|more`: Holds, `require|groups|other`: Holds,
		`require|groups|ext`: Fails, `require|groups|root`: Fails, `require|claims.groups|root`: Holds, `require|roles|ext`: Holds,
		`require|integration|corp`: Holds, `require|integration|evil`: Fails, `require|claims.integration|evil`: Holds,
		`require|team|d`: Holds, `require|team|u`: Holds, `require|team|x`: Fails, `require|claims.team|x`: Holds,
		`require|mail|a@corp.example`: Holds, `require|late|u`: Holds,
		`deny|user|ANN`: Holds, `deny|groups|LOCAL`: Holds, `deny|integration|CORP`: Holds,
	} {
		if got := judge(t, rule, id); got != want {
			t.Errorf("%s: got %v, want %v", rule, got, want)
		}
	}
}

func TestClaim(t *testing.T) {
	m := &Mapping{Named: map[string][]Path{"team": paths("dept", "unit")}}
	id := identity(t, m, `{"dept":"d","unit":["u"],"one":["a"],"n":5,"scope":"a","o":{"k":"v"},"email":"a@B","team":"x","gone":["a"],"_claim_names":{"gone":"s"}}`)
	unverified := identity(t, m, `{"dept":"d","email":"a@b","email_verified":false}`)
	for _, tc := range []struct {
		id   *Identity
		name string
		want []string
		list bool
	}{
		{id, "team", []string{"d", "u"}, true},
		{id, "dept", []string{"d"}, false},
		{id, "one", []string{"a"}, true},
		{id, "n", []string{"5"}, false},
		{id, "scope", []string{"a"}, true},
		{id, "o", []string{"k"}, true},
		{id, "o.k", []string{"v"}, false},
		{id, "o.*", []string{"v"}, true},
		{id, "email", []string{"a@b"}, false},
		{unverified, "email", nil, false},
		{unverified, "dept", []string{"d"}, false},
		{id, "gone", nil, true},
		{id, "absent", nil, false},
		{id, "", nil, false},
		{id, "a..b", nil, false},
	} {
		got, list := tc.id.Claim(tc.name)
		if !slices.Equal(got, tc.want) || list != tc.list {
			t.Errorf("%s: got %q, %v, want %q, %v", tc.name, got, list, tc.want, tc.list)
		}
	}
}

// threat 32: what could never hold, or always, is an error and not a rule.
func TestNewRuleErrors(t *testing.T) {
	if _, err := NewRule("groups", []string{"a"}, false); err != nil {
		t.Error(err)
	}
	for _, tc := range []struct {
		claim    string
		patterns []string
	}{
		{"groups", nil},
		{"groups", []string{""}},
		{"groups", []string{"a", ""}},
		{"", []string{"a"}},
		{"a..b", []string{"a"}},
		{".a", []string{"a"}},
		{"a.", []string{"a"}},
		{"*", []string{"a"}},
		{"*.a", []string{"a"}},
		{"a.*.b", []string{"a"}},
		{"claims.", []string{"a"}},
	} {
		if r, err := NewRule(tc.claim, tc.patterns, true); err == nil {
			t.Errorf("%q %q: got the rule %s", tc.claim, tc.patterns, r.String())
		}
	}
	if _, err := NewAnyRule(nil, 0); err == nil {
		t.Error("an empty any is no error")
	}
	r := mustRule(t, "groups", []string{"a", "b*"}, true)
	if r.String() != "deny groups a b*" || r.Claim() != "groups" || !slices.Equal(r.Patterns(), []string{"a", "b*"}) {
		t.Errorf("got %q, %q", r.String(), r.Claim())
	}
}
