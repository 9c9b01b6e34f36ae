package admit

import (
	"context"
	"io"
	"net"
	"net/http"
	"net/url"
	"slices"
	"strings"

	"github.com/caddyserver/caddy/v2/modules/caddyhttp"
	"go.uber.org/zap"

	"github.com/caddy-admit/admit/claims"
	"github.com/caddy-admit/admit/oauth"
)

// ServeHTTP serves the gate's endpoints, decides about every other request, and
// answers it or goes on.
func (h *Handler) ServeHTTP(w http.ResponseWriter, r *http.Request, next caddyhttp.Handler) error {
	g := h.guard
	s, has := stateOf(r), survey(r.Header, g.headers.names)
	req := newRequest(r, originalURL(r), s, has)
	if served, err := g.serveEndpoint(w, req); served || err != nil {
		return err
	}
	g.strip(r, s, has)
	covered, err := g.covers(req)
	if err != nil {
		return undecided(w, err)
	}
	if !covered {
		return next.ServeHTTP(w, r)
	}
	d, out, err := g.judge(req)
	g.hideQuery(req) // from error routes too
	if err != nil {
		s.decide(claims.Decision{})
		return undecided(w, err)
	}
	g.logDecision(req, &d)
	countDecision(&d, s.in)
	switch {
	case !d.LetsIn():
		return g.refuse(w, req, &d)
	case d.Verdict == claims.Bypassed:
		if s.decision.Verdict == "" {
			s.decision = d // no gate before this one has decided
		}
		if g.forward.what == "none" {
			g.removeCredentials(r, s)
		}
		if slices.ContainsFunc(g.bypass, func(b bypass) bool { return len(b.methods) > 0 }) {
			dropOverrides(r.Header) // only this method is exempt
		}
	default:
		w = g.renew(w, req)
		g.headers.set(r, s)
		g.forwardCredential(r, s, out.token)
		g.assertion.set(r, s, out.assertion)
	}
	return next.ServeHTTP(w, r)
}

// strip takes out of a request, whoever it is for, what would deceive the application
// or get past the gate.
func (g *guard) strip(r *http.Request, s *state, has present) {
	if has&withUpgrade != 0 {
		stripUpgrade(r.Header)
	}
	g.headers.strip(r, s, has)
	if has&withCookie != 0 {
		g.stripCookies(r, s)
	}
}

// undecided answers a request about which a matcher failed.
func undecided(w http.ResponseWriter, err error) error {
	w.Header().Set("Cache-Control", "no-store")
	return caddyhttp.Error(http.StatusInternalServerError, err)
}

// stripCookies takes sessions out of the request, whoever it is for: those of this
// gate's integrations, and what has a standard name. They are nobody else's
// business.
func (g *guard) stripCookies(r *http.Request, s *state) {
	sent := r.Header["Cookie"]
	switch had := oauth.StripAll(r, g.sessions); {
	case s.cookies != nil || s.sent != nil:
	case had:
		s.cookies = sent
	case g.hasSessions():
		s.cookies = slices.Clone(sent) // handlers change values where they lie
	}
}

// renew notes that the session of a request is in use, and returns the writer of
// its answer. That it could not be noted is no reason to refuse the request.
func (g *guard) renew(w http.ResponseWriter, r *request) http.ResponseWriter {
	o := &r.state.opened
	if o.session == nil || r.state.decision.Credential != "session" || o.in.sessions.Fresh(o.session) {
		return w
	}
	before := len(w.Header()["Set-Cookie"])
	if err := o.in.sessions.Renew(r.Context(), w, r.sentRequest(), o.session); err != nil {
		g.log.Warn("the use of a session could not be noted", zap.String("integration", o.in.name), zap.Error(err))
	}
	if len(w.Header()["Set-Cookie"]) == before {
		return w
	}
	return &uncached{ResponseWriterWrapper: &caddyhttp.ResponseWriterWrapper{ResponseWriter: w}}
}

// uncached is for an answer with somebody's cookie: nobody stores it, whatever the
// application says (threat 49).
type uncached struct {
	*caddyhttp.ResponseWriterWrapper
	begun bool
}

// WriteHeader implements [http.ResponseWriter].
func (w *uncached) WriteHeader(status int) {
	if !w.begun {
		w.Header()["Cache-Control"] = []string{"private, no-store"}
		for name := range w.Header() {
			if forCaches(name) {
				delete(w.Header(), name)
			}
		}
		w.begun = status >= http.StatusOK || status == http.StatusSwitchingProtocols
	}
	w.ResponseWriterWrapper.WriteHeader(status)
}

// forCaches reports whether a header tells some caches something else than
// Cache-Control tells all of them (RFC 9213).
func forCaches(name string) bool {
	return strings.HasSuffix(name, "-Cache-Control") || name == "Surrogate-Control" || name == "X-Accel-Expires"
}

// Write implements [http.ResponseWriter].
func (w *uncached) Write(data []byte) (int, error) {
	if !w.begun {
		w.WriteHeader(http.StatusOK)
	}
	return w.ResponseWriterWrapper.Write(data)
}

// ReadFrom implements [io.ReaderFrom].
func (w *uncached) ReadFrom(from io.Reader) (int64, error) {
	if !w.begun {
		w.WriteHeader(http.StatusOK)
	}
	return w.ResponseWriterWrapper.ReadFrom(from)
}

// judge decides about a request that the gate covers, and gets what the application
// is to have with it.
func (g *guard) judge(r *request) (d claims.Decision, out outgoing, err error) {
	if g.origins.preflight(r.Request) {
		g.bare(r.Request)
		return claims.Decision{Verdict: claims.Bypassed}, outgoing{}, nil
	}
	if g.exempt(r) {
		return claims.Decision{Verdict: claims.Bypassed}, outgoing{}, nil
	}
	if d, err = g.decide(r); err == nil {
		out = g.prepare(r, &d)
		r.state.decide(d)
	}
	return d, out, err
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

// hideQuery takes tokens out of the URL, for the application and its logs, and
// out of the original one: FastCGI, error routes and placeholders go back to that.
func (c *checker) hideQuery(r *request) {
	for i := range c.places {
		if name := c.places[i].Query; name != "" {
			r.keepQuery()
			hideParameter(r.Request, name)
		}
	}
}

func hideParameter(r *http.Request, name string) {
	if query := withoutParameter(r.URL.RawQuery, name); query != r.URL.RawQuery {
		r.URL.RawQuery = query
		r.RequestURI = r.URL.RequestURI()
	}
	original, ok := r.Context().Value(caddyhttp.OriginalRequestCtxKey).(http.Request)
	if !ok || original.URL == nil {
		return
	}
	if query := withoutParameter(original.URL.RawQuery, name); query != original.URL.RawQuery {
		original.URL.RawQuery = query // of every copy of the request
		original.RequestURI = original.URL.RequestURI()
		*r = *r.WithContext(context.WithValue(r.Context(), caddyhttp.OriginalRequestCtxKey, original))
	}
}

// realmOf returns the realm of challenges: the one that was configured, or the
// host that the client asked for.
func (g *guard) realmOf(r *http.Request) string {
	if g.realm != "" {
		return g.realm
	}
	return hostname(r.Host)
}

// hostname returns a host without its port.
func hostname(host string) string {
	if strings.IndexByte(host, ':') < 0 {
		return host // as most are, and an error would cost more than the answer
	}
	if name, _, err := net.SplitHostPort(host); err == nil {
		return name
	}
	return host
}
