package e2e

import (
	"net"
	"net/http"
	"net/http/httptest"
	"slices"
	"sync"
	"testing"
	"time"
)

// front stands before a real issuer on the issuer's address: it counts what is
// fetched, and answers in the issuer's place where a test says so.
type front struct {
	URL string

	server  *httptest.Server
	stopped chan struct{}
	once    sync.Once

	mu     sync.Mutex
	issuer http.Handler
	faults map[string]http.HandlerFunc // by path
	asked  map[string][]string         // by path: when and by whom
}

// newFront listens on an address of loopback, "" for a free one.
func newFront(t *testing.T, address string) *front {
	t.Helper()
	f := &front{stopped: make(chan struct{}), faults: make(map[string]http.HandlerFunc), asked: make(map[string][]string)}
	if address == "" {
		address = "127.0.0.1:0"
	}
	l, err := net.Listen("tcp", address)
	if err != nil {
		t.Fatal(err)
	}
	f.server = &httptest.Server{Listener: l, Config: &http.Server{Handler: f}}
	f.server.Start()
	t.Cleanup(f.stop)
	f.URL = f.server.URL
	return f
}

func (f *front) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	f.mu.Lock()
	f.asked[r.URL.Path] = append(f.asked[r.URL.Path], time.Now().Format("05.000 ")+r.RemoteAddr+" "+r.UserAgent())
	next := f.issuer
	if fault := f.faults[r.URL.Path]; fault != nil {
		next = fault
	}
	f.mu.Unlock()
	if next == nil {
		http.NotFound(w, r)
		return
	}
	next.ServeHTTP(w, r)
}

// stop closes the address: connections are refused from here on.
func (f *front) stop() {
	f.once.Do(func() {
		close(f.stopped)
		f.server.CloseClientConnections()
		f.server.Close()
	})
}

func (f *front) setIssuer(h http.Handler) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.issuer = h
}

// fault answers a path in the issuer's place; nil gives it back to the issuer.
func (f *front) fault(path string, h http.HandlerFunc) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.faults[path] = h
}

// fetched returns how often a path was asked for.
func (f *front) fetched(path string) int {
	f.mu.Lock()
	defer f.mu.Unlock()
	return len(f.asked[path])
}

// history tells when and by whom a path was asked for.
func (f *front) history(path string) []string {
	f.mu.Lock()
	defer f.mu.Unlock()
	return slices.Clone(f.asked[path])
}

// hang answers nothing until the client or the test gives up.
func (f *front) hang(_ http.ResponseWriter, r *http.Request) {
	select {
	case <-r.Context().Done():
	case <-f.stopped:
	}
}
