package admit

import (
	"encoding/base64"
	"encoding/hex"
	"slices"
	"strings"
	"time"

	"github.com/caddy-admit/admit/jwt"
	"github.com/caddy-admit/admit/oauth"
)

// policy reads what a token must be. It leaves the checks that need no expansion
// to [jwt.Policy.Check].
func (c *Integration) policy(e *expander) jwt.Policy {
	p := jwt.Policy{
		Issuers:        e.texts("issuer", c.Issuer),
		Tenants:        e.texts("tenants", c.Tenants),
		Audience:       e.texts("audience", c.Audience),
		Algorithms:     c.Algorithms,
		Types:          jwt.DefaultTypes,
		ExpiryOptional: c.Expiry == "optional",
		Leeway:         defaultLeeway,
		MaxAge:         time.Duration(c.MaxTokenAge),
		LenientPadding: c.Padding == "lenient",
	}
	if slices.Contains(tokenVendors, c.Vendor) {
		p.Vendor = c.Vendor
	}
	if slices.Contains(p.Audience, "any") {
		if len(p.Audience) > 1 {
			e.fail("audience: any stands alone: expected the accepted audiences, or any and nothing else")
		}
		p.Audience = nil
	}
	p.AudienceClaims = paths(e, "audience_claims", c.AudienceClaims, "aud")
	if len(c.Types) > 0 {
		p.Types = e.texts("types", c.Types)
	}
	if c.Leeway != nil {
		p.Leeway = time.Duration(*c.Leeway)
	}
	if len(p.Algorithms) == 0 {
		p.Algorithms = jwt.Asymmetric
		if c.Secret != nil {
			p.Algorithms = []string{"HS256"}
		}
	}
	for i, tenant := range p.Tenants {
		p.Tenants[i] = strings.ToLower(tenant)
	}
	e.word("expiry", c.Expiry, "required", "optional")
	e.word("padding", c.Padding, "strict", "lenient")
	return p
}

// word keeps a mistake if value is neither empty nor one of the words.
func (e *expander) word(option, value string, words ...string) {
	if value != "" && !slices.Contains(words, value) {
		e.fail("%s %q: expected %s", option, value, oneOf(words))
	}
}

// oneOf lists words as "a, b or c".
func oneOf(words []string) string {
	last := len(words) - 1
	if last < 1 {
		return strings.Join(words, "")
	}
	return strings.Join(words[:last], ", ") + " or " + words[last]
}

// requireAudience refuses an issuer whose tokens for anybody would be accepted.
func (c *Integration) requireAudience(e *expander) {
	if len(c.Audience) == 0 && c.Secret == nil && c.Login == nil {
		e.fail("audience: expected it with issuer, jwks and key, or a login { … } block, if people log in there; \"audience any\" accepts tokens made for anybody")
	}
}

// check refuses bounds that mean nothing.
func (c *Cache) check(e *expander) {
	switch {
	case c == nil:
	case c.Off && (c.Entries != 0 || c.Bytes != 0):
		e.fail("cache: off stands alone")
	case !c.Off && (c.Entries < 1 || c.Bytes < 0):
		e.fail("cache: expected a number of entries and maybe bytes, or off")
	}
}

// checkEmail refuses rules on e-mail addresses that no token can satisfy.
func (c *Integration) checkEmail(e *expander) {
	onEmail := c.Identity != nil && slices.Equal(c.Identity.User, []string{"email"})
	if c.lacksEmail() && (onEmail || slices.ContainsFunc(slices.Concat(c.Require, c.Deny), Rule.onEmail)) {
		e.fail("email: %s", noEmail)
	}
}

// lacksEmail reports whether no identity has an e-mail address: those of access
// tokens of Cognito do not, unless the userinfo endpoint is asked.
func (c *Integration) lacksEmail() bool {
	byAccess := c.Login == nil || c.Login.SessionToken == oauth.SessionTokenAccess
	return c.Vendor == jwt.VendorCognito && byAccess && c.Userinfo == ""
}

const noEmail = "access tokens of Cognito hold no e-mail address; use username, sub or cognito:groups, or userinfo with a login"

func (r Rule) onEmail() bool { return r.Claim == "email" || r.Claim == "claims.email" }

// bytes decodes a secret. Errors never hold any of it.
func (s *Secret) bytes(e *expander) []byte {
	text := e.text("secret", s.Value)
	if strings.TrimSpace(text) != text {
		e.fail("secret: begins or ends with white space; is there a line break in the file or variable?")
		return nil
	}
	switch s.Encoding {
	case "", "text":
		return []byte(text)
	case "hex":
		decoded, err := hex.DecodeString(text)
		if err != nil {
			e.fail("secret hex: not hexadecimal")
		}
		return decoded
	case "base64":
		text = strings.TrimRight(strings.NewReplacer("-", "+", "_", "/").Replace(text), "=")
		decoded, err := base64.RawStdEncoding.DecodeString(text)
		if err != nil {
			e.fail("secret base64: not base64")
		}
		return decoded
	}
	e.fail("secret %q: expected text, hex or base64", s.Encoding)
	return nil
}
