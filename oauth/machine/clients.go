package machine

import (
	"context"
	"errors"
	"net/http"
	"net/netip"
	"strings"
	"time"

	"github.com/caddy-admit/admit/oauth"
	"github.com/caddy-admit/admit/oauth/local"
)

const (
	// maxClientID and maxClientSecret are lengths in bytes beyond which there is no
	// such client.
	maxClientID     = 512
	maxClientSecret = 2048
)

// ClientsConfig says where and for what clients get their tokens.
type ClientsConfig struct {
	Tokens *oauth.TokenEndpoint
	// URL finds the token endpoint, see [oauth.Locator.Token].
	URL func(ctx context.Context) (string, error)
	// Scopes and Audience are asked for. An audience that is a URI is also named as
	// the resource (RFC 8707).
	Scopes   []string
	Audience string
	// Limiter counts wrong secrets, and should outlive Clients. Nil: one of its own.
	Limiter *local.Limiter
	// Observe, if not nil, is told the outcome of each call: nil for a token.
	Observe func(err error)
	Now     func() time.Time
}

// Clients turns a client's own id and secret into a token (RFC 6749 section 4.4).
type Clients struct {
	config  ClientsConfig
	checker checker[string]
}

// NewClients makes a Clients. It makes no call.
func NewClients(c ClientsConfig) *Clients {
	return &Clients{config: c, checker: newChecker[string](c.Limiter, c.Now, c.Observe)}
}

// Close ends the calls that are running and forgets all tokens.
func (c *Clients) Close() { c.checker.Close() }

// Token returns an access token for a client, who has sent its id and secret as
// they are, from an address: Caddy's client IP, the zero Addr if there is none.
// The token proves nothing here: it is to be checked as if the client had sent it.
//
// A token is used until shortly before its end, at most for [TokenCap], which is
// how long a changed secret goes on; one without "expires_in" for a minute, one
// whose "expires_in" is not positive for those who wait for it now. It returns
//
//   - [ErrBadClient] for an id and secret that the endpoint refuses, for 10 s
//     without asking again,
//   - a [*local.LockedError] for whoever has tried too many wrong ones; the same
//     one again is no further guess,
//   - else an error that wraps [oauth.ErrTokenEndpoint] or
//     [outbound.ErrUnavailable]: nobody knows whether the secret is right. It is a
//     [*RefusedError] where somebody must change the configuration, and is
//     remembered for 10 s as well.
func (c *Clients) Token(ctx context.Context, id, secret string, address netip.Addr) (token string, err error) {
	if !plain(id, maxClientID) || !plain(secret, maxClientSecret) {
		return "", ErrBadClient
	}
	key := c.checker.digest(id, secret, strings.Join(c.config.Scopes, " "), c.config.Audience)
	return c.checker.check(ctx, c.checker.credential(key, id, address), func(ctx context.Context) answer[string] {
		return c.ask(ctx, id, secret)
	})
}

// Refuse answers as [Clients.Token] does to a wrong secret, counts it as one, and asks
// nobody: it is for ids that are no client's, which nobody is to tell from those that
// are (threat 79).
func (c *Clients) Refuse(ctx context.Context, id, secret string, address netip.Addr) error {
	if !plain(id, maxClientID) || !plain(secret, maxClientSecret) {
		return ErrBadClient
	}
	key := c.checker.digest("refused", id, secret) // fewer parts than the key of any token
	k := c.checker.credential(key, id, address)
	k.idle = true
	_, err := c.checker.check(ctx, k, func(context.Context) answer[string] {
		return answer[string]{err: ErrBadClient, guess: true}
	})
	return err
}

func (c *Clients) ask(ctx context.Context, id, secret string) answer[string] {
	url, err := c.config.URL(ctx)
	if err != nil {
		return answer[string]{err: err}
	}
	auth := oauth.ClientAuth{ID: id, Secret: secret, Method: oauth.AuthBasic}
	tokens, err := c.config.Tokens.Ask(ctx, url, auth, form("client_credentials", c.config.Scopes, c.config.Audience))
	if err != nil {
		err, guess := refused(err)
		return answer[string]{err: err, guess: guess}
	}
	return given(tokens, c.config.Now())
}

// refused says what a token endpoint's refusal means. guess reports that it may be
// about the secret, whatever it is called.
func refused(err error) (meaning error, guess bool) {
	var refusal *oauth.TokenError
	if !errors.As(err, &refusal) {
		return err, false
	}
	hint := "look at client_credentials: token_url"
	switch refusal.Code {
	case "invalid_client", "unauthorized_client", // RFC 6749 section 5.2
		"access_denied",                // Auth0
		"invalid_grant",                // Salesforce, of a client without a user
		"invalid_client_id",            // Salesforce
		"incorrect_client_credentials": // GitHub
		return ErrBadClient, true
	case "invalid_scope":
		return &RefusedError{"token", refusal.Code, refusal.Status, "look at client_credentials: scopes, and at the scopes of the client at the provider"}, false
	case "invalid_target", "invalid_resource":
		return &RefusedError{"token", refusal.Code, refusal.Status, "look at client_credentials: audience"}, false
	case "unsupported_grant_type":
		return &RefusedError{"token", refusal.Code, refusal.Status, "the provider has no client credentials grant: look at its settings"}, false
	}
	switch refusal.Status {
	case http.StatusUnauthorized:
		return ErrBadClient, true
	case http.StatusOK, http.StatusBadRequest, http.StatusForbidden:
		guess = true
		hint += ", scopes, audience"
	}
	return &RefusedError{"token", refusal.Code, refusal.Status, hint}, guess
}
