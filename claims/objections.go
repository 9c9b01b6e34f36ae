package claims

import (
	"math"
	"math/bits"
	"sync/atomic"
	"unsafe"
)

const (
	// fewRules is of how many rules an identity remembers the objections without
	// memory of their own.
	fewRules = 31
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

// Remember has identities remember which of the rules have an objection to them: they
// cost next to nothing then on an identity that is known from before. The rules must
// not change any more.
func (rs *Rules) Remember() {
	n := rs.count()
	if n == 0 || n > maxJudged {
		return
	}
	number := ruleNumbers.Add(1)
	if number > math.MaxUint32 {
		return // no number stands for two sets: these are judged each time
	}
	rs.number = uint32(number)
	for i := range rs.Deny {
		rs.scopes = append(rs.scopes, rs.Deny[i].Scope)
	}
	for i := range rs.Require {
		rs.scopes = append(rs.scopes, rs.Require[i].Scope)
	}
	for i := range rs.Any {
		rs.scopes = append(rs.scopes, rs.Any[i].scope)
	}
	if n <= fewRules {
		return
	}
	for size := int64(unsafe.Sizeof(manyJudged{})) + int64(words(n))*8; ; {
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

// object returns the first objection of a rule whose scope covers the request. Rules
// without one are not looked at, and of the others nothing but their scope.
func (rs *Rules) object(objects objections, covers func(scope int) bool) (Reason, *Rule) {
	for i, word := range objects {
		for ; word != 0; word &= word - 1 {
			rule := i*64 + bits.TrailingZeros64(word)
			if scope := rs.scopes[rule]; scope == 0 || covers(scope) {
				return rs.refusal(rule)
			}
		}
	}
	return "", nil
}

// refusal returns why a rule refuses, by its place in the order of the set.
func (rs *Rules) refusal(rule int) (Reason, *Rule) {
	if rule < len(rs.Deny) {
		return Denied, &rs.Deny[rule].Rule
	}
	if rule -= len(rs.Deny); rule < len(rs.Require) {
		return RuleFailed, &rs.Require[rule].Rule
	}
	return RuleFailed, &rs.Any[rule-len(rs.Require)].whole
}

// memory is what an identity remembers of sets of rules. It depends on nothing but the
// identity and the rules: the same is found out whenever it is asked.
type memory struct {
	// Each word has the number of a set in its upper half, which is never 0. The bit
	// behind it says that the lower ones are the objections of few rules.
	sets [judgedSets]atomic.Uint64
	many atomic.Pointer[manyJudged]
}

const judgedBit = 1 << fewRules

// manyJudged is what one set of many rules says about an identity.
type manyJudged struct {
	number  uint32 // of the set: a pointer would keep an old configuration alive
	further int32  // how many come after it
	objects objections
	next    *manyJudged
}

// objections returns what the rules have against an identity, if that is remembered;
// room is for the answer. It is found out when the same rules are asked about the same
// identity again: one that is made for a single request never is worth that. One that
// somebody keeps is at once, while there is room.
func (rs *Rules) objections(id *Identity, room *[1]uint64) objections {
	if rs.number == 0 || id == nil {
		return nil
	}
	slot := id.judged.slot(rs.number)
	known, few := slot.Load(), rs.count() <= fewRules
	again := uint32(known>>32) == rs.number
	switch {
	case again && known&judgedBit != 0:
		room[0] = known & (judgedBit - 1)
		return room[:]
	case !again && !(few && known == 0 && id.kept):
		slot.Store(uint64(rs.number) << 32)
		return nil
	case !few:
		return rs.many(id)
	}
	room[0] = 0
	rs.judgeAll(id, room[:])
	slot.Store(uint64(rs.number)<<32 | judgedBit | room[0])
	return room[:]
}

// slot returns the word of the set of that number, or the one that it is to have.
func (m *memory) slot(number uint32) *atomic.Uint64 {
	for i := range m.sets {
		if n := uint32(m.sets[i].Load() >> 32); n == number || n == 0 {
			return &m.sets[i]
		}
	}
	return &m.sets[number%judgedSets]
}

// many is objections for more rules than fit into a word.
func (rs *Rules) many(id *Identity) objections {
	first := id.judged.many.Load()
	for known := first; known != nil; known = known.next {
		if known.number == rs.number {
			return known.objects
		}
	}
	made := &manyJudged{number: rs.number, objects: make(objections, words(rs.count()))}
	rs.judgeAll(id, made.objects)
	if first != nil && first.further+2 <= judgedSets { // else the old ones go
		made.next, made.further = first, first.further+1
	}
	id.judged.many.Store(made)
	return made.objects
}

// judgeAll judges all rules, whatever they cover.
func (rs *Rules) judgeAll(id *Identity, objects objections) {
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
}
