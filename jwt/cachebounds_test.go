package jwt

import (
	"fmt"
	"runtime"
	"strings"
	"sync"
	"testing"
	"unsafe"
)

// threat 97: the bounds hold whatever comes, and what is used stays.
func TestCacheBounds(t *testing.T) {
	for _, tc := range []struct {
		entries int
		bytes   int64
		want    int // entries at least, when full
	}{
		{0, 1 << 20, 700},
		{0, 64 << 20, 3000},
		{100, 1 << 20, 100},
		{1, 1 << 20, 1},
		{2048, 64 << 20, 2000},
		{1 << 20, 2 << 20, 1400},
		{0, 100, 0}, // too small for anything
	} {
		c := NewCache(tc.entries, tc.bytes)
		s := c.NewSpace()
		hot, token, id := kept(-1)
		s.Keep(hot, token, id)
		for n := range 3000 {
			k, token, id := kept(n)
			s.Keep(k, token, id)
			if e := c.Find(k); e == nil && tc.want > 0 {
				t.Fatalf("%+v: token %d is not there", tc, n)
			}
			if entries, bytes := c.Size(); tc.entries > 0 && entries > tc.entries || bytes > tc.bytes {
				t.Fatalf("%+v: %d entries, %d bytes", tc, entries, bytes)
			}
			if e := c.Find(hot); e != nil {
				e.Mark()
			}
		}
		entries, _ := c.Size()
		if entries < tc.want {
			t.Errorf("%+v: only %d entries", tc, entries)
		}
		if c.Find(hot) == nil && tc.want > 1 {
			t.Errorf("%+v: what was used all the time is gone", tc)
		}
	}
}

// What has expired goes as others come.
func TestCacheSweep(t *testing.T) {
	c := NewCache(0, 64<<20)
	s := c.NewSpace()
	for n := range 500 {
		k, token, id := kept(n)
		s.Keep(k, token, id)
	}
	// One that has expired is gone when the table was gone through.
	const later = 4000
	for n := range later {
		k, token, id := kept(1000 + n)
		token.checked += 600
		token.until += 600
		s.Keep(k, token, id)
	}
	for n := range 500 {
		if k, _, _ := kept(n); c.Find(k) != nil {
			t.Fatalf("token %d is still there", n)
		}
	}
	if entries, _ := c.Size(); entries != later {
		t.Errorf("%d entries", entries)
	}
}

// A cached token of 800 bytes takes at most 1,000 bytes, what is counted is about what it
// takes, and the memory stays flat at the bound under 200,000 distinct tokens.
func TestCacheMemory(t *testing.T) {
	if testing.Short() {
		t.Skip("fills a cache")
	}
	const bound = 16 << 20
	c := NewCache(0, bound)
	s := c.NewSpace()
	base, fill := heap(), 10_000
	for n := range fill {
		k, token, id := kept(n)
		s.Keep(k, token, id)
	}
	entries, counted := c.Size()
	taken := heap() - base
	t.Logf("%d bytes a token, %d counted", taken/int64(entries), counted/int64(entries))
	if entries != fill || taken/int64(entries) > 1000 {
		t.Errorf("%d entries take %d bytes, %d each", entries, taken, taken/int64(entries))
	}
	if counted < taken*9/10 || counted > taken*12/10 {
		t.Errorf("counted %d bytes, the heap has grown by %d", counted, taken)
	}
	for n := range 200_000 {
		k, token, id := kept(fill + n)
		s.Keep(k, token, id)
	}
	if _, counted := c.Size(); counted > bound {
		t.Errorf("%d bytes, bound %d", counted, bound)
	}
	if taken := heap() - base; taken > bound*11/10 {
		t.Errorf("the heap has grown by %d, bound %d", taken, bound)
	}
	runtime.KeepAlive(s)
}

// heap returns how much memory is in use.
func heap() int64 {
	var m runtime.MemStats
	runtime.GC()
	runtime.GC() // what pools hold is let go by the second one
	runtime.ReadMemStats(&m)
	return int64(m.HeapAlloc)
}

// What a request looks at lies in few lines of the processor's cache.
func TestEntryLayout(t *testing.T) {
	var e Entry
	if at, size := unsafe.Offsetof(e.identity), unsafe.Sizeof(e); at > 64 || size > 288 {
		t.Errorf("the identity begins at %d, an entry has %d bytes: allocations are of 288 or 320", at, size)
	}
}

// Nothing in an entry points into the text of the token.
func TestCacheHoldsNoToken(t *testing.T) {
	c := NewCache(0, 1<<20)
	raw := benchToken("RS256")
	e := c.Find(keep(t, c.NewSpace(), benchVerifier(t, "RS256"), raw))
	held := e.Identity().Claims().Bytes()
	if strings.Contains(string(held[:cap(held)]), raw[len(raw)-20:]) {
		t.Error("the signature is behind the claims")
	}
	user, first := e.Identity().User(), uintptr(unsafe.Pointer(unsafe.SliceData(held)))
	if at := uintptr(unsafe.Pointer(unsafe.StringData(user))); at < first || at >= first+uintptr(len(held)) {
		t.Error("the user is no part of the claims that are held")
	}
}

// Many goroutines look up, keep, forget and close at once.
func TestCacheConcurrent(t *testing.T) {
	c := NewCache(300, 1<<20)
	var wg sync.WaitGroup
	for g := range 4 {
		wg.Go(func() {
			s := c.NewSpace()
			for n := range 3000 {
				k, token, id := kept(n % 400)
				for e := c.Find(k); e != nil; e = e.Next() {
					if want := fmt.Sprintf("%012d", n%400); !strings.HasSuffix(e.Identity().User(), want) {
						t.Errorf("found %s for %s", e.Identity().User(), want)
					}
					if e.Mark(); n%7 == g {
						e.Space().Forget(e)
					}
				}
				if s.Keep(k, token, id); n%1000 == 999 {
					s.Close()
					s = c.NewSpace()
				}
			}
			s.Close()
		})
	}
	wg.Wait()
	if entries, bytes := c.Size(); entries != 0 || bytes != 0 {
		t.Errorf("%d entries, %d bytes are left", entries, bytes)
	}
}
