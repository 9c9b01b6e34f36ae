package admit

import (
	"encoding/base64"
	"net/http"
	"net/textproto"
	"net/url"
	"slices"
	"strings"
	"unicode/utf8"

	"golang.org/x/net/http/httpguts"

	"github.com/caddy-admit/admit/claims"
)

// maxSameCookies bounds how many cookies of one name are tried.
const maxSameCookies = 4

// place is a [Place] that is ready to be looked at.
type place struct {
	Place
	integrations []*integration // those that look here
	memory       memory         // of tokens that they have verified
}

// kind names the place in log lines.
func (p *place) kind() string {
	switch {
	case p.Header != "":
		return "header"
	case p.Cookie != "":
		return "cookie"
	case p.Basic:
		return "basic"
	case p.Session:
		return "session"
	}
	return "query"
}

// apiKeyHeader is where API keys are sent unless an integration says otherwise.
const apiKeyHeader = "X-Api-Key"

// standardPlaces are those of an integration that names none.
func (c *Integration) standardPlaces() (places []place) {
	add := func(p Place) { places = append(places, place{Place: p}) }
	if !c.local() && c.takesTokens() || c.Tokens != nil || len(c.APIKey) > 0 {
		add(Place{Header: "Authorization", Scheme: "Bearer"})
	}
	if c.logsIn() {
		add(Place{Session: true})
	}
	if c.takesBasic() {
		add(Place{Basic: true})
	}
	if len(c.APIKey) > 0 {
		add(Place{Header: apiKeyHeader})
	}
	return places
}

// same reports whether two places are one. The case of a scheme does not matter.
func (p Place) same(q Place) bool {
	if strings.EqualFold(p.Scheme, q.Scheme) {
		q.Scheme = p.Scheme
	}
	return p == q
}

// places reads where tokens are looked for.
func (c *Integration) places(e *expander) []place {
	if len(c.From) == 0 {
		return c.standardPlaces()
	}
	var places []place
	for _, from := range c.From {
		p := Place{
			Header: textproto.CanonicalMIMEHeaderKey(e.text("from header", from.Header)),
			Scheme: e.text("from header", from.Scheme),
			Cookie: e.text("from cookie", from.Cookie),
			Query:  e.text("from query", from.Query),
			Basic:  from.Basic, Session: from.Session,
		}
		given := 0
		for _, is := range []bool{p.Basic, p.Session} {
			if is {
				given++
			}
		}
		for _, name := range []string{p.Header, p.Cookie, p.Query} {
			if name != "" {
				given++
			}
		}
		switch {
		case given != 1:
			e.fail("from: expected one of header, cookie, query, basic and session")
		case p.Basic && !c.takesBasic():
			e.fail("from basic: basic is not switched on")
		case p.Session && !c.logsIn():
			e.fail("from session: nobody can log in with this integration")
		case !p.Basic && !p.Session && !c.local() && !c.takesTokens():
			e.fail("from %s: with a login block and without audience tokens that clients send are not taken: expected audience", (&place{Place: p}).kind())
		case p.Header != "" && !httpguts.ValidHeaderFieldName(p.Header):
			e.fail("from header %q: not a header name", p.Header)
		case p.Header == "Cookie":
			e.fail("from header Cookie: use from cookie <name>")
		case p.Header == "Authorization" && p.Scheme == "":
			e.fail("from header Authorization: which scheme? Write from header Authorization Bearer")
		case p.Scheme != "" && (p.Header == "" || !httpguts.ValidHeaderFieldName(p.Scheme)):
			e.fail("from: a scheme is one word after the name of a header")
		case p.Cookie != "" && !httpguts.ValidHeaderFieldName(p.Cookie):
			e.fail("from cookie %q: not a cookie name", p.Cookie)
		case slices.ContainsFunc(places, func(q place) bool { return q.same(p) }):
			e.fail("from: %s%s%s is given twice", p.Header, p.Cookie, p.Query)
		}
		places = append(places, place{Place: p})
	}
	if c.takesBasic() && !slices.ContainsFunc(places, func(p place) bool { return p.Basic }) {
		e.fail("from: basic is switched on but not among the places; write from basic")
	}
	return places
}

