package admit

import (
	"crypto/rand"
	"encoding/base64"
	"fmt"
	"html/template"
	"maps"
	"net/http"
	"net/http/httptest"
	"net/url"
	"slices"
	"strings"
	"sync"
	"testing"
)

// The client that a fakeProvider knows. Its secret needs encoding in HTTP Basic
// (RFC 6749 section 2.3.1).
const (
	clientID     = "app"
	clientSecret = "marked:secret of+the%client"
)

// fakeProvider is an OpenID provider that does what a test asks for. Whoever comes
// to its authorization endpoint is logged in at once, as ada. Its fields are
// changed by change only.
type fakeProvider struct {
	*httptest.Server
	t *testing.T

	mu       sync.Mutex
	counts   map[string]int // requests by path
	requests []providerRequest
	logins   []*providerLogin
	issued   []string // every code, token and verifier: none may be seen anywhere
	reused   int      // spent refresh tokens that came again

	issuer    string   // what it calls itself; default: its URL
	user      string   // who logs in; "sub" and more come from it
	key       fakeKey  // signs
	published []object // its key set; default: key alone
	auth      string   // how the client authenticates: basic, post, none or private_key_jwt
	plain     bool     // OAuth 2.0 alone, without ID tokens
	offline   bool     // gives refresh tokens
	keepOld   bool     // refresh tokens are not rotated
	lifetime  int      // expires_in; 0: not said

	// These change what it would say. Each may be nil.
	discovery  func(document object)
	answer     func(asked, answer url.Values) // of the authorization endpoint; a "redirect" in it leads elsewhere
	tokens     func(asked url.Values, answer object)
	idHeader   func(header object)
	idClaims   func(asked url.Values, claims object)
	access     func(claims object) // makes the access token a JWT with these claims
	userinfo   func(claims object)
	endSession func(asked, answer url.Values)
	// instead answers in the place of an endpoint, by path. It is called without the
	// lock and may answer with serve.
	instead map[string]http.HandlerFunc
}

// providerRequest is what a client asked for.
type providerRequest struct {
	path   string
	form   url.Values // query, or the body of a POST
	header http.Header
}

// providerLogin is somebody who has logged in at the provider.
type providerLogin struct {
	user, sid      string
	asked          url.Values // at the authorization endpoint
	code           string
	spent          bool // the code was used
	access         []string
	refresh        string
	spentRefreshes []string
	revoked        bool
}

func newProvider(t *testing.T) *fakeProvider {
	p := &fakeProvider{
		t: t, counts: map[string]int{}, user: "ada", key: keyOf("ES256", "es-1"), auth: "basic", lifetime: 3600,
		instead: map[string]http.HandlerFunc{},
	}
	p.Server = httptest.NewServer(p)
	p.issuer = p.URL
	t.Cleanup(p.Close)
	return p
}

// change changes what the provider does from now on.
func (p *fakeProvider) change(how func()) {
	p.mu.Lock()
	defer p.mu.Unlock()
	how()
}

// count returns how often a path was asked for.
func (p *fakeProvider) count(path string) int {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.counts[path]
}

// last returns the last request for a path.
func (p *fakeProvider) last(path string) providerRequest {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, r := range slices.Backward(p.requests) {
		if r.path == path {
			return r
		}
	}
	p.t.Fatalf("nobody asked for %s: %v", path, p.counts)
	return providerRequest{}
}

// login returns the last one who has logged in.
func (p *fakeProvider) login() *providerLogin {
	p.mu.Lock()
	defer p.mu.Unlock()
	if len(p.logins) == 0 {
		p.t.Fatal("nobody has logged in at the provider")
	}
	return p.logins[len(p.logins)-1]
}

// secrets returns what may be seen by nobody but client and provider.
func (p *fakeProvider) secrets() []string {
	p.mu.Lock()
	defer p.mu.Unlock()
	return append(slices.Clone(p.issued), clientSecret, url.QueryEscape(clientSecret))
}

// random makes a value that nobody may see.
func (p *fakeProvider) random(kind string) string {
	raw := make([]byte, 15)
	rand.Read(raw)
	value := kind + "-" + base64.RawURLEncoding.EncodeToString(raw)
	p.issued = append(p.issued, value)
	return value
}

func (p *fakeProvider) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	_ = r.ParseForm()
	form := r.URL.Query()
	if r.Method == http.MethodPost {
		form = r.PostForm
	}
	p.mu.Lock()
	p.counts[r.URL.Path]++
	p.requests = append(p.requests, providerRequest{r.URL.Path, form, r.Header.Clone()})
	instead := p.instead[r.URL.Path]
	p.mu.Unlock()
	if instead != nil {
		instead(w, r)
		return
	}
	p.serve(w, r)
}

