package admit

import (
	"slices"
	"strings"

	"go.uber.org/zap"
)

// warnSeveralAsked says at load where the opaque tokens of one issuer are shown to
// another: nothing about such a token tells whose it is, and whoever is asked could
// use it (RFC 7662 section 4).
func (g *guard) warnSeveralAsked() {
	var asked []string
	for _, in := range g.integrations {
		if in.introspector != nil {
			asked = append(asked, in.name)
		}
	}
	if len(asked) > 1 {
		g.log.Warn("introspection: several integrations of the gate are asked about opaque tokens, each about those of the ones before it: name them at gates of their own unless they may see each other's",
			zap.Strings("integrations", asked))
	}
}

// warnAssertions says at start where clients choose the issuer and the audience of
// assertions, of which all sites have the same keys: a gate that lets more people in
// would sign what another site's application believes.
func warnAssertions(sites []webSite, log *zap.Logger) {
	for _, site := range sites {
		for _, gate := range site.gates() {
			open := func(origin string) bool { return strings.Contains(origin, anyHost) }
			if gate.guard.assertion != nil && slices.ContainsFunc(site.originsOf(newExpander(), gate), open) {
				log.Warn("assertion: the site answers to any host, and the assertion names the one that the client asks for: expected public_url, or a site with a host",
					zap.String("site", site.String()))
			}
		}
	}
}
