package jwt

import (
	"sync"
	"sync/atomic"
	"unsafe"

	"github.com/caddy-admit/admit/claims"
)

const (
	// maxShards is into how many parts a large cache is divided, so that those who
	// write rarely meet. A part has room for shardEntries and shardBytes at least.
	maxShards    = 16
	shardEntries = 1024
	shardBytes   = 1 << 20
	// firstTable is the size of a table with the first entry in it.
	firstTable = 16
	// maxSpared bounds how many entries one eviction spares, and so what it costs.
	maxSpared = 32
)

// Cache keeps what came of verifying tokens, up to a number of entries and of bytes.
// It holds no token and no part of one, only the claims; it is told of a token by
// its [CacheKey]. Only tokens that were accepted are in it, so nobody without
// tokens of his own can fill it.
//
// Looking something up takes no lock and writes nothing that others read, but for
// a mark on an entry that has none. An entry that is being moved may be missed:
// then the token is verified once more.
type Cache struct {
	entries int   // that one shard may have
	bytes   int64 // and how many bytes
	shards  []shard
}

// shard is one part of a cache: chains of entries, as long as one on average.
type shard struct {
	table atomic.Pointer[table] // nil before the first entry

	mu      sync.Mutex // of those who change something
	entries int
	bytes   int64
	hand    int // the chain that is looked at next for something to take out (CLOCK)
	broom   int // the chain that is looked at next for what has expired
	_       [64]byte
}

type table []atomic.Pointer[Entry]

// chain returns the beginning of the chain that a key belongs to.
func (t table) chain(place uint64) *atomic.Pointer[Entry] { return &t[place>>32&uint64(len(t)-1)] }

// Entry is a token that was verified. It is one piece of memory with the identity. What
// a request looks at comes first: 64 bytes here, and the first ones of the identity.
type Entry struct {
	next        atomic.Pointer[Entry]
	sum         [16]byte
	from, until float64 // when the token counts, in seconds since 1970, see [rules.window]
	keys        *KeySet // those that the signature was checked with
	space       *Space
	used        atomic.Bool // since the hand came by last
	size        int32

	identity claims.Identity

	place uint64
}

// Space returns where the entry belongs.
func (e *Entry) Space() *Space { return e.space }

// Identity returns whose the token is. It holds the claims.
func (e *Entry) Identity() *claims.Identity { return &e.identity }

// NewCache makes a cache for at most that many entries and about that many bytes of
// memory. 0 entries: only the bytes bound it. It takes memory as it fills.
func NewCache(entries int, bytes int64) *Cache {
	n := 1
	for n < maxShards && (entries == 0 || entries/(2*n) >= shardEntries) && bytes/int64(2*n) >= shardBytes {
		n *= 2
	}
	return &Cache{entries: entries / n, bytes: bytes / int64(n), shards: make([]shard, n)}
}

func (c *Cache) shard(place uint64) *shard { return &c.shards[place&uint64(len(c.shards)-1)] }

// Find returns the first entry of a token, nil if there is none. There is one for
// each [Space] that has accepted it, see [Entry.Next].
func (c *Cache) Find(k CacheKey) *Entry {
	t := c.shard(k.place).table.Load()
	if t == nil {
		return nil
	}
	return t.chain(k.place).Load().of(k.sum)
}

// Next returns the next entry of the same token, nil if there is none.
func (e *Entry) Next() *Entry { return e.next.Load().of(e.sum) }

func (e *Entry) of(sum [16]byte) *Entry {
	for e != nil && e.sum != sum {
		e = e.next.Load()
	}
	return e
}

// Mark notes that the entry was of use.
func (e *Entry) Mark() {
	if !e.used.Load() { // most often it is: then nobody else's copy of it grows stale
		e.used.Store(true)
	}
}

// Size returns how many entries there are and about how much memory they take.
func (c *Cache) Size() (entries int, bytes int64) {
	for i := range c.shards {
		s := &c.shards[i]
		s.mu.Lock()
		entries, bytes = entries+s.entries, bytes+s.bytes
		s.mu.Unlock()
	}
	return entries, bytes
}

// Space is the part of a cache that belongs to one integration as it is configured.
// What it holds depends on the policy and on how identities are read: when those
// change it must be another.
type Space struct {
	cache  *Cache
	closed atomic.Bool
}

// NewSpace makes a space in the cache.
func (c *Cache) NewSpace() *Space { return &Space{cache: c} }

// Cache returns the cache that the space is in.
func (s *Space) Cache() *Cache { return s.cache }

