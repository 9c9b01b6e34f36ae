package admit

import (
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"strings"
	"testing"
)

// delegatedExamples holds the examples of applications that leave it to the gate to
// know people and machines, and what is sent to each.
var delegatedExamples = map[string]func(*testing.T){
	"delegated-console": visitDelegatedConsole,
	"mcp-server":        visitMCPServer,
}

// mcpServer is an application that answers every call of JSON-RPC, and says who it
// was told about.
func mcpServer(t *testing.T) (address string) {
	t.Helper()
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		var call struct{ ID json.RawMessage }
		if r.Header.Get("Authorization") != "" || json.NewDecoder(r.Body).Decode(&call) != nil {
			w.WriteHeader(http.StatusBadRequest)
			return
		}
		w.Header().Set("Content-Type", "application/json")
		fmt.Fprintf(w, `{"jsonrpc":"2.0","id":%s,"result":{},"user":%q}`+"\n", call.ID, r.Header.Get("X-User"))
	}))
	t.Cleanup(server.Close)
	return server.Listener.Addr().String()
}

// mcpRealm has one client, a program.
func mcpRealm(t *testing.T) *fakeRealm {
	return newRealm(t, map[string]realmClient{"agent": {secret: "agent-demo", claims: object{"scope": "mcp:tools"}}})
}

func runMCPServer(t *testing.T) (addr string) {
	t.Helper()
	return runBefore(t, adaptFile(t, "examples/mcp-server/Caddyfile"), mcpServer(t))
}

func visitMCPServer(t *testing.T) {
	corp := mcpRealm(t)
	addr := runMCPServer(t)
	const host = "mcp.example.com"
	token := func(scope string, more object) []string {
		return []string{corp.bearer(t, object{"aud": "https://mcp.example.com/mcp", "scope": scope}, more)}
	}
	f := &front{t: t, addr: addr}
	for _, tc := range []struct {
		name, path string
		headers    []string
		status     int
		reason     string
	}{
		{"a tool", "/mcp", token("mcp:tools", nil), 200, ""},
		{"without the scope", "/mcp", token("openid", nil), 403, "rule"},
		{"an administrator's", "/mcp/admin/reset", token("mcp:tools mcp:admin", nil), 200, ""},
		{"not an administrator's", "/mcp/admin/reset", token("mcp:tools", nil), 403, "rule"},
		{"for another server", "/mcp", token("mcp:tools", object{"aud": "https://mcp.example.com"}), 401, "wrong_audience"},
		{"no token", "/mcp", nil, 401, "missing_credential"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			a := f.askWith(`{"jsonrpc":"2.0","id":1,"method":"ping"}`, host, tc.path, append(tc.headers, "X-User: root")...)
			if a.StatusCode == 200 && !strings.Contains(a.body, `"user":"ada"`) {
				t.Errorf("got %s", a.body)
			}
			a.want(t, tc.status, tc.reason)
		})
	}
	t.Run("a client that knows the URL", func(t *testing.T) {
		c := &mcpClient{t: t, gate: addr, id: "agent", secret: "agent-demo"}
		for range 2 {
			if got := c.call("https://mcp.example.com/mcp"); !strings.Contains(got, `"user":"service-agent"`) || corp.count("/token") != 1 {
				t.Errorf("got %s, %d tokens", got, corp.count("/token"))
			}
		}
	})
}

// askWith posts JSON to a host of the example, behind a proxy that says https.
func (f *front) askWith(body, host, path string, headers ...string) answered {
	f.t.Helper()
	r, err := http.NewRequestWithContext(f.t.Context(), http.MethodPost, "http://"+f.addr+path, strings.NewReader(body))
	if err != nil {
		f.t.Fatal(err)
	}
	r.Host = host
	r.Header.Set("Content-Type", "application/json")
	r.Header.Set("X-Forwarded-Proto", "https")
	for _, line := range headers {
		name, value, _ := strings.Cut(line, ": ")
		r.Header.Set(name, value)
	}
	resp, err := http.DefaultClient.Do(r)
	if err != nil {
		f.t.Fatal(err)
	}
	return readBody(f.t, resp)
}

func readBody(t *testing.T, resp *http.Response) answered {
	t.Helper()
	defer resp.Body.Close()
	text, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	return answered{resp, string(text)}
}

// hosts makes a shell's curl go to this machine for names of the documents, with
// http in place of https, as if a proxy had taken TLS away.
func hosts(t *testing.T, where map[string]string) (prelude string) {
	t.Helper()
	var to strings.Builder
	for host, addr := range where {
		_, port, err := net.SplitHostPort(addr)
		if err != nil {
			t.Fatal(err)
		}
		fmt.Fprintf(&to, " --connect-to %s:80:127.0.0.1:%s", host, port)
	}
	return `curl() {
	n=$#
	while [ $n -gt 0 ]; do
		case $1 in
		https://*) set -- "$@" "http://${1#https://}" ;;
		*) set -- "$@" "$1" ;;
		esac
		shift
		n=$((n - 1))
	done
	command curl --noproxy '*' -H 'X-Forwarded-Proto: https'` + to.String() + ` "$@"
}
`
}

// TestMCPDocument shows the example as it is, and does what the page says.
func TestMCPDocument(t *testing.T) {
	needTools(t, "sh", "curl", "jq")
	doc := readDoc(t, "docs/mcp.md")
	example, err := os.ReadFile("examples/mcp-server/Caddyfile")
	if err != nil {
		t.Fatal(err)
	}
	if !strings.HasSuffix(string(example), doc.first("caddyfile").text) {
		t.Error("the page shows another site than the example")
	}
	corp := mcpRealm(t)
	runDocument(t, doc, corp, map[string]string{"mcp.example.com": runMCPServer(t)})
}

// runDocument does what a page says. The names of its hosts lead to where they are;
// the realm is login.example.com.
func runDocument(t *testing.T, doc document, r *fakeRealm, where map[string]string) {
	t.Helper()
	where["login.example.com"] = strings.TrimPrefix(r.url, "http://")
	prelude := hosts(t, where)
	runCommands(t, doc,
		func(command string) string { return prelude + command },
		func(said string) string { return strings.ReplaceAll(said, r.url, "https://login.example.com") })
}
