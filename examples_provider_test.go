package admit

import (
	"net/http"
	"net/url"
	"slices"
	"strings"
)

// said is what a document shows that a provider says about somebody: the claims of
// tokens and userinfo. A nil one is left as the provider has it.
type said struct{ id, access, userinfo object }

// standIn makes an integration of a config ask this provider instead of its own, as
// the client that the provider knows. It returns the client's id in the config.
func (p *fakeProvider) standIn(config map[string]any, name string) (client string) {
	p.t.Helper()
	in, ok := config["apps"].(map[string]any)["admit"].(map[string]any)["integrations"].(map[string]any)[name].(map[string]any)
	if !ok || in["login"] == nil {
		p.t.Fatalf("there is no integration %s where people log in", name)
	}
	issuers, _ := in["issuer"].([]any)
	for i := range issuers {
		issuers[i] = p.here(issuers[i].(string))
	}
	if len(issuers) > 0 {
		p.issuer = issuers[0].(string)
	}
	login := in["login"].(map[string]any)
	client = login["client_id"].(string)
	login["client_id"], login["client_secret"] = clientID, clientSecret
	for option, path := range map[string]string{"authorization_url": "/authorize", "token_url": "/token", "userinfo_url": "/userinfo", "end_session_url": "/logout"} {
		if given, ok := login[option].(string); ok {
			if strings.HasSuffix(given, "/user") {
				path = "/user"
			}
			login[option] = p.URL + path
		}
	}
	audiences, _ := in["audience"].([]any)
	if i := slices.Index(audiences, any(client)); i >= 0 {
		audiences[i] = clientID
	}
	return client
}

// here puts this provider into a URL of a vendor; a path is one of its own.
func (p *fakeProvider) here(text string) string {
	u, err := url.Parse(text)
	switch {
	case err != nil:
		p.t.Fatal(err)
	case u.Host == "127.0.0.1", u.Host == "" && text != "" && text[0] != '/':
		return text // "accounts.google.com"
	case u.Host == "":
		return p.URL + text
	}
	return p.URL + strings.TrimPrefix(text, u.Scheme+"://"+u.Host)
}

// say makes the provider say this. The client has another id in it.
func (p *fakeProvider) say(s said, client string) {
	p.change(func() {
		p.idClaims, p.access, p.userinfo = nil, nil, nil
		if s.id != nil {
			p.idClaims = func(_ url.Values, claims object) { p.speak(claims, s.id, client) }
		}
		if s.access != nil {
			p.access = func(claims object) { p.speak(claims, s.access, client) }
		}
		if s.userinfo != nil {
			p.userinfo = func(claims object) { p.speak(claims, s.userinfo, client) }
			p.instead["/user"] = p.userAPI(s.userinfo)
		}
	})
}

// userAPI answers with the document about a user, to those who have a token.
func (p *fakeProvider) userAPI(user object) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		p.mu.Lock()
		defer p.mu.Unlock()
		if p.ofToken(r) == nil {
			w.WriteHeader(http.StatusUnauthorized)
			return
		}
		w.Header().Set("Content-Type", "application/json")
		writeJSON(w, user)
	}
}

// perLogin are claims that are new each time, whatever a document shows.
var perLogin = []string{"nonce", "at_hash", "iat", "exp", "nbf", "auth_time"}

// speak puts what a document shows in the place of claims.
func (p *fakeProvider) speak(claims, shown object, client string) {
	for name := range claims {
		if !slices.Contains(perLogin, name) {
			delete(claims, name)
		}
	}
	for name, value := range shown {
		if !slices.Contains(perLogin, name) {
			claims[name] = value
		}
	}
	if iss, ok := claims["iss"].(string); ok {
		claims["iss"] = p.here(iss)
	}
	for _, name := range []string{"aud", "azp", "client_id"} {
		switch value := claims[name].(type) {
		case string:
			if value == client {
				claims[name] = clientID
			}
		case []any:
			value = slices.Clone(value)
			if i := slices.Index(value, any(client)); i >= 0 {
				value[i] = clientID
			}
			claims[name] = value
		}
	}
}
