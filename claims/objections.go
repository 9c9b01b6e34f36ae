package claims

import (
	"sync/atomic"
	"unsafe"
)

const (
	// fewRules are judged faster than it is looked up how they were judged before.
	fewRules = 8
	// maxJudged bounds what an identity remembers of one set of rules, a bit each.
	maxJudged = 512
	// judgedSets is of how many sets an identity remembers something: those of a gate,
	// those on trial there, and those of its integration.
	judgedSets = 4
)

var (
	// ruleNumbers counts the sets of rules that are remembered.
	ruleNumbers atomic.Uint64
	// judgedSize is how many bytes an identity takes to remember the largest of them.
	judgedSize atomic.Int64
)

// Remember has identities remember which of the rules have an objection to them: many
// rules cost little then on an identity that is known from before. The rules must not
// change any more.
func (rs *Rules) Remember() {
	n := rs.count()
	if n < fewRules || n > maxJudged {
		return
	}
	rs.number = ruleNumbers.Add(1)
	for size := int64(unsafe.Sizeof(judged{})) + int64(words(n))*8; ; {
		if old := judgedSize.Load(); old >= size || judgedSize.CompareAndSwap(old, size) {
			return
		}
	}
}

// words is how many words it takes to have a bit for each of n rules.
func words(n int) int { return (n + 63) / 64 }

func (rs *Rules) count() int { return len(rs.Deny) + len(rs.Require) + len(rs.Any) }

// objections has a bit for each rule, in the order of a set: whether it would refuse
// an identity if it covered the request. Nil: nobody knows.
type objections []uint64

// may reports whether a rule has an objection, or might have one.
func (o objections) may(rule int) bool { return o == nil || o[rule/64]&(1<<(rule%64)) != 0 }

// judged is what one set of rules says about an identity.
type judged struct {
	number  uint64 // of the set: a pointer would keep an old configuration alive
	objects objections
}

// objections returns what the rules have against an identity, if that is remembered.
func (rs *Rules) objections(id *Identity) objections {
	if rs.number == 0 || id == nil {
		return nil
	}
	slot := &id.judged[rs.number%judgedSets]
	if known := slot.Load(); known != nil && known.number == rs.number {
		return known.objects
	}
	objects := make(objections, words(rs.count()))
	note := func(rule int, refuses bool) {
		if refuses {
			objects[rule/64] |= 1 << (rule % 64)
		}
	}
	for i := range rs.Deny {
		note(i, rs.Deny[i].Rule.Judge(id) != Fails)
	}
	for i := range rs.Require {
		note(len(rs.Deny)+i, rs.Require[i].Rule.Judge(id) != Holds)
	}
	for i := range rs.Any {
		note(len(rs.Deny)+len(rs.Require)+i, !rs.Any[i].holds(id))
	}
	slot.Store(&judged{rs.number, objects})
	return objects
}
