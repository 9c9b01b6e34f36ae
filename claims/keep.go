package claims

import (
	"strings"
	"unsafe"
)

// toRemember is the most that [Identity.Remember] adds later, enough for a few
// headers.
const toRemember = 160

// remembered is something that was made of an identity, for whoever has the number.
type remembered struct {
	number uint64
	texts  []string
}

// Remember returns the texts that make makes of the identity, which somebody with a
// number of his own asks for again and again. They are kept from the second time on, of
// an identity that was copied for somebody who keeps it from the first: only the last
// ones, and none that take more than 160 bytes, which [Identity.CopyTo] counts before
// they are there. They must not be changed.
func (id *Identity) Remember(number uint64, make func() []string) []string {
	known := id.remembered.Load()
	if known != nil && known.number == number {
		return known.texts
	}
	texts := make()
	if id.asked.Load() != number && !(known == nil && id.kept) {
		id.asked.Store(number)
		return texts
	}
	size := int(unsafe.Sizeof(remembered{})) + len(texts)*int(unsafe.Sizeof(""))
	for _, text := range texts {
		size += len(text)
	}
	if size <= toRemember {
		id.remembered.Store(keptTexts(number, texts))
	}
	return texts
}

// keptTexts makes a copy in two pieces of memory, of which the one with all bytes holds
// no pointers that somebody would have to follow.
func keptTexts(number uint64, texts []string) *remembered {
	made := new(struct {
		remembered
		room [2]string
	})
	made.number, made.texts = number, append(made.room[:0], texts...)
	all := strings.Join(texts, "")
	for i, text := range texts {
		made.texts[i], all = all[:len(text)], all[len(text):]
	}
	return &made.remembered
}

// CopyTo makes kept, which is new, the same identity, for somebody who keeps it for
// long: it holds on to nothing of the token but its claims, in a piece of memory of
// their own, and its groups are read. CopyTo returns about how many bytes of memory it
// takes with everything that hangs on it alone, what it may come to remember included.
func (id *Identity) CopyTo(kept *Identity) (size int) {
	kept.kept, kept.mapping, kept.claims = true, id.mapping, id.claims.copied()
	kept.findUser()                                                               // as before, but in the copy
	kept.groups = append([]string(nil), kept.mapping.readGroups(&kept.claims)...) // no longer than it needs
	kept.reading.Store(groupsRead)
	return kept.size()
}

// size is what CopyTo returns, of an identity whose groups were read.
func (id *Identity) size() int {
	size := int(unsafe.Sizeof(*id)-unsafe.Sizeof(id.claims)) + id.claims.size() + cap(id.groups)*int(unsafe.Sizeof("")) + toRemember + int(judgedSets*judgedSize.Load())
	own := func(text string) {
		if !id.claims.holds(text) {
			size += len(text)
		}
	}
	own(id.user)
	for _, group := range id.groups {
		own(group)
	}
	return size
}
