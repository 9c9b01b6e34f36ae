package admit

import (
	"encoding/json"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/caddy-admit/admit/claims"
	"github.com/caddy-admit/admit/internal/page"
)

// retryAfter is how long, in seconds, a client should wait when keys are out of
// reach: about as long as the back-off between two fetches.
const retryAfter = "10"

// answer is what goes with a reason.
type answer struct {
	status int
	code   string // the "error" of RFC 6750 section 3.1 or RFC 6749 section 4.1.2.1
}

var (
	unauthorized = answer{http.StatusUnauthorized, "invalid_token"}
	badRequest   = answer{http.StatusBadRequest, "invalid_request"}
	forbidden    = answer{http.StatusForbidden, "access_denied"}
	tooMany      = answer{http.StatusTooManyRequests, "slow_down"}
	unavailable  = answer{http.StatusServiceUnavailable, "temporarily_unavailable"}
)

// answerTo returns the answer to a refusal. What is not listed is a token that
// is refused.
func answerTo(d *claims.Decision) answer {
	switch d.Reason {
	case claims.MissingCredential:
		return answer{status: http.StatusUnauthorized} // no code, RFC 6750 section 3.1
	case claims.MalformedCredential, claims.SeveralCredentials, claims.StateInvalid:
		return badRequest
	case claims.RuleFailed:
		if scopeOf(d.Rule) != "" {
			return answer{http.StatusForbidden, "insufficient_scope"}
		}
		return forbidden
	case claims.Denied, claims.CrossOrigin, claims.LoginRefused:
		return forbidden
	case claims.LockedOut:
		return tooMany
	case claims.KeysUnavailable, claims.StorageUnavailable, claims.SignInUnavailable:
		return unavailable
	}
	return unauthorized
}

// problem is the body of a refusal (RFC 9457).
type problem struct {
	Title  string `json:"title"`
	Status int    `json:"status"`
	Error  string `json:"error,omitempty"`
	Reason string `json:"reason"`
	Login  string `json:"login,omitempty"` // where a browser can be sent
}

// refuse answers a refusal: by an error route of the site if one would, else
// with a page for people and a problem for programs.
func (g *guard) refuse(w http.ResponseWriter, r *request, d *claims.Decision) error {
	a := answerTo(d)
	h := w.Header()
	h["Cache-Control"] = r.state.text("no-store")
	g.origins.expose(h, r.Request)
	for _, sessions := range r.state.dead() {
		sessions.Clear(w, r.sentRequest())
	}
	switch {
	case d.RetryAfter > 0:
		h.Set("Retry-After", seconds(d.RetryAfter))
	case a.status == http.StatusServiceUnavailable:
		h.Set("Retry-After", retryAfter)
	}
	if sent, err := g.sendToLogin(w, r, d); sent || err != nil {
		return err
	}
	g.challenge(h, r, d, a)
	if !r.state.trailers() && g.leaves(r.Request, a.status, d.Reason) {
		g.removeCredentials(r.Request, r.state)
		return refusal(a.status, d.Reason)
	}
	if wantsPage(r.Request) {
		p := pageFor(d, a.status)
		p.Reason, p.RequestID = string(d.Reason), requestID(r.Request)
		g.offerLogin(&p, r, d, a)
		return g.look.Write(w, r.Request, a.status, p)
	}
	p := problem{http.StatusText(a.status), a.status, a.code, string(d.Reason), ""}
	if g.login && needsLogin(d) && g.secure(r) {
		p.Login = g.prefix + "/login"
	}
	return writeProblem(w, r, p)
}

// offerLogin adds to a page how to get in where logging in would help, and as whom one
// is refused. Who sees the first of these has sent a form, which no login can bring
// back: it is not sent anywhere by itself.
func (g *guard) offerLogin(p *page.Page, r *request, d *claims.Decision, a answer) {
	link := func(text string, change func(where string) string) {
		if where, ok := g.loginURL(r); ok {
			p.Links = append(p.Links, page.Link{Path: change(where), Text: text})
		}
	}
	switch {
	case g.login && needsLogin(d) && !g.secure(r):
		p.Text = onlyHTTPS
	case g.login && needsLogin(d):
		link("Sign in", func(where string) string { return where })
	case a.status == http.StatusForbidden && d.Identity != nil:
		p.User = d.Identity.User()
		link("Sign in as someone else", g.asOther)
	}
}

// seconds writes a time as Retry-After does, rounded up.
func seconds(d time.Duration) string {
	return strconv.FormatInt(int64((d+time.Second-1)/time.Second), 10)
}

// leaves reports whether a refusal is left to Caddy's error routes.
func (g *guard) leaves(r *http.Request, status int, reason claims.Reason) bool {
	switch g.errors {
	case "direct":
		return false
	case "handle_errors":
		return true
	}
	return handlesError(r, status, reason)
}

// problems remembers what problems look like: they are made of statuses, codes and
// configured paths.
var problems = memo[problem, []byte]{limit: 1000}

