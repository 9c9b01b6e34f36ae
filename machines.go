package admit

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"time"

	"github.com/caddyserver/caddy/v2"
	"go.uber.org/zap"

	"github.com/caddy-admit/admit/claims"
	"github.com/caddy-admit/admit/oauth"
	"github.com/caddy-admit/admit/oauth/local"
	"github.com/caddy-admit/admit/oauth/machine"
)

// askerPool holds what issuers have said about clients. It outlives a reload that
// leaves the question as it is: who is asked, as which client, for what.
var askerPool = caddy.NewUsagePool()

// closer is a part of package machine.
type closer interface{ Close() }

// pooledAsker is one in the pool.
type pooledAsker[T closer] struct{ asker T }

// Destruct implements [caddy.Destructor].
func (p pooledAsker[T]) Destruct() error {
	p.asker.Close()
	return nil
}

// taken lists what one instance has taken out of the pool, by key.
type taken []string

// take returns the asker for a question out of the pool. What the question depends on
// is hashed, since secrets are among it; the kind of asker is a part of it.
func take[T closer](t *taken, question any, create func() (T, error)) (asker T, err error) {
	text, err := json.Marshal(question)
	if err != nil {
		return asker, err
	}
	sum := sha256.Sum256(text)
	key := hex.EncodeToString(sum[:])
	value, _, err := askerPool.LoadOrNew(key, func() (caddy.Destructor, error) {
		made, err := create()
		return pooledAsker[T]{made}, err
	})
	if err != nil {
		return asker, err
	}
	*t = append(*t, key)
	return value.(pooledAsker[T]).asker, nil
}

// release gives back what was taken. It may be called more than once.
func (t *taken) release() {
	for _, key := range *t {
		if _, err := askerPool.Delete(key); err != nil {
			log().Error("releasing what an issuer has said", zap.Error(err))
		}
	}
	*t = nil
}

// asked is what every question depends on. The key of the pool of keys stands for who
// is asked and how: as long as an asker lives, so do the client and the discovery
// that it has from there.
type asked struct {
	Kind, Integration, Keys, URL string
	ID, Secret, Method           string
	Key                          string // its fingerprint
	Scopes                       []string
	Audience                     string
}

// openMachines makes what asks the issuer about clients.
func (d *draft) openMachines() (err error) {
	m := &d.machines
	if m.clients == nil && m.introspection == nil && !m.userinfo {
		return nil
	}
	guesses, err := d.openGuesses()
	if err != nil {
		return err
	}
	find, f := d.locator(), d.fetched
	on := asked{Integration: d.name, Keys: d.poolKey}
	if m.clients != nil {
		on := on
		on.Kind, on.URL, on.Scopes, on.Audience = "clients", m.clients.TokenURL, m.clients.Scopes, m.clients.Audience
		d.clients, err = take(&d.asking, on, func() (*machine.Clients, error) {
			return machine.NewClients(machine.ClientsConfig{
				Tokens: oauth.NewTokenEndpoint(f.client, now), URL: find.Token(on.URL), Scopes: on.Scopes, Audience: on.Audience,
				Limiter: guesses, Observe: observer(on.Integration, "client credentials"), Now: now,
			}), nil
		})
		if err != nil {
			return err
		}
	}
	if m.introspection != nil {
		on := on
		on.Kind, on.URL, on.ID, on.Secret = "introspection", m.introspectURL, m.introspection.ID, m.introspection.Secret
		d.introspector, err = take(&d.asking, on, func() (*machine.Introspector, error) {
			return machine.NewIntrospector(machine.IntrospectorConfig{
				Client: f.client, Auth: *m.introspection, URL: find.Introspection(on.URL),
				Limiter: guesses, Observe: observer(on.Integration, "introspection"), Now: now,
			})
		})
		if err != nil {
			return err
		}
	}
	if m.userinfo {
		on := on
		on.Kind, on.URL = "userinfo", m.userinfoURL
		d.userinfo, err = take(&d.asking, on, func() (*machine.Userinfo, error) {
			return machine.NewUserinfo(machine.UserinfoConfig{
				Client: f.client, URL: find.Userinfo(on.URL), Observe: observer(on.Integration, "userinfo"), Now: now,
			}), nil
		})
	}
	return err
}

