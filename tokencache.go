package admit

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"slices"

	"github.com/caddyserver/caddy/v2"
	"go.uber.org/zap"

	"github.com/caddy-admit/admit/claims"
	"github.com/caddy-admit/admit/jwt"
)

// cacheBytes is how much memory verified tokens take: of all integrations that say
// nothing about it together, and of one that says only how many.
const cacheBytes = 64 << 20

// sharedCache is for integrations that have no cache of their own.
var sharedCache = jwt.NewCache(0, cacheBytes)

// tokenPool holds the verified tokens of integrations. They outlive a reload that
// leaves an integration as it is: the new configuration takes them over before the
// old one gives them back.
var tokenPool = caddy.NewUsagePool()

// keptTokens are the verified tokens of one integration, and the mapping by which
// their identities were read.
type keptTokens struct {
	*jwt.Space
	mapping *claims.Mapping
}

// Destruct implements [caddy.Destructor].
func (k keptTokens) Destruct() error {
	k.Close()
	return nil
}

// keepTokens makes the integration keep the tokens that it has verified, unless its
// cache is off.
func (d *draft) keepTokens() error {
	if d.verifier == nil || d.cache != nil && d.cache.Off {
		return nil
	}
	key, err := d.dependsOn()
	if err != nil {
		return err
	}
	value, _, err := tokenPool.LoadOrNew(key, func() (caddy.Destructor, error) {
		cache := sharedCache
		if d.cache != nil {
			cache = jwt.NewCache(d.cache.Entries, or(d.cache.Bytes, cacheBytes))
		}
		return keptTokens{cache.NewSpace(), d.mapping}, nil
	})
	if err != nil {
		return err
	}
	// The mapping says the same as the own one, which each reload would leave behind
	// with the identities that were read by it.
	kept := value.(keptTokens)
	d.tokensKey, d.kept, d.mapping = key, kept.Space, kept.mapping
	return nil
}

// dependsOn returns a hash of everything that the verified tokens depend on. The
// rules are not part of it: they are applied on every request.
func (d *draft) dependsOn() (string, error) {
	on := struct {
		Policy  jwt.Policy
		Mapping claims.Mapping // with the name of the integration
		Keys    keyOrigin
		Static  [sha256.Size]byte // keys that were given by hand
		Cache   *Cache
	}{Policy: d.policy, Mapping: *d.mapping, Keys: d.keys, Cache: d.cache}
	if d.keys.static != nil {
		on.Static = d.keys.static.Fingerprint()
	}
	text, err := json.Marshal(on)
	sum := sha256.Sum256(text)
	return hex.EncodeToString(sum[:]), err
}

// forgetTokens gives back what keepTokens took. It may be called more than once.
// Requests under way may still look there.
func (in *integration) forgetTokens() {
	if in.tokensKey == "" {
		return
	}
	if _, err := tokenPool.Delete(in.tokensKey); err != nil {
		log().Error("releasing verified tokens", zap.Error(err))
	}
	in.tokensKey = ""
}

// memory is what a place knows of tokens that were verified before.
type memory struct {
	caches []*jwt.Cache
	// spaces and rivals belong to the integrations of the same number. Rivals are
	// those that might be asked about a token of that integration first.
	spaces []*jwt.Space // nil for one that keeps nothing
	rivals [][]*jwt.Verifier
}

// remember finds out what is kept for the integrations of a place.
func remember(integrations []*integration) (m memory) {
	for i, in := range integrations {
		var rivals []*jwt.Verifier
		for j, other := range integrations {
			if i != j && in.verifier != nil && other.verifier != nil && mayPrecede(other.verifier, in.verifier, j < i) {
				rivals = append(rivals, other.verifier)
			}
		}
		m.spaces, m.rivals = append(m.spaces, in.kept), append(m.rivals, rivals)
		if in.kept != nil && !slices.Contains(m.caches, in.kept.Cache()) {
			m.caches = append(m.caches, in.kept.Cache())
		}
	}
	return m
}

// mayPrecede reports whether one may be asked about a token that another accepts,
// before that one is: see [place.check]. earlier says that it stands before it.
func mayPrecede(one, another *jwt.Verifier, earlier bool) bool {
	if one.HasIssuer() != another.HasIssuer() {
		return one.HasIssuer()
	}
	return earlier && one.Overlaps(another)
}

// remembered decides about a token that one of the integrations has verified before.
// ok is false if there is none, or if that does not settle it.
func (p *place) remembered(ctx context.Context, key jwt.CacheKey) (d claims.Decision, ok bool) {
	for _, cache := range p.memory.caches {
		for e := cache.Find(key); e != nil; e = e.Next() {
			i := slices.Index(p.memory.spaces, e.Space())
			if i < 0 || p.memory.contested(i, e) {
				continue
			}
			d, ok = p.integrations[i].recheck(ctx, e)
			if ok && (d.Reason == "" || len(p.integrations) == 1) {
				key.Hit()
				return d, true
			}
		}
	}
	return claims.Decision{}, false
}

// contested reports whether somebody else must be asked about the token first. Its
// integration may have accepted it at another gate, where the others are not.
func (m *memory) contested(i int, e *jwt.Entry) bool {
	for _, rival := range m.rivals[i] {
		if rival.Takes(e.Identity().Claims()) {
			return true
		}
	}
	return false
}

// recheck decides about a token that the integration has verified before. ok is
// false if it has to be verified anew.
func (in *integration) recheck(ctx context.Context, e *jwt.Entry) (d claims.Decision, ok bool) {
	sure, err := in.verifier.Recheck(ctx, e)
	if !sure || err != nil && !errors.Is(err, jwt.ErrKeysUnavailable) {
		in.kept.Forget(e)
	}
	switch {
	case !sure:
		return claims.Decision{}, false
	case err != nil:
		d = refused(err)
		d.Integration = in.name
		return d, true
	}
	e.Mark()
	return claims.Decision{Integration: in.name, Identity: e.Identity()}, true
}
