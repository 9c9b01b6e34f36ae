package admit

import (
	"net"
	"net/http"
	"net/url"
	"slices"

	"github.com/caddyserver/caddy/v2/modules/caddyhttp"

	"github.com/caddy-admit/admit/claims"
)

// ServeHTTP serves the gate's endpoints, decides about every other request, and
// answers it or goes on.
func (h *Handler) ServeHTTP(w http.ResponseWriter, r *http.Request, next caddyhttp.Handler) error {
	g := h.guard
	original := originalURL(r)
	if g.serveEndpoint(w, r, original) {
		return nil
	}
	s := stateOf(r)
	stripUpgrade(r.Header)
	g.headers.strip(r, s)
	req := newRequest(r, original, s)
	covered, err := g.covers(req)
	if err != nil {
		return caddyhttp.Error(http.StatusInternalServerError, err)
	}
	if !covered {
		return next.ServeHTTP(w, r)
	}
	d, err := g.judge(req)
	if err != nil {
		s.decide(r, claims.Decision{})
		return caddyhttp.Error(http.StatusInternalServerError, err)
	}
	g.logDecision(req, &d)
	countDecision(&d)
	switch {
	case !d.LetsIn():
		return g.refuse(w, req, &d)
	case d.Verdict == claims.Bypassed:
		if s.decision.Verdict == "" {
			s.decision = d // no gate before this one has decided
		}
		g.hideQuery(r)
	default:
		g.headers.set(r, s)
		g.forwardCredential(r, s)
	}
	return next.ServeHTTP(w, r)
}

// judge decides about a request that the gate covers.
func (g *guard) judge(r *request) (claims.Decision, error) {
	if g.origins.preflight(r.Request) {
		g.bare(r.Request)
		return claims.Decision{Verdict: claims.Bypassed}, nil
	}
	if g.exempt(r) {
		return claims.Decision{Verdict: claims.Bypassed}, nil
	}
	d, err := g.decide(r)
	if err == nil {
		r.state.decide(r.Request, d)
	}
	return d, err
}

// covers reports whether the gate protects the request.
func (g *guard) covers(r *request) (bool, error) {
	if g.match == nil {
		return true, nil
	}
	return g.match.covers(r)
}

// exempt reports whether the request is not checked at all. Only the path that
// the client asked for counts.
func (g *guard) exempt(r *request) bool {
	return r.canonical && slices.ContainsFunc(g.bypass, func(b bypass) bool { return b.covers(r.Method, r.original.Path) })
}

// originalURL returns the URL that the client asked for, whatever has rewritten
// it since.
func originalURL(r *http.Request) *url.URL {
	if original, ok := r.Context().Value(caddyhttp.OriginalRequestCtxKey).(http.Request); ok && original.URL != nil {
		return original.URL
	}
	return r.URL
}

// hideQuery takes tokens out of the URL, for the application and its logs.
func (c *checker) hideQuery(r *http.Request) {
	for i := range c.places {
		if name := c.places[i].Query; name != "" && r.URL.RawQuery != "" {
			r.URL.RawQuery = withoutParameter(r.URL.RawQuery, name)
			r.RequestURI = r.URL.RequestURI()
		}
	}
}

// realmOf returns the realm of challenges: the one that was configured, or the
// host that the client asked for.
func (g *guard) realmOf(r *http.Request) string {
	if g.realm != "" {
		return g.realm
	}
	if host, _, err := net.SplitHostPort(r.Host); err == nil {
		return host
	}
	return r.Host
}
