package admit

import (
	"context"
	"errors"
	"net/http"
	"net/url"
	"slices"
	"time"

	"go.uber.org/zap"

	"github.com/caddy-admit/admit/claims"
	"github.com/caddy-admit/admit/internal/outbound"
	"github.com/caddy-admit/admit/internal/store"
	"github.com/caddy-admit/admit/jwt"
	"github.com/caddy-admit/admit/oauth"
)

// logsInElsewhere reports whether browsers come back from a provider to this gate's
// usual callback.
func (g *guard) logsInElsewhere() bool {
	return slices.ContainsFunc(g.logins, func(in *integration) bool { return in.party != nil && g.callbackPath(in) == g.prefix+"/callback" })
}

// ownCallback reports whether a path is one that an integration of the gate has for
// its callbacks.
func (g *guard) ownCallback(path string) bool {
	return slices.ContainsFunc(g.logins, func(in *integration) bool { return in.party != nil && g.callbackPath(in) == path })
}

// serveCallback takes the answer of a provider, and begins a session.
func (g *guard) serveCallback(w http.ResponseWriter, r *request) (served bool, err error) {
	answer, err := answerOf(w, r)
	name, ok := oauth.StateIntegration(answer.Get("state"))
	in := g.integration(name)
	switch {
	case err == nil && ok && (in == nil || !g.takesCallback(in, r.original.Path)):
		if g.othersTake(r, name) {
			return false, nil
		}
		fallthrough
	case err != nil || !ok:
		return true, g.failState(w, r)
	case r.Method == http.MethodPost && !in.party.FormPost():
		w.Header().Set("Allow", "GET, HEAD")
		w.WriteHeader(http.StatusMethodNotAllowed)
		return true, nil
	case r.Method == http.MethodHead || isPrefetch(r.Request):
		// A code is good once: it is not for those who only look ahead (threat 67).
		w.WriteHeader(http.StatusNoContent)
		return true, nil
	}
	attempt, err := in.sessions.Finish(r.Context(), w, r.sentRequest(), oauth.Login, answer.Get("state"))
	switch {
	case errors.Is(err, store.ErrUnavailable):
		return true, g.failLogin(w, r, in, "/", err)
	case err != nil:
		return true, g.failState(w, r)
	}
	target := g.returnTo(r, attempt.ReturnTo)
	if err := g.finishLogin(w, r, in, attempt, answer); err != nil {
		return true, g.failLogin(w, r, in, target, err)
	}
	return true, g.comeBack(w, r, in, target)
}

// answerOf reads the parameters that the provider sent by way of the browser. None of
// them may be there twice (threat 61).
func answerOf(w http.ResponseWriter, r *request) (answer url.Values, err error) {
	if r.Method == http.MethodPost {
		answer, err = readForm(w, r)
	} else {
		answer, err = url.ParseQuery(r.original.RawQuery)
	}
	if err == nil && oauth.Ambiguous(answer) {
		err = errors.New("a parameter is there twice")
	}
	return answer, err
}

// othersTake reports whether another gate of this host takes the callbacks of an
// integration at this path.
func (g *guard) othersTake(r *request, name string) bool {
	path := r.original.Path
	return comesTo(r.Request, path, func(other *guard) bool {
		in := other.integration(name)
		return other != g && in != nil && other.takesCallback(in, path)
	})
}

// failState answers a callback for which no login is under way. Somebody who has a
// session meanwhile has come back by the browser's history, and is in.
func (g *guard) failState(w http.ResponseWriter, r *request) error {
	for _, in := range g.logins {
		if _, err := in.sessions.Open(r.Context(), r.sentRequest()); err == nil && mayRedirect(r.Request) {
			w.Header().Set("Location", "/")
			w.WriteHeader(http.StatusSeeOther)
			return nil
		}
	}
	d := claims.Decision{Verdict: claims.Refused, Reason: claims.StateInvalid}
	g.logFailedLogin(r, &d, nil)
	p := pageFor(&d, http.StatusBadRequest)
	p.Reason, p.RequestID = string(d.Reason), requestID(r.Request)
	p.Links = g.again("Sign in")
	return g.look.Write(w, r.Request, http.StatusBadRequest, p)
}

// redeemLife is how long a provider has for all that it is asked about one login: each
// question has a limit of its own, but there may be many. Tests shorten it.
var redeemLife = 30 * time.Second

// finishLogin asks the provider who has logged in, and begins a session.
func (g *guard) finishLogin(w http.ResponseWriter, r *request, in *integration, attempt *oauth.Attempt, answer url.Values) error {
	ctx, cancel := context.WithTimeout(r.Context(), redeemLife)
	grant, err := in.party.Redeem(ctx, attempt, answer, g.callbackURL(r.Request, in))
	cancel()
	if err != nil {
		return err
	}
	session, err := in.sessionOf(grant)
	if err != nil {
		return err
	}
	if grant.Note != "" {
		g.log.Warn("a provider told less than was asked for", zap.String("integration", in.name), zap.String("missing", grant.Note))
	}
	if err := g.endOthers(w, r, in); err != nil {
		return err
	}
	if err := in.sessions.Start(r.Context(), w, r.sentRequest(), session); err != nil {
		return err
	}
	in.sessions.CountLogin(w, r.sentRequest())
	g.logSignIn(r, session.User, &claims.Decision{Verdict: claims.Allowed, Integration: in.name})
	return nil
}

// comeBack sends the browser to where it wanted to go. A browser that comes from
// another site does not send a strict cookie along with a redirect, but with what a
// page of this site leads to.
func (g *guard) comeBack(w http.ResponseWriter, r *request, in *integration, target string) error {
	if in.sessions.Strict() {
		w.Header().Set("Refresh", "0; url="+target)
		return g.look.Write(w, r.Request, http.StatusOK, signedIn(target))
	}
	w.Header().Set("Referrer-Policy", "no-referrer") // threat 68
	w.Header().Set("Location", target)
	w.WriteHeader(http.StatusSeeOther)
	return nil
}

// loginReason says in a word why a login came to nothing.
func loginReason(err error) claims.Reason {
	var refused *oauth.LoginError
	switch {
	case errors.As(err, &refused):
		return claims.LoginRefused
	case errors.Is(err, store.ErrUnavailable):
		return claims.StorageUnavailable
	case errors.Is(err, jwt.ErrKeysUnavailable):
		return claims.KeysUnavailable
	case errors.Is(err, oauth.ErrTokenEndpoint), errors.Is(err, outbound.ErrUnavailable):
		return claims.SignInUnavailable
	}
	return claims.LoginRefused
}
