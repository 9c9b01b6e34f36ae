package admit

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"strings"
	"sync"
	"time"

	"github.com/caddyserver/certmagic"
	"go.uber.org/zap"

	"github.com/caddy-admit/admit/internal/store"
)

// storage is Caddy's storage as the rooms use it: file, Redis, whatever the
// operator has configured.
type storage struct{ certmagic.Storage }

// Load implements [store.Store].
func (s storage) Load(ctx context.Context, key string) ([]byte, error) {
	value, err := s.Storage.Load(ctx, key)
	return value, storageError("load", err)
}

// Store implements [store.Store].
func (s storage) Store(ctx context.Context, key string, value []byte) error {
	return storageError("store", s.Storage.Store(ctx, key, value))
}

// Delete implements [store.Store].
func (s storage) Delete(ctx context.Context, key string) error {
	return storageError("delete", s.Storage.Delete(ctx, key))
}

// List implements [store.Store].
func (s storage) List(ctx context.Context, prefix string) ([]string, error) {
	keys, err := s.Storage.List(ctx, prefix, false)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	for i, key := range keys {
		if !strings.HasPrefix(key, prefix) {
			keys[i] = prefix + "/" + key
		}
	}
	return keys, storageError("list", err)
}

// Lock implements [store.Store].
func (s storage) Lock(ctx context.Context, name string) (func(), error) {
	if err := s.Storage.Lock(ctx, name); err != nil {
		return nil, storageError("lock", err)
	}
	return func() {
		ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), store.Timeout)
		defer cancel()
		if err := s.Storage.Unlock(ctx, name); err != nil {
			log().Warn("a storage lock could not be given back", zap.Error(err))
		}
	}, nil
}

// storageError tells what is not there from what could not be asked.
func storageError(operation string, err error) error {
	switch {
	case err == nil:
		return nil
	case errors.Is(err, fs.ErrNotExist):
		return fmt.Errorf("%s: %w", operation, err)
	}
	return fmt.Errorf("%w: %s: %w", store.ErrUnavailable, operation, err)
}

// sweepEvery is how often what has expired is deleted from the storage.
const sweepEvery = time.Hour

// sweeps is when this process is to do so. No configuration begins a new hour: where
// one is loaded every few minutes nothing would ever be deleted (threat 97).
var sweeps = sweepTimes{last: time.Now()}

// sweepTimes remembers the last of what is done every hour.
type sweepTimes struct {
	mu   sync.Mutex
	last time.Time // or when the process began
}

// wait returns how long it is until the next time.
func (s *sweepTimes) wait(at time.Time) time.Duration {
	s.mu.Lock()
	defer s.mu.Unlock()
	return min(max(0, sweepEvery-at.Sub(s.last)), sweepEvery)
}

// done notes that it was done.
func (s *sweepTimes) done(at time.Time) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.last = at
}
