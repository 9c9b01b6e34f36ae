package e2e

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"text/template"
	"time"
)

// globals are the global options of every Caddyfile here, as {{.Globals}}.
const globals = `admin {{.Admin}}
	default_bind 127.0.0.1
	auto_https {{or .AutoHTTPS "off"}}
	persist_config off
	storage file_system {{or .Storage .Dir}}
	log {
		output stderr
		format json
		level DEBUG
	}`

// values fill in the text/template that a Caddyfile is. The harness adds
// {{.Globals}}, {{.Site}} (http://127.0.0.1:<port>), {{.Port}} and {{.Upstream}}.
// A value under "env.NAME" goes into Caddy's environment instead. Storage is where
// Caddy keeps things, by default {{.Dir}}; AutoHTTPS is its option of that name.
type values map[string]string

// caddy is a running Caddy with the plugin.
type caddy struct {
	URL string // of the site

	admin   string
	values  values
	cmd     *exec.Cmd
	stdin   io.Closer
	ended   chan struct{}
	logs    journal
	client  *http.Client
	sent    secrets
	answers journal

	count, resent atomic.Int64 // requests, and those of them that were sent twice
}

// startCaddy runs Caddy with a Caddyfile and waits until it serves. The test's
// end stops it, prints its log if the test failed, and looks for sent tokens in
// everything Caddy said.
func startCaddy(t *testing.T, u *upstream, caddyfile string, v values) *caddy {
	t.Helper()
	for range 3 {
		c := prepareCaddy(t, u, v)
		if err := c.start(t, caddyfile); err == nil {
			return c
		} else if !strings.Contains(c.logs.String(), "address already in use") {
			t.Fatalf("%v\n%s", err, c.logs.tail(50))
		}
	}
	t.Fatal("three times a free port was taken before Caddy got it")
	return nil
}

// refusedConfig runs Caddy with a Caddyfile that it must refuse, and returns what
// it said.
func refusedConfig(t *testing.T, caddyfile string, v values) string {
	t.Helper()
	c := prepareCaddy(t, newUpstream(t), v)
	if err := c.start(t, caddyfile); err == nil {
		t.Fatal("Caddy started with a configuration that it must refuse")
	}
	return c.logs.String()
}

func prepareCaddy(t *testing.T, u *upstream, v values) *caddy {
	t.Helper()
	port := freePort(t)
	c := &caddy{URL: "http://127.0.0.1:" + port, admin: "127.0.0.1:" + freePort(t), ended: make(chan struct{})}
	c.values = values{
		"Site": c.URL, "Port": port, "Upstream": u.URL, "Admin": c.admin, "Dir": t.TempDir(),
	}
	maps.Copy(c.values, v)
	c.client = &http.Client{
		Timeout:       30 * time.Second,
		Transport:     &http.Transport{MaxIdleConnsPerHost: 32},
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}
	return c
}

// start returns an error if Caddy ends before it serves.
func (c *caddy) start(t *testing.T, caddyfile string) error {
	t.Helper()
	file := filepath.Join(c.values["Dir"], "Caddyfile")
	if err := os.WriteFile(file, c.render(t, caddyfile), 0o600); err != nil {
		t.Fatal(err)
	}
	var err error
	c.cmd, c.stdin, err = guarded(caddyBinary, "run", "--adapter", "caddyfile", "--config", file,
		"--pidfile", c.pidfile())
	if err != nil {
		t.Fatal(err)
	}
	c.cmd.Env = append(c.cmd.Env, "HOME="+c.values["Dir"], "XDG_DATA_HOME=", "XDG_CONFIG_HOME=")
	for name, value := range c.values {
		if name, ok := strings.CutPrefix(name, "env."); ok {
			c.cmd.Env = append(c.cmd.Env, name+"="+value)
		}
	}
	c.cmd.Stdout, c.cmd.Stderr = &c.logs, &c.logs
	if err := c.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	go func() {
		_ = c.cmd.Wait()
		close(c.ended)
	}()
	t.Cleanup(func() { c.finish(t) })
	eventually(t, 30*time.Second, "Caddy serves or ends", func() bool {
		select {
		case <-c.ended:
			return true
		default:
			return strings.Contains(c.logs.String(), "serving initial configuration")
		}
	})
	select {
	case <-c.ended:
		return fmt.Errorf("caddy ended: %v", c.cmd.ProcessState)
	default:
		return nil
	}
}

