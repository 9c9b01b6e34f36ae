package admit

import (
	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/modules/caddyhttp"
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
}

// CaddyModule returns the Caddy module information.
func (App) CaddyModule() caddy.ModuleInfo {
	return caddy.ModuleInfo{ID: "admit", New: func() caddy.Module { return new(App) }}
}

// Handler is the gate: it authenticates a request, applies the rules, and
// answers or goes on.
type Handler struct {
	// MatcherSetsRaw narrows the protection. It lies here and not in the route,
	// because identity headers are deleted from every request the gate sees.
	MatcherSetsRaw caddyhttp.RawMatcherSets `json:"match,omitempty" caddy:"namespace=http.matchers"`

	// Integrations names those whose credentials are accepted here.
	Integrations []string `json:"integrations,omitempty"`
	// Integration is one of this gate's own, instead of named ones.
	Integration *Integration `json:"integration,omitempty"`

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
	// Realm is named in challenges. Default: the site's host.
	Realm string `json:"realm,omitempty"`
}

// CaddyModule returns the Caddy module information.
func (Handler) CaddyModule() caddy.ModuleInfo {
	return caddy.ModuleInfo{ID: "http.handlers.admit", New: func() caddy.Module { return new(Handler) }}
}

// Provider is the same check for Caddy's own authentication handler.
type Provider struct {
	Integrations []string  `json:"integrations,omitempty"`
	Require      []Rule    `json:"require,omitempty"`
	Deny         []Rule    `json:"deny,omitempty"`
	Any          []AnyRule `json:"any,omitempty"`
}

// CaddyModule returns the Caddy module information.
func (Provider) CaddyModule() caddy.ModuleInfo {
	return caddy.ModuleInfo{ID: "http.authentication.providers.admit", New: func() caddy.Module { return new(Provider) }}
}

// MatchClaim matches requests by the identity that a gate before it found: all
// of its tests must hold.
type MatchClaim []ClaimTest

// ClaimTest is one test of a [MatchClaim].
type ClaimTest struct {
	Claim    string   `json:"claim"`
	Patterns []string `json:"patterns"`
}

// CaddyModule returns the Caddy module information.
func (MatchClaim) CaddyModule() caddy.ModuleInfo {
	return caddy.ModuleInfo{ID: "http.matchers.claim", New: func() caddy.Module { return new(MatchClaim) }}
}
