package e2e

import (
	"bufio"
	"crypto/sha1"
	"encoding/base64"
	"fmt"
	"html"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
	"time"
)

// stream is an app as Streamlit and Gradio make them: a page that opens a WebSocket
// and gets everything through that.
type stream struct {
	URL    string
	opened atomic.Int64 // WebSockets
}

const streamPath = "/_stcore/stream"

func newStream(t *testing.T) *stream {
	s := new(stream)
	server := httptest.NewServer(s)
	t.Cleanup(server.Close)
	s.URL = server.URL
	return s
}

func (s *stream) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if r.URL.Path == streamPath && strings.EqualFold(r.Header.Get("Upgrade"), "websocket") {
		s.serveSocket(w, r)
		return
	}
	w.Header().Set("Content-Type", "text/html; charset=utf-8")
	w.Header().Set("Seen-User", strings.Join(named(r.Header, "X-User"), "|"))
	_, _ = fmt.Fprintf(w, `<!doctype html><html lang="en"><meta charset="utf-8"><title>App</title>
		<h1>App of %s</h1><p id="at">%s</p><p id="said"></p><a id="out" href="/oauth2/logout">Sign out</a>
		<script>
		const socket = new WebSocket(location.origin.replace('http', 'ws') + %q)
		socket.onopen = () => socket.send('hello')
		socket.onmessage = (m) => { said.textContent = m.data }
		socket.onerror = () => { said.textContent = 'refused' }
		</script>`, html.EscapeString(strings.Join(named(r.Header, "X-User"), "|")), html.EscapeString(r.Method+" "+r.RequestURI), streamPath)
}

// serveSocket answers each message with the user and the message (RFC 6455). It
// knows short messages only.
func (s *stream) serveSocket(w http.ResponseWriter, r *http.Request) {
	sum := sha1.Sum([]byte(r.Header.Get("Sec-WebSocket-Key") + "258EAFA5-E914-47DA-95CA-C5AB0DC85B11"))
	conn, buffer, err := http.NewResponseController(w).Hijack()
	if err != nil {
		return
	}
	defer conn.Close()
	s.opened.Add(1)
	_, _ = io.WriteString(conn, "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Accept: "+
		base64.StdEncoding.EncodeToString(sum[:])+"\r\n\r\n")
	for {
		message, err := readMessage(buffer.Reader)
		if err != nil {
			return
		}
		answer := strings.Join(named(r.Header, "X-User"), "|") + ": " + message
		if _, err := conn.Write(append([]byte{0x81, byte(len(answer))}, answer...)); err != nil {
			return
		}
	}
}

// readMessage reads a text of less than 126 bytes, masked or not.
func readMessage(from io.Reader) (string, error) {
	var head [2]byte
	if _, err := io.ReadFull(from, head[:]); err != nil {
		return "", err
	}
	if head[0] != 0x81 || head[1]&0x7f > 125 {
		return "", io.EOF // such as a close frame
	}
	var mask [4]byte
	if head[1]&0x80 != 0 {
		if _, err := io.ReadFull(from, mask[:]); err != nil {
			return "", err
		}
	}
	text := make([]byte, head[1]&0x7f)
	if _, err := io.ReadFull(from, text); err != nil {
		return "", err
	}
	for i := range text {
		text[i] ^= mask[i%4]
	}
	return string(text), nil
}

// socket is a WebSocket that a client has opened.
type socket struct {
	conn net.Conn
	from *bufio.Reader
}

// dialSocket opens a WebSocket at a site, with these header lines, and returns it
// and the status of the handshake: 101 if it is open.
func (c *caddy) dialSocket(t *testing.T, lines ...string) (*socket, int) {
	t.Helper()
	conn, err := net.DialTimeout("tcp", strings.TrimPrefix(c.URL, "http://"), 5*time.Second)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = conn.Close() })
	_ = conn.SetDeadline(time.Now().Add(30 * time.Second))
	head := append([]string{
		"GET " + streamPath + " HTTP/1.1", "Host: " + strings.TrimPrefix(c.URL, "http://"), "Connection: Upgrade", "Upgrade: websocket",
		"Sec-WebSocket-Version: 13", "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==",
	}, lines...)
	if _, err := io.WriteString(conn, strings.Join(head, "\r\n")+"\r\n\r\n"); err != nil {
		t.Fatal(err)
	}
	s := &socket{conn, bufio.NewReader(conn)}
	resp, err := http.ReadResponse(s.from, &http.Request{Method: http.MethodGet})
	if err != nil {
		t.Fatal(err)
	}
	return s, resp.StatusCode
}

// ask sends a message and returns the answer.
func (s *socket) ask(t *testing.T, message string) string {
	t.Helper()
	frame := append([]byte{0x81, 0x80 | byte(len(message)), 0, 0, 0, 0}, message...)
	if _, err := s.conn.Write(frame); err != nil {
		t.Fatal(err)
	}
	answer, err := readMessage(s.from)
	if err != nil {
		t.Fatal(err)
	}
	return answer
}

// TestLoginSocket: the session opens the socket of an app. Without one the handshake
// is refused, and so is that of another site's script. threat 64
func TestLoginSocket(t *testing.T) {
	t.Parallel()
	p, app := startProvider(t, ""), newStream(t)
	c := startLogin(t, p, &upstream{URL: app.URL}, party{}, 1, nil)[0]
	who := newPerson(t)
	if got := who.logIn(c.URL+"/?page=2", "ada"); got.status != 200 || !strings.Contains(got.body, "App of ada") || !strings.Contains(got.body, "GET /?page=2") {
		t.Fatalf("the login ends at %s, %d: %s", got.at.Redacted(), got.status, got.body)
	}
	cookie := "Cookie: " + c.sessionOf(t, who)
	for name, tc := range map[string]struct {
		lines  []string
		status int
	}{
		"of the page":            {[]string{cookie, "Origin: " + c.URL, "Sec-Fetch-Site: same-origin"}, 101},
		"of an old browser":      {[]string{cookie, "Origin: " + c.URL}, 101},
		"no session":             {[]string{"Origin: " + c.URL}, 401},
		"a broken session":       {[]string{cookie[:len(cookie)-8] + "AAAAAAAA", "Origin: " + c.URL}, 401},
		"of another site":        {[]string{cookie, "Origin: https://evil.test"}, 403},
		"of another port":        {[]string{cookie, "Origin: http://127.0.0.1:1"}, 403},
		"of a page in a sandbox": {[]string{cookie, "Origin: null"}, 403},
	} {
		before := app.opened.Load()
		s, status := c.dialSocket(t, tc.lines...)
		if status != tc.status || (app.opened.Load() != before) != (tc.status == 101) {
			t.Errorf("%s: the handshake is answered by %d; opened: %t", name, status, app.opened.Load() != before)
			continue
		}
		if status == 101 {
			if got := s.ask(t, "hello"); got != "ada: hello" {
				t.Errorf("%s: the app says %q", name, got)
			}
		}
	}
}
