package admit

import (
	"fmt"
	"net/http"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/modules/caddyhttp/caddyauth"

	"github.com/caddy-admit/admit/claims"
)

// Provider is the gate's check for Caddy's own authentication handler, in JSON:
// who it is, yes or no. It never redirects, and every refusal becomes Caddy's 401.
type Provider struct {
	// Integrations names those whose credentials are accepted.
	Integrations []string `json:"integrations,omitempty"`
	// Require, Deny and Any are rules as in a gate.
	Require []Rule    `json:"require,omitempty"`
	Deny    []Rule    `json:"deny,omitempty"`
	Any     []AnyRule `json:"any,omitempty"`

	guard *guard
}

// CaddyModule returns the Caddy module information.
func (Provider) CaddyModule() caddy.ModuleInfo {
	return caddy.ModuleInfo{ID: "http.authentication.providers.admit", New: func() caddy.Module { return new(Provider) }}
}

// Provision reads the configuration and finds the integrations.
func (p *Provider) Provision(ctx caddy.Context) error {
	p.guard = newGuard(ctx.Logger())
	loaded, err := ctx.App("admit")
	if err != nil {
		return err
	}
	app := loaded.(*App)
	if p.guard.integrations, err = app.named(p.Integrations); err != nil {
		return err
	}
	p.guard.named = app.names()
	p.guard.takeFrom(p.guard.integrations)
	e := newExpander()
	gate := &Handler{Integrations: p.Integrations, Require: p.Require, Deny: p.Deny, Any: p.Any}
	p.guard.warnRules(gate) // loading matchers empties their configuration
	p.guard.readRules(ctx, e, &p.guard.rules, p.Require, p.Deny, p.Any)
	packPlain(p.guard.scopes)
	p.guard.rules.Remember()
	gate.checkRules(e, p.guard)
	p.guard.checkMachines(e)
	return e.err("admit")
}

// Authenticate implements [caddyauth.Authenticator]. A credential that is
// missing or refused is an answer; an error means that the check itself could
// not be made. The user has no metadata: Caddy would make fixed placeholders of
// it, which hide those of the gate and turn the list of groups into text.
func (p *Provider) Authenticate(w http.ResponseWriter, r *http.Request) (caddyauth.User, bool, error) {
	s, has := stateOf(r), survey(r.Header, nil)
	if has&withUpgrade != 0 {
		stripUpgrade(r.Header)
	}
	req := newRequest(r, originalURL(r), s, has)
	d, err := p.guard.decide(req)
	if err != nil {
		s.decide(claims.Decision{})
		p.guard.challenge(w.Header(), req, &d, answer{status: http.StatusUnauthorized})
		return caddyauth.User{}, false, err
	}
	s.decide(d)
	p.guard.logDecision(req, &d)
	countDecision(&d, s.in)
	if d.LetsIn() {
		return caddyauth.User{ID: d.Identity.User()}, true, nil
	}
	a := answerTo(&d)
	if a.status == http.StatusServiceUnavailable {
		err = fmt.Errorf("admit: %s", d.Reason)
	}
	// Caddy makes a 401 of everything, which needs a challenge.
	switch a.status {
	case http.StatusServiceUnavailable, http.StatusTooManyRequests:
		a = answer{status: http.StatusUnauthorized}
	case http.StatusForbidden:
		a = unauthorized
	}
	p.guard.challenge(w.Header(), req, &d, a)
	return caddyauth.User{}, false, err
}

// Interface guards.
var (
	_ caddy.Provisioner       = (*Provider)(nil)
	_ caddyauth.Authenticator = (*Provider)(nil)
)
