package admit

import (
	"context"
	"net/netip"
	"slices"
	"sync"
	"time"

	"github.com/caddyserver/caddy/v2"
	"go.uber.org/zap"

	"github.com/caddy-admit/admit/claims"
	"github.com/caddy-admit/admit/internal/store"
	"github.com/caddy-admit/admit/jwt"
	"github.com/caddy-admit/admit/oauth/local"
)

const (
	defaultAccess  = 5 * time.Minute
	defaultRefresh = 720 * time.Hour
	defaultKeyAge  = 2160 * time.Hour
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

// limiter is a [local.Limiter] in the pool.
type limiter struct{ *local.Limiter }

// Destruct implements [caddy.Destructor]. A limiter holds nothing but memory.
func (limiter) Destruct() error { return nil }

// provisionLocal reads users, keys and tokens of one's own. It does not touch the
// storage.
func (c *Integration) provisionLocal(in *integration, storage store.Store, log *zap.Logger) error {
	e := newExpander()
	c.refuseForeign(e)
	in.mapping = c.mapping(e, in.name, nil)
	r := &realm{basic: c.Basic}
	in.local = r
	r.keys = c.apiKeys(e)
	r.users = c.users(e, log)
	if r.users != nil {
		r.pooled = in.name
		value, _, err := guessPool.LoadOrNew(r.pooled, func() (caddy.Destructor, error) {
			return limiter{local.NewLimiter(time.Now)}, nil
		})
		if err != nil {
			return err
		}
		r.checker = local.NewChecker(r.users, value.(limiter).Limiter, time.Now)
	}
	if c.Tokens != nil {
		e.keep(c.provisionTokens(e, in, storage))
	}
	if c.Basic && r.users == nil {
		e.fail("basic: there are no users")
	}
	return e.err("integration " + in.name)
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
	}
	list, err := local.NewAPIKeys(keys)
	e.keep(err)
	return list
}

func (c *Integration) users(e *expander, log *zap.Logger) *local.Users {
	if len(c.User) == 0 && c.Users == "" {
		return nil
	}
	var inline []local.User
	for _, u := range c.User {
		user, err := local.NewUser(u.ID, e.text("user "+u.ID, u.Password), false, u.Claims)
		if e.keep(err); err == nil {
			inline = append(inline, user)
		}
	}
	file := e.text("users", c.Users)
	users, err := local.NewUsers(inline, file, func(err error) {
		if err != nil {
			log.Error("users file cannot be used; the last good one stays", zap.String("file", file), zap.Error(err))
			return
		}
		log.Info("users file read", zap.String("file", file))
	})
	e.keep(err)
	return users
}

// provisionTokens prepares the token endpoint, and the gate for its tokens.
func (c *Integration) provisionTokens(e *expander, in *integration, storage store.Store) error {
	t := *c.Tokens
	issuer := e.text("tokens issuer", t.Issuer)
	if issuer == "" {
		issuer = in.name
	}
	audience := e.texts("tokens audience", t.Audience)
	if len(audience) == 0 {
		audience = []string{issuer}
	}
	alg := or(t.Sign, "EdDSA")
	if !slices.Contains(jwt.SigningAlgorithms, alg) {
		e.fail("tokens sign %q: expected one of EdDSA, ES256, RS256 and HS256", t.Sign)
	}
	access := or(time.Duration(t.Access), defaultAccess)
	refresh := or(time.Duration(t.Refresh), defaultRefresh)
	age := or(time.Duration(t.KeyAge), defaultKeyAge)
	if access < time.Second || refresh < access || age < time.Hour {
		e.fail("tokens: expected access of at least 1s, refresh no shorter than access, and key_age of at least 1h")
	}
	in.local.signing = jwt.NewSigningKeys(jwt.Signing{
		Store: storage, Key: store.Key("keys", in.name, alg), Algorithm: alg,
		Age: age, Keep: access + 2*defaultLeeway, Now: time.Now,
	})
	in.local.endpoint = &local.Endpoint{
		SignIn:   in.local.signIn,
		Find:     in.local.find,
		Tokens:   &local.Tokens{Issuer: issuer, Audience: audience, Access: access, Keys: in.local.signing, Now: time.Now},
		Families: local.NewFamilies(storage, in.name, refresh, time.Now),
	}
	var err error
	in.verifier, err = jwt.NewVerifier(jwt.Policy{
		Issuers: []string{issuer}, Audience: audience, AudienceClaims: []claims.Path{claims.MustPath("aud")},
		Algorithms: []string{alg}, Types: []string{local.AccessTokenType}, Leeway: defaultLeeway,
	}, in.local.signing, time.Now)
	return err
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
