package jwt

import "github.com/caddy-admit/admit/claims"

// CheckClaims checks claims that did not come in a signed token: the issuer itself
// has said them when it was asked, as in token introspection (RFC 7662 section
// 2.2). They are held to the policy as those of a token are: issuer, audience,
// times, no proof of possession that nobody asks for, no logout token. But "iss"
// and "exp" may be missing, which that RFC leaves open: who answered is known, and
// so is that the token counts now. Where no audience is looked at "token_type" (or
// "token_use") may not. It takes no call and is made on every request, however old
// the answer is (threat 90).
//
// It returns a [RejectedError] for claims that must not be trusted.
func (v *Verifier) CheckClaims(s *claims.Set) error {
	r := v.rules
	r.vouched = true
	if reason := r.payload(&Token{Claims: s}, v.now()); reason != "" {
		return reject(reason)
	}
	// Something has to say that it is an access token. Servers that answer about
	// refresh tokens too give those neither an audience nor a type (threat 27).
	if len(r.Audience) == 0 && !isText(s.Get("token_type")) && !isText(s.Get("token_use")) {
		return reject(claims.WrongType)
	}
	return nil
}

func isText(v claims.Value) bool { return v.IsString() && !v.Equal("") }
