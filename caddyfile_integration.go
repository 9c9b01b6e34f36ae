package admit

import (
	"math"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"github.com/caddyserver/caddy/v2"
	"github.com/dustin/go-humanize"
)

// integrationOptions are the options of an integration, be it a named one or a
// gate's own.
var integrationOptions = table[Integration]{
	"preset": {usage: "<vendor> [<args>...]"}, // see readIntegration

	"issuer":               list("<iss>...", func(c *Integration) *[]string { return &c.Issuer }),
	"discovery":            text("<url>", func(c *Integration) *string { return &c.Discovery }),
	"jwks":                 text("<url|file>", func(c *Integration) *string { return &c.JWKS }),
	"key":                  list("<file>...", func(c *Integration) *[]string { return &c.Key }),
	"secret":               {usage: "[text|hex|base64] <value>", read: readSecret},
	"insecure_weak_secret": flag(func(c *Integration) *bool { return &c.InsecureWeakSecret }),
	"insecure_http":        flag(func(c *Integration) *bool { return &c.InsecureHTTP }),
	"ca":                   list("<file>...", func(c *Integration) *[]string { return &c.CA }),

	"audience":        list("<aud>... | any", func(c *Integration) *[]string { return &c.Audience }),
	"audience_claims": list("<claim>...", func(c *Integration) *[]string { return &c.AudienceClaims }),
	"algorithms":      list("<alg>...", func(c *Integration) *[]string { return &c.Algorithms }),
	"types":           list("<typ>...", func(c *Integration) *[]string { return &c.Types }),
	"tenants":         list("<id>...", func(c *Integration) *[]string { return &c.Tenants }),
	"expiry":          word("required|optional", func(c *Integration) *string { return &c.Expiry }),
	"leeway":          {usage: "<duration>", read: readLeeway},
	"max_token_age":   span(func(c *Integration) *caddy.Duration { return &c.MaxTokenAge }),
	"padding":         word("strict|lenient", func(c *Integration) *string { return &c.Padding }),
	"cache":           {usage: "<entries> [<size>] | off", read: readCache},

	"user":    {usage: "<id> <password-hash> [{]", repeats: true, read: readLocalUser},
	"users":   text("<file>", func(c *Integration) *string { return &c.Users }),
	"api_key": {usage: "<id> <sha256-hex> [{]", repeats: true, read: readLocalKey},
	"basic":   flag(func(c *Integration) *bool { return &c.Basic }),
	"tokens":  {usage: "[{]", read: readTokens},
	"session": {usage: "{", read: readSession},

	"client_credentials": {usage: "[{]", read: func(o option, c *Integration) error {
		c.ClientCredentials = new(ClientCredentials)
		return clientCredentialsOptions.read(o.lines(), c.ClientCredentials)
	}},
	"introspection": {usage: "{", read: func(o option, c *Integration) error {
		c.Introspection = new(Introspection)
		return introspectionOptions.read(o.lines(), c.Introspection)
	}},

	"login":    {usage: "{", read: readLoginClient},
	"userinfo": {usage: "[login|always]", read: readUserinfo},

	"from":        {usage: strings.Join(placeForms, " | "), repeats: true, read: readPlace},
	"identity":    {usage: "{", read: readIdentity},
	"trust_email": flag(func(c *Integration) *bool { return &c.TrustEmail }),

	"require": {usage: "<claim> <pattern>...", repeats: true, read: func(o option, c *Integration) error {
		return appendRule(o, &c.Require)
	}},
	"deny": {usage: "<claim> <pattern>...", repeats: true, read: func(o option, c *Integration) error {
		return appendRule(o, &c.Deny)
	}},
}

// identityOptions are the options of an integration's identity block.
var identityOptions = table[Identity]{
	"user":     list("<claim>... [none]", func(i *Identity) *[]string { return &i.User }),
	"groups":   list("<claim>...", func(i *Identity) *[]string { return &i.Groups }),
	"map_only": flag(func(i *Identity) *bool { return &i.MapOnly }),
	"api_key_claim": {usage: "<claim> [strict]", read: func(o option, i *Identity) error {
		if len(o.args) == 2 && o.args[1] != "strict" {
			return o.Errf("api_key_claim %s %q: expected strict after the claim, or nothing", o.args[0], o.args[1])
		}
		i.APIKeyClaim = &APIKeyClaim{Claim: o.args[0], Strict: len(o.args) == 2}
		return nil
	}},
	"map": {usage: "<external> <local>...", repeats: true, read: func(o option, i *Identity) error {
		i.Map = append(i.Map, GroupMap{External: o.args[0], Local: o.args[1:]})
		return nil
	}},
	"claim": {usage: "<name> <claim>...", repeats: true, read: func(o option, i *Identity) error {
		i.Claim = append(i.Claim, NamedClaim{Name: o.args[0], Claims: o.args[1:]})
		return nil
	}},
}

