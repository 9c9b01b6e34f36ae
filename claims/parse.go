package claims

import (
	"bytes"
	"errors"
	"hash/maphash"
	"math/bits"
)

// ErrSyntax means that bytes are not one JSON object as Admit takes it.
var ErrSyntax = errors.New("claims: not a strict JSON object")

const (
	// maxDepth bounds nesting, so that a hostile token cannot exhaust the stack.
	maxDepth = 32
	// fewNames is up to how many names of one object are compared one by one;
	// beyond it they are hashed, so that a long object costs no quadratic time.
	fewNames = 16
)

// JSON (RFC 8259) is checked strictly: one value, valid UTF-8, no lone surrogates, no
// duplicate member names at any depth, no data after the end. Two parsers that read
// such bytes cannot see different claims.
//
// Each function checks what begins at a place in the data and returns the place behind
// it, or a negative one for what is refused. Numbers go from one to the other rather
// than a pointer to something that has them: this runs on every new token.

// refused is the place behind what is no strict JSON.
const refused = -1

// checkValue checks a value. depth is that of an object or array, should it be one;
// room is an empty list, most often with space for the names in it.
func checkValue(data []byte, at, depth int, room [][]byte) int {
	if at >= len(data) {
		return refused
	}
	switch data[at] {
	case '"':
		end, _ := checkText(data, at)
		return end
	case '{':
		if depth <= maxDepth {
			return checkObject(data, at, depth, room, nil)
		}
	case '[':
		if depth <= maxDepth {
			return checkArray(data, at, depth, room)
		}
	case 't':
		return checkWord(data, at, "true")
	case 'f':
		return checkWord(data, at, "false")
	case 'n':
		return checkWord(data, at, "null")
	case '-', '0', '1', '2', '3', '4', '5', '6', '7', '8', '9':
		return checkNumber(data, at)
	}
	return refused
}

// checkObject checks an object, whose members are noted in s, if given.
//
// Its values get what is left of the room, but not the names: where nothing is left,
// each object in a list of them would copy all those names to append its own first one.
func checkObject(data []byte, at, depth int, room [][]byte, s *Set) int {
	names := room
	seen := uint64(0) // a bit for each kind of name that was there
	if at = space(data, at+1); is(data, at, '}') {
		return at + 1
	}
	for {
		nameAt := at
		end, escaped := checkText(data, at)
		if end < 0 {
			return refused
		}
		name := data[at+1 : end-1]
		if escaped {
			name = unescape(make([]byte, 0, len(name)), name)
		}
		kind := kindOf(name)
		if seen&kind != 0 && len(names) < fewNames && containsName(names, name) {
			return refused
		}
		seen |= kind
		names = append(names, name)
		if at = space(data, end); !is(data, at, ':') {
			return refused
		}
		if at = checkValue(data, space(data, at+1), depth+1, names[len(names):]); at < 0 {
			return refused
		}
		if s != nil {
			s.note(name, escaped, nameAt, at)
		}
		if at = space(data, at); is(data, at, '}') {
			if !distinct(names) {
				return refused
			}
			return at + 1
		}
		if !is(data, at, ',') {
			return refused
		}
		at = space(data, at+1)
	}
}

// kindOf returns one bit of 64, most often another one for another name.
func kindOf(name []byte) uint64 {
	n := uint64(len(name))
	if n > 0 {
		n |= uint64(name[0])<<16 | uint64(name[len(name)-1])<<32
	}
	return 1 << (n * 0x9e3779b97f4a7c15 >> 58)
}

func containsName(names [][]byte, name []byte) bool {
	for _, n := range names {
		if bytes.Equal(n, name) {
			return true
		}
	}
	return false
}

// nameSeed keeps others from choosing names that all have one hash.
var nameSeed = maphash.MakeSeed()

// distinct reports whether no two names are equal. Short lists were compared
// while they grew.
func distinct(names [][]byte) bool {
	if len(names) <= fewNames {
		return true
	}
	table := make([]uint32, 2<<bits.Len(uint(len(names)))) // numbers of names, from 1 on
	for i, name := range names {
		place := maphash.Bytes(nameSeed, name)
		for ; ; place++ {
			entry := &table[place&uint64(len(table)-1)]
			if *entry == 0 {
				*entry = uint32(i + 1)
				break
			}
			if bytes.Equal(names[*entry-1], name) {
				return false
			}
		}
	}
	return true
}

func checkArray(data []byte, at, depth int, room [][]byte) int {
	if at = space(data, at+1); is(data, at, ']') {
		return at + 1
	}
	for {
		if at = checkValue(data, at, depth+1, room); at < 0 {
			return refused
		}
		if at = space(data, at); is(data, at, ']') {
			return at + 1
		}
		if !is(data, at, ',') {
			return refused
		}
		at = space(data, at+1)
	}
}

// checkNumber checks a number by the grammar of RFC 8259 section 6.
func checkNumber(data []byte, at int) int {
	if is(data, at, '-') {
		at++
	}
	if is(data, at, '0') {
		at++
	} else if at = digits(data, at); at < 0 {
		return refused
	}
	if is(data, at, '.') {
		if at = digits(data, at+1); at < 0 {
			return refused
		}
	}
	if is(data, at, 'e') || is(data, at, 'E') {
		if at++; is(data, at, '+') || is(data, at, '-') {
			at++
		}
		return digits(data, at)
	}
	return at
}

// digits moves behind at least one digit.
func digits(data []byte, at int) int {
	start := at
	for at < len(data) && '0' <= data[at] && data[at] <= '9' {
		at++
	}
	if at == start {
		return refused
	}
	return at
}

func checkWord(data []byte, at int, word string) int {
	if len(data)-at < len(word) || string(data[at:at+len(word)]) != word {
		return refused
	}
	return at + len(word)
}

// is reports whether a byte is at a place.
func is(data []byte, at int, c byte) bool { return at < len(data) && data[at] == c }

// space returns the next place at which there is no white space.
func space(data []byte, at int) int {
	for at < len(data) && (data[at] == ' ' || data[at] == '\n' || data[at] == '\r' || data[at] == '\t') {
		at++
	}
	return at
}
