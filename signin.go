package admit

import (
	"bytes"
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"io"
	"mime"
	"net/http"
	"net/url"
	"slices"
	"strings"

	"go.uber.org/zap"

	"github.com/caddy-admit/admit/claims"
	"github.com/caddy-admit/admit/internal/page"
	"github.com/caddy-admit/admit/oauth"
)

// maxForm is the size in bytes of the longest form that is read.
const maxForm = 64 << 10

// canLogIn reports whether browsers can log in at this gate.
func (g *guard) canLogIn() bool { return len(g.logins) > 0 }

// loginsOf returns the integrations to log in with that a request names, all of
// them if it names none; nothing if it is for another gate.
func (g *guard) loginsOf(names []string) (some []*integration) {
	if strings.Join(names, "") == "" {
		return g.logins
	}
	for _, in := range g.logins {
		if slices.Contains(names, in.name) {
			some = append(some, in)
		}
	}
	return some
}

// serveLogin sends the browser to a provider, or shows the sign-in form or the
// integrations to choose from, and takes the form.
func (g *guard) serveLogin(w http.ResponseWriter, r *request) (served bool, err error) {
	form := r.original.Query()
	if r.Method == http.MethodPost {
		// Pages of other sites would sign somebody in as somebody else.
		if crossOrigin(r.Request) && !g.origins.fromSite(r.Request) {
			return true, g.refuseSignIn(w, r, claims.CrossOrigin)
		}
		if form, err = readForm(w, r); err != nil {
			return true, g.refuseSignIn(w, r, claims.MalformedCredential)
		}
	}
	logins, target := g.loginsOf(form["integration"]), g.returnTo(r, form.Get("return_to"))
	switch {
	case len(logins) == 0:
		return false, nil
	case !g.secure(r):
		g.warnInsecure(r)
		return true, g.look.Write(w, r.Request, http.StatusBadRequest, page.Page{Heading: "Only over https", Text: onlyHTTPS})
	case len(logins) == 1 && !logins[0].sessions.Covers(hostname(r.Host)):
		g.complain(foreignHost, "nobody can sign in here: the session's domain does not cover this host, so that browsers drop its cookie",
			zap.String("integration", logins[0].name), zap.String("host", r.Host))
		return true, g.look.Write(w, r.Request, http.StatusInternalServerError, notSetUp)
	case len(logins) > 1:
		return true, g.look.Write(w, r.Request, http.StatusOK, g.choose(logins, target, form))
	case logins[0].party != nil:
		return true, g.startLogin(w, r, logins[0], target)
	case r.Method == http.MethodPost:
		return true, g.signIn(w, r, logins[0], form, target)
	}
	return true, g.look.Write(w, r.Request, http.StatusOK, g.signInPage(logins[0], target, "", ""))
}

// refuseSignIn answers a form that is not looked at.
func (g *guard) refuseSignIn(w http.ResponseWriter, r *request, reason claims.Reason) error {
	d := claims.Decision{Verdict: claims.Refused, Reason: reason}
	status := answerTo(&d).status
	p := pageFor(&d, status)
	p.Reason, p.RequestID = string(reason), requestID(r.Request)
	return g.look.Write(w, r.Request, status, p)
}

// readForm reads a form. The body stays there for the next gate, if the form is
// for that one.
func readForm(w http.ResponseWriter, r *request) (url.Values, error) {
	kind, _, err := mime.ParseMediaType(r.Header.Get("Content-Type"))
	if err != nil || kind != "application/x-www-form-urlencoded" {
		return nil, errors.New("not a form")
	}
	body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, maxForm))
	if err != nil {
		return nil, err
	}
	r.Body = io.NopCloser(bytes.NewReader(body))
	return url.ParseQuery(string(body))
}

// choose shows the integrations to log in with. What the request says beside that
// goes along.
func (g *guard) choose(logins []*integration, target string, form url.Values) page.Page {
	p := page.Page{Heading: "Sign in", Text: "Choose how."}
	for _, in := range logins {
		path := g.loginPath(in, target)
		for _, name := range []string{"prompt", "login_hint"} {
			if form.Get(name) != "" {
				path += "&" + name + "=" + url.QueryEscape(form.Get(name))
			}
		}
		p.Links = append(p.Links, page.Link{Path: path, Text: in.name})
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
		err = g.endOthers(w, r, in)
	}
	if err == nil {
		session := &oauth.Session{User: subject.ID, Stamp: subject.Stamp, Claims: json.RawMessage("{}")}
		err = in.sessions.Start(r.Context(), w, r.sentRequest(), session)
	}
	if err == nil {
		g.logSignIn(r, user, &claims.Decision{Verdict: claims.Allowed, Integration: in.name})
		w.Header().Set("Location", target)
		w.WriteHeader(http.StatusSeeOther)
		return nil
	}
	d := notSignedIn(claims.Decision{Integration: in.name}, err)
	g.logSignIn(r, user, &d)
	status, problem := answerTo(&d).status, "User name or password is wrong."
	switch status {
	case http.StatusUnauthorized: // needs a challenge, and no prompt beside the form
		for _, scheme := range g.schemes {
			w.Header().Add("WWW-Authenticate", scheme+" realm="+quote(g.realmOf(r.Request)))
		}
	case http.StatusTooManyRequests:
		problem = "Too many attempts. Try again in " + seconds(d.RetryAfter) + " seconds."
		w.Header().Set("Retry-After", seconds(d.RetryAfter))
	case http.StatusServiceUnavailable:
		problem = "Nobody can sign in right now. Try again in a moment."
		w.Header().Set("Retry-After", retryAfter)
	}
	return g.look.Write(w, r.Request, status, g.signInPage(in, target, user, problem))
}

// endOthers ends the sessions that the browser has with other integrations of the
// gate: whoever signs in is that user from now on and nobody else.
func (g *guard) endOthers(w http.ResponseWriter, r *request, in *integration) error {
	for _, other := range g.integrations {
		if other != in && other.sessions != nil {
			if _, err := g.endSession(w, r, other); err != nil {
				return err
			}
		}
	}
	return nil
}

// logSignIn counts an attempt and writes a line about it. A name that was only tried may be a
// password in the wrong field: it is hashed, under a key that nobody knows.
func (g *guard) logSignIn(r *request, user string, d *claims.Decision) {
	countLogin(d.Integration, d.Reason)
	name := zap.String("user", user)
	if d.Reason != "" {
		mac := hmac.New(sha256.New, attemptKey)
		mac.Write([]byte(d.Integration + "\x00" + user))
		name = zap.String("user_hash", hex.EncodeToString(mac.Sum(nil)[:8]))
	}
	if entry := g.log.Check(levelOf(d.Repeated), "sign-in"); entry != nil {
		entry.Write(zap.String("integration", d.Integration), name, zap.String("reason", string(d.Reason)),
			zap.String("client_ip", clientOf(r.Request)), zap.String("host", r.Host), zap.String("request_id", requestID(r.Request)))
	}
}

// attemptKey is for the names in the log, new with each process.
var attemptKey = func() []byte {
	key := make([]byte, sha256.Size)
	rand.Read(key) // never fails (crypto/rand)
	return key
}()
