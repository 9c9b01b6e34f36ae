package admit

import (
	"net/http"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/modules/caddyhttp"
	"go.uber.org/zap"
	"go.uber.org/zap/zapcore"

	"github.com/caddy-admit/admit/claims"
)

// logDecision writes the one log entry about a decision, always with the same
// fields: refusals and trials at INFO, the rest at DEBUG. The status of a trial is
// the one that the rule would have led to.
func (g *guard) logDecision(r *request, d *claims.Decision) {
	level, status := zapcore.DebugLevel, 0
	if d.Reason != "" {
		level, status = levelOf(d.Repeated), answerTo(d).status
	}
	entry := g.log.Check(level, "decision")
	if entry == nil {
		return
	}
	var rule, user string
	if d.Rule != nil {
		rule = d.Rule.String()
	}
	if d.Identity != nil {
		user = d.Identity.User()
	}
	ip, _ := caddyhttp.GetVar(r.Context(), caddyhttp.ClientIPVarKey).(string)
	entry.Write(
		zap.String("verdict", string(d.Verdict)),
		zap.Int("status", status),
		zap.String("reason", string(d.Reason)),
		zap.String("rule", rule),
		zap.String("integration", d.Integration),
		zap.String("user", user),
		zap.String("credential", d.Credential),
		zap.String("client_ip", ip),
		zap.String("method", r.Method),
		zap.String("host", r.Host),
		zap.String("path", originalURL(r.Request).Path),
		zap.String("request_id", requestID(r.Request)),
	)
}

// levelOf is the level of a refusal. Of an attack that goes on after it was locked
// out one line is enough.
func levelOf(repeated bool) zapcore.Level {
	if repeated {
		return zapcore.DebugLevel
	}
	return zapcore.InfoLevel
}

// requestID returns the id that {http.request.uuid} shows.
func requestID(r *http.Request) string {
	repl, ok := r.Context().Value(caddy.ReplacerCtxKey).(*caddy.Replacer)
	if !ok {
		return ""
	}
	id, _ := repl.GetString("http.request.uuid")
	return id
}
