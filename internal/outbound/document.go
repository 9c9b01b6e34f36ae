package outbound

import (
	"context"
	"errors"
	"fmt"
	"math"
	"runtime"
	"sync"
	"sync/atomic"
	"time"
)

const (
	fetchTimeout = 10 * time.Second

	minLife     = 5 * time.Minute
	maxLife     = 24 * time.Hour
	defaultLife = time.Hour
	// lastGood is how long a value is used while no later fetch succeeds.
	lastGood = 24 * time.Hour

	minBackOff = time.Second
	maxBackOff = 30 * time.Second
	// coolDown is the time between two fetches that [Document.Refresh] starts.
	coolDown = 10 * time.Second
)

// ErrUnavailable means that there is no value of a document, or none younger
// than 24 h. It wraps the cause.
var ErrUnavailable = errors.New("outbound: document unavailable")

var (
	errClosed  = fmt.Errorf("%w: closed", ErrUnavailable)
	errAborted = errors.New("outbound: fetch aborted")
)

// Fetch gets the current value of a document, and how long it may be used if
// the server says so. It must heed ctx.
type Fetch[T any] func(ctx context.Context) (value T, maxAge time.Duration, hasMaxAge bool, err error)

// Document is a remote document that is kept fresh: fetched on first use, again
// when its life is over, and by one caller for all. A fetch runs on a context of
// its own, so no client that goes away takes it along. It is safe for concurrent
// use; its values are shared and must not be changed.
type Document[T any] struct {
	fetch   Fetch[T]
	now     func() time.Time
	observe func(error)

	// current is the last good version, nil before the first and after Close.
	current atomic.Pointer[version[T]]
	// quiet is until when, in nanoseconds since 1970, nobody need try to start a
	// fetch: one is running, or it is too early after a failure. Those who have a
	// value whose life is over need not all take the lock to see that.
	quiet atomic.Int64

	ctx    context.Context // of all fetches, ended by Close
	cancel context.CancelFunc
	wg     sync.WaitGroup

	mu        sync.Mutex
	closed    bool
	flight    *flight       // the fetch that is running, if any
	started   time.Time     // when the last fetch began
	failed    error         // outcome of the last fetch, nil after a success
	backOff   time.Duration // the last one, zero after a success
	notBefore time.Time     // end of the back-off
}

type version[T any] struct {
	value      T
	generation uint64
	fetched    time.Time
	stale      time.Time // when its life is over
}

// gone reports whether v, which may be nil, must no longer be used.
func (v *version[T]) gone(now time.Time) bool {
	return v == nil || now.Sub(v.fetched) > lastGood
}

// flight is one fetch. err may be read when done is closed.
type flight struct {
	done chan struct{}
	err  error
}

// NewDocument returns a document that fetch fills. It makes no call. After each
// fetch observe, if not nil, is told its outcome; it must not call Close.
func NewDocument[T any](fetch Fetch[T], now func() time.Time, observe func(err error)) *Document[T] {
	d := &Document[T]{fetch: fetch, now: now, observe: observe}
	d.ctx, d.cancel = context.WithCancel(context.Background())
	return d
}

// Get returns the value and its generation, which grows with every fetch that
// succeeds. A value whose life is over is returned at once while a fetch runs in
// the background. Without any, Get waits for a fetch no longer than ctx; within
// the back-off after a failure it returns that failure. Every error is an
// [ErrUnavailable].
func (d *Document[T]) Get(ctx context.Context) (value T, generation uint64, err error) {
	now := d.now()
	v := d.current.Load()
	if v != nil && (now.Before(v.stale) || !v.gone(now) && now.UnixNano() < d.quiet.Load()) {
		return v.value, v.generation, nil
	}
	f, err := d.join(now)
	if v = d.current.Load(); !v.gone(now) {
		return v.value, v.generation, nil
	}
	if err != nil {
		return value, 0, err
	}
	if err := f.wait(ctx); err != nil {
		return value, 0, err
	}
	if v = d.current.Load(); v == nil {
		return value, 0, errClosed
	}
	return v.value, v.generation, nil
}

// Refresh is for a caller that has seen a generation and misses something in it,
// such as an unknown "kid". It returns a newer one if there is one, and else
// waits for a fetch no longer than ctx. No fetch is started within 10 s of the
// last one, nor in the back-off after a failure. Where that leaves no newer
// value, the last good one is returned without an error while it is younger than
// 24 h.
func (d *Document[T]) Refresh(ctx context.Context, seen uint64) (value T, generation uint64, err error) {
	now := d.now()
	v := d.current.Load()
	if v.gone(now) {
		return d.Get(ctx)
	}
	if v.generation > seen {
		return v.value, v.generation, nil
	}
	f, err := d.rejoin(now, seen)
	if f != nil {
		err = f.wait(ctx)
	}
	if v = d.current.Load(); !v.gone(d.now()) {
		return v.value, v.generation, nil
	}
	if err == nil {
		err = errClosed
	}
	return value, 0, err
}

