package store_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/caddy-admit/admit/internal/store"
	"github.com/caddy-admit/admit/internal/store/storetest"
)

// threat 97: a value that cannot be loaded or deleted keeps no other from being swept,
// and a sweep whose time has come asks for nothing more.
func TestSweep(t *testing.T) {
	for _, tc := range []struct {
		name        string
		fails       string // the operation
		number      int    // of keys at which it does
		stop        bool   // the context ends with the first key
		left, lines int
	}{
		{name: "all is well", left: 1},
		{name: "one cannot be loaded", fails: "load", number: 1, left: 2, lines: 1},
		{name: "one cannot be deleted", fails: "delete", number: 1, left: 2, lines: 1},
		{name: "many cannot be loaded", fails: "load", number: 9, left: 10, lines: 6},
		{name: "no list", fails: "list", number: 1, left: 21, lines: 1},
		{name: "no lock", fails: "lock", number: 1, left: 21, lines: 1},
		{name: "the context has ended", stop: true, left: 20, lines: 1},
	} {
		t.Run(tc.name, func(t *testing.T) {
			ctx, cancel := context.WithCancel(context.Background())
			defer cancel()
			var m storetest.Memory
			for i := range 20 {
				_ = m.Store(ctx, store.Key("old", "corp", fmt.Sprint(i)), []byte("old"))
			}
			_ = m.Store(ctx, store.Key("old", "corp", "new"), []byte("new"))
			failed := map[string]bool{}
			m.Fail = func(operation, key string) error {
				if operation != tc.fails || !failed[key] && len(failed) >= tc.number {
					return nil
				}
				failed[key] = true
				return errors.New("read-only file system")
			}
			err := store.Sweep(ctx, &m, "old", func(value []byte) bool {
				if tc.stop {
					cancel()
				}
				return string(value) == "old"
			})
			m.Fail = nil
			keys, _ := m.List(context.Background(), store.Folder("old"))
			if len(keys) != tc.left {
				t.Errorf("%d left, want %d", len(keys), tc.left)
			}
			lines := 0
			if err != nil {
				lines = strings.Count(err.Error(), "\n") + 1
			}
			if lines != tc.lines || errors.Is(err, store.ErrUnavailable) != (tc.fails != "") || errors.Is(err, context.Canceled) != tc.stop {
				t.Errorf("got error %v", err)
			}
		})
	}
	if err := store.Sweep(context.Background(), new(storetest.Memory), "nothing", nil); err != nil {
		t.Errorf("an empty folder: %v", err)
	}
}
