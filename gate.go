package admit

import (
	"errors"
	"fmt"
	"net/url"
	"slices"
	"strings"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/modules/caddyhttp"
	"go.uber.org/zap"

	"github.com/caddy-admit/admit/claims"
	"github.com/caddy-admit/admit/internal/page"
	"github.com/caddy-admit/admit/jwt"
	"github.com/caddy-admit/admit/oauth"
	"github.com/caddy-admit/admit/oauth/machine"
)

// guard is a [Handler] that is ready for requests.
type guard struct {
	checker
	match     *scope // nil: all requests
	bypass    []bypass
	headers   identityHeaders
	forward   forwarding
	assertion *asserter // nil: none
	realm     string
	publicURL string // scheme and host, "" for those of the request
	errors    string // how refusals are written, see Handler.Errors
	look      *page.Look
	prefix    string            // of the gate's own endpoints
	login     bool              // browsers without an identity are sent to log in
	logins    []*integration    // those to log in with
	sessions  []*oauth.Sessions // of all integrations
	closed    bool              // some rule has to hold for each request
	resource  resource
	exchange  map[string]*machine.Exchanger // by integration
	exchanges taken                         // of the pool
	own       *integration                  // one written in the gate's block
	named     []string                      // all integrations that have a name
	asserts   *jwt.SigningKeys              // of all gates
	log       *zap.Logger

	complained [complaints]seldom
	reached    memo[hostPath, bool] // what is known to be reachable, see reachable

	challenges memo[challenge, string]
}

func newGuard(log *zap.Logger) *guard {
	return &guard{log: log, reached: memo[hostPath, bool]{limit: maxReached, own: hostPath.own}, challenges: memo[challenge, string]{limit: maxReached, own: challenge.own}}
}

// Provision reads the configuration and finds the integrations. It makes no
// network call and touches no storage. Every mistake is reported at once.
func (h *Handler) Provision(ctx caddy.Context) error {
	g := newGuard(ctx.Logger())
	h.guard = g
	e := newExpander()
	g.warnRules(h) // loading matchers empties their configuration
	g.closed = h.demandsOfAll()
	e.keep(h.provisionIntegrations(ctx, g))
	e.keep(h.provisionMatch(ctx, g))
	h.provisionRules(ctx, e, g)
	h.read(e, g)
	e.keep(g.openExchange())
	g.warnKeyClaims()
	g.warnSeveralAsked()
	g.resource = readResource(&g.checker)
	packPlain(g.scopes)
	g.rules.Remember()
	g.trial.Remember()
	return e.err("admit")
}

// read reads all of the configuration that needs nothing from Caddy. The
// integrations of the gate are known by then.
func (h *Handler) read(e *expander, g *guard) {
	g.takeFrom(g.integrations)
	for _, in := range g.integrations {
		if in.sessions != nil {
			g.sessions = append(g.sessions, in.sessions)
		}
	}
	g.optional = h.Optional
	for i := range h.Bypass {
		g.bypass = append(g.bypass, h.Bypass[i].read(e))
	}
	h.readAnswers(e, g)
	h.readHeaders(e, g)
	h.readLogin(e, g)
	h.checkRules(e, g)
	g.checkMachines(e)
}

// checkRules refuses rules that nobody can satisfy, or that nobody can break.
func (h *Handler) checkRules(e *expander, g *guard) {
	demands, denials := h.demands(), h.denials()
	for _, up := range h.HeaderUp {
		demands = append(demands, Rule{Claim: up.Claim, Patterns: up.Patterns})
	}
	g.checkEmail(e, slices.Concat(demands, denials))
	names := g.named
	if own := h.Integration; own != nil {
		demands, denials, names = append(demands, own.Require...), append(denials, own.Deny...), append(names, own.ID)
	}
	checkNames(e, "require", demands, names)
	checkNames(e, "deny", denials, names)
}

// readAnswers reads what refusals look like.
func (h *Handler) readAnswers(e *expander, g *guard) {
	g.realm = e.text("realm", h.Realm)
	g.look = readPages(e, h.Pages)
	g.origins = readOrigins(e, h.Origins)
	e.word("errors", h.Errors, "direct", "handle_errors")
	g.errors = h.Errors
	if h.PublicURL != "" {
		origin, ok := serializeOrigin(strings.TrimSuffix(e.text("public_url", h.PublicURL), "/"))
		if !ok {
			e.fail("public_url %q: expected scheme and host as https://app.example.com", h.PublicURL)
		}
		g.publicURL, g.origins.site = origin, origin
	}
}

// readLogin finds those to log in with, and the place of the endpoints.
func (h *Handler) readLogin(e *expander, g *guard) {
	g.prefix = or(e.text("endpoints", h.Endpoints), "/oauth2")
	if !isPrefix(g.prefix) {
		e.fail("endpoints %q: expected a path such as /oauth2 or /private/oauth2", g.prefix)
	}
	if h.Login == nil {
		return
	}
	g.login = true
	for _, name := range h.Login.Integrations {
		if in := g.integration(name); in == nil || !in.logsIn {
			e.fail("login %s: not an integration of this gate that users can log in with", name)
		}
	}
	for _, in := range g.integrations {
		if in.logsIn && (len(h.Login.Integrations) == 0 || slices.Contains(h.Login.Integrations, in.name)) {
			g.logins = append(g.logins, in)
		}
	}
	if len(g.logins) == 0 && len(g.integrations) > 0 {
		e.fail("login: nobody can log in with an integration of this gate: expected one with a login block, user or users")
	}
	g.checkLogins(e)
}

