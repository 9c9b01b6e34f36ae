package admit

import (
	"encoding/json"
	"strings"
	"testing"
)

// DESIGN 2: a refusal is written directly, unless an error route of this site
// would handle that status. Error routes belong to the server, so sites with and
// without them stand on one port.
func TestErrorRoutes(t *testing.T) {
	site := func(host, gate, rest string) string {
		return "http://" + host + ":PORT {\nadmit {\nrequire /admin/* groups admin\n" + gate + "\n}\nrespond ok\n" + rest + "\n}\n"
	}
	const all = "handle_errors {\nrespond \"route {err.status_code} {err.message}\"\n}\n"
	f := serveFront(t, secretIntegration, site("none.example", "", "")+
		site("all.example", "", all)+
		site("some.example", "", "handle_errors 404 403 {\nrespond \"route {err.status_code}\"\n}\n")+
		site("5xx.example", "", "handle_errors 5xx {\nrespond \"route {err.status_code}\"\n}\n")+
		site("two.example", "", "handle_errors 401 {\nrespond \"first\"\n}\nhandle_errors {\nrespond \"second\"\n}\n")+
		site("path.example", "", "handle_errors {\nhandle /admin/* {\nrespond \"route {path}\"\n}\n}\n")+
		site("reason.example", "", "handle_errors {\n@rule expression `{http.auth.admit.reason} == \"rule\"`\nrespond @rule \"rule of {http.auth.candidate.id}\"\n}\n")+
		site("empty.example", "", "handle_errors {\nhandle /admin/* {\n}\nhandle {\nrespond other\n}\n}\n")+
		site("direct.example", "errors direct", all)+
		site("left.example", "errors handle_errors", "")+
		"http://prefix.example:PORT {\nhandle_path /app/* {\nadmit\nrespond ok\n}\nhandle_errors {\n@app path /app/*\nrespond @app \"route {path}\"\n}\n}\n"+
		"http://rewritten.example:PORT {\nroute {\nrewrite * /other\nadmit\nrespond ok\n}\nhandle_errors {\n@other path /other\nrespond @other \"route\"\n}\n}\n"+
		"http://*.wild.example:PORT {\nadmit\nrespond ok\n}\n"+
		"http://one.wild.example:PORT {\nadmit\nrespond ok\n"+all+"}\n")
	for _, tc := range []struct {
		name, host, target string
		headers            []string
		status             int
		body               string // of the error route, "" for the gate's own
	}{
		{"no route", "none.example", "/", nil, 401, ""},
		{"no route, 403", "none.example", "/admin/x", []string{bearer(t, nil)}, 403, ""},
		{"a route for all", "all.example", "/", nil, 401, "route 401 admit: missing_credential"},
		{"a route for all, 400", "all.example", "/", []string{"Authorization: Bearer"}, 400, "route 400 admit: malformed_credential"},
		{"a route for all, 403", "all.example", "/admin/x", []string{bearer(t, nil)}, 403, "route 403 admit: rule"},
		{"another status", "some.example", "/", nil, 401, ""},
		{"this status", "some.example", "/admin/x", []string{bearer(t, nil)}, 403, "route 403"},
		{"another range", "5xx.example", "/", nil, 401, ""},
		{"the first of two", "two.example", "/", nil, 401, "first"},
		{"the second of two", "two.example", "/admin/x", []string{bearer(t, nil)}, 403, "second"},
		{"another path", "path.example", "/", nil, 401, ""},
		{"this path", "path.example", "/admin/x", []string{bearer(t, nil)}, 403, "route /admin/x"},
		{"by reason, another", "reason.example", "/", nil, 401, ""},
		{"by reason", "reason.example", "/admin/x", []string{bearer(t, nil)}, 403, "rule of ada"},
		{"a block that does nothing", "empty.example", "/admin/x", []string{bearer(t, nil)}, 403, ""},
		{"beside a block that does nothing", "empty.example", "/x", nil, 401, "other"},
		{"errors direct", "direct.example", "/", nil, 401, ""},
		{"errors handle_errors", "left.example", "/", nil, 401, "-"},
		{"prefix taken off before the gate", "prefix.example", "/app/x", nil, 401, "route /app/x"},
		{"rewritten before the gate", "rewritten.example", "/x", nil, 401, ""},
		{"beside a site with a route", "two.wild.example", "/", nil, 401, ""},
		{"beside a site without", "one.wild.example", "/", nil, 401, "route 401 admit: missing_credential"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			a := f.ask("GET", tc.host, tc.target, tc.headers...)
			own := a.Header.Get("Content-Type") == "application/problem+json"
			if a.StatusCode != tc.status || own != (tc.body == "") || !own && a.body != strings.TrimPrefix(tc.body, "-") {
				t.Errorf("got %d %q", a.StatusCode, a.body)
			}
			if a.Header.Get("Cache-Control") != "no-store" || (a.Header.Get("WWW-Authenticate") == "") != (tc.status == 403) {
				t.Errorf("header %v", a.Header)
			}
			// What was let in is unharmed.
			if a := f.ask("GET", tc.host, "/app/ok", bearer(t, nil)); a.StatusCode != 200 {
				t.Errorf("let in: %d", a.StatusCode)
			}
		})
	}
}

