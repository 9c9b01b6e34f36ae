package admit

import (
	"net/http"

	"github.com/caddyserver/caddy/v2/modules/caddyhttp"
)

// handlesError reports whether an error route of this site would answer the
// error. Error routes belong to the server, that is to all sites on a port, so
// they are walked with the request: returning the error to a server whose routes
// are another site's would end in an empty answer.
func handlesError(r *http.Request, err error) bool {
	server, ok := r.Context().Value(caddyhttp.ServerCtxKey).(*caddyhttp.Server)
	if !ok || server.Errors == nil || len(server.Errors.Routes) == 0 {
		return false
	}
	return anyRuns(server.Errors.Routes, server.Errors.WithError(r, err))
}

// anyRuns reports whether one of the routes has a handler for the request.
func anyRuns(routes caddyhttp.RouteList, r *http.Request) bool {
	for _, route := range routes {
		if ok, err := route.MatcherSets.AnyMatchWithError(r); err != nil || !ok {
			continue
		}
		for _, handler := range route.Handlers {
			sub, ok := handler.(*caddyhttp.Subroute)
			if !ok || anyRuns(sub.Routes, r) {
				return true
			}
		}
		if route.Terminal {
			return false
		}
	}
	return false
}
