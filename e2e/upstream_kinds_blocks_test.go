package e2e

import (
	"net/http"
	"slices"
	"strings"
	"testing"
)

// who is what an upstream learned of the caller, by header.
func who(r received, names ...string) string {
	var all []string
	for _, name := range names {
		all = append(all, strings.Join(named(r.Header, name), "|"))
	}
	return strings.Join(all, " ")
}

// TestBlocks has gates in handle, handle_path and route.
func TestBlocks(t *testing.T) {
	t.Parallel()
	const caddyfile = `
{{.Site}} {
	handle /api/* {
		admit local {
			require groups dev admins
			header_up X-User {http.auth.user.id}
		}
		reverse_proxy {{.Upstream}}
	}
	handle_path /strip/* {
		admit local {
			bypass /strip/public/*
			require /strip/admin/* groups admins
			header_up X-User {http.auth.user.id}
		}
		reverse_proxy {{.Upstream}}
	}
	route /route/* {
		respond /route/first "before the gate"
		uri strip_prefix /route
		admit local {
			require /route/admin/* groups admins
			header_up X-User {http.auth.user.id}
		}
		respond /second "{http.auth.user.id}"
		reverse_proxy {{.Upstream}}
	}
	handle /nested/* {
		handle /nested/deep/* {
			route {
				admit local {
					header_up X-User {http.auth.user.id}
				}
				reverse_proxy {{.Upstream}}
			}
		}
		respond "outside"
	}
	handle /open {
		respond "open"
	}
}
`
	u := newUpstream(t)
	c := startKinds(t, u, caddyfile, nil)
	ada, root, guest := c.kindsToken("local", "ada", "dev"), c.kindsToken("local", "root", "admins"), c.kindsToken("local", "guest", "x")
	for _, tc := range []struct {
		token, path string
		status      int
		want        string // body, reason, or what the upstream got: path and user
	}{
		{"", "/api/x", 401, "missing_credential"},
		{ada, "/api/x", 200, "/api/x ada"},
		{guest, "/api/x", 403, "rule"},
		{"", "/strip/x", 401, "missing_credential"},
		{"", "/strip/admin/x", 401, "missing_credential"},
		{"", "/strip/public/x", 200, "/public/x "},
		{ada, "/strip/public/x", 200, "/public/x "},
		{ada, "/strip/x", 200, "/x ada"},
		{ada, "/strip/admin", 403, "rule"},
		{ada, "/strip/admin/x", 403, "rule"},
		{ada, "/strip/public/../admin/x", 403, "rule"},
		{root, "/strip/admin/x", 200, "/admin/x root"},
		{"", "/route/first", 200, "before the gate"},
		{"", "/route/second", 401, "missing_credential"},
		{ada, "/route/second", 200, "ada"},
		{ada, "/route/x", 200, "/x ada"},
		{ada, "/route/admin/x", 403, "rule"},
		{root, "/route/admin/x", 200, "/admin/x root"},
		{"", "/nested/deep/x", 401, "missing_credential"},
		{ada, "/nested/deep/x", 200, "/nested/deep/x ada"},
		{"", "/nested/x", 200, "outside"},
		{"", "/open", 200, "open"},
	} {
		authorization := ""
		if tc.token != "" {
			authorization = "Authorization: Bearer " + tc.token + "\n"
		}
		a := c.raw(t, "GET "+tc.path+" HTTP/1.1\nHost: 127.0.0.1\nX-User: mallory\n"+authorization+"\n")
		got := or(a.problem.Reason, a.body)
		if seen := u.take(); len(seen) == 1 {
			got = seen[0].URI + " " + who(seen[0], "X-User")
		}
		if a.status != tc.status || got != tc.want {
			t.Errorf("%s: got %d %q, want %d %q", tc.path, a.status, got, tc.status, tc.want)
		}
	}
}

