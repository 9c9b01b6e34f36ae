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

// TestEach: every value of the folder and none of another comes once; what goes
// meanwhile is no error, an outage and an ended context are.
func TestEach(t *testing.T) {
	m := new(storetest.Memory)
	want := map[string]bool{}
	for i := range 50 {
		key := store.Key("sessions", "corp", string(rune('a'+i)))
		want[key] = true
		if err := m.Store(context.Background(), key, []byte(key)); err != nil {
			t.Fatal(err)
		}
	}
	_ = m.Store(context.Background(), store.Key("marks", "corp", "a"), nil)
	got := map[string]bool{}
	err := store.Each(context.Background(), m, "sessions", func(key string, value []byte) error {
		if string(value) != key || got[key] {
			t.Errorf("%q: %q", key, value)
		}
		got[key] = true
		return nil
	})
	if err != nil || len(got) != len(want) {
		t.Errorf("%d values, %v", len(got), err)
	}

	none := func(string, []byte) error { return nil }
	ended, end := context.WithCancel(context.Background())
	end()
	if err := store.Each(ended, m, "sessions", none); !errors.Is(err, store.ErrUnavailable) {
		t.Errorf("after the end: %v", err)
	}
	own := errors.New("enough")
	if err := store.Each(context.Background(), m, "sessions", func(string, []byte) error { return own }); !errors.Is(err, own) {
		t.Errorf("got %v, want the function's error", err)
	}
	for operation, failure := range map[string]error{"list": store.ErrUnavailable, "load": store.ErrUnavailable, "gone": nil} {
		m.Fail = func(op, _ string) error {
			if op == operation {
				return errors.New("read-only file system")
			}
			return nil
		}
		s := store.Store(m)
		if operation == "gone" {
			s = vanishing{m}
		}
		if err := store.Each(context.Background(), s, "sessions", none); !errors.Is(err, failure) {
			t.Errorf("%s: got %v", operation, err)
		}
	}
}

// vanishing loses its values between a list and a load.
type vanishing struct{ *storetest.Memory }

func (vanishing) Load(context.Context, string) ([]byte, error) { return nil, store.ErrNotExist }
