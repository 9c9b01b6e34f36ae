package oauth

import (
	"time"

	"github.com/caddy-admit/admit/internal/outbound"
)

// TokenEndpoint asks token endpoints (RFC 6749 section 3.2). It is safe for
// concurrent use.
type TokenEndpoint struct {
	client *outbound.Client
	now    func() time.Time
}

// NewTokenEndpoint makes a TokenEndpoint. It makes no call.
func NewTokenEndpoint(client *outbound.Client, now func() time.Time) *TokenEndpoint {
	return &TokenEndpoint{client: client, now: now}
}
