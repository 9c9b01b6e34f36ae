package admit

import (
	"errors"
	"net"
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
	if !g.login || !g.canLogIn() || !mayRedirect(r.Request) || !needsLogin(d) || !g.secure(r) {
		return false, nil
	}
	path := g.prefix + "/login"
	if !g.reachable(r.Request, path, func(other *guard) bool { return other == g }) {
		g.log.Error("no gate answers at the login page: this one stands in a block that does not include it; write \"endpoints\" with a path inside the block",
			zap.String("host", r.Host), zap.String("path", path))
		return true, caddyhttp.Error(http.StatusInternalServerError, errors.New("admit: login page not reachable"))
	}
	target := r.original.RequestURI()
	if len(target) > oauth.MaxReturn {
		target = "/"
	}
	w.Header().Set("Location", path+"?"+url.Values{"return_to": {target}}.Encode())
	w.WriteHeader(http.StatusFound)
	return true, nil
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
	if h, _, err := net.SplitHostPort(host); err == nil {
		host = h
	}
	host = strings.ToLower(strings.Trim(host, "[]"))
	ip := net.ParseIP(host)
	return scheme == "https" || host == "localhost" || strings.HasSuffix(host, ".localhost") || ip != nil && ip.IsLoopback()
}
