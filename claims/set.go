package claims

import (
	"bytes"
	"iter"
	"strconv"
	"strings"
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

// member says where in the data a name stands, at its quote, and where its value
// ends. It is small, because sets are kept for as long as their tokens live.
type member struct{ name, end uint32 }

// Parse makes a Set of data, which it keeps. It returns [ErrSyntax] for anything
// but one JSON object in valid UTF-8 whose member names are distinct at every
// depth and which is nested at most 32 deep.
func Parse(data []byte) (*Set, error) { return new(Room).Parse(data) }

// Room is a place for one Set that is a part of something larger, so that it takes no
// memory of its own.
type Room struct {
	set     Set
	members [16]member // enough for most tokens
}

// Parse is [Parse] for a Set in the room, which must not have held another one.
func (r *Room) Parse(data []byte) (*Set, error) {
	s := &r.set
	s.data, s.members = data, r.members[:0]
	at := space(data, 0)
	if !is(data, at, '{') {
		return nil, ErrSyntax
	}
	var room [maxDepth][]byte // for the names of most tokens
	at = checkObject(data, at, 1, room[:0], s)
	if at < 0 || space(data, at) != len(data) {
		return nil, ErrSyntax
	}
	return s, nil
}

// note takes down a member while s is being made.
func (s *Set) note(name []byte, escaped bool, at, end int) {
	s.members = append(s.members, member{uint32(at), uint32(end)})
	s.escaped = s.escaped || escaped
	s.points = s.points || string(name) == claimNames || string(name) == hasGroups
}

// Bytes returns the JSON text that the Set was made of. It must not be changed.
func (s *Set) Bytes() []byte { return s.data }

// Get returns a claim by its exact name, the zero Value if it is absent.
func (s *Set) Get(name string) Value {
	if s == nil {
		return Value{}
	}
	for _, m := range s.members {
		if s.escaped {
			if n, value := s.member(m); n.Equal(name) {
				return value
			}
			continue
		}
		// No name in the data has a quote in it: the first one behind the same bytes ends
		// it. Most often there is none at that place, which is the quickest to see.
		at := int(m.name) + 1
		end := at + len(name)
		if is(s.data, end, '"') && string(s.data[at:end]) == name && strings.IndexByte(name, '"') < 0 {
			return s.valueOf(m, end+1)
		}
	}
	return Value{}
}

// member returns the name and the value of a member.
func (s *Set) member(m member) (name, value Value) {
	end := skipText(s.data, int(m.name))
	return Value{s.data[m.name:end]}, s.valueOf(m, end)
}

// valueOf returns the value of a member whose name ends somewhere.
func (s *Set) valueOf(m member, nameEnd int) Value {
	colon := space(s.data, nameEnd)
	return Value{s.data[space(s.data, colon+1):m.end]}
}

// All returns the claims in the order of the text.
func (s *Set) All() iter.Seq2[string, Value] {
	return func(yield func(string, Value) bool) {
		for _, m := range s.members {
			name, value := s.member(m)
			if !yield(name.String(), value) {
				return
			}
		}
	}
}

// copied returns a copy that shares nothing with s, in one piece of memory that is no
// larger than it needs: the members, then the data.
func (s *Set) copied() Set {
	n := len(s.members)
	room := make([]member, n+(len(s.data)+int(memberSize)-1)/int(memberSize))
	copy(room, s.members)
	data := unsafe.Slice((*byte)(unsafe.Pointer(unsafe.SliceData(room[n:]))), len(s.data))
	copy(data, s.data)
	return Set{data: data, members: room[:n:n], escaped: s.escaped, points: s.points}
}

const memberSize = unsafe.Sizeof(member{})

// holds reports whether a text is a part of the data.
func (s *Set) holds(text string) bool {
	at, first := uintptr(unsafe.Pointer(unsafe.StringData(text))), uintptr(unsafe.Pointer(unsafe.SliceData(s.data)))
	return at >= first && at < first+uintptr(len(s.data))
}

// size returns about how many bytes of memory s takes.
func (s *Set) size() int {
	return int(unsafe.Sizeof(*s)) + cap(s.data) + cap(s.members)*int(memberSize)
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
	if len(v.json) <= 15 { // float64 has every integer of 15 digits
		for i, c := range v.json {
			if c < '0' || c > '9' {
				break
			}
			if n = 10*n + float64(c-'0'); i == len(v.json)-1 {
				return n, true
			}
		}
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
	return unescape(make([]byte, 0, len(s)), s)
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
	for at := space(v.json, 1); !is(v.json, at, ']'); {
		end := skip(v.json, at)
		if !yield(Value{v.json[at:end]}) {
			return false
		}
		at = next(v.json, end)
	}
	return true
}

// next moves from behind an element or member to the next one or to the end.
func next(data []byte, at int) int {
	if at = space(data, at); is(data, at, ',') {
		at = space(data, at+1)
	}
	return at
}

// fields calls yield with each member of an object until it returns false.
func (v Value) fields(yield func(name, value Value) bool) bool {
	if !v.IsObject() {
		return true
	}
	for at := space(v.json, 1); !is(v.json, at, '}'); {
		end := skip(v.json, at)
		name := Value{v.json[at:end]}
		at = space(v.json, space(v.json, end)+1) // the colon
		end = skip(v.json, at)
		if !yield(name, Value{v.json[at:end]}) {
			return false
		}
		at = next(v.json, end)
	}
	return true
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

// skip moves behind a value that [Parse] has checked before.
func skip(data []byte, at int) int {
	for depth := 0; at < len(data); {
		switch data[at] {
		case '"':
			at = skipText(data, at)
		case '{', '[':
			depth++
			at++
		case '}', ']':
			depth--
			at++
		case ',', ':', ' ', '\t', '\n', '\r':
			at++
			continue
		default:
			at = skipWord(data, at)
		}
		if depth <= 0 {
			break
		}
	}
	return at
}

func skipText(data []byte, at int) int {
	for at++; ; at += 2 {
		if at, _ = plainText(data, at); !is(data, at, '\\') {
			return min(at+1, len(data))
		}
	}
}

// skipWord moves behind a number, true, false or null.
func skipWord(data []byte, at int) int {
	for ; at < len(data); at++ {
		switch data[at] {
		case ',', ':', '}', ']', ' ', '\t', '\n', '\r':
			return at
		}
	}
	return at
}
