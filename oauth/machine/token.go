package machine

import (
	"fmt"
	"net/url"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/caddy-admit/admit/claims"
	"github.com/caddy-admit/admit/jwt"
	"github.com/caddy-admit/admit/oauth"
)

const (
	// TokenCap is how long a token that was given out for a credential is used at
	// most: so long a secret that was changed, or a client that was closed, goes on.
	TokenCap = 5 * time.Minute
	// unsaidCap is the same for a token whose end the endpoint did not name.
	unsaidCap = time.Minute
	// maxMargin is how long before its end a token is no longer used, at most: an
	// upstream is to see no token that ends on its way there.
	maxMargin = 30 * time.Second
)

// bearer reports whether a text has the form of a bearer token (RFC 6750 section
// 2.1) and a length that is looked at.
func bearer(token string) bool {
	if len(token) > jwt.MaxTokenSize {
		return false
	}
	text := strings.TrimRight(token, "=")
	for i := range len(text) {
		switch c := text[i]; {
		case 'a' <= c && c <= 'z', 'A' <= c && c <= 'Z', '0' <= c && c <= '9':
		case c == '-', c == '.', c == '_', c == '~', c == '+', c == '/':
		default:
			return false
		}
	}
	return text != ""
}

// given makes an answer of what a token endpoint gave out.
func given(t *oauth.Tokens, now time.Time) answer[string] {
	switch {
	case t.Type != "bearer": // threat 101
		return answer[string]{err: fmt.Errorf("%w: token endpoint: the token is not of type bearer", oauth.ErrTokenEndpoint)}
	case !bearer(t.Access):
		return answer[string]{err: fmt.Errorf("%w: token endpoint: the token has not the form of one", oauth.ErrTokenEndpoint)}
	}
	return answer[string]{value: t.Access, size: len(t.Access), life: life(t, now)}
}

// life returns how long a token is used (threat 89): until shortly before its end,
// whether the endpoint names it or the token itself, and within the caps.
func life(t *oauth.Tokens, now time.Time) time.Duration {
	left := TokenCap
	switch {
	case t.Once:
		return 0
	case t.Expires.IsZero():
		left = unsaidCap
	default:
		left = min(left, short(t.Expires.Sub(now)))
	}
	if token, err := jwt.Parse(t.Access); err == nil {
		left = min(left, short(leftOf(token.Claims, now)))
	}
	return left
}

// leftOf returns how long it is until "exp" of the claims, an hour where they have
// none or it is later: that is longer than any cap.
func leftOf(s *claims.Set, now time.Time) time.Duration {
	exp, ok := s.Get("exp").Number()
	if !ok {
		return time.Hour
	}
	seconds := exp - float64(now.UnixNano())/1e9
	return time.Duration(max(-1, min(seconds, 3600)) * float64(time.Second))
}

// short takes a tenth off a time, at most maxMargin.
func short(d time.Duration) time.Duration { return d - min(d/10, maxMargin) }

// form is that of a grant for an audience, which is also named as a resource where
// it could be one (RFC 8707 section 2): some endpoints read this, some that.
func form(grant string, scopes []string, audience string) url.Values {
	f := url.Values{"grant_type": {grant}}
	if len(scopes) > 0 {
		f.Set("scope", strings.Join(scopes, " "))
	}
	if audience == "" {
		return f
	}
	f.Set("audience", audience)
	if u, err := url.Parse(audience); err == nil && u.IsAbs() && !strings.Contains(audience, "#") {
		f.Set("resource", audience)
	}
	return f
}

// plain reports whether a text is of a length and free of control characters.
func plain(text string, limit int) bool {
	control := func(r rune) bool { return r < ' ' || r == 0x7f }
	return text != "" && len(text) <= limit && utf8.ValidString(text) && !strings.ContainsFunc(text, control)
}
