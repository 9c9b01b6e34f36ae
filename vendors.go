package admit

import (
	"slices"
	"strings"

	"github.com/caddy-admit/admit/jwt"
	"github.com/caddy-admit/admit/oauth"
)

// Vendors of which the gate knows something besides what their tokens need, see
// [jwt.VendorEntra], and for a login, see [oauth.VendorGitHub].
const (
	vendorGitLab = "gitlab" // anybody may sign up on gitlab.com
	vendorGoogle = "google" // anybody has an account or can have one
)

// tokenVendors are those whose tokens need a check of their own, vendors all.
var (
	tokenVendors = []string{jwt.VendorCognito, jwt.VendorEntra, jwt.VendorKeycloak}
	vendors      = []string{
		oauth.VendorAuth0, jwt.VendorCognito, jwt.VendorEntra, oauth.VendorGitHub, vendorGitLab, vendorGoogle, jwt.VendorKeycloak,
	}
)

// personalTenant is the tenant of Entra ID in which private accounts are.
const personalTenant = "9188040d-6c67-4c5b-b112-36a304b66dad"

// isPublic reports whether anybody on the internet can log in: with or without a
// preset.
func (c *Integration) isPublic(d *draft) bool {
	if slices.Contains([]string{oauth.VendorAuth0, vendorGoogle, oauth.VendorGitHub}, c.Vendor) || slices.Contains(d.policy.Tenants, personalTenant) {
		return true
	}
	return slices.ContainsFunc(d.policy.Issuers, isPublicIssuer) ||
		strings.HasPrefix(d.login.Endpoints.Authorization, "https://github.com/")
}

func isPublicIssuer(issuer string) bool {
	_, issuer, _ = strings.Cut(strings.ToLower(issuer), "://")
	host, path, _ := strings.Cut(issuer, "/")
	switch {
	case host == "accounts.google.com", host == "gitlab.com", strings.HasSuffix(host, ".auth0.com"):
		return true
	}
	return host == "login.microsoftonline.com" && strings.HasPrefix(path, personalTenant)
}

// checkLogins refuses logins that lead nowhere, and those that let everybody in
// unless a rule says so.
func (g *guard) checkLogins(e *expander) {
	for _, in := range g.logins {
		if !slices.ContainsFunc(in.places, func(p place) bool { return p.Session }) {
			e.fail("login: nobody would stay logged in with %s: it looks for credentials in other places only: expected from session", nameOf(in))
		}
		if path, own := strings.CutPrefix(in.callback.path, g.prefix); own && path != "/callback" && endpoints[path].serve != nil {
			e.fail("login callback %s, endpoints: the gate has another page there: expected another path", in.callback.path)
		}
		if in.public && len(in.rules.Require) == 0 && !g.closed {
			e.fail("login: anybody on the internet can log in with %s: expected a require that covers every request; \"require user *\" says that it is meant", nameOf(in))
		}
	}
}

// nameOf names an integration in an error.
func nameOf(in *integration) string {
	if strings.HasPrefix(in.name, "inline-") {
		return "this provider"
	}
	return in.name
}

// demandsOfAll reports whether some rule that is not on trial has to hold for each
// request that the gate covers. It must be asked before matchers are loaded, which
// empties their configuration.
func (h *Handler) demandsOfAll() bool {
	if h.ReportOnly != nil && h.ReportOnly.all() {
		return false
	}
	return slices.ContainsFunc(h.Require, func(r Rule) bool { return len(r.MatcherSetsRaw) == 0 }) ||
		slices.ContainsFunc(h.Any, func(a AnyRule) bool { return len(a.MatcherSetsRaw) == 0 })
}
