package admit

import (
	"context"
	"net/netip"
	"slices"
	"sync"

	"github.com/caddyserver/caddy/v2"
	"go.uber.org/zap"

	"github.com/caddy-admit/admit/internal/store"
	"github.com/caddy-admit/admit/jwt"
	"github.com/caddy-admit/admit/oauth/local"
)

// guessPool holds the counters of failed logins by the name of the integration,
// so that a reload is no amnesty.
var guessPool = caddy.NewUsagePool()

// realm is what an integration of users of one's own has beyond a verifier.
type realm struct {
	users    *local.Users
	checker  *local.Checker
	keys     *local.APIKeys
	signing  *jwt.SigningKeys
	endpoint *local.Endpoint // nil without tokens
	basic    bool
	closed   sync.Once
	pooled   string // the key of the limiter in the pool
}

// ownDraft is what a realm is made of.
type ownDraft struct {
	users  []local.User
	file   string // with more users, "" for none
	tokens *tokensDraft
}

// limiter is a [local.Limiter] in the pool.
type limiter struct{ *local.Limiter }

// Destruct implements [caddy.Destructor]. A limiter holds nothing but memory.
func (limiter) Destruct() error { return nil }

// readLocal reads users, keys and tokens of one's own.
func (c *Integration) readLocal(e *expander, d *draft) {
	c.refuseForeign(e)
	d.mapping = c.mapping(e, d.name, nil)
	d.local = &realm{basic: c.Basic, keys: c.apiKeys(e)}
	d.own.users, d.own.file = c.users(e), e.text("users", c.Users)
	d.own.tokens = c.Tokens.read(e, d.name)
	if c.Basic && !d.logsIn {
		e.fail("basic: there are no users: expected user or users")
	}
	if c.Tokens != nil && !d.logsIn {
		e.fail("tokens: there are no users to have any: expected user or users")
	}
}

// refuseForeign refuses options about issuers and keys: a local integration is
// its own issuer.
func (c *Integration) refuseForeign(e *expander) {
	for option, given := range map[string]bool{
		"issuer": len(c.Issuer) > 0, "discovery": c.Discovery != "", "jwks": c.JWKS != "", "key": len(c.Key) > 0,
		"secret": c.Secret != nil, "audience": len(c.Audience) > 0, "audience_claims": len(c.AudienceClaims) > 0,
		"algorithms": len(c.Algorithms) > 0, "types": len(c.Types) > 0, "tenants": len(c.Tenants) > 0,
		"expiry": c.Expiry != "", "leeway": c.Leeway != nil, "max_token_age": c.MaxTokenAge != 0, "padding": c.Padding != "",
		"ca": len(c.CA) > 0, "insecure_http": c.InsecureHTTP, "insecure_weak_secret": c.InsecureWeakSecret,
		"vendor": c.Vendor != "", "trust_email": c.TrustEmail,
		"login": c.Login != nil, "userinfo": c.Userinfo != "",
		"client_credentials": c.ClientCredentials != nil, "introspection": c.Introspection != nil,
		"identity api_key_claim": c.Identity != nil && c.Identity.APIKeyClaim != nil,
	} {
		if given {
			e.fail("%s: is about another issuer's tokens; users, API keys and tokens of one's own need an integration of their own", option)
		}
	}
}

func (c *Integration) apiKeys(e *expander) *local.APIKeys {
	var keys []local.APIKey
	for _, k := range c.APIKey {
		key, err := local.ReadAPIKey(k.ID, e.text("api_key "+k.ID, k.Hash), k.Claims)
		if e.keep(err); err == nil {
			keys = append(keys, key)
		}
		if slices.ContainsFunc(c.User, func(u LocalUser) bool { return u.ID == k.ID }) {
			e.fail("api_key %s: a user has that id: whoever has the key would pass for the user, also once the user is gone", k.ID)
		}
	}
	list, err := local.NewAPIKeys(keys)
	e.keep(err)
	return list
}

// users reads those that are written in the configuration.
func (c *Integration) users(e *expander) []local.User {
	var users []local.User
	for _, u := range c.User {
		user, err := local.NewUser(u.ID, e.text("user "+u.ID, u.Password), false, u.Claims)
		if e.keep(err); err == nil {
			users = append(users, user)
		}
	}
	_, err := local.NewUsers(users, "", nil)
	e.keep(err)
	return users
}

// openLocal reads the file of users, and begins to count who guesses passwords.
func (d *draft) openLocal(kept store.Store, log *zap.Logger) error {
	if err := d.openSessions(kept); err != nil {
		return err
	}
	if d.logsIn {
		if err := d.openUsers(log); err != nil {
			return err
		}
	}
	if d.own.tokens == nil {
		return nil
	}
	return d.openTokens(kept)
}

func (d *draft) openUsers(log *zap.Logger) (err error) {
	file := d.own.file
	d.local.users, err = local.NewUsers(d.own.users, file, func(err error) {
		if err != nil {
			log.Error("users file cannot be used; the last good one stays", zap.String("file", file), zap.Error(err))
			return
		}
		log.Info("users file read", zap.String("file", file))
	})
	if err != nil {
		return err
	}
	d.local.pooled = d.name
	value, _, err := guessPool.LoadOrNew(d.local.pooled, func() (caddy.Destructor, error) {
		return limiter{local.NewLimiter(now)}, nil
	})
	if err != nil {
		return err
	}
	d.local.checker = local.NewChecker(d.local.users, value.(limiter).Limiter, now)
	return nil
}

// or returns value, or standard if value is zero.
func or[T comparable](value, standard T) T {
	var zero T
	if value == zero {
		return standard
	}
	return value
}

// signIn checks a password for a client at an address.
func (r *realm) signIn(ctx context.Context, id, password, client string) (local.Subject, error) {
	if r.checker == nil {
		return local.Subject{}, local.ErrBadPassword
	}
	address, _ := netip.ParseAddr(client) // the zero one counts as one client
	user, err := r.checker.Check(ctx, id, password, address)
	if err != nil {
		return local.Subject{}, err
	}
	return subjectOf(user), nil
}

// find returns a user who may sign in, as the user is now.
func (r *realm) find(id string) (local.Subject, bool) {
	if r.users == nil {
		return local.Subject{}, false
	}
	user, ok := r.users.Get(id)
	return subjectOf(user), ok && !user.Disabled
}

func subjectOf(u local.User) local.Subject {
	return local.Subject{ID: u.ID, Stamp: u.Stamp(), Claims: u.Claims}
}

// release gives back what provisionLocal took.
func (r *realm) release() {
	if r.users != nil {
		r.closed.Do(r.users.Close) // requests under way still read the list
	}
	if r.pooled != "" {
		if _, err := guessPool.Delete(r.pooled); err != nil {
			log().Error("releasing counters of failed logins", zap.Error(err))
		}
		r.pooled = ""
	}
}

// sweep deletes what has expired in the storage of one integration.
func (in *integration) sweep(ctx context.Context) error {
	if in.local == nil || in.local.endpoint == nil {
		return nil
	}
	return in.local.endpoint.Families.Sweep(ctx)
}
