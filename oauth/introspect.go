package oauth

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"mime"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/caddy-admit/admit/claims"
	"github.com/caddy-admit/admit/internal/outbound"
	"github.com/caddy-admit/admit/jwt"
)

// maxIntrospection is the length in bytes of the longest answer that is read.
const maxIntrospection = 256 << 10

// ErrInactive means that an issuer does not, or no longer, stand by a token.
var ErrInactive = errors.New("oauth: token is not active")

// Introspect asks the introspection endpoint at rawURL about a token (RFC 7662
// section 2). It returns what the endpoint says about a token that is active.
// Whose it is, whom it is for and its times are still to be checked, see
// [jwt.Verifier.CheckClaims].
//
// The error is
//
//   - [ErrInactive] for a token that is not active,
//   - a [*jwt.RejectedError] for one that is no bearer token (wrong_type, or
//     bound_token for one that proves nothing by itself),
//   - a [*TokenError] if the endpoint has refused to answer: that is about the
//     client which asked,
//   - else one that wraps [ErrTokenEndpoint]: nobody knows about the token.
func Introspect(ctx context.Context, client *outbound.Client, rawURL string, auth ClientAuth, token string, now time.Time) (*claims.Set, error) {
	form := url.Values{"token": {token}, "token_type_hint": {"access_token"}}
	header := http.Header{
		"Accept":       {"application/json"},
		"Content-Type": {"application/x-www-form-urlencoded"},
	}
	if err := auth.prove(form, header, rawURL, now); err != nil {
		return nil, err
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, rawURL, strings.NewReader(form.Encode()))
	if err != nil {
		return nil, fmt.Errorf("%w: introspection: not a URL", ErrTokenEndpoint)
	}
	req.Header = header
	resp, err := client.Send(req)
	if err != nil {
		return nil, fmt.Errorf("%w: introspection: %w", ErrTokenEndpoint, err)
	}
	body, _ := io.ReadAll(resp.Body) // it is all there and bounded
	switch status := resp.StatusCode; {
	case transient(status):
		return nil, fmt.Errorf("%w: introspection: status %d", ErrTokenEndpoint, status)
	case status != http.StatusOK:
		return nil, &TokenError{Code: refusalCode(body), Status: status}
	}
	if kind, _, err := mime.ParseMediaType(resp.Header.Get("Content-Type")); err != nil || kind != "application/json" {
		return nil, fmt.Errorf("%w: introspection: the answer is not application/json", ErrTokenEndpoint)
	}
	return readIntrospection(body)
}

// readIntrospection reads an answer of RFC 7662 section 2.2. Only "active": true
// is a yes, and only false a no: an endpoint that writes anything else has not
// answered (threat 90).
func readIntrospection(body []byte) (*claims.Set, error) {
	if len(body) > maxIntrospection {
		return nil, fmt.Errorf("%w: introspection: the answer is too long", ErrTokenEndpoint)
	}
	s, err := claims.Parse(body)
	if err != nil {
		return nil, fmt.Errorf("%w: introspection: the answer is no strict JSON object", ErrTokenEndpoint)
	}
	active, ok := s.Get("active").Bool()
	switch {
	case !ok:
		return nil, fmt.Errorf("%w: introspection: the answer does not say whether the token is active", ErrTokenEndpoint)
	case !active:
		return nil, ErrInactive
	}
	if err := bearerToken(s); err != nil {
		return nil, err
	}
	return s, nil
}

// bearerToken refuses what is active and still no access token that may be used by
// whoever has it: a refresh token (threat 27), one that is bound to a key (threat
// 101). Servers that say nothing about it mean a bearer token.
func bearerToken(s *claims.Set) error {
	if use := s.Get("token_use"); use.Exists() && strings.Contains(use.String(), "refresh") { // Hydra
		return &jwt.RejectedError{Reason: claims.WrongType}
	}
	typ := s.Get("token_type")
	switch strings.ToLower(typ.String()) {
	case "bearer", "access_token", "urn:ietf:params:oauth:token-type:access_token":
	case "dpop", "pop", "mac":
		return &jwt.RejectedError{Reason: claims.BoundToken}
	default:
		if typ.Exists() && !typ.IsNull() {
			return &jwt.RejectedError{Reason: claims.WrongType}
		}
	}
	if s.Has("cnf") {
		return &jwt.RejectedError{Reason: claims.BoundToken}
	}
	return nil
}

// refusalCode returns the "error" of a refusal, if it has one.
func refusalCode(body []byte) string {
	var refusal struct {
		Error string `json:"error"`
	}
	_ = json.Unmarshal(body, &refusal)
	return errorCode(refusal.Error)
}
