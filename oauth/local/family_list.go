package local

import (
	"context"
	"errors"
	"slices"
	"time"

	"github.com/caddy-admit/admit/internal/store"
)

// Stored is what there is to say of a family in the storage. Nothing of it is a
// token or makes one.
type Stored struct {
	// Key is where it lies in the storage.
	Key  string
	User string
	// Began is the sign-in, Used the last refresh or else the sign-in, Ends when the
	// last token expires.
	Began, Used, Ends time.Time
}

// Life is how long a refresh token is good that is not used.
func (fs *Families) Life() time.Duration { return fs.life }

// List returns the families that are good, the latest sign-in first. It reads those
// of all integrations. The error is a [store.ErrUnavailable].
func (fs *Families) List(ctx context.Context) ([]Stored, error) {
	var all []Stored
	err := fs.each(ctx, func(key string, f *family, ended bool) error {
		if ended || !fs.now().Before(f.Expires) {
			return nil
		}
		used := f.Spent
		if used.IsZero() {
			used = f.Began
		}
		all = append(all, Stored{Key: key, User: f.User, Began: f.Began, Used: used, Ends: f.Expires})
		return nil
	})
	slices.SortFunc(all, func(a, b Stored) int { return b.Began.Compare(a.Began) })
	return all, err
}

// DeleteEnded deletes the families that have been ended, and returns how many would
// have been good without that. They are not good in any case.
func (fs *Families) DeleteEnded(ctx context.Context) (n int, err error) {
	err = fs.each(ctx, func(key string, f *family, ended bool) error {
		if !ended {
			return nil
		}
		if err := fs.store.Delete(ctx, key); err != nil && !errors.Is(err, store.ErrNotExist) {
			return err
		}
		if fs.now().Before(f.Expires) {
			n++
		}
		return nil
	})
	return n, err
}

// each calls a function with each family of the integration.
func (fs *Families) each(ctx context.Context, call func(key string, f *family, ended bool) error) error {
	sealer, err := fs.sealer(ctx)
	if err != nil {
		return err
	}
	return store.Each(ctx, fs.store, familyFolder, func(key string, value []byte) error {
		f, err := openFamily(sealer, value)
		if err != nil {
			return nil // another integration's
		}
		ended, err := fs.ended(ctx, f.User, f.Began)
		if err != nil {
			return err
		}
		return call(key, f, ended)
	})
}