// TestSeveralGates has gates that overlap: all of them must let a request in, and
// each keeps the headers of the one before.
func TestSeveralGates(t *testing.T) {
	t.Parallel()
	const caddyfile = `
{{.Site}} {
	admit local {
		bypass /public/*
		header_up X-User {http.auth.user.id}
	}
	admit /admin/* local {
		require groups admins
		header_up X-Admin {http.auth.user.id}
	}
	admit /both/* other {
		require groups staff
		header_up X-Other {http.auth.user.id}
	}
	admit /public/other/* other {
		header_up X-User {http.auth.user.id}
	}
	respond /both/who "{http.auth.user.id} {http.auth.user.integration}"
	reverse_proxy {{.Upstream}}
}
`
	u := newUpstream(t)
	c := startKinds(t, u, caddyfile, nil)
	ada, root := c.kindsToken("local", "ada", "dev"), c.kindsToken("local", "root", "admins")
	bob, eve := "other="+c.kindsToken("other", "bob", "staff"), "other="+c.kindsToken("other", "eve", "x")
	for _, tc := range []struct {
		token, cookie, path string
		status              int
		want                string
	}{
		{"", "", "/x", 401, "missing_credential"},
		{ada, "", "/x", 200, "ada  "},
		{ada, bob, "/x", 200, "ada  "},
		{"", bob, "/x", 401, "missing_credential"},
		{ada, "", "/admin/x", 403, "rule"},
		{root, "", "/admin/x", 200, "root root "},
		{root, "", "/both/x", 401, "missing_credential"},
		{"", bob, "/both/x", 401, "missing_credential"},
		{ada, eve, "/both/x", 403, "rule"},
		{ada, bob, "/both/x", 200, "ada  bob"},
		{ada, bob, "/both/who", 200, "bob other"},
		{ada, "other=" + ada, "/both/x", 401, "unknown_issuer"},
		{"", "", "/public/x", 200, "  "},
		{"", "", "/public/other/x", 401, "missing_credential"},
		{"", bob, "/public/other/x", 200, "bob  "},
	} {
		a := c.get(t, request{
			path: tc.path, token: tc.token, cookie: tc.cookie,
			header: http.Header{"X-User": {"mallory"}, "X-Admin": {"mallory"}, "X-Other": {"mallory", "trudy"}},
		})
		got := or(a.problem.Reason, a.body)
		if seen := u.take(); len(seen) == 1 {
			got = who(seen[0], "X-User", "X-Admin", "X-Other")
		}
		if a.status != tc.status || got != tc.want {
			t.Errorf("%s: got %d %q, want %d %q", tc.path, a.status, got, tc.status, tc.want)
		}
	}
}

// TestSnippets has gates that several sites and blocks import.
func TestSnippets(t *testing.T) {
	t.Parallel()
	const caddyfile = `
(guard) {
	admit {args[0]} {
		require groups {args[1]}
		header_up X-User {http.auth.user.id}
	}
}
(own) {
	admit {
		secret text {env.KINDS_SECRET}
		issuer {args[0]}
		audience api
		header_up X-User {http.auth.user.integration}/{http.auth.user.id}
	}
	reverse_proxy {{.Upstream}}
}
http://a.localhost:{{.Port}} {
	import guard local dev
	reverse_proxy {{.Upstream}}
}
http://b.localhost:{{.Port}} {
	import guard local admins
	reverse_proxy {{.Upstream}}
}
http://own.localhost:{{.Port}} {
	handle /one/* {
		import own one
	}
	handle /two/* {
		import own two
	}
}
http://again.localhost:{{.Port}} {
	import own one
}
`
	u := newUpstream(t)
	c := startKinds(t, u, caddyfile, nil)
	ada, one, two := c.kindsToken("local", "ada", "dev"), c.kindsToken("one", "uno"), c.kindsToken("two", "due")
	var inline []string
	for _, tc := range []struct {
		token, host, path string
		status            int
		want              string
	}{
		{ada, "a.localhost", "/x", 200, "ada"},
		{ada, "b.localhost", "/x", 403, "rule"},
		{"", "b.localhost", "/x", 401, "missing_credential"},
		{one, "own.localhost", "/one/x", 200, "/uno"},
		{two, "own.localhost", "/one/x", 401, "unknown_issuer"},
		{two, "own.localhost", "/two/x", 200, "/due"},
		{one, "own.localhost", "/two/x", 401, "unknown_issuer"},
		{one, "again.localhost", "/x", 200, "/uno"},
		{ada, "again.localhost", "/x", 401, "unknown_issuer"},
	} {
		a := c.get(t, request{host: tc.host, path: tc.path, token: tc.token})
		got := a.problem.Reason
		if seen := u.take(); len(seen) == 1 {
			got = who(seen[0], "X-User")
		}
		if name, _, found := strings.Cut(got, "/"); found {
			inline = append(inline, name)
			got = strings.TrimPrefix(got, name)
		}
		if a.status != tc.status || got != tc.want {
			t.Errorf("%s%s: got %d %q, want %d %q", tc.host, tc.path, a.status, got, tc.status, tc.want)
		}
	}
	slices.Sort(inline)
	if len(slices.Compact(inline)) != 3 {
		t.Errorf("three integrations of gates have the names %q", inline)
	}
}
