package admit

import (
	"cmp"
	"errors"
	"net/http"
	"net/url"
	"slices"
	"strings"

	"github.com/caddyserver/caddy/v2/modules/caddyhttp"
	"go.uber.org/zap"

	"github.com/caddy-admit/admit/claims"
	"github.com/caddy-admit/admit/oauth"
)

// sendToLogin sends a browser that nobody knows to log in and back here. It
// reports whether it answered.
func (g *guard) sendToLogin(w http.ResponseWriter, r *request, d *claims.Decision) (sent bool, err error) {
	if !g.login || !mayRedirect(r.Request) || !needsLogin(d) {
		return false, nil
	}
	if !g.secure(r) {
		g.warnInsecure(r)
		return false, nil
	}
	where, ok := g.loginURL(r)
	if !ok {
		g.complain(loginUnreachable, "no gate answers at the login page: this one stands in a block that does not include it; write \"endpoints\" with a path inside the block",
			zap.String("host", r.Host), zap.String("path", g.prefix+"/login"))
		return true, caddyhttp.Error(http.StatusInternalServerError, errors.New("admit: login page not reachable"))
	}
	w.Header().Set("Location", where)
	w.WriteHeader(http.StatusFound)
	return true, nil
}

// loginURL returns where to log in and come back to what was asked for. It reports
// false if one cannot.
func (g *guard) loginURL(r *request) (string, bool) {
	path := g.prefix + "/login"
	first, reached := g.answersLogin(r, path)
	if !g.login || !reached {
		return "", false
	}
	target := r.original.RequestURI()
	if len(target) > oauth.MaxReturn || r.Method != http.MethodGet {
		target = "/"
	}
	query := url.Values{"return_to": {target}}
	if !first {
		for _, in := range g.logins {
			query.Add("integration", in.name)
		}
	}
	return path + "?" + query.Encode(), true
}

// answersLogin reports whether a gate where one can log in as for this one is
// reached at the login page, and whether this gate is the first one there: else
// another would answer a request that names no integration.
func (g *guard) answersLogin(r *request, path string) (first, reached bool) {
	var one *guard
	reached = comesTo(r.Request, path, func(other *guard) bool {
		if other.prefix != g.prefix || !other.canLogIn() {
			return false
		}
		one = cmp.Or(one, other)
		return slices.ContainsFunc(other.logins, func(in *integration) bool { return slices.Contains(g.logins, in) })
	})
	return one == g, reached
}

const onlyHTTPS = "Signing in needs a secure connection. Open this page with https."

// warnInsecure says why nobody can log in.
func (g *guard) warnInsecure(r *request) {
	g.complain(plainHTTP, "nobody can log in over plain http: use https, or public_url behind a proxy that does", zap.String("host", r.Host))
}

// needsLogin reports whether logging in would help: there is no credential, or a
// session that is over. A token that is refused is no browser's.
func needsLogin(d *claims.Decision) bool {
	return d.Reason == claims.MissingCredential ||
		d.Credential == "session" && slices.Contains([]claims.Reason{claims.SessionInvalid, claims.SessionExpired, claims.Revoked}, d.Reason)
}

// secure reports whether a browser keeps the session's cookie: over https, and on
// loopback.
func (g *guard) secure(r *request) bool {
	scheme, host, _ := strings.Cut(g.publicOrigin(r.Request), "://")
	return scheme == "https" || isLoopback(hostname(host))
}

// returnTo returns where to go after signing in or out: a path of this site that is
// none of the gates' own pages, a page of another host that shares the sessions of
// one of the gate's integrations, else the start page.
func (g *guard) returnTo(r *request, target string) string {
	if strings.HasPrefix(target, "/") {
		return g.returnPath(r.Request, target)
	}
	u, err := oauth.ReturnURL(target)
	if err != nil {
		return "/"
	}
	scheme, host, _ := strings.Cut(g.publicOrigin(r.Request), "://")
	if u.Scheme != scheme || u.Port() != (&url.URL{Host: host}).Port() {
		return "/"
	}
	shares := func(in *integration) bool {
		return in.sessions != nil && in.sessions.Shared() && in.sessions.Covers(u.Hostname())
	}
	there := *r.Request
	there.Host = u.Host
	if !comesTo(&there, u.Path, func(other *guard) bool {
		return slices.ContainsFunc(other.integrations, func(in *integration) bool { return shares(in) && slices.Contains(g.integrations, in) })
	}) || g.returnPath(&there, u.RequestURI()) != u.RequestURI() {
		return "/"
	}
	return target
}

// returnPath returns a path of a host that is none of the gates' own pages, else
// the start page.
func (g *guard) returnPath(there *http.Request, target string) string {
	path, err := oauth.ReturnPath(target)
	if err != nil {
		return "/"
	}
	u, err := url.Parse(path)
	if err != nil || isOwn(g, u.Path) || comesTo(there, u.Path, func(other *guard) bool { return isOwn(other, u.Path) }) {
		return "/"
	}
	return path
}

// isOwn reports whether a path lies where the gate has its own pages.
func isOwn(g *guard, path string) bool {
	return strings.HasPrefix(path, g.prefix+"/") || g.ownCallback(path)
}
