// Package store is what the rooms need of a storage: few operations, names that
// cannot lead anywhere else, and one error when it is out of reach.
package store

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"path"
	"time"
)

// ErrUnavailable means that the storage could not be asked. It is never a sign
// that something is not there.
var ErrUnavailable = errors.New("store: storage unavailable")

// ErrNotExist means that there is nothing under a key.
var ErrNotExist = fs.ErrNotExist

// Store keeps values by key. Implementations return an error that wraps
// [ErrNotExist] for a key without a value, and one that wraps [ErrUnavailable]
// for whatever else goes wrong. They are safe for concurrent use, by several
// processes too.
type Store interface {
	Load(ctx context.Context, key string) ([]byte, error)
	Store(ctx context.Context, key string, value []byte) error
	Delete(ctx context.Context, key string) error
	// List returns the keys below a prefix.
	List(ctx context.Context, prefix string) ([]string, error)
	// Lock waits until no other process holds the lock of that name. The caller
	// calls unlock once.
	Lock(ctx context.Context, name string) (unlock func(), err error)
}

// root is the folder of everything that Admit keeps.
const root = "admit"

// Key makes a key in a folder for a name that may come from a client: what is
// stored is the name's hash, so that no name leaves the folder and nobody who
// lists the storage learns an identifier that opens something.
func Key(folder, integration, name string) string {
	sum := sha256.Sum256([]byte(fmt.Sprintf("%d:%s%s", len(integration), integration, name)))
	return path.Join(root, folder, hex.EncodeToString(sum[:]))
}

// Folder returns the prefix of the keys in a folder.
func Folder(folder string) string { return path.Join(root, folder) }

// Once loads the value of a key, or makes and stores it if there is none. Of
// several processes that find none, one makes it and the others get what it made
// .
func Once(ctx context.Context, s Store, key string, create func() ([]byte, error)) ([]byte, error) {
	value, err := s.Load(ctx, key)
	if !errors.Is(err, ErrNotExist) {
		return value, err
	}
	unlock, err := s.Lock(ctx, key)
	if err != nil {
		return nil, err
	}
	defer unlock()
	value, err = s.Load(ctx, key)
	if !errors.Is(err, ErrNotExist) {
		return value, err
	}
	if value, err = create(); err != nil {
		return nil, err
	}
	if err := s.Store(ctx, key, value); err != nil {
		return nil, err
	}
	return value, nil
}

// Timeout bounds one operation of a request on the storage.
const Timeout = 5 * time.Second
