package oauth

import (
	"cmp"
	"context"
	"errors"
	"net/url"
	"time"

	"github.com/caddy-admit/admit/claims"
)

// Redeem finishes a login: it reads the provider's answer to the attempt, changes
// the code for tokens and checks them (OpenID Connect Core 1.0 section 3.1.3). The
// redirectURI is that of the authorization request.
//
// The error is a [LoginError] for a login that is refused. An [ErrTokenEndpoint],
// an [outbound.ErrUnavailable] or a [jwt.ErrKeysUnavailable] says that nobody can
// tell now.
func (p *RelyingParty) Redeem(ctx context.Context, a *Attempt, answer url.Values, redirectURI string) (*Grant, error) {
	return p.redeem(ctx, a.Verifier(), a.Nonce(), answer, redirectURI)
}

func (p *RelyingParty) redeem(ctx context.Context, verifier, nonce string, answer url.Values, redirectURI string) (*Grant, error) {
	code, err := p.code(ctx, answer)
	if err != nil {
		return nil, err
	}
	tokens, err := p.ask(ctx, url.Values{
		"grant_type":    {"authorization_code"},
		"code":          {code},
		"redirect_uri":  {redirectURI},
		"code_verifier": {verifier}, // always (RFC 7636 section 4.5, threat 57)
	})
	var refused *TokenError
	if errors.As(err, &refused) {
		return nil, &LoginError{Cause: CauseTokenRefused, Code: refused.Code, Status: refused.Status, Hint: tokenHint(refused)}
	}
	if err != nil {
		return nil, err
	}
	var id *claims.Set
	if p.OpenID() {
		if id, err = p.idToken(ctx, tokens.ID, tokens.Access); err != nil {
			return nil, err
		}
		if err := checkNonce(id, nonce); err != nil {
			return nil, err
		}
		if err := p.checkAuthTime(id); err != nil {
			return nil, err
		}
	}
	return p.grant(ctx, tokens, id)
}

// ask shows a form to the provider's token endpoint. Of an endpoint that was not
// asked for an ID token none is taken: nobody has checked it.
func (p *RelyingParty) ask(ctx context.Context, form url.Values) (*Tokens, error) {
	endpoint, err := p.needed(ctx, tokenEndpoint)
	if err != nil {
		return nil, err
	}
	tokens, err := p.tokens.Ask(ctx, endpoint, p.config.Auth, form)
	if err == nil && !p.OpenID() {
		tokens.ID = ""
	}
	return tokens, err
}

// grant makes out of tokens what is known about the user. With openid id holds the
// claims of the ID token.
func (p *RelyingParty) grant(ctx context.Context, tokens *Tokens, id *claims.Set) (*Grant, error) {
	if tokens.Type != "bearer" {
		// What is no bearer token must not be used as one (RFC 6749 section 7.1).
		return nil, &LoginError{Cause: CauseAccessToken, Hint: "the access token is of another type than Bearer: look at the client at the provider"}
	}
	g, err := p.identify(ctx, tokens, id)
	if err != nil {
		return nil, err
	}
	g.Tokens = *tokens
	g.Due = p.due(tokens)
	g.Note = cmp.Or(g.Note, p.neverDue(g.Due))
	return g, nil
}

// identify finds out who it is.
func (p *RelyingParty) identify(ctx context.Context, tokens *Tokens, id *claims.Set) (*Grant, error) {
	if p.plain() {
		return p.userAPI(ctx, tokens)
	}
	token := id
	if p.byAccessToken() {
		var err error
		if token, err = p.accessToken(ctx, tokens.Access, id); err != nil {
			return nil, err
		}
	}
	if id == nil {
		id = token
	}
	g := &Grant{Subject: id.Get("sub").String(), SID: id.Get("sid").String()}
	var more *claims.Set
	if p.config.Userinfo {
		var err error
		if more, err = p.userinfo(ctx, tokens.Access, g.Subject); err != nil {
			return nil, err
		}
	}
	g.Claims = Merge(token, more)
	return g, nil
}

// accessToken checks an access token as the gate checks those of clients. It must
// be about the user of the ID token, if there is one.
func (p *RelyingParty) accessToken(ctx context.Context, raw string, id *claims.Set) (*claims.Set, error) {
	token, err := verify(ctx, p.config.AccessTokens, raw)
	if err != nil {
		return nil, rejected(CauseAccessToken, err)
	}
	if token.Claims.Get("sub").String() == "" {
		return nil, &LoginError{Cause: CauseAccessToken, Reason: string(claims.NoIdentity)}
	}
	if id != nil && !sameUser(id, token.Claims) {
		return nil, &LoginError{Cause: CauseSubject, Hint: "the access token is about another user than the ID token"}
	}
	return token.Claims, nil
}

// sameUser compares the users of an ID token and an access token. Two vendors call
// one user by several names: access tokens of Okta have the login in "sub" and the
// id in "uid", and "sub" of Entra ID differs from application to application, while
// "oid" in "tid" does not.
func sameUser(id, access *claims.Set) bool {
	sub := id.Get("sub").String()
	if access.Get("sub").Equal(sub) || access.Get("uid").Equal(sub) {
		return true
	}
	oid, tid := id.Get("oid").String(), id.Get("tid").String()
	return oid != "" && tid != "" && access.Get("oid").Equal(oid) && access.Get("tid").Equal(tid)
}

// due returns when the provider is to be asked again: a little before the access
// token ends, or earlier by option. It is zero where there is nothing to ask with.
func (p *RelyingParty) due(tokens *Tokens) (due time.Time) {
	if p.config.NoRefresh || tokens.Refresh == "" && !p.plain() {
		return time.Time{}
	}
	now := p.config.Now()
	if tokens.Refresh != "" && !tokens.Expires.IsZero() {
		due = tokens.Expires.Add(-min(tokens.Expires.Sub(now)/10, maxAhead))
	}
	if p.config.Refresh > 0 {
		if sooner := now.Add(p.config.Refresh); due.IsZero() || sooner.Before(due) {
			due = sooner
		}
	}
	return due
}

// neverDue says for the log that the provider is never asked again, though that is what
// an option is there for.
func (p *RelyingParty) neverDue(due time.Time) string {
	if p.config.Refresh == 0 || p.config.NoRefresh || !due.IsZero() {
		return ""
	}
	return "no refresh token, so that session refresh has no effect: look at scopes, for offline_access"
}

// maxAhead is how long at most before its end an access token is renewed.
const maxAhead = 5 * time.Minute