// openExchanger makes what exchanges tokens for an application.
func (d *draft) openExchanger(what *forwarding, t *taken) (*machine.Exchanger, error) {
	auth, find, f := *d.machines.exchanger, d.locator(), d.fetched
	key, err := auth.Key.Fingerprint()
	if err != nil {
		return nil, err
	}
	on := asked{
		Kind: "exchange", Integration: d.name, Keys: d.poolKey, URL: d.machines.tokenURL,
		ID: auth.ID, Secret: auth.Secret, Method: auth.Method, Key: key,
		Scopes: what.scopes, Audience: what.audience,
	}
	return take(t, on, func() (*machine.Exchanger, error) {
		return machine.NewExchanger(machine.ExchangerConfig{
			Tokens: oauth.NewTokenEndpoint(f.client, now), URL: find.Token(on.URL), Auth: auth,
			Scopes: on.Scopes, Audience: on.Audience, Observe: observer(on.Integration, "forward exchange"), Now: now,
		})
	})
}

// locator finds the endpoints of the issuer.
func (d *draft) locator() oauth.Locator {
	return oauth.Locator{Discovery: d.fetched.discovery, DiscoveryURL: d.keys.Discovery, InsecureHTTP: d.keys.InsecureHTTP}
}

// openGuesses begins to count wrong credentials, by the name of the integration.
func (in *integration) openGuesses() (*local.Limiter, error) {
	value, _, err := guessPool.LoadOrNew(in.name, func() (caddy.Destructor, error) {
		return limiter{local.NewLimiter(now)}, nil
	})
	if err != nil {
		return nil, err
	}
	in.guesses = in.name
	return value.(limiter).Limiter, nil
}

// closeMachines gives back what openMachines took. It may be called more than once.
func (in *integration) closeMachines() {
	in.asking.release()
	if in.guesses == "" {
		return
	}
	if _, err := guessPool.Delete(in.guesses); err != nil {
		log().Error("releasing counters of wrong credentials", zap.Error(err))
	}
	in.guesses = ""
}

// complainEvery is how often the log says that an issuer does not answer.
const complainEvery = 10 * time.Second

// observer counts the calls of an asker, and says in the log what an operator must
// mend. It refers to no configuration.
func observer(integration, what string) func(error) {
	var said seldom
	return func(err error) {
		outcome := outcomeOf(err)
		exchanges.WithLabelValues(integration, outcome).Inc()
		if outcome != string(claims.SignInUnavailable) || !said.due(complainEvery) {
			return
		}
		fields := []zap.Field{zap.String("integration", integration), zap.String("for", what), zap.Error(err)}
		var refused *machine.RefusedError
		if errors.As(err, &refused) && refused.Hint != "" {
			fields = append(fields, zap.String("hint", refused.Hint))
		}
		log().Warn("the issuer gave no answer about a client; said at most every 10 s", fields...)
	}
}

// outcomeOf returns the word for how a call ended.
func outcomeOf(err error) string {
	if err == nil {
		return "success"
	}
	return string(notSignedIn(claims.Decision{}, err).Reason)
}

// vouchedFor decides by the claims that an issuer has vouched for by itself.
func (in *integration) vouchedFor(set *claims.Set, err error) claims.Decision {
	d := claims.Decision{Integration: in.name}
	if err == nil {
		err = in.verifier.CheckClaims(set)
	}
	if err != nil {
		return notSignedIn(d, err)
	}
	if d.Identity = in.mapping.Identify(set); d.Identity == nil {
		d.Verdict, d.Reason = claims.Refused, claims.NoIdentity
	}
	return d
}
