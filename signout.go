package admit

import (
	"cmp"
	"errors"
	"net/http"
	"net/url"
	"slices"
	"strings"

	"go.uber.org/zap"

	"github.com/caddy-admit/admit/claims"
	"github.com/caddy-admit/admit/internal/page"
	"github.com/caddy-admit/admit/oauth"
)

// onHost lists the gates of this host, this one first: each has sessions of its
// own, and whoever logs out means all of them.
func (g *guard) onHost(r *request) []*guard {
	gates := []*guard{g}
	comesTo(r.Request, g.prefix+"/logout", func(other *guard) bool {
		if !slices.Contains(gates, other) {
			gates = append(gates, other)
		}
		return false // on to the next one
	})
	return gates
}

// hasSessions reports whether some integration of the gate has sessions.
func (g *guard) hasSessions() bool { return len(g.sessions) > 0 }

// serveLogout ends the sessions of this host, then that at the provider. A link of
// another site, or an image, cannot do it: what is not asked for by a page of this
// site or typed has to be confirmed.
func (g *guard) serveLogout(w http.ResponseWriter, r *request) (served bool, err error) {
	target := ""
	if given := r.original.Query().Get("return_to"); given != "" {
		target = g.returnTo(r, given)
	}
	if !g.asksToLogOut(r) {
		return true, g.confirmLogout(w, r, target)
	}
	if r.Method == http.MethodPost {
		// A script may send no form at all.
		if form, err := readForm(w, r); err == nil && form.Get("return_to") != "" {
			target = g.returnTo(r, form.Get("return_to"))
		}
	}
	ended, err := g.endAll(w, r)
	switch {
	case err != nil:
		w.Header().Set("Retry-After", retryAfter)
		return true, g.look.Write(w, r.Request, http.StatusServiceUnavailable, page.Page{
			Heading: "Signed out here only",
			Text:    "This browser is signed out, but that could not be noted everywhere. Try again in a moment.", Reason: string(claims.StorageUnavailable), RequestID: requestID(r.Request),
		})
	case wantsPage(r.Request):
		// By way of a second page: a browser keeps the page that is left for its back
		// button, and does so only once this one is there. The next can have it forgotten.
		// An ID token for the provider goes along in the header, which shows it to nobody
		// but the browser, as a redirect would. Were it the next page of this site that
		// redirects, the token would have to lie somewhere until then, when the session has
		// ended that held it; it is too long for the cookie of a state.
		next, known := g.endAtProvider(w, r, ended, target)
		w.Header().Set("Refresh", "0; url="+next)
		return true, g.loggedOutPage(w, r, known)
	}
	// A program is told that it is done, and goes where it likes: to follow a redirect
	// would have it fetch a page of the application, or of another host.
	return true, g.loggedOutPage(w, r, false)
}

// endAll ends the sessions of all gates of this host, and returns those of people
// whom a provider knows.
func (g *guard) endAll(w http.ResponseWriter, r *request) (ended []opened, err error) {
	for _, gate := range g.onHost(r) {
		for _, in := range gate.integrations {
			if in.sessions == nil {
				continue
			}
			session, failed := g.endSession(w, r, in)
			err = errors.Join(err, failed)
			if session != nil && in.party != nil {
				ended = append(ended, opened{in, session})
			}
		}
	}
	return ended, err
}

// endSession ends the session that the browser has with an integration, and returns
// it; nil if there was none that counts.
func (g *guard) endSession(w http.ResponseWriter, r *request, in *integration) (*oauth.Session, error) {
	session, err := in.sessions.OpenToEnd(r.Context(), r.sentRequest())
	if err != nil {
		in.sessions.Clear(w, r.sentRequest())
		if errors.Is(err, oauth.ErrNoSession) || sessionReason(err) != claims.StorageUnavailable {
			return nil, nil
		}
		return nil, err
	}
	g.log.Info("sign-out", zap.String("integration", in.name), zap.String("user", session.User),
		zap.String("client_ip", clientOf(r.Request)), zap.String("host", r.Host), zap.String("request_id", requestID(r.Request)))
	return session, in.sessions.End(r.Context(), w, r.sentRequest(), session)
}

// endAtProvider returns where the browser goes on to: to the first provider that can
// end its own session (OpenID Connect RP-Initiated Logout 1.0), else to the gate's
// last page. known says that a provider still knows the user.
func (g *guard) endAtProvider(w http.ResponseWriter, r *request, ended []opened, target string) (next string, known bool) {
	for _, o := range ended {
		where, err := g.endSessionURL(w, r, o, target)
		if err != nil {
			g.log.Warn("the session at the provider could not be ended", zap.String("integration", o.in.name), zap.Error(err))
		}
		if where != "" {
			return where, false
		}
		known = true
	}
	query := url.Values{}
	if known {
		query.Set("known", "1")
	}
	if target != "" {
		query.Set("return_to", target)
	}
	next = g.prefix + "/logged-out"
	if len(query) > 0 {
		next += "?" + query.Encode()
	}
	return next, known
}

// endSessionURL returns where a provider ends its session and sends the browser on
// to the page of this gate that knows the target, "" if it cannot: then nothing is
// left in the browser to come back with.
func (g *guard) endSessionURL(w http.ResponseWriter, r *request, o opened, target string) (string, error) {
	can, handsBack, err := o.in.party.EndsSessions(r.Context())
	if !can || err != nil {
		return "", err
	}
	origin, back := g.publicOrigin(r.Request), g.loggedOutURL(r.Request, o.in)
	if !handsBack { // so that nobody would ever use up the cookie of a state
		return o.in.party.EndSessionURL(r.Context(), o.session.IDToken, back, "")
	}
	if strings.HasPrefix(target, "/") && !strings.HasPrefix(back, origin+"/") {
		target = origin + target
	}
	attempt, err := o.in.sessions.Begin(r.Context(), w, r.sentRequest(), oauth.Logout, target, false)
	if err != nil {
		return "", err
	}
	return o.in.party.EndSessionURL(r.Context(), o.session.IDToken, back, attempt.State())
}

// loggedOutURL returns the post-logout redirect URI of an integration: a page of the
// host where it logs in.
func (g *guard) loggedOutURL(r *http.Request, in *integration) string {
	return cmp.Or(in.callback.origin, g.publicOrigin(r)) + g.loginPrefix(in) + "/logged-out"
}

// asksToLogOut reports whether a page of this site, or somebody who typed the
// address, wants to log out now: no other site, and no browser that looks ahead.
func (g *guard) asksToLogOut(r *request) bool {
	if r.Method == http.MethodPost {
		return !crossOrigin(r.Request) || g.origins.fromSite(r.Request)
	}
	site := r.Header.Get("Sec-Fetch-Site")
	return (site == "same-origin" || site == "none") && r.Header.Get("Sec-Fetch-Mode") == "navigate" && !isPrefetch(r.Request)
}

func (g *guard) confirmLogout(w http.ResponseWriter, r *request, target string) error {
	return g.look.Write(w, r.Request, http.StatusOK, page.Page{
		Heading: "Sign out?",
		Confirm: &page.Confirm{Action: g.prefix + "/logout", ReturnTo: target, Button: "Sign out"},
	})
}
