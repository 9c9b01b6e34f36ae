package admit

import "sync/atomic"

// memo remembers up to limit answers to questions that are asked on many requests.
// Whoever asks takes no lock: the map is replaced, never changed. Once it is full,
// what is not in it is worked out every time.
type memo[K comparable, V any] struct {
	known atomic.Pointer[map[K]V]
	limit int
	// own makes a key that holds on to nothing of a request; nil: keys do so anyway.
	own func(K) K
}

// get returns the answer to a question, which find works out where it is not known.
// It may be asked by several at once.
func (m *memo[K, V]) get(key K, find func() V) V {
	if known := m.known.Load(); known != nil {
		if value, ok := (*known)[key]; ok {
			return value
		}
	}
	value := find()
	if m.own != nil {
		key = m.own(key)
	}
	for {
		old := m.known.Load()
		larger := map[K]V{key: value}
		if old != nil {
			if len(*old) >= m.limit {
				return value
			}
			for k, v := range *old {
				larger[k] = v
			}
		}
		if m.known.CompareAndSwap(old, &larger) {
			return value
		}
	}
}
