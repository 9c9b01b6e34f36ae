package admit

import (
	"context"
	"fmt"
	"regexp"
	"slices"
	"strings"
	"time"

	"go.uber.org/zap"

	"github.com/caddy-admit/admit/claims"
	"github.com/caddy-admit/admit/internal/store"
	"github.com/caddy-admit/admit/jwt"
	"github.com/caddy-admit/admit/oauth"
	"github.com/caddy-admit/admit/oauth/machine"
)

// oktaOrganisation is an issuer of Okta that is not one of its custom servers.
var oktaOrganisation = regexp.MustCompile(`^https://[^/]+\.okta(preview|-emea)?\.com/?$`)

var nameForm = regexp.MustCompile(`^[a-z0-9_-]{1,32}$`)

const defaultLeeway = time.Minute

// integration is an [Integration] that is ready for requests.
type integration struct {
	name      string
	places    []place
	verifier  *jwt.Verifier       // nil if it takes no tokens
	local     *realm              // users, keys and tokens of one's own, if there are any
	logsIn    bool                // users can log in
	sessions  *oauth.Sessions     // of those who have, nil if nobody can
	party     *oauth.RelyingParty // where they log in, nil if not at a provider
	callback  callback            // where they come back to
	renews    bool                // the provider is asked anew about sessions
	forwards  bool                // some gate forwards the access tokens of sessions
	inCookies bool                // sessions lie in cookies, whatever they hold
	public    bool                // anybody on the internet can log in
	noEmail   bool                // none of its identities has an e-mail address
	mapping   *claims.Mapping
	keyClaim  *keyClaim // nil if no claim holds API keys
	nobody    bool      // who has no user id is let in
	alone     *place    // where nobody else's tokens are looked for
	rules     claims.Rules
	vendor    string
	server    string       // the issuer that clients find by discovery, if it is one
	audience  []string     // of its tokens, empty for any
	poolKey   string       // of keys that outlive a reload, "" when they were given back
	fetched   *fetchedKeys // those keys, nil for keys given by hand
	kept      *jwt.Space   // tokens that were verified, nil if none are kept
	tokensKey string       // where they lie in the pool, "" when they were given back

	// What is asked about clients that are no browsers; each nil if it is not.
	clients      *machine.Clients
	introspector *machine.Introspector
	userinfo     *machine.Userinfo
	asking       taken  // of the pool
	guesses      string // the key of their counter in the pool, "" when it was given back
	// exchanger makes what exchanges tokens for an application.
	exchanger func(f *forwarding, t *taken) (*machine.Exchanger, error)
	exchanges bool // there is one

	allowed allowedCounter
}

// draft is an integration whose configuration was read. It holds nothing yet that
// has to be given back, so the Caddyfile adapter makes one too, to hear of
// mistakes.
type draft struct {
	*integration
	policy  jwt.Policy
	keys    keyOrigin
	takes   bool // tokens that clients send
	own     ownDraft
	login   *loginDraft // nil if nobody logs in at a provider
	session oauth.SessionConfig
	cache   *Cache // nil: the one that integrations share

	machines machineDraft
}

// provision makes an integration of its configuration. It makes no network call
// and does not touch the storage. Every mistake is reported at once.
func (c *Integration) provision(name string, kept store.Store, log *zap.Logger) (*integration, error) {
	e := newExpander()
	d := c.read(e, name)
	if err := e.err("integration " + name); err != nil {
		return nil, err
	}
	if err := d.open(kept, log); err != nil {
		d.release()
		return nil, fmt.Errorf("integration %s: %w", name, err)
	}
	c.warn(name, log)
	d.warnIDTokens(log)
	return d.integration, nil
}

// read reads the configuration and finds every mistake that is in it.
func (c *Integration) read(e *expander, name string) *draft {
	d := &draft{integration: &integration{name: name, vendor: c.Vendor, logsIn: c.logsIn(), allowed: countAllowed(name)}}
	d.places = c.places(e)
	d.rules.Require = scopeless(e, "require", c.Require, false)
	d.rules.Deny = scopeless(e, "deny", c.Deny, true)
	d.rules.Remember()
	c.Cache.check(e)
	d.cache = c.Cache
	if c.local() {
		c.readLocal(e, d)
	} else {
		c.readIssuer(e, d)
	}
	c.readSession(e, d)
	return d
}

