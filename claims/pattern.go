package claims

import (
	"bytes"
	"strings"
)

// Pattern matches a whole value. "*" matches any run of characters; everything
// else stands for itself. A lone "*" matches every value that is not empty.
type Pattern struct {
	parts [][]byte // what stands between the stars
	fold  bool     // ASCII case does not matter; parts are lower-case
}

// NewPattern reads a pattern. With fold it ignores the case of ASCII letters.
func NewPattern(text string, fold bool) Pattern {
	b := []byte(text)
	if fold {
		lowerASCII(b)
	}
	for bytes.Contains(b, []byte("**")) {
		b = bytes.ReplaceAll(b, []byte("**"), []byte("*"))
	}
	return Pattern{parts: bytes.Split(b, []byte("*")), fold: fold}
}

// Match reports whether the whole value fits. A star in the value is a
// character like any other.
func (p Pattern) Match(value []byte) bool {
	if p.fold {
		// Values are short: this copy, mostly on the stack, is cheaper than a
		// comparison that folds on the way.
		var room [128]byte
		value = append(room[:0], value...)
		lowerASCII(value)
	}
	if len(p.parts) == 1 {
		return bytes.Equal(value, p.parts[0])
	}
	if p.present() {
		return len(value) > 0
	}
	first, last := p.parts[0], p.parts[len(p.parts)-1]
	if len(value) < len(first)+len(last) || !bytes.HasPrefix(value, first) || !bytes.HasSuffix(value, last) {
		return false
	}
	value = value[len(first) : len(value)-len(last)]
	for _, part := range p.parts[1 : len(p.parts)-1] {
		// The leftmost place leaves the most for what follows: no backtracking.
		i := bytes.Index(value, part)
		if i < 0 {
			return false
		}
		value = value[i+len(part):]
	}
	return true
}

// present reports whether the pattern is a lone "*".
func (p Pattern) present() bool {
	return len(p.parts) == 2 && len(p.parts[0]) == 0 && len(p.parts[1]) == 0
}

func lowerASCII(b []byte) {
	for i, c := range b {
		if 'A' <= c && c <= 'Z' {
			b[i] = c + 'a' - 'A'
		}
	}
}

// lowerDomain lower-cases what follows the last "@" of an address or a pattern
// about addresses.
func lowerDomain(address []byte) []byte {
	at := bytes.LastIndexByte(address, '@')
	if at < 0 || !bytes.ContainsFunc(address[at:], func(r rune) bool { return 'A' <= r && r <= 'Z' }) {
		return address
	}
	address = bytes.Clone(address)
	lowerASCII(address[at:])
	return address
}

// emailPattern is NewPattern for rules on e-mail addresses, whose domains are
// compared in lower case.
func emailPattern(text string, fold bool) Pattern {
	if strings.Contains(text, "@") {
		text = string(lowerDomain([]byte(text)))
	}
	return NewPattern(text, fold)
}
