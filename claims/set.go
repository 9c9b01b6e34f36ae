package claims

import (
	"bytes"
	"iter"
	"slices"
	"strconv"
	"unsafe"
)

// Set is the claims of a token or session: the bytes of one JSON object and an
// index of its members. Nothing is decoded before it is asked for. A Set is never
// changed after it was made, so many requests may read it at once.
type Set struct {
	data    []byte
	members []member
	escaped bool // some name has escapes in it
	points  bool // it may point elsewhere for a claim, see pointed
}

// member says where in the data a name, with its quotes, and its value stand. It
// is small, because sets are kept for as long as their tokens live.
type member struct {
	name, nameEnd uint32
	value, end    uint32
}

// Parse makes a Set of data, which it keeps. It returns [ErrSyntax] for anything
// but one JSON object in valid UTF-8 whose member names are distinct at every
// depth and which is nested at most 32 deep.
func Parse(data []byte) (*Set, error) {
	p := parser{data: data}
	s := &Set{data: data, members: make([]member, 0, min(16, 1+len(data)/16))}
	p.space()
	if p.pos >= len(data) || data[p.pos] != '{' {
		return nil, ErrSyntax
	}
	var room [32][]byte // for the names of most tokens
	ok := p.object(1, room[:0], func(m member, name []byte) {
		s.members = append(s.members, m)
		s.escaped = s.escaped || int(m.nameEnd-m.name) != len(name)+2 // each escape is longer than what it stands for
		s.points = s.points || string(name) == claimNames || string(name) == hasGroups
	})
	p.space()
	if !ok || p.pos != len(data) {
		return nil, ErrSyntax
	}
	return s, nil
}

// Bytes returns the JSON text that the Set was made of. It must not be changed.
func (s *Set) Bytes() []byte { return s.data }

// Get returns a claim by its exact name, the zero Value if it is absent.
func (s *Set) Get(name string) Value {
	if s == nil {
		return Value{}
	}
	for i := range s.members {
		m := &s.members[i]
		if s.escaped && !(Value{s.data[m.name:m.nameEnd]}).Equal(name) || !s.escaped && string(s.data[m.name+1:m.nameEnd-1]) != name {
			continue
		}
		return Value{s.data[m.value:m.end]}
	}
	return Value{}
}

// All returns the claims in the order of the text.
func (s *Set) All() iter.Seq2[string, Value] {
	return func(yield func(string, Value) bool) {
		for _, m := range s.members {
			name := Value{s.data[m.name:m.nameEnd]}
			if !yield(name.String(), Value{s.data[m.value:m.end]}) {
				return
			}
		}
	}
}

// Clone returns a copy that shares nothing with s and holds no more than it needs.
func (s *Set) Clone() *Set {
	return &Set{data: bytes.Clone(s.data), members: slices.Clone(s.members), escaped: s.escaped, points: s.points}
}

// size returns about how many bytes of memory s takes.
func (s *Set) size() int {
	return int(unsafe.Sizeof(*s)) + cap(s.data) + cap(s.members)*int(unsafe.Sizeof(member{}))
}

// Has reports whether a claim is there, null or not.
func (s *Set) Has(name string) bool { return s.Get(name).Exists() }

// view returns the bytes of s without a copy. They must not be changed.
func view(s string) []byte { return unsafe.Slice(unsafe.StringData(s), len(s)) }

// text returns b as a string without a copy. b must never be changed any more:
// the bytes of a [Set] never are, nor the copies that are made where something
// in them has to be unescaped or folded.
func text(b []byte) string { return unsafe.String(unsafe.SliceData(b), len(b)) }

// Value is one JSON value inside a [Set]. The zero Value is an absent one.
type Value struct{ json []byte }

// Exists reports whether the value is there, null or not.
func (v Value) Exists() bool { return len(v.json) > 0 }

// JSON returns the text of the value. It must not be changed.
func (v Value) JSON() []byte { return v.json }

func (v Value) kind() byte {
	if len(v.json) == 0 {
		return 0
	}
	return v.json[0]
}

