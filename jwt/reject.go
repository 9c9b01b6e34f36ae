package jwt

import (
	"errors"

	"github.com/caddy-admit/admit/claims"
)

// ErrKeysUnavailable means that a token could not be judged because the keys of
// its issuer are out of reach. It says nothing about the token.
var ErrKeysUnavailable = errors.New("jwt: keys unavailable")

// RejectedError reports a token that must not be trusted. It holds no part of
// the token, so it may be shown to a client.
type RejectedError struct{ Reason claims.Reason }

func (e *RejectedError) Error() string { return "jwt: token rejected: " + string(e.Reason) }

func reject(reason claims.Reason) error { return &RejectedError{reason} }
