package admit

import (
	"net/http"
	"net/textproto"
	"slices"
	"strings"
	"sync/atomic"

	"golang.org/x/net/http/httpguts"

	"github.com/caddy-admit/admit/claims"
)

// headerUp is a [HeaderUp] that is ready.
type headerUp struct {
	name  string // canonical
	parts []headerPart
	rule  *claims.Rule
}

// headerPart is a piece of a header's value: text, or a field of the identity.
type headerPart struct{ text, field string }

// identityHeaders are the headers about the identity that a gate sets.
type identityHeaders struct {
	lines []headerUp
	names []string // of the lines, each once, folded
	// number tells these headers from all others of the process. It is what an
	// identity remembers them by: a pointer would keep an old configuration alive.
	number uint64
}

// headerNumbers counts the headers that were read.
var headerNumbers atomic.Uint64

func readHeaders(e *expander, lines []HeaderUp) identityHeaders {
	h := identityHeaders{number: headerNumbers.Add(1)}
	for _, line := range lines {
		up := headerUp{name: textproto.CanonicalMIMEHeaderKey(e.text("header_up", line.Name))}
		switch {
		case !httpguts.ValidHeaderFieldName(up.name):
			e.fail("header_up %q: expected a header name of letters, digits and -", line.Name)
		case reservedHeader(up.name):
			e.fail("header_up %q: expected a header about the identity, not one of the message itself", line.Name)
		}
		mistakes := len(e.errs)
		up.parts = headerParts(e, line.Name, e.text("header_up "+line.Name, line.Value))
		if line.Claim != "" || len(line.Patterns) > 0 {
			rule := (&Rule{Claim: line.Claim, Patterns: line.Patterns}).read(e, false)
			up.rule = &rule
		}
		if len(e.errs) == mistakes && up.rule == nil && !slices.ContainsFunc(up.parts, func(p headerPart) bool { return p.field != "" }) {
			e.fail("header_up %s: a fixed value needs a rule, or everybody gets it; use request_header for that", line.Name)
		}
		h.lines = append(h.lines, up)
		if name := foldHeader(up.name); !slices.Contains(h.names, name) {
			h.names = append(h.names, name)
		}
	}
	return h
}

// reservedHeader reports headers that say how a message is read and where it
// goes. A claim must never decide that.
func reservedHeader(name string) bool {
	switch name {
	case "Host", "Connection", "Content-Length", "Transfer-Encoding", "Trailer", "Te", "Upgrade",
		"Keep-Alive", "Cookie", "Content-Type", "Content-Encoding", "Expect", "Authorization":
		return true
	}
	return false
}

// headerParts splits a value at its placeholders. Only those of the identity are
// allowed: anything else could hold what a client sent.
func headerParts(e *expander, name, value string) (parts []headerPart) {
	if strings.ContainsFunc(value, func(r rune) bool { return r < 0x20 && r != '\t' || r == 0x7f }) {
		e.fail("header_up %s: control characters in the value", name)
	}
	for value != "" {
		before, rest, found := strings.Cut(value, "{")
		if before != "" {
			parts = append(parts, headerPart{text: before})
		}
		if !found {
			break
		}
		inside, after, closed := strings.Cut(rest, "}")
		field, ok := strings.CutPrefix(inside, userPrefix)
		claim, isClaim := strings.CutPrefix(field, "claims.")
		if !closed || !ok || !isClaim && field != "id" && field != "groups" && field != "integration" || isClaim && claim == "" {
			e.fail("header_up %s: {%s: expected no placeholder but {http.auth.user.id}, .groups, .integration and .claims.<name>", name, rest)
			break
		}
		parts = append(parts, headerPart{field: field})
		value = after
	}
	return parts
}

// foldHeader spells a header name as the servers behind do that make variables
// of it: case does not matter there, nor do "-", "_" and ".", and to some not
// anything else that is neither letter nor digit (CGI, RFC 3875 section 4.1.18).
func foldHeader(name string) string {
	folded := []byte(name)
	for i, c := range folded {
		folded[i] = foldByte(c)
	}
	return string(folded)
}

func foldByte(c byte) byte {
	switch {
	case 'A' <= c && c <= 'Z':
		return c + 'a' - 'A'
	case 'a' <= c && c <= 'z', '0' <= c && c <= '9':
		return c
	}
	return '-'
}

// isOneOf reports whether name is a spelling of one of the folded names. It is
// asked for every header of every request, so it makes no copy.
func isOneOf(name string, folded []string) bool {
	return slices.ContainsFunc(folded, func(f string) bool {
		if len(name) != len(f) {
			return false
		}
		for i := range len(name) {
			if foldByte(name[i]) != f[i] {
				return false
			}
		}
		return true
	})
}

// strip deletes every header that upstream could take for one of ours, whoever
// sent it and whatever becomes of the request. Those that an earlier gate has
// set are kept.
func (h *identityHeaders) strip(r *http.Request, s *state, has present) {
	if has&withConnection != 0 {
		h.stripConnection(r)
	}
	if len(h.names) == 0 {
		return
	}
	if has&withOurs != 0 {
		for name := range r.Header {
			if isOneOf(name, h.names) && !slices.Contains(s.headers, name) {
				s.keepSent(r)
				delete(r.Header, name)
			}
		}
	}
	// A proxy forwards trailers, and some upstreams merge them.
	if r.Trailer != nil {
		if len(r.Trailer) > 0 {
			s.also().trailers = true
		}
		r.Trailer = nil
	}
	if has&withTrailer != 0 {
		delete(r.Header, "Trailer")
	}
}