// The walk for an error route leaves the request as it was.
func TestErrorRoutesLeaveTheRequest(t *testing.T) {
	f := serveOne(t, secretIntegration, `
		route {
			rewrite * /rewritten?x=y
			admit {
				report_only
				require groups none
			}
			respond "{uri}"
		}
		handle_errors {
			@never path /never
			respond @never no
		}`)
	if a := f.get("/asked?a=b", bearer(t, nil)); a.body != "/rewritten?x=y" {
		t.Errorf("got %q", a.body)
	}
}

// threat 94: nothing of a credential is in what error routes can show.
func TestErrorRoutesSeeNoSecret(t *testing.T) {
	f := serveOne(t, "admit local {\nsecret "+testSecret+"\nfrom header Authorization Bearer\nfrom query token\nfrom cookie sid\n}", `
		admit {
			require groups staff
		}
		respond ok
		handle_errors {
			respond "{err.message} {err.status_text} {http.error} {http.error.trace} {http.auth.admit.reason} {http.auth.admit.rule} {http.vars.admit}"
		}`)
	for _, tok := range []string{"secret-text", sign(t, "another secret, another secret, 32", good(nil)), sign(t, testSecret, good(object{"exp": 1}))} {
		for _, ask := range []func() answered{
			func() answered { return f.get("/", "Authorization: Bearer "+tok) },
			func() answered { return f.get("/?token=" + tok) },
			func() answered { return f.get("/", "Cookie: sid="+tok) },
			func() answered { return f.get("/?token="+tok, "Authorization: Bearer "+tok) },
		} {
			a := ask()
			for _, part := range append(strings.Split(tok, "."), testSecret) {
				if strings.Contains(a.body, part) {
					t.Errorf("%d %q holds %q", a.StatusCode, a.body, part)
				}
			}
			if !strings.Contains(a.body, "admit: ") {
				t.Errorf("%d %q", a.StatusCode, a.body)
			}
		}
	}
}

// threat 40: an error route that is a service of its own sees no credential,
// whatever the application would.
func TestErrorRoutesSeeNoCredential(t *testing.T) {
	headers := []string{"Authorization: Bearer x", "Cookie: sid=x; other=1"}
	for _, option := range []string{"", "forward client", "forward none", "forward token X-Token"} {
		f := serveOne(t, everywhere, "admit {\n"+option+"\nheader_up X-User {http.auth.user.id}\n}\nrespond ok\nhandle_errors {\n"+upstream(t)+"\n}")
		a := f.get("/", append(headers, "X-User: root", "X-Token: forged", "Trailer: X-User")...)
		var got seen
		if err := json.Unmarshal([]byte(a.body), &got); err != nil { // the status is that of the service
			t.Fatalf("%d %q: %v", a.StatusCode, a.body, err)
		}
		forged := option == "forward token X-Token" && got.Header.Get("X-Token") != ""
		if got.Header.Get("Authorization") != "" || got.Header.Get("Cookie") != "other=1" || got.Header.Get("X-User") != "" || forged {
			t.Errorf("%q: seen %v", option, got.Header)
		}
	}
}

// DESIGN 2: what a matcher leaves undecided is a 500 that nobody keeps.
func TestUndecidedIsNotStored(t *testing.T) {
	f := serveOne(t, secretIntegration, "@v expression `int({http.request.header.N}) > 1`\nadmit @v\nrespond ok")
	a := f.get("/", "N: x")
	if a.StatusCode != 500 || a.Header.Get("Cache-Control") != "no-store" || a.body == "ok" {
		t.Errorf("%d %v %q", a.StatusCode, a.Header, a.body)
	}
}
