package oauth

import (
	"context"
	"slices"
	"strconv"
	"time"

	"github.com/caddy-admit/admit/claims"
	"github.com/caddy-admit/admit/jwt"
)

// maxIDToken is the length in bytes of the longest token of a token endpoint that
// is read: a user may be in many groups, and no client can send such a token here.
const maxIDToken = 64 << 10

var audience = claims.MustPath("aud")

// idToken checks an ID token (OpenID Connect Core 1.0 section 3.1.3.7), beside
// which the access token was given out. The nonce is for the caller.
func (p *RelyingParty) idToken(ctx context.Context, raw, access string) (*claims.Set, error) {
	if raw == "" {
		return nil, &LoginError{Cause: CauseNoIDToken, Hint: "the provider gave no ID token for the scope openid: look at scopes, and at the client at the provider"}
	}
	token, err := verify(ctx, p.config.IDTokens, raw)
	if err != nil {
		return nil, rejected(CauseIDToken, err)
	}
	s := token.Claims
	fail := func(reason claims.Reason) (*claims.Set, error) {
		return nil, &LoginError{Cause: CauseIDToken, Reason: string(reason), Hint: reasonHint(CauseIDToken, reason)}
	}
	if s.Get("sub").String() == "" {
		return fail(claims.NoIdentity)
	}
	if _, ok := s.Get("iat").Number(); !ok {
		return fail(claims.MalformedToken)
	}
	if !p.forUs(s) {
		return fail(claims.WrongAudience)
	}
	if hash := s.Get("at_hash"); hash.Exists() && !sameText(hash.String(), token.HalfHash(access)) {
		return nil, &LoginError{Cause: CauseIDToken, Reason: "at_hash", Hint: "the access token is not the one that the ID token was made with"}
	}
	return s, nil
}

func verify(ctx context.Context, v *jwt.Verifier, raw string) (*jwt.Token, error) {
	token, err := jwt.ParseSized(raw, maxIDToken)
	if err != nil {
		return nil, err
	}
	return token, v.Verify(ctx, token)
}

// forUs reports whether an ID token is for this client: the client is an audience,
// and the authorized party where one is named, which is needed where there are
// other audiences.
func (p *RelyingParty) forUs(s *claims.Set) bool {
	list, ok := audiences(s)
	if !ok || !slices.Contains(list, p.config.Auth.ID) {
		return false
	}
	if azp := s.Get("azp"); azp.Exists() {
		return azp.Equal(p.config.Auth.ID)
	}
	return len(list) == 1
}

// audiences returns the audiences of a token, sorted and each once.
func audiences(s *claims.Set) (list []string, ok bool) {
	ok = audience.Strings(s, func(aud string) bool {
		list = append(list, aud)
		return true
	})
	slices.Sort(list)
	return slices.Compact(list), ok
}

// checkNonce ties the ID token to the login that asked for it (threat 58).
func checkNonce(s *claims.Set, nonce string) error {
	if nonce == "" || !sameText(s.Get("nonce").String(), nonce) {
		return &LoginError{Cause: CauseNonce}
	}
	return nil
}

// checkAuthTime compares the time of the login at the provider with the greatest
// age that was asked for, if one was (OpenID Connect Core 1.0 section 3.1.2.1).
func (p *RelyingParty) checkAuthTime(s *claims.Set) error {
	limit, asked := p.maxAge()
	if !asked {
		return nil
	}
	at, ok := s.Get("auth_time").Number()
	if !ok {
		return &LoginError{Cause: CauseTooOld, Hint: "the ID token does not say when the user logged in, though param max_age asks for it"}
	}
	age := float64(p.config.Now().UnixNano())/1e9 - at
	if age > (limit+leeway).Seconds() || age < -leeway.Seconds() {
		return &LoginError{Cause: CauseTooOld, Hint: "the login at the provider is older than param max_age"}
	}
	return nil
}

// maxAge returns what the parameter max_age asks for, which was checked when the
// configuration was read.
func (p *RelyingParty) maxAge() (limit time.Duration, asked bool) {
	for _, param := range p.config.Params {
		if param.Name == "max_age" {
			seconds, _ := strconv.Atoi(param.Value)
			return time.Duration(seconds) * time.Second, true
		}
	}
	return 0, false
}
