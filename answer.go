package admit

import (
	"encoding/json"
	"net/http"
	"slices"
	"strings"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/modules/caddyhttp"
	"go.uber.org/zap"
	"go.uber.org/zap/zapcore"

	"github.com/caddy-admit/admit/claims"
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
	unavailable  = answer{http.StatusServiceUnavailable, "temporarily_unavailable"}
)

// answerTo returns the answer to a refusal. What is not listed is a token that
// is refused.
func answerTo(d *claims.Decision) answer {
	switch d.Reason {
	case claims.MissingCredential:
		return answer{status: http.StatusUnauthorized} // no code, RFC 6750 section 3.1
	case claims.MalformedCredential, claims.SeveralCredentials:
		return badRequest
	case claims.RuleFailed:
		if scopeOf(d.Rule) != "" {
			return answer{http.StatusForbidden, "insufficient_scope"}
		}
		return forbidden
	case claims.Denied, claims.CrossOrigin:
		return forbidden
	case claims.KeysUnavailable:
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
}

// refuse writes the answer to a refusal.
func (g *guard) refuse(w http.ResponseWriter, r *request, d *claims.Decision) error {
	a := answerTo(d)
	h := w.Header()
	h.Set("Cache-Control", "no-store")
	h.Set("Content-Type", "application/problem+json")
	h.Set("X-Content-Type-Options", "nosniff")
	switch a.status {
	case http.StatusServiceUnavailable:
		h.Set("Retry-After", retryAfter)
	default:
		g.challenge(h, r, d, a)
	}
	body, err := json.Marshal(problem{http.StatusText(a.status), a.status, a.code, string(d.Reason)})
	if err != nil {
		return caddyhttp.Error(http.StatusInternalServerError, err)
	}
	w.WriteHeader(a.status)
	if r.Method != http.MethodHead {
		_, _ = w.Write(body) // a client that went away is no fault of ours
	}
	return nil
}

// challenge adds WWW-Authenticate, a line for each scheme that is taken here. A
// 403 has one only where another scope would help (RFC 6750 section 3.1).
func (g *guard) challenge(h http.Header, r *request, d *claims.Decision, a answer) {
	scope := ""
	if a.code == "insufficient_scope" {
		scope = scopeOf(d.Rule)
	} else if a.status == http.StatusForbidden {
		return
	}
	rest := ` realm=` + quote(g.realmOf(r.Request))
	if a.code != "" {
		rest += `, error="` + a.code + `", error_description="` + string(d.Reason) + `"`
	}
	if scope != "" {
		rest += `, scope=` + quote(scope)
	}
	for _, scheme := range g.schemes() {
		h.Add("WWW-Authenticate", scheme+rest)
	}
}

// schemes lists the authentication schemes that clients may use, Bearer if
// tokens are taken only from elsewhere: every 401 needs a challenge.
func (c *checker) schemes() (schemes []string) {
	for i := range c.places {
		p := &c.places[i]
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
// other rule: the first pattern that is a scope (RFC 6749 section 3.3).
func scopeOf(rule *claims.Rule) string {
	if rule == nil || rule.Claim() != "scope" && rule.Claim() != "scp" {
		return ""
	}
	for _, pattern := range rule.Patterns() {
		if !strings.ContainsFunc(pattern, func(c rune) bool { return c <= ' ' || c > '~' || c == '"' || c == '\\' || c == '*' }) {
			return pattern
		}
	}
	return ""
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

// logDecision writes the one log entry about a request: refusals at INFO, the
// rest at DEBUG.
func (g *guard) logDecision(r *request, d *claims.Decision) {
	level, status := zapcore.DebugLevel, 0
	if !d.LetsIn() {
		level, status = zapcore.InfoLevel, answerTo(d).status
	}
	entry := g.log.Check(level, "decision")
	if entry == nil {
		return
	}
	fields := []zap.Field{
		zap.String("verdict", string(d.Verdict)),
		zap.Int("status", status),
		zap.String("reason", string(d.Reason)),
		zap.String("integration", d.Integration),
		zap.String("credential", d.Credential),
		zap.String("method", r.Method),
		zap.String("host", r.Host),
		zap.String("path", originalURL(r.Request).Path),
	}
	if d.Rule != nil {
		fields = append(fields, zap.String("rule", d.Rule.String()))
	}
	if d.Identity != nil {
		fields = append(fields, zap.String("user", d.Identity.User()))
	}
	if ip, ok := caddyhttp.GetVar(r.Context(), caddyhttp.ClientIPVarKey).(string); ok {
		fields = append(fields, zap.String("client_ip", ip))
	}
	if repl, ok := r.Context().Value(caddy.ReplacerCtxKey).(*caddy.Replacer); ok {
		id, _ := repl.GetString("http.request.uuid")
		fields = append(fields, zap.String("request_id", id))
	}
	entry.Write(fields...)
}
