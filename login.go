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
	"github.com/caddy-admit/admit/jwt"
	"github.com/caddy-admit/admit/oauth"
)

// callback is where a provider sends browsers back to.
type callback struct {
	origin string // scheme and host where all logins happen; "": those of the request
	path   string // "": <endpoints>/callback
}

// parseCallback divides what [LoginClient.Callback] says, which is a path or a URL. The
// origin is spelled as browsers do, to be compared with theirs.
func parseCallback(text string) callback {
	if text == "" || text[0] == '/' {
		return callback{path: text}
	}
	scheme, rest, _ := strings.Cut(text, "://")
	host, path, _ := strings.Cut(rest, "/")
	origin := scheme + "://" + host
	if spelled, ok := serializeOrigin(origin); ok {
		origin = spelled
	}
	return callback{origin, "/" + path}
}

// callbackPath returns the path of an integration's redirect URI at this gate.
func (g *guard) callbackPath(in *integration) string {
	return cmp.Or(in.callback.path, g.prefix+"/callback")
}

// callbackURL returns the redirect URI of an integration.
func (g *guard) callbackURL(r *http.Request, in *integration) string {
	return cmp.Or(in.callback.origin, g.publicOrigin(r)) + g.callbackPath(in)
}

// startLogin sends a browser to the provider of an integration, from where it comes
// back to the callback and then to the target.
func (g *guard) startLogin(w http.ResponseWriter, r *request, in *integration, target string) error {
	query := r.original.Query()
	switch {
	case !mayRedirect(r.Request):
		return g.look.Write(w, r.Request, http.StatusBadRequest, page.Page{
			Heading: "Not from here", Text: "Signing in starts when somebody opens this page in a browser, not from a script, a frame or a form.",
		})
	case in.callback.origin != "" && in.callback.origin != g.publicOrigin(r.Request):
		return g.loginElsewhere(w, r, in, target, query)
	case !g.callbackReached(r, in):
		g.complain(callbackUnreachable, "no gate answers at the redirect URI: this one stands in a block that does not include it; write \"endpoints\" with a path inside the block, or \"callback\" with one that a gate with this integration sees",
			zap.String("integration", in.name), zap.String("host", r.Host), zap.String("path", g.callbackPath(in)))
		return g.look.Write(w, r.Request, http.StatusInternalServerError, notSetUp)
	case in.sessions.Looping(r.sentRequest()):
		g.complain(loginLoop, "a browser logs in again and again: its session is not accepted when it comes back; do all instances share storage and session secret, and do their clocks agree?",
			zap.String("integration", in.name), zap.String("client_ip", clientOf(r.Request)), zap.String("host", r.Host))
		return g.look.Write(w, r.Request, http.StatusInternalServerError, notSetUp)
	}
	attempt, err := in.sessions.Begin(r.Context(), w, r.sentRequest(), oauth.Login, target, in.party.FormPost())
	var where string
	if err == nil {
		where, err = in.party.AuthorizationURL(r.Context(), attempt, g.callbackURL(r.Request, in), oauth.AuthorizationOptions{
			LoginHint: query.Get("login_hint"), Prompt: promptOf(in, query.Get("prompt")),
		})
	}
	if err != nil {
		return g.failLogin(w, r, in, target, err)
	}
	w.Header().Set("Referrer-Policy", "no-referrer") // threat 68
	w.Header().Set("Location", where)
	w.WriteHeader(http.StatusFound)
	return nil
}

var notSetUp = page.Page{
	Heading: "Nobody can sign in here",
	Text:    "This site is set up in a way that does not work. Whoever runs it finds the reason in the log.",
}

// promptOf returns the "prompt" that has a provider ask for another account; other
// words are the operator's to choose, not a link's.
func promptOf(in *integration, word string) string {
	switch {
	case word != "login" && word != "select_account":
		return ""
	case slices.Contains([]string{vendorGoogle, oauth.VendorGitHub, jwt.VendorEntra}, in.vendor):
		return "select_account"
	}
	return "login"
}

// asOther makes a link to the login page one for another account: a provider would
// let the same one in again without asking.
func (g *guard) asOther(where string) string {
	if slices.ContainsFunc(g.logins, func(in *integration) bool { return in.party != nil }) {
		where += "&prompt=login"
	}
	return where
}

// sentOn is the parameter of a link to the login page of another host: one is sent on
// once, not in circles.
const sentOn = "sent_on"

