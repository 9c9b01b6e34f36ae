package admit

import (
	"slices"

	"go.uber.org/zap"

	"github.com/caddy-admit/admit/claims"
)

// keyClaim is an [APIKeyClaim] that is ready.
type keyClaim struct {
	path   claims.Path
	strict bool
}

// keyClaim reads in which claim API keys are passed on. Where a key or the userinfo
// endpoint may say who it is, claims without a user id are no mistake of theirs any
// more: see [checker.settle].
func (c *Integration) keyClaim(e *expander, d *draft) {
	d.nobody = d.mapping.AnyUser
	if c.Identity != nil && c.Identity.APIKeyClaim != nil {
		given := c.Identity.APIKeyClaim
		d.keyClaim = &keyClaim{path: paths(e, "identity api_key_claim", []string{given.Claim})[0], strict: given.Strict}
	}
	d.mapping.AnyUser = d.mapping.AnyUser || d.keyClaim != nil || d.machines.userinfo
}

// carrier is what a key was in that counts in place of it: a token, a session, or
// what an issuer says of a token.
type carrier struct {
	in       *integration
	identity *claims.Identity
}

// settle says who it is that a good credential is about. The key of a local
// integration of this gate in its claims counts as if the client had sent it: id,
// groups and claims are the key's. Else the claims count, if they hold a user id.
func (c *checker) settle(r *request, d claims.Decision) claims.Decision {
	if d.Reason != "" || d.Identity == nil {
		return d
	}
	in := c.integration(d.Integration)
	if in == nil || in.local != nil {
		return d
	}
	key, there := in.keyClaim.find(d.Identity.Claims())
	for _, other := range c.integrations {
		if !there || other.local == nil {
			continue
		}
		if found, ok := other.local.keys.Lookup(key); ok {
			r.state.also().carrier = &carrier{in, d.Identity}
			return other.known(claims.Decision{Integration: other.name, Credential: d.Credential}, found.ID, found.Claims)
		}
	}
	switch {
	case there && in.keyClaim.strict:
		d.Reason = claims.BadAPIKey
	case d.Identity.User() == "" && !in.nobody:
		d.Reason = claims.NoIdentity
	default:
		return d
	}
	d.Verdict, d.Identity = claims.Refused, nil
	return d
}

// find returns the key in claims, and whether there is anything in its place.
func (k *keyClaim) find(set *claims.Set) (key string, there bool) {
	if k == nil {
		return "", false
	}
	return k.path.Text(set)
}

// without returns the text of claims that may be shown to a browser: an API key there
// is as good at another gate, even if it is none at this one.
func (k *keyClaim) without(set *claims.Set) []byte {
	if k == nil {
		return set.Bytes()
	}
	return k.path.Without(set)
}

// apply judges by the rules of the integration that the key came through, which look
// at what it was in: whoever is shut out there has no use for a key.
func (k *carrier) apply() (claims.Reason, *claims.Rule) {
	if k == nil {
		return "", nil
	}
	return k.in.rules.Judge(k.identity, nil)
}

// carries reports whether the identity of an integration may be another at another
// gate, because of a key.
func (r *request) carries() bool {
	return r.state.carrier() != nil || r.state.in.keyClaim != nil
}

// warnKeyClaims says at load where a key in a claim has nobody to look it up.
func (g *guard) warnKeyClaims() {
	hasKeys := func(in *integration) bool { return in.local != nil && in.local.keys.Len() > 0 }
	if slices.ContainsFunc(g.integrations, hasKeys) {
		return
	}
	for _, in := range g.integrations {
		if in.keyClaim != nil {
			g.log.Warn("api_key_claim: none of the gate's integrations has an api_key, so that no key in that claim is good",
				zap.String("integration", in.name))
		}
	}
}
