package e2e

import (
	"bufio"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httputil"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"
)

// request is what a client sends; the zero value is GET / without a credential.
type request struct {
	method, path string
	token        string // in Authorization: Bearer
	cookie       string // name=value
	host         string
	header       http.Header
}

// answer is what the client gets.
type answer struct {
	status  int
	header  http.Header
	body    string
	problem problem
}

// problem is the body of a refusal (RFC 9457).
type problem struct {
	Title  string `json:"title"`
	Status int    `json:"status"`
	Error  string `json:"error"`
	Reason string `json:"reason"`
}

// send sends one request; any goroutine may.
//
// A connection may end without an answer: when Caddy loads a configuration, those
// that are idle or wait in the old listener's queue die, with and without a gate.
// Such a request is sent once more, as browsers do; finish wants this to be rare.
func (c *caddy) send(r request) (answer, error) {
	c.count.Add(1)
	a, err := c.once(r)
	if errors.Is(err, io.EOF) || errors.Is(err, syscall.ECONNRESET) {
		c.resent.Add(1)
		return c.once(r)
	}
	return a, err
}

func (c *caddy) once(r request) (answer, error) {
	req, err := http.NewRequest(r.method, c.URL+"/"+strings.TrimPrefix(r.path, "/"), nil)
	if err != nil {
		return answer{}, err
	}
	for name, v := range r.header {
		req.Header[name] = v
		c.sent.add(v...)
	}
	if r.token != "" {
		req.Header.Set("Authorization", "Bearer "+r.token)
		c.sent.add(r.token)
	}
	if r.cookie != "" {
		req.Header.Set("Cookie", r.cookie)
		_, token, _ := strings.Cut(r.cookie, "=")
		c.sent.add(token)
	}
	req.Host = r.host
	resp, err := c.client.Do(req)
	if err != nil {
		return answer{}, err
	}
	return c.read(resp)
}

// raw sends bytes as they are over a connection of its own.
func (c *caddy) raw(t *testing.T, text string) answer {
	t.Helper()
	conn, err := net.DialTimeout("tcp", strings.TrimPrefix(c.URL, "http://"), 5*time.Second)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	_ = conn.SetDeadline(time.Now().Add(10 * time.Second))
	if _, err := io.WriteString(conn, strings.ReplaceAll(text, "\n", "\r\n")); err != nil {
		t.Fatal(err)
	}
	method, _, _ := strings.Cut(text, " ")
	resp, err := http.ReadResponse(bufio.NewReader(conn), &http.Request{Method: method})
	if err != nil {
		t.Fatal(err)
	}
	got, err := c.read(resp)
	if err != nil {
		t.Fatal(err)
	}
	return got
}

func (c *caddy) read(resp *http.Response) (answer, error) {
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	if err != nil {
		return answer{}, err
	}
	head, err := httputil.DumpResponse(resp, false)
	if err != nil {
		return answer{}, err
	}
	_, _ = fmt.Fprintf(&c.answers, "%s%s\n", head, body)
	a := answer{status: resp.StatusCode, header: resp.Header, body: string(body)}
	_ = json.Unmarshal(body, &a.problem)
	return a, nil
}

// get sends a request that must have an answer.
func (c *caddy) get(t *testing.T, r request) answer {
	t.Helper()
	a, err := c.send(r)
	if err != nil {
		t.Fatal(err)
	}
	return a
}

// wantUser sends a request that must get in as this user.
func (c *caddy) wantUser(t *testing.T, r request, user string) {
	t.Helper()
	if err := c.get(t, r).isUser(user); err != nil {
		t.Error(err)
	}
}

// wantRefusal sends a request that must be refused.
func (c *caddy) wantRefusal(t *testing.T, r request, status int, reasons ...string) answer {
	t.Helper()
	a := c.get(t, r)
	if err := a.isRefusal(status, reasons...); err != nil {
		t.Error(err)
	}
	return a
}

// isUser tells whether the upstream answered, for this user.
func (a answer) isUser(user string) error {
	if got := a.header.Get("Seen-User"); a.status != 200 || a.body != "upstream" || got != user {
		return fmt.Errorf("got %d, user %q, reason %q; want 200 and user %q", a.status, got, a.problem.Reason, user)
	}
	return nil
}

// isRefusal tells whether the gate itself answered, for one of the reasons.
func (a answer) isRefusal(status int, reasons ...string) error {
	switch {
	case a.status != status || !slices.Contains(reasons, a.problem.Reason):
		return fmt.Errorf("got %d %q; want %d and one of %q", a.status, a.problem.Reason, status, reasons)
	case a.problem.Status != status:
		return fmt.Errorf("the problem says status %d, the answer %d", a.problem.Status, status)
	case a.header.Get("Seen-User") != "" || strings.Contains(a.body, "upstream"):
		return fmt.Errorf("a refusal %d came from the upstream", a.status)
	}
	return nil
}

// secrets are values that must not come back in a log or an answer.
type secrets struct {
	mu  sync.Mutex
	all map[string]bool
}

func (s *secrets) add(values ...string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.all == nil {
		s.all = make(map[string]bool)
	}
	for _, v := range values {
		s.all[v] = true
	}
}

// foundIn returns the values of which text holds the whole or one of the parts
// between dots. Parts under 12 bytes are no secret: they occur by chance.
func (s *secrets) foundIn(text string) []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	var found []string
	for v := range s.all {
		for _, part := range append(strings.Split(v, "."), v) {
			if len(part) >= 12 && strings.Contains(text, part) {
				found = append(found, v)
				break
			}
		}
	}
	return found
}
