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
func (c *Integration) logsIn() bool { return c.Login != nil || len(c.User) > 0 || c.Users != "" }

// readSession reads how the sessions are kept of those who log in.
func (c *Integration) readSession(e *expander, d *draft) {
	s := c.Session
	if !d.logsIn {
		if s != nil {
			e.fail("session: nobody can log in with this integration: expected a login block, user or users")
		}
		return
	}
	if s == nil {
		s = new(Session)
	}
	d.session = oauth.SessionConfig{
		Integration: d.name, Issuer: localIssuer,
		Domain: e.text("session domain", s.Domain), SameSite: s.SameSite, Store: s.Store,
		Idle: defaultIdle, Max: or(time.Duration(s.Max), defaultMax),
		Secrets: s.secrets(e),
	}
	d.session.Cookie = or(e.text("session cookie", s.Cookie), c.cookieName(d.name, d.session.Domain))
	if s.Idle != nil {
		d.session.Idle = time.Duration(*s.Idle)
	}
	e.check("session", d.session.Check())
	d.inCookies = s.Store == "cookie"
	if d.login != nil {
		// Sessions of another provider, or another client of this one, do not open.
		d.session.Issuer, d.session.ClientID = or(first(d.policy.Issuers), d.login.Endpoints.Token), d.login.Auth.ID
	}
	s.readRefresh(e, d)
	d.renews = d.login != nil && !d.login.NoRefresh
}

// localIssuer stands for the issuer of sessions of users of one's own.
const localIssuer = "local"

// readRefresh reads when the provider is asked anew.
func (s *Session) readRefresh(e *expander, d *draft) {
	never := s.Refresh != nil && *s.Refresh == 0
	switch {
	case d.login == nil && s.Refresh != nil:
		e.fail("session refresh: there is no provider to ask: expected it with a login block")
	case d.login == nil:
	case s.Refresh != nil && *s.Refresh < 0:
		e.fail("session refresh %v: expected more than 0s, or 0 for off", time.Duration(*s.Refresh))
	case s.Store == "cookie" && !never:
		e.fail("session store, session refresh: a session that is renewed holds tokens, and lies in storage: expected refresh off with store cookie")
	case never:
		d.login.NoRefresh = true
	case s.Refresh != nil:
		d.login.Refresh = time.Duration(*s.Refresh)
	}
}

// first returns the first of a list, "" if it is empty.
func first(list []string) string {
	if len(list) == 0 {
		return ""
	}
	return list[0]
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
