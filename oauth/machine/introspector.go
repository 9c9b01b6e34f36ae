package machine

import (
	"context"
	"errors"
	"net/netip"
	"time"

	"github.com/caddy-admit/admit/claims"
	"github.com/caddy-admit/admit/internal/outbound"
	"github.com/caddy-admit/admit/jwt"
	"github.com/caddy-admit/admit/oauth"
	"github.com/caddy-admit/admit/oauth/local"
)

const (
	// IntrospectionCap is how long an answer about a token is used at most: so long
	// a token that was revoked goes on (threat 92, RFC 7662 section 4).
	IntrospectionCap = time.Minute
	// minToken is the length in bytes of the shortest token that is asked about.
	minToken = 8
	// parsed is about how many times its length claims take in memory.
	parsed = 4
)

// IntrospectorConfig says where opaque tokens are asked about.
type IntrospectorConfig struct {
	Client *outbound.Client
	// Auth is who asks.
	Auth oauth.ClientAuth
	// URL finds the introspection endpoint, see [oauth.Locator.Introspection].
	URL func(ctx context.Context) (string, error)
	// Limiter counts tokens that are not active per address, and should outlive the
	// Introspector. Nil: one of its own.
	Limiter *local.Limiter
	// Observe, if not nil, is told the outcome of each call: nil for claims.
	Observe func(err error)
	Now     func() time.Time
}

// Introspector turns an opaque token into claims (RFC 7662).
type Introspector struct {
	config  IntrospectorConfig
	checker checker[*claims.Set]
}

// NewIntrospector makes an Introspector. It makes no call. It returns an error if
// it is not clear who asks.
func NewIntrospector(c IntrospectorConfig) (*Introspector, error) {
	if err := c.Auth.Check(); err != nil {
		return nil, err
	}
	return &Introspector{config: c, checker: newChecker[*claims.Set](c.Limiter, c.Now, c.Observe)}, nil
}

// Close ends the calls that are running and forgets all answers.
func (i *Introspector) Close() { i.checker.Close() }

// Claims returns what the issuer says about a token that a client has sent from an
// address, with its members "active" and all; they are shared and must not be
// changed. Whether they are of the right issuer, for the right audience and of
// this time is to be checked on every request, see [jwt.Verifier.CheckClaims].
//
// An answer is used until the token's end, at most for [IntrospectionCap]. It
// returns
//
//   - a [*jwt.RejectedError] for what cannot be a token, without asking, and for a
//     token that is none to be used by whoever has it,
//   - [ErrInactive] for one that is not active, for 10 s without asking again,
//   - a [*local.LockedError] for addresses from which too many of them came,
//   - else an error that wraps [oauth.ErrTokenEndpoint] or
//     [outbound.ErrUnavailable]: nobody knows about the token. It is a
//     [*RefusedError] where somebody must change the configuration, and is
//     remembered for 10 s as well.
func (i *Introspector) Claims(ctx context.Context, token string, address netip.Addr) (*claims.Set, error) {
	if len(token) < minToken || !bearer(token) { // threat 91
		return nil, &jwt.RejectedError{Reason: claims.MalformedToken}
	}
	k := i.checker.credential(i.checker.digest(token), "", address)
	return i.checker.check(ctx, k, func(ctx context.Context) answer[*claims.Set] {
		return i.ask(ctx, token)
	})
}

func (i *Introspector) ask(ctx context.Context, token string) answer[*claims.Set] {
	url, err := i.config.URL(ctx)
	if err != nil {
		return answer[*claims.Set]{err: err}
	}
	s, err := oauth.Introspect(ctx, i.config.Client, url, i.config.Auth, token, i.config.Now())
	var refusal *oauth.TokenError
	if errors.As(err, &refusal) {
		hint := "look at introspection: url"
		if refusal.Status == 401 || refusal.Status == 403 || refusal.Code == "invalid_client" {
			hint = "look at introspection: client_id and client_secret, and whether that client may ask about tokens"
		}
		err = &RefusedError{"introspection", refusal.Code, refusal.Status, hint}
	}
	if err != nil {
		return answer[*claims.Set]{err: err, guess: errors.Is(err, ErrInactive)}
	}
	left := min(IntrospectionCap, leftOf(s, i.config.Now()))
	return answer[*claims.Set]{value: s, size: parsed * len(s.Bytes()), life: left}
}
