package admit

import (
	"errors"
	"net/http"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/modules/caddyhttp"

	"github.com/caddy-admit/admit/claims"
)

// MatchClaim matches requests by the identity that a gate before it found: all
// of its tests must hold. Without an identity none does. It is an error, so a
// 500, where no gate has seen the request: such a matcher decides nothing.
type MatchClaim []ClaimTest

// ClaimTest is one test of a [MatchClaim], as a rule of a gate.
type ClaimTest struct {
	Claim    string   `json:"claim"`
	Patterns []string `json:"patterns"`

	rule claims.Rule
}

var errNoGate = errors.New("admit: a claim matcher needs a gate before it; no admit directive has seen this request")

// CaddyModule returns the Caddy module information.
func (MatchClaim) CaddyModule() caddy.ModuleInfo {
	return caddy.ModuleInfo{ID: "http.matchers.claim", New: func() caddy.Module { return new(MatchClaim) }}
}

// Provision reads the tests.
func (m MatchClaim) Provision(caddy.Context) error {
	e := newExpander()
	if len(m) == 0 {
		e.fail("expected a claim and at least one pattern")
	}
	for i := range m {
		m[i].rule = m[i].read(e)
	}
	return e.err("admit: claim matcher")
}

func (t *ClaimTest) read(e *expander) claims.Rule {
	rule := Rule{Claim: t.Claim, Patterns: t.Patterns}
	return rule.read(e, false)
}

// MatchWithError implements [caddyhttp.RequestMatcherWithError].
func (m MatchClaim) MatchWithError(r *http.Request) (bool, error) {
	s := seenState(r)
	if s == nil {
		return false, errNoGate
	}
	if s.decision.Identity == nil || !s.decision.LetsIn() {
		return false, nil
	}
	for i := range m {
		if m[i].rule.Judge(s.decision.Identity) != claims.Holds {
			return false, nil
		}
	}
	return true, nil
}

// Match implements [caddyhttp.RequestMatcher], for what knows no errors.
func (m MatchClaim) Match(r *http.Request) bool {
	ok, err := m.MatchWithError(r)
	return ok && err == nil
}

// Interface guards.
var (
	_ caddy.Provisioner                 = (*MatchClaim)(nil)
	_ caddyhttp.RequestMatcherWithError = (*MatchClaim)(nil)
)
