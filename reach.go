package admit

import (
	"net/http"
	"net/url"
	"slices"
	"strings"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/modules/caddyhttp"
	"github.com/caddyserver/caddy/v2/modules/caddyhttp/rewrite"
)

// maxReached bounds for how many hosts it is remembered what is reachable.
const maxReached = 256

// reachable reports whether a request for the path on the same host would come
// to a gate that serves it. It walks the routes of the server as Caddy would.
func (g *guard) reachable(r *http.Request, path string, serves func(*guard) bool) bool {
	key := strings.ToLower(r.Host) + " " + path
	if known, ok := g.reached.Load(key); ok {
		return known.(bool)
	}
	server, ok := r.Context().Value(caddyhttp.ServerCtxKey).(*caddyhttp.Server)
	if !ok {
		return false
	}
	probe := r.Clone(r.Context())
	probe.Method, probe.URL = http.MethodGet, &url.URL{Path: path}
	probe.RequestURI = path
	found, _ := walk(server.Routes, probe, serves)
	if g.reachedCount.Add(1) <= maxReached {
		g.reached.Store(key, found)
	}
	return found
}

// answering are handlers that answer, so that nothing behind them is reached.
var answering = []string{
	"abort", "acme_server", "authentication", "error", "file_server", "metrics", "reverse_proxy", "static_response",
}

// walk follows a request through routes. found says that it comes to a gate that
// serves it, ended that something else answers first.
func walk(routes caddyhttp.RouteList, r *http.Request, serves func(*guard) bool) (found, ended bool) {
	var groups []string // those of which a route has matched
	for _, route := range routes {
		if slices.Contains(groups, route.Group) {
			continue
		}
		if ok, err := route.MatcherSets.AnyMatchWithError(r); err != nil || !ok {
			continue
		}
		if route.Group != "" {
			groups = append(groups, route.Group)
		}
		for _, handler := range route.Handlers {
			if found, ended = walkHandler(handler, r, serves); found || ended {
				return found, ended
			}
		}
		if route.Terminal {
			return false, true
		}
	}
	return false, false
}

func walkHandler(handler caddyhttp.MiddlewareHandler, r *http.Request, serves func(*guard) bool) (found, ended bool) {
	switch h := handler.(type) {
	case *Handler:
		return serves(h.guard), false
	case *caddyhttp.Subroute:
		return walk(h.Routes, r, serves)
	case *rewrite.Rewrite:
		if repl, ok := r.Context().Value(caddy.ReplacerCtxKey).(*caddy.Replacer); ok {
			h.Rewrite(r, repl)
		}
		return false, false
	}
	module, ok := handler.(caddy.Module)
	return false, ok && slices.Contains(answering, module.CaddyModule().ID.Name())
}
