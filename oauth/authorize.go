package oauth

import (
	"context"
	"errors"
	"fmt"
	"net/url"
	"slices"
	"strconv"
	"strings"
)

// AuthorizationOptions are what one login asks for. They win over [Param].
type AuthorizationOptions struct {
	// LoginHint is who will probably log in, Prompt what the provider is to ask:
	// login, select_account and the like (OpenID Connect Core 1.0 section 3.1.2.1).
	LoginHint, Prompt string
}

// AuthorizationURL returns where to send the browser to log in: the authorization
// request (RFC 6749 section 4.1.1) with state and PKCE by S256, and a nonce where
// an ID token is asked for (threats 55, 57 and 58). The error wraps
// outbound.ErrUnavailable.
func (p *RelyingParty) AuthorizationURL(ctx context.Context, a *Attempt, redirectURI string, o AuthorizationOptions) (string, error) {
	endpoint, err := p.needed(ctx, authorizationEndpoint)
	if err != nil {
		return "", err
	}
	return withQuery(endpoint, p.authorizationQuery(a, redirectURI, o)), nil
}

// authorizationQuery returns the parameters of the request.
func (p *RelyingParty) authorizationQuery(a *Attempt, redirectURI string, o AuthorizationOptions) url.Values {
	query := url.Values{}
	for _, param := range p.config.Params {
		query.Add(param.Name, param.Value)
	}
	for name, value := range map[string]string{
		"response_type":         "code",
		"client_id":             p.config.Auth.ID,
		"redirect_uri":          redirectURI,
		"scope":                 strings.Join(p.config.Scopes, " "),
		"state":                 a.State(),
		"code_challenge":        a.Challenge(),
		"code_challenge_method": "S256",
		"login_hint":            o.LoginHint,
		"prompt":                o.Prompt,
	} {
		if value != "" {
			query.Set(name, value)
		}
	}
	if p.OpenID() {
		query.Set("nonce", a.Nonce())
	}
	return query
}

// withQuery adds parameters to an endpoint. A query that it has stays as it is
// (RFC 6749 section 3.1), except for what would be there twice.
func withQuery(endpoint string, query url.Values) string {
	base, old, _ := strings.Cut(endpoint, "?")
	pairs := slices.DeleteFunc(strings.Split(old, "&"), func(pair string) bool {
		name, _, _ := strings.Cut(pair, "=")
		name, err := url.QueryUnescape(name)
		return pair == "" || err == nil && query.Has(name)
	})
	return base + "?" + strings.Join(append(pairs, query.Encode()), "&")
}

// protocolParams are in the request anyway, hide it (RFC 9101), or have no business
// in a URL.
var protocolParams = []string{
	"client_id", "redirect_uri", "response_type", "scope", "state", "nonce", "code_challenge", "code_challenge_method",
	"request", "request_uri",
	"client_secret", "client_assertion", "client_assertion_type", "code", "code_verifier",
}

// repeatable are parameters of which there may be several (RFC 8707 section 2).
var repeatable = []string{"resource", "audience"}

// CheckParams reports every mistake in extra parameters of the authorization
// request: one that would replace a parameter of the protocol, in whatever case,
// since some providers do not tell cases apart; one given twice; and what the
// callback cannot do (threat 98). No error shows a value.
func CheckParams(params []Param) error {
	var errs []error
	seen := make(map[string]bool)
	for _, param := range params {
		name := strings.ToLower(param.Name)
		switch {
		case name == "" || strings.ContainsFunc(name, func(r rune) bool { return r <= ' ' || r > '~' }):
			errs = append(errs, fmt.Errorf("oauth: param %q: not the name of a parameter", param.Name))
		case slices.Contains(protocolParams, name):
			errs = append(errs, fmt.Errorf("oauth: param %s: is part of the protocol and cannot be set", param.Name))
		case seen[name] && !slices.Contains(repeatable, name):
			errs = append(errs, fmt.Errorf("oauth: param %s: given twice", param.Name))
		default:
			errs = append(errs, checkParam(param))
		}
		seen[name] = true
	}
	return errors.Join(errs...)
}

// checkParam checks the values that mean something here.
func checkParam(param Param) error {
	switch param.Name {
	case "response_mode":
		if param.Value != "query" && param.Value != "form_post" {
			return errors.New("oauth: param response_mode: expected query or form_post")
		}
	case "max_age":
		if _, err := strconv.ParseUint(param.Value, 10, 31); err != nil {
			return errors.New("oauth: param max_age: expected a number of seconds")
		}
	default:
		if name := strings.ToLower(param.Name); name == "response_mode" || name == "max_age" {
			return fmt.Errorf("oauth: param %s: write %s", param.Name, name)
		}
	}
	return nil
}
