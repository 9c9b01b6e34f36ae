package admit

import (
	"net/http"
	"slices"
	"strings"

	"github.com/caddyserver/caddy/v2/modules/caddyhttp"
	"go.uber.org/zap"
)

// endpoint is one of the gate's own, below the prefix.
type endpoint struct {
	methods []string
	// scripts says that scripts of the gate's origins may use it.
	scripts bool
	// offers reports whether the gate has it.
	offers func(*guard) bool
	// serve answers. It reports whether it did: a request for an integration that
	// the gate does not name is for the next one.
	serve func(*guard, http.ResponseWriter, *request) (served bool, err error)
}

// endpoints are told by exact paths. They are filled in an init, since what they
// do leads back here.
var endpoints map[string]endpoint

func init() {
	endpoints = map[string]endpoint{
		"/login":              {[]string{"GET", "HEAD", "POST"}, false, (*guard).canLogIn, (*guard).serveLogin},
		"/callback":           {[]string{"GET", "HEAD", "POST"}, false, (*guard).logsInElsewhere, (*guard).serveCallback},
		"/backchannel-logout": {[]string{"POST"}, false, (*guard).hearsOfLogouts, (*guard).serveBackchannelLogout},
		"/logout":             {[]string{"GET", "HEAD", "POST"}, false, (*guard).hasSessions, (*guard).serveLogout},
		"/logged-out":         {[]string{"GET", "HEAD"}, false, (*guard).hasSessions, (*guard).serveLoggedOut},
		"/userinfo":           {[]string{"GET", "HEAD"}, true, (*guard).hasSessions, (*guard).serveUserinfo},
		"/token":              {[]string{"POST"}, true, (*guard).makesTokens, (*guard).serveToken},
		"/revoke":             {[]string{"POST"}, true, (*guard).makesTokens, (*guard).serveRevoke},
		"/jwks":               {[]string{"GET", "HEAD"}, false, (*guard).hasKeys, (*guard).serveJWKS},
	}
}

// serveEndpoint answers a request for one of the gate's own endpoints, told by
// the path that the client asked for. It reports whether it did.
func (g *guard) serveEndpoint(w http.ResponseWriter, r *request) (served bool, err error) {
	if path, ok := strings.CutPrefix(r.original.Path, g.prefix); ok && r.canonical {
		if e, ok := endpoints[path]; ok && e.offers(g) {
			return g.serveOwn(w, r, e)
		}
	}
	if r.canonical && g.ownCallback(r.original.Path) {
		return g.serveOwn(w, r, endpoints["/callback"])
	}
	path, ok := strings.CutPrefix(r.original.Path, resourcePath)
	if !ok || len(g.resource.servers) == 0 || path != "" && path[0] != '/' || !r.canonical || !g.protects(r.Request, path) {
		return false, nil
	}
	if escaped, plain := strings.CutPrefix(r.original.EscapedPath(), resourcePath); plain {
		path = escaped // as the client spells it (RFC 9728 section 3.3)
	}
	g.logEndpoint(r, g.serveResource(w, r.Request, path))
	return true, nil
}

func (g *guard) serveOwn(w http.ResponseWriter, r *request, e endpoint) (served bool, err error) {
	cache := w.Header()["Cache-Control"]
	w.Header().Set("Cache-Control", "no-store")
	if e.scripts && g.origins.preflight(r.Request) {
		g.origins.expose(w.Header(), r.Request)
		w.Header().Set("Access-Control-Allow-Methods", strings.Join(e.methods, ", "))
		w.Header().Set("Access-Control-Allow-Headers", "Authorization, Content-Type, "+apiKeyHeader)
		w.WriteHeader(http.StatusNoContent)
		g.logEndpoint(r, http.StatusNoContent)
		return true, nil
	}
	if !slices.Contains(e.methods, r.Method) {
		w.Header().Set("Allow", strings.Join(e.methods, ", "))
		w.WriteHeader(http.StatusMethodNotAllowed)
		g.logEndpoint(r, http.StatusMethodNotAllowed)
		return true, nil
	}
	seen := caddyhttp.NewResponseRecorder(w, nil, nil)
	if served, err = e.serve(g, seen, r); served {
		g.logEndpoint(r, seen.Status())
	} else if w.Header()["Cache-Control"] = cache; cache == nil {
		w.Header().Del("Cache-Control")
	}
	return served, err
}

// logEndpoint logs a request that the access log leaves out, without its query.
func (g *guard) logEndpoint(r *request, status int) {
	caddyhttp.SetVar(r.Context(), caddyhttp.LogSkipVar, true)
	if entry := g.log.Check(zap.DebugLevel, "endpoint"); entry != nil {
		entry.Write(zap.String("method", r.Method), zap.String("host", r.Host), zap.String("path", r.original.Path), zap.Int("status", status))
	}
}
