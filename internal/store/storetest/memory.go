// Package storetest is a storage for tests: in memory, and failing on demand.
package storetest

import (
	"bytes"
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync"

	"github.com/caddy-admit/admit/internal/store"
)

// Memory is a [store.Store] of which nothing outlives the process.
// Fail, if set, is asked before each operation and may refuse it.
type Memory struct {
	Fail func(operation, key string) error

	mu     sync.Mutex
	values map[string][]byte
	locks  map[string]chan struct{}
}

func (m *Memory) fail(operation, key string) error {
	if m.Fail == nil {
		return nil
	}
	if err := m.Fail(operation, key); err != nil {
		return fmt.Errorf("%w: %w", store.ErrUnavailable, err)
	}
	return nil
}

// Load implements [store.Store].
func (m *Memory) Load(_ context.Context, key string) ([]byte, error) {
	if err := m.fail("load", key); err != nil {
		return nil, err
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	value, ok := m.values[key]
	if !ok {
		return nil, fmt.Errorf("store: %s: %w", key, store.ErrNotExist)
	}
	return bytes.Clone(value), nil
}

// Store implements [store.Store].
func (m *Memory) Store(_ context.Context, key string, value []byte) error {
	if err := m.fail("store", key); err != nil {
		return err
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.values == nil {
		m.values = make(map[string][]byte)
	}
	m.values[key] = bytes.Clone(value)
	return nil
}

// Delete implements [store.Store].
func (m *Memory) Delete(_ context.Context, key string) error {
	if err := m.fail("delete", key); err != nil {
		return err
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	delete(m.values, key)
	return nil
}

// List implements [store.Store].
func (m *Memory) List(_ context.Context, prefix string) ([]string, error) {
	if err := m.fail("list", prefix); err != nil {
		return nil, err
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	keys := slices.Sorted(maps.Keys(m.values))
	return slices.DeleteFunc(keys, func(key string) bool { return !strings.HasPrefix(key, prefix+"/") }), nil
}

// Lock implements [store.Store].
func (m *Memory) Lock(ctx context.Context, name string) (func(), error) {
	if err := m.fail("lock", name); err != nil {
		return nil, err
	}
	m.mu.Lock()
	if m.locks == nil {
		m.locks = make(map[string]chan struct{})
	}
	lock := m.locks[name]
	if lock == nil {
		lock = make(chan struct{}, 1)
		m.locks[name] = lock
	}
	m.mu.Unlock()
	select {
	case lock <- struct{}{}:
		return func() { <-lock }, nil
	case <-ctx.Done():
		return nil, fmt.Errorf("%w: lock %s: %w", store.ErrUnavailable, name, context.Cause(ctx))
	}
}

var _ store.Store = (*Memory)(nil)
