package admit

import (
	"encoding/base64"
	"time"

	"github.com/caddy-admit/admit/internal/seal"
	"github.com/caddy-admit/admit/internal/store"
	"github.com/caddy-admit/admit/oauth"
)

const (
	defaultIdle = 8 * time.Hour // WebSocket apps make no requests for hours
	defaultMax  = 24 * time.Hour
)

// provisionSessions prepares the sessions of an integration whose users can log in.
func (c *Integration) provisionSessions(in *integration, kept store.Store) error {
	e := newExpander()
	s := c.Session
	if in.local == nil || in.local.users == nil {
		if s != nil {
			e.fail("session: nobody can log in with this integration: it has no users")
		}
		return e.err("integration " + in.name)
	}
	if s == nil {
		s = new(Session)
	}
	config := oauth.SessionConfig{
		Integration: in.name, Issuer: "local",
		Domain: e.text("session domain", s.Domain), SameSite: s.SameSite, Store: s.Store,
		Idle: defaultIdle, Max: or(time.Duration(s.Max), defaultMax),
		Secrets: s.secrets(e),
	}
	config.Cookie = or(e.text("session cookie", s.Cookie), c.cookieName(in.name, config.Domain))
	if s.Idle != nil {
		config.Idle = time.Duration(*s.Idle)
	}
	var err error
	in.sessions, err = oauth.NewSessions(config, kept, time.Now)
	e.keep(err)
	return e.err("integration " + in.name)
}

// cookieName returns the name of a session cookie that has none. A browser takes
// __Host- only from the host itself, and only without a domain.
func (c *Integration) cookieName(name, domain string) string {
	switch {
	case domain != "":
		return "__Secure-admit-" + name
	case c.ID != "":
		return "__Host-admit"
	}
	return "__Host-admit-" + name
}

// secrets reads secrets as text, or as base64 of at least 32 bytes.
func (s *Session) secrets(e *expander) (secrets [][]byte) {
	for _, text := range e.texts("session secret", s.Secret) {
		secret := []byte(text)
		if decoded, err := base64.StdEncoding.DecodeString(text); err == nil && len(decoded) >= seal.MinSecret {
			secret = decoded
		}
		if len(secret) < seal.MinSecret {
			e.fail("session secret: %d bytes, at least %d are needed; openssl rand -base64 32 makes one", len(secret), seal.MinSecret)
		}
		secrets = append(secrets, secret)
	}
	return secrets
}
