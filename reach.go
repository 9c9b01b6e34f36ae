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

const (
	// maxReached bounds for how many hosts it is remembered what is reachable, and what
	// challenges look like.
	maxReached = 256
	// maxHost is the length of the longest host for which that is remembered: no name
	// is longer (RFC 1035 section 2.3.4), and clients write what they like.
	maxHost = 255
)

// reachable reports whether a request for the path on the same host would come
// to a gate that serves it. It walks the routes of the server as Caddy would.
func (g *guard) reachable(r *http.Request, path string, serves func(*guard) bool) bool {
	find := func() bool { return comesTo(r, path, serves) }
	if len(r.Host) > maxHost {
		return find()
	}
	return g.reached.get(hostPath{strings.ToLower(r.Host), path}, find)
}

// hostPath is a path of a host.
type hostPath struct{ host, path string }

// own returns a copy that holds on to no request.
func (h hostPath) own() hostPath { return hostPath{strings.Clone(h.host), strings.Clone(h.path)} }

// comesTo reports whether a GET for the path on the host of r comes to a gate that
// serves it.
func comesTo(r *http.Request, path string, serves func(*guard) bool) bool {
	server, ok := r.Context().Value(caddyhttp.ServerCtxKey).(*caddyhttp.Server)
	if !ok {
		return false
	}
	probe := r.Clone(r.Context())
	probe.Method, probe.URL, probe.RequestURI = http.MethodGet, &url.URL{Path: path}, path
	probe.Header = http.Header{} // no client decides what others are told
	// With variables and placeholders of its own, the walk changes nothing.
	probe = caddyhttp.PrepareRequest(probe, caddy.NewReplacer(), noAnswer{}, server)
	found, _ := walk(server, server.Routes, probe, serves)
	return found
}

// noAnswer is where the answers of a walk go.
type noAnswer struct{}

func (noAnswer) Header() http.Header         { return http.Header{} }
func (noAnswer) Write(b []byte) (int, error) { return len(b), nil }
func (noAnswer) WriteHeader(int)             {}

// answering are handlers that answer, so that nothing behind them is reached.
var answering = []string{
	"abort", "acme_server", "authentication", "error", "file_server", "metrics", "reverse_proxy", "static_response",
}

// walk follows a request through routes. found says that it comes to a gate that
// serves it, ended that something else answers first.
func walk(server *caddyhttp.Server, routes caddyhttp.RouteList, r *http.Request, serves func(*guard) bool) (found, ended bool) {
	return follow(routes, r, func(handler caddyhttp.MiddlewareHandler) (found, ended bool) {
		return walkHandler(server, handler, r, serves)
	})
}

// follow asks about each handler that a request comes to, as Caddy would run them,
// until one is what is looked for or nothing comes after it.
func follow(routes caddyhttp.RouteList, r *http.Request, ask func(caddyhttp.MiddlewareHandler) (found, ended bool)) (found, ended bool) {
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
			if found, ended = ask(handler); found || ended {
				return found, ended
			}
		}
		if route.Terminal {
			return false, true
		}
	}
	return false, false
}

func walkHandler(server *caddyhttp.Server, handler caddyhttp.MiddlewareHandler, r *http.Request, serves func(*guard) bool) (found, ended bool) {
	switch h := handler.(type) {
	case *Handler:
		return serves(h.guard), false
	case *caddyhttp.Subroute:
		return walk(server, h.Routes, r, serves)
	case *caddyhttp.Invoke:
		if named := server.NamedRoutes[h.Name]; named != nil {
			return walk(server, caddyhttp.RouteList{*named}, r, serves)
		}
		return false, true
	case *rewrite.Rewrite:
		if repl, ok := r.Context().Value(caddy.ReplacerCtxKey).(*caddy.Replacer); ok {
			h.Rewrite(r, repl)
		}
		return false, false
	}
	return false, answers(handler)
}

// answers reports whether a handler is one that answers.
func answers(handler caddyhttp.MiddlewareHandler) bool {
	module, ok := handler.(caddy.Module)
	return ok && slices.Contains(answering, module.CaddyModule().ID.Name())
}
