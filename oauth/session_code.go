package oauth

import (
	"crypto/rand"
	"encoding/base64"
	"encoding/binary"
	"time"
)

// What is sealed is short, since it travels with every request: a version, a
// form, times as varints of Unix milliseconds, then texts, each after its length
// as uvarint.
const (
	sessionVersion = 2

	formSession   = 0 // a whole session
	formReference = 1 // ID, Began and Ends of a session that is kept in storage

	sessionIDBytes = 18
)

// strict64 refuses padding and trailing bits, so that there is one text for each
// value. It is not strict about line breaks: see [sessionCookies.plausible].
var strict64 = base64.RawURLEncoding.Strict()

// newSessionID returns 144 random bits in base64url (threats 53 and 100).
func newSessionID() string {
	var id [sessionIDBytes]byte
	rand.Read(id[:]) // never fails (crypto/rand)
	return strict64.EncodeToString(id[:])
}

// appendSession writes a session in one of the two forms.
func appendSession(dst []byte, session *Session, form byte) []byte {
	dst = append(dst, sessionVersion, form)
	tokens := &session.Tokens
	for _, t := range [...]time.Time{session.Began, session.Seen, session.Ends, session.Due, tokens.Expires} {
		var millis int64
		if !t.IsZero() {
			millis = t.UnixMilli()
		}
		dst = binary.AppendVarint(dst, millis)
	}
	for _, text := range [...]string{
		session.ID, session.User, session.Stamp, session.Subject, session.SID, session.IDToken,
		tokens.Access, tokens.Refresh, tokens.Type, tokens.Scope,
	} {
		dst = appendText(dst, text)
	}
	return appendText(dst, session.Claims)
}

func appendText[T ~string | ~[]byte](dst []byte, text T) []byte {
	dst = binary.AppendUvarint(dst, uint64(len(text)))
	return append(dst, text...)
}

// parseSession reads what [appendSession] wrote, to the last byte. Claims lie in
// data.
func parseSession(data []byte) (session *Session, ok bool) {
	if len(data) < 2 || data[0] != sessionVersion || data[1] > formReference {
		return nil, false
	}
	p := parser{rest: data[2:], ok: true}
	session = &Session{stored: data[1] == formReference}
	tokens := &session.Tokens
	for _, t := range [...]*time.Time{&session.Began, &session.Seen, &session.Ends, &session.Due, &tokens.Expires} {
		*t = p.time()
	}
	for _, text := range [...]*string{
		&session.ID, &session.User, &session.Stamp, &session.Subject, &session.SID, &session.IDToken,
		&tokens.Access, &tokens.Refresh, &tokens.Type, &tokens.Scope,
	} {
		*text = string(p.text())
	}
	session.Claims = p.text()
	if !p.ok || len(p.rest) != 0 || strict64.DecodedLen(len(session.ID)) != sessionIDBytes {
		return nil, false
	}
	return session, true
}

// parser takes values from the front of rest. Once one is cut off, ok is false.
type parser struct {
	rest []byte
	ok   bool
}

func (p *parser) time() time.Time {
	millis, n := binary.Varint(p.rest)
	if n <= 0 {
		p.ok, p.rest = false, nil
		return time.Time{}
	}
	p.rest = p.rest[n:]
	if millis == 0 {
		return time.Time{}
	}
	return time.UnixMilli(millis)
}

func (p *parser) text() []byte {
	size, n := binary.Uvarint(p.rest)
	if n <= 0 || size > uint64(len(p.rest)-n) {
		p.ok, p.rest = false, nil
		return nil
	}
	text := p.rest[n : n+int(size) : n+int(size)]
	p.rest = p.rest[n+int(size):]
	return text
}
