package claims

import (
	"bytes"
	"errors"
	"slices"
	"unicode/utf16"
	"unicode/utf8"
)

// ErrSyntax means that bytes are not one JSON object as Admit takes it.
var ErrSyntax = errors.New("claims: not a strict JSON object")

const (
	// maxDepth bounds nesting, so that a hostile token cannot exhaust the stack.
	maxDepth = 32
	// fewNames is up to how many names of one object are compared one by one;
	// beyond it they are sorted, so that a long object costs no quadratic time.
	fewNames = 16
)

// parser checks JSON (RFC 8259) strictly: one value, valid UTF-8, no lone
// surrogates, no duplicate member names at any depth, no data after the end.
// Two parsers that read such bytes cannot see different claims.
//
// The names of the objects that are being read, innermost last, go along as an
// argument: in the parser they would have to lie on the heap.
type parser struct {
	data []byte
	pos  int
}

// value checks the value at pos and moves behind it. depth is that of an object
// or array, should it be one.
func (p *parser) value(depth int, names [][]byte) bool {
	if p.pos >= len(p.data) {
		return false
	}
	switch c := p.data[p.pos]; {
	case c == '"':
		_, ok := p.text()
		return ok
	case c == '{':
		return depth <= maxDepth && p.object(depth, names, nil)
	case c == '[':
		return depth <= maxDepth && p.array(depth, names)
	case c == 't':
		return p.word("true")
	case c == 'f':
		return p.word("false")
	case c == 'n':
		return p.word("null")
	default:
		return p.number()
	}
}

// object checks the object at pos; each member is reported to found, if given.
func (p *parser) object(depth int, names [][]byte, found func(m member, name []byte)) bool {
	p.pos++ // the brace
	base := len(names)
	p.space()
	if p.byte('}') {
		return true
	}
	for {
		p.space()
		nameAt := p.pos
		name, ok := p.text()
		if !ok {
			return false
		}
		if own := names[base:]; len(own) < fewNames && containsName(own, name) {
			return false
		}
		names = append(names, name)
		nameEnd := p.pos
		p.space()
		if !p.byte(':') {
			return false
		}
		p.space()
		start := p.pos
		if !p.value(depth+1, names) {
			return false
		}
		if found != nil {
			found(member{uint32(nameAt), uint32(nameEnd), uint32(start), uint32(p.pos)}, name)
		}
		p.space()
		if p.byte('}') {
			return distinct(names[base:])
		}
		if !p.byte(',') {
			return false
		}
	}
}

func containsName(names [][]byte, name []byte) bool {
	for _, n := range names {
		if bytes.Equal(n, name) {
			return true
		}
	}
	return false
}

// distinct reports whether no two names are equal. Short lists were compared
// while they grew.
func distinct(names [][]byte) bool {
	if len(names) <= fewNames {
		return true
	}
	slices.SortFunc(names, bytes.Compare)
	for i := 1; i < len(names); i++ {
		if bytes.Equal(names[i-1], names[i]) {
			return false
		}
	}
	return true
}

func (p *parser) array(depth int, names [][]byte) bool {
	p.pos++ // the bracket
	p.space()
	if p.byte(']') {
		return true
	}
	for {
		p.space()
		if !p.value(depth+1, names) {
			return false
		}
		p.space()
		if p.byte(']') {
			return true
		}
		if !p.byte(',') {
			return false
		}
	}
}

// text checks the string at pos and returns it unescaped: the bytes themselves
// where nothing is escaped, else a copy.
func (p *parser) text() ([]byte, bool) {
	if !p.byte('"') {
		return nil, false
	}
	start, escaped := p.pos, false
	for p.pos < len(p.data) {
		switch c := p.data[p.pos]; {
		case c == '"':
			s := p.data[start:p.pos]
			p.pos++
			if escaped {
				return unescape(nil, s)
			}
			return s, true
		case c == '\\':
			escaped = true
			p.pos += 2
		case c < 0x20:
			return nil, false
		case c < utf8.RuneSelf:
			p.pos++
		default:
			r, size := utf8.DecodeRune(p.data[p.pos:])
			if r == utf8.RuneError && size == 1 {
				return nil, false
			}
			p.pos += size
		}
	}
	return nil, false
}

// unescape appends s without its escapes to dst. It refuses unknown escapes and
// surrogates that are no pair, which other parsers fold into U+FFFD.
func unescape(dst, s []byte) ([]byte, bool) {
	for i := 0; i < len(s); i++ {
		if s[i] != '\\' {
			dst = append(dst, s[i])
			continue
		}
		i++
		if i >= len(s) {
			return nil, false
		}
		if s[i] == 'u' {
			r, size := unescapeRune(s[i-1:])
			if size == 0 {
				return nil, false
			}
			dst = utf8.AppendRune(dst, r)
			i += size - 2 // the backslash and the loop's own step are counted
			continue
		}
		k := bytes.IndexByte([]byte(`"\/bfnrt`), s[i])
		if k < 0 {
			return nil, false
		}
		dst = append(dst, "\"\\/\b\f\n\r\t"[k])
	}
	return dst, true
}

// unescapeRune reads \uXXXX, or two of them that make a surrogate pair. It
// returns the rune and how many bytes it took, 0 if it is none.
func unescapeRune(s []byte) (rune, int) {
	r, ok := hex4(s)
	if !ok {
		return 0, 0
	}
	if !utf16.IsSurrogate(r) {
		return r, 6
	}
	low, ok := hex4(s[6:])
	if pair := utf16.DecodeRune(r, low); ok && pair != utf8.RuneError {
		return pair, 12
	}
	return 0, 0
}

func hex4(s []byte) (r rune, ok bool) {
	if len(s) < 6 || s[0] != '\\' || s[1] != 'u' {
		return 0, false
	}
	for _, c := range s[2:6] {
		switch {
		case '0' <= c && c <= '9':
			c -= '0'
		case 'a' <= c && c <= 'f':
			c -= 'a' - 10
		case 'A' <= c && c <= 'F':
			c -= 'A' - 10
		default:
			return 0, false
		}
		r = r<<4 | rune(c)
	}
	return r, true
}

// number checks the number at pos by the grammar of RFC 8259 section 6.
func (p *parser) number() bool {
	p.byte('-')
	if !p.byte('0') && !p.digits() {
		return false
	}
	if p.byte('.') && !p.digits() {
		return false
	}
	if p.byte('e') || p.byte('E') {
		if !p.byte('+') {
			p.byte('-')
		}
		return p.digits()
	}
	return true
}

func (p *parser) digits() bool {
	start := p.pos
	for p.pos < len(p.data) && '0' <= p.data[p.pos] && p.data[p.pos] <= '9' {
		p.pos++
	}
	return p.pos > start
}

func (p *parser) word(w string) bool {
	if len(p.data)-p.pos < len(w) || string(p.data[p.pos:p.pos+len(w)]) != w {
		return false
	}
	p.pos += len(w)
	return true
}

func (p *parser) byte(c byte) bool {
	if p.pos < len(p.data) && p.data[p.pos] == c {
		p.pos++
		return true
	}
	return false
}

func (p *parser) space() {
	for p.pos < len(p.data) {
		switch p.data[p.pos] {
		case ' ', '\t', '\n', '\r':
			p.pos++
		default:
			return
		}
	}
}
