package claims

import (
	"bytes"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"unsafe"
)

func TestIdentify(t *testing.T) {
	for _, tc := range []struct {
		name    string
		mapping Mapping
		claims  string
		want    string // "": nobody
	}{
		{"sub", Mapping{User: paths("sub")}, `{"sub":"ann"}`, "ann"},
		// threat 31
		{"no sub", Mapping{User: paths("sub")}, `{"Sub":"ann"}`, ""},
		{"empty sub", Mapping{User: paths("sub")}, `{"sub":""}`, ""},
		{"null sub", Mapping{User: paths("sub")}, `{"sub":null}`, ""},
		{"number sub", Mapping{User: paths("sub")}, `{"sub":1}`, ""},
		{"true sub", Mapping{User: paths("sub")}, `{"sub":true}`, ""},
		{"list sub", Mapping{User: paths("sub")}, `{"sub":["ann"]}`, ""},
		{"object sub", Mapping{User: paths("sub")}, `{"sub":{"ann":1}}`, ""},
		{"number elsewhere", Mapping{User: paths("data.id")}, `{"data":{"id":17}}`, "17"},
		{"true elsewhere", Mapping{User: paths("data.id")}, `{"data":{"id":true}}`, ""},
		{"every member", Mapping{User: paths("data.*")}, `{"data":{"id":"ann"}}`, ""},
		// The first one present.
		{"first", Mapping{User: paths("a", "b")}, `{"b":"two","a":"one"}`, "one"},
		{"second", Mapping{User: paths("a", "b")}, `{"b":"two"}`, "two"},
		{"second for empty", Mapping{User: paths("a", "b")}, `{"b":"two","a":""}`, "two"},
		{"not second for controls", Mapping{User: paths("a", "b")}, `{"b":"two","a":"o\u000ane"}`, ""},
		{"pointed elsewhere", Mapping{User: paths("sub")}, `{"sub":"ann","_claim_names":{"sub":"s"}}`, ""},
		// threat 39
		{"newline", Mapping{User: paths("sub")}, `{"sub":"ann\r\nX-Admin: 1"}`, ""},
		{"NUL", Mapping{User: paths("sub")}, `{"sub":"ann\u0000"}`, ""},
		{"DEL", Mapping{User: paths("sub")}, `{"sub":"ann\u007f"}`, ""},
		{"control beyond ASCII", Mapping{User: paths("sub")}, `{"sub":"ann\u0085"}`, ""},
		{"controls where any user will do", Mapping{User: paths("sub"), AnyUser: true}, `{"sub":"ann\n"}`, ""},
		{"beyond ASCII", Mapping{User: paths("sub")}, `{"sub":"Änn"}`, "Änn"},
		// threat 95
		{"placeholder", Mapping{User: paths("sub")}, `{"sub":"{env.HOME}"}`, "{env.HOME}"},
		// threat 30
		{"email", Mapping{User: paths("email")}, `{"email":"Ann@CORP.example"}`, "Ann@corp.example"},
		{"email of two", Mapping{User: paths("email")}, `{"email":"a@evil.example@corp.example"}`, ""},
		{"unverified email", Mapping{User: paths("email")}, `{"email":"a@corp.example","email_verified":false}`, ""},
		{"trusted email", Mapping{User: paths("email"), TrustEmail: true}, `{"email":"a@corp.example","email_verified":false}`, "a@corp.example"},
		{"second for unverified", Mapping{User: paths("email", "sub")}, `{"sub":"s","email":"a@b","email_verified":false}`, "s"},
		{"email without owner", Mapping{User: paths("email"), VerifiedDomain: true}, `{"email":"a@corp.example"}`, ""},
	} {
		got := tc.mapping.Identify(parse(t, tc.claims))
		if (got != nil) != (tc.want != "") || got != nil && got.User() != tc.want {
			t.Errorf("%s: got %+v, want %q", tc.name, got, tc.want)
		}
	}
	anybody := Mapping{Integration: "i", User: paths("sub"), AnyUser: true}
	s := parse(t, `{"a":1}`)
	if id := anybody.Identify(s); id == nil || id.User() != "" || id.Integration() != "i" || !bytes.Equal(id.Claims().Bytes(), s.Bytes()) {
		t.Errorf("anybody: got %+v", id)
	}
	id := anybody.Identify(s)
	if got := judge(t, `require|user|*`, id); got != Fails {
		t.Errorf("an empty id is some user: %v", got)
	}
}

