package oauth

import (
	"errors"
	"fmt"
)

// ErrTokenEndpoint means that a token endpoint, a userinfo endpoint or a user API
// gave no answer that could be judged: out of reach, overloaded, a web page. It
// says nothing about what was shown to it.
var ErrTokenEndpoint = errors.New("oauth: provider out of reach")

// ErrRefused means that the provider no longer stands by a session: it is over.
var ErrRefused = errors.New("oauth: provider refused to renew the session")

// TokenError means that a token endpoint has refused what was shown to it
// (RFC 6749 section 5.2).
type TokenError struct {
	// Code is the provider's "error", empty if it gave none that has the form of one.
	Code string
	// Status is the HTTP status. Some providers refuse with 200.
	Status int
}

func (e *TokenError) Error() string {
	if e.Code == "" {
		return fmt.Sprintf("oauth: token endpoint refused: status %d", e.Status)
	}
	return fmt.Sprintf("oauth: token endpoint refused: %s (status %d)", e.Code, e.Status)
}

// Causes of a [LoginError].
const (
	CauseDuplicate    = "duplicate_parameter" // a protocol parameter twice: a broken request, not a refusal
	CauseMissingIss   = "missing_iss"         // the provider announces "iss" in answers, this one has none
	CauseWrongIss     = "wrong_iss"           // the answer is another issuer's
	CauseProvider     = "provider_error"      // the provider said no, see Code
	CauseCode         = "code_missing"        // neither a code nor an error
	CauseTokenRefused = "token_refused"       // by the token endpoint, see Code
	CauseNoIDToken    = "id_token_missing"    // the scope openid was asked for in vain
	CauseIDToken      = "id_token"            // does not pass its checks, see Reason
	CauseNonce        = "nonce"               // the ID token belongs to another login
	CauseTooOld       = "auth_time"           // the login at the provider is older than asked for
	CauseAccessToken  = "access_token"        // does not pass its checks, see Reason
	CauseUserinfo     = "userinfo"            // refused, or no JSON object
	CauseSubject      = "subject"             // of userinfo or access token is not the ID token's
)

// LoginError means that a login is refused. It holds nothing that is secret and
// no free text of the provider.
type LoginError struct {
	// Cause is one of the Cause constants.
	Cause string
	// Code is the provider's error code, if it has the form of one.
	Code string
	// Reason is why a token was rejected, a reason code.
	Reason string
	// Status is the HTTP status of the refusal, zero where it came by another way.
	Status int
	// Hint says what to look at, for the log: an option, or a setting at the
	// provider.
	Hint string
}

func (e *LoginError) Error() string {
	text := "oauth: login refused: " + e.Cause
	for _, detail := range []string{e.Code, e.Reason} {
		if detail != "" {
			text += ": " + detail
		}
	}
	if e.Status != 0 {
		text += fmt.Sprintf(" (status %d)", e.Status)
	}
	return text
}
