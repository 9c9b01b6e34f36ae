package oauth

import (
	"context"
	"net/url"
	"strings"

	"github.com/caddy-admit/admit/jwt"
)

// maxEndSession is the length in bytes of the longest URL that goes to a provider
// with an ID token in it. Many servers refuse a longer one.
const maxEndSession = 8 << 10

// EndSessionURL returns where to send the browser to end the session at the
// provider (OpenID Connect RP-Initiated Logout 1.0 section 2), "" for a provider
// that cannot do that. The ID token may be empty; it is left out where the URL
// would be longer than 8 KiB with it. returnURI is where the provider sends the
// browser afterwards, with the state; where it is empty, or not registered, the
// browser stays there. Amazon Cognito and Auth0's older logout do not hand the
// state back. The error wraps outbound.ErrUnavailable: the provider cannot be asked
// where its logout is.
//
// The URL may hold an ID token: it belongs into the header field that leads the browser
// there, Location or Refresh, of an answer that no cache and no access log keeps, and
// into no page, link or log line (threat 76).
func (p *RelyingParty) EndSessionURL(ctx context.Context, idToken, returnURI, state string) (string, error) {
	endpoint, err := p.endSession(ctx)
	if endpoint == "" || err != nil {
		return "", err
	}
	query := url.Values{"client_id": {p.config.Auth.ID}}
	set := func(name, value string) {
		if value != "" {
			query.Set(name, value)
		}
	}
	if name := p.ownReturn(endpoint); name != "" {
		set(name, returnURI)
		return withQuery(endpoint, query), nil
	}
	if returnURI != "" {
		set("post_logout_redirect_uri", returnURI)
		set("state", state)
	}
	short := withQuery(endpoint, query)
	if idToken == "" {
		return short, nil
	}
	set("id_token_hint", idToken)
	if long := withQuery(endpoint, query); len(long) <= maxEndSession {
		return long, nil
	}
	return short, nil
}

// EndsSessions reports whether there is an [RelyingParty.EndSessionURL], and whether the
// provider hands the state back that is in it, for those who have something to prepare.
// The error is the same.
func (p *RelyingParty) EndsSessions(ctx context.Context) (ends, handsBack bool, err error) {
	endpoint, err := p.endSession(ctx)
	if endpoint == "" || err != nil {
		return false, false, err
	}
	return true, p.ownReturn(endpoint) == "", nil
}

// ownReturn returns what a vendor calls the post-logout redirect URI whose logout is
// one of its own, without a state; "" where it is as the standard says.
func (p *RelyingParty) ownReturn(endpoint string) string {
	switch {
	case p.config.Vendor == jwt.VendorCognito:
		return "logout_uri"
	case p.config.Vendor == VendorAuth0 && strings.HasSuffix(endpoint, auth0Path):
		return "returnTo"
	}
	return ""
}

func (p *RelyingParty) endSession(ctx context.Context) (endpoint string, err error) {
	endpoint, err = p.endpoint(ctx, endSessionEndpoint)
	if err == nil && endpoint == "" && p.config.Vendor == VendorAuth0 {
		endpoint = p.auth0Logout()
	}
	return endpoint, err
}

// auth0Path is where tenants of Auth0 end sessions that have no
// end_session_endpoint.
const auth0Path = "/v2/logout"

// auth0Logout returns that of the issuer's tenant, "" without an issuer.
func (p *RelyingParty) auth0Logout() string {
	u, err := url.Parse(p.config.Issuer)
	if err != nil || u.Host == "" {
		return ""
	}
	return u.Scheme + "://" + u.Host + auth0Path
}
