package local

import "container/list"

// recent is a map of at most max entries; the one that was used least recently
// makes room. It is not safe for concurrent use.
type recent[K comparable, V any] struct {
	max   int
	items map[K]*list.Element
	order list.List // of recentItem, the last used in front
}

type recentItem[K comparable, V any] struct {
	key   K
	value V
}

func newRecent[K comparable, V any](limit int) *recent[K, V] {
	return &recent[K, V]{max: limit, items: make(map[K]*list.Element)}
}

// get returns the value of a key, the zero value if there is none.
func (r *recent[K, V]) get(key K) (value V, ok bool) {
	e, ok := r.items[key]
	if !ok {
		return value, false
	}
	r.order.MoveToFront(e)
	return e.Value.(recentItem[K, V]).value, true
}

func (r *recent[K, V]) put(key K, value V) {
	if e, ok := r.items[key]; ok {
		e.Value = recentItem[K, V]{key, value}
		r.order.MoveToFront(e)
		return
	}
	r.items[key] = r.order.PushFront(recentItem[K, V]{key, value})
	if r.order.Len() > r.max {
		r.drop(r.order.Back().Value.(recentItem[K, V]).key)
	}
}

func (r *recent[K, V]) drop(key K) {
	if e, ok := r.items[key]; ok {
		r.order.Remove(e)
		delete(r.items, key)
	}
}