func TestGroups(t *testing.T) {
	var many, want []string
	for i := range 40 {
		many = append(many, fmt.Sprintf(`"g%d"`, i%20))
		if i < 20 {
			want = append(want, fmt.Sprintf("g%d", i))
		}
	}
	for _, tc := range []struct {
		name    string
		mapping Mapping
		claims  string
		want    []string
	}{
		{"list", Mapping{Groups: paths("groups")}, `{"groups":["b","a"]}`, []string{"b", "a"}},
		{"absent", Mapping{Groups: paths("groups")}, `{"Groups":["b"]}`, nil},
		{"empty and null", Mapping{Groups: paths("groups")}, `{"groups":["",null,[],{}]}`, nil},
		{"one text", Mapping{Groups: paths("groups")}, `{"groups":"a,b"}`, []string{"a,b"}},
		{"each once", Mapping{Groups: paths("groups")}, `{"groups":["a","b","\u0061"]}`, []string{"a", "b"}},
		{"many, each once", Mapping{Groups: paths("groups")}, `{"groups":[` + strings.Join(many, ",") + `]}`, want},
		{"together", Mapping{Groups: paths("groups", "realm_access.roles")}, `{"realm_access":{"roles":["r"]},"groups":["g"]}`, []string{"g", "r"}},
		{"keys", Mapping{Groups: paths("urn:zitadel:iam:org:project:1:roles")}, `{"urn:zitadel:iam:org:project:1:roles":{"admin":{"1":"x"}}}`, []string{"admin"}},
		{"mapped", Mapping{Groups: paths("groups"), GroupMap: map[string][]string{"a": {"x", "y"}}}, `{"groups":["a","b"]}`, []string{"x", "y", "b"}},
		{"map_only", Mapping{Groups: paths("groups"), GroupMap: map[string][]string{"a": {"x"}}, MapOnly: true}, `{"groups":["a","b"]}`, []string{"x"}},
		{"not mapped twice", Mapping{Groups: paths("groups"), GroupMap: map[string][]string{"a": {"b"}, "b": {"root"}}}, `{"groups":["a"]}`, []string{"b"}},
		{"overage", Mapping{Groups: paths("groups", "roles")}, `{"groups":["a"],"roles":["r"],"_claim_names":{"groups":"s"}}`, []string{"r"}},
		{"unverified address", Mapping{Groups: paths("email")}, `{"email":"a@b","email_verified":false}`, nil},
	} {
		id := identity(t, &tc.mapping, tc.claims)
		if got := id.Groups(); !slices.Equal(got, tc.want) {
			t.Errorf("%s: got %q, want %q", tc.name, got, tc.want)
		}
	}
}

