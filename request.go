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
	original  *url.URL        // as the client sent it
	canonical bool            // its path has one meaning, see canonical
	lower     string          // its path in lower case, once that was asked for
	asked     []*http.Request // with the other URLs and methods that this one stands for
}

func newRequest(r *http.Request, original *url.URL, s *state) *request {
	req := &s.request // a gate before this one has no use for it any more
	*req = request{Request: r, state: s, original: original, canonical: canonical(original)}
	if !s.kept {
		s.query, s.kept = original.RawQuery, true
	}
	if r.URL.Path != original.Path {
		req.ask(original)
	}
	for _, name := range methodOverrides {
		if lines := r.Header[name]; len(lines) > 0 {
			asked := *r
			asked.Method = strings.ToUpper(lines[0])
			req.asked = append(req.asked, &asked)
		}
	}
	if script, info, ok := splitScript(original.Path); ok {
		req.ask(&url.URL{Path: script, RawQuery: original.RawQuery})
		req.ask(&url.URL{Path: info, RawQuery: original.RawQuery})
	}
	return req
}

// ask adds a URL that the request stands for.
func (r *request) ask(u *url.URL) {
	asked := *r.Request
	asked.URL = u
	r.asked = append(r.asked, &asked)
}

// splitScript divides a path as php_fastcgi does: /index.php/admin runs the script
// /index.php, for which the rest is the path (RFC 3875 section 4.1.5).
func splitScript(path string) (script, info string, ok bool) {
	const php = ".php"
	for i := 0; i+len(php) < len(path); i++ {
		if end := i + len(php); path[end] == '/' && strings.EqualFold(path[i:end], php) {
			return path[:end], path[end:], true
		}
	}
	return "", "", false
}

// sentRequest returns the request with the headers that the client sent.
func (r *request) sentRequest() *http.Request {
	s := r.state
	if s.sent == nil && len(s.headers) == 0 {
		return r.Request // no gate has changed any
	}
	s.keepSent(r.Request)
	sent := *r.Request
	sent.Header = s.sent
	return &sent
}
