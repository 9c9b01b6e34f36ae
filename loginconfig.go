package admit

import (
	"net/url"
	"slices"
	"strings"

	"github.com/caddy-admit/admit/claims"
	"github.com/caddy-admit/admit/internal/outbound"
	"github.com/caddy-admit/admit/jwt"
	"github.com/caddy-admit/admit/oauth"
)

// LoginClient is the client as which browsers log in at a provider: by the
// authorization code flow with PKCE (RFC 6749 section 4.1, RFC 7636), which is
// OpenID Connect if "openid" is among the scopes.
type LoginClient struct {
	// ClientID and ClientSecret are those that the provider has given out. Without
	// a secret it is a public client.
	ClientID     string `json:"client_id,omitempty"`
	ClientSecret string `json:"client_secret,omitempty"`
	// ClientAuth is how the client proves who it is. Default: basic with a secret,
	// else none.
	ClientAuth *ClientAuth `json:"client_auth,omitempty"`
	// Scopes lists what is asked for. Default: openid, profile and email.
	Scopes []string `json:"scopes,omitempty"`
	// SessionToken is the token whose claims count: "id" (default) or "access".
	SessionToken string `json:"session_token,omitempty"`
	// AuthorizationURL, TokenURL, UserinfoURL and EndSessionURL win over what
	// discovery says.
	AuthorizationURL string `json:"authorization_url,omitempty"`
	TokenURL         string `json:"token_url,omitempty"`
	UserinfoURL      string `json:"userinfo_url,omitempty"`
	EndSessionURL    string `json:"end_session_url,omitempty"`
	// Callback is where the provider sends browsers back to: a path, or the URL of
	// the one host where all log in. Default: /callback below the gate's endpoints.
	Callback string `json:"callback,omitempty"`
	// Param lists extra parameters of the authorization request.
	Param []LoginParam `json:"param,omitempty"`
}

// ClientAuth is how a client proves who it is at the token endpoint.
type ClientAuth struct {
	// Method is basic, post, private_key_jwt or none.
	Method string `json:"method,omitempty"`
	// Key is the file with the private key of private_key_jwt, PEM or JWK.
	Key string `json:"key,omitempty"`
}

// LoginParam is an extra parameter of the authorization request.
type LoginParam struct {
	Name  string `json:"name"`
	Value string `json:"value"`
}

// defaultScopes make it OpenID Connect.
var defaultScopes = []string{"openid", "profile", "email"}

// loginDraft is what a relying party is made of.
type loginDraft struct {
	oauth.RelyingPartyConfig            // without what it shares with the keys
	idTokens                 jwt.Policy // what an ID token must be
}

// readLogin reads how browsers log in. It is nil if they cannot.
func (c *Integration) readLogin(e *expander, d *draft) *loginDraft {
	l := c.Login
	if l == nil {
		if e.word("userinfo", c.Userinfo, "login", userinfoAlways); c.Userinfo == "login" {
			e.fail("userinfo: is asked when somebody logs in: expected a login block too, or always")
		}
		if c.Vendor == oauth.VendorGitHub {
			e.fail("preset, vendor: GitHub has no tokens that others can check: expected a login block")
		}
		return nil
	}
	e.word("userinfo", c.Userinfo, "login", userinfoAlways)
	e.word("login session_token", l.SessionToken, oauth.SessionTokenID, oauth.SessionTokenAccess)
	p := &loginDraft{RelyingPartyConfig: oauth.RelyingPartyConfig{
		DiscoveryURL: d.keys.Discovery, InsecureHTTP: c.InsecureHTTP,
		Endpoints: l.endpoints(e, c.InsecureHTTP), Auth: l.auth(e), Scopes: l.scopes(e),
		SessionToken: l.SessionToken, Userinfo: c.Userinfo != "", Vendor: c.Vendor,
		Params: l.params(e), Now: now,
	}}
	if len(d.policy.Issuers) > 0 && !strings.Contains(d.policy.Issuers[0], "{") {
		p.Issuer = d.policy.Issuers[0]
	}
	p.idTokens = idTokens(d.policy, p.Auth.ID)
	d.callback = parseCallback(c.readCallback(e))
	c.checkTokens(e, p)
	c.checkEndpoints(e, p)
	return p
}

