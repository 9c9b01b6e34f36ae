package oauth

import (
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/caddy-admit/admit/internal/seal"
)

const (
	// chunkSize is what one cookie of a session adds to a request at most, name
	// and separators included. With two of them, five states of 600 bytes and the note
	// of [Sessions.CountLogin] the cookies of a host stay under 8 KiB.
	chunkSize = 2500
	// maxCookieName leaves room for a value.
	maxCookieName = 128
	// maxSameCookies bounds how many cookies of one name are tried.
	maxSameCookies = 4
	// stateInfix stands in the names of cookies of logins under way, between the
	// name of the session's cookie and the id of the attempt.
	stateInfix = ".state."
)

// sessionCookies puts sealed sessions into cookies and gets them out: one cookie,
// or two for one that is longer than room. Which of both it is, is not written
// down: a first chunk of full length may have a second. The seal is over the
// whole, so no mixture opens (threat 47).
type sessionCookies struct {
	name, second string
	domain       string
	sameSite     http.SameSite
	room         int // of the value of a chunk in bytes
}

// cookie has the attributes of all cookies of a session. Secure ones work on
// http://localhost too; elsewhere plain http cannot log in.
func (c *sessionCookies) cookie(name, value string) *http.Cookie {
	return &http.Cookie{
		Name: name, Value: value, Path: "/", Domain: c.domain,
		Secure: true, HttpOnly: true, SameSite: c.sameSite,
	}
}

// seal returns the text of a session, or of a reference to one that is stored.
func (c *sessionCookies) seal(sealer *seal.Sealer, session *Session) string {
	form := byte(formSession)
	if session.stored {
		form = formReference
	}
	return strict64.EncodeToString(sealer.Seal(nil, appendSession(nil, session, form)))
}

// fits reports whether a text has room in cookies.
func (c *sessionCookies) fits(text string) bool { return len(text) <= 2*c.room }

// fitsBeside reports whether a text has room beside the sessions of other
// integrations that the request has: those of all gates of a host share it.
func (c *sessionCookies) fitsBeside(text string, r *http.Request) bool {
	size := len(text) + 2*(len("; =")+len(c.second))
	for name, value := range cookies(r.Header["Cookie"]) {
		if isStandard(name) && !c.owns(name) && !c.isState(name) {
			size += len("; =") + len(name) + len(value)
		}
	}
	return size <= 2*chunkSize
}

// write sets the cookies of a text that fits. A second chunk that the text does
// not need is deleted if the request has one, or always without a request.
func (c *sessionCookies) write(w http.ResponseWriter, r *http.Request, text string, life time.Duration) {
	first, second := text, ""
	if len(text) > c.room {
		first, second = text[:c.room], text[c.room:]
	}
	c.set(w, c.name, first, life)
	if second != "" {
		c.set(w, c.second, second, life)
	} else if r == nil || len(c.find(r.Header["Cookie"]).second) > 0 {
		c.set(w, c.second, "", 0)
	}
}

// clear deletes both chunks, and others of the name that the request has.
func (c *sessionCookies) clear(w http.ResponseWriter, r *http.Request) {
	names := []string{c.name, c.second}
	for name := range cookies(r.Header["Cookie"]) {
		short := len(name) <= len(c.second)+1
		if len(names) < 2+maxSameCookies && short && c.chunk(name) && !slices.Contains(names, name) {
			names = append(names, name)
		}
	}
	for _, name := range names {
		c.set(w, name, "", 0)
	}
}

// set writes one cookie of the session; an empty value deletes it.
func (c *sessionCookies) set(w http.ResponseWriter, name, value string, life time.Duration) {
	setCookie(w, c.cookie(name, value), life)
}

