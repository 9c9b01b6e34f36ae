package admit

import (
	"net/http"
	"net/url"
	"strings"
)

// request is a request under decision.
type request struct {
	*http.Request
	state     *state
	original  *url.URL // as the client sent it
	canonical bool     // its path has one meaning, see canonical
}

// newRequest makes a request of what the client has sent. has is what its headers hold.
func newRequest(r *http.Request, original *url.URL, s *state, has present) *request {
	req := &s.request // a gate before this one has no use for it any more
	*req = request{Request: r, state: s, original: original, canonical: canonical(original)}
	if s.more != nil {
		s.more.lower, s.more.asked = "", nil
	}
	if r.URL.Path != original.Path {
		req.ask(original)
	}
	if has&withOverride != 0 {
		req.askOtherMethods()
	}
	if script, info, ok := splitScript(original.Path); ok {
		req.ask(&url.URL{Path: script, RawQuery: original.RawQuery})
		req.ask(&url.URL{Path: info, RawQuery: original.RawQuery})
	}
	return req
}

// askOtherMethods adds the methods that headers put in place of the request's own.
func (r *request) askOtherMethods() {
	for _, name := range methodOverrides {
		if lines := r.Header[name]; len(lines) > 0 {
			asked := *r.Request
			asked.Method = strings.ToUpper(lines[0])
			r.state.also().asked = append(r.asked(), &asked)
		}
	}
}

// ask adds a URL that the request stands for.
func (r *request) ask(u *url.URL) {
	asked := *r.Request
	asked.URL = u
	r.state.also().asked = append(r.asked(), &asked)
}

// asked returns the request with the other URLs and methods that it stands for.
func (r *request) asked() []*http.Request {
	if r.state.more == nil {
		return nil
	}
	return r.state.more.asked
}

// keepQuery keeps the client's query aside. It is called before a gate takes something
// out of it.
func (r *request) keepQuery() {
	if query := r.original.RawQuery; query != "" && (r.state.more == nil || r.state.more.query == nil) {
		r.state.also().query = &query
	}
}

// sentQuery returns the query that the client sent.
func (r *request) sentQuery() string {
	if more := r.state.more; more != nil && more.query != nil {
		return *more.query
	}
	return r.original.RawQuery
}

// splitScript divides a path as php_fastcgi does: /index.php/admin runs the script
// /index.php, for which the rest is the path (RFC 3875 section 4.1.5).
func splitScript(path string) (script, info string, ok bool) {
	const php = ".php"
	if strings.IndexByte(path, '.') < 0 {
		return "", "", false
	}
	for i := 0; i+len(php) < len(path); i++ {
		if end := i + len(php); path[end] == '/' && strings.EqualFold(path[i:end], php) {
			return path[:end], path[end:], true
		}
	}
	return "", "", false
}

// sentCookies returns the lines of cookies that the client sent.
func (r *request) sentCookies() []string {
	switch s := r.state; {
	case s.sent != nil:
		return s.sent["Cookie"]
	case s.cookies != nil:
		return s.cookies
	}
	return r.Header["Cookie"]
}

// sentHeader returns the headers that the client sent, but perhaps for its cookies.
func (r *request) sentHeader() http.Header {
	if r.sentAllButCookies() {
		return r.Header
	}
	return r.sentRequest().Header
}

// sentAllButCookies reports that no gate has changed another header than Cookie.
func (r *request) sentAllButCookies() bool { return r.state.sent == nil && len(r.state.headers) == 0 }

// sentRequest returns the request with the headers that the client sent.
func (r *request) sentRequest() *http.Request {
	s := r.state
	if s.cookies == nil && r.sentAllButCookies() {
		return r.Request // no gate has changed any
	}
	s.keepSent(r.Request)
	sent := *r.Request
	sent.Header = s.sent
	return &sent
}