// joinPlaces lists the places of several integrations, each once.
func joinPlaces(integrations []*integration) (joined []place) {
	for _, in := range integrations {
		for _, p := range in.places {
			i := slices.IndexFunc(joined, func(q place) bool { return q.same(p.Place) })
			if i < 0 {
				i, joined = len(joined), append(joined, place{Place: p.Place})
			}
			joined[i].integrations = append(joined[i].integrations, in)
		}
	}
	for i := range joined {
		if p := &joined[i]; !p.keysFirst() {
			p.memory = remember(p.integrations)
		}
	}
	return joined
}

// credential is what a client brought. The zero credential is none at all.
type credential struct {
	place *place
	token string
	// user and password are those of HTTP Basic.
	user, password string
}

func (c *credential) readable() bool { return c.place.readable(c.token) }

// findCredential looks into the places. A credential in a header or the query
// counts before a cookie, which browsers send by themselves. It returns a reason
// if what is there cannot be one credential. Whether the place can read its text is
// left to [place.check]: that of a token that is known needs no second look.
func findCredential(h http.Header, query string, places []place) (found credential, reason claims.Reason) {
	for i := range places {
		here, reason := places[i].look(h, query)
		switch {
		case reason != "":
			return credential{place: &places[i]}, reason
		case here.place != nil && found.place != nil:
			if !here.readable() || !found.readable() {
				return here, claims.MalformedCredential
			}
			return here, claims.SeveralCredentials
		case here.place != nil:
			found = here
		}
	}
	return found, ""
}

// look looks for what a client sends on purpose: a header or a parameter.
func (p *place) look(h http.Header, query string) (found credential, reason claims.Reason) {
	var token string
	var there bool
	switch {
	case p.Header != "":
		token, there, reason = p.inHeader(h)
	case p.Query != "":
		token, there, reason = p.inQuery(query)
	case p.Basic:
		return p.inBasic(h)
	}
	if reason != "" || !there {
		return credential{}, reason
	}
	return credential{place: p, token: token}, ""
}

// inBasic takes user and password out of HTTP Basic (RFC 7617 section 2).
func (p *place) inBasic(h http.Header) (found credential, reason claims.Reason) {
	coded, there, reason := (&place{Place: Place{Header: "Authorization", Scheme: "Basic"}}).inHeader(h)
	if reason != "" || !there {
		return credential{}, reason
	}
	decoded, err := base64.StdEncoding.Strict().DecodeString(coded)
	user, password, ok := strings.Cut(string(decoded), ":")
	if err != nil || !ok || user == "" || !utf8.ValidString(user) {
		return credential{}, claims.MalformedCredential
	}
	return credential{place: p, user: user, password: password}, ""
}

// inHeader takes the token out of a header: after the scheme, if there is one. A
// header with another scheme is none of ours.
func (p *place) inHeader(h http.Header) (token string, there bool, reason claims.Reason) {
	lines := h[p.Header]
	switch len(lines) {
	case 0:
		return "", false, ""
	case 1:
	default:
		return "", true, claims.SeveralCredentials
	}
	token = lines[0]
	if p.Scheme != "" {
		n := len(p.Scheme)
		if len(token) < n || !strings.EqualFold(token[:n], p.Scheme) || len(token) > n && httpguts.IsTokenRune(rune(token[n])) {
			return "", false, ""
		}
		// After a tab, a comma or anything else that some server takes for the
		// end of the scheme, it is ours and malformed.
		if token = token[n:]; strings.HasPrefix(token, " ") {
			token = strings.TrimLeft(token, " ")
		} else if token != "" {
			return "", true, claims.MalformedCredential
		}
	}
	return token, true, ""
}

// readable reports whether text from this place may be a credential at all.
func (p *place) readable(text string) bool {
	return p.Header == "" || isTokenText(text) || p.apiKeys() && isVisible(text)
}

