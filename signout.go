package admit

import (
	"encoding/json"
	"errors"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"time"

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
func (g *guard) hasSessions() bool {
	return slices.ContainsFunc(g.integrations, func(in *integration) bool { return in.sessions != nil })
}

// serveLogout ends the sessions of this host. A link of another site, or an
// image, cannot do it: what is not asked for by a page of this site or typed has
// to be confirmed.
func (g *guard) serveLogout(w http.ResponseWriter, r *request) (served bool, err error) {
	target := ""
	if given := r.original.Query().Get("return_to"); given != "" {
		target = g.returnPath(r, given)
	}
	if !g.asksToLogOut(r) {
		return true, g.confirmLogout(w, r, target)
	}
	if r.Method == http.MethodPost {
		// A script may send no form at all.
		if form, err := readSignIn(w, r); err == nil && form.Get("return_to") != "" {
			target = g.returnPath(r, form.Get("return_to"))
		}
	}
	failed := false
	for _, gate := range g.onHost(r) {
		for _, in := range gate.integrations {
			if in.sessions != nil {
				failed = g.endSession(w, r, in) != nil || failed
			}
		}
	}
	switch {
	case failed:
		w.Header().Set("Retry-After", retryAfter)
		return true, g.look.Write(w, r.Request, http.StatusServiceUnavailable, page.Page{
			Heading: "Signed out here only",
			Text:    "This browser is signed out, but that could not be noted everywhere. Try again in a moment.", Reason: string(claims.StorageUnavailable), RequestID: requestID(r.Request),
		})
	case wantsPage(r.Request):
		// By way of a second page: a browser keeps the page that is left for its back
		// button, and does so only once this one is there. The next can have it forgotten.
		next := g.prefix + "/logged-out"
		if target != "" {
			next += "?" + url.Values{"return_to": {target}}.Encode()
		}
		w.Header().Set("Refresh", "0; url="+next)
		return true, g.loggedOutPage(w, r)
	case target != "":
		w.Header().Set("Location", target)
		w.WriteHeader(http.StatusSeeOther)
		return true, nil
	}
	return true, g.loggedOutPage(w, r)
}

func (g *guard) endSession(w http.ResponseWriter, r *request, in *integration) error {
	session, err := in.sessions.Open(r.Context(), r.sentRequest())
	if err != nil {
		in.sessions.Clear(w, r.sentRequest())
		if errors.Is(err, oauth.ErrNoSession) || sessionReason(err) != claims.StorageUnavailable {
			return nil
		}
		return err
	}
	g.log.Info("sign-out", zap.String("integration", in.name), zap.String("user", session.User),
		zap.String("client_ip", clientOf(r.Request)), zap.String("host", r.Host), zap.String("request_id", requestID(r.Request)))
	return in.sessions.End(r.Context(), w, r.sentRequest(), session)
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

// serveLoggedOut says that it is done, or goes on. A browser that a page of this
// site sent here forgets what it has kept of it.
func (g *guard) serveLoggedOut(w http.ResponseWriter, r *request) (served bool, err error) {
	if r.Header.Get("Sec-Fetch-Site") == "same-origin" {
		w.Header().Set("Clear-Site-Data", `"cache"`)
	}
	if target := r.original.Query().Get("return_to"); target != "" {
		w.Header().Set("Location", g.returnPath(r, target))
		w.WriteHeader(http.StatusSeeOther)
		return true, nil
	}
	return true, g.loggedOutPage(w, r)
}

func (g *guard) loggedOutPage(w http.ResponseWriter, r *request) error {
	return g.look.Write(w, r.Request, http.StatusOK, page.Page{
		Heading: "Signed out",
		Text:    "You are signed out of this site.",
		Links:   []page.Link{{Path: g.prefix + "/login", Text: "Sign in again"}},
	})
}

// serveUserinfo tells a client who it is known as. It holds no token.
func (g *guard) serveUserinfo(w http.ResponseWriter, r *request) (served bool, err error) {
	var d claims.Decision
	for _, gate := range g.onHost(r) {
		if d = gate.authenticate(r); d.Identity != nil && d.Reason == "" {
			break
		}
	}
	if d.Identity == nil || d.Reason != "" {
		if d.Reason == "" {
			d = claims.Decision{Verdict: claims.Refused, Reason: claims.MissingCredential}
		}
		a := answerTo(&d)
		g.origins.expose(w.Header(), r.Request)
		g.challenge(w.Header(), r, &d, a)
		if a.status == http.StatusServiceUnavailable {
			w.Header().Set("Retry-After", retryAfter)
		} else if d.RetryAfter > 0 {
			w.Header().Set("Retry-After", seconds(d.RetryAfter))
		}
		return true, writeProblem(w, r.Request, problem{http.StatusText(a.status), a.status, a.code, string(d.Reason), ""})
	}
	info := struct {
		ID          string          `json:"id"`
		Integration string          `json:"integration"`
		Groups      []string        `json:"groups"`
		Claims      json.RawMessage `json:"claims"`
		Expires     *time.Time      `json:"session_expires,omitempty"`
	}{d.Identity.User(), d.Identity.Integration(), d.Identity.Groups(), d.Identity.Claims().Bytes(), nil}
	if info.Groups == nil {
		info.Groups = []string{}
	}
	if o := r.state.opened; o != nil && d.Credential == "session" {
		end := o.in.sessions.Expires(o.session)
		info.Expires = &end
	}
	body, err := json.Marshal(info)
	if err != nil {
		return true, err
	}
	g.origins.expose(w.Header(), r.Request)
	return true, writeBody(w, r.Request, http.StatusOK, "application/json", body)
}

// writeBody answers with a JSON text.
func writeBody(w http.ResponseWriter, r *http.Request, status int, kind string, body []byte) error {
	h := w.Header()
	h.Set("Content-Type", kind)
	h.Set("Content-Length", strconv.Itoa(len(body)))
	h.Set("X-Content-Type-Options", "nosniff")
	w.WriteHeader(status)
	if r.Method != http.MethodHead {
		_, _ = w.Write(body) // a client that went away is no fault of ours
	}
	return nil
}
