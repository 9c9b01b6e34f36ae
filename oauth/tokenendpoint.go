package oauth

import (
	"context"
	"errors"
	"fmt"
	"math"
	"net/http"
	"net/url"
	"regexp"
	"strconv"
	"strings"
	"time"

	"golang.org/x/oauth2"
	"golang.org/x/oauth2/clientcredentials"

	"github.com/caddy-admit/admit/internal/outbound"
)

// TokenEndpoint asks token endpoints (RFC 6749 section 3.2). It is safe for
// concurrent use.
type TokenEndpoint struct {
	client *http.Client
	now    func() time.Time
}

// NewTokenEndpoint makes a TokenEndpoint. It makes no call.
func NewTokenEndpoint(client *outbound.Client, now func() time.Time) *TokenEndpoint {
	// Without "Accept" GitHub answers as a form, which is read as well.
	return &TokenEndpoint{client: client.HTTPClient("application/json"), now: now}
}

// Ask sends a form, with its "grant_type", to the token endpoint at rawURL, and
// returns what that gives out. A refresh token in the form is also that of the
// answer, unless the answer has one. A redirect is not followed.
//
// The error is a [*TokenError] if the endpoint refused, also with status 200. All
// else wraps [ErrTokenEndpoint]: then nobody knows whether it would have.
func (t *TokenEndpoint) Ask(ctx context.Context, rawURL string, auth ClientAuth, form url.Values) (*Tokens, error) {
	config := clientcredentials.Config{ // "grant_type" in a form makes it any grant
		ClientID:       auth.ID,
		TokenURL:       rawURL,
		AuthStyle:      oauth2.AuthStyleInParams,
		EndpointParams: url.Values{},
	}
	for name, values := range form {
		config.EndpointParams[name] = values
	}
	switch auth.method() {
	case AuthBasic:
		config.AuthStyle, config.ClientSecret = oauth2.AuthStyleInHeader, auth.Secret
	case AuthPost:
		config.ClientSecret = auth.Secret
	case AuthKey:
		assertion, err := auth.Key.assertion(auth.ID, rawURL, t.now())
		if err != nil {
			return nil, err
		}
		config.EndpointParams.Set("client_assertion_type", assertionType)
		config.EndpointParams.Set("client_assertion", assertion)
	}
	token, err := config.Token(context.WithValue(ctx, oauth2.HTTPClient, t.client))
	if err != nil {
		return nil, tokenError(err)
	}
	return t.tokens(token), nil
}

func (t *TokenEndpoint) tokens(token *oauth2.Token) *Tokens {
	text := func(name string) string {
		s, _ := token.Extra(name).(string)
		return s
	}
	expires, once := t.expires(token.Extra("expires_in"))
	return &Tokens{
		Access:  token.AccessToken,
		Refresh: token.RefreshToken,
		Type:    strings.ToLower(token.Type()), // "Bearer" where the endpoint did not say
		ID:      text("id_token"),
		Expires: expires,
		Once:    once,
		Scope:   text("scope"),
	}
}

// expires reads "expires_in", a number of seconds; some write it as text. once is
// set for a number that is not positive.
func (t *TokenEndpoint) expires(in any) (at time.Time, once bool) {
	var (
		seconds float64
		err     error
	)
	switch n := in.(type) {
	case float64:
		seconds = n
	case int64:
		seconds = float64(n)
	case string:
		seconds, err = strconv.ParseFloat(n, 64)
	default:
		return time.Time{}, false
	}
	switch {
	case err != nil || math.IsNaN(seconds):
		return time.Time{}, false
	case seconds <= 0:
		return time.Time{}, true
	}
	return t.now().Add(time.Duration(min(seconds, math.MaxInt32)) * time.Second), false
}

// tokenError keeps of an error what may be shown. Those of x/oauth2 hold whole
// bodies, those of [http.Client] whole URLs.
func tokenError(err error) error {
	var (
		answer *oauth2.RetrieveError
		call   *url.Error
	)
	switch {
	case errors.As(err, &answer):
		status := answer.Response.StatusCode
		if transient(status) {
			return fmt.Errorf("%w: token endpoint: status %d", ErrTokenEndpoint, status)
		}
		return &TokenError{Code: errorCode(answer.ErrorCode), Status: status}
	case errors.As(err, &call):
		return fmt.Errorf("%w: token endpoint: %w", ErrTokenEndpoint, call.Err)
	}
	return fmt.Errorf("%w: token endpoint: the answer is no token response", ErrTokenEndpoint)
}

// transient reports whether a status says nothing about what was asked.
func transient(status int) bool {
	switch status {
	case http.StatusRequestTimeout, http.StatusTooEarly, http.StatusTooManyRequests:
		return true
	}
	return status < 200 || status >= 300 && status < 400 || status >= 500
}

var errorCodeForm = regexp.MustCompile(`^[a-z_]{1,40}$`)

// errorCode returns a provider's "error" if it has the form of a code: it goes to
// logs, and might be any text otherwise.
func errorCode(code string) string {
	if !errorCodeForm.MatchString(code) {
		return ""
	}
	return code
}
