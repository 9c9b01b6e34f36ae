package admit

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"slices"
	"strings"
	"sync"

	"github.com/caddyserver/caddy/v2"
	"go.uber.org/zap"

	"github.com/caddy-admit/admit/internal/outbound"
	"github.com/caddy-admit/admit/jwt"
	"github.com/caddy-admit/admit/oauth"
)

// keyPool holds the key sets that were fetched. They outlive a reload: the new
// configuration takes them over before the old one gives them back.
var keyPool = caddy.NewUsagePool()

// keyOrigin says where the keys of an integration come from. What it holds is
// also what its place in the pool depends on.
type keyOrigin struct {
	Discovery    string
	Issuers      []string
	JWKS         string
	CA           string
	InsecureHTTP bool
	// NoKeys: keys are given by hand, or there are none. What is fetched is for a
	// login alone.
	NoKeys bool

	static *jwt.KeySet // keys that were given by hand
	client bool        // a client is needed, and maybe discovery, beside the keys
}

// keys reads where keys come from: exactly one of discovery, a JWKS, key files
// and a secret.
func (c *Integration) keys(e *expander, issuers []string) keyOrigin {
	o := keyOrigin{InsecureHTTP: c.InsecureHTTP, client: c.asks()}
	given := 0
	for _, is := range []bool{c.JWKS != "", len(c.Key) > 0, c.Secret != nil} {
		if is {
			given++
		}
	}
	switch {
	case given > 1:
		e.fail("jwks, key, secret: expected one of them")
	case c.Discovery != "" && given > 0 && !c.asks():
		e.fail("discovery: has no use beside jwks, key or secret: expected one of them")
	case c.Secret != nil:
		o.static = c.secretKeys(e)
	case len(c.Key) > 0:
		o.static = c.fileKeys(e, c.Key)
	case c.JWKS != "":
		c.jwksOrigin(e, &o)
	case len(issuers) > 0:
		c.discoveryOrigin(e, &o, issuers)
	case c.Login == nil: // else it may be plain OAuth 2.0, see checkTokens
		e.fail("no keys: expected issuer, jwks, key or secret")
	}
	if given == 1 && len(issuers) > 0 && c.wantsDiscovery() {
		c.discoveryOrigin(e, &o, issuers)
	}
	o.NoKeys = c.asks() && (o.static != nil || !c.hasKeys())
	for _, name := range e.texts("ca", c.CA) {
		o.CA += string(e.readFile("ca", name)) + "\n"
	}
	c.checkFamilies(e)
	return o
}

// checkFamilies refuses algorithms that cannot go with the keys, so that no
// public key is ever taken for a secret (CVE-2016-10555).
func (c *Integration) checkFamilies(e *expander) {
	for _, name := range c.Algorithms {
		if symmetric := slices.Contains(jwt.Symmetric, name); symmetric != (c.Secret != nil) && jwt.Known(name) {
			if symmetric {
				e.fail("algorithms %s: needs a secret: expected an algorithm for public keys", name)
			} else {
				e.fail("algorithms %s: needs public keys, not a secret: expected HS256, HS384 or HS512", name)
			}
		}
	}
}

func (c *Integration) secretKeys(e *expander) *jwt.KeySet {
	secret := c.Secret.bytes(e)
	names := c.Algorithms
	if len(names) == 0 {
		names = []string{"HS256"}
	}
	for _, name := range names {
		switch size := jwt.HashSize(name); {
		case len(secret) == 0:
			e.fail("secret: empty")
			return nil
		case len(secret) < size && !c.InsecureWeakSecret:
			e.fail("secret: %d bytes, %s needs at least %d (RFC 7518 section 3.2); openssl rand -hex 32 makes one for secret hex; insecure_weak_secret permits it", len(secret), name, size)
			return nil
		}
	}
	return jwt.NewSecretKeySet(secret)
}

func (c *Integration) fileKeys(e *expander, names []string) *jwt.KeySet {
	var sets []*jwt.KeySet
	for _, name := range e.texts("key", names) {
		data := e.readFile("key", name)
		if data == nil {
			continue
		}
		set, err := jwt.ParseKeyFile(data)
		if err != nil {
			e.fail("key %s: %w", name, err)
			continue
		}
		sets = append(sets, set)
	}
	return jwt.Join(sets...)
}

// jwksOrigin takes a URL, or a file that is read now.
func (c *Integration) jwksOrigin(e *expander, o *keyOrigin) {
	where := e.text("jwks", c.JWKS)
	if strings.Contains(where, "://") {
		o.JWKS = where
		_, err := outbound.CheckURL(where, c.InsecureHTTP)
		e.check("jwks", err)
		return
	}
	data := e.readFile("jwks", where)
	if data == nil {
		return
	}
	set, dropped, err := jwt.ParseKeySet(data)
	switch {
	case err != nil:
		e.fail("jwks %s: %w", where, err)
	case set.Len() == 0:
		e.fail("jwks %s: no key that can be used: %s", where, strings.Join(dropped, "; "))
	case len(dropped) > 0:
		log().Warn("keys left out", zap.String("jwks", where), zap.Strings("keys", dropped))
	}
	o.static = set
}

