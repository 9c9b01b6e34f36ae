package machine

import (
	"container/list"
	"crypto/sha256"
	"time"
)

// digest is a keyed hash of all that an answer depends on: of one size whatever
// was sent, and nothing to be read in it.
type digest [sha256.Size]byte

// cache holds values until their end, and no more of them than two limits allow;
// the one that was used least recently makes room (threat 97). It is not safe for
// concurrent use.
type cache[V any] struct {
	entries, bytes int // limits

	items map[digest]*list.Element
	order list.List // of *entry, the last used in front
	used  int       // bytes
}

type entry[V any] struct {
	key   digest
	value V
	size  int
	until time.Time
}

func newCache[V any](entries, bytes int) *cache[V] {
	return &cache[V]{entries: entries, bytes: bytes, items: make(map[digest]*list.Element)}
}

// get returns a value whose end has not come.
func (c *cache[V]) get(key digest, now time.Time) (value V, ok bool) {
	e, ok := c.items[key]
	if !ok {
		return value, false
	}
	item := e.Value.(*entry[V])
	if !now.Before(item.until) {
		c.remove(e)
		return value, false
	}
	c.order.MoveToFront(e)
	return item.value, true
}

// put keeps a value of a size in bytes until a time. One that is larger than the
// whole cache is not kept.
func (c *cache[V]) put(key digest, value V, size int, until time.Time) {
	c.drop(key)
	if size > c.bytes {
		return
	}
	c.items[key] = c.order.PushFront(&entry[V]{key, value, size, until})
	c.used += size
	for len(c.items) > c.entries || c.used > c.bytes {
		c.remove(c.order.Back())
	}
}

func (c *cache[V]) drop(key digest) {
	if e, ok := c.items[key]; ok {
		c.remove(e)
	}
}

func (c *cache[V]) remove(e *list.Element) {
	item := c.order.Remove(e).(*entry[V])
	delete(c.items, item.key)
	c.used -= item.size
}
