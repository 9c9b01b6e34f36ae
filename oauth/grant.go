package oauth

import (
	"encoding/json"
	"time"
)

// Tokens are what a token endpoint gave out (RFC 6749 section 5.1, OpenID Connect
// Core 1.0 section 3.1.3.3). None of them ever reaches a log, an error or a page.
type Tokens struct {
	Access, Refresh string
	// Type is the type of the access token in lower case: bearer, or what else the
	// endpoint said.
	Type string
	// ID is the ID token, as it came.
	ID string
	// Expires is the end of the access token, zero where the endpoint did not say.
	Expires time.Time
	// Once is set where the endpoint said that the access token has ended already,
	// by an "expires_in" of zero or less. A login takes it for no word at all.
	Once bool
	// Scope is what was granted, separated by spaces, empty where the endpoint did
	// not say: then it is what was asked for.
	Scope string
}

// Grant is what a provider says about somebody who has logged in, after every
// check.
type Grant struct {
	// Claims is a JSON object: the claims of the token that counts, with those of
	// the userinfo endpoint that the token lacks.
	Claims json.RawMessage
	// Subject and SID are "sub" and "sid" of the ID token, by which the provider
	// ends sessions (OpenID Connect Back-Channel Logout 1.0). Of a provider without
	// ID tokens Subject is the number or name of the user, and SID is empty.
	Subject, SID string
	Tokens       Tokens
	// Due is when the provider is to be asked anew, zero for never.
	Due time.Time
	// Note says what the provider kept back, for the log; empty where nothing is
	// known to be missing.
	Note string
}
