package admit

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/modules/caddyhttp"
	"go.uber.org/zap"

	"github.com/caddy-admit/admit/jwt"
	"github.com/caddy-admit/admit/oauth"
)

func init() {
	caddy.RegisterModule(App{})
	caddy.RegisterModule(Handler{})
	caddy.RegisterModule(Provider{})
	caddy.RegisterModule(MatchClaim{})
}

// App holds the named integrations, shared by all sites.
type App struct {
	// Integrations by name: 1 to 32 of a-z, 0-9, "_" and "-".
	Integrations map[string]*Integration `json:"integrations,omitempty"`

	ctx     caddy.Context
	log     *zap.Logger
	ready   map[string]*integration
	asserts *jwt.SigningKeys  // of all gates
	known   *keyCollector     // of all integrations, those of gates too
	taken   map[string][]byte // ids of integrations in gates' own blocks, and their configuration
}

// CaddyModule returns the Caddy module information.
func (App) CaddyModule() caddy.ModuleInfo {
	return caddy.ModuleInfo{ID: "admit", New: func() caddy.Module { return new(App) }}
}

// Provision reads the integrations. It makes no network call, so that Caddy
// starts while an issuer is down.
func (a *App) Provision(ctx caddy.Context) error {
	a.ctx, a.log = ctx, ctx.Logger() // later its name is that of another module
	a.ready = make(map[string]*integration)
	a.taken = make(map[string][]byte)
	a.asserts = assertionKeys(storage{ctx.Storage()})
	a.known = &keyCollector{integrations: make(map[string]*integration)}
	var errs []error
	for _, name := range a.names() {
		in, err := a.provision(name, ctx)
		if err != nil {
			errs = append(errs, err)
			continue
		}
		a.ready[name] = in
		a.known.add(in)
	}
	errs = append(errs, registerMetrics(ctx, a.known))
	return errors.Join(errs...)
}

// names lists the integrations.
func (a *App) names() []string { return slices.Sorted(maps.Keys(a.Integrations)) }

func (a *App) provision(name string, ctx caddy.Context) (*integration, error) {
	c := a.Integrations[name]
	switch {
	case !nameForm.MatchString(name):
		return nil, fmt.Errorf("integration %q: a name is 1 to 32 of a-z, 0-9, _ and -", name)
	case c == nil:
		return nil, fmt.Errorf("integration %s: empty", name)
	case c.ID != "":
		return nil, fmt.Errorf("integration %s: id is for an integration in a gate's own block; this one's is its name", name)
	}
	e := newExpander()
	checkNames(e, "require", c.Require, a.names())
	checkNames(e, "deny", c.Deny, a.names())
	if err := e.err("integration " + name); err != nil {
		return nil, err
	}
	return c.provision(name, storage{ctx.Storage()}, ctx.Logger())
}

// named returns integrations by name: without names the only one there is.
func (a *App) named(names []string) ([]*integration, error) {
	known := strings.Join(a.names(), ", ")
	if len(names) == 0 {
		if len(a.Integrations) != 1 {
			return nil, fmt.Errorf("which integration? There are %d: %s", len(a.Integrations), known)
		}
		names = slices.Collect(maps.Keys(a.Integrations))
	}
	var found []*integration
	for i, name := range names {
		in := a.ready[name]
		if in == nil {
			return nil, fmt.Errorf("integration %q: not among those there are: %s", name, known)
		}
		if slices.Contains(names[:i], name) {
			return nil, fmt.Errorf("integration %q: named twice", name)
		}
		found = append(found, in)
	}
	return found, nil
}

// takeID gives an id to an integration in a gate's own block. It must be no
// other's: a gate takes over identities by the name of their integration. The same
// gate may be there several times, once for each server.
func (a *App) takeID(c *Integration) error {
	text, err := json.Marshal(c)
	if err != nil {
		return err
	}
	if _, named := a.Integrations[c.ID]; named {
		return fmt.Errorf("integration: id %q: a named integration has that name", c.ID)
	}
	if before, taken := a.taken[c.ID]; taken && !bytes.Equal(before, text) {
		return fmt.Errorf("integration: id %q: an integration of another gate has it", c.ID)
	}
	a.taken[c.ID] = text
	return nil
}

