package store

import (
	"context"
	"errors"
	"fmt"
	"path"
)

// maxTold is how many errors of one sweep are told each by itself: a storage that is
// out of reach may have one for each of a million keys.
const maxTold = 5

// Sweep deletes the values of a folder that have expired. A storage has no expiry of
// its own; of several processes one sweeps at a time. What cannot be loaded or deleted
// is left for the next time and holds up nothing else: the error joins what went
// wrong. Once the context has ended nothing more is asked.
func Sweep(ctx context.Context, s Store, folder string, expired func(value []byte) bool) error {
	unlock, err := s.Lock(ctx, path.Join(root, "sweep", folder))
	if err != nil {
		return err
	}
	defer unlock()
	keys, err := s.List(ctx, Folder(folder))
	if err != nil && !errors.Is(err, ErrNotExist) {
		return err
	}
	var told []error
	failed := 0
	for _, key := range keys {
		if err := ctx.Err(); err != nil {
			told = append(told, err)
			break
		}
		if err := sweepKey(ctx, s, key, expired); err != nil {
			if failed++; failed <= maxTold {
				told = append(told, err)
			}
		}
	}
	if failed > maxTold {
		told = append(told, fmt.Errorf("store: %d more of %s could not be swept", failed-maxTold, folder))
	}
	return errors.Join(told...)
}

// sweepKey deletes a value if it has expired. One that is gone by now is as good.
func sweepKey(ctx context.Context, s Store, key string, expired func(value []byte) bool) error {
	ctx, cancel := context.WithTimeout(ctx, Timeout)
	defer cancel()
	value, err := s.Load(ctx, key)
	if err == nil && expired(value) {
		err = s.Delete(ctx, key)
	}
	if errors.Is(err, ErrNotExist) {
		return nil
	}
	return err
}
