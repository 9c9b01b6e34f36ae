package admit

import (
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
)

// seen is a request as an application behind Caddy sees it.
type seen struct {
	Method, URI, Body string
	Header, Trailer   http.Header
}

// upstream is an application that answers with what it sees. It returns the
// directive that sends requests there.
func upstream(t *testing.T) (directive string) {
	t.Helper()
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, err := io.ReadAll(r.Body)
		if err != nil {
			t.Errorf("upstream: %v", err)
		}
		writeJSON(w, seen{r.Method, r.RequestURI, string(body), r.Header, r.Trailer})
	}))
	t.Cleanup(server.Close)
	return "reverse_proxy " + strings.TrimPrefix(server.URL, "http://")
}

// seen returns what the application saw. The request must have got there.
func (a answered) seen(t *testing.T) (got seen) {
	t.Helper()
	if a.StatusCode != 200 {
		t.Fatalf("status %d: %s", a.StatusCode, a.body)
	}
	if err := json.Unmarshal([]byte(a.body), &got); err != nil {
		t.Fatalf("%q: %v", a.body, err)
	}
	return got
}

// reached reports whether the request got to the application.
func (a answered) reached() bool { return strings.HasPrefix(a.body, `{"Method":`) }

// want fails unless the answer has this status and, for a refusal, this reason.
func (a answered) want(t *testing.T, status int, reason string) {
	t.Helper()
	var problem struct{ Reason string }
	if status != 200 {
		_ = json.Unmarshal([]byte(a.body), &problem)
	}
	if a.StatusCode != status || problem.Reason != reason {
		t.Errorf("got %d %q, want %d %q", a.StatusCode, a.body, status, reason)
	}
}
