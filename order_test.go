package admit

import (
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/caddyserver/caddy/v2/caddyconfig"
)

// DESIGN 1.2, "Order".
//
// The gate stands before whatever changes the path or answers, wherever its line
// is written, and judges the path that the client asked for.
func TestOrder(t *testing.T) {
	dir := t.TempDir()
	for _, name := range []string{"index.html", "private.html"} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(name), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	s := serve(t, secretIntegration, "admit\nrespond ok")
	for _, tc := range []struct {
		name, site      string
		target          string
		refused, letIn  int
		open, openLabel string // a path that is not protected, and its answer
	}{
		{"respond", "respond ok\nadmit", "/x", 401, 200, "", ""},
		{"redir", "redir https://elsewhere.example{uri}\nadmit", "/x", 401, 302, "", ""},
		{"uri strip_prefix", "uri strip_prefix /api\nrespond ok\nadmit /api/*", "/api/x", 401, 200, "/x", "ok"},
		{"uri replace", "uri replace /api /x\nrespond ok\nadmit /api/*", "/api/x", 401, 200, "/x", "ok"},
		{"rewrite", "rewrite /api/* /other\nrespond ok\nadmit /api/*", "/api/x", 401, 200, "/other", "ok"},
		{"rewrite to what is public", "rewrite * /public/x\nrespond ok\nadmit {\nbypass /public/*\n}", "/x", 401, 200, "/public/x", "ok"},
		{"method", "method GET\nrespond ok\n@post method POST\nadmit @post\nadmit /x", "/x", 401, 200, "/y", "ok"},
		{"try_files", "root * " + dir + "\ntry_files {path} /index.html\nfile_server\nadmit {\nbypass /index.html\n}", "/app/page", 401, 200, "/index.html", "index.html"},
		{"error", "error 418\nadmit", "/x", 401, 418, "", ""},
		{"handle", "handle /x/* {\nrespond ok\nadmit\n}\nrespond open", "/x/y", 401, 200, "/y", "open"},
		{"handle, gate outside", "handle /x/* {\nrespond ok\n}\nadmit\nrespond open", "/y", 401, 200, "", ""},
		{"handle_path", "handle_path /x/* {\nrespond {path}\nadmit\n}\nrespond open", "/x/y", 401, 200, "/y", "open"},
		{"route", "route {\nadmit /x/*\nrespond ok\n}", "/x/y", 401, 200, "/y", "ok"},
		{"route, gate last", "route {\nrespond /y open\nadmit\nrespond ok\n}", "/x", 401, 200, "/y", "open"},
		{"handle_errors", "handle_errors {\nrespond error\n}\nadmit\nrespond ok", "/x", 401, 200, "", ""},
		{"abort", "@evil path /evil\nabort @evil\nadmit\nrespond ok", "/x", 401, 200, "", ""},
	} {
		t.Run(tc.name, func(t *testing.T) {
			s.load(secretIntegration, tc.site)
			if got := s.get(tc.target); got.StatusCode != tc.refused || got.Header.Get("Location") != "" {
				t.Errorf("without a token: %d %q", got.StatusCode, got.body)
			}
			if got := s.get(tc.target, bearer(t, nil)); got.StatusCode != tc.letIn {
				t.Errorf("with a token: %d %q", got.StatusCode, got.body)
			}
			if tc.open == "" {
				return
			}
			if got := s.get(tc.open); got.StatusCode != 200 || got.body != tc.openLabel {
				t.Errorf("%s: %d %q, want %q", tc.open, got.StatusCode, got.body, tc.openLabel)
			}
		})
	}
}

// DESIGN 1.2, "Inside handle, route, handle_path".
//
// In handle_path the gate's matchers see what the block sees, and bypass what the
// client asked for.
func TestGateInHandlePath(t *testing.T) {
	s := serve(t, secretIntegration, `
		handle_path /app/* {
			admit {
				require /admin/* groups admin
				bypass /app/status
			}
			respond {path}
		}
		respond open`)
	for _, tc := range []struct {
		target    string
		anonymous int
		known     int
	}{
		{"/app/x", 401, 200},
		{"/app/admin/x", 401, 403},
		{"/app/admin", 401, 403},
		{"/app/status", 200, 200},
		{"/app/../app/status", 401, 403},
		{"/app//admin/x", 401, 403},
		{"/app/app/status", 401, 200},
		{"/status", 200, 200},
	} {
		if got := s.get(tc.target).StatusCode; got != tc.anonymous {
			t.Errorf("%s without a token: %d, want %d", tc.target, got, tc.anonymous)
		}
		if got := s.get(tc.target, bearer(t, nil)).StatusCode; got != tc.known {
			t.Errorf("%s with a token: %d, want %d", tc.target, got, tc.known)
		}
	}
}

// DESIGN 1.2, "One route": the directive makes one without matchers.
func TestOneRoute(t *testing.T) {
	adapted, _, err := caddyconfig.GetAdapter("caddyfile").Adapt([]byte(caddyfileText("127.0.0.1:1", secretIntegration,
		"respond ok\n@a not path /x\nadmit @a {\nrequire /y groups z\n}\nadmit /z")), nil)
	if err != nil {
		t.Fatal(err)
	}
	var config struct {
		Apps struct {
			HTTP struct {
				Servers map[string]struct{ Routes []route }
			}
		}
	}
	if err := json.Unmarshal(adapted, &config); err != nil {
		t.Fatal(err)
	}
	var order []string
	for _, r := range config.Apps.HTTP.Servers["srv0"].Routes {
		for _, handler := range r.Handle {
			for _, inner := range handler.Routes {
				for _, h := range inner.Handle {
					if order = append(order, h.Handler); h.Handler == "admit" && inner.Match != nil {
						t.Errorf("a gate's route has a matcher: %s", inner.Match)
					}
				}
			}
		}
	}
	if got := strings.Join(order, " "); got != "admit admit static_response" {
		t.Errorf("handlers: %s", got)
	}
}

// route is a route in JSON, as far as the tests look into it.
type route struct {
	Match  json.RawMessage
	Handle []struct {
		Handler string
		Routes  []route
	}
}
