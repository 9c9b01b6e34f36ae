package admit

import (
	"net/http"
	"net/url"
	"slices"
	"strings"

	"golang.org/x/net/http/httpguts"
)

// origins are the other origins whose scripts may call (Fetch standard, CORS
// protocol). The zero value is none.
type origins struct {
	all    bool
	listed []string // serialized: scheme, host in lower case, port if not the standard one
	site   string   // the site's own, where it is configured
}

func readOrigins(e *expander, values []string) (o origins) {
	for _, value := range e.texts("origins", values) {
		origin, ok := serializeOrigin(value)
		switch {
		case value == "*":
			o.all = true
		case !ok:
			e.fail("origins %q: expected * or a scheme and host as https://app.example.com", value)
		default:
			o.listed = append(o.listed, origin)
		}
	}
	if o.all && len(o.listed) > 0 {
		e.fail("origins: expected * alone, or origins without it")
	}
	return o
}

// serializeOrigin spells an origin as browsers send it (RFC 6454 section 6.2).
func serializeOrigin(text string) (string, bool) {
	u, err := url.Parse(text)
	if err != nil || u.Scheme != "http" && u.Scheme != "https" || u.Hostname() == "" || u.User != nil ||
		u.Path != "" || strings.ContainsAny(text, "?#") {
		return "", false
	}
	host := strings.ToLower(u.Host)
	if port := u.Port(); port == "" || u.Scheme == "https" && port == "443" || u.Scheme == "http" && port == "80" {
		host = strings.TrimSuffix(host, ":"+port)
	}
	return u.Scheme + "://" + host, true
}

// of returns the one origin of a request, if it is one of these.
func (o *origins) of(r *http.Request) (origin string, ok bool) {
	lines := r.Header["Origin"]
	if len(lines) != 1 || !o.all && !slices.Contains(o.listed, lines[0]) {
		return "", false
	}
	return lines[0], true
}

// trusts reports whether scripts of the request's origin may change something
// with what the browser adds by itself. That takes an origin that is named.
func (o *origins) trusts(r *http.Request) bool {
	_, ok := o.of(r)
	return ok && !o.all || o.fromSite(r)
}

// fromSite reports whether the request comes from the site itself by its public
// URL: a proxy before Caddy may have changed Host.
func (o *origins) fromSite(r *http.Request) bool {
	lines := r.Header["Origin"]
	return o.site != "" && len(lines) == 1 && lines[0] == o.site
}

// preflight reports whether the request is a real preflight of one of the
// origins: it asks for nothing but permission.
func (o *origins) preflight(r *http.Request) bool {
	if r.Method != http.MethodOptions {
		return false
	}
	wanted := r.Header["Access-Control-Request-Method"]
	if r.Header.Get("Upgrade") != "" || len(wanted) != 1 || !httpguts.ValidHeaderFieldName(wanted[0]) {
		return false
	}
	_, ok := o.of(r)
	return ok
}

// expose lets scripts of the origin read an answer of the gate.
func (o *origins) expose(h http.Header, r *http.Request) {
	if o.all {
		h.Set("Access-Control-Allow-Origin", "*")
	} else if len(o.listed) > 0 {
		h.Add("Vary", "Origin")
	}
	origin, ok := o.of(r)
	if !ok {
		return
	}
	if !o.all {
		h.Set("Access-Control-Allow-Origin", origin)
		h.Set("Access-Control-Allow-Credentials", "true")
	}
	h.Set("Access-Control-Expose-Headers", "WWW-Authenticate, Retry-After")
}

// methodOverrides are headers by which some frameworks take one method for
// another.
var methodOverrides = [...]string{"X-Http-Method-Override", "X-Http-Method", "X-Method-Override"}

// dropOverrides takes out the headers by which a method is not what it seems.
func dropOverrides(h http.Header) {
	for name := range h {
		if slices.ContainsFunc(methodOverrides[:], func(o string) bool { return foldHeader(o) == foldHeader(name) }) {
			delete(h, name)
		}
	}
}

// bare takes everything out of a preflight that a browser never puts there: it
// passes unchecked, so it must not do anything.
func (c *checker) bare(r *http.Request) {
	r.Body, r.ContentLength, r.TransferEncoding, r.Trailer = http.NoBody, 0, nil, nil
	for _, name := range []string{"Cookie", "Authorization", "Content-Length", "Trailer"} {
		delete(r.Header, name)
	}
	for i := range c.places {
		delete(r.Header, c.places[i].Header)
	}
	dropOverrides(r.Header)
}
