package machine

import (
	"context"
	"errors"
	"strings"
	"time"

	"github.com/caddy-admit/admit/oauth"
)

const (
	exchangeGrant   = "urn:ietf:params:oauth:grant-type:token-exchange"
	accessTokenType = "urn:ietf:params:oauth:token-type:access_token"
)

// ExchangerConfig says where and for what tokens are exchanged.
type ExchangerConfig struct {
	Tokens *oauth.TokenEndpoint
	// URL finds the token endpoint, see [oauth.Locator.Token].
	URL func(ctx context.Context) (string, error)
	// Auth is who exchanges.
	Auth oauth.ClientAuth
	// Scopes and Audience are asked for. An audience that is a URI is also named as
	// the resource.
	Scopes   []string
	Audience string
	// Observe, if not nil, is told the outcome of each call: nil for a token.
	Observe func(err error)
	Now     func() time.Time
}

// Exchanger turns a token that was checked into one for somebody else, about the
// same subject (RFC 8693).
type Exchanger struct {
	config ExchangerConfig
	asker  *asker[string]
}

// NewExchanger makes an Exchanger. It makes no call. It returns an error if it is
// not clear who exchanges.
func NewExchanger(c ExchangerConfig) (*Exchanger, error) {
	if err := c.Auth.Check(); err != nil {
		return nil, err
	}
	return &Exchanger{config: c, asker: newAsker[string](c.Now, c.Observe)}, nil
}

// Close ends the calls that are running and forgets all tokens.
func (x *Exchanger) Close() { x.asker.Close() }

// Token returns a token for the audience in exchange for an access token, which the
// caller has checked for this request. It is used as long as one of
// [Clients.Token]. It returns
//
//   - [ErrInactive] where the endpoint no longer takes the access token,
//   - else an error that wraps [oauth.ErrTokenEndpoint] or
//     [outbound.ErrUnavailable], a [*RefusedError] where somebody must change the
//     configuration.
//
// Both are remembered for 10 s.
func (x *Exchanger) Token(ctx context.Context, subject string) (token string, err error) {
	got, _ := x.asker.get(ctx, question[string]{
		key: x.asker.digest(subject, strings.Join(x.config.Scopes, " "), x.config.Audience),
		ask: func(ctx context.Context) answer[string] { return x.ask(ctx, subject) },
	})
	return got.value, got.err
}

func (x *Exchanger) ask(ctx context.Context, subject string) answer[string] {
	url, err := x.config.URL(ctx)
	if err != nil {
		return answer[string]{err: err}
	}
	f := form(exchangeGrant, x.config.Scopes, x.config.Audience)
	f.Set("subject_token", subject)
	f.Set("subject_token_type", accessTokenType)
	f.Set("requested_token_type", accessTokenType)
	tokens, err := x.config.Tokens.Ask(ctx, url, x.config.Auth, f)
	if err != nil {
		return answer[string]{err: exchangeRefused(err)}
	}
	return given(tokens, x.config.Now())
}

// exchangeRefused says what a refusal means. "invalid_request" is what RFC 8693
// section 2.2.2 has for a token that is not good, but also for all else.
func exchangeRefused(err error) error {
	var refusal *oauth.TokenError
	if !errors.As(err, &refusal) {
		return err
	}
	hint := "look at forward exchange, and whether this client may exchange tokens at the provider"
	switch refusal.Code {
	case "invalid_grant", "invalid_token":
		return ErrInactive
	case "invalid_client", "unauthorized_client":
		hint = "look at client_id and client_secret, and whether this client may exchange tokens at the provider"
	case "invalid_scope":
		hint = "look at forward exchange: scopes"
	case "invalid_target":
		hint = "look at forward exchange: audience"
	}
	return &RefusedError{"token", refusal.Code, refusal.Status, hint}
}
