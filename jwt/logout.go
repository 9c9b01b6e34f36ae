package jwt

import (
	"time"

	"github.com/caddy-admit/admit/claims"
)

const (
	// LogoutAge is the age of the oldest accepted logout token, by its "iat". An
	// issuer sends one when somebody logs out, and at most a few times again.
	LogoutAge = 10 * time.Minute

	// logoutEvent is the member of "events" that says that somebody has logged out.
	logoutEvent = "http://schemas.openid.net/event/backchannel-logout"
)

// logoutTypes are the accepted "typ" headers of a logout token: logout+jwt, or one
// that says nothing (OpenID Connect Back-Channel Logout 1.0 section 2.4).
var logoutTypes = []string{"", "jwt", "logout+jwt"}

// Logout returns a verifier of logout tokens for one of ID tokens: the same
// issuers, audience, algorithms and keys, and the checks of OpenID Connect
// Back-Channel Logout 1.0 section 2.6 but for replays. No token passes both
// (threat 73).
func (v *Verifier) Logout() *Verifier {
	r := v.rules
	r.logout, r.types = true, logoutTypes
	r.ExpiryOptional, r.MaxAge = false, LogoutAge
	return &Verifier{rules: r, keys: v.keys, now: v.now}
}

// logoutAccepted checks what a logout token has and other tokens have not. Issuer,
// audience and times were checked before, if there is somebody to compare with.
func logoutAccepted(s *claims.Set) claims.Reason {
	if !s.Get("events").Member(logoutEvent).IsObject() || s.Has("nonce") {
		return claims.WrongType
	}
	sub, sid := s.Get("sub"), s.Get("sid")
	if !sub.Exists() && !sid.Exists() || !filled(s.Get("iss")) || !filled(s.Get("jti")) ||
		sub.Exists() && !filled(sub) || sid.Exists() && !filled(sid) {
		return claims.MalformedToken
	}
	if !s.Has("aud") {
		return claims.WrongAudience
	}
	return ""
}

// filled reports whether a value is a string with something in it.
func filled(v claims.Value) bool { return v.String() != "" }