// finish stops Caddy and looks through what it said.
func (c *caddy) finish(t *testing.T) {
	c.stop(t)
	if t.Failed() {
		t.Logf("the end of Caddy's log:\n%s", c.logs.tail(60))
	}
	for where, said := range map[string]string{"logs": c.logs.String(), "answers": c.answers.String()} {
		for _, found := range c.sent.foundIn(said) {
			t.Errorf("Caddy's %s hold a token, a part of one, or a secret: %q", where, found)
		}
	}
	if n, resent := c.count.Load(), c.resent.Load(); resent > 10+n/20 {
		t.Errorf("%d of %d requests were sent twice, since the connection ended", resent, n)
	}
	for _, bad := range []string{"panic", "DATA RACE"} {
		if strings.Contains(c.logs.String(), bad) {
			t.Errorf("Caddy's log says %q:\n%s", bad, c.logs.tail(60))
		}
	}
}

// stop ends Caddy; a second call does nothing.
func (c *caddy) stop(t *testing.T) {
	t.Helper()
	c.client.CloseIdleConnections()
	_ = c.stdin.Close()
	select {
	case <-c.ended:
	case <-time.After(15 * time.Second):
		_ = c.cmd.Process.Kill()
		t.Errorf("Caddy's guard, pid %d, did not end within 15s", c.cmd.Process.Pid)
	}
}

// kill ends Caddy as a power cut does: it closes nothing and gives nothing back.
func (c *caddy) kill(t *testing.T) {
	t.Helper()
	text, err := os.ReadFile(c.pidfile())
	if err != nil {
		t.Fatal(err)
	}
	pid, err := strconv.Atoi(strings.TrimSpace(string(text)))
	if err != nil {
		t.Fatal(err)
	}
	process, err := os.FindProcess(pid)
	if err == nil {
		err = process.Kill()
	}
	if err != nil {
		t.Fatal(err)
	}
	<-c.ended
}

func (c *caddy) pidfile() string { return filepath.Join(c.values["Dir"], "caddy.pid") }

// reload replaces the configuration of the running Caddy.
func (c *caddy) reload(t *testing.T, caddyfile string, v values) {
	t.Helper()
	maps.Copy(c.values, v)
	body := bytes.NewReader(c.render(t, caddyfile))
	req, err := http.NewRequest(http.MethodPost, "http://"+c.admin+"/load", body)
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Content-Type", "text/caddyfile")
	req.Close = true // the admin endpoint is replaced by each load, its connections die
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	if said, _ := io.ReadAll(resp.Body); resp.StatusCode != http.StatusOK {
		t.Fatalf("reload: %s: %s", resp.Status, said)
	}
}

// render fills in the template.
func (c *caddy) render(t *testing.T, caddyfile string) []byte {
	t.Helper()
	var out bytes.Buffer
	head := template.Must(template.New("globals").Parse(globals))
	if err := head.Execute(&out, c.values); err != nil {
		t.Fatal(err)
	}
	c.values["Globals"] = out.String()
	out.Reset()
	text, err := template.New("caddyfile").Funcs(template.FuncMap{"words": strings.Fields}).Option("missingkey=error").Parse(caddyfile)
	if err == nil {
		err = text.Execute(&out, c.values)
	}
	if err != nil {
		t.Fatal(err)
	}
	return out.Bytes()
}

// freePort returns a port of loopback that was free a moment ago.
func freePort(t *testing.T) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	_, port, _ := net.SplitHostPort(l.Addr().String())
	return port
}

// journal collects text from several goroutines.
type journal struct {
	mu   sync.Mutex
	text bytes.Buffer
}

func (j *journal) Write(p []byte) (int, error) {
	j.mu.Lock()
	defer j.mu.Unlock()
	return j.text.Write(p)
}

func (j *journal) String() string {
	j.mu.Lock()
	defer j.mu.Unlock()
	return j.text.String()
}

func (j *journal) tail(n int) string {
	lines := strings.Split(strings.TrimSpace(j.String()), "\n")
	return strings.Join(lines[max(0, len(lines)-n):], "\n")
}

// entries returns the JSON log lines whose logger name starts with prefix.
func (j *journal) entries(prefix string) []map[string]any {
	var found []map[string]any
	for line := range strings.Lines(j.String()) {
		var entry map[string]any
		if json.Unmarshal([]byte(line), &entry) != nil {
			continue
		}
		if logger, _ := entry["logger"].(string); strings.HasPrefix(logger, prefix) {
			found = append(found, entry)
		}
	}
	return found
}
