package jwt

import (
	"bytes"
	"encoding/base64"
	"strings"
	"unsafe"

	"github.com/caddy-admit/admit/claims"
)

// MaxTokenSize is the length in bytes of the longest token that is looked at.
const MaxTokenSize = 16 << 10

// Token is a token that is well-formed. Nothing in it is proven before
// [Verifier.Verify] says so.
type Token struct {
	// Claims are those of the payload.
	Claims *claims.Set

	room      claims.Room // where they lie
	first     header      // where the header lies, unless it is known
	header    *header
	input     []byte // header and payload as received, with the dot between; not to be changed
	signature []byte
	padded    bool

	// What the verifier that accepted the token saw, for [Space.Keep].
	from, until float64 // when the token counts, in seconds since 1970
	checked     float64 // when it was asked
	keys        *KeySet // nil: none has
}

// Parse reads a token in the compact serialization (RFC 7515 section 7.1): three
// parts of base64url in its one canonical spelling, the first two of them strict
// JSON objects. Padding with "=" is read where it is canonical; whether it is
// accepted is the verifier's business. It returns a [RejectedError] with the
// reason malformed_token, or encrypted for the five parts of a JWE.
func Parse(raw string) (*Token, error) { return ParseSized(raw, MaxTokenSize) }

// ParseSized is Parse with another limit than [MaxTokenSize], for tokens that no
// client has sent: what an issuer hands out may name hundreds of groups.
func ParseSized(raw string, limit int) (*Token, error) {
	if len(raw) > limit {
		return nil, reject(claims.MalformedToken)
	}
	t := new(Token)
	payload, reason := t.split(raw)
	if reason != "" {
		return nil, reject(reason)
	}
	var err error
	if t.Claims, err = t.room.Parse(payload); err != nil {
		return nil, reject(claims.MalformedToken)
	}
	return t, nil
}

// split reads everything of a token but its payload, which it returns decoded.
func (t *Token) split(raw string) (payload []byte, reason claims.Reason) {
	first := strings.IndexByte(raw, '.')
	last := first + 1 + strings.IndexByte(raw[first+1:], '.')
	if dots := strings.Count(raw, "."); dots != 2 {
		if dots == 4 {
			return nil, claims.Encrypted
		}
		return nil, claims.MalformedToken
	}
	encoded := view(raw)
	t.input = encoded[:last]
	var header []byte
	ok := [3]bool{true, true, true}
	rest := make([]byte, 0, strict.DecodedLen(len(raw))) // one block for all parts
	if t.header = knownHeader(encoded[:first]); t.header == nil {
		header, rest, ok[0] = t.decode(rest, encoded[:first])
	}
	payload, rest, ok[1] = t.decode(rest, encoded[first+1:last])
	t.signature, _, ok[2] = t.decode(rest, encoded[last+1:])
	if ok != [3]bool{true, true, true} {
		return nil, claims.MalformedToken
	}
	if t.header == nil {
		set, err := claims.Parse(header)
		if err != nil {
			return nil, claims.MalformedToken
		}
		t.first.Set = set
		t.header = &t.first
	}
	return payload, ""
}

// view returns the bytes of s without a copy. They must not be changed.
func view(s string) []byte { return unsafe.Slice(unsafe.StringData(s), len(s)) }

// strict refuses spare bits in the last character. It still skips line breaks,
// which decode looks for itself.
var strict = base64.RawURLEncoding.Strict()

// decode appends the decoded part to dst, which is empty but has room. It
// returns what it decoded and the room that is left.
func (t *Token) decode(dst, part []byte) (decoded, rest []byte, ok bool) {
	text := part
	for i := 0; i < 2; i++ {
		text = bytes.TrimSuffix(text, []byte("="))
	}
	if len(text) != len(part) {
		t.padded = true
		if len(part)%4 != 0 {
			return nil, nil, false
		}
	}
	if len(text) == 0 || bytes.IndexByte(text, '\n') >= 0 || bytes.IndexByte(text, '\r') >= 0 {
		return nil, nil, false
	}
	out, err := strict.AppendDecode(dst, text)
	if err != nil {
		return nil, nil, false
	}
	return out[:len(out):len(out)], out[len(out):], true
}
