package admit

import (
	"net/http"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/modules/caddyhttp"
	"go.uber.org/zap"
	"go.uber.org/zap/zapcore"

	"github.com/caddy-admit/admit/claims"
)

// logDecision writes the one log entry about a request: refusals and trials
// at INFO, the rest at DEBUG.
func (g *guard) logDecision(r *request, d *claims.Decision) {
	level, status := zapcore.DebugLevel, 0
	if d.Reason != "" {
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
	entry.Write(append(fields, zap.String("request_id", requestID(r.Request)))...)
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
