package oauth

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/caddy-admit/admit/internal/outbound"
	"github.com/caddy-admit/admit/jwt"
)

// Vendors that [RelyingParty] treats in a way of their own, beside
// [jwt.VendorCognito] with its logout.
const (
	// VendorGitHub: its API is asked for what the user endpoint leaves out: the
	// verified address, the organisations and the teams.
	VendorGitHub = "github"
	// VendorAuth0: tenants that name no end_session_endpoint have an older logout.
	VendorAuth0 = "auth0"
)

// What counts in a session, see [RelyingPartyConfig.SessionToken].
const (
	SessionTokenID     = "id"
	SessionTokenAccess = "access"
)

// Endpoints are those of a provider that were given by hand. They win over what
// discovery says.
type Endpoints struct {
	Authorization, Token, Userinfo, EndSession string
}

// Param is an extra parameter of the authorization request.
type Param struct{ Name, Value string }

// RelyingPartyConfig says how somebody logs in at one provider.
type RelyingPartyConfig struct {
	Client *outbound.Client
	// Discovery names the endpoints that are not given by hand, nil where there is
	// none. DiscoveryURL is where its document lies.
	Discovery    *Discovery
	DiscoveryURL string
	// InsecureHTTP permits plain http to hosts other than loopback.
	InsecureHTTP bool
	Endpoints    Endpoints
	// Issuer is the expected "iss" of answers (RFC 9207), empty for a provider
	// without one.
	Issuer string
	Auth   ClientAuth
	// Scopes are asked for. With "openid" among them it is OpenID Connect and an ID
	// token is required, without it the userinfo endpoint says who it is.
	Scopes []string
	// SessionToken is the token whose claims count: id (the default) or access.
	SessionToken string
	// Userinfo adds the claims of the userinfo endpoint that the token lacks.
	Userinfo bool
	// Vendor is one of the Vendor constants, another vendor's name, or empty.
	Vendor string
	// IDTokens checks ID tokens; its audience is the client id. AccessTokens checks
	// access tokens as the gate does.
	IDTokens, AccessTokens *jwt.Verifier
	// Params are added to the authorization request.
	Params []Param
	// Refresh is the longest time between two questions to the provider; zero: it
	// is asked when the access token ends.
	Refresh time.Duration
	// NoRefresh: the provider is never asked again.
	NoRefresh bool
	// Replays remembers the logout tokens that were taken, and should outlive a
	// reload. Nil: the relying party has its own.
	Replays *Replays
	Now     func() time.Time
}

// RelyingParty is one client of one provider (OpenID Connect Core 1.0, RFC 6749).
// It is safe for concurrent use.
type RelyingParty struct {
	config RelyingPartyConfig
	tokens *TokenEndpoint

	ownReplays Replays // if the configuration has none
}

// NewRelyingParty makes a relying party. It makes no call. It reports every
// mistake in the configuration at once.
func NewRelyingParty(c RelyingPartyConfig) (*RelyingParty, error) {
	p := &RelyingParty{config: c, tokens: NewTokenEndpoint(c.Client, c.Now)}
	errs := []error{c.Auth.Check(), p.checkEndpoints(), CheckParams(c.Params)}
	switch {
	case c.SessionToken != "" && c.SessionToken != SessionTokenID && c.SessionToken != SessionTokenAccess:
		errs = append(errs, fmt.Errorf("oauth: session_token %q: expected id or access", c.SessionToken))
	case p.byAccessToken() && c.AccessTokens == nil:
		errs = append(errs, errors.New("oauth: session_token access: there is nothing to check access tokens with"))
	}
	if p.OpenID() && c.IDTokens == nil {
		errs = append(errs, errors.New("oauth: scope openid: there is nothing to check ID tokens with"))
	}
	if err := errors.Join(errs...); err != nil {
		return nil, err
	}
	return p, nil
}

// checkEndpoints checks what was given by hand, and that nothing is missing where
// there is no discovery to name it.
func (p *RelyingParty) checkEndpoints() error {
	var errs []error
	for _, e := range endpoints {
		url := *e.byHand(&p.config.Endpoints)
		if url == "" {
			continue
		}
		if _, err := outbound.CheckURL(url, p.config.InsecureHTTP); err != nil {
			errs = append(errs, fmt.Errorf("oauth: %s: %w", e.option, err))
		}
	}
	if p.config.Discovery != nil {
		return errors.Join(errs...)
	}
	needed := []endpoint{authorizationEndpoint, tokenEndpoint}
	if p.plain() {
		needed = append(needed, userinfoEndpoint)
	}
	for _, e := range needed {
		if *e.byHand(&p.config.Endpoints) == "" {
			errs = append(errs, fmt.Errorf("oauth: %s: needed where the issuer has no discovery", e.option))
		}
	}
	return errors.Join(errs...)
}

// SameProvider reports whether another relying party is a client of this one's provider,
// as far as their configurations say.
func (p *RelyingParty) SameProvider(other *RelyingParty) bool {
	a, b := &p.config, &other.config
	if a.Issuer != "" && b.Issuer != "" {
		return a.Issuer == b.Issuer
	}
	return a.DiscoveryURL == b.DiscoveryURL && a.Endpoints.Token == b.Endpoints.Token
}

// OpenID reports whether the provider is asked for an ID token.
func (p *RelyingParty) OpenID() bool { return slices.Contains(p.config.Scopes, "openid") }

// FormPost reports whether answers come as a form (OAuth 2.0 Form Post Response
// Mode), not in the query.
func (p *RelyingParty) FormPost() bool {
	return slices.Contains(p.config.Params, Param{"response_mode", "form_post"})
}

// byAccessToken reports whether the claims of a session are the access token's.
func (p *RelyingParty) byAccessToken() bool { return p.config.SessionToken == SessionTokenAccess }

// plain reports whether there is no token that could be checked, so that the
// userinfo endpoint alone says who it is.
func (p *RelyingParty) plain() bool { return !p.OpenID() && !p.byAccessToken() }

// endpoint returns where an endpoint of the provider is, "" where it has none.
// What was given by hand wins. What discovery says is checked as a jwks_uri is:
// secrets and tokens are sent there. The error wraps [outbound.ErrUnavailable].
func (p *RelyingParty) endpoint(ctx context.Context, e endpoint) (string, error) {
	return e.find(ctx, *e.byHand(&p.config.Endpoints), p.config.Discovery, p.config.DiscoveryURL, p.config.InsecureHTTP)
}

// needed is endpoint for one that nothing goes on without.
func (p *RelyingParty) needed(ctx context.Context, e endpoint) (string, error) {
	url, err := p.endpoint(ctx, e)
	if err == nil && url == "" {
		err = e.missing()
	}
	return url, err
}
