package admit

import (
	"encoding/base64"
	"encoding/hex"
	"errors"
	"fmt"
	"os"
	"regexp"
	"slices"
	"strings"
	"time"

	"go.uber.org/zap"

	"github.com/caddy-admit/admit/claims"
	"github.com/caddy-admit/admit/internal/store"
	"github.com/caddy-admit/admit/jwt"
	"github.com/caddy-admit/admit/oauth"
)

// oktaOrganisation is an issuer of Okta that is not one of its custom servers.
var oktaOrganisation = regexp.MustCompile(`^https://[^/]+\.okta(preview|-emea)?\.com/?$`)

var nameForm = regexp.MustCompile(`^[a-z0-9_-]{1,32}$`)

const (
	defaultLeeway = time.Minute
	// maxFile bounds what is read of a file that an option names.
	maxFile = 1 << 20
)

// integration is an [Integration] that is ready for requests.
type integration struct {
	name     string
	places   []place
	verifier *jwt.Verifier   // nil if it takes no tokens
	local    *realm          // users, keys and tokens of one's own, if there are any
	sessions *oauth.Sessions // nil if nobody can log in
	mapping  *claims.Mapping
	rules    claims.Rules
	vendor   string
	server   string       // the issuer that clients find by discovery, if it is one
	poolKey  string       // of keys that outlive a reload, "" when they were given back
	fetched  *fetchedKeys // those keys, nil for keys given by hand
}

// provision makes an integration of its configuration. It makes no network call
// and does not touch the storage. Every mistake is reported at once.
func (c *Integration) provision(name string, kept store.Store, log *zap.Logger) (*integration, error) {
	in := &integration{name: name, vendor: c.Vendor}
	provision := c.provisionIssuer
	if c.local() {
		provision = func(in *integration) error { return c.provisionLocal(in, kept, log) }
	}
	err := errors.Join(c.provisionIdentity(in), provision(in))
	if err == nil {
		err = c.provisionSessions(in, kept)
	}
	if err != nil {
		in.release()
		return nil, err
	}
	c.warn(name, log)
	return in, nil
}

// provisionIdentity reads what all integrations have: where credentials are
// looked for, who the claims are about, and who counts at all.
func (c *Integration) provisionIdentity(in *integration) error {
	e := newExpander()
	in.places = c.places(e)
	in.rules.Require = scopeless(e, "require", c.Require, false)
	in.rules.Deny = scopeless(e, "deny", c.Deny, true)
	c.Cache.check(e)
	return e.err("integration " + in.name)
}

// provisionIssuer prepares the check of another issuer's tokens.
func (c *Integration) provisionIssuer(in *integration) error {
	e := newExpander()
	policy := c.policy(e)
	in.mapping = c.mapping(e, in.name, policy.Issuers)
	keys := c.keys(e, policy.Issuers)
	e.check("policy", policy.Check())
	c.requireAudience(e)
	c.checkEmail(e)
	if err := e.err("integration " + in.name); err != nil {
		return err
	}
	if keys.Discovery != "" && !strings.Contains(policy.Issuers[0], "{") {
		in.server = policy.Issuers[0]
	}
	source, err := keys.source(in)
	if err != nil {
		return fmt.Errorf("integration %s: %w", in.name, err)
	}
	in.verifier, err = jwt.NewVerifier(policy, source, time.Now)
	return err
}

// release gives back what provision took. It may be called more than once.
func (in *integration) release() {
	if in.local != nil {
		in.local.release()
	}
	if in.poolKey == "" {
		return
	}
	if _, err := keyPool.Delete(in.poolKey); err != nil {
		log().Error("releasing keys", zap.Error(err))
	}
	in.poolKey = ""
}

// warn says at load what an operator switched off or may not know.
func (c *Integration) warn(name string, log *zap.Logger) {
	if c.InsecureHTTP {
		log.Warn("insecure_http: keys of this integration may come over plain http", zap.String("integration", name))
	}
	if c.InsecureWeakSecret {
		log.Warn("insecure_weak_secret: who sees one token may find the secret by trying", zap.String("integration", name))
	}
	if slices.ContainsFunc(c.Issuer, oktaOrganisation.MatchString) {
		log.Warn("access tokens of an Okta organisation's own server are meant for Okta alone: name one of its authorization servers",
			zap.String("integration", name))
	}
	if slices.ContainsFunc(c.From, func(p Place) bool { return p.Header != "" && p.Header != "Authorization" }) {
		log.Warn("from header: Caddy's access log hides only Authorization and Cookie, see \"Tokens in the query\" in docs/reference.md",
			zap.String("integration", name))
	}
	if slices.ContainsFunc(c.From, func(p Place) bool { return p.Query != "" }) {
		log.Warn("from query: tokens in URLs end up in access logs, see \"Tokens in the query\" in docs/reference.md",
			zap.String("integration", name))
	}
}

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
		Vendor:         c.Vendor,
	}
	if slices.Contains(p.Audience, "any") {
		if len(p.Audience) > 1 {
			e.fail("audience: any stands alone")
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
		e.fail("%s %q: expected %s", option, value, strings.Join(words, " or "))
	}
}

