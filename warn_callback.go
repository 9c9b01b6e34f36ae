package admit

import (
	"slices"

	"github.com/caddyserver/caddy/v2/modules/caddyhttp"
	"go.uber.org/zap"
)

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
