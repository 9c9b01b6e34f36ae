package e2e

import (
	"bufio"
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httputil"
	"net/url"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"
)

// apiAudience is the audience of the tokens that the gates here take.
const apiAudience = "https://api.test"

// Where oidc-provider publishes its documents.
const (
	providerDiscovery = "/.well-known/openid-configuration"
	providerKeys      = "/jwks"
)

// provider is npm oidc-provider in a process of its own, behind a front.
type provider struct {
	*front
	issuer  string
	told    secrets
	node    string // where Node itself listens
	process *os.Process
	stdin   io.Closer
	ended   chan struct{}
	stderr  journal
}

// startProvider starts oidc-provider whose issuer is at address, "" for a free one.
func startProvider(t *testing.T, address string) *provider {
	t.Helper()
	needNode(t)
	f := newFront(t, address)
	return runProvider(t, f, f.URL)
}

// runProvider starts oidc-provider behind a front. The issuer is the front's own
// address, or that of what stands before it.
func runProvider(t *testing.T, f *front, issuer string) *provider {
	t.Helper()
	p := &provider{front: f, issuer: issuer, ended: make(chan struct{})}
	options, _ := json.Marshal(map[string]string{"issuer": issuer})
	cmd := exec.Command("node", "provider/provider.mjs", string(options))
	cmd.Stderr = &p.stderr
	stdin, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	stdout, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	p.process, p.stdin = cmd.Process, stdin
	first := make(chan string, 1)
	go func() {
		lines := bufio.NewReader(stdout)
		line, _ := lines.ReadString('\n')
		first <- line
		_, _ = io.Copy(io.Discard, lines)
		_ = cmd.Wait()
		close(p.ended)
	}()
	t.Cleanup(func() { p.end(t) })
	var started struct{ Port int }
	select {
	case line := <-first:
		if err := json.Unmarshal([]byte(line), &started); err != nil {
			t.Fatalf("oidc-provider said %q: %v\n%s", line, err, p.stderr.tail(20))
		}
	case <-time.After(30 * time.Second):
		t.Fatalf("oidc-provider did not start within 30s\n%s", p.stderr.tail(20))
	}
	p.node = "http://127.0.0.1:" + strconv.Itoa(started.Port)
	target, _ := url.Parse(p.node)
	p.setIssuer(watch(&httputil.ReverseProxy{Rewrite: func(r *httputil.ProxyRequest) {
		r.SetURL(target)
		r.Out.Host = r.In.Host // its URLs are those of the front
		if scheme := r.In.Header["X-Forwarded-Proto"]; scheme != nil {
			r.Out.Header["X-Forwarded-Proto"] = scheme
		}
	}}, &p.told))
	return p
}

// end stops the process and the address; a second call does nothing.
func (p *provider) end(t *testing.T) {
	t.Helper()
	p.stop()
	_ = p.stdin.Close()
	select {
	case <-p.ended:
	case <-time.After(10 * time.Second):
		_ = p.process.Kill()
		t.Errorf("oidc-provider, pid %d, did not end within 10s", p.process.Pid)
	}
	if t.Failed() {
		t.Logf("the end of oidc-provider's log:\n%s", p.stderr.tail(20))
	}
}

// grant says which token is wanted; empty members have defaults.
type grant struct {
	group    string        // admins (default) or readers: the client and its group
	audience string        // default apiAudience
	alg      string        // default RS256
	ttl      time.Duration // default 1h
	scope    string        // default read
	opaque   bool          // not a JWT
}

// token gets an access token by the client_credentials grant.
func (p *provider) token(t *testing.T, g grant) string {
	t.Helper()
	if g.ttl == 0 {
		g.ttl = time.Hour
	}
	resource := url.Values{"alg": {or(g.alg, "RS256")}, "ttl": {strconv.Itoa(int(g.ttl.Seconds()))}}
	if g.opaque {
		resource.Set("format", "opaque")
	}
	id := or(g.group, "admins") + "-cli"
	return clientCredentials(t, p.node+"/token", id, id+"-secret-of-the-tests", url.Values{
		"scope":    {or(g.scope, "read")},
		"resource": {or(g.audience, apiAudience) + "/?" + resource.Encode()},
	})
}

// rotate makes new signing keys; the old ones stay in the JWKS if keep is set.
func (p *provider) rotate(t *testing.T, keep bool) {
	t.Helper()
	p.control(t, "rotate", map[string]bool{"keep": keep}, nil)
}

// control tells the provider something (see provider.mjs) and reads its answer.
func (p *provider) control(t *testing.T, what string, body, into any) {
	t.Helper()
	text, err := json.Marshal(body)
	if err != nil {
		t.Fatal(err)
	}
	resp, err := http.Post(p.node+"/__control/"+what, "application/json", bytes.NewReader(text))
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		t.Fatalf("%s: %s", what, resp.Status)
	}
	if into == nil {
		return
	}
	if err := json.NewDecoder(resp.Body).Decode(into); err != nil {
		t.Fatalf("%s: %v", what, err)
	}
}

// clientCredentials gets an access token (RFC 6749 section 4.4).
func clientCredentials(t *testing.T, endpoint, id, secret string, form url.Values) string {
	t.Helper()
	form.Set("grant_type", "client_credentials")
	req, err := http.NewRequest(http.MethodPost, endpoint, strings.NewReader(form.Encode()))
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	req.SetBasicAuth(id, secret)
	var tokens struct {
		AccessToken string `json:"access_token"`
	}
	exchange(t, req, &tokens)
	return tokens.AccessToken
}

// exchange sends a request to a token endpoint and reads its answer.
func exchange(t *testing.T, req *http.Request, into any) {
	t.Helper()
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	if err == nil {
		err = json.Unmarshal(body, into)
	}
	if err != nil || resp.StatusCode != http.StatusOK {
		t.Fatalf("token endpoint: %s: %v: %s", resp.Status, err, body)
	}
}

func or(value, otherwise string) string {
	if value == "" {
		return otherwise
	}
	return value
}

// needNode skips the test without Node 20 or later, and fails it if CI is true.
func needNode(t *testing.T) {
	t.Helper()
	err := nodeReady()
	switch {
	case err == nil:
	case os.Getenv("CI") == "true":
		t.Fatal(err)
	default:
		t.Skip(err)
	}
}

// nodeReady looks at Node once, and installs oidc-provider if it is not there.
var nodeReady = sync.OnceValue(func() error {
	out, err := exec.Command("node", "--version").Output()
	if err != nil {
		return fmt.Errorf("oidc-provider needs Node 20 or later: %w", err)
	}
	version := strings.TrimSpace(string(out))
	major, _, _ := strings.Cut(strings.TrimPrefix(version, "v"), ".")
	if n, err := strconv.Atoi(major); err != nil || n < 20 {
		return fmt.Errorf("oidc-provider needs Node 20 or later, this is %s", version)
	}
	if _, err := os.Stat("provider/node_modules/oidc-provider"); err == nil {
		return nil
	}
	install := exec.Command("npm", "ci", "--no-audit", "--no-fund")
	install.Dir = "provider"
	if out, err := install.CombinedOutput(); err != nil {
		return fmt.Errorf("npm ci: %w: %s", err, out)
	}
	return nil
})