// keysFirst reports whether what comes from here has to be one of the integrations' API
// keys. A token that is known from elsewhere is none.
func (p *place) keysFirst() bool {
	return p.apiKeys() && slices.ContainsFunc(p.integrations, func(in *integration) bool { return in.local != nil })
}

// apiKeys reports whether nothing but API keys is looked for here.
func (p *place) apiKeys() bool { return p.Header == apiKeyHeader && p.Scheme == "" }

// isVisible reports whether text is visible ASCII. A key that somebody else has
// made may hold any of it.
func isVisible(text string) bool {
	return text != "" && !strings.ContainsFunc(text, func(c rune) bool { return c <= ' ' || c > '~' })
}

// isTokenText reports whether text may be a token: the characters of a token68
// (RFC 9110 section 11.2), with "=" also between the parts of a padded JWT.
func isTokenText(text string) bool {
	if text == "" {
		return false
	}
	for ; len(text) >= 8; text = text[8:] { // eight at a time: all of a token is looked at on every request
		if tokenBytes[text[0]]&tokenBytes[text[1]]&tokenBytes[text[2]]&tokenBytes[text[3]]&
			tokenBytes[text[4]]&tokenBytes[text[5]]&tokenBytes[text[6]]&tokenBytes[text[7]] == 0 {
			return false
		}
	}
	for i := range len(text) {
		if tokenBytes[text[i]] == 0 {
			return false
		}
	}
	return true
}

// tokenBytes has 1 for the bytes of token texts.
var tokenBytes = byteSet("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-._~+/=")

func (p *place) inQuery(query string) (token string, there bool, reason claims.Reason) {
	for pair := range strings.SplitSeq(query, "&") {
		if !isParameter(pair, p.Query) {
			continue
		}
		if there {
			return "", true, claims.SeveralCredentials
		}
		_, value, _ := strings.Cut(pair, "=")
		value, err := url.QueryUnescape(value)
		if err != nil || !isTokenText(value) {
			return "", true, claims.MalformedCredential
		}
		token, there = value, true
	}
	return token, there, ""
}

// isParameter reports whether a pair of a query has this name.
func isParameter(pair, name string) bool {
	key, _, _ := strings.Cut(pair, "=")
	if key == name {
		return true
	}
	key, err := url.QueryUnescape(key)
	return err == nil && key == name
}

// withoutParameter takes a parameter out of a query and leaves the rest as it is.
func withoutParameter(query, name string) string {
	kept := make([]string, 0, 8)
	for pair := range strings.SplitSeq(query, "&") {
		if !isParameter(pair, name) {
			kept = append(kept, pair)
		}
	}
	return strings.Join(kept, "&")
}

// inCookies returns the different values of the cookies of that name.
func (p *place) inCookies(lines []string) (tokens []string) {
	r := http.Request{Header: http.Header{"Cookie": lines}}
	for _, cookie := range r.CookiesNamed(p.Cookie) {
		if cookie.Value != "" && !slices.Contains(tokens, cookie.Value) && len(tokens) < maxSameCookies {
			tokens = append(tokens, cookie.Value)
		}
	}
	return tokens
}

// crossOrigin reports whether a request that changes something, or opens a
// socket, was not sent by a page of the site itself. What a browser adds by
// itself, a cookie, proves nothing then.
func crossOrigin(r *http.Request) bool {
	switch r.Method {
	case http.MethodGet, http.MethodHead, http.MethodOptions:
		if first(r.Header["Upgrade"]) == "" {
			return false
		}
	}
	if site := r.Header.Get("Sec-Fetch-Site"); site != "" {
		return site != "same-origin" && site != "none"
	}
	origins := r.Header["Origin"]
	if len(origins) == 0 {
		return false
	}
	origin, err := url.Parse(origins[0])
	return len(origins) > 1 || err != nil || origin.Host == "" || !strings.EqualFold(origin.Host, r.Host)
}
