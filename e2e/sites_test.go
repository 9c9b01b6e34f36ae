package e2e

import (
	"fmt"
	"net/http"
	"strings"
	"sync"
	"testing"
)

const sitesSecret = "a-secret-of-32-bytes-or-more-for-twenty-sites"

// siteGate is what all sites have in common.
const siteGate = `	admit local {
		require /admin/* groups admins
		%s
	}
	reverse_proxy {{.Upstream}}
`

// kindOfSite is how a site answers errors.
type kindOfSite struct {
	name   string
	option string      // of the gate
	routes string      // error routes, with %[1]s for the host
	own    map[int]int // statuses that have an answer of the site's own, and its status
}

// ownAll are error routes that answer everything.
var ownAll = map[int]int{400: 400, 401: 401, 403: 403}

var kindsOfSites = []kindOfSite{
	{name: "all errors", routes: "handle_errors {\n\t\trespond \"own page of %[1]s: {err.status_code} {http.auth.admit.reason}\"\n\t}", own: ownAll},
	{name: "some errors", routes: "handle_errors 403 404 {\n\t\trespond \"own page of %[1]s: {err.status_code} {http.auth.admit.reason}\"\n\t}", own: map[int]int{403: 403}},
	{name: "a class of errors", routes: "handle_errors 5xx {\n\t\trespond \"own page of %[1]s\"\n\t}"},
	{name: "another status", routes: "handle_errors {\n\t\trespond \"own page of %[1]s: {err.status_code} {http.auth.admit.reason}\" 451\n\t}", own: map[int]int{400: 451, 401: 451, 403: 451}},
	{
		name: "a matcher", routes: `handle_errors {
		@forbidden expression {err.status_code} == 403
		respond @forbidden "own page of %[1]s: {err.status_code} {http.auth.admit.reason}"
	}`, own: map[int]int{403: 403},
	},
	{
		name: "handle in it", routes: `handle_errors {
		@denied expression {err.status_code} in [401, 403]
		handle @denied {
			respond "own page of %[1]s: {err.status_code} {http.auth.admit.reason}"
		}
	}`, own: map[int]int{401: 401, 403: 403},
	},
	{name: "a path that is not asked for", routes: "handle_errors {\n\t\trespond /elsewhere \"own page of %[1]s\"\n\t}"},
	{name: "a file", routes: "handle_errors {\n\t\trewrite * /error.html\n\t\troot {{.Dir}}\n\t\ttemplates\n\t\tfile_server\n\t}", own: ownAll},
	{name: "direct", option: "errors direct", routes: "handle_errors {\n\t\trespond \"own page of %[1]s\"\n\t}"},
	{name: "by hand", option: "errors handle_errors", routes: "handle_errors {\n\t\trespond \"own page of %[1]s: {err.status_code} {http.auth.admit.reason}\"\n\t}", own: ownAll},
}

// TestTwentySites has ten sites with error routes and ten without on one port:
// Caddy puts the routes of all in one list, and each site must answer for itself.
func TestTwentySites(t *testing.T) {
	t.Parallel()
	var caddyfile strings.Builder
	caddyfile.WriteString("{\n\t{{.Globals}}\n\tadmit local {\n\t\tsecret text {env.SITES_SECRET}\n\t\tissuer local\n\t\taudience api\n\t}\n}\n")
	sites := make(map[string]kindOfSite)
	for i := range 20 {
		host := fmt.Sprintf("s%d.localhost", i+1)
		kind := kindOfSite{name: "none"}
		if i%2 == 0 {
			kind = kindsOfSites[i/2]
		}
		sites[host] = kind
		routes := strings.ReplaceAll(kind.routes, "%[1]s", host)
		fmt.Fprintf(&caddyfile, "http://%s:{{.Port}} {\n"+siteGate+"\t%s\n}\n", host, kind.option, routes)
	}
	u := newUpstream(t)
	c := startSites(t, u, caddyfile.String())
	var wait sync.WaitGroup
	for host, kind := range sites {
		wait.Go(func() { c.trySite(t, host, kind) })
	}
	wait.Wait()
	if n := len(u.take()); n != 2*len(sites) {
		t.Errorf("%d requests reached the upstream, want two of each site", n)
	}
}

func startSites(t *testing.T, u *upstream, caddyfile string) *caddy {
	t.Helper()
	dir := t.TempDir()
	writeFile(t, dir, "error.html", `own page of {{.Req.Host}}: {{placeholder "http.error.status_code"}} {{placeholder "http.auth.admit.reason"}}`)
	c := startCaddy(t, u, caddyfile, values{"env.SITES_SECRET": sitesSecret, "Dir": dir})
	c.sent.add(sitesSecret)
	return c
}

