package admit

import (
	"encoding/json"
	"slices"

	"github.com/caddyserver/caddy/v2"

	"github.com/caddy-admit/admit/oauth/local"
)

// tokensOptions are the options of an integration's tokens block.
var tokensOptions = table[Tokens]{
	"issuer":   text("<text>", func(t *Tokens) *string { return &t.Issuer }),
	"audience": list("<text>...", func(t *Tokens) *[]string { return &t.Audience }),
	"access":   span(func(t *Tokens) *caddy.Duration { return &t.Access }),
	"refresh":  span(func(t *Tokens) *caddy.Duration { return &t.Refresh }),
	"sign":     word("EdDSA|ES256|RS256|HS256", func(t *Tokens) *string { return &t.Sign }),
	"key_age":  span(func(t *Tokens) *caddy.Duration { return &t.KeyAge }),
}

// sessionOptions are the options of an integration's session block.
var sessionOptions = table[Session]{
	"cookie":    text("<name>", func(s *Session) *string { return &s.Cookie }),
	"domain":    text("<domain>", func(s *Session) *string { return &s.Domain }),
	"same_site": word("lax|strict|none", func(s *Session) *string { return &s.SameSite }),
	"idle":      spanOrOff(func(s *Session) **caddy.Duration { return &s.Idle }),
	"max":       span(func(s *Session) *caddy.Duration { return &s.Max }),
	"refresh":   spanOrOff(func(s *Session) **caddy.Duration { return &s.Refresh }),
	"store":     word("auto|cookie|storage", func(s *Session) *string { return &s.Store }),
	"secret":    list("<secret>...", func(s *Session) *[]string { return &s.Secret }),
}

// readLocalUser and readLocalKey leave it to Provision to look at hashes, which
// may be in a file or a variable. No error shows one.
func readLocalUser(o option, c *Integration) error {
	own, err := readOwnClaims(o)
	c.User = append(c.User, LocalUser{ID: o.args[0], Password: o.args[1], Claims: own})
	return err
}

func readLocalKey(o option, c *Integration) error {
	own, err := readOwnClaims(o)
	c.APIKey = append(c.APIKey, LocalKey{ID: o.args[0], Hash: o.args[1], Claims: own})
	return err
}

// readOwnClaims reads the block of a user or an API key as a JSON object: one
// value of a claim is text, several are a list.
func readOwnClaims(o option) (json.RawMessage, error) {
	own := map[string]any{}
	for _, line := range o.lines() {
		_, twice := own[line.word]
		switch err := line.check("<value>..."); {
		case line.word == "":
			return nil, line.Errf("%s: a claim without a name: expected \"<claim> <value>...\"", o.word)
		case slices.Contains(local.ReservedClaims, line.word):
			return nil, line.Errf("%s: reserved for what Admit says about a token: expected another claim", line.word)
		case twice:
			return nil, line.Errf("%s: given twice: expected one line with all its values", line.word)
		case err != nil:
			return nil, err
		}
		if own[line.word] = line.args; len(line.args) == 1 {
			own[line.word] = line.args[0]
		}
	}
	if len(own) == 0 {
		return nil, nil
	}
	return json.Marshal(own)
}

func readTokens(o option, c *Integration) error {
	c.Tokens = new(Tokens)
	return tokensOptions.read(o.lines(), c.Tokens)
}

func readSession(o option, c *Integration) error {
	c.Session = new(Session)
	return sessionOptions.read(o.lines(), c.Session)
}
