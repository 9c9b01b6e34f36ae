package claims

import (
	"fmt"
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
		sizes := []int{8, 80}[round%2] // many rules let nobody in
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
		for range 4 {
			for _, rs := range sets {
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
				seen[wantReason]++
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
	size := id.Size()
	for range judgedSets {
		rs.Remember()
		rs.Judge(id, nil)
	}
	taken := 0
	for i := range id.judged {
		if known := id.judged[i].Load(); known == nil {
			t.Errorf("slot %d is empty", i)
		} else {
			taken += int(unsafe.Sizeof(*known)) + 8*cap(known.objects)
		}
	}
	bare := int(unsafe.Sizeof(*id)) + id.claims.size()
	if size < bare+taken || id.Size() != size {
		t.Errorf("counted %d bytes, then %d, and it takes %d", size, id.Size(), bare+taken)
	}
}