// requireAudience refuses an issuer whose tokens for anybody would be accepted.
func (c *Integration) requireAudience(e *expander) {
	if len(c.Audience) == 0 && c.Secret == nil {
		e.fail("audience: required with issuer, jwks and key; \"audience any\" accepts tokens made for anybody")
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
	if c.Vendor == jwt.VendorCognito && (onEmail || slices.ContainsFunc(slices.Concat(c.Require, c.Deny), Rule.onEmail)) {
		e.fail("email: %s", noEmail)
	}
}

const noEmail = "access tokens of Cognito hold no e-mail address; use username, sub or cognito:groups"

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

// mapping reads who the claims are about.
func (c *Integration) mapping(e *expander, name string, issuers []string) *claims.Mapping {
	identity := c.Identity
	if identity == nil {
		identity = new(Identity)
	}
	m := &claims.Mapping{
		Integration:    name,
		Groups:         paths(e, "identity groups", identity.Groups, "groups"),
		MapOnly:        identity.MapOnly,
		TrustEmail:     c.TrustEmail,
		VerifiedDomain: c.Vendor == jwt.VendorEntra || slices.ContainsFunc(issuers, fromEntra),
	}
	user := identity.User
	if n := len(user); n > 0 && user[n-1] == "none" {
		m.AnyUser, user = true, user[:n-1]
	}
	if slices.Contains(user, "none") {
		e.fail("identity user: none stands last")
	}
	if m.AnyUser && len(user) == 0 {
		e.fail("identity user: none stands after the claims that may hold the id")
	}
	m.User = paths(e, "identity user", user, "sub")
	m.GroupMap = groupMap(e, identity.Map)
	m.Named = namedClaims(e, identity.Claim)
	if m.MapOnly && len(m.GroupMap) == 0 {
		e.fail("identity map_only: without a map it drops every group")
	}
	return m
}

// fromEntra reports whether an issuer is one of Microsoft's login services.
func fromEntra(issuer string) bool {
	for _, host := range []string{
		"login.microsoftonline.com", "sts.windows.net", "login.microsoftonline.us",
		"sts.microsoftonline.us", "login.partner.microsoftonline.cn", "sts.chinacloudapi.cn",
	} {
		if strings.HasPrefix(strings.ToLower(issuer), "https://"+host+"/") {
			return true
		}
	}
	return false
}

func groupMap(e *expander, lines []GroupMap) map[string][]string {
	m := make(map[string][]string)
	for _, line := range lines {
		external, local := e.text("identity map", line.External), e.texts("identity map", line.Local)
		if external == "" || len(local) == 0 {
			e.fail("identity map: expected a group of the issuer and at least one local group")
		}
		m[external] = append(m[external], local...)
	}
	return m
}

func namedClaims(e *expander, lines []NamedClaim) map[string][]claims.Path {
	m := make(map[string][]claims.Path)
	for _, line := range lines {
		switch {
		case line.Name == "" || len(line.Claims) == 0:
			e.fail("identity claim: expected a name and at least one claim")
		case line.Name == "user", line.Name == "groups", line.Name == "integration", strings.HasPrefix(line.Name, "claims."):
			e.fail("identity claim %s: that name is taken", line.Name)
		case m[line.Name] != nil:
			e.fail("identity claim %s: given twice", line.Name)
		default:
			m[line.Name] = paths(e, "identity claim "+line.Name, line.Claims)
		}
	}
	return m
}

// paths reads claim names; standard holds those that count if none are given.
func paths(e *expander, option string, names []string, standard ...string) []claims.Path {
	if len(names) == 0 {
		names = standard
	}
	read := make([]claims.Path, 0, len(names))
	for _, name := range names {
		path, err := claims.ParsePath(name)
		e.check(option+" "+name, err)
		read = append(read, path)
	}
	return read
}

// scopeless reads rules that hold for every request.
func scopeless(e *expander, option string, rules []Rule, deny bool) []claims.ScopedRule {
	read := make([]claims.ScopedRule, 0, len(rules))
	for _, r := range rules {
		if len(r.MatcherSetsRaw) > 0 {
			e.fail("%s %s: a matcher belongs in a gate", option, r.Claim)
		}
		read = append(read, claims.ScopedRule{Rule: r.read(e, deny)})
	}
	return read
}

// read makes a rule of its configuration.
func (r *Rule) read(e *expander, deny bool) claims.Rule {
	rule, err := claims.NewRule(r.Claim, e.texts("rule on "+r.Claim, r.Patterns), deny)
	e.check("rule", err)
	return rule
}

// readFile reads a file of an option, at most 1 MiB.
func (e *expander) readFile(option, name string) []byte {
	info, err := os.Stat(name)
	if err == nil && (info.IsDir() || info.Size() > maxFile) {
		e.fail("%s %s: not a file of at most 1 MiB", option, name)
		return nil
	}
	data, err := os.ReadFile(name)
	e.check(option, err)
	return data
}
