package admit

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"io"
	"mime"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"

	"go.uber.org/zap"

	"github.com/caddy-admit/admit/claims"
	"github.com/caddy-admit/admit/internal/page"
	"github.com/caddy-admit/admit/oauth"
)

// maxForm is the size in bytes of the longest sign-in form.
const maxForm = 64 << 10

// canLogIn reports whether browsers can log in at this gate.
func (g *guard) canLogIn() bool { return len(g.logins) > 0 }

// loginOf returns the integration that a request names, or the only one there is;
// nil if it is for another gate or has to be chosen.
func (g *guard) loginOf(name string) *integration {
	if name == "" && len(g.logins) == 1 {
		return g.logins[0]
	}
	for _, in := range g.logins {
		if in.name == name {
			return in
		}
	}
	return nil
}

// serveLogin shows the sign-in form, or the integrations to choose from, and takes
// the form.
func (g *guard) serveLogin(w http.ResponseWriter, r *request) (served bool, err error) {
	form := r.original.Query()
	if r.Method == http.MethodPost {
		if form, err = readSignIn(w, r); err != nil {
			return true, g.look.Write(w, r.Request, http.StatusBadRequest, page.Page{Heading: "This form cannot be read", Text: "Go back and try again.",
				Reason: string(claims.MalformedCredential), RequestID: requestID(r.Request)})
		}
	}
	name := form.Get("integration")
	in, target := g.loginOf(name), g.returnPath(form.Get("return_to"))
	switch {
	case in == nil && name != "":
		return false, nil
	case !g.secure(r):
		g.log.Error("nobody can log in over plain http: use https, or public_url behind a proxy that does", zap.String("host", r.Host))
		return true, g.look.Write(w, r.Request, http.StatusBadRequest, page.Page{Heading: "Only over https", Text: "Signing in needs a secure connection. Open this page with https."})
	case in == nil:
		return true, g.look.Write(w, r.Request, http.StatusOK, g.choose(target))
	case r.Method == http.MethodPost:
		return true, g.signIn(w, r, in, form, target)
	}
	return true, g.look.Write(w, r.Request, http.StatusOK, g.signInPage(in, target, "", ""))
}

// readSignIn reads a form that was sent by a page of this site. Pages of others
// would sign somebody in as somebody else.
func readSignIn(w http.ResponseWriter, r *request) (url.Values, error) {
	if crossOrigin(r.Request) {
		return nil, errors.New("sent from another site")
	}
	kind, _, err := mime.ParseMediaType(r.Header.Get("Content-Type"))
	if err != nil || kind != "application/x-www-form-urlencoded" {
		return nil, errors.New("not a form")
	}
	body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, maxForm))
	if err != nil {
		return nil, err
	}
	return url.ParseQuery(string(body))
}

func (g *guard) choose(target string) page.Page {
	p := page.Page{Heading: "Sign in", Text: "Choose how."}
	for _, in := range g.logins {
		query := url.Values{"integration": {in.name}, "return_to": {target}}
		p.Links = append(p.Links, page.Link{Path: g.prefix + "/login?" + query.Encode(), Text: in.name})
	}
	return p
}

func (g *guard) signInPage(in *integration, target, user, problem string) page.Page {
	return page.Page{Heading: "Sign in", SignIn: &page.SignIn{
		Action: g.prefix + "/login", ReturnTo: target, Integration: in.name, User: user, Problem: problem,
	}}
}

// signIn checks user and password, and begins a session.
func (g *guard) signIn(w http.ResponseWriter, r *request, in *integration, form url.Values, target string) error {
	user := form.Get("username")
	subject, err := in.local.signIn(r.Context(), user, form.Get("password"), clientOf(r.Request))
	if err == nil {
		session := &oauth.Session{User: subject.ID, Stamp: subject.Stamp, Claims: json.RawMessage("{}")}
		err = in.sessions.Start(r.Context(), w, r.sentRequest(), session)
	}
	if err == nil {
		g.logSignIn(r, in, user, &claims.Decision{})
		w.Header().Set("Location", target)
		w.WriteHeader(http.StatusSeeOther)
		return nil
	}
	reason, retry, repeated := signInReason(err)
	d := claims.Decision{Verdict: claims.Refused, Reason: reason, Integration: in.name, Repeated: repeated}
	g.logSignIn(r, in, user, &d)
	status, problem := answerTo(&d).status, "User name or password is wrong."
	switch status {
	case http.StatusUnauthorized: // needs a challenge, and no prompt beside the form
		for _, scheme := range g.schemes() {
			w.Header().Add("WWW-Authenticate", scheme+" realm="+quote(g.realmOf(r.Request)))
		}
	case http.StatusTooManyRequests:
		problem = "Too many attempts. Try again in " + retry.Round(time.Second).String() + "."
		w.Header().Set("Retry-After", strconv.FormatInt(int64((retry+time.Second-1)/time.Second), 10))
	case http.StatusServiceUnavailable:
		problem = "Nobody can sign in right now. Try again in a moment."
		w.Header().Set("Retry-After", retryAfter)
	}
	return g.look.Write(w, r.Request, status, g.signInPage(in, target, user, problem))
}

// logSignIn counts an attempt and writes one line about it, of many in one attack
// only the first. A name that was only tried may be a password in the wrong field:
// it is hashed.
func (g *guard) logSignIn(r *request, in *integration, user string, d *claims.Decision) {
	countLogin(in.name, d.Reason)
	level, name := zap.InfoLevel, zap.String("user", user)
	if d.Reason != "" {
		sum := sha256.Sum256([]byte(in.name + "\x00" + user))
		name = zap.String("user_hash", hex.EncodeToString(sum[:8]))
	}
	if d.Repeated {
		level = zap.DebugLevel
	}
	g.log.Log(level, "sign-in", zap.String("integration", in.name), name, zap.String("reason", string(d.Reason)),
		zap.String("client_ip", clientOf(r.Request)), zap.String("host", r.Host), zap.String("request_id", requestID(r.Request)))
}

// returnPath returns where to go after signing in or out: a path of this site
// that is none of the gate's own pages, else the start page.
func (g *guard) returnPath(target string) string {
	path, err := oauth.ReturnPath(target)
	if err != nil || strings.HasPrefix(path, g.prefix+"/") {
		return "/"
	}
	return path
}
