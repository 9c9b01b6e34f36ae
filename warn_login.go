package admit

import (
	"slices"
	"strings"

	"github.com/caddyserver/caddy/v2/modules/caddyhttp"
	"go.uber.org/zap"

	"github.com/caddy-admit/admit/claims"
	"github.com/caddy-admit/admit/jwt"
	"github.com/caddy-admit/admit/oauth"
)

// warnIDTokens says at load that ID tokens of the login count where clients send
// tokens: whoever logs somebody in as this client holds one, applications behind other
// gates too, and so has a credential of the API (RFC 8725 section 3.11, threat 27).
func (d *draft) warnIDTokens(log *zap.Logger) {
	l := d.login
	if l == nil || !d.takes || !slices.Contains(d.policy.Audience, l.Auth.ID) || !slices.Contains(l.Scopes, "openid") || d.tellsIDTokens() {
		return
	}
	log.Warn("audience holds the client_id of the login, so that its ID tokens are taken as bearer tokens, for which they are not made: name what access tokens are made for, or leave audience out where clients send none",
		zap.String("integration", d.name), zap.String("audience", l.Auth.ID))
}

// tellsIDTokens reports whether an ID token of the login is told from an access token
// by something else than the audience, or access tokens of this login have no other.
func (d *draft) tellsIDTokens() bool {
	byAudience := func(claim claims.Path) bool { return claim.String() == "aud" || claim.String() == "azp" }
	plain := func(typ string) bool {
		return typ == "" || strings.EqualFold(typ, "JWT") || strings.EqualFold(typ, "application/jwt")
	}
	return d.login.SessionToken == oauth.SessionTokenAccess ||
		d.policy.Vendor == jwt.VendorCognito || d.policy.Vendor == jwt.VendorKeycloak ||
		!slices.ContainsFunc(d.policy.AudienceClaims, byAudience) || !slices.ContainsFunc(d.policy.Types, plain) ||
		!slices.ContainsFunc(d.places, func(p place) bool { return p.Header != "" || p.Cookie != "" || p.Query != "" })
}

// comesBack is an integration and a redirect URI of it.
type comesBack struct {
	in  *integration
	url string
}

// warnCallbacks says at start which providers have one redirect URI: only what an answer
// says of itself tells then whose code it brings, and few do (RFC 9700 section 4.4,
// threat 60).
func warnCallbacks(app *caddyhttp.App, log *zap.Logger) {
	for _, site := range webSites(app) {
		var known []comesBack
		var warned []*integration
		for _, one := range site.callbacks() {
			i := slices.IndexFunc(known, func(other comesBack) bool {
				return other.url == one.url && !one.in.party.SameProvider(other.in.party)
			})
			known = append(known, one)
			if i < 0 || slices.Contains(warned, one.in) {
				continue // one line for each, however many hosts there are
			}
			warned = append(warned, one.in)
			log.Warn("two providers share a callback: if one of them means ill, it can have people log in at the other and be handed the code of that login; give each a path of its own with \"callback\" (RFC 9700 section 4.4)",
				zap.String("site", site.String()), zap.String("callback", one.url), zap.Strings("integrations", []string{known[i].in.name, one.in.name}))
		}
	}
}

// callbacks lists where people come back to at the gates of the site.
func (s *webSite) callbacks() (all []comesBack) {
	for _, gate := range s.gates() {
		for _, in := range gate.guard.logins {
			if in.party == nil {
				continue
			}
			origins := []string{in.callback.origin}
			if in.callback.origin == "" {
				origins = s.originsOf(newExpander(), gate)
			}
			for _, origin := range origins {
				all = append(all, comesBack{in, origin + gate.guard.callbackPath(in)})
			}
		}
	}
	return all
}