func TestJudge(t *testing.T) {
	rule := func(text string) Rule {
		words := strings.Split(text, "|")
		return mustRule(t, words[1], words[2:], words[0] == "deny")
	}
	any := func(scope int, texts ...string) AnyRule {
		var list []Rule
		for _, text := range texts {
			list = append(list, rule(text))
		}
		a, err := NewAnyRule(list, scope)
		if err != nil {
			t.Fatal(err)
		}
		return a
	}
	rules := Rules{
		Deny:    []ScopedRule{{Rule: rule(`deny|user|eve`)}},
		Require: []ScopedRule{{Rule: rule(`require|groups|staff`)}, {Rule: rule(`require|groups|admin`), Scope: 1}},
		Any:     []AnyRule{any(2, `require|a|1`, `require|b|1`)},
	}
	for _, tc := range []struct {
		claims string
		scope  int
		reason Reason
		rule   string
	}{
		{`{"sub":"ann","groups":["staff"]}`, 0, "", ""},
		{`{"sub":"ann"}`, 0, RuleFailed, "require groups staff"},
		{`{"sub":"Eve","groups":["staff"]}`, 0, Denied, "deny user eve"},
		{`{"sub":"Eve"}`, 0, Denied, "deny user eve"}, // wins over everything
		{`{"sub":"ann","groups":["staff"]}`, 1, RuleFailed, "require groups admin"},
		{`{"sub":"ann","groups":["staff","admin"]}`, 1, "", ""},
		{`{"sub":"ann","groups":["staff"]}`, 2, RuleFailed, "any { require a 1; require b 1 }"},
		{`{"sub":"ann","groups":["staff"],"b":1}`, 2, "", ""},
		{`{"sub":"ann","groups":["staff"],"b":1,"_claim_names":{"b":"s"}}`, 2, RuleFailed, "any { require a 1; require b 1 }"},
		{`{"sub":"ann","groups":["staff"],"a":1,"_claim_names":{"b":"s"}}`, 2, "", ""},
	} {
		reason, by := rules.Judge(identity(t, &Mapping{Groups: paths("groups")}, tc.claims), func(scope int) bool { return scope == tc.scope })
		text := ""
		if by != nil {
			text = by.String()
		}
		if reason != tc.reason || text != tc.rule {
			t.Errorf("%s in scope %d: got %q by %q, want %q by %q", tc.claims, tc.scope, reason, text, tc.reason, tc.rule)
		}
	}
	// threat 32: nobody satisfies nothing, and the zero AnyRule never holds.
	all := func(int) bool { return true }
	if reason, _ := rules.Judge(nil, all); reason != RuleFailed {
		t.Errorf("nobody: got %q", reason)
	}
	if reason, _ := (&Rules{Any: make([]AnyRule, 1)}).Judge(identity(t, &Mapping{}, `{}`), all); reason != RuleFailed {
		t.Errorf("zero any: got %q", reason)
	}
	for name, want := range map[string]bool{"": false, "require": true, "any": true, "deny": false, "elsewhere": false, "any elsewhere": false} {
		rs := map[string]*Rules{
			"":              {},
			"require":       {Require: rules.Require[:1]},
			"any":           {Any: rules.Any},
			"deny":          {Deny: rules.Deny},
			"any elsewhere": {Any: []AnyRule{any(3, `require|a|1`)}},
			"elsewhere":     {Require: rules.Require[1:]},
		}[name]
		if got := rs.Demand(func(scope int) bool { return scope == 2 }); got != want {
			t.Errorf("demand of %q: got %v", name, got)
		}
	}
}

func TestLetsIn(t *testing.T) {
	for verdict, want := range map[Verdict]bool{Allowed: true, Anonymous: true, Bypassed: true, Refused: false, "": false, "ALLOWED": false} {
		if got := (&Decision{Verdict: verdict}).LetsIn(); got != want {
			t.Errorf("%q: got %v", verdict, got)
		}
	}
}

// threat 97: what an identity remembers for others has a bound, and is what was made
// for that one.
func TestRemember(t *testing.T) {
	s, err := Parse([]byte(`{"sub":"ada"}`))
	if err != nil {
		t.Fatal(err)
	}
	path, _ := ParsePath("sub")
	id := (&Mapping{User: []Path{path}}).Identify(s)
	made := 0
	ask := func(number uint64, text string) string {
		return id.Remember(number, func() []string { made++; return []string{text} })[0]
	}
	for i, step := range []struct {
		number uint64
		text   string
		made   int
	}{
		{1, "a", 1}, // it may be the last time
		{1, "a", 2},
		{1, "a", 2},
		{2, "b", 3},
		{1, "a", 3},
		{2, "b", 4},
		{2, "b", 4},
		{1, "a", 4},
		{4, "d", 5},
		{4, "d", 6},
		{4, "d", 6},
		{2, "b", 7}, // two are remembered, the first and the last
		{2, "b", 8},
		{3, strings.Repeat("x", toRemember), 9},
		{3, strings.Repeat("x", toRemember), 10},
		{3, strings.Repeat("x", toRemember), 11},
		{1, "a", 11},
		{2, "b", 11},
	} {
		if got := ask(step.number, step.text); got != step.text || made != step.made {
			t.Errorf("step %d: got %.10q, made %d times, want %d", i, got, made, step.made)
		}
	}
	var kept Identity
	id.CopyTo(&kept)
	id, made = &kept, 0
	for i, want := range []int{1, 1} {
		if got := ask(7, "k"); got != "k" || made != want {
			t.Errorf("a copy, step %d: got %q, made %d times", i, got, made)
		}
	}
}