func (c *Integration) discoveryOrigin(e *expander, o *keyOrigin, issuers []string) {
	o.Issuers = issuers
	option := "discovery"
	if o.Discovery = e.text("discovery", c.Discovery); o.Discovery == "" {
		if strings.Contains(issuers[0], "{tenantid}") {
			e.fail("issuer %s: expected discovery, which says where the document is", issuers[0])
			return
		}
		if issuer, isDocument := strings.CutSuffix(issuers[0], "/.well-known/openid-configuration"); isDocument {
			e.fail("issuer %s: expected what the document there has as issuer, most likely %s", issuers[0], issuer)
			return
		}
		option, o.Discovery = "issuer", oauth.DiscoveryURL(issuers[0])
	}
	_, err := outbound.CheckURL(o.Discovery, c.InsecureHTTP)
	e.check(option, err)
}

// source makes the key source, nil where there are no keys. Fetched keys come from
// the pool, with what a login shares with them, and in keeps what it took there.
func (o *keyOrigin) source(in *integration) (jwt.KeySource, error) {
	if o.static != nil && !o.client {
		return jwt.StaticKeys(o.static), nil
	}
	id, err := json.Marshal(o)
	if err != nil {
		return nil, err
	}
	sum := sha256.Sum256(id)
	key := hex.EncodeToString(sum[:])
	value, _, err := keyPool.LoadOrNew(key, func() (caddy.Destructor, error) { return o.fetched() })
	if err != nil {
		return nil, err
	}
	in.poolKey, in.fetched = key, value.(*fetchedKeys)
	switch {
	case o.static != nil:
		return jwt.StaticKeys(o.static), nil
	case o.NoKeys:
		return nil, nil
	}
	return in.fetched.remote, nil
}

// fetchedKeys are the keys of one issuer, with what fetches them.
type fetchedKeys struct {
	client    *outbound.Client
	discovery *oauth.Discovery // nil where none is made
	remote    *jwt.RemoteKeys  // nil where keys are given by hand, or not needed

	fetches fetches
	once    sync.Map // *takenOnce, by integration and client

	mu      sync.Mutex
	dropped []string // what was warned of last
}

func (o *keyOrigin) fetched() (*fetchedKeys, error) {
	client, err := outbound.NewClient(outbound.Options{CAs: []byte(o.CA), InsecureHTTP: o.InsecureHTTP})
	if err != nil {
		return nil, err
	}
	f := &fetchedKeys{client: client}
	if o.Discovery != "" {
		f.discovery = oauth.NewDiscovery(client, o.Discovery, o.Issuers, o.InsecureHTTP, now, nil)
	}
	if o.NoKeys {
		return f, nil
	}
	where := zap.String("jwks", o.JWKS)
	locate := func(context.Context) (string, error) { return o.JWKS, nil }
	if o.JWKS == "" {
		where = zap.String("issuer", o.Issuers[0])
		locate = f.discovery.JWKSURI
	}
	f.remote = jwt.NewRemoteKeys(jwt.Remote{
		Client: client, Locate: locate, Now: now,
		Fetched: func(err error) {
			f.fetches.count(err)
			if err != nil {
				log().Warn("keys could not be fetched; the last good ones are used for at most a day", where, zap.Error(err))
				return
			}
			log().Debug("keys fetched", where)
		},
		Dropped: func(keys []string) { f.warnDropped(keys, where) },
	})
	return f, nil
}

// takenOnce knows what a client has taken and takes no second time.
type takenOnce struct {
	logouts oauth.Replays
	logins  oauth.Spent
}

// onceOf returns the memory of a client. Each has its own: a logout token may be for
// several.
func (f *fetchedKeys) onceOf(integration, clientID string) *takenOnce {
	value, _ := f.once.LoadOrStore([2]string{integration, clientID}, new(takenOnce))
	return value.(*takenOnce)
}

// warnDropped warns of keys that are left out, once until the set changes.
func (f *fetchedKeys) warnDropped(keys []string, where zap.Field) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if slices.Equal(f.dropped, keys) {
		return
	}
	f.dropped = keys
	log().Warn("keys left out", where, zap.Strings("keys", keys))
}

// Destruct ends a fetch that is running. Caddy calls it when no configuration
// uses the keys any more.
func (f *fetchedKeys) Destruct() error {
	if f.remote != nil {
		f.remote.Close()
	}
	if f.discovery != nil {
		f.discovery.Close()
	}
	f.client.Close()
	return nil
}

// log is for what outlives one configuration; modules have loggers of their own.
func log() *zap.Logger { return caddy.Log().Named("admit") }
