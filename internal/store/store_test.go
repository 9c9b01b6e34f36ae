package store_test

import (
	"context"
	"errors"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/caddy-admit/admit/internal/store"
	"github.com/caddy-admit/admit/internal/store/storetest"
)

// TestOnce: of many that find nothing, one makes the value and all get it.
func TestOnce(t *testing.T) {
	var made atomic.Int32
	m, wg := new(storetest.Memory), sync.WaitGroup{}
	for range 50 {
		wg.Go(func() {
			value, err := store.Once(context.Background(), m, "k", func() ([]byte, error) {
				return []byte{byte(made.Add(1))}, nil
			})
			if err != nil || len(value) != 1 || value[0] != 1 {
				t.Errorf("got %v, %v", value, err)
			}
		})
	}
	wg.Wait()
}

// TestOnceOutage: a storage out of reach is no reason to make a second value
// (threat 52), and a value that could not be kept is not used.
func TestOnceOutage(t *testing.T) {
	for _, operation := range []string{"load", "lock", "store"} {
		m := &storetest.Memory{Fail: func(op, _ string) error {
			if op == operation {
				return errors.New("disk on fire")
			}
			return nil
		}}
		if _, err := store.Once(context.Background(), m, "k", func() ([]byte, error) { return []byte("v"), nil }); !errors.Is(err, store.ErrUnavailable) {
			t.Errorf("%s fails: got error %v, want ErrUnavailable", operation, err)
		}
	}
}

// TestKey: no name leads out of its folder, and no two names meet (threat 53).
func TestKey(t *testing.T) {
	seen := map[string]bool{}
	for _, name := range [][2]string{{"a", "bc"}, {"ab", "c"}, {"", "abc"}, {"a", "../../x"}, {"a", ""}} {
		key := store.Key("sessions", name[0], name[1])
		if seen[key] || !strings.HasPrefix(key, store.Folder("sessions")+"/") || strings.Contains(key, "..") || strings.Count(key, "/") != 2 {
			t.Errorf("%q: key %q", name, key)
		}
		seen[key] = true
	}
}
