package oauth

import (
	"context"
	"fmt"

	"github.com/caddy-admit/admit/internal/outbound"
)

// endpoint is one kind of endpoint: how it is given by hand, and how discovery
// names it.
type endpoint struct {
	option, member string
	byHand         func(*Endpoints) *string
	found          func(*Metadata) string
}

var (
	authorizationEndpoint = endpoint{
		"authorization_url", "authorization_endpoint",
		func(e *Endpoints) *string { return &e.Authorization },
		func(m *Metadata) string { return m.AuthorizationEndpoint },
	}
	tokenEndpoint = endpoint{
		"token_url", "token_endpoint",
		func(e *Endpoints) *string { return &e.Token },
		func(m *Metadata) string { return m.TokenEndpoint },
	}
	userinfoEndpoint = endpoint{
		"userinfo_url", "userinfo_endpoint",
		func(e *Endpoints) *string { return &e.Userinfo },
		func(m *Metadata) string { return m.UserinfoEndpoint },
	}
	endSessionEndpoint = endpoint{
		"end_session_url", "end_session_endpoint",
		func(e *Endpoints) *string { return &e.EndSession },
		func(m *Metadata) string { return m.EndSessionEndpoint },
	}
	introspectionEndpoint = endpoint{
		"introspection url", "introspection_endpoint",
		nil,
		func(m *Metadata) string { return m.IntrospectionEndpoint },
	}
	// endpoints are those of a login.
	endpoints = []endpoint{authorizationEndpoint, tokenEndpoint, userinfoEndpoint, endSessionEndpoint}
)

// find returns where the endpoint is, "" where there is none, see
// [RelyingParty.endpoint].
func (e endpoint) find(ctx context.Context, byHand string, d *Discovery, discoveryURL string, insecureHTTP bool) (string, error) {
	if byHand != "" || d == nil {
		return byHand, nil
	}
	m, err := d.Metadata(ctx)
	if err != nil {
		return "", err
	}
	url := e.found(m)
	if err := checkEndpoint(e.member, url, discoveryURL, insecureHTTP); err != nil {
		return "", fmt.Errorf("%w: %w", outbound.ErrUnavailable, err)
	}
	return url, nil
}

func (e endpoint) missing() error {
	return fmt.Errorf("%w: oauth: discovery document names no %s: set %s", outbound.ErrUnavailable, e.member, e.option)
}

// Locator finds the endpoints that are asked about what clients send. It makes no
// call before one of its endpoints is needed.
type Locator struct {
	// Discovery names what is not given by hand, nil where there is none.
	// DiscoveryURL is where its document lies.
	Discovery    *Discovery
	DiscoveryURL string
	// InsecureHTTP permits plain http to hosts other than loopback.
	InsecureHTTP bool
}

// Token returns a function that finds the token endpoint. What is given by hand
// wins if it is not empty, and is for the caller to check with
// [outbound.CheckURL]. What discovery says is held to the rules of a jwks_uri: a
// secret will be sent there. The error of the function wraps
// [outbound.ErrUnavailable], also where there is no such endpoint.
func (l Locator) Token(byHand string) func(context.Context) (string, error) {
	return l.locate(tokenEndpoint, byHand)
}

// Introspection is [Locator.Token] for the introspection endpoint.
func (l Locator) Introspection(byHand string) func(context.Context) (string, error) {
	return l.locate(introspectionEndpoint, byHand)
}

// Userinfo is [Locator.Token] for the userinfo endpoint.
func (l Locator) Userinfo(byHand string) func(context.Context) (string, error) {
	return l.locate(userinfoEndpoint, byHand)
}

func (l Locator) locate(e endpoint, byHand string) func(context.Context) (string, error) {
	return func(ctx context.Context) (string, error) {
		url, err := e.find(ctx, byHand, l.Discovery, l.DiscoveryURL, l.InsecureHTTP)
		if err == nil && url == "" {
			err = e.missing()
		}
		return url, err
	}
}