// Age returns the time since the last fetch that succeeded, if one has. It goes
// on growing when the value is too old to be used.
func (d *Document[T]) Age() (time.Duration, bool) {
	v := d.current.Load()
	if v == nil {
		return 0, false
	}
	return d.now().Sub(v.fetched), true
}

// Close cancels a fetch that is running and waits for its end. After that there
// is no value.
func (d *Document[T]) Close() {
	d.mu.Lock()
	d.closed = true
	d.current.Store(nil)
	d.mu.Unlock()
	d.cancel()
	d.wg.Wait()
}

// join returns the running fetch, or starts one unless it is too early: then it
// returns the last failure.
func (d *Document[T]) join(now time.Time) (*flight, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	switch {
	case d.closed:
		return nil, errClosed
	case d.flight != nil:
		return d.flight, nil
	case d.failed != nil && now.Before(d.notBefore):
		return nil, d.failed
	}
	// A fetch may have ended since the caller looked.
	if v := d.current.Load(); v != nil && now.Before(v.stale) {
		return landed, nil
	}
	return d.start(now), nil
}

// rejoin is join for [Document.Refresh]. It returns nil if nothing is to come.
func (d *Document[T]) rejoin(now time.Time, seen uint64) (*flight, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	switch {
	case d.closed:
		return nil, errClosed
	case d.flight != nil:
		return d.flight, nil
	case now.Sub(d.started) < coolDown, d.failed != nil && now.Before(d.notBefore):
		return nil, nil
	}
	if v := d.current.Load(); v.generation > seen {
		return nil, nil
	}
	return d.start(now), nil
}

// landed is a fetch that has succeeded.
var landed = func() *flight {
	f := &flight{done: make(chan struct{})}
	close(f.done)
	return f
}()

// start begins a fetch; d.mu is held.
func (d *Document[T]) start(now time.Time) *flight {
	f := &flight{done: make(chan struct{})}
	d.flight, d.started = f, now
	d.quiet.Store(math.MaxInt64)
	d.wg.Go(func() { d.run(f) })
	return f
}

func (d *Document[T]) run(f *flight) {
	var (
		value T
		life  time.Duration
		err   = errAborted // stands if fetch calls runtime.Goexit
	)
	defer close(f.done)
	defer func() {
		if d.land(f, value, life, err) && d.observe != nil {
			d.observe(err)
		}
	}()
	ctx, cancel := context.WithTimeout(d.ctx, fetchTimeout)
	defer cancel()
	value, life, err = d.try(ctx)
}

// try calls fetch. What goes wrong in it must not take down the process.
func (d *Document[T]) try(ctx context.Context) (value T, life time.Duration, err error) {
	defer func() {
		if p := recover(); p != nil {
			err = fmt.Errorf("outbound: fetch panicked: %T", p) // its text may hold anything
			if e, ok := p.(runtime.Error); ok {
				err = fmt.Errorf("outbound: fetch panicked: %w", e)
			}
		}
	}()
	value, life, hasLife, err := d.fetch(ctx)
	if !hasLife {
		life = defaultLife
	}
	return value, min(max(life, minLife), maxLife), err
}

// land records the outcome of a fetch. It reports whether anybody still cares.
func (d *Document[T]) land(f *flight, value T, life time.Duration, err error) bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.flight = nil
	if d.closed {
		f.err = errClosed
		return false
	}
	now := d.now()
	if err != nil {
		d.backOff = min(max(2*d.backOff, minBackOff), maxBackOff)
		d.notBefore = now.Add(d.backOff)
		d.quiet.Store(d.notBefore.UnixNano())
		d.failed = fmt.Errorf("%w: %w", ErrUnavailable, err)
		f.err = d.failed
		return true
	}
	d.backOff, d.failed = 0, nil
	d.quiet.Store(0)
	next := &version[T]{value: value, generation: 1, fetched: now, stale: now.Add(life)}
	if old := d.current.Load(); old != nil {
		next.generation = old.generation + 1
	}
	d.current.Store(next)
	return true
}

// wait returns the outcome of the fetch, or an error when ctx ends before it.
func (f *flight) wait(ctx context.Context) error {
	select {
	case <-f.done:
		return f.err // even if ctx has ended too
	default:
	}
	select {
	case <-f.done:
		return f.err
	case <-ctx.Done():
		return fmt.Errorf("%w: %w", ErrUnavailable, context.Cause(ctx))
	}
}
