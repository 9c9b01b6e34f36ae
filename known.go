package admit

import (
	"errors"
	"net/http"

	"github.com/caddyserver/caddy/v2/modules/caddyhttp"

	"github.com/caddy-admit/admit/claims"
	"github.com/caddy-admit/admit/internal/store"
	"github.com/caddy-admit/admit/jwt"
	"github.com/caddy-admit/admit/oauth"
	"github.com/caddy-admit/admit/oauth/local"
	"github.com/caddy-admit/admit/oauth/machine"
)

// opened is a session that a request has, zero for none.
type opened struct {
	in      *integration
	session *oauth.Session
}

// signIn checks a user's password from HTTP Basic.
func (in *integration) signIn(r *request, user, password string) claims.Decision {
	d := claims.Decision{Verdict: claims.Refused, Integration: in.name, Credential: "basic"}
	subject, err := in.local.signIn(r.Context(), user, password, clientOf(r.Request))
	if err != nil {
		d = notSignedIn(d, err)
	}
	countLogin(in.name, d.Reason)
	if err != nil {
		return d
	}
	return in.known(d, subject.ID, subject.Claims)
}

// clientOf returns the address of the client as Caddy knows it.
func clientOf(r *http.Request) string {
	ip, _ := caddyhttp.GetVar(r.Context(), caddyhttp.ClientIPVarKey).(string)
	return ip
}

// notSignedIn says in a decision why somebody could not sign in, or why an issuer did
// not vouch for a client.
func notSignedIn(d claims.Decision, err error) claims.Decision {
	var (
		locked   *local.LockedError
		rejected *jwt.RejectedError
	)
	switch d.Verdict, d.Reason = claims.Refused, claims.SignInUnavailable; {
	case errors.As(err, &locked):
		d.Reason, d.RetryAfter, d.Repeated = claims.LockedOut, locked.RetryAfter, !locked.New
	case errors.As(err, &rejected):
		d.Reason = rejected.Reason
	case errors.Is(err, local.ErrBadPassword):
		d.Reason = claims.BadPassword
	case errors.Is(err, machine.ErrBadClient):
		d.Reason = claims.BadClient
	case errors.Is(err, machine.ErrInactive):
		d.Reason = claims.Inactive
	case errors.Is(err, store.ErrUnavailable):
		d.Reason = claims.StorageUnavailable
	}
	return d
}

// known makes a decision about somebody local, with the claims as they are now.
func (in *integration) known(d claims.Decision, id string, own *claims.Set) claims.Decision {
	set, err := local.Named(id, own)
	if err == nil {
		d.Identity = in.mapping.Identify(set)
	}
	if d.Verdict = ""; d.Identity == nil {
		d.Verdict, d.Reason = claims.Refused, claims.NoIdentity
	}
	return d
}

// checkAPIKey looks an API key up. The decision is empty where nobody has keys.
func (p *place) checkAPIKey(key string) (d claims.Decision) {
	for _, in := range p.integrations {
		if in.local == nil || in.local.keys.Len() == 0 {
			continue
		}
		if d.Reason == "" {
			d = claims.Decision{Verdict: claims.Refused, Reason: claims.BadAPIKey, Integration: in.name, Credential: "api_key"}
		}
		if found, ok := in.local.keys.Lookup(key); ok {
			return in.known(claims.Decision{Integration: in.name, Credential: "api_key"}, found.ID, found.Claims)
		}
	}
	return d
}

// openSession opens the session of the first integration that has a good one. A
// local user's counts as the list of users says now.
func (p *place) openSession(r *request) (first claims.Decision) {
	sent := r.sentCookies()
	for _, in := range p.integrations {
		session, err := in.sessions.OpenLines(r.Context(), sent)
		if errors.Is(err, oauth.ErrNoSession) {
			continue
		}
		d := claims.Decision{Verdict: claims.Refused, Integration: in.name, Credential: "session"}
		if err == nil {
			var identified claims.Decision
			if identified, err = in.identify(d, session); err == nil {
				r.state.opened = opened{in, session}
				return identified
			}
		}
		if d.Reason = sessionReason(err); d.Reason != claims.StorageUnavailable {
			r.state.also().dead = append(r.state.dead(), in.sessions)
		}
		if first.Reason == "" || outOfReach(d.Reason) {
			first = d
		}
	}
	return first
}

// identify makes a decision about who has a session: a local user as the list of
// users says now, anybody else as the provider said last. The session is
// [oauth.ErrSessionRevoked] if the user is gone, and [oauth.ErrSessionInvalid] if
// none of its claims is the user id any more, since that is another claim by now: a
// new login may bring it.
func (in *integration) identify(d claims.Decision, session *oauth.Session) (claims.Decision, error) {
	if in.local != nil {
		user, ok := in.local.users.Current(session.User, session.Stamp)
		if !ok {
			return d, oauth.ErrSessionRevoked
		}
		d.Identity = session.Identity(user.Claims, func() *claims.Identity { return in.known(d, user.ID, user.Claims).Identity })
	} else {
		d.Identity = session.Identity(in.mapping, func() *claims.Identity {
			set, err := claims.Parse(session.Claims)
			if err != nil {
				return nil
			}
			return in.mapping.Identify(set)
		})
	}
	switch {
	case d.Identity != nil:
		d.Verdict = ""
	case in.local != nil:
		d.Reason = claims.NoIdentity // as after any login
	default:
		return d, oauth.ErrSessionInvalid
	}
	return d, nil
}

func sessionReason(err error) claims.Reason {
	switch {
	case errors.Is(err, store.ErrUnavailable):
		return claims.StorageUnavailable
	case errors.Is(err, oauth.ErrSessionExpired):
		return claims.SessionExpired
	case errors.Is(err, oauth.ErrSessionRevoked):
		return claims.Revoked
	}
	return claims.SessionInvalid
}
