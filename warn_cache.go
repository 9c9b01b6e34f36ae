package admit

import (
	"slices"
	"strings"

	"github.com/caddyserver/caddy/v2/modules/caddyhttp"
	"github.com/caddyserver/caddy/v2/modules/caddyhttp/headers"
	"go.uber.org/zap"
)

// warnCaching says at start where a header handler before a gate has the last word on
// Cache-Control: it takes the "no-store" out of answers with somebody's cookie, and a
// cache between hands the cookie to others (threats 49, 54).
func warnCaching(app *caddyhttp.App, log *zap.Logger) {
	for _, site := range webSites(app) {
		if _, overruled := cachingOverruled(site.server, site.routes, false, nil); overruled {
			log.Warn("a header block before a gate sets Cache-Control after the gate, and so on answers with somebody's session, which a cache may hand to others: set Cache-Control in a line of its own, without \">\", \"match\" and deletions beside it",
				zap.String("site", site.String()))
		}
	}
}

// cachingOverruled follows the routes of a site, where late says that a handler before
// them has the last word on Cache-Control. It returns whether there is one after them,
// and whether a gate with sessions stands behind one. called are the named routes on
// the way there.
func cachingOverruled(server *caddyhttp.Server, routes caddyhttp.RouteList, late bool, called []string) (after, overruled bool) {
	for _, route := range routes {
		here := late
		for _, handler := range route.Handlers {
			var found bool
			switch h := handler.(type) {
			case *Handler:
				found = here && h.guard.hasSessions()
			case *headers.Handler:
				here = here || cachesLate(h)
			case *caddyhttp.Subroute:
				here, found = cachingOverruled(server, h.Routes, here, called)
			case *caddyhttp.Invoke:
				if named := server.NamedRoutes[h.Name]; named != nil && !slices.Contains(called, h.Name) {
					here, found = cachingOverruled(server, caddyhttp.RouteList{*named}, here, append(called[:len(called):len(called)], h.Name))
				}
			}
			if found {
				return here, true
			}
		}
		if route.Group == "" { // of a group a request takes one
			late = here
		}
	}
	return late, false
}

// cachesLate reports whether a handler sets or deletes Cache-Control once all handlers
// after it have said what they have to say.
func cachesLate(h *headers.Handler) bool {
	r := h.Response
	if r == nil || r.HeaderOps == nil || !r.Deferred && r.Require == nil {
		return false
	}
	if r.Require != nil {
		if values, named := r.Require.Headers["Cache-Control"]; named && values == nil {
			return false // for answers without one
		}
	}
	is := func(name string) bool { return strings.EqualFold(name, "Cache-Control") || name == "*" }
	for name := range r.Set {
		if is(name) {
			return true
		}
	}
	for name := range r.Replace {
		if is(name) {
			return true
		}
	}
	return slices.ContainsFunc(r.Delete, is)
}
