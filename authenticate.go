package admit

import (
	"context"
	"errors"
	"net/http"
	"slices"
	"strings"

	"github.com/caddy-admit/admit/claims"
	"github.com/caddy-admit/admit/internal/store"
	"github.com/caddy-admit/admit/jwt"
)

// authenticate finds out who the request comes from. The decision that it
// returns has an identity, or a reason for refusing, or neither if the client
// brought no credential.
func (c *checker) authenticate(r *request) claims.Decision {
	if known := &r.state.decision; known.Identity != nil && known.LetsIn() && slices.Contains(c.integrations, r.state.in) && !r.carries() {
		// A gate before this one has checked it and let it in.
		return c.guardCookie(r.Request, claims.Decision{Identity: known.Identity, Integration: known.Integration, Credential: known.Credential})
	}
	r.state.token, r.state.opened, r.state.in = "", opened{}, nil // of an earlier gate
	if r.state.more != nil {
		r.state.more.carrier = nil
	}
	return c.settle(r, c.findOut(r))
}

// findOut finds out whose the credential is that a client has sent.
func (c *checker) findOut(r *request) claims.Decision {
	found, reason := findCredential(r.sentHeader(), r.sentQuery(), c.places)
	switch {
	case reason != "":
		return claims.Decision{Verdict: claims.Refused, Reason: reason, Credential: found.place.kind()}
	case found.place == nil:
		return c.fromBrowser(r)
	case found.place.Basic:
		return c.guardCookie(r.Request, c.byBasic(r, found))
	}
	return found.place.checkAll(r, []string{found.token})
}

// fromBrowser looks at what browsers send by themselves, in the order of the
// places: tokens in cookies, and sessions.
func (c *checker) fromBrowser(r *request) claims.Decision {
	for i := range c.places {
		p := &c.places[i]
		if p.Session {
			if d := p.openSession(r); d.Identity != nil || d.Reason != "" {
				return c.guardCookie(r.Request, d)
			}
		}
		if p.Cookie == "" {
			continue
		}
		if tokens := p.inCookies(r.sentCookies()); len(tokens) > 0 {
			return c.guardCookie(r.Request, p.checkAll(r, tokens))
		}
	}
	return claims.Decision{}
}

// checkAll checks tokens, of which one is enough: several are only there where a
// neighbour domain may have planted a cookie.
func (p *place) checkAll(r *request, tokens []string) (first claims.Decision) {
	for i, token := range tokens {
		d := p.checkToken(r, token)
		d.Credential = or(d.Credential, p.kind())
		if d.Reason == "" {
			if d.Credential != "api_key" {
				r.state.token = token
			}
			return d
		}
		if i == 0 || outOfReach(d.Reason) {
			first = d
		}
	}
	return first
}

// outOfReach reports a refusal for lack of what would tell. It weighs more than
// another one: with that at hand the request might get in.
func outOfReach(reason claims.Reason) bool {
	return reason == claims.KeysUnavailable || reason == claims.StorageUnavailable || reason == claims.SignInUnavailable
}

// ambient are the credentials that browsers add by themselves, whoever asks: a
// password that was typed into their prompt too.
var ambient = []string{"cookie", "session", "basic"}

// guardCookie refuses what a page of another site sends with one of them.
func (c *checker) guardCookie(r *http.Request, d claims.Decision) claims.Decision {
	if d.Reason == "" && slices.Contains(ambient, d.Credential) && crossOrigin(r) && !c.origins.trusts(r) {
		d.Verdict, d.Reason = claims.Refused, claims.CrossOrigin
	}
	return d
}

// malformed is what cannot be a credential.
var malformed = claims.Decision{Verdict: claims.Refused, Reason: claims.MalformedCredential}

// check finds the integration that a token belongs to and has it verified there.
// A token goes to those whose issuer it names; only if there is none, to those
// that do not look at the issuer. Keys of one never vouch for another.
func (p *place) check(ctx context.Context, raw string) claims.Decision {
	var key *jwt.CacheKey
	if len(p.memory.caches) > 0 && len(raw) <= jwt.MaxTokenSize {
		k := jwt.NewCacheKey(raw)
		if d, ok := p.remembered(ctx, k); ok {
			return d
		}
		key = &k
	}
	if !p.readable(raw) {
		return malformed
	}
	if p.apiKeys() || strings.Count(raw, ".") != 2 {
		if d := p.checkAPIKey(raw); d.Identity != nil || d.Reason != "" {
			return d
		}
	}
	token, err := jwt.Parse(raw)
	if err != nil {
		return refused(err)
	}
	if key != nil {
		key.Miss()
	}
	return p.verify(ctx, token, key)
}

// verify has a token verified by those that it may belong to, in their order.
func (p *place) verify(ctx context.Context, token *jwt.Token, key *jwt.CacheKey) claims.Decision {
	candidates := p.integrations
	if len(candidates) > 1 || candidates[0].verifier == nil {
		candidates = takers(candidates, token.Claims)
	}
	first := claims.Decision{Verdict: claims.Refused, Reason: claims.UnknownIssuer}
	for i, in := range candidates {
		d := in.verify(ctx, token, key)
		if d.Reason == "" {
			return d
		}
		if i == 0 || outOfReach(d.Reason) {
			first = d
		}
	}
	return first
}

func takers(all []*integration, set *claims.Set) (some []*integration) {
	for _, issuers := range []bool{true, false} {
		for _, in := range all {
			if in.verifier != nil && in.verifier.HasIssuer() == issuers && in.verifier.Takes(set) {
				some = append(some, in)
			}
		}
		if len(some) > 0 {
			return some
		}
	}
	return nil
}

// verify verifies a token, and keeps what came of it if there is a key for that.
func (in *integration) verify(ctx context.Context, token *jwt.Token, key *jwt.CacheKey) claims.Decision {
	d := claims.Decision{Integration: in.name}
	if err := in.verifier.Verify(ctx, token); err != nil {
		d = refused(err)
		d.Integration = in.name
		return d
	}
	if d.Identity = in.mapping.Identify(token.Claims); d.Identity == nil {
		d.Verdict, d.Reason = claims.Refused, claims.NoIdentity
	} else if key != nil && in.kept != nil {
		in.kept.Keep(*key, token, d.Identity)
	}
	return d
}

// refused makes a decision of an error of package jwt. What is no rejection
// means that the token could not be judged.
func refused(err error) claims.Decision {
	d := claims.Decision{Verdict: claims.Refused, Reason: claims.KeysUnavailable}
	if errors.Is(err, store.ErrUnavailable) {
		d.Reason = claims.StorageUnavailable
	}
	var rejected *jwt.RejectedError
	if errors.As(err, &rejected) {
		d.Reason = rejected.Reason
	}
	return d
}
