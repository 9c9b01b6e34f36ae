package oauth

import (
	"context"
	"fmt"
	"sync"
	"time"

	"github.com/caddy-admit/admit/internal/store"
)

// lookups remembers for a while what the storage said. Of many who want to know
// the same, one asks; those who want to know something else do not wait for it.
// An error is told to those who wait and not remembered.
type lookups[K comparable, V any] struct {
	ask   func(ctx context.Context, key K) (V, error)
	life  time.Duration
	limit int // of answers in memory; past it some are forgotten before their time
	// size, if not nil, says how many bytes an answer takes, and room how many all of
	// them may take together.
	size func(V) int
	room int
	now  func() time.Time

	mu      sync.Mutex
	known   map[K]answer[V]
	taken   int // bytes, of those that are known
	running map[K]*lookup[V]
}

// answer is what the storage said, or what one knows it would say, at a time.
type answer[V any] struct {
	value V
	at    time.Time
}

// lookup is a question that has been asked.
type lookup[V any] struct {
	at    time.Time
	done  chan struct{} // closed when the answer is there
	value V
	err   error
}

// get returns the answer, which is at most as old as life says.
func (l *lookups[K, V]) get(ctx context.Context, key K) (V, error) {
	value, _, asked := l.start(ctx, key)
	if asked == nil {
		return value, nil
	}
	return asked.wait(ctx)
}

// start returns the answer if it is known, and since when, and else the question,
// which is then on its way. It does not depend on the one who asks first: the others wait too.
func (l *lookups[K, V]) start(ctx context.Context, key K) (value V, at time.Time, asked *lookup[V]) {
	now := l.now()
	l.mu.Lock()
	defer l.mu.Unlock()
	if a, ok := l.known[key]; ok && l.counts(a, now) {
		return a.value, a.at, nil
	}
	if asked = l.running[key]; asked != nil {
		return value, asked.at, asked
	}
	asked = &lookup[V]{done: make(chan struct{}), at: now}
	if l.running == nil {
		l.running = make(map[K]*lookup[V])
	}
	l.running[key] = asked
	go l.run(context.WithoutCancel(ctx), key, asked, now)
	return value, now, asked
}

func (l *lookups[K, V]) run(ctx context.Context, key K, asked *lookup[V], now time.Time) {
	ctx, cancel := context.WithTimeout(ctx, store.Timeout)
	defer cancel()
	asked.value, asked.err = l.ask(ctx, key)
	if asked.err == nil {
		l.put(key, asked.value, now)
	}
	l.mu.Lock()
	delete(l.running, key)
	l.mu.Unlock()
	close(asked.done)
}

// wait waits for the answer, and no longer than a storage may take: some do not
// listen to their context.
func (a *lookup[V]) wait(ctx context.Context) (value V, err error) {
	ctx, cancel := context.WithTimeout(ctx, store.Timeout)
	defer cancel()
	select {
	case <-a.done:
		return a.value, a.err
	case <-ctx.Done():
		return value, fmt.Errorf("%w: %w", store.ErrUnavailable, context.Cause(ctx))
	}
}

// counts reports whether an answer is recent enough.
func (l *lookups[K, V]) counts(a answer[V], now time.Time) bool {
	age := now.Sub(a.at)
	return age < l.life && age >= -l.life // below 0: noted after now was read
}

// put notes what was so at a time, unless something later is known.
func (l *lookups[K, V]) put(key K, value V, at time.Time) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if a, ok := l.known[key]; ok && a.at.After(at) {
		return
	}
	if l.known == nil {
		l.known = make(map[K]answer[V])
	}
	l.remove(key)
	l.known[key] = answer[V]{value, at}
	l.taken += l.sizeOf(value)
	if len(l.known) > l.limit || l.taken > l.room {
		l.forget(key, at)
	}
}

// forget makes room: old answers go, and some others if these were too few, but
// not the one that was just noted.
func (l *lookups[K, V]) forget(except K, now time.Time) {
	for key, a := range l.known {
		if !l.counts(a, now) {
			l.remove(key)
		}
	}
	for key := range l.known {
		if len(l.known) <= l.limit-l.limit/10 && l.taken <= l.room-l.room/10 {
			return
		}
		if key != except {
			l.remove(key)
		}
	}
}

// remove takes out an answer. l.mu is held.
func (l *lookups[K, V]) remove(key K) {
	if a, ok := l.known[key]; ok {
		l.taken -= l.sizeOf(a.value)
		delete(l.known, key)
	}
}

func (l *lookups[K, V]) sizeOf(value V) int {
	if l.size == nil {
		return 0
	}
	return l.size(value)
}

// peek returns the answer if it is known, and does not ask.
func (l *lookups[K, V]) peek(key K) (value V, ok bool) {
	now := l.now()
	l.mu.Lock()
	defer l.mu.Unlock()
	a, ok := l.known[key]
	return a.value, ok && l.counts(a, now)
}

func (l *lookups[K, V]) drop(key K) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.remove(key)
}
