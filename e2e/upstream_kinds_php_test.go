package e2e

import (
	"io"
	"maps"
	"net"
	"net/http"
	"net/http/fcgi"
	"slices"
	"strings"
	"sync"
	"testing"
)

// php answers FastCGI as PHP does, and keeps the variables that a script would find
// in $_SERVER.
type php struct {
	address string

	mu   sync.Mutex
	seen []map[string]string
}

func newPHP(t *testing.T) *php {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = listener.Close() })
	p := &php{address: listener.Addr().String()}
	go func() { _ = fcgi.Serve(listener, p) }()
	return p
}

func (p *php) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	_, _ = io.Copy(io.Discard, r.Body)
	variables := maps.Clone(fcgi.ProcessEnv(r))
	for name, v := range map[string]string{
		"REQUEST_METHOD": r.Method, "REQUEST_URI": r.URL.RequestURI(), "HTTP_HOST": r.Host,
	} {
		variables[name] = v
	}
	// PHP makes "_" of what cannot stand in a variable's name.
	names := strings.NewReplacer("-", "_", ".", "_")
	for name, v := range r.Header {
		name = "HTTP_" + strings.ToUpper(names.Replace(name))
		variables[name] = strings.Join(append(slices.Clone(v), variables[name]), "|")
		variables[name] = strings.TrimSuffix(variables[name], "|")
	}
	p.mu.Lock()
	p.seen = append(p.seen, variables)
	p.mu.Unlock()
	_, _ = io.WriteString(w, "php")
}

// only returns the variables of the one request since the last call.
func (p *php) only(t *testing.T) map[string]string {
	t.Helper()
	p.mu.Lock()
	defer p.mu.Unlock()
	seen := p.seen
	p.seen = nil
	if len(seen) != 1 {
		t.Fatalf("%d requests reached PHP, want 1", len(seen))
	}
	return seen[0]
}

const phpSite = `
{
	{{.Globals}}
	servers {
		expected_underscore_headers x_user x_groups remote_user auth_user
		expected_dot_headers x.user x.groups
	}
	admit local {
		secret text {env.KINDS_SECRET}
		issuer local
		audience api
		from header Authorization Bearer
		from query access_token
	}
}
http://gate:{{.Port}} {
	root {{.Files}}
	admit local {
		optional
		bypass /public/*
		origins http://app.test
		require /members/* user *
		require /admin/* groups admins
		header_up X-User {http.auth.user.id}
		header_up X-Groups {http.auth.user.groups}
	}
	php_fastcgi {{.PHP}}
	file_server
	handle_errors {
		rewrite * /error.php
		php_fastcgi {{.PHP}}
	}
}
http://open:{{.Port}} {
	root {{.Files}}
	php_fastcgi {{.PHP}}
}
`

func startPHP(t *testing.T) (c *caddy, p *php, authorization string) {
	t.Helper()
	dir := t.TempDir()
	for _, name := range []string{"index.php", "error.php", "public/index.php", "members/index.php", "members/page.php", "admin/index.php"} {
		writeFile(t, dir, name, "<?php secret source")
	}
	p = newPHP(t)
	c = startCaddy(t, newUpstream(t), phpSite, values{"env.KINDS_SECRET": kindsSecret, "Files": dir, "PHP": p.address})
	c.sent.add(kindsSecret)
	return c, p, "Authorization: Bearer " + c.kindsToken("local", "ada", "dev", "ops") + "\n"
}

// TestPHP checks what a PHP application learns of the caller: HTTP_X_USER and
// REMOTE_USER are the gate's or absent, whatever a client sends.
func TestPHP(t *testing.T) {
	t.Parallel()
	c, p, authorization := startPHP(t)
	const preflight = "Origin: http://app.test\nAccess-Control-Request-Method: GET\n"
	for name, attack := range map[string]string{
		"none":       "",
		"same":       "X-User: mallory\nX-Groups: admins\n",
		"underscore": "X_User: mallory\nx_groups: admins\n",
		"dot":        "X.User: mallory\nX.GROUPS: admins\n",
		"all":        "X-User: mallory\nX_User: eve\nX.User: trudy\nX-Groups: a\nX_Groups: b\nX.Groups: c\n",
		"connection": "Connection: X-User, x_groups, Authorization\n",
		"server":     "Remote-User: mallory\nREMOTE_USER: mallory\nAuth_User: mallory\n",
		"proxy":      "Proxy: X-User\nX-User:\n",
	} {
		for _, tc := range []struct {
			path, headers string
			user, groups  string
			script        string
		}{
			{"/members/page.php", authorization, "ada", "dev,ops", "/members/page.php"},
			{"/members/", authorization, "ada", "dev,ops", "/members/index.php"},
			{"/members/pretty/path?a=b", authorization, "ada", "dev,ops", "/index.php"},
			{"/", authorization, "ada", "dev,ops", "/index.php"},
			{"/", "", "", "", "/index.php"},
			{"/public/", authorization, "", "", "/public/index.php"},
			{"/public/", "", "", "", "/public/index.php"},
			{"/members/page.php", "", "", "", "/error.php"},
			{"/members/page.php/more", "", "", "", "/error.php"},
			{"/members/index.php", "", "", "", "/error.php"},
			{"/admin/", authorization, "", "", "/error.php"},
			{"/", authorization + authorization, "", "", "/error.php"},
			{"OPTIONS /members/", authorization + preflight, "", "", "/members/index.php"},
		} {
			method, path, found := strings.Cut(tc.path, " ")
			if !found {
				method, path = "GET", tc.path
			}
			what := name + " " + tc.path
			c.raw(t, method+" "+path+" HTTP/1.1\nHost: gate\n"+tc.headers+attack+"\n")
			got := p.only(t)
			for variable, want := range map[string]string{
				"HTTP_X_USER": tc.user, "HTTP_X_GROUPS": tc.groups, "REMOTE_USER": tc.user, "AUTH_USER": "", "PHP_AUTH_USER": "",
				"DOCUMENT_URI": tc.script, "REQUEST_METHOD": method, "HTTP_PROXY": "",
			} {
				if got[variable] != want {
					t.Errorf("%s: $_SERVER[%q] is %q, want %q", what, variable, got[variable], want)
				}
			}
		}
	}
}

// TestPHPOpen is the control: without a gate a client can forge the variables.
func TestPHPOpen(t *testing.T) {
	t.Parallel()
	c, p, _ := startPHP(t)
	for _, name := range []string{"X_User", "x_USER", "X.User"} {
		c.raw(t, "GET / HTTP/1.1\nHost: open\n"+name+": mallory\n\n")
		if got := p.only(t); got["HTTP_X_USER"] != "mallory" {
			t.Errorf("%s: HTTP_X_USER is %q", name, got["HTTP_X_USER"])
		}
	}
}