// stripConnection takes our names out of Connection, which tells a proxy which
// headers to delete (RFC 9110 section 7.6.1).
func (h *identityHeaders) stripConnection(r *http.Request) {
	lines := r.Header["Connection"]
	ours := func(option string) bool {
		name := foldHeader(textproto.TrimString(option))
		return slices.Contains(h.names, name) || name == "authorization" || name == "cookie"
	}
	var kept []string
	for _, line := range lines {
		options := slices.DeleteFunc(strings.Split(line, ","), ours)
		if len(options) > 0 {
			kept = append(kept, strings.Join(options, ","))
		}
	}
	if len(kept) == 0 {
		r.Header.Del("Connection")
		return
	}
	r.Header["Connection"] = kept
}

// stripUpgrade takes out upgrades to another version of HTTP and to TLS (RFC 7540
// section 3.2, RFC 2817): the requests inside would get to the application past
// every gate. Sockets of other protocols stay.
func stripUpgrade(h http.Header) {
	lines := h["Upgrade"]
	var kept []string
	for protocol := range strings.SplitSeq(strings.Join(lines, ","), ",") {
		protocol = textproto.TrimString(protocol)
		switch name, _, _ := strings.Cut(strings.ToLower(protocol), "/"); name {
		case "", "h2c", "h2", "http", "tls":
		default:
			kept = append(kept, protocol)
		}
	}
	delete(h, "Upgrade")
	delete(h, "Http2-Settings")
	if len(kept) > 0 {
		h["Upgrade"] = []string{strings.Join(kept, ", ")}
	}
}

// set writes the headers about the identity: of each name the first line whose
// rule holds.
func (h *identityHeaders) set(r *http.Request, s *state) {
	id := s.decision.Identity
	if id == nil || len(h.lines) == 0 {
		return
	}
	n := len(h.lines)
	values := s.texts(2 * n)
	copy(values, h.values(id))
	if s.headers == nil {
		s.headers = values[n:n]
	}
	for i := range h.lines {
		name, value := h.lines[i].name, values[i:i+1:i+1]
		switch value[0] {
		case notHere:
		case "":
			delete(r.Header, name)
		default:
			r.Header[name] = value
			if !slices.Contains(s.headers, name) {
				s.headers = append(s.headers, name)
			}
		}
	}
}

// notHere is the value of a line that does not count: its rule does not hold, or an
// earlier line has the name. No header may hold it.
const notHere = "\x00"

// values returns the value of each line for an identity, empty for a header that is
// to be absent. An identity that is kept in memory remembers them.
func (h *identityHeaders) values(id *claims.Identity) []string {
	return id.Remember(h.number, func() []string {
		values := make([]string, len(h.lines))
		for i := range h.lines {
			up := &h.lines[i]
			values[i] = notHere
			if !h.done(values, i) && (up.rule == nil || up.rule.Judge(id) == claims.Holds) {
				values[i], _ = up.value(id)
			}
		}
		return values
	})
}

// done reports whether a line before line i has decided about its name.
func (h *identityHeaders) done(values []string, i int) bool {
	for k := range i {
		if values[k] != notHere && h.lines[k].name == h.lines[i].name {
			return true
		}
	}
	return false
}

// value fills the placeholders, once. It reports false if one of them is absent
// or cannot stand in a header.
func (up *headerUp) value(id *claims.Identity) (string, bool) {
	var texts []string
	for _, part := range up.parts {
		text := part.text
		if part.field != "" {
			var ok bool
			if text, ok = headerField(id, part.field); !ok {
				return "", false
			}
		}
		texts = append(texts, text)
	}
	return strings.Join(texts, ""), true // a single one is not copied
}

// memberEscapes keeps a comma inside a member of a list from making two.
var memberEscapes = strings.NewReplacer("%", "%25", ",", "%2C")

// headerField returns a field of the identity as one header value. Members of a
// list are joined by commas; a comma inside one is percent-encoded, so that it
// cannot make two.
func headerField(id *claims.Identity, field string) (string, bool) {
	var texts []string
	var isList bool
	switch field {
	case "id":
		texts = []string{id.User()}
	case "integration":
		texts = []string{id.Integration()}
	case "groups":
		texts, isList = id.Groups(), true
	default:
		texts, isList = id.Claim(strings.TrimPrefix(field, "claims."))
	}
	if isList {
		texts = slices.Clone(texts)
		for i, text := range texts {
			texts[i] = memberEscapes.Replace(text)
		}
	}
	if slices.ContainsFunc(texts, func(text string) bool { return text != textproto.TrimString(text) }) {
		return "", false // upstream trims, so " ada" would be taken for ada
	}
	joined := strings.Join(texts, ",")
	return joined, joined != "" && httpguts.ValidHeaderFieldValue(joined)
}