// Start implements [caddy.App]. It fetches nothing: keys are for the first token
// to ask for.
func (a *App) Start() error {
	if app, err := a.ctx.AppIfConfigured("http"); err == nil { // else gates protect nothing
		warnOpen(app.(*caddyhttp.App), a.log)
		warnCookies(app.(*caddyhttp.App), a.log)
		warnCaching(app.(*caddyhttp.App), a.log)
		warnCallbacks(app.(*caddyhttp.App), a.log)
		sites := webSites(app.(*caddyhttp.App))
		warnResources(sites, a.log)
		warnAssertions(sites, a.log)
		a.logURLs(sites)
	}
	go a.sweep()
	return nil
}

// sweep deletes what has expired in the storage, now and then, until the
// configuration is unloaded.
func (a *App) sweep() {
	for {
		timer := time.NewTimer(sweeps.wait(time.Now()))
		select {
		case <-a.ctx.Done():
			timer.Stop()
			return
		case <-timer.C:
		}
		sweeps.done(time.Now())
		var errs []error
		for _, in := range a.known.all() {
			errs = append(errs, in.sweep(a.ctx))
		}
		errs = append(errs, oauth.SweepSessions(a.ctx, storage{a.ctx.Storage()}, now()))
		if err := errors.Join(errs...); err != nil && a.ctx.Err() == nil {
			a.log.Warn("what has expired could not be deleted from the storage", zap.Error(err))
		}
	}
}

// Stop implements [caddy.App].
func (a *App) Stop() error { return nil }

// Cleanup gives back what Provision took, also after it failed half-way.
func (a *App) Cleanup() error {
	for _, in := range a.ready {
		in.release()
	}
	return nil
}

// Handler is the gate: it authenticates a request, applies the rules, and
// answers or goes on.
type Handler struct {
	// MatcherSetsRaw narrows the protection. It lies here and not in the route,
	// because identity headers are deleted from every request the gate sees.
	MatcherSetsRaw caddyhttp.RawMatcherSets `json:"match,omitempty" caddy:"namespace=http.matchers"`

	// Integrations names those whose credentials are accepted here. Default: the
	// only one there is.
	Integrations []string `json:"integrations,omitempty"`
	// Integration is one of this gate's own, instead of named ones.
	Integration *Integration `json:"integration,omitempty"`

	// Login sends browsers without an identity to log in.
	Login *Login `json:"login,omitempty"`
	// Optional lets a request without a credential pass where no Require or Any
	// of this gate covers it; a bad credential never passes.
	Optional bool `json:"optional,omitempty"`
	// Bypass exempts requests from every check.
	Bypass []Bypass `json:"bypass,omitempty"`
	// Require lists rules of which every one that covers the request must hold.
	Require []Rule `json:"require,omitempty"`
	// Deny lists rules of which none may hold; it wins over everything.
	Deny []Rule `json:"deny,omitempty"`
	// Any lists groups of rules; one rule of each group must hold.
	Any []AnyRule `json:"any,omitempty"`
	// HeaderUp lists identity headers for the upstream.
	HeaderUp []HeaderUp `json:"header_up,omitempty"`
	// ReportOnly puts rules on trial: they are logged and counted, and refuse
	// nobody. Empty: all rules of this gate.
	ReportOnly *ReportOnly `json:"report_only,omitempty"`
	// Forward says which credential the upstream sees.
	Forward *Forward `json:"forward,omitempty"`
	// Assertion tells the application who the client is, signed by the gate.
	Assertion *Assertion `json:"assertion,omitempty"`
	// Origins lists other origins whose scripts may call, or "*".
	Origins []string `json:"origins,omitempty"`
	// PublicURL is the scheme and host that browsers use. Default: the request's
	// host, https if TLS or a trusted proxy says so.
	PublicURL string `json:"public_url,omitempty"`
	// Realm is named in challenges. Default: the site's host.
	Realm string `json:"realm,omitempty"`
	// Errors is "direct" (refusals are written by the gate), "handle_errors" (left
	// to Caddy's error routes), or empty: whether such a route would answer is
	// found out.
	Errors string `json:"errors,omitempty"`
	// Endpoints is the path before the gate's own endpoints. Default: /oauth2.
	Endpoints string `json:"endpoints,omitempty"`
	// Pages is the look of the gate's own pages.
	Pages *Pages `json:"pages,omitempty"`

	guard *guard
}

// CaddyModule returns the Caddy module information.
func (Handler) CaddyModule() caddy.ModuleInfo {
	return caddy.ModuleInfo{ID: "http.handlers.admit", New: func() caddy.Module { return new(Handler) }}
}

// Interface guards.
var (
	_ caddy.App          = (*App)(nil)
	_ caddy.Provisioner  = (*App)(nil)
	_ caddy.CleanerUpper = (*App)(nil)
)
