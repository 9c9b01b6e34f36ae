// Package machine is for callers that are no browsers: it turns the credentials
// that they send into a token or into claims by asking the issuer, and remembers
// the answers for a while.
//
// What it remembers lies in memory and is found by a keyed hash: a secret is never
// kept, a token only where it has to be passed on. Each of its types is safe for
// concurrent use, may serve several configurations in turn, and is ended by Close.
package machine

import (
	"context"
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"
	"hash"
	"sync"
	"time"

	"github.com/caddy-admit/admit/oauth"
	"github.com/caddy-admit/admit/oauth/local"
)

const (
	// maxCalls is how many calls one asker makes at once.
	maxCalls = 16
	// keptCalls is how many of them are kept for credentials that were right before,
	// where there may be others: guesses must not take all turns of a slow endpoint
	// (threat 88).
	keptCalls = 4
	// maxWaiting bounds the questions that are open, asked or waiting for a turn.
	maxWaiting = 4096
	// patience is how long a question waits for its turn.
	patience = 5 * time.Second
	// callTimeout bounds a call, with what it takes to find the endpoint.
	callTimeout = 15 * time.Second
	// badFor is how long a failure is remembered, whoever is to blame for it.
	badFor = 10 * time.Second

	maxGood      = 4096
	maxGoodBytes = 16 << 20
	maxBad       = 4096
	// overhead is about how many bytes an entry takes beside its value.
	overhead = 512
)

// answer is what came of a question.
type answer[V any] struct {
	value V
	size  int           // of the value in bytes
	life  time.Duration // how long the value is remembered, counted from the question; not at all if it is not positive
	err   error
	guess bool // the credential was refused
	brief bool // the error is for those who wait now
}

// question is something to ask an endpoint.
type question[V any] struct {
	key digest
	ask func(ctx context.Context) answer[V]
	// proven says that it is about a credential that was right before.
	proven bool
	// idle says that the answer is known beforehand and ask makes no call.
	idle bool
	// enter, if not nil, is asked for permission first, and what it returns is told
	// the outcome.
	enter func(ctx context.Context) (leave func(answer[V]), err error)
}

// asker asks an endpoint. Of many who want to know the same one asks, on a context
// of its own, so that no client which goes away takes the answer along. At most
// 16 calls are made at once. Answers and failures are remembered apart, so that
// what is made up pushes out nothing that is good (threat 91).
type asker[V any] struct {
	now            func() time.Time
	hashers        sync.Pool // of *hasher
	turns          chan struct{}
	strangers      chan struct{} // turns of questions that are not proven
	patience, call time.Duration
	waiting        int
	observe        func(error)

	ctx    context.Context // of all calls, ended by Close
	cancel context.CancelFunc
	wg     sync.WaitGroup

	mu      sync.Mutex
	closed  bool
	good    *cache[V]
	bad     *cache[error]
	running map[digest]*flight[V]

	outage outage
}

// flight is a question that was asked. The answer may be read when done is closed.
type flight[V any] struct {
	began  time.Time
	done   chan struct{}
	answer answer[V]
}

// newAsker makes an asker. After each call observe, if not nil, is told its
// outcome; it must not call Close.
func newAsker[V any](now func() time.Time, observe func(error)) *asker[V] {
	a := &asker[V]{
		now: now, observe: observe,
		turns: make(chan struct{}, maxCalls), strangers: make(chan struct{}, maxCalls), patience: patience, call: callTimeout, waiting: maxWaiting,
		good: newCache[V](maxGood, maxGoodBytes), bad: newCache[error](maxBad, maxBad*overhead),
		running: make(map[digest]*flight[V]),
	}
	secret := make([]byte, sha256.Size)
	rand.Read(secret) // never fails (crypto/rand)
	a.hashers.New = func() any { return &hasher{mac: hmac.New(sha256.New, secret)} }
	a.ctx, a.cancel = context.WithCancel(context.Background())
	return a
}

// hasher makes digests. Its buffer holds nothing between two of them.
type hasher struct {
	mac    hash.Hash
	buffer []byte
}