// idTokens is the policy of ID tokens where p is that of access tokens. They are
// made for the client and for nobody else (OpenID Connect Core 1.0 section
// 3.1.3.7), and what is known of a vendor's access tokens does not hold for them,
// except about keys.
func idTokens(p jwt.Policy, clientID string) jwt.Policy {
	aud, _ := claims.ParsePath("aud") // a constant
	p.Audience, p.AudienceClaims = []string{clientID}, []claims.Path{aud}
	p.Types = []string{"", "JWT"}
	p.ExpiryOptional, p.MaxAge, p.LenientPadding = false, 0, false
	if p.Vendor != jwt.VendorEntra {
		p.Vendor = ""
	}
	return p
}

// checkTokens refuses logins that end with a token that cannot be checked.
func (c *Integration) checkTokens(e *expander, p *loginDraft) {
	openID := slices.Contains(p.Scopes, "openid")
	byAccess := c.Login.SessionToken == oauth.SessionTokenAccess
	if openID && len(c.Issuer) == 0 {
		e.fail("login scopes, issuer: with the scope openid the issuer is needed, which ID tokens have to name; without it among the scopes this is plain OAuth 2.0")
	}
	if c.Login.SessionToken == oauth.SessionTokenID && !openID {
		e.fail("login session_token, login scopes: there is no ID token without the scope openid")
	}
	if byAccess && len(c.Audience) == 0 {
		e.fail("login session_token, audience: access: expected audience, by which access tokens for you are told from others (with Cognito the client id)")
	}
	if len(c.Audience) > 0 && !c.hasKeys() && !openID {
		e.fail("audience: there is nothing to check tokens with: expected issuer, jwks, key or secret")
	}
}

// checkEndpoints refuses a login that leads nowhere.
func (c *Integration) checkEndpoints(e *expander, p *loginDraft) {
	l, openID := c.Login, slices.Contains(p.Scopes, "openid")
	if p.DiscoveryURL != "" || openID && len(c.Issuer) == 0 {
		return
	}
	plain := !openID && l.SessionToken != oauth.SessionTokenAccess
	for _, needed := range []struct {
		option, value string
		is            bool
	}{
		{"authorization_url", l.AuthorizationURL, true},
		{"token_url", l.TokenURL, true},
		{"userinfo_url", l.UserinfoURL, plain},
	} {
		if needed.is && needed.value == "" {
			e.fail("login %s, login scopes: expected %s: there is no issuer whose discovery would name it", needed.option, needed.option)
		}
	}
}

// endpoints reads those that are given by hand.
func (l *LoginClient) endpoints(e *expander, insecureHTTP bool) oauth.Endpoints {
	read := func(option, value string) string {
		value = e.text("login "+option, value)
		if value != "" {
			_, err := outbound.CheckURL(value, insecureHTTP)
			e.check("login "+option, err)
		}
		return value
	}
	return oauth.Endpoints{
		Authorization: read("authorization_url", l.AuthorizationURL), Token: read("token_url", l.TokenURL),
		Userinfo: read("userinfo_url", l.UserinfoURL), EndSession: read("end_session_url", l.EndSessionURL),
	}
}

