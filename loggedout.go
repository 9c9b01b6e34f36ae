package admit

import (
	"net/http"
	"slices"

	"github.com/caddy-admit/admit/internal/page"
	"github.com/caddy-admit/admit/oauth"
)

// serveLoggedOut says that it is done, or goes on. A browser that a page of this
// site sent here forgets what it has kept of it, and so does one that comes back from
// a provider.
func (g *guard) serveLoggedOut(w http.ResponseWriter, r *request) (served bool, err error) {
	query := r.original.Query()
	target, known, fromHere := query.Get("return_to"), query.Has("known"), r.Header.Get("Sec-Fetch-Site") == "same-origin"
	if state := query.Get("state"); state != "" {
		in, served := g.loggedOutOf(r, state)
		if in == nil {
			if !served {
				return false, nil // for another gate
			}
			return true, g.failState(w, r)
		}
		attempt, err := in.sessions.Finish(r.Context(), w, r.sentRequest(), oauth.Logout, state)
		if err != nil {
			return true, g.failState(w, r)
		}
		target, fromHere = attempt.ReturnTo, true
	}
	if fromHere {
		w.Header().Set("Clear-Site-Data", `"cache"`)
	}
	switch {
	case target != "":
		w.Header().Set("Location", g.returnTo(r, target))
		w.WriteHeader(http.StatusSeeOther)
		return true, nil
	case !fromHere && g.hasSession(r):
		return true, g.look.Write(w, r.Request, http.StatusOK, page.Page{
			Heading: "You are signed in", Links: []page.Link{{Path: g.prefix + "/logout", Text: "Sign out"}},
		})
	}
	return true, g.loggedOutPage(w, r, known)
}

// loggedOutOf returns the integration of the logout that a state belongs to. Where
// there is none, served says that no other gate has it either.
func (g *guard) loggedOutOf(r *request, state string) (in *integration, served bool) {
	name, ok := oauth.StateIntegration(state)
	for _, gate := range g.onHost(r) {
		if in := gate.integration(name); ok && in != nil && in.party != nil {
			if gate == g {
				return in, true
			}
			return nil, false
		}
	}
	return nil, true
}

// hasSession reports whether the browser has a session of this gate.
func (g *guard) hasSession(r *request) bool {
	return slices.ContainsFunc(g.integrations, func(in *integration) bool {
		if in.sessions == nil {
			return false
		}
		_, err := in.sessions.Open(r.Context(), r.sentRequest())
		return err == nil
	})
}

// loggedOutPage says that it is done. known says that the provider still knows the
// user: signing in again may need no password.
func (g *guard) loggedOutPage(w http.ResponseWriter, r *request, known bool) error {
	p := page.Page{Heading: "Signed out", Text: "You are signed out of this site."}
	if known {
		p.Text = "You are signed out of this site, but not of the service that you signed in with. Whoever uses this browser next may come in again without a password: sign out there too, if others use it."
	}
	if g.canLogIn() {
		p.Links = g.again("Sign in again")
	}
	return g.look.Write(w, r.Request, http.StatusOK, p)
}

// again is a link to the login page.
func (g *guard) again(text string) []page.Link {
	return []page.Link{{Path: g.prefix + "/login", Text: text}}
}
