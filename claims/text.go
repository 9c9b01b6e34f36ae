package claims

import (
	"bytes"
	"encoding/binary"
	"math/bits"
	"unicode/utf16"
	"unicode/utf8"
)

// checkText checks a string, and reports whether something is escaped in it.
func checkText(data []byte, at int) (end int, escaped bool) {
	if !is(data, at, '"') {
		return refused, false
	}
	foreign := false
	for end = at + 1; ; {
		var more bool
		end, more = plainText(data, end)
		foreign = foreign || more
		switch {
		case is(data, end, '"'):
			if foreign && !utf8.Valid(data[at+1:end]) {
				return refused, false
			}
			return end + 1, escaped
		case is(data, end, '\\'):
			_, size := escape(data[end:])
			if size == 0 {
				return refused, false
			}
			escaped = true
			end += size
		default:
			return refused, false
		}
	}
}

const (
	eachByte = 0x0101010101010101 // times a byte: it in all eight
	topBits  = 0x80 * eachByte
)

// plainText returns the place of the next byte that ends a text or stands for
// something else in it: a quote, a backslash or a control character. foreign reports
// whether there may be bytes before it that are not ASCII; there are none if not.
func plainText(data []byte, at int) (end int, foreign bool) {
	all := uint64(0)
	for ; at <= len(data)-8; at += 8 {
		// Eight bytes at once. A byte that is looked for leaves its top bit; a borrow
		// may leave more of them, but only of bytes further up.
		word := binary.LittleEndian.Uint64(data[at:])
		quote, backslash := word^'"'*eachByte, word^'\\'*eachByte
		all |= word
		if found := ((word-0x20*eachByte)&^word | (quote-eachByte)&^quote | (backslash-eachByte)&^backslash) & topBits; found != 0 {
			return at + bits.TrailingZeros64(found)/8, all&topBits != 0
		}
	}
	for ; at < len(data); at++ {
		c := data[at]
		if c == '"' || c == '\\' || c < 0x20 {
			break
		}
		all |= uint64(c)
	}
	return at, all&topBits != 0
}

// unescape appends s, which was checked, without its escapes to dst.
func unescape(dst, s []byte) []byte {
	for {
		plain := bytes.IndexByte(s, '\\')
		if plain < 0 {
			return append(dst, s...)
		}
		r, size := escape(s[plain:])
		dst = utf8.AppendRune(append(dst, s[:plain]...), r)
		s = s[plain+max(size, 1):]
	}
}

// escape reads the escape that s begins with. It returns the rune and how many bytes
// it took, 0 if it is none: unknown, or a surrogate that is no pair, which other
// parsers fold into U+FFFD.
func escape(s []byte) (rune, int) {
	if len(s) < 2 {
		return 0, 0
	}
	if s[1] == 'u' {
		return unescapeRune(s)
	}
	k := bytes.IndexByte([]byte(`"\/bfnrt`), s[1])
	if k < 0 {
		return 0, 0
	}
	return rune("\"\\/\b\f\n\r\t"[k]), 2
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
