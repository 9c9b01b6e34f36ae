package admit

import (
	"errors"
	"net/http"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/modules/caddyhttp"
	"github.com/caddyserver/caddy/v2/modules/caddyhttp/rewrite"

	"github.com/caddy-admit/admit/claims"
)

// refusal is the error that stands for a refusal where Caddy's error routes
// answer. Its text becomes a placeholder and holds a reason code only.
func refusal(status int, reason claims.Reason) error {
	return caddyhttp.Error(status, errors.New("admit: "+string(reason)))
}

// handlesError reports whether an error route of this site would answer a
// refusal. Error routes belong to the server, that is to all sites on a port, so
// they are walked with the request: returning the error to a server whose routes
// are another site's would end in an empty answer.
func handlesError(r *http.Request, status int, reason claims.Reason) bool {
	server, ok := r.Context().Value(caddyhttp.ServerCtxKey).(*caddyhttp.Server)
	if !ok || server.Errors == nil || len(server.Errors.Routes) == 0 {
		return false
	}
	// Error routes see the URL that the client asked for.
	rewritten := *r.URL
	*r.URL = *originalURL(r)
	defer func() { *r.URL = rewritten }()
	runs, _ := anyRuns(server.Errors.Routes, server.Errors.WithError(r, refusal(status, reason)))
	return runs
}

// anyRuns follows a request through error routes. runs says that one of them has
// a handler that answers it, ended that no other route comes after.
func anyRuns(routes caddyhttp.RouteList, r *http.Request) (runs, ended bool) {
	return follow(routes, r, func(handler caddyhttp.MiddlewareHandler) (runs, ended bool) {
		return runsHandler(handler, r)
	})
}

// runsHandler is anyRuns for one handler. One that sets a header or a variable
// leaves the page empty.
func runsHandler(handler caddyhttp.MiddlewareHandler, r *http.Request) (runs, ended bool) {
	switch h := handler.(type) {
	case *caddyhttp.Subroute:
		return anyRuns(h.Routes, r)
	case *rewrite.Rewrite:
		if repl, ok := r.Context().Value(caddy.ReplacerCtxKey).(*caddy.Replacer); ok {
			h.Rewrite(r, repl)
		}
		return false, false
	}
	return answers(handler), answers(handler)
}
