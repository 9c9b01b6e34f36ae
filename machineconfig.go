package admit

import (
	"slices"
	"strings"

	"github.com/caddy-admit/admit/internal/outbound"
	"github.com/caddy-admit/admit/oauth"
)

// ClientCredentials has clients get in with their own id and secret, by HTTP Basic:
// these are exchanged for a token of the issuer (RFC 6749 section 4.4).
type ClientCredentials struct {
	// Scopes and Audience are what the tokens are asked for.
	Scopes   []string `json:"scopes,omitempty"`
	Audience string   `json:"audience,omitempty"`
	// TokenURL wins over the login block's and what discovery says.
	TokenURL string `json:"token_url,omitempty"`
}

// Introspection has the issuer say what an opaque token is worth (RFC 7662).
type Introspection struct {
	// ClientID and ClientSecret are those of the client that asks.
	ClientID     string `json:"client_id,omitempty"`
	ClientSecret string `json:"client_secret,omitempty"`
	// URL wins over what discovery says.
	URL string `json:"url,omitempty"`
}

// userinfoAlways is the Userinfo of an integration that asks about tokens too.
const userinfoAlways = "always"

// machineDraft is what an issuer is asked about clients that are no browsers.
type machineDraft struct {
	clients       *ClientCredentials // expanded, nil: no HTTP Basic
	introspection *oauth.ClientAuth  // who asks, nil: opaque tokens are not taken
	introspectURL string
	userinfo      bool
	userinfoURL   string
	// exchanger is who exchanges tokens for an application, and where.
	exchanger *oauth.ClientAuth
	tokenURL  string // "" for what discovery says
}

// takesBasic reports whether clients may send an id and a secret by HTTP Basic.
func (c *Integration) takesBasic() bool { return c.Basic || c.ClientCredentials != nil }

// asks reports whether the issuer is asked for more than its keys.
func (c *Integration) asks() bool {
	return c.Login != nil || c.ClientCredentials != nil || c.Introspection != nil || c.Userinfo == userinfoAlways
}

// wantsDiscovery reports whether discovery is made although keys are given by hand:
// if it is asked for, or if endpoints are missing.
func (c *Integration) wantsDiscovery() bool {
	l := c.Login
	if l == nil {
		l = new(LoginClient)
	}
	switch {
	case !c.asks():
		return false
	case c.Discovery != "":
		return true
	case c.Login != nil && (l.AuthorizationURL == "" || l.TokenURL == ""):
		return true
	case c.ClientCredentials != nil && c.ClientCredentials.TokenURL == "" && l.TokenURL == "":
		return true
	case c.Introspection != nil && c.Introspection.URL == "":
		return true
	}
	return c.Userinfo == userinfoAlways && l.UserinfoURL == ""
}

// readMachines reads what the issuer is asked about clients. It comes after the login.
func (c *Integration) readMachines(e *expander, d *draft) {
	m := &d.machines
	if d.login != nil {
		m.tokenURL, m.userinfoURL = d.login.Endpoints.Token, d.login.Endpoints.Userinfo
		m.exchanger = &d.login.Auth
	}
	discovery := d.keys.Discovery != ""
	if c.ClientCredentials != nil {
		m.clients = c.ClientCredentials.read(e, c.InsecureHTTP)
		m.tokenURL = or(m.clients.TokenURL, m.tokenURL)
		m.clients.TokenURL = m.tokenURL
		if m.tokenURL == "" && !discovery {
			e.fail("client_credentials: expected token_url: there is no issuer whose discovery would name it")
		}
	}
	if c.Introspection != nil {
		m.introspection, m.introspectURL = c.Introspection.read(e, c.InsecureHTTP)
		if m.introspectURL == "" && !discovery {
			e.fail("introspection: expected url: there is no issuer whose discovery would name it")
		}
		if m.exchanger == nil || m.exchanger.Secret == "" && m.exchanger.Key == nil {
			m.exchanger = m.introspection
		}
	}
	d.exchanges = m.exchanger != nil && (m.tokenURL != "" || discovery)
	m.userinfo = c.Userinfo == userinfoAlways && d.takes
	if m.userinfo && m.userinfoURL == "" && !discovery {
		e.fail("userinfo always: there is no issuer whose discovery would name its endpoint: expected userinfo_url in a login block")
	}
	for option, given := range map[string]bool{"client_credentials": m.clients != nil, "introspection": m.introspection != nil} {
		if given && !d.takes {
			e.fail("%s: with a login block and without audience tokens are not taken: expected audience", option)
		}
	}
}

func (c *ClientCredentials) read(e *expander, insecureHTTP bool) *ClientCredentials {
	read := &ClientCredentials{
		Scopes:   e.texts("client_credentials scopes", c.Scopes),
		Audience: e.text("client_credentials audience", c.Audience),
		TokenURL: e.url("client_credentials token_url", c.TokenURL, insecureHTTP),
	}
	e.checkScopes("client_credentials scopes", read.Scopes)
	return read
}

func (i *Introspection) read(e *expander, insecureHTTP bool) (*oauth.ClientAuth, string) {
	a := &oauth.ClientAuth{ID: e.text("introspection client_id", i.ClientID), Secret: e.text("introspection client_secret", i.ClientSecret)}
	for _, one := range []struct{ option, value string }{{"client_id", a.ID}, {"client_secret", a.Secret}} {
		switch {
		case one.value == "":
			e.fail("introspection %s: expected that of a client that may ask about tokens", one.option)
		case strings.TrimSpace(one.value) != one.value:
			e.fail("introspection %s: begins or ends with white space; is there a line break in the file or variable?", one.option)
		}
	}
	return a, e.url("introspection url", i.URL, insecureHTTP)
}

// url expands the URL of an endpoint to which secrets go.
func (e *expander) url(option, value string, insecureHTTP bool) string {
	value = e.text(option, value)
	if value != "" {
		_, err := outbound.CheckURL(value, insecureHTTP)
		e.check(option, err)
	}
	return value
}

// checkScopes refuses what is no scope (RFC 6749 section 3.3).
func (e *expander) checkScopes(option string, scopes []string) {
	notScope := func(c rune) bool { return c <= ' ' || c > '~' || c == '"' || c == '\\' }
	if i := slices.IndexFunc(scopes, func(scope string) bool { return strings.ContainsFunc(scope, notScope) }); i >= 0 {
		e.fail("%s %q: expected one scope in each argument, of visible ASCII", option, scopes[i])
	}
}

// checkMachines refuses a gate at which it would not be clear who gets the secrets of
// clients.
func (c *checker) checkMachines(e *expander) {
	taker := ""
	for _, in := range c.integrations {
		switch {
		case in.clients == nil:
		case taker != "":
			e.fail("client_credentials: %s and %s both take HTTP Basic from clients: expected at most one of them at a gate", taker, in.name)
		default:
			taker = in.name
		}
	}
}