// isPrefix reports whether the gate's own endpoints may lie below a path: one that
// is written in a URL as it stands.
func isPrefix(path string) bool {
	u := &url.URL{Path: path}
	return canonical(u) && u.EscapedPath() == path && !strings.HasSuffix(path, "/")
}

// readHeaders reads what the upstream sees.
func (h *Handler) readHeaders(e *expander, g *guard) {
	g.headers = readHeaders(e, h.HeaderUp)
	g.forward = readForward(e, h.Forward)
	for _, p := range g.places {
		if p.Header != "" && slices.Contains(g.headers.names, foldHeader(p.Header)) {
			e.fail("header_up %s: clients send their credential in that header: expected another", p.Header)
		}
	}
	if name := g.forward.header; name != "" {
		if slices.Contains(g.headers.names, foldHeader(name)) {
			e.fail("forward %s %s: header_up sets that header: expected another", g.forward.what, name)
		}
		// A header in which no client sends a credential is the gate's alone.
		if !slices.ContainsFunc(g.places, func(p place) bool { return p.Header == name }) {
			g.headers.names = append(g.headers.names, foldHeader(name))
		}
	}
	g.keepForwarded(e)
	h.readAssertion(e, g)
}

// provisionRules reads the rules. Those on trial are kept apart.
func (h *Handler) provisionRules(ctx caddy.Context, e *expander, g *guard) {
	into := &g.rules
	if trial := h.ReportOnly; trial != nil {
		g.readRules(ctx, e, &g.trial, trial.Require, trial.Deny, nil)
		if trial.all() {
			into = &g.trial
		}
		if trial.Require != nil && len(trial.Require) == 0 || trial.Deny != nil && len(trial.Deny) == 0 {
			e.fail("report_only: an empty list of rules; leave it out, or write {} to put all rules of the gate on trial")
		}
	}
	g.readRules(ctx, e, into, h.Require, h.Deny, h.Any)
}

// checkEmail refuses rules on e-mail addresses that no token can satisfy.
func (c *checker) checkEmail(e *expander, rules []Rule) {
	other := func(in *integration) bool { return !in.noEmail }
	if len(c.integrations) > 0 && !slices.ContainsFunc(c.integrations, other) && slices.ContainsFunc(rules, Rule.onEmail) {
		e.fail("rule on email: %s", noEmail)
	}
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
	loaded, err := ctx.App("admit")
	if err != nil {
		return err
	}
	app := loaded.(*App)
	g.named, g.asserts = app.names(), app.asserts
	if h.Integration == nil {
		g.integrations, err = app.named(h.Integrations)
		return err
	}
	if len(h.Integrations) > 0 {
		return errors.New("integrations and integration: give one of them")
	}
	if !nameForm.MatchString(strings.TrimPrefix(h.Integration.ID, "inline-")) {
		return fmt.Errorf("integration: id %q: expected 1 to 32 of a-z, 0-9, _ and -", h.Integration.ID)
	}
	if err := app.takeID(h.Integration); err != nil {
		return err
	}
	own, err := h.Integration.provision(h.Integration.ID, storage{ctx.Storage()}, g.log)
	if err != nil {
		return err
	}
	g.own, g.integrations = own, []*integration{own}
	app.known.add(own)
	return nil
}

// readRules reads rules into a list, and the matchers that narrow them.
func (c *checker) readRules(ctx caddy.Context, e *expander, into *claims.Rules, require, deny []Rule, anyOf []AnyRule) {
	for i := range require {
		r := &require[i]
		rule := r.read(e, false)
		into.Require = append(into.Require, claims.ScopedRule{Rule: rule, Scope: c.scope(ctx, e, r, r.MatcherSetsRaw)})
	}
	for i := range deny {
		r := &deny[i]
		rule := r.read(e, true)
		into.Deny = append(into.Deny, claims.ScopedRule{Rule: rule, Scope: c.scope(ctx, e, r, r.MatcherSetsRaw)})
	}
	for i := range anyOf {
		var lines []claims.Rule
		for _, line := range scopeless(e, "any", anyOf[i].Require, false) {
			lines = append(lines, line.Rule)
		}
		rule, err := claims.NewAnyRule(lines, c.scope(ctx, e, &anyOf[i], anyOf[i].MatcherSetsRaw))
		e.check("any", err)
		into.Any = append(into.Any, rule)
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
	if h.guard == nil {
		return nil
	}
	h.guard.exchanges.release()
	if h.guard.own != nil {
		h.guard.own.release()
	}
	return nil
}

// Interface guards.
var (
	_ caddy.Provisioner           = (*Handler)(nil)
	_ caddy.CleanerUpper          = (*Handler)(nil)
	_ caddyhttp.MiddlewareHandler = (*Handler)(nil)
)