// writeProblem writes a problem. The server adds its length, which is small.
func writeProblem(w http.ResponseWriter, r *request, p problem) error {
	body := problems.get(p, func() []byte {
		body, _ := json.Marshal(p) // texts and a number
		return body
	})
	h := w.Header()
	h["Content-Type"] = r.state.text("application/problem+json")
	h["X-Content-Type-Options"] = r.state.text("nosniff")
	if r.Method == http.MethodHead {
		h["Content-Length"] = r.state.text(strconv.Itoa(len(body)))
		w.WriteHeader(p.Status)
		return nil
	}
	w.WriteHeader(p.Status)
	_, _ = w.Write(body) // a client that went away is no fault of ours
	return nil
}

// challenge adds WWW-Authenticate, a line for each scheme that is taken here. A
// 403 has one only where another scope would help (RFC 6750 section 3.1).
func (g *guard) challenge(h http.Header, r *request, d *claims.Decision, a answer) {
	scope := ""
	switch a.status {
	case http.StatusServiceUnavailable, http.StatusTooManyRequests:
		return
	case http.StatusForbidden:
		if scope = scopeOf(d.Rule); scope == "" {
			return
		}
	}
	c := challenge{realm: g.realmOf(r.Request), code: a.code, reason: d.Reason, scope: scope}
	for _, c.scheme = range g.schemes {
		line := g.challengeText(c)
		if url := g.resourceMetadata(r, c.scheme); url != "" {
			line += `, resource_metadata=` + quote(url)
		}
		if lines := h["Www-Authenticate"]; len(lines) > 0 {
			h["Www-Authenticate"] = append(lines, line)
		} else {
			h["Www-Authenticate"] = r.state.text(line)
		}
	}
	// Where there is a login page, the browser's own prompt would be in its way.
	if a.status == http.StatusUnauthorized && g.takesBasic() && !fromScript(r.Request) && !(g.login && wantsPage(r.Request)) {
		h["Www-Authenticate"] = append(h["Www-Authenticate"], "Basic realm="+quote(c.realm)+`, charset="UTF-8"`)
	}
}

// challenge is what a challenge is made of.
type challenge struct {
	scheme, realm, code string
	reason              claims.Reason
	scope               string
}

// own returns a copy that holds on to no request.
func (c challenge) own() challenge {
	c.realm = strings.Clone(c.realm) // may be the host that a client wrote
	return c
}

// challengeText returns the text of a challenge, from memory where that is worth it.
func (g *guard) challengeText(c challenge) string {
	if len(c.realm) > maxHost {
		return c.text()
	}
	return g.challenges.get(c, c.text)
}

// text writes a challenge (RFC 6750 section 3).
func (c challenge) text() string {
	text := c.scheme + ` realm=` + quote(c.realm)
	if c.code != "" {
		text += `, error="` + c.code + `", error_description="` + string(c.reason) + `"`
	}
	if c.scope != "" {
		text += `, scope=` + quote(c.scope)
	}
	return text
}

// takesBasic reports whether passwords are taken by HTTP Basic.
func (c *checker) takesBasic() bool {
	return slices.ContainsFunc(c.places, func(p place) bool { return p.Basic })
}

// schemesOf lists the authentication schemes that clients may use, Bearer if
// tokens are taken only from elsewhere: every 401 needs a challenge.
func schemesOf(places []place) (schemes []string) {
	for _, p := range places {
		if p.Header == "Authorization" && !slices.Contains(schemes, p.Scheme) {
			schemes = append(schemes, p.Scheme)
		}
	}
	if len(schemes) == 0 {
		return []string{"Bearer"}
	}
	return schemes
}

// scopeOf returns a scope that would satisfy a rule on scope or scp, "" for any
// other rule.
func scopeOf(rule *claims.Rule) string {
	if scopes := scopesOf(rule); len(scopes) > 0 {
		return scopes[0]
	}
	return ""
}

// scopesOf returns the patterns of a rule on scope or scp that are scopes
// (RFC 6749 section 3.3).
func scopesOf(rule *claims.Rule) (scopes []string) {
	if rule == nil || rule.Claim() != "scope" && rule.Claim() != "scp" {
		return nil
	}
	for _, pattern := range rule.Patterns() {
		if !strings.ContainsFunc(pattern, func(c rune) bool { return c <= ' ' || c > '~' || c == '"' || c == '\\' || c == '*' }) {
			scopes = append(scopes, pattern)
		}
	}
	return scopes
}

// quote writes a quoted-string (RFC 9110 section 5.6.4) of visible ASCII.
func quote(text string) string {
	var out strings.Builder
	out.WriteByte('"')
	for _, c := range text {
		switch {
		case c < ' ' || c > '~':
			c = '?'
		case c == '"' || c == '\\':
			out.WriteByte('\\')
		}
		out.WriteRune(c)
	}
	out.WriteByte('"')
	return out.String()
}
