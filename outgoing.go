package admit

import (
	"fmt"
	"net/http"
	"slices"

	"go.uber.org/zap"

	"github.com/caddy-admit/admit/claims"
	"github.com/caddy-admit/admit/oauth/machine"
)

// outgoing is what a gate has for the application with one request, besides what it
// says in headers about the identity.
type outgoing struct {
	token     string // "" for none
	assertion string
}

// keepForwarded has the integrations keep what sessions are to pass on. It is called
// at load, before any session begins.
func (g *guard) keepForwarded(e *expander) {
	if !g.forward.ofSessions() {
		return
	}
	for _, in := range g.integrations {
		if in.party == nil {
			continue
		}
		if in.inCookies {
			e.fail("forward %s: the sessions of %s lie in cookies, which hold no tokens for others: expected session { store auto } or storage", g.forward.what, in.name)
		}
		in.forwards = in.forwards || g.forward.what != "id_token"
	}
	able := func(in *integration) bool { return in.exchanges }
	if g.forward.what == "exchange" && !slices.ContainsFunc(g.integrations, able) {
		e.fail("forward exchange: none of the gate's integrations has a client that could exchange tokens: expected a login or an introspection block")
	}
}

// openExchange makes what exchanges tokens for the application.
func (g *guard) openExchange() error {
	if g.forward.what != "exchange" {
		return nil
	}
	g.exchange = make(map[string]*machine.Exchanger)
	for _, in := range g.integrations {
		if !in.exchanges {
			continue
		}
		x, err := in.exchanger(&g.forward, &g.exchanges)
		if err != nil {
			return fmt.Errorf("forward exchange: integration %s: %w", in.name, err)
		}
		g.exchange[in.name] = x
	}
	return nil
}

// ofSessions reports whether sessions have something to pass on.
func (f *forwarding) ofSessions() bool {
	return f.what == "access_token" || f.what == "id_token" || f.what == "exchange"
}

// prepare gets what the application is to have with a request that may pass. A
// request for which it cannot be had does not pass.
func (g *guard) prepare(r *request, d *claims.Decision) (out outgoing) {
	if !d.LetsIn() || d.Identity == nil {
		return outgoing{}
	}
	out.token = g.forwarded(r.state, d)
	var err error
	if g.exchange != nil && out.token != "" {
		if out.token, err = g.exchanged(r, d, out.token); err != nil {
			d.Rule = nil
			*d = notSignedIn(*d, err)
			return outgoing{}
		}
	}
	if g.assertion == nil {
		return out
	}
	if out.assertion, err = g.assertion.about(r.Context(), d.Identity, g.publicOrigin(r.Request)); err != nil {
		g.complain(noAssertion, "no assertion can be signed", zap.Error(err))
		d.Verdict, d.Reason, d.Rule = claims.Refused, claims.StorageUnavailable, nil
		return outgoing{}
	}
	return out
}

// forwarded returns the token for the application, "" if it gets none, or if the one
// that the client sent stays where it is.
func (g *guard) forwarded(s *state, d *claims.Decision) string {
	switch g.forward.what {
	case "token":
		return s.token
	case "access_token", "exchange":
		if s.token == "" && d.Credential == "session" {
			return s.opened.accessToken()
		}
		return s.token
	case "id_token":
		if d.Credential == "session" && s.opened.session != nil {
			return s.opened.session.IDToken
		}
	case "standard":
		if d.Credential == "basic" {
			return s.token // made for the client
		}
	}
	return ""
}

// exchanged returns a token for the application in exchange for the one at hand,
// "" if the integration that this one is of has no client for it.
func (g *guard) exchanged(r *request, d *claims.Decision, token string) (string, error) {
	of := d.Integration
	if c := r.state.carrier(); c != nil {
		of = c.in.name // the key has no token
	}
	x := g.exchange[of]
	if x == nil {
		return "", nil
	}
	return x.Token(r.Context(), token)
}

// accessToken returns the access token of a session. One that has ended, because
// nobody could renew it, is of no use to anybody.
func (o *opened) accessToken() string {
	if o.session == nil {
		return ""
	}
	tokens := &o.session.Tokens
	if !tokens.Expires.IsZero() && !now().Before(tokens.Expires) {
		return ""
	}
	return tokens.Access
}

// forwardCredential gives the upstream the credential that it is to see: token, or
// the one that the client sent.
func (g *guard) forwardCredential(r *http.Request, s *state, token string) {
	g.dropUnproven(r, s)
	known := s.decision.Credential
	if g.forward.what == "client" || g.forward.what == "standard" && known != "basic" && known != "api_key" {
		return
	}
	g.removeCredentials(r, s)
	if token == "" {
		return
	}
	header, value := or(g.forward.header, "Authorization"), token
	if header == "Authorization" {
		value = "Bearer " + value
	}
	r.Header[header] = []string{value}
	s.headers = append(s.headers, header)
}