// auth reads how the client proves who it is. No error shows a secret.
func (l *LoginClient) auth(e *expander) oauth.ClientAuth {
	a := oauth.ClientAuth{ID: e.text("login client_id", l.ClientID), Secret: e.text("login client_secret", l.ClientSecret)}
	if a.ID == "" {
		e.fail("login client_id: expected the id that the provider has given to this client")
	}
	for option, value := range map[string]string{"client_id": a.ID, "client_secret": a.Secret} {
		if strings.TrimSpace(value) != value {
			e.fail("login %s: begins or ends with white space; is there a line break in the file or variable?", option)
		}
	}
	if l.ClientAuth == nil {
		return a
	}
	a.Method = l.ClientAuth.Method
	key := e.text("login client_auth", l.ClientAuth.Key)
	byKey := a.Method == oauth.AuthKey
	switch {
	case !slices.Contains(authMethods, a.Method):
		e.fail("login client_auth %q: expected %s", a.Method, oneOf(authMethods))
	case byKey && key == "":
		e.fail("login client_auth private_key_jwt: expected the file with the private key after it")
	case !byKey && key != "":
		e.fail("login client_auth %s: takes no key file", a.Method)
	case (byKey || a.Method == oauth.AuthNone) && a.Secret != "":
		e.fail("login client_secret, login client_auth: a secret has no use with client_auth %s: expected one of them", a.Method)
	case !byKey && a.Method != oauth.AuthNone && a.Secret == "":
		e.fail("login client_auth %s: expected a client_secret with it", a.Method)
	case byKey:
		if data := e.readFile("login client_auth", key); data != nil {
			var err error
			a.Key, err = oauth.ParseClientKey(data)
			e.check("login client_auth "+key, err)
		}
	}
	return a
}

var authMethods = []string{oauth.AuthBasic, oauth.AuthPost, oauth.AuthKey, oauth.AuthNone}

// scopes reads what is asked for (RFC 6749 section 3.3).
func (l *LoginClient) scopes(e *expander) []string {
	if len(l.Scopes) == 0 {
		return defaultScopes
	}
	scopes := e.texts("login scopes", l.Scopes)
	for _, scope := range scopes {
		if strings.ContainsFunc(scope, func(c rune) bool { return c <= ' ' || c > '~' || c == '"' || c == '\\' }) {
			e.fail("login scopes %q: expected one scope in each argument, of visible ASCII", scope)
		}
	}
	return scopes
}

// params reads extra parameters. None takes the place of one that protects the
// login.
func (l *LoginClient) params(e *expander) (params []oauth.Param) {
	for _, given := range l.Param {
		p := oauth.Param{Name: given.Name, Value: e.text("login param "+given.Name, given.Value)}
		if p.Value == "" {
			e.fail("login param %s: expected a name and a value", p.Name)
		}
		params = append(params, p)
	}
	found := new(expander)
	found.keep(oauth.CheckParams(params))
	for _, err := range found.errs {
		e.fail("login %s", strings.TrimPrefix(err.Error(), "oauth: "))
	}
	return params
}

// readCallback reads where the provider sends browsers back to. A host of its own
// can log them in everywhere only if they keep its cookie for the other hosts.
func (c *Integration) readCallback(e *expander) string {
	callback := e.text("login callback", c.Login.Callback)
	if callback == "" || strings.HasPrefix(callback, "/") {
		if callback != "" && !isPrefix(callback) {
			e.fail("login callback %q: expected a path such as /auth/callback", callback)
		}
		return callback
	}
	u, err := outbound.CheckURL(callback, c.InsecureHTTP)
	if err != nil {
		e.check("login callback", err)
		return callback
	}
	if !isPrefix(u.Path) || u.RawQuery != "" {
		e.fail("login callback %q: expected a path or a URL such as https://login.example.com/oauth2/callback", callback)
	}
	domain := ""
	if c.Session != nil {
		domain = e.text("session domain", c.Session.Domain)
	}
	if !below(u, domain) && !later(domain) {
		e.fail("login callback, session domain: a session made at %s has to count on the other hosts: expected session { domain … } with a domain above all of them", u.Hostname())
	}
	return callback
}

// below reports whether the host of a URL is a domain or below it.
func below(u *url.URL, domain string) bool {
	domain, host := strings.ToLower(strings.TrimPrefix(domain, ".")), strings.ToLower(u.Hostname())
	return domain != "" && (host == domain || strings.HasSuffix(host, "."+domain))
}

// hasKeys reports whether there is something to check tokens with.
func (c *Integration) hasKeys() bool {
	return len(c.Issuer) > 0 || c.JWKS != "" || len(c.Key) > 0 || c.Secret != nil
}

// takesTokens reports whether tokens that clients send are taken. With a login
// they are if they have to be made for somebody: an ID token is no credential of
// an API.
func (c *Integration) takesTokens() bool { return c.Login == nil || len(c.Audience) > 0 }