// readIntegration reads the options of an integration that stand in a block. The
// preset comes last, wherever it stands: it fills what the others leave out.
func readIntegration(block option, lines []option) (*Integration, error) {
	c := new(Integration)
	if err := integrationOptions.read(lines, c); err != nil {
		return nil, err
	}
	for _, o := range lines {
		if o.word != "preset" {
			continue
		}
		if err := applyPreset(o, c); err != nil {
			return nil, err
		}
	}
	e := new(expander)
	c.read(e, "")
	return c, block.located(e)
}

// readSecret refuses an encoding without a value, which is what an empty {$NAME}
// leaves behind, instead of taking the encoding for the secret.
func readSecret(o option, c *Integration) error {
	encodings := []string{"text", "hex", "base64"}
	if len(o.args) == 1 {
		if slices.Contains(encodings, o.args[0]) {
			return o.Errf("secret: no value after the encoding: expected \"secret [text|hex|base64] <value>\"")
		}
		c.Secret = &Secret{Value: o.args[0]}
		return nil
	}
	if !slices.Contains(encodings, o.args[0]) {
		return o.Errf("secret: unknown encoding: expected text, hex or base64 before the value")
	}
	c.Secret = &Secret{Encoding: o.args[0], Value: o.args[1]}
	return nil
}

func readLeeway(o option, c *Integration) error {
	d, err := duration(o)
	c.Leeway = &d
	return err
}

func readCache(o option, c *Integration) error {
	if o.args[0] == "off" && len(o.args) == 1 {
		c.Cache = &Cache{Off: true}
		return nil
	}
	entries, err := strconv.Atoi(o.args[0])
	if err != nil || entries < 1 || entries > math.MaxInt32 {
		return o.Errf("cache %q: expected a number of entries, or off and nothing else", strings.Join(o.args, " "))
	}
	c.Cache = &Cache{Entries: entries}
	if len(o.args) == 1 {
		return nil
	}
	size, err := humanize.ParseBytes(o.args[1])
	if err != nil || size < 1 || size > 1<<50 {
		return o.Errf("cache size %q: expected a size such as 64MiB", o.args[1])
	}
	c.Cache.Bytes = int64(size)
	return nil
}

// placeForms are the ways to write a place, the longest first.
var placeForms = []string{"header <name> [<scheme>]", "cookie <name>", "query <name>", "basic", "session"}

func readPlace(o option, c *Integration) error {
	kind := o.args[0]
	at := slices.IndexFunc(placeForms, func(form string) bool { return strings.Fields(form)[0] == kind })
	if at < 0 {
		return o.Errf("from %q: expected header, cookie, query, basic or session", kind)
	}
	if err := o.check(placeForms[at]); err != nil {
		return err
	}
	switch kind {
	case "basic":
		c.From = append(c.From, Place{Basic: true})
		return nil
	case "session":
		c.From = append(c.From, Place{Session: true})
		return nil
	}
	name := o.args[1]
	if kind != "query" && !isToken(name) {
		return o.Errf("from %s %q: expected a name of letters, digits and -", kind, name)
	}
	place := Place{}
	switch kind {
	case "header":
		place.Header = name
	case "cookie":
		place.Cookie = name
	case "query":
		place.Query = name
	}
	if len(o.args) == 3 {
		place.Scheme = o.args[2]
		if !isToken(place.Scheme) {
			return o.Errf("from header %s %q: expected a scheme such as Bearer after the name", name, place.Scheme)
		}
	}
	c.From = append(c.From, place)
	return nil
}

func readIdentity(o option, c *Integration) error {
	c.Identity = new(Identity)
	return identityOptions.read(o.lines(), c.Identity)
}

// appendRule reads a rule without a matcher.
func appendRule(o option, rules *[]Rule) error {
	if o.hasMatcher() || o.args[0] == "*" {
		return o.Errf("%s %s: no matcher is taken here: expected \"%s <claim> <pattern>...\"", o.word, o.args[0], o.word)
	}
	rule := Rule{Claim: o.args[0], Patterns: o.args[1:]}
	*rules = append(*rules, rule)
	return o.checked(func(e *expander) { rule.read(e, o.word == "deny") })
}

// isToken reports whether s is a token of RFC 9110 section 5.6.2, as names of
// headers, cookies, schemes and methods are.
func isToken(s string) bool {
	s = placeholder.ReplaceAllLiteralString(s, "x")
	return s != "" && !strings.ContainsFunc(s, func(r rune) bool {
		letter := 'a' <= r && r <= 'z' || 'A' <= r && r <= 'Z' || '0' <= r && r <= '9'
		return !letter && !strings.ContainsRune("!#$%&'*+-.^_`|~", r)
	})
}

// placeholder is what is expanded at load. Checks of syntax let it stand for any
// valid text, since its value is not known yet.
var placeholder = regexp.MustCompile(`\{(env|file)\.[^{}]+\}`)