// loginElsewhere sends the browser to the one host where all logins happen: the
// state of a login lies in a cookie of that host.
func (g *guard) loginElsewhere(w http.ResponseWriter, r *request, in *integration, target string, query url.Values) error {
	if query.Has(sentOn) {
		g.complain(callbackElsewhere, "browsers that are sent to the host of \"callback\" arrive at another origin: write \"public_url\" at the gate there, or \"trusted_proxies\", if a proxy before Caddy changes host or scheme",
			zap.String("integration", in.name), zap.String("callback", in.callback.origin), zap.String("arrived", g.publicOrigin(r.Request)))
		return g.look.Write(w, r.Request, http.StatusInternalServerError, notSetUp)
	}
	if strings.HasPrefix(target, "/") {
		target = g.publicOrigin(r.Request) + target
	}
	onward := url.Values{"integration": {in.name}, "return_to": {target}, sentOn: {"1"}}
	for _, name := range []string{"prompt", "login_hint"} {
		if query.Has(name) {
			onward.Set(name, query.Get(name))
		}
	}
	w.Header().Set("Location", in.callback.origin+g.loginPrefix(in)+"/login?"+onward.Encode())
	w.WriteHeader(http.StatusFound)
	return nil
}

// loginPrefix returns the path before the endpoints of the host where an integration
// logs in.
func (g *guard) loginPrefix(in *integration) string { return in.callback.prefix(g.prefix) }

// prefix returns the path before the endpoints of the host where all logins happen,
// or what it is at a gate whose logins happen there.
func (c callback) prefix(own string) string {
	if c.origin == "" {
		return own
	}
	// With several providers there is one below it for each.
	if i := strings.LastIndex(c.path+"/", "/callback/"); i >= 0 {
		return c.path[:i]
	}
	return own
}

// callbackReached reports whether the answer of the provider would come to a gate
// that takes it.
func (g *guard) callbackReached(r *request, in *integration) bool {
	path := g.callbackPath(in)
	return comesTo(r.Request, path, func(other *guard) bool { return other.takesCallback(in, path) })
}

// takesCallback reports whether a gate takes an integration's callbacks at a path. Users
// of one's own come back from nowhere, whatever a state says.
func (g *guard) takesCallback(in *integration, path string) bool {
	return in.party != nil && slices.Contains(g.logins, in) && g.callbackPath(in) == path
}

// failLogin answers a login that came to nothing: one page, and one log line that
// names what to change.
func (g *guard) failLogin(w http.ResponseWriter, r *request, in *integration, target string, err error) error {
	d := claims.Decision{Verdict: claims.Refused, Integration: in.name, Reason: loginReason(err)}
	countLogin(in.name, d.Reason)
	g.logFailedLogin(r, &d, err)
	status := answerTo(&d).status
	p := pageFor(&d, status)
	var refused *oauth.LoginError
	if errors.As(err, &refused) && refused.Code == "access_denied" {
		p.Text = "Signing in was cancelled, or the service that knows you did not let you in here."
	}
	p.Reason, p.RequestID = string(d.Reason), requestID(r.Request)
	again := g.loginPath(in, target)
	p.Links = append(p.Links, page.Link{Path: again, Text: "Try again"})
	if d.Reason == claims.LoginRefused { // with the same account it may end here for ever
		p.Links = append(p.Links, page.Link{Path: g.asOther(again), Text: "Sign in as someone else"})
	}
	for _, other := range g.logins {
		if other != in {
			p.Links = append(p.Links, page.Link{Path: g.loginPath(other, target), Text: "Sign in with " + other.name})
		}
	}
	if status == http.StatusServiceUnavailable {
		w.Header().Set("Retry-After", retryAfter)
	}
	return g.look.Write(w, r.Request, status, p)
}

// loginPath returns where to log in with one integration.
func (g *guard) loginPath(in *integration, target string) string {
	return g.prefix + "/login?" + url.Values{"integration": {in.name}, "return_to": {target}}.Encode()
}

// logFailedLogin writes the line about a login that came to nothing. Somebody who
// cancelled is no reason to look at the configuration.
func (g *guard) logFailedLogin(r *request, d *claims.Decision, err error) {
	level := zap.WarnLevel
	fields := []zap.Field{
		zap.String("integration", d.Integration), zap.String("reason", string(d.Reason)),
		zap.String("client_ip", clientOf(r.Request)), zap.String("host", r.Host), zap.String("request_id", requestID(r.Request)),
	}
	var refused *oauth.LoginError
	switch {
	case errors.As(err, &refused):
		if refused.Code == "access_denied" {
			level = zap.InfoLevel
		}
		fields = append(fields, zap.String("cause", refused.Cause), zap.String("provider_error", refused.Code),
			zap.Int("provider_status", refused.Status), zap.String("token_reason", refused.Reason), zap.String("change", refused.Hint))
	case d.Reason == claims.StateInvalid:
		level = zap.InfoLevel
	default:
		fields = append(fields, zap.Error(err), zap.String("change", oauth.UnavailableHint(err)))
	}
	if entry := g.log.Check(level, "login refused"); entry != nil {
		entry.Write(fields...)
	}
}