// readIssuer reads what is said of another issuer's tokens.
func (c *Integration) readIssuer(e *expander, d *draft) {
	d.policy = c.policy(e)
	d.mapping = c.mapping(e, d.name, d.policy.Issuers)
	d.keys = c.keys(e, d.policy.Issuers)
	e.keep(d.policy.Check())
	e.word("vendor", c.Vendor, vendors...)
	c.requireAudience(e)
	d.takes = c.takesTokens()
	d.login = c.readLogin(e, d)
	c.readMachines(e, d)
	c.keyClaim(e, d)
	d.public = d.login != nil && c.isPublic(d)
	d.noEmail = c.lacksEmail()
	c.checkEmail(e)
	if d.takes && d.keys.Discovery != "" && !strings.Contains(d.policy.Issuers[0], "{") {
		d.server, d.audience = d.policy.Issuers[0], d.policy.Audience
	}
}

// open takes what the integration needs for requests. What it took before an
// error is there for release.
func (d *draft) open(kept store.Store, log *zap.Logger) error {
	open := d.openIssuer
	if d.local != nil {
		open = d.openLocal
	}
	if err := open(kept, log); err != nil {
		return err
	}
	if err := d.keepTokens(); err != nil {
		return err
	}
	only := []*integration{d.integration}
	d.alone = &place{integrations: only, memory: remember(only)}
	return nil
}

func (d *draft) openIssuer(kept store.Store, log *zap.Logger) error {
	source, err := d.keys.source(d.integration)
	if err != nil {
		return err
	}
	if d.takes {
		if d.verifier, err = jwt.NewVerifier(d.policy, source, now); err != nil {
			return err
		}
	}
	if d.login != nil {
		if err := d.openLogin(source, kept, log); err != nil {
			return err
		}
	}
	if d.exchanges {
		d.exchanger = d.openExchanger
	}
	return d.openMachines()
}

// openLogin makes the sessions and the relying party. What came back once is known
// after a reload too.
func (d *draft) openLogin(source jwt.KeySource, kept store.Store, log *zap.Logger) (err error) {
	once := d.fetched.onceOf(d.name, d.login.Auth.ID)
	d.session.Spent, d.login.Replays = &once.logins, &once.logouts
	if d.renews {
		d.session.Renewer = func(ctx context.Context, session *oauth.Session) (*oauth.Session, error) {
			return d.renewSession(ctx, session, log)
		}
		d.session.Observe = func(err error) { countRefresh(d.name, err) }
	}
	if err := d.openSessions(kept); err != nil {
		return err
	}
	d.party, err = d.openParty(source)
	return err
}

// openSessions makes the sessions of those who can log in, if anybody can.
func (d *draft) openSessions(kept store.Store) (err error) {
	if d.logsIn {
		d.sessions, err = oauth.NewSessions(d.session, kept, now)
	}
	return err
}

// openParty makes the relying party. It shares the client and the discovery with
// the keys.
func (d *draft) openParty(source jwt.KeySource) (*oauth.RelyingParty, error) {
	p := d.login.RelyingPartyConfig
	p.Client, p.Discovery = d.fetched.client, d.fetched.discovery
	if slices.Contains(p.Scopes, "openid") {
		var err error
		if p.IDTokens, err = jwt.NewVerifier(d.login.idTokens, source, now); err != nil {
			return nil, err
		}
	}
	if p.SessionToken == oauth.SessionTokenAccess {
		p.AccessTokens = d.verifier
	}
	return oauth.NewRelyingParty(p)
}

// release gives back what provision took. It may be called more than once.
func (in *integration) release() {
	if in.local != nil {
		in.local.release()
	}
	in.forgetTokens()
	in.closeMachines()
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
		log.Warn("insecure_http: keys of this integration, and what a login sends, may go over plain http", zap.String("integration", name))
	}
	if c.InsecureWeakSecret {
		log.Warn("insecure_weak_secret: who sees one token may find the secret by trying", zap.String("integration", name))
	}
	if c.takesTokens() && slices.ContainsFunc(c.Issuer, oktaOrganisation.MatchString) {
		log.Warn("access tokens of an Okta organisation's own server are meant for Okta alone: name one of its authorization servers",
			zap.String("integration", name))
	}
	if len(c.From) == 0 && len(c.APIKey) > 0 || slices.ContainsFunc(c.From, func(p Place) bool { return p.Header != "" && p.Header != "Authorization" }) {
		log.Warn("credentials in a header of their own: Caddy's access log hides only Authorization and Cookie, see \"Tokens in the query\" in docs/reference.md",
			zap.String("integration", name))
	}
	if slices.ContainsFunc(c.From, func(p Place) bool { return p.Query != "" }) {
		log.Warn("from query: tokens in URLs end up in access logs, see \"Tokens in the query\" in docs/reference.md",
			zap.String("integration", name))
	}
}
