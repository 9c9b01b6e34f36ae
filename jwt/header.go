package jwt

import (
	"bytes"
	"hash/maphash"
	"sync/atomic"

	"github.com/caddy-admit/admit/claims"
)

// header is what the header of a token says.
type header struct {
	*claims.Set
	known    bool   // of a token that was accepted; what follows was read
	text     string // in canonical base64url
	kid, typ string // "typ" as a media type
}

func (h *header) keyID() string {
	if h.known {
		return h.kid
	}
	return h.Get("kid").String()
}

func (h *header) mediaType() string {
	if h.known {
		return h.typ
	}
	return mediaType(h.Get("typ").String())
}

// headers has those of tokens that were accepted. All tokens of an issuer have the
// same few, and who is refused for his claims has mostly one of them too: they need
// not be read again each time. What a header says depends on nothing but its text, so
// it does not matter whose it was.
var headers [64]atomic.Pointer[header]

// maxKnownHeader is the length of the longest text that is remembered.
const maxKnownHeader = 512

var headerSeed = maphash.MakeSeed()

func headerPlace(encoded []byte) *atomic.Pointer[header] {
	return &headers[maphash.Bytes(headerSeed, encoded)%uint64(len(headers))]
}

// knownHeader returns what a header says that was accepted before, nil for another.
func knownHeader(encoded []byte) *header {
	if len(encoded) > maxKnownHeader {
		return nil
	}
	if h := headerPlace(encoded).Load(); h != nil && h.text == string(encoded) {
		return h
	}
	return nil
}

// rememberHeader remembers the header of a token that was accepted. Nobody without
// good tokens can take the place of others.
func (t *Token) rememberHeader() {
	encoded := t.input[:bytes.IndexByte(t.input, '.')]
	if t.header.known || t.padded || len(encoded) > maxKnownHeader {
		return
	}
	set, err := claims.Parse(bytes.Clone(t.header.Bytes())) // without the rest of the token
	if err != nil {
		return
	}
	headerPlace(encoded).Store(&header{set, true, string(encoded), t.header.keyID(), t.header.mediaType()})
}
