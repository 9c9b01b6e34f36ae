package admit

import (
	"encoding/base64"
	"time"

	"github.com/caddy-admit/admit/internal/seal"
	"github.com/caddy-admit/admit/oauth"
)

const (
	defaultIdle = 8 * time.Hour // WebSocket apps make no requests for hours
	defaultMax  = 24 * time.Hour
)

// logsIn reports whether users can log in with the integration.
func (c *Integration) logsIn() bool { return len(c.User) > 0 || c.Users != "" }

// readSession reads how the sessions are kept of those who log in.
func (c *Integration) readSession(e *expander, d *draft) {
	s := c.Session
	if !d.logsIn {
		if s != nil {
			e.fail("session: nobody can log in with this integration: it has no users: expected user or users")
		}
		return
	}
	if s == nil {
		s = new(Session)
	}
	d.session = oauth.SessionConfig{
		Integration: d.name, Issuer: "local",
		Domain: e.text("session domain", s.Domain), SameSite: s.SameSite, Store: s.Store,
		Idle: defaultIdle, Max: or(time.Duration(s.Max), defaultMax),
		Secrets: s.secrets(e),
	}
	d.session.Cookie = or(e.text("session cookie", s.Cookie), c.cookieName(d.name, d.session.Domain))
	if s.Idle != nil {
		d.session.Idle = time.Duration(*s.Idle)
	}
	e.check("session", d.session.Check())
}

// cookieName returns the name of a session cookie that has none. A browser takes
// __Host- only from the host itself, and only without a domain.
func (c *Integration) cookieName(name, domain string) string {
	switch {
	case c.ID != "" && domain != "":
		return "__Secure-admit"
	case c.ID != "":
		return "__Host-admit"
	case domain != "":
		return "__Secure-admit-" + name
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
