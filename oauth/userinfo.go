package oauth

import (
	"context"
	"fmt"
	"io"
	"mime"
	"net/http"

	"github.com/caddy-admit/admit/claims"
	"github.com/caddy-admit/admit/internal/outbound"
)

// maxUserinfo is the length in bytes of the longest userinfo that becomes part of
// a session.
const maxUserinfo = 256 << 10

// userinfo asks the userinfo endpoint (OpenID Connect Core 1.0 section 5.3). What
// is said there about somebody else than subject is refused (section 5.3.2).
func (p *RelyingParty) userinfo(ctx context.Context, access, subject string) (*claims.Set, error) {
	url, err := p.needed(ctx, userinfoEndpoint)
	if err != nil {
		return nil, err
	}
	return Userinfo(ctx, p.config.Client, url, access, subject)
}

// Userinfo asks the userinfo endpoint at url with an access token. The error is a
// [LoginError] where the endpoint has refused the token, says something about
// somebody else than subject, or nothing that can be used. All else wraps
// [ErrTokenEndpoint].
func Userinfo(ctx context.Context, client *outbound.Client, url, access, subject string) (*claims.Set, error) {
	s, err := askUser(ctx, client, url, "application/json", access)
	if err != nil {
		return nil, err
	}
	if !s.Get("sub").Equal(subject) {
		return nil, &LoginError{Cause: CauseSubject, Hint: "userinfo is about another user than the token"}
	}
	return s, nil
}

// askUser asks for a JSON object about the user.
func askUser(ctx context.Context, client *outbound.Client, url, accept, access string) (*claims.Set, error) {
	body, status, err := call(ctx, client, url, accept, access)
	if err != nil {
		return nil, err
	}
	if status != http.StatusOK {
		return nil, &LoginError{Cause: CauseUserinfo, Status: status, Hint: userinfoHint(status)}
	}
	s, err := claims.Parse(body)
	if err != nil || len(body) > maxUserinfo {
		return nil, &LoginError{Cause: CauseUserinfo, Hint: "userinfo is no JSON object that can be used: look at userinfo_url"}
	}
	return s, nil
}

// call asks an API with the access token in the header (RFC 6750 section 2.1). An
// answer with status 200 is JSON. The error wraps [ErrTokenEndpoint] where the
// answer says nothing about the token, and is a [LoginError] for one that is no
// JSON.
func call(ctx context.Context, client *outbound.Client, url, accept, access string) (body []byte, status int, err error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return nil, 0, fmt.Errorf("%w: userinfo: not a URL", ErrTokenEndpoint)
	}
	req.Header.Set("Accept", accept)
	req.Header.Set("Authorization", "Bearer "+access)
	resp, err := client.Send(req)
	if err != nil {
		return nil, 0, fmt.Errorf("%w: userinfo: %w", ErrTokenEndpoint, err)
	}
	defer resp.Body.Close()
	status = resp.StatusCode
	switch {
	case transient(status), status == http.StatusForbidden && limited(resp.Header):
		return nil, 0, fmt.Errorf("%w: userinfo: status %d", ErrTokenEndpoint, status)
	case status != http.StatusOK:
		return nil, status, nil
	}
	if kind, _, err := mime.ParseMediaType(resp.Header.Get("Content-Type")); err != nil || kind != "application/json" {
		return nil, 0, &LoginError{Cause: CauseUserinfo, Hint: "userinfo is not application/json: look at userinfo_url; signed or encrypted answers are not supported"}
	}
	body, err = io.ReadAll(resp.Body) // it is all there and bounded
	return body, status, err
}

// limited reports whether a 403 means "too many calls", as it does at GitHub.
func limited(h http.Header) bool {
	return h.Get("Retry-After") != "" || h.Get("X-RateLimit-Remaining") == "0"
}

func userinfoHint(status int) string {
	switch status {
	case http.StatusUnauthorized:
		return "the access token is not good for userinfo_url"
	case http.StatusForbidden:
		return "the access token may not read who the user is: look at scopes"
	}
	return "look at userinfo_url"
}
