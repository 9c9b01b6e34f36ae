package admit

import (
	"net/netip"
	"strings"

	"github.com/caddy-admit/admit/claims"
)

// byBasic checks what came by HTTP Basic. A user id that a local integration of the
// gate knows is checked there and nowhere else, so that nobody's password goes to an
// issuer, and neither does that of a user who writes the id another way; any other id
// is a client's.
func (c *checker) byBasic(r *request, found credential) claims.Decision {
	clients := found.place.clients()
	for _, in := range c.integrations {
		if in.local.knows(found.user) {
			return in.byPassword(r, found, clients)
		}
	}
	if clients == nil {
		return found.place.integrations[0].signIn(r, found.user, found.password)
	}
	for _, in := range c.integrations {
		if in.local.resembles(found.user) {
			return in.byPassword(r, found, clients)
		}
	}
	return clients.byClient(r, found.user, found.password)
}

// clients returns the integration that takes ids and secrets of clients here, nil if
// none does.
func (p *place) clients() *integration {
	for _, in := range p.integrations {
		if in.clients != nil {
			return in
		}
	}
	return nil
}

// byPassword checks the password of a user of one's own, or refuses it where nobody
// signs in by HTTP Basic. Where clients are taken too it is refused as a client's
// secret is, or the answer would tell who the users are (threat 79).
func (in *integration) byPassword(r *request, found credential, clients *integration) claims.Decision {
	d := claims.Decision{Verdict: claims.Refused, Reason: claims.BadPassword, Integration: in.name, Credential: "basic"}
	switch {
	case in.local.basic:
		d = in.signIn(r, found.user, found.password)
	case clients != nil:
		return notSignedIn(d, clients.clients.Refuse(r.Context(), found.user, found.password, addressOf(r)))
	}
	if clients != nil && d.Reason == claims.BadPassword {
		d.Reason = claims.BadClient
	}
	return d
}

// knows reports whether there is a user of that id, who may sign in or not.
func (r *realm) knows(id string) bool {
	if r == nil || r.users == nil {
		return false
	}
	_, ok := r.users.Get(id)
	return ok
}

// resembles reports whether that id may be meant for a user.
func (r *realm) resembles(id string) bool { return r != nil && r.users != nil && r.users.Resembles(id) }

// byClient gets a token for a client's id and secret, and checks it like any other.
func (in *integration) byClient(r *request, id, secret string) claims.Decision {
	d := claims.Decision{Integration: in.name, Credential: "basic"}
	token, err := in.clients.Token(r.Context(), id, secret, addressOf(r))
	if err != nil {
		return notSignedIn(d, err)
	}
	d = in.alone.checkToken(r, token)
	if d.Credential = "basic"; d.Reason == "" {
		r.state.token = token
	}
	return d
}

// addressOf returns the address of the client, the zero one if it has none.
func addressOf(r *request) netip.Addr {
	address, _ := netip.ParseAddr(clientOf(r.Request))
	return address
}

// checkToken checks what may be a token, an API key or an opaque token: what is no
// JWT is looked up among the keys first, then those are asked who know opaque ones.
func (p *place) checkToken(r *request, raw string) claims.Decision {
	d := p.check(r.Context(), raw)
	if isOpaque(raw, d.Reason) && !p.apiKeys() {
		if said, ok := p.introspect(r, raw); ok {
			d = said
		}
	}
	return p.complete(r, raw, d)
}

// isOpaque reports whether a token that was refused is none that could be read here.
// What is written as a JWT has to be one.
func isOpaque(raw string, reason claims.Reason) bool {
	switch reason {
	case claims.BadAPIKey, claims.MalformedToken, claims.Encrypted:
		return strings.Count(raw, ".") != 2 || !strings.HasPrefix(raw, "ey")
	}
	return false
}

// introspect asks those about an opaque token who take any, in their order. It
// reports false if nobody does.
func (p *place) introspect(r *request, raw string) (first claims.Decision, ok bool) {
	for _, in := range p.integrations {
		if in.introspector == nil {
			continue
		}
		d := in.vouchedFor(in.introspector.Claims(r.Context(), raw, addressOf(r)))
		if d.Reason == "" {
			return d, true
		}
		if !ok || outOfReach(d.Reason) {
			first, ok = d, true
		}
	}
	return first, ok
}

// complete adds what the userinfo endpoint says to the claims of a token that was
// found good.
func (p *place) complete(r *request, raw string, d claims.Decision) claims.Decision {
	if d.Reason != "" || d.Identity == nil {
		return d
	}
	for _, in := range p.integrations {
		if in.userinfo == nil || in.name != d.Integration {
			continue
		}
		set, err := in.userinfo.Claims(r.Context(), raw, d.Identity.Claims())
		if err != nil {
			d.Identity = nil
			return notSignedIn(d, err)
		}
		if d.Identity = in.mapping.Identify(set); d.Identity == nil {
			d.Verdict, d.Reason = claims.Refused, claims.NoIdentity
		}
	}
	return d
}