// IsNull, IsString, IsArray and IsObject report the type of a value.
func (v Value) IsNull() bool   { return v.kind() == 'n' }
func (v Value) IsString() bool { return v.kind() == '"' }
func (v Value) IsArray() bool  { return v.kind() == '[' }
func (v Value) IsObject() bool { return v.kind() == '{' }

// IsNumber reports whether the value is a number.
func (v Value) IsNumber() bool {
	k := v.kind()
	return k == '-' || '0' <= k && k <= '9'
}

// Bool returns the value of a boolean; ok is false for any other type.
func (v Value) Bool() (value, ok bool) {
	switch v.kind() {
	case 't':
		return true, true
	case 'f':
		return false, true
	}
	return false, false
}

// String returns the text of a string, "" for any other type.
func (v Value) String() string { return string(v.bytes()) }

// Equal reports whether the value is the string s. It does not allocate unless
// the string holds escapes.
func (v Value) Equal(s string) bool { return v.IsString() && string(v.bytes()) == s }

// Number returns a number as float64; ok is false for any other type and for
// numbers that float64 cannot hold.
func (v Value) Number() (n float64, ok bool) {
	if !v.IsNumber() {
		return 0, false
	}
	n, err := strconv.ParseFloat(string(v.json), 64)
	return n, err == nil
}

// bytes returns the unescaped text of a string: a part of the Set where nothing
// is escaped, else a copy.
func (v Value) bytes() []byte {
	if !v.IsString() {
		return nil
	}
	s := v.json[1 : len(v.json)-1]
	if bytes.IndexByte(s, '\\') < 0 {
		return s
	}
	s, _ = unescape(make([]byte, 0, len(s)), s)
	return s
}

// scalar returns the text that rules compare: a string unescaped, a number or
// boolean as its JSON text. Other types have none.
func (v Value) scalar() (text []byte, ok bool) {
	switch v.kind() {
	case 0, '{', '[', 'n':
		return nil, false
	case '"':
		return v.bytes(), true
	}
	return v.json, true
}

// elements calls yield with each element of an array until it returns false.
func (v Value) elements(yield func(Value) bool) bool {
	if !v.IsArray() {
		return true
	}
	p := parser{data: v.json, pos: 1}
	for {
		p.space()
		if p.byte(']') {
			return true
		}
		start := p.pos
		p.skip()
		if !yield(Value{p.data[start:p.pos]}) {
			return false
		}
		p.space()
		p.byte(',')
	}
}

// fields calls yield with each member of an object until it returns false.
func (v Value) fields(yield func(name, value Value) bool) bool {
	if !v.IsObject() {
		return true
	}
	p := parser{data: v.json, pos: 1}
	for {
		p.space()
		if p.byte('}') {
			return true
		}
		start := p.pos
		p.skip()
		name := Value{p.data[start:p.pos]}
		p.space()
		p.byte(':')
		p.space()
		start = p.pos
		p.skip()
		if !yield(name, Value{p.data[start:p.pos]}) {
			return false
		}
		p.space()
		p.byte(',')
	}
}

// Member returns a member of an object by its exact name, an absent value for any
// other type.
func (v Value) Member(name string) (found Value) {
	v.fields(func(n, value Value) bool {
		if n.Equal(name) {
			found = value
			return false
		}
		return true
	})
	return found
}

// skip moves behind the value at pos, which [Parse] has checked before.
func (p *parser) skip() {
	depth := 0
	for p.pos < len(p.data) {
		switch p.data[p.pos] {
		case '"':
			p.skipText()
		case '{', '[':
			depth++
			p.pos++
		case '}', ']':
			depth--
			p.pos++
		case ',', ':', ' ', '\t', '\n', '\r':
			p.pos++
			continue
		default:
			p.skipWord()
		}
		if depth <= 0 {
			return
		}
	}
}

func (p *parser) skipText() {
	for p.pos++; p.pos < len(p.data); p.pos++ {
		switch p.data[p.pos] {
		case '\\':
			p.pos++
		case '"':
			p.pos++
			return
		}
	}
}

// skipWord moves behind a number, true, false or null.
func (p *parser) skipWord() {
	for p.pos < len(p.data) {
		switch p.data[p.pos] {
		case ',', ':', '}', ']', ' ', '\t', '\n', '\r':
			return
		}
		p.pos++
	}
}