// setCookie adds one Set-Cookie line, in place of one that is there for the same
// cookie; an empty value deletes the cookie. An answer with such a line is nobody
// else's.
func setCookie(w http.ResponseWriter, cookie *http.Cookie, life time.Duration) {
	cookie.MaxAge = max(1, int(life/time.Second))
	if cookie.Value == "" {
		cookie.MaxAge, cookie.Expires = -1, time.Unix(0, 0)
	}
	h := w.Header()
	// What a browser keeps under one name for the host and for its domain are two.
	same := func(line string) bool {
		return strings.HasPrefix(line, cookie.Name+"=") && strings.Contains(line, "; Domain=") == (cookie.Domain != "")
	}
	h["Set-Cookie"] = append(slices.DeleteFunc(h["Set-Cookie"], same), cookie.String())
	h.Set("Cache-Control", "private, no-store")
}

// foundCookies are the different values of a session's cookies in a request.
type foundCookies struct {
	first, second []string
}

// find looks for the session's cookies. What is too long or has another alphabet
// was never a session, and does not count against the bound.
func (c *sessionCookies) find(lines []string) (found foundCookies) {
	for name, value := range cookies(lines) {
		values := &found.first
		switch name {
		case c.name:
		case c.second:
			values = &found.second
		default:
			continue
		}
		if len(*values) < maxSameCookies && c.plausible(value) && !slices.Contains(*values, value) {
			*values = append(*values, value)
		}
	}
	return found
}

// present reports whether there is a cookie of the session.
func (c *sessionCookies) present(lines []string) bool {
	for name := range cookies(lines) {
		if c.chunk(name) {
			return true
		}
	}
	return false
}

// plausible reports whether a value could be a chunk. Go's base64 skips line
// breaks, so the alphabet is checked here.
func (c *sessionCookies) plausible(value string) bool {
	return value != "" && len(value) <= c.room && is64(value)
}

// is64 reports whether a text has the alphabet of base64url.
func is64(value string) bool {
	for i := range len(value) {
		if !alphabet64[value[i]] {
			return false
		}
	}
	return true
}

// alphabet64 has the bytes of base64url (RFC 4648 section 5).
var alphabet64 = func() (set [256]bool) {
	for _, b := range []byte("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_") {
		set[b] = true
	}
	return set
}()

// open returns what the cookies of a request hold that was sealed by us.
func (c *sessionCookies) open(sealer *seal.Sealer, lines []string) (sessions []*Session) {
	found := c.find(lines)
	for _, first := range found.first {
		if session := c.openFirst(sealer, first, found.second); session != nil {
			sessions = append(sessions, session)
		}
	}
	return sessions
}

// openFirst opens a first chunk, with one of the second chunks if it can have one
// and else alone.
func (c *sessionCookies) openFirst(sealer *seal.Sealer, first string, seconds []string) *Session {
	if len(first) == c.room {
		for _, second := range seconds {
			if session := openText(sealer, first, second); session != nil {
				return session
			}
		}
	}
	return openText(sealer, first, "")
}

// openText opens the text of two chunks, of which the first ends with a whole
// group of base64 if there is a second.
func openText(sealer *seal.Sealer, first, second string) *Session {
	size := strict64.DecodedLen(len(first)) + strict64.DecodedLen(len(second))
	room := make([]byte, 2*size) // for what is sealed, and what was
	n, err := strict64.Decode(room, []byte(first))
	if err != nil {
		return nil
	}
	m, err := strict64.Decode(room[n:], []byte(second))
	if err != nil {
		return nil
	}
	plain, err := sealer.Open(room[size:size], room[:n+m])
	if err != nil {
		return nil
	}
	session, _ := parseSession(plain)
	return session
}

// chunk reports whether a cookie of that name is the session's: <name>, or
// <name>.<digits>, of which two are in use.
func (c *sessionCookies) chunk(name string) bool {
	rest, ok := strings.CutPrefix(name, c.name)
	if !ok || rest == "" {
		return ok
	}
	digits, ok := strings.CutPrefix(rest, ".")
	return ok && digits != "" && strings.Trim(digits, "0123456789") == ""
}

// owns reports whether a cookie of that name is ours, the session's or that of a
// login under way.
func (c *sessionCookies) owns(name string) bool {
	rest, ok := strings.CutPrefix(name, c.name)
	return ok && (c.chunk(name) || rest == loopInfix || strings.HasPrefix(rest, stateInfix))
}
