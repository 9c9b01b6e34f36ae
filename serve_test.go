package admit

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/caddyconfig"
	_ "github.com/caddyserver/caddy/v2/modules/standard"
)

// site is a running Caddy with one Caddyfile.
type site struct {
	t    *testing.T
	addr string
}

// serve runs Caddy in this process with the named integrations and the body of
// one site. There is one Caddy at a time, so tests that use it are not parallel.
func serve(t *testing.T, integrations, body string) *site {
	t.Helper()
	s := &site{t: t}
	s.load(integrations, body)
	t.Cleanup(func() {
		if err := s.stop(); err != nil {
			t.Errorf("stopping Caddy: %v", err)
		}
	})
	return s
}

// stop ends Caddy. It may be called more than once.
func (s *site) stop() error { return caddy.Stop() }

// load replaces the configuration, as caddy reload does. It takes another address
// each time, so that no request meets the server that is on its way out.
func (s *site) load(integrations, body string) {
	s.t.Helper()
	s.addr = freeAddr(s.t)
	config := caddyfileText(s.addr, integrations, body)
	if err := loadText(config); err != nil {
		s.t.Fatalf("loading:\n%s\n%v", config, err)
	}
}

func caddyfileText(addr, integrations, body string) string {
	return fmt.Sprintf("{\n\tadmin off\n\tauto_https off\n\tpersist_config off\n\tlog default {\n\t\tlevel ERROR\n\t}\n%s\n}\nhttp://%s {\n%s\n}\n",
		integrations, addr, body)
}

func loadText(config string) error {
	adapted, _, err := caddyconfig.GetAdapter("caddyfile").Adapt([]byte(config), nil)
	if err != nil {
		return err
	}
	return caddy.Load(adapted, true)
}

// loadError returns the error of loading a configuration that must be refused.
func loadError(t *testing.T, integrations, body string) string {
	t.Helper()
	err := loadText(caddyfileText(freeAddr(t), integrations, body))
	if err == nil {
		_ = caddy.Stop()
		t.Fatalf("loaded:\n%s\n%s", integrations, body)
	}
	return err.Error()
}

func freeAddr(t *testing.T) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	return l.Addr().String()
}

// answered is what a client sees.
type answered struct {
	*http.Response
	body string
}

// get asks for a path with headers given as "Name: value" lines, which are sent
// as they are written.
func (s *site) get(path string, headers ...string) answered {
	s.t.Helper()
	return s.send("GET", path, headers...)
}

// send writes a request by hand, so that no client library tidies it up.
func (s *site) send(method, target string, headers ...string) answered {
	s.t.Helper()
	lines := append([]string{method + " " + target + " HTTP/1.1", "Host: " + s.addr}, headers...)
	if !strings.Contains(strings.ToLower(strings.Join(headers, "\n")), "connection:") {
		lines = append(lines, "Connection: close")
	}
	return s.raw(strings.Join(lines, "\r\n") + "\r\n\r\n")
}

// raw sends a whole request as it is written.
func (s *site) raw(text string) answered {
	s.t.Helper()
	conn, err := net.DialTimeout("tcp", s.addr, 5*time.Second)
	if err != nil {
		s.t.Fatal(err)
	}
	defer conn.Close()
	_ = conn.SetDeadline(time.Now().Add(10 * time.Second))
	if _, err := io.WriteString(conn, text); err != nil {
		s.t.Fatal(err)
	}
	method, _, _ := strings.Cut(text, " ")
	return readAnswer(s.t, conn, method)
}

func readAnswer(t *testing.T, conn io.Reader, method string) answered {
	t.Helper()
	resp, err := http.ReadResponse(bufio.NewReader(conn), &http.Request{Method: method})
	if err != nil {
		t.Fatalf("%s: %v", method, err)
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	return answered{resp, string(body)}
}
