package e2e

import (
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
)

// upstream is the service behind the gate. It records what reached it and tells
// the client in Seen-User which user it was told about.
type upstream struct {
	URL string

	mu   sync.Mutex
	seen []received
}

// received is one request as the upstream got it.
type received struct {
	Method, URI string
	Header      http.Header
	Trailer     http.Header // of the request, after its body
}

func newUpstream(t *testing.T) *upstream {
	u := new(upstream)
	server := httptest.NewServer(u)
	t.Cleanup(server.Close)
	u.URL = server.URL
	return u
}

func (u *upstream) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	_, _ = io.Copy(io.Discard, r.Body)
	u.mu.Lock()
	u.seen = append(u.seen, received{r.Method, r.RequestURI, r.Header.Clone(), r.Trailer.Clone()})
	u.mu.Unlock()
	w.Header().Set("Seen-User", strings.Join(named(r.Header, "X-User"), "|"))
	_, _ = io.WriteString(w, "upstream")
}

// take returns what arrived since the last call.
func (u *upstream) take() []received {
	u.mu.Lock()
	defer u.mu.Unlock()
	seen := u.seen
	u.seen = nil
	return seen
}

// only returns the one request that arrived since the last call.
func (u *upstream) only(t *testing.T) received {
	t.Helper()
	seen := u.take()
	if len(seen) != 1 {
		t.Fatalf("%d requests reached the upstream, want 1", len(seen))
	}
	return seen[0]
}

// fold reads a header name as a careless server does, such as a CGI or WSGI one.
var fold = strings.NewReplacer("_", "-", ".", "-")

// named returns the values of every header that some server takes for name.
func named(h http.Header, name string) []string {
	var values []string
	for field, v := range h {
		if strings.EqualFold(fold.Replace(field), name) {
			values = append(values, v...)
		}
	}
	return values
}
