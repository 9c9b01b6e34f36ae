package store

import (
	"context"
	"errors"
	"fmt"
	"sync"

	"golang.org/x/sync/errgroup"
)

// eachAtOnce is how many values [Each] loads at a time: some storages are a
// network away.
const eachAtOnce = 8

// Each calls a function with each value below a folder, in no order and one call
// at a time. A value that goes meanwhile is left out. The error is the function's
// first one, or one that wraps [ErrUnavailable].
func Each(ctx context.Context, s Store, folder string, call func(key string, value []byte) error) error {
	keys, err := s.List(ctx, Folder(folder))
	if err != nil && !errors.Is(err, ErrNotExist) {
		return err
	}
	var mu sync.Mutex
	group, running := errgroup.WithContext(ctx)
	group.SetLimit(eachAtOnce)
	for _, key := range keys {
		if running.Err() != nil {
			break
		}
		group.Go(func() error {
			value, err := loadWithin(running, s, key)
			if errors.Is(err, ErrNotExist) {
				return nil
			}
			if err != nil {
				return err
			}
			mu.Lock()
			defer mu.Unlock()
			return call(key, value)
		})
	}
	if err := group.Wait(); err != nil {
		return err
	}
	if err := context.Cause(ctx); err != nil {
		return fmt.Errorf("%w: %w", ErrUnavailable, err)
	}
	return nil
}

func loadWithin(ctx context.Context, s Store, key string) ([]byte, error) {
	ctx, cancel := context.WithTimeout(ctx, Timeout)
	defer cancel()
	return s.Load(ctx, key)
}
