package admit

import (
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/url"
	"slices"
	"strings"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/modules/caddyhttp"
	"go.uber.org/zap"

	"github.com/caddy-admit/admit/claims"
)

// guard is a [Handler] that is ready for requests.
type guard struct {
	checker
	match   *scope // nil: all requests
	bypass  []bypass
	headers identityHeaders
	realm   string
	own     *integration // one written in the gate's block
	log     *zap.Logger
}

// Provision reads the configuration and finds the integrations. It makes no
// network call and touches no storage. Every mistake is reported at once.
func (h *Handler) Provision(ctx caddy.Context) error {
	g := &guard{log: ctx.Logger()}
	h.guard = g
	e := newExpander()
	if err := h.provisionIntegrations(ctx, g); err != nil {
		e.errs = append(e.errs, err)
	}
	g.places = joinPlaces(g.integrations)
	g.optional = h.Optional
	g.realm = e.text("realm", h.Realm)
	g.headers = readHeaders(e, h.HeaderUp)
	for _, p := range g.places {
		if p.Header != "" && slices.Contains(g.headers.names, foldHeader(p.Header)) {
			e.fail("header_up %s: clients send their credential in that header", p.Header)
		}
	}
	for i := range h.Bypass {
		g.bypass = append(g.bypass, h.Bypass[i].read(e))
	}
	if err := h.provisionMatch(ctx, g); err != nil {
		e.errs = append(e.errs, err)
	}
	g.readRules(ctx, e, h.Require, h.Deny, h.Any)
	return e.err("admit")
}

func (h *Handler) provisionMatch(ctx caddy.Context, g *guard) error {
	if len(h.MatcherSetsRaw) == 0 {
		return nil
	}
	if slices.ContainsFunc(h.MatcherSetsRaw, holdsClaimMatcher) {
		return errors.New("match: a claim matcher sees nothing before the gate; use require in it, or the matcher after it")
	}
	match, err := loadScope(ctx, h, h.MatcherSetsRaw)
	g.match = &match
	return err
}

func (h *Handler) provisionIntegrations(ctx caddy.Context, g *guard) error {
	if h.Integration == nil {
		app, err := ctx.App("admit")
		if err != nil {
			return err
		}
		g.integrations, err = app.(*App).named(h.Integrations)
		return err
	}
	if len(h.Integrations) > 0 {
		return errors.New("integrations and integration: give one of them")
	}
	if !nameForm.MatchString(strings.TrimPrefix(h.Integration.ID, "inline-")) {
		return fmt.Errorf("integration: id %q: expected 1 to 32 of a-z, 0-9, _ and -", h.Integration.ID)
	}
	own, err := h.Integration.provision(h.Integration.ID, g.log)
	if err != nil {
		return err
	}
	g.own, g.integrations = own, []*integration{own}
	return nil
}

// readRules reads rules and the matchers that narrow them.
func (c *checker) readRules(ctx caddy.Context, e *expander, require, deny []Rule, anyOf []AnyRule) {
	for i := range require {
		r := &require[i]
		rule := r.read(e, false)
		c.rules.Require = append(c.rules.Require, claims.ScopedRule{Rule: rule, Scope: c.scope(ctx, e, r, r.MatcherSetsRaw)})
	}
	for i := range deny {
		r := &deny[i]
		rule := r.read(e, true)
		c.rules.Deny = append(c.rules.Deny, claims.ScopedRule{Rule: rule, Scope: c.scope(ctx, e, r, r.MatcherSetsRaw)})
	}
	for i := range anyOf {
		var lines []claims.Rule
		for _, line := range scopeless(e, "any", anyOf[i].Require, false) {
			lines = append(lines, line.Rule)
		}
		rule, err := claims.NewAnyRule(lines, c.scope(ctx, e, &anyOf[i], anyOf[i].MatcherSetsRaw))
		e.check("any", err)
		c.rules.Any = append(c.rules.Any, rule)
	}
}

// scope loads the matchers of a rule and returns their number, 0 for none.
func (c *checker) scope(ctx caddy.Context, e *expander, module any, raw []caddy.ModuleMap) int {
	if len(raw) == 0 {
		return 0
	}
	s, err := loadScope(ctx, module, raw)
	e.check("match", err)
	c.scopes = append(c.scopes, s)
	return len(c.scopes)
}

// Cleanup gives back what Provision took.
func (h *Handler) Cleanup() error {
	if h.guard != nil && h.guard.own != nil {
		h.guard.own.release()
	}
	return nil
}

// ServeHTTP decides about the request and answers it, or goes on.
func (h *Handler) ServeHTTP(w http.ResponseWriter, r *http.Request, next caddyhttp.Handler) error {
	g := h.guard
	s := stateOf(r)
	g.headers.strip(r, s)
	original := originalURL(r)
	req := &request{Request: r, state: s, query: original.RawQuery, canonical: canonical(original)}
	covered, err := g.covers(req)
	if err != nil {
		return caddyhttp.Error(http.StatusInternalServerError, err)
	}
	if !covered {
		return next.ServeHTTP(w, r)
	}
	d := claims.Decision{Verdict: claims.Bypassed}
	if !g.exempt(req, original.Path) {
		if d, err = g.decide(req); err != nil {
			s.decide(r, claims.Decision{})
			return caddyhttp.Error(http.StatusInternalServerError, err)
		}
		s.decide(r, d)
	}
	g.logDecision(req, &d)
	if !d.LetsIn() {
		return g.refuse(w, req, &d)
	}
	if d.Verdict != claims.Bypassed {
		g.headers.set(r, s)
	}
	g.hideQuery(r)
	return next.ServeHTTP(w, r)
}

// covers reports whether the gate protects the request.
func (g *guard) covers(r *request) (bool, error) {
	if g.match == nil {
		return true, nil
	}
	return g.match.covers(r.Request, r.canonical)
}

// exempt reports whether the request is not checked at all.
func (g *guard) exempt(r *request, path string) bool {
	return r.canonical && slices.ContainsFunc(g.bypass, func(b bypass) bool { return b.covers(r.Method, path) })
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
func (g *guard) hideQuery(r *http.Request) {
	for i := range g.places {
		if name := g.places[i].Query; name != "" && r.URL.RawQuery != "" {
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

// Interface guards.
var (
	_ caddy.Provisioner           = (*Handler)(nil)
	_ caddy.CleanerUpper          = (*Handler)(nil)
	_ caddyhttp.MiddlewareHandler = (*Handler)(nil)
)
