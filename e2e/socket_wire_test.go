package e2e

import (
	"bufio"
	"bytes"
	"io"
	"net"
	"net/http"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"
)

// wire is an upstream that keeps the bytes of each request as they came, with
// spelling, order and doubled lines.
type wire struct {
	address string

	mu   sync.Mutex
	seen []string
}

func newWire(t *testing.T) *wire {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = listener.Close() })
	w := &wire{address: listener.Addr().String()}
	go func() {
		for {
			conn, err := listener.Accept()
			if err != nil {
				return // the end of the test
			}
			go w.serve(conn)
		}
	}()
	return w
}

// serve answers one request.
func (w *wire) serve(conn net.Conn) {
	defer conn.Close()
	_ = conn.SetDeadline(time.Now().Add(10 * time.Second))
	var read bytes.Buffer
	r, err := http.ReadRequest(bufio.NewReader(io.TeeReader(conn, &read)))
	if err != nil {
		return // Caddy's proxy opened a connection and did not use it
	}
	_, err = io.Copy(io.Discard, r.Body)
	w.mu.Lock()
	w.seen = append(w.seen, read.String())
	w.mu.Unlock()
	if err == nil {
		_, _ = io.WriteString(conn, "HTTP/1.1 200 OK\r\nContent-Length: 4\r\nConnection: close\r\n\r\nwire")
	}
}

// only returns the one request that arrived since the last call, with \n for \r\n.
func (w *wire) only(t *testing.T) string {
	t.Helper()
	w.mu.Lock()
	defer w.mu.Unlock()
	seen := w.seen
	w.seen = nil
	if len(seen) != 1 {
		t.Errorf("%d requests reached the upstream, want 1: %q", len(seen), seen)
		return ""
	}
	return strings.ReplaceAll(seen[0], "\r\n", "\n")
}

// none checks that no request arrived since the last call.
func (w *wire) none(t *testing.T) {
	t.Helper()
	w.mu.Lock()
	defer w.mu.Unlock()
	if len(w.seen) > 0 {
		t.Errorf("%d requests reached the upstream, want none: %q", len(w.seen), w.seen)
	}
	w.seen = nil
}

// proxied returns the bytes that Caddy's proxy sends for a request line to the
// host "gate" with these header lines, and with a body: the proxy sorts the
// lines by name and adds its own.
func proxied(line, body string, headers ...string) string {
	all := slices.DeleteFunc(slices.Concat(headers, []string{
		"Via: 1.1 Caddy", "X-Forwarded-For: 127.0.0.1", "X-Forwarded-Host: gate", "X-Forwarded-Proto: http",
	}), func(line string) bool { return line == "" })
	slices.SortStableFunc(all, func(a, b string) int {
		nameA, _, _ := strings.Cut(a, ":")
		nameB, _, _ := strings.Cut(b, ":")
		return strings.Compare(nameA, nameB)
	})
	framing := ""
	if body != "" {
		framing = "Transfer-Encoding: chunked\n"
	}
	return line + " HTTP/1.1\nHost: gate\n" + framing + strings.Join(all, "\n") + "\n\n" + body
}
