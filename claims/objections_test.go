package claims

import (
	"fmt"
	"math"
	"math/rand/v2"
	"testing"
	"unsafe"
)

// Rules that are remembered decide as those that are not, about every identity and
// every request, and what is remembered of one set is not taken for another's.
func TestRemembered(t *testing.T) {
	random := rand.New(rand.NewPCG(1, 2))
	rule := func(deny bool) Rule {
		r, err := NewRule([]string{"sub", "groups", "absent"}[random.IntN(3)], []string{fmt.Sprint("v", random.IntN(6))}, deny)
		if err != nil {
			t.Fatal(err)
		}
		return r
	}
	identity := func() *Identity {
		s, err := Parse(fmt.Appendf(nil, `{"sub":"v%d","groups":["v%d","v%d"]}`, random.IntN(6), random.IntN(6), random.IntN(6)))
		if err != nil {
			t.Fatal(err)
		}
		sub, _ := ParsePath("sub")
		groups, _ := ParsePath("groups")
		return (&Mapping{User: []Path{sub}, Groups: []Path{groups}}).Identify(s)
	}
	seen := map[Reason]int{}
	for round := range 600 {
		sizes := []int{3, 8, 80}[round%3] // many rules let nobody in
		var sets []*Rules
		for range 6 { // more than an identity remembers
			rs := new(Rules)
			for range random.IntN(sizes) {
				rs.Deny = append(rs.Deny, ScopedRule{rule(true), random.IntN(4)})
			}
			for range random.IntN(sizes) {
				rs.Require = append(rs.Require, ScopedRule{rule(false), random.IntN(4)})
			}
			for range random.IntN(3) {
				a, err := NewAnyRule([]Rule{rule(false), rule(false)}, random.IntN(4))
				if err != nil {
					t.Fatal(err)
				}
				rs.Any = append(rs.Any, a)
			}
			sets = append(sets, rs)
		}
		id := identity()
		if round%2 == 0 {
			var kept Identity
			id.CopyTo(&kept)
			id = &kept
		}
		for range 4 {
			for range 3 * len(sets) {
				rs := sets[random.IntN(1+random.IntN(len(sets)))] // the first ones more often
				covered := random.IntN(8)
				covers := func(scope int) bool { return covered&(1<<(scope-1)) != 0 }
				plain := Rules{Deny: rs.Deny, Require: rs.Require, Any: rs.Any}
				wantReason, wantRule := plain.Judge(id, covers)
				if rs.number == 0 {
					rs.Remember()
				}
				if reason, decided := rs.Judge(id, covers); reason != wantReason || decided != wantRule && wantReason != RuleFailed || (decided == nil) != (wantRule == nil) {
					t.Fatalf("got %s by %v, want %s by %v", reason, decided, wantReason, wantRule)
				}
				if rs.number != 0 && rs.objections(id, new([1]uint64)) != nil {
					seen[wantReason]++
				}
			}
		}
	}
	for _, reason := range []Reason{"", Denied, RuleFailed} {
		if seen[reason] < 100 {
			t.Errorf("%q: %d times", reason, seen[reason])
		}
	}
}

// threat 97: what identities remember of rules is counted before it is there.
func TestRememberedSize(t *testing.T) {
	rs := new(Rules)
	for range maxJudged {
		r, err := NewRule("groups", []string{"x"}, true)
		if err != nil {
			t.Fatal(err)
		}
		rs.Deny = append(rs.Deny, ScopedRule{Rule: r})
	}
	rs.Remember()
	set, err := Parse([]byte(`{"sub":"ada"}`))
	if err != nil {
		t.Fatal(err)
	}
	id := (&Mapping{User: []Path{MustPath("sub")}}).Identify(set)
	var kept Identity
	size := id.CopyTo(&kept)
	id = &kept
	for range 3 * judgedSets {
		rs.Remember()
		rs.Judge(id, nil)
		rs.Judge(id, nil)
	}
	taken, sets := 0, 0
	for known := id.judged.many.Load(); known != nil; known = known.next {
		taken += int(unsafe.Sizeof(*known)) + 8*cap(known.objects)
		sets++
	}
	if sets < judgedSets-1 {
		t.Errorf("%d sets are remembered", sets)
	}
	bare := int(unsafe.Sizeof(*id)) - int(unsafe.Sizeof(id.claims)) + id.claims.size()
	if size < bare+taken || id.size(nil) != size {
		t.Errorf("counted %d bytes, then %d, and it takes %d", size, id.size(nil), bare+taken)
	}
}

// What is remembered is not made for an identity that is asked once, has no rule
// judged that is not remembered, and is not mistaken for what another number says.
func TestRememberedNumbers(t *testing.T) {
	defer ruleNumbers.Store(ruleNumbers.Load())
	id := (&Mapping{User: paths("sub")}).Identify(parse(t, `{"sub":"ada"}`))
	set := func(user string) *Rules {
		rs := &Rules{Require: []ScopedRule{{Rule: mustRule(t, "user", []string{user}, false)}}}
		rs.Remember()
		return rs
	}
	known := func(rs *Rules) objections { return rs.objections(id, new([1]uint64)) }
	good, bad, never := set("ada"), set("eve"), &Rules{}
	never.Remember() // no rules, no number
	if never.number != 0 || known(never) != nil {
		t.Error("a set without rules is remembered")
	}
	for i, want := range []bool{false, true, true} {
		if a, b := known(good), known(bad); (a != nil) != want || (b != nil) != want || want && (a[0] != 0 || b[0] == 0) {
			t.Errorf("%d: got %v and %v", i, a, b)
		}
	}
	var kept Identity
	id.CopyTo(&kept)
	id = &kept
	for i, want := range []bool{true, true} {
		if a, b := known(good), known(bad); (a != nil) != want || a[0] != 0 || b[0] == 0 {
			t.Errorf("a copy, %d: got %v and %v", i, a, b)
		}
	}
	ruleNumbers.Store(math.MaxUint32 - 1)
	last, beyond := set("ada"), set("eve")
	if last.number != math.MaxUint32 || beyond.number != 0 {
		t.Errorf("numbers %d, %d", last.number, beyond.number)
	}
	for range 3 {
		if reason, _ := last.Judge(id, nil); reason != "" {
			t.Error(reason)
		}
		if reason, _ := beyond.Judge(id, nil); reason != RuleFailed {
			t.Errorf("got %q", reason)
		}
	}
}

// A claim that is pointed at elsewhere is known for it however its name is spelled,
// and only where it is a claim of the token itself.
func TestPointsFlag(t *testing.T) {
	for text, want := range map[string]bool{
		`{"sub":"a"}`:                              false,
		`{"sub":"a","hasgroups":false}`:            true,
		`{"_claim_names":{},"sub":"a"}`:            true,
		`{"sub":"a","\u005fclaim\u005Fnames":1}`:   true,
		`{"sub":"a","hasgroup\u0073":1}`:           true,
		`{"sub":"a","Hasgroups":1}`:                false,
		`{"sub":"_claim_names","x":"hasgroups"}`:   false,
		`{"sub":"a","x":{"hasgroups":1}}`:          false,
		`{"hasgroups ":1,"_claim_names\u0000":{}}`: false,
	} {
		s := parse(t, text)
		if s.points != want || s.copied().points != want {
			t.Errorf("%s: got %v", text, s.points)
		}
	}
}
