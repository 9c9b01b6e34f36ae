package admit

import (
	"encoding/json"

	"github.com/caddyserver/caddy/v2"
)

// LocalUser is a user of one's own.
type LocalUser struct {
	// ID is case-sensitive and holds no ":".
	ID string `json:"id"`
	// Password is a hash as "caddy hash-password" makes it: bcrypt or argon2id.
	Password string `json:"password"`
	// Claims is an object with the user's claims.
	Claims json.RawMessage `json:"claims,omitempty"`
}

// LocalKey is an API key.
type LocalKey struct {
	ID string `json:"id"`
	// Hash is the SHA-256 of the key in hexadecimal digits.
	Hash string `json:"hash"`
	// Claims is an object with the claims of who calls with the key.
	Claims json.RawMessage `json:"claims,omitempty"`
}

// Tokens are access and refresh tokens for users of one's own.
type Tokens struct {
	// Issuer is the "iss" of the tokens. Default: the integration's name.
	Issuer string `json:"issuer,omitempty"`
	// Audience is their "aud". Default: the issuer.
	Audience []string `json:"audience,omitempty"`
	// Access is how long an access token is good. Default: 5m.
	Access caddy.Duration `json:"access,omitempty"`
	// Refresh is how long a refresh token is good after its last use. Default: 720h.
	Refresh caddy.Duration `json:"refresh,omitempty"`
	// Sign is the algorithm: EdDSA (default), ES256, RS256 or HS256.
	Sign string `json:"sign,omitempty"`
	// KeyAge is how long a key signs. Default: 2160h.
	KeyAge caddy.Duration `json:"key_age,omitempty"`
}

// Session says how the sessions of browsers are kept.
type Session struct {
	// Cookie is the name of the cookie. Default: __Host-admit-<integration>,
	// __Secure-admit-<integration> with a domain, __Host-admit or __Secure-admit in a gate's own block.
	Cookie string `json:"cookie,omitempty"`
	// Domain shares a session among all hosts below it.
	Domain string `json:"domain,omitempty"`
	// SameSite is lax (default), strict or none.
	SameSite string `json:"same_site,omitempty"`
	// Idle is how long a session lasts without use; 0 is no limit. Default: 8h.
	Idle *caddy.Duration `json:"idle,omitempty"`
	// Max is how long a session lasts from the login on. Default: 24h.
	Max caddy.Duration `json:"max,omitempty"`
	// Refresh is after how long the provider is asked anew, if the access token has
	// not ended before; 0 is never. Default: when the access token ends.
	Refresh *caddy.Duration `json:"refresh,omitempty"`
	// Store is auto (default), cookie or storage.
	Store string `json:"store,omitempty"`
	// Secret lists secrets of at least 32 bytes, text or base64; the first seals,
	// all open. Default: one that is made at first use and kept in Caddy's storage.
	Secret []string `json:"secret,omitempty"`
}

// Login sends browsers without an identity to log in.
type Login struct {
	// Integrations names those to log in with. Default: all of the gate that can.
	Integrations []string `json:"integrations,omitempty"`
}

// local reports whether the integration is one of users, keys and tokens of one's
// own.
func (c *Integration) local() bool {
	return len(c.User) > 0 || c.Users != "" || len(c.APIKey) > 0 || c.Tokens != nil || c.Basic
}
