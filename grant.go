package admit

import (
	"context"
	"encoding/json"
	"net/http"

	"go.uber.org/zap"

	"github.com/caddy-admit/admit/claims"
	"github.com/caddy-admit/admit/internal/store"
	"github.com/caddy-admit/admit/jwt"
	"github.com/caddy-admit/admit/oauth/local"
)

// makesTokens reports whether local users can have tokens here.
func (g *guard) makesTokens() bool { return g.issuerOf("") != nil }

// issuerOf returns the integration that makes tokens: the one that is named, or
// the first.
func (g *guard) issuerOf(name string) *integration {
	for _, in := range g.integrations {
		if in.local != nil && in.local.endpoint != nil && (name == "" || in.name == name) {
			return in
		}
	}
	return nil
}

// serveToken makes tokens for a password or a refresh token.
func (g *guard) serveToken(w http.ResponseWriter, r *request) (served bool, err error) {
	return g.serveGrant(w, r, func(e *local.Endpoint) local.Outcome { return e.Token(w, r.Request, clientOf(r.Request)) })
}

// serveRevoke ends a family of refresh tokens.
func (g *guard) serveRevoke(w http.ResponseWriter, r *request) (served bool, err error) {
	return g.serveGrant(w, r, func(e *local.Endpoint) local.Outcome { return e.Revoke(w, r.Request) })
}

func (g *guard) serveGrant(w http.ResponseWriter, r *request, serve func(*local.Endpoint) local.Outcome) (served bool, err error) {
	in := g.issuerOf(r.original.Query().Get("integration"))
	if in == nil {
		return false, nil
	}
	g.origins.expose(w.Header(), r.Request)
	if _, listed := g.origins.of(r.Request); crossOrigin(r.Request) && !listed && !g.origins.fromSite(r.Request) {
		// No cookie counts here, but a page could guess from its visitors' addresses.
		return true, writeProblem(w, r, problem{http.StatusText(forbidden.status), forbidden.status, forbidden.code, string(claims.CrossOrigin), ""})
	}
	o := serve(in.local.endpoint)
	if o.Grant == "password" {
		countLogin(in.name, o.Reason)
	}
	entry := g.log.Check(levelOf(o.Repeated), "token request")
	if entry == nil {
		return true, nil
	}
	entry.Write(zap.String("integration", in.name), zap.String("grant", o.Grant), zap.String("user", o.User), zap.Int("status", o.Status),
		zap.String("reason", string(o.Reason)), zap.String("client_ip", clientOf(r.Request)), zap.String("host", r.Host), zap.String("request_id", requestID(r.Request)))
	return true, nil
}

// hasKeys reports whether anything is signed here.
func (g *guard) hasKeys() bool { return g.makesTokens() || g.assertion != nil }

// serveJWKS shows the public keys of the tokens and assertions that are made here.
func (g *guard) serveJWKS(w http.ResponseWriter, r *request) (served bool, err error) {
	ctx, cancel := context.WithTimeout(r.Context(), store.Timeout)
	defer cancel()
	var all struct {
		Keys []json.RawMessage `json:"keys"`
	}
	all.Keys = []json.RawMessage{}
	var signing []*jwt.SigningKeys
	for _, in := range g.integrations {
		if in.local != nil && in.local.signing != nil {
			signing = append(signing, in.local.signing)
		}
	}
	if g.assertion != nil {
		signing = append(signing, g.assertion.keys)
	}
	for _, s := range signing {
		keys, err := s.PublicKeys(ctx)
		if err != nil {
			w.Header().Set("Retry-After", retryAfter)
			return true, writeProblem(w, r, problem{
				http.StatusText(http.StatusServiceUnavailable), http.StatusServiceUnavailable,
				unavailable.code, string(claims.StorageUnavailable), "",
			})
		}
		all.Keys = append(all.Keys, keys...)
	}
	body, err := json.Marshal(all)
	if err != nil {
		return true, err
	}
	w.Header().Set("Access-Control-Allow-Origin", "*")
	return true, writeBody(w, r.Request, http.StatusOK, "application/jwk-set+json", body)
}
