package admit

import (
	"net/http"
	"net/url"
	"testing"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/caddyconfig"
	"github.com/caddyserver/caddy/v2/modules/caddyhttp"
)

// threat 33: what is plain is judged as Caddy's matcher judges it.
func FuzzPlainPath(f *testing.F) {
	for _, pattern := range []string{"/", "/*", "/x", "/x/*", "/x*", "/X/Y*", "/x/", "/.x/*", "/x.*", "/x y", "/é*", "/x/*/y", "/%41", "/{x}", "//x", "/x**", "*", "/K", "/i*", "/x./*", "/x/y*"} {
		for _, path := range []string{"/", "/x", "/x/", "/x/y", "/xy", "/X/y", "/y/x", "/x.y", "/x%20y", "/é", "/É/x", "/\u212a", "/İ", "/x/y/", "/x. /y"} {
			f.Add(pattern, path)
		}
	}
	f.Fuzz(func(t *testing.T, pattern, path string) {
		set := caddy.ModuleMap{"path": caddyconfig.JSON([]string{pattern}, nil)}
		u := &url.URL{Path: path}
		plain := plainPaths([]caddy.ModuleMap{set})
		if plain == nil || !canonical(u) {
			return
		}
		m := caddyhttp.MatchPath{pattern}
		if err := m.Provision(caddy.Context{}); err != nil {
			t.Fatal(err)
		}
		r := caddyhttp.PrepareRequest(&http.Request{Method: "GET", URL: u, Header: http.Header{}}, caddy.NewReplacer(), nil, &caddyhttp.Server{})
		want, err := m.MatchWithError(r)
		if err != nil {
			t.Fatal(err)
		}
		req := newRequest(r, u, stateOf(r), survey(r.Header, nil))
		if got := (&scope{plain: plain}).coversPlain(req.plainPath()); got != want {
			t.Errorf("pattern %q, path %q: got %v, want %v", pattern, path, got, want)
		}
	})
}
