package admit

import (
	"strings"

	"github.com/caddyserver/caddy/v2"

	"github.com/caddy-admit/admit/oauth"
)

// loginOptions are the options of an integration's login block.
var loginOptions = table[LoginClient]{
	"client_id":         text("<id>", func(l *LoginClient) *string { return &l.ClientID }),
	"client_secret":     text("<secret>", func(l *LoginClient) *string { return &l.ClientSecret }),
	"client_auth":       {usage: "basic|post|private_key_jwt|none [<file>]", read: readClientAuth},
	"scopes":            list("<scope>...", func(l *LoginClient) *[]string { return &l.Scopes }),
	"session_token":     word("id|access", func(l *LoginClient) *string { return &l.SessionToken }),
	"authorization_url": text("<url>", func(l *LoginClient) *string { return &l.AuthorizationURL }),
	"token_url":         text("<url>", func(l *LoginClient) *string { return &l.TokenURL }),
	"userinfo_url":      text("<url>", func(l *LoginClient) *string { return &l.UserinfoURL }),
	"end_session_url":   text("<url>", func(l *LoginClient) *string { return &l.EndSessionURL }),
	"callback":          text("<path|url>", func(l *LoginClient) *string { return &l.Callback }),
	"param": {usage: "<name> <value>", repeats: true, read: func(o option, l *LoginClient) error {
		l.Param = append(l.Param, LoginParam{Name: o.args[0], Value: o.args[1]})
		return o.checked(func(e *expander) { l.params(e) })
	}},
}

func readLoginClient(o option, c *Integration) error {
	c.Login = new(LoginClient)
	return loginOptions.read(o.lines(), c.Login)
}

// readClientAuth leaves it to Provision whether the method fits the rest.
func readClientAuth(o option, l *LoginClient) error {
	l.ClientAuth = &ClientAuth{Method: o.args[0]}
	if len(o.args) == 2 {
		if o.args[0] != oauth.AuthKey {
			return o.Errf("client_auth %s: takes no file: expected \"client_auth private_key_jwt <file>\"", o.args[0])
		}
		l.ClientAuth.Key = o.args[1]
	}
	return nil
}

func readUserinfo(o option, c *Integration) error {
	c.Userinfo = "login"
	if len(o.args) > 0 {
		c.Userinfo = o.args[0]
	}
	if c.Userinfo != "login" && c.Userinfo != userinfoAlways {
		return o.Errf("userinfo %q: expected login or always", o.args[0])
	}
	return nil
}

// readGateLogin reads the switch of a gate, which a block makes the login of the
// gate's own integration too. It leaves it to Provision whether the integrations
// are those of the gate.
func readGateLogin(o option, g *gate) error {
	if o.block && len(o.args) > 0 {
		return o.Errf("login %s: integrations and a block: expected one of them", strings.Join(o.args, " "))
	}
	g.Login = &Login{Integrations: o.args}
	return nil
}

// isClient reports whether an option is the login of an integration, not only the
// switch of a gate.
func (o option) isClient() bool { return o.word == "login" && o.block }

// spanOrOff is an option that is a duration of more than zero, or off, which in
// JSON is zero.
func spanOrOff[T any](dst func(*T) **caddy.Duration) spec[T] {
	return spec[T]{usage: "<duration>|off", read: func(o option, into *T) (err error) {
		d := new(caddy.Duration)
		if o.args[0] != "off" {
			*d, err = positive(o)
		}
		*dst(into) = d
		return err
	}}
}
