package admit

import (
	"encoding/json"
	"fmt"
	"io"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/caddyserver/caddy/v2"
)

// front is a running Caddy with several sites on one port, whose whole log goes
// to a file.
type front struct {
	t    *testing.T
	addr string
	log  string
}

// serveFront runs Caddy with global options and sites. PORT in them is the port,
// on the loopback address.
func serveFront(t *testing.T, global, sites string) *front {
	t.Helper()
	f := &front{t: t, addr: freeAddr(t), log: filepath.Join(t.TempDir(), "log")}
	if err := f.load(global, sites); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := caddy.Stop(); err != nil {
			t.Errorf("stopping Caddy: %v", err)
		}
	})
	return f
}

// load replaces the configuration.
func (f *front) load(global, sites string) error {
	_, port, _ := net.SplitHostPort(f.addr)
	config := fmt.Sprintf("{\nadmin off\nauto_https off\npersist_config off\ndefault_bind 127.0.0.1\nlog default {\noutput file %s\nlevel DEBUG\nformat json\n}\n%s\n}\n%s\n", f.log, global, sites)
	if err := loadText(strings.ReplaceAll(config, "PORT", port)); err != nil {
		return fmt.Errorf("loading:\n%s\n%w", config, err)
	}
	return nil
}

// serveOne runs one site with a body, which answers to any host.
func serveOne(t *testing.T, global, body string) *front {
	t.Helper()
	return serveFront(t, global, "http://:PORT {\nlog\n"+body+"\n}")
}

// ask sends a request for a host. A header line that begins with "body:" is the
// body instead.
func (f *front) ask(method, host, target string, headers ...string) answered {
	f.t.Helper()
	conn, err := net.DialTimeout("tcp", f.addr, 5*time.Second)
	if err != nil {
		f.t.Fatal(err)
	}
	defer conn.Close()
	_ = conn.SetDeadline(time.Now().Add(10 * time.Second))
	lines, body := []string{method + " " + target + " HTTP/1.1", "Host: " + host}, ""
	for _, line := range headers {
		if text, ok := strings.CutPrefix(line, "body:"); ok {
			body = text
			line = fmt.Sprint("Content-Length: ", len(text))
		}
		lines = append(lines, line)
	}
	if !strings.Contains(strings.Join(headers, "\n"), "Connection:") {
		lines = append(lines, "Connection: close")
	}
	if _, err := io.WriteString(conn, strings.Join(lines, "\r\n")+"\r\n\r\n"+body); err != nil {
		f.t.Fatal(err)
	}
	return readAnswer(f.t, conn, method)
}

// get asks the site a.example for a path.
func (f *front) get(target string, headers ...string) answered {
	f.t.Helper()
	return f.ask("GET", "a.example", target, headers...)
}

// entries returns the log entries with this message, all for "". Caddy writes the entry about
// a request before the client has its answer.
func (f *front) entries(msg string) (found []map[string]any) {
	f.t.Helper()
	data, err := os.ReadFile(f.log)
	if err != nil {
		f.t.Fatal(err)
	}
	for line := range strings.Lines(string(data)) {
		var entry map[string]any
		if err := json.Unmarshal([]byte(line), &entry); err != nil {
			f.t.Fatalf("%q: %v", line, err)
		}
		if msg == "" || entry["msg"] == msg {
			found = append(found, entry)
		}
	}
	return found
}

// script and navigation are how browsers mark their requests.
var (
	script     = []string{"Sec-Fetch-Mode: cors", "Sec-Fetch-Dest: empty", "Accept: */*"}
	navigation = []string{"Sec-Fetch-Mode: navigate", "Sec-Fetch-Dest: document", "Accept: text/html,application/xhtml+xml,*/*;q=0.8"}
)