// serve answers as the provider itself.
func (p *fakeProvider) serve(w http.ResponseWriter, r *http.Request) {
	p.mu.Lock()
	defer p.mu.Unlock()
	switch path := r.URL.Path; {
	case strings.HasSuffix(path, "/.well-known/openid-configuration"):
		writeJSON(w, p.document())
	case path == "/jwks":
		keys := p.published
		if keys == nil {
			keys = []object{p.key.jwk()}
		}
		writeJSON(w, object{"keys": keys})
	case path == "/authorize":
		p.serveAuthorize(w, r)
	case path == "/token", path == "/token/": // Authentik's has a slash
		p.serveToken(w, r)
	case path == "/userinfo":
		p.serveUserinfo(w, r)
	case path == "/end-session", path == "/logout", path == "/v2/logout": // Cognito's and Auth0's
		p.serveEndSession(w, r)
	default:
		http.NotFound(w, r)
	}
}

func (p *fakeProvider) document() object {
	document := object{
		"issuer": p.issuer, "jwks_uri": p.URL + "/jwks",
		"authorization_endpoint": p.URL + "/authorize", "token_endpoint": p.URL + "/token",
		"userinfo_endpoint": p.URL + "/userinfo", "end_session_endpoint": p.URL + "/end-session",
		"response_types_supported": []string{"code"}, "subject_types_supported": []string{"public"},
		"id_token_signing_alg_values_supported":          []string{p.key.alg},
		"code_challenge_methods_supported":               []string{"S256"},
		"backchannel_logout_supported":                   true,
		"backchannel_logout_session_supported":           true,
		"authorization_response_iss_parameter_supported": true,
	}
	if p.discovery != nil {
		p.discovery(document)
	}
	for name, value := range document {
		if value == nil {
			delete(document, name)
		}
	}
	return document
}

// serveAuthorize logs somebody in and sends the browser back with a code. What a
// client must send always is asked for here.
func (p *fakeProvider) serveAuthorize(w http.ResponseWriter, r *http.Request) {
	asked := r.URL.Query()
	for name, values := range asked {
		if len(values) != 1 {
			p.t.Errorf("authorization request: %d values of %s", len(values), name)
		}
	}
	openID := slices.Contains(strings.Fields(asked.Get("scope")), "openid")
	// threat 57: S256 always, and a challenge that is no verifier of another one.
	if asked.Get("client_id") != clientID || asked.Get("response_type") != "code" || asked.Get("code_challenge_method") != "S256" ||
		len(asked.Get("code_challenge")) != 43 || asked.Has("code_verifier") || len(asked.Get("state")) < 20 || openID && len(asked.Get("nonce")) < 20 {
		p.t.Errorf("authorization request %v", asked)
	}
	if r.Header.Get("Referer") != "" {
		p.t.Errorf("authorization request with Referer %q", r.Header.Get("Referer")) // threat 68
	}
	login := &providerLogin{user: p.user, sid: fmt.Sprintf("sid-%d", len(p.logins)+1), asked: asked, code: p.random("code")}
	p.logins = append(p.logins, login)
	answer := url.Values{"code": {login.code}, "state": {asked.Get("state")}, "iss": {p.issuer}}
	if p.plain {
		answer.Del("iss")
	}
	if p.answer != nil {
		p.answer(asked, answer)
	}
	to := asked.Get("redirect_uri")
	if elsewhere := answer.Get("redirect"); elsewhere != "" {
		to = elsewhere
		answer.Del("redirect")
	}
	if asked.Get("response_mode") == "form_post" {
		w.Header().Set("Content-Type", "text/html; charset=utf-8")
		_ = formPost.Execute(w, object{"Action": to, "Fields": answer})
		return
	}
	w.Header().Set("Referrer-Policy", "no-referrer")
	separator := "?"
	if strings.Contains(to, "?") {
		separator = "&"
	}
	w.Header().Set("Location", to+separator+answer.Encode())
	w.WriteHeader(http.StatusFound)
}

// formPost is the page of OAuth 2.0 Form Post Response Mode, which a browser sends
// on by itself.
var formPost = template.Must(template.New("form_post").Parse(
	`<!DOCTYPE html><body onload="document.forms[0].submit()"><form method="post" action="{{.Action}}">` +
		`{{range $name, $values := .Fields}}{{range $values}}<input type="hidden" name="{{$name}}" value="{{.}}">{{end}}{{end}}</form>`))

// serveEndSession logs somebody out and sends the browser back (OpenID Connect
// RP-Initiated Logout 1.0 section 3).
func (p *fakeProvider) serveEndSession(w http.ResponseWriter, r *http.Request) {
	asked := r.URL.Query()
	answer := url.Values{}
	if asked.Has("state") {
		answer.Set("state", asked.Get("state"))
	}
	if p.endSession != nil {
		p.endSession(asked, answer)
	}
	to := asked.Get("post_logout_redirect_uri")
	for _, name := range []string{"logout_uri", "returnTo"} { // Cognito's and Auth0's words
		if asked.Has(name) {
			to = asked.Get(name)
		}
	}
	if to == "" {
		fmt.Fprint(w, "signed out")
		return
	}
	if len(answer) > 0 {
		to += "?" + answer.Encode()
	}
	w.Header().Set("Location", to)
	w.WriteHeader(http.StatusSeeOther)
}

// put writes members over those of an object; nil takes one out.
func put(into, members object) object {
	maps.Copy(into, members)
	for name, value := range into {
		if value == nil {
			delete(into, name)
		}
	}
	return into
}
