package jwt

import (
	"context"
	"sync/atomic"
	"time"

	"github.com/caddy-admit/admit/internal/outbound"
)

// static is a source of keys that were given by hand.
type static struct{ set *KeySet }

// StaticKeys makes a source of a set that never changes.
func StaticKeys(set *KeySet) KeySource { return static{set} }

func (s static) Keys(context.Context) (*KeySet, uint64, error)            { return s.set, 0, nil }
func (s static) Refresh(context.Context, uint64) (*KeySet, uint64, error) { return s.set, 0, nil }

// RemoteKeys is a source of keys that an issuer publishes. Nothing is fetched
// before the first token asks; then the set is kept fresh as [outbound.Document]
// says.
type RemoteKeys struct {
	doc *outbound.Document[*KeySet]
}

// Remote says where the keys of an issuer are and who wants to hear of it.
type Remote struct {
	Client *outbound.Client
	// Locate returns the URL of the key set.
	Locate func(ctx context.Context) (string, error)
	Now    func() time.Time
	// Fetched is called after each fetch, with what went wrong or nil.
	Fetched func(error)
	// Dropped is called with the keys of a set that are left out, if any.
	Dropped func(keys []string)
}

// NewRemoteKeys makes a source. It makes no network call.
func NewRemoteKeys(r Remote) *RemoteKeys {
	var last atomic.Pointer[KeySet]
	fetch := func(ctx context.Context) (*KeySet, time.Duration, bool, error) {
		url, err := r.Locate(ctx)
		if err != nil {
			return nil, 0, false, err
		}
		answer, err := r.Client.Get(ctx, url, "application/jwk-set+json, application/json")
		if err != nil {
			return nil, 0, false, err
		}
		set, dropped, err := ParseKeySet(answer.Body)
		if err != nil {
			return nil, 0, false, err
		}
		if len(dropped) > 0 && r.Dropped != nil {
			r.Dropped(dropped)
		}
		// The same keys stay the same set: every token in a cache holds on to its own.
		if before := last.Load(); before != nil && before.same(set) {
			set = before
		}
		last.Store(set)
		return set, answer.MaxAge, answer.HasMaxAge, nil
	}
	return &RemoteKeys{outbound.NewDocument(fetch, r.Now, r.Fetched)}
}

// Keys implements [KeySource].
func (r *RemoteKeys) Keys(ctx context.Context) (*KeySet, uint64, error) { return r.doc.Get(ctx) }

// Refresh implements [KeySource].
func (r *RemoteKeys) Refresh(ctx context.Context, seen uint64) (*KeySet, uint64, error) {
	return r.doc.Refresh(ctx, seen)
}

// Age returns the time since keys were last fetched with success, if they were.
func (r *RemoteKeys) Age() (time.Duration, bool) { return r.doc.Age() }

// Close ends a fetch that is running. The source gives no keys any more.
func (r *RemoteKeys) Close() { r.doc.Close() }
