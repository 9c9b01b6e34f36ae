package local

import (
	"context"
	"crypto/rand"
	"sync/atomic"

	"github.com/caddy-admit/admit/internal/seal"
	"github.com/caddy-admit/admit/internal/store"
)

// secretOnce is a secret that is made at first use and kept in the storage.
type secretOnce struct {
	store store.Store
	key   string
	value atomic.Pointer[[]byte]
}

func (s *secretOnce) get(ctx context.Context) ([]byte, error) {
	if value := s.value.Load(); value != nil {
		return *value, nil
	}
	value, err := store.Once(ctx, s.store, s.key, func() ([]byte, error) {
		made := make([]byte, seal.MinSecret)
		rand.Read(made) // never fails (crypto/rand)
		return made, nil
	})
	if err != nil {
		return nil, err
	}
	s.value.Store(&value)
	return value, nil
}
