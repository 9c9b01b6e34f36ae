package claims

import (
	"strings"
	"sync/atomic"
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

// fewTexts are remembered without memory of their own. They are written once.
type fewTexts struct {
	number atomic.Uint64 // of whose they are; 0 until they are there
	texts  [2]string
	count  uint8
	size   uint8       // of what is no part of the claims, in bytes
	taken  atomic.Bool // by whoever writes them
}

// Remember returns the texts that make makes of the identity. Whoever asks for them again
// and again has a number of his own, which is not 0. The texts must not be changed.
//
// They are remembered from the second time on, and from the first if the identity was
// copied for somebody who keeps it. Only two who ask are remembered, the first and the
// last, and only as far as that takes no more than 160 bytes, which [Identity.CopyTo]
// counts before they are there.
func (id *Identity) Remember(number uint64, make func() []string) []string {
	if id.texts.number.Load() == number {
		return id.texts.texts[:id.texts.count:id.texts.count]
	}
	known := id.further.Load()
	if known != nil && known.number == number {
		return known.texts
	}
	texts := make()
	if id.asked.Load() != number && !(known == nil && id.kept) {
		id.asked.Store(number)
		return texts
	}
	id.remember(number, texts)
	return texts
}

func (id *Identity) remember(number uint64, texts []string) {
	size := 0
	for _, text := range texts {
		if !id.claims.holds(text) {
			size += len(text)
		}
	}
	few, first, last := &id.texts, 0, 0
	if few.number.Load() != 0 {
		first = int(few.size)
	}
	if known := id.further.Load(); known != nil {
		last = keptSize(known.texts)
	}
	if size+last <= toRemember && len(texts) <= len(few.texts) && few.taken.CompareAndSwap(false, true) {
		for i, text := range texts {
			if !id.claims.holds(text) {
				text = strings.Clone(text) // without what else may lie there
			}
			few.texts[i] = text
		}
		few.count, few.size = uint8(len(texts)), uint8(size)
		few.number.Store(number)
		return
	}
	if first+keptSize(texts) <= toRemember {
		id.further.Store(keptTexts(number, texts))
	}
}

// keptSize returns how many bytes of memory keptTexts takes.
func keptSize(texts []string) int {
	size := int(unsafe.Sizeof(remembered{})) + max(len(texts), 2)*int(unsafe.Sizeof(""))
	for _, text := range texts {
		size += len(text)
	}
	return size
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
// their own. CopyTo returns about how many bytes of memory it
// takes with everything that hangs on it alone, what it may come to remember included.
func (id *Identity) CopyTo(kept *Identity) (size int) {
	kept.kept, kept.mapping, kept.claims = true, id.mapping, id.claims.copied()
	kept.findUser() // as before, but in the copy
	return kept.size(kept.mapping.readGroups(&kept.claims))
}

// size is what CopyTo returns, of an identity with these groups.
func (id *Identity) size(groups []string) int {
	size := int(unsafe.Sizeof(*id)-unsafe.Sizeof(id.claims)) + id.claims.size() + len(groups)*int(unsafe.Sizeof("")) + toRemember + int(judgedSets*judgedSize.Load())
	own := func(text string) {
		if !id.claims.holds(text) {
			size += len(text)
		}
	}
	own(id.user)
	for _, group := range groups {
		own(group)
	}
	return size
}
