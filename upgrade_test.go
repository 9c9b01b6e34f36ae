package admit

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"strings"
	"testing"
	"time"
)

// tunnel is an application that changes the protocol whenever it is asked to, and
// then answers each line that comes through.
func tunnel(t *testing.T) (directive string) {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = l.Close() })
	go func() {
		for {
			conn, err := l.Accept()
			if err != nil {
				return
			}
			go serveTunnel(conn)
		}
	}()
	return "reverse_proxy " + l.Addr().String()
}

func serveTunnel(conn net.Conn) {
	defer conn.Close()
	_ = conn.SetDeadline(time.Now().Add(10 * time.Second))
	lines := bufio.NewScanner(conn)
	upgrade := ""
	for lines.Scan() && lines.Text() != "" {
		if name, value, _ := strings.Cut(lines.Text(), ":"); strings.EqualFold(name, "Upgrade") {
			upgrade = strings.TrimSpace(value)
		}
	}
	if upgrade == "" {
		_, _ = io.WriteString(conn, "HTTP/1.1 200 OK\r\nContent-Length: 5\r\nConnection: close\r\n\r\nplain")
		return
	}
	_, _ = fmt.Fprintf(conn, "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: %s\r\n\r\n", upgrade)
	for lines.Scan() {
		_, _ = io.WriteString(conn, "unseen: "+lines.Text()+"\n")
	}
}

// threat 33: no request opens a tunnel in which HTTP requests follow that no gate
// sees; sockets of other protocols work.
func TestNoTunnelAroundTheGate(t *testing.T) {
	s := serve(t, secretIntegration, `
		admit {
			bypass /public/*
			origins https://app.example
		}
		`+tunnel(t))
	preflight := "\r\nOrigin: https://app.example\r\nAccess-Control-Request-Method: GET"
	for _, tc := range []struct {
		name, line, headers string
		status              int
	}{
		{"websocket", "GET /", bearer(t, nil) + "\r\nConnection: Upgrade\r\nUpgrade: websocket", 101},
		{"another protocol", "POST /", bearer(t, nil) + "\r\nConnection: Upgrade\r\nUpgrade: tcp", 101},
		{"websocket where nothing is checked", "GET /public/x", "Connection: Upgrade\r\nUpgrade: websocket", 101},
		{"websocket without a token", "GET /", "Connection: Upgrade\r\nUpgrade: websocket", 401},
		{"HTTP/2", "GET /", bearer(t, nil) + "\r\nConnection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\nHTTP2-Settings: AAMAAABkAAQAAP__", 200},
		{"HTTP/2 in capitals", "GET /", bearer(t, nil) + "\r\nConnection: upgrade\r\nUpgrade: H2C", 200},
		{"HTTP/2 in a list", "GET /", bearer(t, nil) + "\r\nConnection: upgrade\r\nUpgrade: websocket, h2c", 101},
		{"HTTP/2 in two lines", "GET /", bearer(t, nil) + "\r\nConnection: upgrade\r\nUpgrade: h2c\r\nUpgrade: h2c", 200},
		{"HTTP/2 by its name", "GET /", bearer(t, nil) + "\r\nConnection: upgrade\r\nUpgrade: HTTP/2.0", 200},
		{"TLS", "OPTIONS /", bearer(t, nil) + "\r\nConnection: upgrade\r\nUpgrade: TLS/1.2", 200},
		{"HTTP/2 where nothing is checked", "GET /public/x", "Connection: Upgrade\r\nUpgrade: h2c", 200},
		// threat 102: a preflight asks for permission and nothing else.
		{"preflight", "OPTIONS /", "X-A: b" + preflight + "\r\nConnection: close", 200},
		{"preflight that is a websocket", "OPTIONS /", "Connection: Upgrade\r\nUpgrade: websocket" + preflight, 401},
		{"preflight that is HTTP/2", "OPTIONS /", "Connection: Upgrade\r\nUpgrade: h2c" + preflight, 200},
	} {
		t.Run(tc.name, func(t *testing.T) {
			conn, err := net.DialTimeout("tcp", s.addr, 5*time.Second)
			if err != nil {
				t.Fatal(err)
			}
			defer conn.Close()
			_ = conn.SetDeadline(time.Now().Add(10 * time.Second))
			_, err = io.WriteString(conn, tc.line+" HTTP/1.1\r\nHost: "+s.addr+"\r\n"+tc.headers+"\r\n\r\n")
			if err != nil {
				t.Fatal(err)
			}
			answer := bufio.NewReader(conn)
			status, err := answer.ReadString('\n')
			if err != nil || !strings.HasPrefix(status, fmt.Sprintf("HTTP/1.1 %d ", tc.status)) {
				t.Errorf("got %q, want %d: %v", status, tc.status, err)
			}
			for status != "" {
				line, err := answer.ReadString('\n')
				if err != nil {
					t.Fatal(err)
				}
				if name, value, _ := strings.Cut(strings.ToLower(line), ":"); name == "upgrade" && strings.Contains(value, "h2c") {
					t.Errorf("upgraded: %q", line)
				}
				if line == "\r\n" {
					return
				}
			}
		})
	}
}
