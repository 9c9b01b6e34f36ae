package e2e

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

const kindsSecret = "a-secret-of-32-bytes-or-more-for-all-kinds"

// kindsGlobals are two integrations: tokens of one come in a header, those of the
// other in a cookie.
const kindsGlobals = `
{
	{{.Globals}}
	admit local {
		secret text {env.KINDS_SECRET}
		issuer local
		audience api
	}
	admit other {
		secret text {env.KINDS_SECRET}
		issuer other
		audience api
		from cookie other
	}
}
`

// kindsToken makes a token of an integration for a user of some groups.
func (c *caddy) kindsToken(issuer, user string, groups ...string) string {
	token := hs256Token(`{"iss":"`+issuer+`","aud":"api","sub":"`+user+`","groups":["`+strings.Join(groups, `","`)+`"],"exp":99999999999}`, []byte(kindsSecret))
	c.sent.add(token)
	return token
}

func startKinds(t *testing.T, u *upstream, caddyfile string, v values) *caddy {
	t.Helper()
	if v == nil {
		v = make(values)
	}
	v["env.KINDS_SECRET"] = kindsSecret
	c := startCaddy(t, u, kindsGlobals+caddyfile, v)
	c.sent.add(kindsSecret)
	return c
}

// writeFile writes a file in a folder, and makes the folders that it needs.
func writeFile(t *testing.T, dir, name, data string) {
	t.Helper()
	path := filepath.Join(dir, name)
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, []byte(data), 0o600); err != nil {
		t.Fatal(err)
	}
}

// TestFileServer has files behind the gate.
func TestFileServer(t *testing.T) {
	t.Parallel()
	const caddyfile = `
{{.Site}} {
	root {{.Files}}
	admit local {
		bypass /public/* /favicon.ico
		require /admin/* groups admins
	}
	try_files {path} {path}.html
	file_server browse
}
`
	const content = "what only members read"
	dir := t.TempDir()
	for _, name := range []string{"index.html", "members/report.txt", "members/page.html", "admin/log.txt"} {
		writeFile(t, dir, name, content)
	}
	writeFile(t, dir, "public/about.txt", "public")
	writeFile(t, dir, "favicon.ico", "public")
	c := startKinds(t, newUpstream(t), caddyfile, values{"Files": dir})
	ada, root := c.kindsToken("local", "ada", "dev"), c.kindsToken("local", "root", "admins")

	for _, path := range []string{
		"/", "/index.html", "/members", "/members/", "/members/report.txt", "/members/page", "/admin/log.txt", "/nothing", "/public/../members/report.txt",
		"/public/%2e%2e/members/report.txt", "/public/..%2fmembers/report.txt", "//members/report.txt", "/public//../members/report.txt", "/Public/about.txt",
	} {
		for _, headers := range []string{"", "Range: bytes=0-3\n", "If-None-Match: *\n", "If-Modified-Since: Fri, 31 Dec 2100 00:00:00 GMT\n"} {
			for _, method := range []string{"GET", "HEAD", "POST"} {
				a := c.raw(t, method+" "+path+" HTTP/1.1\nHost: 127.0.0.1\n"+headers+"\n")
				if a.status != 401 || a.header.Get("Etag") != "" || a.header.Get("Last-Modified") != "" || strings.Contains(a.body, "members") {
					t.Errorf("%s %s %q without a token: got %d %v %s", method, path, headers, a.status, a.header, a.body)
				}
			}
		}
	}
	for _, tc := range []struct {
		token, path, body string
		status            int
	}{
		{"", "/public/about.txt", "public", 200},
		{"", "/favicon.ico", "public", 200},
		{ada, "/", content, 200},
		{ada, "/members/report.txt", content, 200},
		{ada, "/members/page", content, 200},
		{ada, "/nothing", "", 404},
		{ada, "/admin/log.txt", "rule", 403},
		{ada, "/ADMIN/log.txt", "rule", 403},
		{ada, "//admin/log.txt", "rule", 403},
		{ada, "/members/../admin/log.txt", "rule", 403},
		{ada, "/members/%2e%2e/admin/log.txt", "rule", 403},
		{ada, "/admin%2flog.txt", "rule", 403},
		{root, "/admin/log.txt", content, 200},
	} {
		authorization := ""
		if tc.token != "" {
			authorization = "Authorization: Bearer " + tc.token + "\n"
		}
		a := c.raw(t, "GET "+tc.path+" HTTP/1.1\nHost: 127.0.0.1\n"+authorization+"\n")
		if a.status != tc.status || !strings.Contains(a.body, tc.body) || tc.status != 200 && strings.Contains(a.body, content) {
			t.Errorf("%s: got %d %q, want %d", tc.path, a.status, a.body, tc.status)
		}
	}
}

// TestRespond has Caddy itself as the application, and directives that change the
// path or answer: the gate stands before all of them.
func TestRespond(t *testing.T) {
	t.Parallel()
	const caddyfile = `
{{.Site}} {
	respond /who "{http.auth.user.id} {http.auth.user.groups} {http.auth.user.integration} {http.auth.user.claims.iss} {http.auth.user.claims.none}."
	respond /verdict "{http.auth.admit.verdict} {http.auth.admit.reason}{http.auth.candidate.id}."
	respond /strange "{http.auth.user.id}{http.auth.user.nothing}{http.auth.admit.nothing}."
	redir /old /new
	rewrite /pretty /who
	uri strip_prefix /pre
	@admins claim groups admins
	respond /claim "for admins" {
		close
	}
	handle @admins {
		respond "admins"
	}
	abort /gone
	admit local {
		bypass /public
		require /pre/admin/* groups admins
	}
	respond "path {path}"
}
`
	c := startKinds(t, newUpstream(t), caddyfile, nil)
	ada, root := c.kindsToken("local", "ada", "dev", "o,ps"), c.kindsToken("local", "root", "admins")
	for _, path := range []string{"/who", "/verdict", "/old", "/pretty", "/pre/who", "/pre/admin/x", "/claim", "/gone", "/"} {
		c.wantRefusal(t, request{path: path}, 401, "missing_credential")
	}
	c.wantRefusal(t, request{path: "/pre/admin/x", token: ada}, 403, "rule")
	for _, tc := range []struct {
		token, path string
		status      int
		body        string
	}{
		{ada, "/who", 200, "ada dev,o,ps local local ."},
		{ada, "/pretty", 200, "ada dev,o,ps local local ."},
		{ada, "/pre/who", 200, "ada dev,o,ps local local ."},
		{ada, "/verdict", 200, "allowed ."},
		{ada, "/strange", 200, "ada."},
		{ada, "/old", 302, ""},
		{ada, "/x", 200, "path /x"},
		{root, "/x", 200, "admins"},
		{root, "/pre/admin/x", 200, "admins"},
		{"", "/public", 200, "path /public"},
	} {
		if a := c.get(t, request{path: tc.path, token: tc.token}); a.status != tc.status || a.body != tc.body {
			t.Errorf("%s: got %d %q, want %d %q", tc.path, a.status, a.body, tc.status, tc.body)
		}
	}
}
