package oauth

import "net/http"

// Strict reports whether browsers send the session only with what pages of the site
// itself lead to.
func (s *Sessions) Strict() bool { return s.cookies.sameSite == http.SameSiteStrictMode }

// Shared reports whether all hosts below a domain have the sessions in common.
func (s *Sessions) Shared() bool { return s.config.Domain != "" }

// InStorage reports whether every new session is kept in the storage, where the
// provider can end it (OpenID Connect Back-Channel Logout 1.0).
func (s *Sessions) InStorage() bool { return s.config.Store == "storage" }

// CookieName returns the name of the session's cookie.
func (s *Sessions) CookieName() string { return s.cookies.name }