// trySite asks a site for everything that it must refuse, as a program and as a
// browser, and for what it must not.
func (c *caddy) trySite(t *testing.T, host string, kind kindOfSite) {
	t.Helper()
	ada := hs256Token(`{"iss":"local","aud":"api","sub":"ada","exp":99999999999}`, []byte(sitesSecret))
	page := http.Header{"Accept": {"text/html"}, "Sec-Fetch-Mode": {"navigate"}}
	for _, refusal := range []struct {
		request request
		status  int
		reason  string
	}{
		{request{}, 401, "missing_credential"},
		{request{path: "/x/y?a=b"}, 401, "missing_credential"},
		{request{token: "no.jwt.atall"}, 401, "malformed_token"},
		{request{token: "a b"}, 400, "malformed_credential"},
		{request{token: ada, path: "/admin/x"}, 403, "rule"},
	} {
		for _, method := range []string{"GET", "POST", "HEAD"} {
			for look, header := range map[string]http.Header{"JSON": nil, "page": page} {
				r := refusal.request
				r.host, r.method, r.header = host, method, header
				if err := c.isSiteRefusal(r, kind, look, refusal.status, refusal.reason); err != nil {
					t.Errorf("%s (%s): %s %s as %s: %v", host, kind.name, method, r.path, look, err)
				}
			}
		}
	}
	for _, method := range []string{"GET", "POST"} {
		if a, err := c.send(request{method: method, host: host, token: ada}); err != nil || a.status != 200 || a.body != "upstream" {
			t.Errorf("%s (%s): a good token: got %d %q, %v", host, kind.name, a.status, a.body, err)
		}
	}
}

func (c *caddy) isSiteRefusal(r request, kind kindOfSite, look string, status int, reason string) error {
	a, err := c.send(r)
	if err != nil {
		return err
	}
	wantStatus, own := status, false
	if of, ok := kind.own[status]; ok {
		wantStatus, own = of, true
	}
	switch kinds := a.header["Content-Type"]; {
	case a.status != wantStatus:
		return fmt.Errorf("got %d, want %d", a.status, wantStatus)
	case a.header.Get("Cache-Control") != "no-store":
		return fmt.Errorf("Cache-Control %q", a.header["Cache-Control"])
	case (a.header.Get("WWW-Authenticate") != "") != (status != 403):
		return fmt.Errorf("WWW-Authenticate %q", a.header.Values("WWW-Authenticate"))
	case r.method == http.MethodHead:
		if a.body != "" {
			return fmt.Errorf("HEAD has the body %q", a.body)
		}
	case own:
		if want := fmt.Sprintf("own page of %s: %d %s", r.host, status, reason); strings.TrimSpace(a.body) != want {
			return fmt.Errorf("got %q, want %q", a.body, want)
		}
	case look == "JSON":
		if len(kinds) != 1 || kinds[0] != "application/problem+json" {
			return fmt.Errorf("got %q", kinds)
		}
		return a.isRefusal(status, reason)
	case len(kinds) != 1 || kinds[0] != "text/html; charset=utf-8" || !strings.Contains(a.body, "<h1>") || !strings.Contains(a.body, reason):
		return fmt.Errorf("got %q: %s", kinds, a.body)
	}
	return nil
}

// TestSitesInParts has error routes that a site has from elsewhere, and sites
// beside it that have none.
func TestSitesInParts(t *testing.T) {
	t.Parallel()
	const caddyfile = `
{
	{{.Globals}}
	admit local {
		secret text {env.SITES_SECRET}
		issuer local
		audience api
	}
}
(errors) {
	handle_errors {
		respond "own page of {host}: {err.status_code} {http.auth.admit.reason}"
	}
}
(gate) {
	admit local {
		require /admin/* groups admins
	}
	reverse_proxy {{.Upstream}}
}
http://snippet.localhost:{{.Port}} {
	import gate
	import errors
}
http://one.localhost:{{.Port}}, http://two.localhost:{{.Port}} {
	import gate
	import errors
}
http://bare.localhost:{{.Port}} {
	import gate
}
http://*.wild.localhost:{{.Port}} {
	import gate
	import errors
}
http://*.open.localhost:{{.Port}} {
	import gate
}
http://inside.localhost:{{.Port}} {
	handle {
		import gate
	}
	handle_errors 403 {
		respond "own page of {host}: {err.status_code} {http.auth.admit.reason}"
	}
	handle_errors 401 400 {
		respond "own page of {host}: {err.status_code} {http.auth.admit.reason}"
	}
}
`
	c := startSites(t, newUpstream(t), caddyfile)
	own, none := kindOfSite{name: "own", own: ownAll}, kindOfSite{name: "none"}
	for host, kind := range map[string]kindOfSite{
		"snippet.localhost": own, "one.localhost": own, "two.localhost": own, "bare.localhost": none,
		"a.wild.localhost": own, "a.open.localhost": none, "inside.localhost": own, "SNIPPET.localhost": own,
	} {
		c.trySite(t, host, kind)
	}
}
