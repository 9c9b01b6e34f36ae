package admit

import (
	"net/http"
	"net/textproto"
	"slices"
	"strings"

	"golang.org/x/net/http/httpguts"
)

// Forward says which credential the upstream sees.
type Forward struct {
	// What is "client" (everything stays where the client put it, but for the
	// query), "none", or what is put into Header: "token" (the one that the client
	// sent), "access_token" (that one, or the session's), "id_token" (the session's),
	// or "exchange" (one made for the application). Default: a token stays, one that was made from HTTP Basic goes
	// into Authorization, passwords, client secrets and API keys are taken out.
	What string `json:"what,omitempty"`
	// Header is where a token goes. Default: Authorization, after "Bearer".
	Header string `json:"header,omitempty"`
	// Audience and Scopes are what a token is exchanged for (RFC 8693).
	Audience string   `json:"audience,omitempty"`
	Scopes   []string `json:"scopes,omitempty"`
}

// forwarding is a [Forward] that is ready.
type forwarding struct {
	what   string
	header string

	audience string
	scopes   []string
}

func readForward(e *expander, f *Forward) forwarding {
	if f == nil {
		return forwarding{what: "standard"}
	}
	e.word("forward", f.What, "client", "none", "token", "access_token", "id_token", "exchange")
	out := forwarding{
		what: f.What, header: textproto.CanonicalMIMEHeaderKey(e.text("forward", f.Header)),
		audience: e.text("forward exchange audience", f.Audience), scopes: e.texts("forward exchange scopes", f.Scopes),
	}
	e.checkScopes("forward exchange scopes", out.scopes)
	puts := f.What == "token" || f.What == "access_token" || f.What == "id_token"
	exchange := f.What == "exchange"
	if out.header == "" && (puts || exchange) {
		out.header = "Authorization"
	}
	switch {
	case f.What == "":
		e.fail("forward: expected client, none, token, access_token, id_token or exchange")
	case exchange && f.Audience == "":
		e.fail("forward exchange: expected audience, for whom the token is")
	case !exchange && (f.Audience != "" || len(f.Scopes) > 0):
		e.fail("forward %s: takes no audience and no scopes", f.What)
	case !puts && f.Header != "":
		e.fail("forward %s %q: expected a header name only after token, access_token and id_token", f.What, f.Header)
	case f.Header != "" && !mayCarryToken(out.header):
		e.fail("forward %s %q: not the name of a header for a token: expected one as X-Token", f.What, f.Header)
	}
	return out
}

// mayCarryToken reports whether a token may be forwarded in a header of this name.
func mayCarryToken(name string) bool {
	canonical := textproto.CanonicalMIMEHeaderKey(name)
	return httpguts.ValidHeaderFieldName(name) && (canonical == "Authorization" || !reservedHeader(canonical))
}

// removeCredentials takes out what clients send to this gate: for an upstream that
// is not to see it, and for error routes, which have no use for it. Later gates
// still know it.
func (c *checker) removeCredentials(r *http.Request, s *state) {
	s.keepSent(r)
	for i := range c.places {
		if p := &c.places[i]; p.Header == "" || !slices.Contains(s.headers, p.Header) {
			p.remove(r)
		}
	}
}

// dropUnproven takes cookies out that hold another token than the one that was
// accepted, which nobody has looked at: the application would take it for checked.
func (c *checker) dropUnproven(r *http.Request, s *state) {
	unproven := func(value string) bool { return value != s.token || value == "" }
	for i := range c.places {
		if name := c.places[i].Cookie; name != "" && hasCookie(r, name, unproven) {
			s.keepSent(r)
			removeCookie(r, name, unproven)
		}
	}
}

// remove takes the credential of this place out of a request. What is not a
// credential of ours, another scheme or another cookie, stays as it is.
func (p *place) remove(r *http.Request) {
	switch {
	case p.Header != "":
		if _, there, _ := p.inHeader(r.Header); there {
			delete(r.Header, p.Header)
		}
	case p.Basic:
		if scheme, _, _ := strings.Cut(r.Header.Get("Authorization"), " "); strings.EqualFold(scheme, "Basic") {
			delete(r.Header, "Authorization")
		}
	case p.Cookie != "":
		removeCookie(r, p.Cookie, func(string) bool { return true })
	}
}

// hasCookie reports whether there is a cookie of that name with such a value.
func hasCookie(r *http.Request, name string, which func(value string) bool) bool {
	for _, line := range r.Header["Cookie"] {
		for pair := range strings.SplitSeq(line, ";") {
			if isCookie(pair, name, which) {
				return true
			}
		}
	}
	return false
}

// isCookie reports whether a pair of a Cookie header has that name and such a value.
func isCookie(pair, name string, which func(value string) bool) bool {
	key, value, _ := strings.Cut(pair, "=")
	if textproto.TrimString(key) != name {
		return false
	}
	value = textproto.TrimString(value)
	if n := len(value); n > 1 && value[0] == '"' && value[n-1] == '"' {
		value = value[1 : n-1]
	}
	return which(value)
}

// removeCookie takes the cookies of a name with such a value out and leaves the
// others byte for byte.
func removeCookie(r *http.Request, name string, which func(value string) bool) {
	lines := r.Header["Cookie"]
	if len(lines) == 0 {
		return
	}
	var kept []string
	for _, line := range lines {
		var pairs []string
		for pair := range strings.SplitSeq(line, ";") {
			if !isCookie(pair, name, which) {
				pairs = append(pairs, pair)
			}
		}
		if line = textproto.TrimString(strings.Join(pairs, ";")); line != "" {
			kept = append(kept, line)
		}
	}
	if len(kept) == 0 {
		delete(r.Header, "Cookie")
		return
	}
	r.Header["Cookie"] = kept
}