// Close takes out everything that is in the space. Nothing is kept there any more.
func (s *Space) Close() {
	s.closed.Store(true)
	for i := range s.cache.shards {
		s.cache.shards[i].removeIf(func(e *Entry) bool { return e.space == s })
	}
}

// entrySize is what an entry takes beside the identity: itself, and its place in a
// table that is half empty.
const entrySize = int(unsafe.Sizeof(Entry{})-unsafe.Sizeof(claims.Identity{})) + 2*int(unsafe.Sizeof(uintptr(0)))

// Keep puts a token into the space that a verifier has just accepted, with a copy of
// whose it is that holds on to nothing else of the token.
func (s *Space) Keep(k CacheKey, t *Token, id *claims.Identity) {
	if t.keys == nil {
		return // nobody has accepted it
	}
	e := &Entry{sum: k.sum, from: t.from, until: t.until, keys: t.keys, space: s, place: k.place}
	size := entrySize + id.CopyTo(&e.identity)
	sh := s.cache.shard(k.place)
	if int64(size) > s.cache.bytes {
		return
	}
	e.size = int32(size)
	sh.mu.Lock()
	defer sh.mu.Unlock()
	if s.closed.Load() {
		return
	}
	sh.sweep(t.checked)
	sh.remove(k.place, func(old *Entry) bool { return old.sum == e.sum && old.space == s })
	for sh.bytes+int64(size) > s.cache.bytes || s.cache.entries > 0 && sh.entries >= s.cache.entries {
		sh.evict()
	}
	sh.add(e)
}

// Forget takes an entry out that is of no more use.
func (s *Space) Forget(e *Entry) {
	sh := s.cache.shard(e.place)
	sh.mu.Lock()
	defer sh.mu.Unlock()
	sh.remove(e.place, func(old *Entry) bool { return old == e })
}

// add puts an entry in. s.mu is held.
func (s *shard) add(e *Entry) {
	t := s.table.Load()
	if t == nil || s.entries >= len(*t) {
		t = s.grow(t)
	}
	chain := t.chain(e.place)
	e.next.Store(chain.Load())
	chain.Store(e)
	s.entries++
	s.bytes += int64(e.size)
}

// grow makes a table twice as large. Who reads the old one at the same time may find
// himself in a chain of the new one, and finds its end.
func (s *shard) grow(old *table) *table {
	size := firstTable
	if old != nil {
		size = 2 * len(*old)
	}
	t := make(table, size)
	if old != nil {
		for i := range *old {
			for e := (*old)[i].Load(); e != nil; {
				next := e.next.Load()
				chain := t.chain(e.place)
				e.next.Store(chain.Load())
				chain.Store(e)
				e = next
			}
		}
	}
	s.table.Store(&t)
	return &t
}

// evict takes one entry out: the next that was not used since the hand came by.
func (s *shard) evict() {
	t := *s.table.Load()
	for spared := 0; ; s.hand++ {
		for at := &t[s.hand&(len(t)-1)]; at.Load() != nil; {
			e := at.Load()
			if spared < maxSpared && e.used.Load() {
				e.used.Store(false)
				spared++
				at = &e.next
				continue
			}
			s.unlink(at, e)
			s.hand++ // what was spared here is not asked again at once
			evictions.Add(1)
			return
		}
	}
}

// sweep takes out what has expired in two chains. That is enough to come round
// before the table has grown again, so nothing that has expired stays for long
// while others come.
func (s *shard) sweep(now float64) {
	t := s.table.Load()
	if t == nil {
		return
	}
	expired := func(e *Entry) bool { return now >= e.until }
	for range 2 {
		s.clear(&(*t)[s.broom&(len(*t)-1)], expired)
		s.broom++
	}
}

// remove takes out what a function names of the entries in one chain.
func (s *shard) remove(place uint64, which func(*Entry) bool) {
	if t := s.table.Load(); t != nil {
		s.clear(t.chain(place), which)
	}
}

// removeIf takes out what a function names, of all entries.
func (s *shard) removeIf(which func(*Entry) bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	t := s.table.Load()
	if t == nil {
		return
	}
	for i := range *t {
		s.clear(&(*t)[i], which)
	}
	if s.entries == 0 {
		s.table.Store(nil)
	}
}

func (s *shard) clear(at *atomic.Pointer[Entry], which func(*Entry) bool) {
	for e := at.Load(); e != nil; e = at.Load() {
		if which(e) {
			s.unlink(at, e)
		} else {
			at = &e.next
		}
	}
}

// unlink takes out an entry that at points to. Its own pointer stays, for those who
// are just reading it.
func (s *shard) unlink(at *atomic.Pointer[Entry], e *Entry) {
	at.Store(e.next.Load())
	s.entries--
	s.bytes -= int64(e.size)
}