// Texts that are too long to be remembered are not copied to find that out, whenever
// they are asked for.
func TestRememberTooLong(t *testing.T) {
	if raceEnabled {
		t.Skip("the race detector allocates")
	}
	id := (&Mapping{User: paths("sub")}).Identify(parse(t, `{"sub":"ada"}`))
	var kept Identity
	id.CopyTo(&kept)
	texts := []string{strings.Repeat("x", toRemember+1)}
	for who, id := range map[string]*Identity{"of a request": id, "a copy": &kept} {
		if n := testing.AllocsPerRun(100, func() { id.Remember(1, func() []string { return texts }) }); n > 0 {
			t.Errorf("%s: %v allocations", who, n)
		}
	}
}

// threat 97: what is remembered for two takes no more than is counted for both.
func TestRememberForTwo(t *testing.T) {
	for _, tc := range []struct {
		first, last int  // bytes
		both        bool // are remembered
	}{{10, 10, true}, {toRemember, 10, false}, {toRemember - 80, 10, true}, {10, toRemember, false}} {
		var kept Identity
		parseIdentity(t, `{"sub":"ada"}`).CopyTo(&kept)
		made := 0
		for range 3 {
			for number, size := range []int{tc.first, tc.last} {
				kept.Remember(uint64(number+1), func() []string { made++; return []string{strings.Repeat("x", size)} })
			}
		}
		if both := made == 2; both != tc.both {
			t.Errorf("%d and %d bytes: made %d times", tc.first, tc.last, made)
		}
	}
}

func parseIdentity(t *testing.T, text string) *Identity {
	return (&Mapping{User: paths("sub")}).Identify(parse(t, text))
}

// threat 97: who keeps an identity has a copy that says the same, holds on to nothing of
// what it was read from and is as large as it is said to be.
func TestCopyTo(t *testing.T) {
	m := &Mapping{
		Integration: "i", User: paths("email", "sub"), Groups: paths("groups", "roles"), AnyUser: true,
		GroupMap: map[string][]string{"g": {"staff", "all"}},
	}
	for _, text := range []string{
		`{"sub":"ada","groups":["g","x","x"],"roles":["\u0041",7]}`,
		`{"email":"Ada@CORP.example", "hasgroups":true,"a":{"b":[1,"c"]}}`,
		`{"s\u0075b":"\u0041da"}`, `{}`, manyMembers(100, "x"),
	} {
		data := []byte("before" + text + "behind")
		set, err := Parse(data[6 : 6+len(text)])
		if err != nil {
			t.Fatal(err)
		}
		id := m.Identify(set)
		var kept Identity
		size := id.CopyTo(&kept)
		user, groups := strings.Clone(id.User()), fmt.Sprint(id.Groups())
		clear(data)
		if kept.User() != user || fmt.Sprint(kept.Groups()) != groups || kept.Integration() != "i" {
			t.Errorf("%s: got %s %s", text, kept.User(), kept.Groups())
		}
		if got := kept.Claims(); string(got.Bytes()) != text || got.points != set.points || got.escaped != set.escaped {
			t.Errorf("%s: got %s", text, got.Bytes())
		}
		compareMembers(t, kept.Claims(), []byte(text))
		if least := int(unsafe.Sizeof(kept)) + len(text) + 8*len(set.members); size < least || size > least+toRemember+200 {
			t.Errorf("%s: %d bytes, it takes %d", text, size, least)
		}
	}
}

// Whoever asks for the groups at the same time gets the same.
func TestGroupsAtOnce(t *testing.T) {
	for range 100 {
		id := (&Mapping{User: paths("sub"), Groups: paths("groups")}).Identify(parse(t, `{"sub":"a","groups":["x","y"]}`))
		var wg sync.WaitGroup
		for range 4 {
			wg.Go(func() {
				for range 2 {
					if got := id.Groups(); !slices.Equal(got, []string{"x", "y"}) {
						t.Errorf("got %q", got)
					}
				}
			})
		}
		wg.Wait()
	}
}
