package oauth

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"slices"

	"github.com/caddy-admit/admit/claims"
	"github.com/caddy-admit/admit/jwt"
)

// errNothing means that a session has nothing to renew it by.
var errNothing = errors.New("oauth: nothing to renew the session by")

// Renew asks the provider whether it still stands by what it granted, with the
// refresh token (RFC 6749 section 6, OpenID Connect Core 1.0 section 12), or
// without one by asking the user API again. The old grant is not changed.
//
// An [ErrRefused] means that it does not. Any other error says nothing about the
// user. If the tokens were renewed before it happened they come with it, in a
// grant that is else the old one: a refresh token may be good only once, so they
// have to be kept.
func (p *RelyingParty) Renew(ctx context.Context, old *Grant) (*Grant, error) {
	if old.Tokens.Refresh == "" {
		if !p.plain() || old.Tokens.Access == "" {
			return nil, errNothing
		}
		tokens := old.Tokens
		g, err := p.grant(ctx, &tokens, nil)
		return p.compared(old, g, err)
	}
	tokens, err := p.ask(ctx, url.Values{"grant_type": {"refresh_token"}, "refresh_token": {old.Tokens.Refresh}})
	if err != nil {
		return nil, refusal(err)
	}
	tokens.Scope = cmp.Or(tokens.Scope, old.Tokens.Scope)
	g, err := p.regrant(ctx, old, tokens)
	if g, err = p.compared(old, g, err); err == nil || errors.Is(err, ErrRefused) {
		return g, err
	}
	partly := *old
	partly.Tokens = *tokens
	partly.Tokens.ID = old.Tokens.ID // the new one may be what is wrong
	return &partly, err
}

// regrant is grant for tokens that were renewed. Without a new ID token the old
// one goes on to say who it is.
func (p *RelyingParty) regrant(ctx context.Context, old *Grant, tokens *Tokens) (*Grant, error) {
	before := p.idClaims(old)
	id := before
	if tokens.ID != "" {
		var err error
		if id, err = p.idToken(ctx, tokens.ID, tokens.Access); err != nil {
			return nil, err
		}
		if err := continues(before, id); err != nil {
			return nil, err
		}
	}
	if p.OpenID() && id == nil {
		return nil, errNothing
	}
	g, err := p.grant(ctx, tokens, id)
	if err == nil && tokens.ID == "" {
		g.Tokens.ID = old.Tokens.ID
	}
	return g, err
}

// idClaims returns the claims of the ID token of a grant, which was checked when it
// came. Where it was not kept, as by a cookie that it did not fit into, the claims
// of the grant stand in if they were made of it. It is nil without openid.
func (p *RelyingParty) idClaims(g *Grant) *claims.Set {
	if !p.OpenID() {
		return nil
	}
	if token, err := jwt.ParseSized(g.Tokens.ID, maxIDToken); err == nil {
		return token.Claims
	}
	if p.byAccessToken() {
		return nil
	}
	s, _ := claims.Parse(g.Claims)
	return s
}

// continues reports by an error whether a new ID token goes on with what an old one
// began (OpenID Connect Core 1.0 section 12.2, threat 70).
func continues(before, now *claims.Set) error {
	if before == nil {
		return nil // the subject is compared at any rate
	}
	was, ok1 := audiences(before)
	is, ok2 := audiences(now)
	switch {
	case !now.Get("iss").Equal(before.Get("iss").String()):
		return fmt.Errorf("%w: the new ID token is of another issuer", ErrRefused)
	case !ok1 || !ok2 || !slices.Equal(was, is):
		return fmt.Errorf("%w: the new ID token is for others", ErrRefused)
	}
	nonce, first := now.Get("nonce"), before.Get("nonce")
	if nonce.Exists() && first.Exists() && !sameText(nonce.String(), first.String()) {
		return fmt.Errorf("%w: the new ID token belongs to another login", ErrRefused)
	}
	return nil
}

// compared compares the subject of a renewed grant with that of the old one, and
// finds errors that are refusals.
func (p *RelyingParty) compared(old, g *Grant, err error) (*Grant, error) {
	if err != nil {
		return nil, refusal(err)
	}
	if g.Subject != old.Subject {
		return nil, fmt.Errorf("%w: the answer is about another user", ErrRefused)
	}
	g.SID = cmp.Or(g.SID, old.SID)
	return g, nil
}

// finalCodes are those by which a token endpoint says that a user has to log in
// anew (RFC 6749 section 5.2, OpenID Connect Core 1.0 section 3.1.2.6; GitHub's).
var finalCodes = []string{
	"invalid_grant", "bad_refresh_token", "access_denied", "login_required", "interaction_required", "consent_required",
}

// refusal marks an error with [ErrRefused] if it is about the user. A client that
// is no longer known, or a server in trouble, is nothing that a user can help.
func refusal(err error) error {
	var (
		token *TokenError
		login *LoginError
	)
	switch {
	case errors.As(err, &token) && slices.Contains(finalCodes, token.Code):
	case errors.As(err, &login) && login.final():
	default:
		return err
	}
	return fmt.Errorf("%w: %w", ErrRefused, err)
}

// final reports whether what would refuse a login ends a session too: the provider
// speaks of somebody else, or no longer knows the token.
func (e *LoginError) final() bool {
	switch e.Cause {
	case CauseSubject:
		return true
	case CauseUserinfo:
		return e.Status == http.StatusUnauthorized
	case CauseIDToken:
		return e.Reason == string(claims.UnknownIssuer) || e.Reason == string(claims.WrongAudience)
	}
	return false
}
