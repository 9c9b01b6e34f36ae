package machine

import (
	"errors"
	"fmt"

	"github.com/caddy-admit/admit/oauth"
)

// ErrBadClient means that a client's id or secret is wrong, or that the client may
// not have tokens of its own: 401.
var ErrBadClient = errors.New("machine: client id or secret is wrong")

// ErrInactive means that the issuer does not, or no longer, stand by a token: 401.
var ErrInactive = oauth.ErrInactive

// ErrBusy means that an endpoint could not be asked now: too many others wait. It
// wraps [oauth.ErrTokenEndpoint], as everything does that is no answer: 503.
var ErrBusy = fmt.Errorf("%w: too many calls at once", oauth.ErrTokenEndpoint)

var (
	errClosed  = fmt.Errorf("%w: closed", oauth.ErrTokenEndpoint)
	errAborted = fmt.Errorf("%w: call aborted", oauth.ErrTokenEndpoint)
)

// RefusedError means that an endpoint has refused for a reason which is not the
// client's but the configuration's, here or at the provider. It counts as an
// [oauth.ErrTokenEndpoint], 503: nobody knows whether the credential is good, and
// a client can do nothing about it. It holds nothing that is secret and no free
// text of the provider.
type RefusedError struct {
	// Endpoint is what refused: token, introspection or userinfo.
	Endpoint string
	// Code is the provider's error code, if it has the form of one.
	Code string
	// Status is the HTTP status.
	Status int
	// Hint says what to look at, for the log.
	Hint string
}

func (e *RefusedError) Error() string {
	text := fmt.Sprintf("machine: %s endpoint refused", e.Endpoint)
	if e.Code != "" {
		text += ": " + e.Code
	}
	if e.Status != 0 {
		text += fmt.Sprintf(" (status %d)", e.Status)
	}
	return text
}

// Is makes a refusal an [oauth.ErrTokenEndpoint].
func (e *RefusedError) Is(target error) bool { return target == oauth.ErrTokenEndpoint }
