package local

import (
	"context"
	"crypto/rand"
	"fmt"
	"sync/atomic"

	"golang.org/x/sync/singleflight"

	"github.com/caddy-admit/admit/internal/seal"
	"github.com/caddy-admit/admit/internal/store"
)

// secretOnce is a secret that is made at first use and kept in the storage.
type secretOnce struct {
	store store.Store
	key   string
	value atomic.Pointer[[]byte]

	flight singleflight.Group
}

// get returns the secret. Of many who need it first, one asks the storage: each
// may wait a second or more for its turn at a lock there.
func (s *secretOnce) get(ctx context.Context) ([]byte, error) {
	if value := s.value.Load(); value != nil {
		return *value, nil
	}
	asked := s.flight.DoChan(s.key, func() (any, error) {
		ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), rotateTimeout)
		defer cancel()
		return nil, s.load(ctx)
	})
	select {
	case result := <-asked:
		if result.Err != nil {
			return nil, result.Err
		}
		return *s.value.Load(), nil
	case <-ctx.Done():
		return nil, fmt.Errorf("%w: %w", store.ErrUnavailable, ctx.Err())
	}
}

func (s *secretOnce) load(ctx context.Context) error {
	value, err := store.Once(ctx, s.store, s.key, func() ([]byte, error) {
		made := make([]byte, seal.MinSecret)
		rand.Read(made) // never fails (crypto/rand)
		return made, nil
	})
	if err == nil {
		s.value.Store(&value)
	}
	return err
}
