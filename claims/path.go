package claims

import (
	"bytes"
	"encoding/json"
	"errors"
	"slices"
	"strings"
)

// ErrPath means that a claim name cannot name anything.
var ErrPath = errors.New(`claims: a name is dot-separated, without empty parts, with "*" only as its last part`)

// Path names a claim. It is tried as a whole top-level name first (as in
// "https://x/roles" or "cognito:groups") and then as a path ("realm_access.roles",
// "data.roles.*"); `\.` is a literal dot, "*" as the last part stands for every
// member.
type Path struct {
	text  string
	whole string
	parts []string
	every bool // ends in "*"
	split bool // one string holds several values, separated by spaces
	email bool // the top-level claim "email", see [Mapping.TrustEmail]
}

// ParsePath reads a claim name. It returns [ErrPath] for one with an empty part
// or with "*" before its end.
func ParsePath(text string) (Path, error) {
	p := Path{text: text, whole: strings.ReplaceAll(text, `\.`, ".")}
	var part strings.Builder
	for i := 0; i < len(text); i++ {
		switch {
		case text[i] == '\\' && i+1 < len(text) && text[i+1] == '.':
			part.WriteByte('.')
			i++
		case text[i] == '.':
			p.parts = append(p.parts, part.String())
			part.Reset()
		default:
			part.WriteByte(text[i])
		}
	}
	p.parts = append(p.parts, part.String())
	if last := len(p.parts) - 1; last > 0 && p.parts[last] == "*" {
		p.parts, p.every = p.parts[:last], true
	}
	if slices.Contains(p.parts, "") || slices.Contains(p.parts, "*") {
		return Path{}, ErrPath
	}
	switch p.parts[len(p.parts)-1] {
	case "scope", "scp", "permissions":
		p.split = true
	}
	p.email = p.whole == "email"
	return p, nil
}

// MustPath is ParsePath for names that are constants.
func MustPath(text string) Path {
	p, err := ParsePath(text)
	if err != nil {
		panic(err)
	}
	return p
}

// String returns the name as it was written.
func (p Path) String() string { return p.text }

// MarshalText implements [encoding.TextMarshaler]: the name as it was written.
func (p Path) MarshalText() ([]byte, error) { return []byte(p.text), nil }

// top returns the top-level claim that the path leads into.
func (p *Path) top() string { return p.parts[0] }

// find returns the value that the path names; every says that not the value
// itself counts but each of its members.
func (p *Path) find(s *Set) (v Value, every bool) {
	if v = s.Get(p.whole); v.Exists() {
		return v, false
	}
	v = s.Get(p.parts[0])
	for _, part := range p.parts[1:] {
		v = v.Member(part)
	}
	return v, p.every
}

// values calls yield with the text of every value that the path names in s:
// a string, a number and a boolean offer themselves, a list its elements, an
// object its keys. It stops when yield returns false, and says so by false. The
// text is valid only during the call.
func (p *Path) values(s *Set, yield func(text []byte) bool) bool {
	v, every := p.find(s)
	if !every {
		return p.offer(v, yield)
	}
	if v.IsArray() {
		return v.elements(func(e Value) bool { return p.offer(e, yield) })
	}
	return v.fields(func(_, value Value) bool { return p.offer(value, yield) })
}

func (p *Path) offer(v Value, yield func([]byte) bool) bool {
	switch v.kind() {
	case '[':
		return v.elements(func(e Value) bool {
			text, ok := e.scalar()
			return !ok || yield(text)
		})
	case '{':
		return v.fields(func(name, _ Value) bool { return yield(name.bytes()) })
	case '"':
		if p.split {
			return eachWord(v.bytes(), yield)
		}
	}
	text, ok := v.scalar()
	return !ok || yield(text)
}

// eachWord calls yield with each run between spaces (RFC 6749 section 3.3).
func eachWord(text []byte, yield func([]byte) bool) bool {
	for len(text) > 0 {
		word, rest, _ := bytes.Cut(text, []byte(" "))
		if len(word) > 0 && !yield(word) {
			return false
		}
		text = rest
	}
	return true
}

// Text returns the text of the string that the path names in s. there reports
// whether anything is there, be it of another type or pointed at elsewhere.
func (p Path) Text(s *Set) (text string, there bool) {
	if pointed(s, &p) {
		return "", true
	}
	v, every := p.find(s)
	if !v.Exists() || v.IsNull() || v.Equal("") {
		return "", false
	}
	if every {
		return "", true
	}
	return v.String(), true
}

// Without returns s as JSON text, but for the top-level claim in which the path finds
// something.
func (p Path) Without(s *Set) []byte {
	name := p.whole
	if !s.Has(name) {
		name = p.top()
	}
	if !s.Has(name) {
		return s.Bytes()
	}
	rest := []byte{'{'}
	for other, value := range s.All() {
		if other == name {
			continue
		}
		if len(rest) > 1 {
			rest = append(rest, ',')
		}
		quoted, _ := json.Marshal(other) // a text
		rest = append(append(append(rest, quoted...), ':'), value.JSON()...)
	}
	return append(rest, '}')
}

// Strings calls yield with every string that the path names in s: the value
// itself or the elements of a list. It reports false if there is anything else. The
// strings may be parts of s.
func (p Path) Strings(s *Set, yield func(string) bool) (ok bool) {
	v, every := p.find(s)
	switch {
	case !v.Exists():
		return true
	case every:
		return false
	case v.IsString():
		yield(text(v.bytes()))
		return true
	case !v.IsArray():
		return false
	}
	ok = true
	v.elements(func(e Value) bool {
		ok = ok && e.IsString() && yield(text(e.bytes()))
		return ok
	})
	return ok
}
