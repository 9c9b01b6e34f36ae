package admit

import (
	"cmp"
	"errors"
	"net/http"
	"slices"

	"go.uber.org/zap"

	"github.com/caddy-admit/admit/claims"
	"github.com/caddy-admit/admit/jwt"
	"github.com/caddy-admit/admit/oauth"
)

// hearsOfLogouts reports whether a provider can end sessions of the gate.
func (g *guard) hearsOfLogouts() bool {
	return slices.ContainsFunc(g.integrations, (*integration).hearsOfLogouts)
}

// hearsOfLogouts reports whether the provider can end sessions: those in storage.
func (in *integration) hearsOfLogouts() bool {
	return in.party != nil && in.party.OpenID() && in.sessions.InStorage()
}

// serveBackchannelLogout ends the sessions that a provider's logout token names
// (OpenID Connect Back-Channel Logout 1.0 sections 2.5 to 2.8). Its issuer and
// audience say which integration of the host it is for.
func (g *guard) serveBackchannelLogout(w http.ResponseWriter, r *request) (served bool, err error) {
	form, err := readForm(w, r)
	if err != nil || len(form["logout_token"]) != 1 {
		return true, g.refuseLogout(w, r, "", &jwt.RejectedError{Reason: claims.MalformedCredential})
	}
	raw := form.Get("logout_token")
	in, sessions := g.listeners(r, raw)
	if in == nil {
		return true, g.refuseLogout(w, r, "", &jwt.RejectedError{Reason: claims.UnknownIssuer})
	}
	if err := in.party.Backchannel(r.Context(), raw, sessions...); err != nil {
		return true, g.refuseLogout(w, r, in.name, err)
	}
	g.log.Info("sign-out by the provider", zap.String("integration", in.name), zap.String("host", r.Host), zap.String("request_id", requestID(r.Request)))
	w.WriteHeader(http.StatusOK)
	return true, nil
}

// listeners returns an integration of this host that a logout token is for, if what
// it says of itself is true, and the sessions of all those: several may log in as the
// same client.
func (g *guard) listeners(r *request, raw string) (first *integration, sessions []*oauth.Sessions) {
	for _, gate := range g.onHost(r) {
		for _, in := range gate.integrations {
			if !in.hearsOfLogouts() || !in.party.MayTakeLogout(raw) || slices.Contains(sessions, in.sessions) {
				continue
			}
			first, sessions = cmp.Or(first, in), append(sessions, in.sessions)
		}
	}
	return first, sessions
}

// refuseLogout answers a logout token that ends nothing: 400 where the token is no
// good (section 2.8), 503 where that cannot be said now or noted.
func (g *guard) refuseLogout(w http.ResponseWriter, r *request, name string, err error) error {
	reason := refused(err).Reason
	if errors.Is(err, oauth.ErrLogoutToken) && outOfReach(reason) {
		reason = claims.MalformedToken // not rejected for what it is: one that was there before
	}
	p := problem{Title: "Logout token refused", Status: http.StatusBadRequest, Error: badRequest.code, Reason: string(reason)}
	if outOfReach(reason) {
		p.Title, p.Status, p.Error = "Logout not noted", http.StatusServiceUnavailable, unavailable.code
		w.Header().Set("Retry-After", retryAfter)
	}
	g.log.Warn("logout token refused", zap.String("integration", name), zap.String("reason", p.Reason), zap.Int("status", p.Status),
		zap.String("client_ip", clientOf(r.Request)), zap.String("host", r.Host), zap.String("request_id", requestID(r.Request)))
	return writeProblem(w, r, p)
}