// digest hashes parts, each after its length, so that no two lists of them meet
// (threats 81, 89). The key is of this asker alone.
func (a *asker[V]) digest(parts ...string) (d digest) {
	h := a.hashers.Get().(*hasher)
	defer a.hashers.Put(h)
	text := h.buffer[:0]
	for _, part := range parts {
		text = binary.BigEndian.AppendUint64(text, uint64(len(part)))
		text = append(text, part...)
	}
	h.mac.Reset()
	h.mac.Write(text)
	h.mac.Sum(d[:0])
	clear(text)
	h.buffer = text[:0]
	return d
}

// peek returns the answer if it is known, and does not ask.
func (a *asker[V]) peek(key digest) (known answer[V], ok bool) {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.recall(key, a.now())
}

func (a *asker[V]) recall(key digest, now time.Time) (known answer[V], ok bool) {
	if value, ok := a.good.get(key, now); ok {
		return answer[V]{value: value}, true
	}
	if err, ok := a.bad.get(key, now); ok {
		return answer[V]{err: err}, true
	}
	return known, false
}

// get returns the answer, for which it waits no longer than ctx. joined reports
// that somebody else's question was answered.
func (a *asker[V]) get(ctx context.Context, q question[V]) (got answer[V], joined bool) {
	f, got, joined := a.join(q)
	if f == nil {
		return got, false
	}
	select {
	case <-f.done:
		return f.answer, joined
	case <-ctx.Done():
		return answer[V]{err: fmt.Errorf("%w: %w", oauth.ErrTokenEndpoint, context.Cause(ctx))}, false
	}
}

// join returns the flight for a question, which is new unless joined is set, or
// the answer if it is known.
func (a *asker[V]) join(q question[V]) (f *flight[V], known answer[V], joined bool) {
	a.mu.Lock()
	defer a.mu.Unlock()
	now := a.now()
	if a.closed {
		return nil, answer[V]{err: errClosed}, false
	}
	if known, ok := a.recall(q.key, now); ok {
		return nil, known, false
	}
	if f := a.running[q.key]; f != nil {
		return f, known, true
	}
	if len(a.running) >= a.waiting {
		return nil, answer[V]{err: ErrBusy}, false
	}
	f = &flight[V]{began: now, done: make(chan struct{}), answer: answer[V]{err: errAborted, brief: true}}
	a.running[q.key] = f
	a.wg.Go(func() {
		defer a.land(q.key, f) // also if the call ends the goroutine
		f.answer = a.put(q)
	})
	return f, known, false
}

// put asks when it is the question's turn.
func (a *asker[V]) put(q question[V]) (got answer[V]) {
	got = answer[V]{err: errAborted, brief: true}
	ctx, cancel := context.WithTimeout(a.ctx, a.patience)
	defer cancel()
	if q.enter != nil {
		leave, err := q.enter(ctx)
		if errors.Is(err, local.ErrBusy) {
			err = ErrBusy
		}
		if err != nil {
			return answer[V]{err: err, brief: true}
		}
		defer func() { leave(got) }()
	}
	if q.idle {
		got = q.ask(ctx)
		return got
	}
	for _, turns := range []chan struct{}{a.strangers, a.turns} {
		if q.proven && turns == a.strangers {
			continue
		}
		select {
		case turns <- struct{}{}:
			defer func() { <-turns }()
		case <-ctx.Done():
			return answer[V]{err: ErrBusy, brief: true}
		}
	}
	if !q.proven && !a.outage.ask(a.now()) {
		return answer[V]{err: ErrBusy, brief: true}
	}
	ctx, cancel = context.WithTimeout(a.ctx, a.call)
	defer cancel()
	got = q.ask(ctx)
	a.outage.note(got.err, a.now())
	if a.observe != nil {
		a.observe(got.err)
	}
	return got
}

// land notes the answer and tells those who wait.
func (a *asker[V]) land(key digest, f *flight[V]) {
	a.mu.Lock()
	defer a.mu.Unlock()
	switch got := f.answer; {
	case a.closed || got.brief:
	case got.err != nil:
		a.bad.put(key, got.err, overhead, a.now().Add(badFor))
	case got.life > 0:
		a.good.put(key, got.value, got.size+overhead, f.began.Add(got.life))
	}
	delete(a.running, key)
	close(f.done)
}

// Close ends the calls that are running, waits for their ends and forgets
// everything. After that nothing is asked.
func (a *asker[V]) Close() {
	a.mu.Lock()
	a.closed = true
	a.good, a.bad = newCache[V](0, 0), newCache[error](0, 0)
	a.mu.Unlock()
	a.cancel()
	a.wg.Wait()
}
