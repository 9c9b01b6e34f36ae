package admit

import (
	"encoding/json"
	"net/http"
	"strconv"
	"time"

	"github.com/caddy-admit/admit/claims"
)

// serveUserinfo tells a client who it is known as. It holds no token.
func (g *guard) serveUserinfo(w http.ResponseWriter, r *request) (served bool, err error) {
	var d claims.Decision
	var in *integration
	for _, gate := range g.onHost(r) {
		if d = gate.authenticate(r); d.Identity != nil && d.Reason == "" {
			in = gate.integration(d.Integration)
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
		return true, writeProblem(w, r, problem{http.StatusText(a.status), a.status, a.code, string(d.Reason), ""})
	}
	info := struct {
		ID          string          `json:"id"`
		Integration string          `json:"integration"`
		Groups      []string        `json:"groups"`
		Claims      json.RawMessage `json:"claims"`
		Expires     *time.Time      `json:"session_expires,omitempty"`
	}{d.Identity.User(), d.Identity.Integration(), d.Identity.Groups(), in.keyClaim.without(d.Identity.Claims()), nil}
	if info.Groups == nil {
		info.Groups = []string{}
	}
	if o := &r.state.opened; o.session != nil && d.Credential == "session" {
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
