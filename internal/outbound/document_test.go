package outbound

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"
)

// clock is a time that tests move.
type clock struct {
	mu  sync.Mutex
	now time.Time
}

func newClock() *clock { return &clock{now: time.Unix(1_800_000_000, 0)} }

func (c *clock) Now() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.now
}

func (c *clock) Add(d time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.now = c.now.Add(d)
}

var errDown = errors.New("issuer is down")

// issuer is what a document fetches from: its n-th value is n.
type issuer struct {
	mu       sync.Mutex
	fetches  int
	fails    error
	maxAge   time.Duration
	hasMax   bool
	hold     chan struct{} // fetches end when it is closed
	observed []error
}

func (i *issuer) fetch(ctx context.Context) (int, time.Duration, bool, error) {
	i.mu.Lock()
	i.fetches++
	n, err, maxAge, hasMax, hold := i.fetches, i.fails, i.maxAge, i.hasMax, i.hold
	i.mu.Unlock()
	if hold != nil {
		select {
		case <-hold:
		case <-ctx.Done():
			return 0, 0, false, ctx.Err()
		}
	}
	return n, maxAge, hasMax, err
}

func (i *issuer) observe(err error) {
	i.mu.Lock()
	defer i.mu.Unlock()
	i.observed = append(i.observed, err)
}

func (i *issuer) set(change func(*issuer)) {
	i.mu.Lock()
	defer i.mu.Unlock()
	change(i)
}

func (i *issuer) count() int {
	i.mu.Lock()
	defer i.mu.Unlock()
	return i.fetches
}

func (i *issuer) fail(err error) { i.set(func(i *issuer) { i.fails = err }) }

// bench is a document with its issuer and its clock, in a synctest bubble: there
// synctest.Wait stands for "when the background fetch has ended".
type bench struct {
	*testing.T
	*issuer
	*clock
	*Document[int]
}

func inBubble(t *testing.T, f func(b bench)) {
	synctest.Test(t, func(t *testing.T) {
		b := bench{T: t, issuer: new(issuer), clock: newClock()}
		b.Document = NewDocument(b.issuer.fetch, b.clock.Now, b.issuer.observe)
		defer b.Close()
		f(b)
	})
}

// want checks one Get and, after what it started has ended, the number of
// fetches. A value of 0 stands for an error.
func (b bench) want(value, fetches int) {
	b.Helper()
	got, generation, err := b.Get(b.Context())
	b.check("Get", value, fetches, got, generation, err)
}

// wantRefresh is want for Refresh.
func (b bench) wantRefresh(seen uint64, value, fetches int) {
	b.Helper()
	got, generation, err := b.Refresh(b.Context(), seen)
	b.check("Refresh", value, fetches, got, generation, err)
}

func (b bench) check(call string, value, fetches, got int, generation uint64, err error) {
	b.Helper()
	synctest.Wait()
	if got != value || (err == nil) != (value != 0) || (err == nil) != (generation != 0) {
		b.Errorf("%s: got value %d, generation %d, error %v, want value %d", call, got, generation, err, value)
	}
	if err != nil && !errors.Is(err, ErrUnavailable) {
		b.Errorf("%s: error %v is no ErrUnavailable", call, err)
	}
	if n := b.count(); n != fetches {
		b.Errorf("%s: %d fetches, want %d", call, n, fetches)
	}
}

// threat 23: the life of a document is its max-age within bounds.
func TestDocumentLife(t *testing.T) {
	for _, tc := range []struct {
		maxAge time.Duration
		hasMax bool
		want   time.Duration
	}{
		{want: time.Hour},
		{maxAge: time.Minute, want: time.Hour}, // not said, so not looked at
		{hasMax: true, want: 5 * time.Minute},
		{maxAge: -time.Hour, hasMax: true, want: 5 * time.Minute},
		{maxAge: time.Minute, hasMax: true, want: 5 * time.Minute},
		{maxAge: 10 * time.Minute, hasMax: true, want: 10 * time.Minute},
		{maxAge: 10 * time.Hour, hasMax: true, want: 10 * time.Hour},
		{maxAge: maxDelta * time.Second, hasMax: true, want: 24 * time.Hour},
	} {
		t.Run(fmt.Sprint(tc.maxAge, tc.hasMax), func(t *testing.T) {
			inBubble(t, func(b bench) {
				b.issuer.maxAge, b.hasMax = tc.maxAge, tc.hasMax
				b.want(1, 1)
				b.Add(tc.want - time.Second)
				b.want(1, 1)
				b.Add(time.Second)
				b.want(1, 2) // the old one at once, the fetch behind it
				b.want(2, 2)
			})
		})
	}
}

// threat 18, threat 22, threat 23: an outage after a success.
func TestDocumentOutage(t *testing.T) {
	inBubble(t, func(b bench) {
		b.want(1, 1)
		b.Add(time.Hour)
		b.fail(errDown)
		b.want(1, 2) // stale, and the fetch fails
		b.want(1, 2) // back-off
		b.Add(time.Second)
		b.want(1, 3)
		b.Add(23*time.Hour - time.Second) // 24 h after the last success
		b.want(1, 4)
		b.Add(time.Second)
		b.want(0, 4) // gone; the back-off holds
		b.Add(time.Minute)
		b.want(0, 5)
		if _, _, err := b.Get(b.Context()); !errors.Is(err, errDown) {
			b.Errorf("remembered error: got %v", err)
		}
		if age, ok := b.Age(); !ok || age != 24*time.Hour+time.Second+time.Minute {
			b.Errorf("age: got %v, %v", age, ok)
		}
		b.Add(time.Minute)
		b.fail(nil)
		b.want(6, 6)
		if _, generation, _ := b.Get(b.Context()); generation != 2 {
			b.Errorf("generation: got %d, want 2", generation)
		}
	})
}

// Whoever has a value takes no lock for it, though its life is over: neither while it
// is fetched anew nor between two tries while the issuer is down.
func TestDocumentStaleTakesNoLock(t *testing.T) {
	inBubble(t, func(b bench) {
		locked := func(when string) {
			t.Helper()
			b.Document.mu.Lock()
			defer b.Document.mu.Unlock()
			if got, _, err := b.Get(b.Context()); got != 1 || err != nil {
				t.Errorf("%s: got %v, %v", when, got, err)
			}
		}
		b.want(1, 1)
		b.Add(time.Hour)
		hold := make(chan struct{})
		b.set(func(i *issuer) { i.hold, i.fails = hold, errDown })
		b.want(1, 2)
		locked("fetching")
		close(hold)
		synctest.Wait()
		locked("back-off")
		b.set(func(i *issuer) { i.hold, i.fails = nil, nil })
		b.Add(time.Second)
		b.want(1, 3)
		b.want(3, 3)
		b.Add(time.Hour)
		b.want(3, 4) // the next one is fetched as ever
		b.want(4, 4)
	})
}

// threat 22: the issuer is down from the start.
func TestDocumentBackOff(t *testing.T) {
	inBubble(t, func(b bench) {
		if _, ok := b.Age(); ok {
			b.Error("age before the first fetch")
		}
		b.fail(errDown)
		b.want(0, 1)
		fetches := 1
		for _, seconds := range []int{1, 2, 4, 8, 16, 30, 30, 30} {
			b.Add(time.Duration(seconds)*time.Second - time.Millisecond)
			b.want(0, fetches)
			b.wantRefresh(0, 0, fetches)
			b.Add(time.Millisecond)
			fetches++
			b.want(0, fetches)
		}
		b.Add(30 * time.Second)
		b.fail(nil)
		fetches++
		b.want(fetches, fetches)
		good := fetches

		// A success begins the back-off anew.
		b.Add(time.Hour)
		b.fail(errDown)
		b.want(good, fetches+1)
		b.Add(time.Second)
		b.want(good, fetches+2)
	})
}

// threat 17: a stream of unknown key ids causes one fetch in 10 s.
func TestDocumentRefresh(t *testing.T) {
	inBubble(t, func(b bench) {
		b.wantRefresh(0, 1, 1) // nothing yet: as Get
		b.wantRefresh(1, 1, 1) // the first fetch was just now
		b.Add(10*time.Second - time.Millisecond)
		b.wantRefresh(1, 1, 1)
		b.Add(time.Millisecond)
		b.wantRefresh(1, 2, 2)
		for range 100 {
			b.wantRefresh(2, 2, 2)
		}
		b.Add(time.Minute)
		b.wantRefresh(1, 2, 2) // there is a newer one already
		b.want(2, 2)           // and it is fresh

		// The issuer goes down: the last good one stays, with the back-off.
		b.fail(errDown)
		b.wantRefresh(2, 2, 3)
		b.Add(9 * time.Second)
		b.wantRefresh(2, 2, 3)
		for i := range 3 {
			b.Add(30 * time.Second)
			b.wantRefresh(2, 2, 4+i)
		}
		b.Add(24 * time.Hour)
		b.wantRefresh(2, 0, 7)
	})
}

// threat 17: the back-off holds for Refresh where it is longer than 10 s.
func TestDocumentRefreshBackOff(t *testing.T) {
	inBubble(t, func(b bench) {
		b.want(1, 1)
		b.fail(errDown)
		b.Add(time.Hour)
		for n := range 5 { // 1, 2, 4, 8, 16 s
			b.want(1, 2+n)
			b.Add(time.Duration(1<<n) * time.Second)
		}
		b.want(1, 7) // back-off 30 s
		b.Add(29 * time.Second)
		b.wantRefresh(1, 1, 7)
		b.Add(time.Second)
		b.wantRefresh(1, 1, 8)
	})
}

// A value that passes 24 h while Refresh waits in vain is gone.
func TestDocumentRefreshOutlived(t *testing.T) {
	inBubble(t, func(b bench) {
		b.want(1, 1)
		b.Add(24 * time.Hour)
		hold := make(chan struct{})
		b.set(func(i *issuer) { i.hold, i.fails = hold, errDown })
		go func() {
			synctest.Wait()
			b.Add(time.Second)
			close(hold)
		}()
		b.wantRefresh(1, 0, 2)
	})
}

// threat 17, threat 18: 50 callers, one fetch; one of them leaves.
func TestDocumentSingleFlight(t *testing.T) {
	for _, tc := range []struct {
		name  string
		first bool // no value yet: Get waits; else Refresh does
		fails error
	}{
		{name: "first fetch", first: true},
		{name: "first fetch fails", first: true, fails: errDown},
		{name: "refresh"},
		{name: "refresh fails", fails: errDown},
	} {
		t.Run(tc.name, func(t *testing.T) {
			inBubble(t, func(b bench) {
				call, before := b.Get, 0
				if !tc.first {
					b.want(1, 1)
					b.Add(time.Minute)
					before = 1
					call = func(ctx context.Context) (int, uint64, error) { return b.Refresh(ctx, 1) }
				}
				hold := make(chan struct{})
				b.set(func(i *issuer) { i.hold, i.fails = hold, tc.fails })

				ctx, leave := context.WithCancel(b.Context())
				left := make(chan struct{})
				go func() { // this one starts the fetch
					defer close(left)
					v, _, err := call(ctx)
					if tc.first && (!errors.Is(err, ErrUnavailable) || !errors.Is(err, context.Canceled)) {
						b.Errorf("the caller that left: got error %v", err)
					}
					if !tc.first && (v != 1 || err != nil) {
						b.Errorf("the caller that left: got %d, %v, want the last good value", v, err)
					}
				}()
				synctest.Wait()
				var ended atomic.Int32
				var callers sync.WaitGroup
				for range 50 {
					callers.Go(func() {
						v, _, err := call(b.Context())
						ended.Add(1)
						want := before + 1
						if tc.fails != nil {
							want = before
						}
						if v != want || (err == nil) != (want != 0) {
							b.Errorf("got %d, %v, want %d", v, err, want)
						}
					})
				}
				synctest.Wait()
				leave()
				<-left
				synctest.Wait()
				if n := ended.Load(); n != 0 {
					b.Errorf("%d callers went along with the one that left", n)
				}
				close(hold)
				callers.Wait()
				if n := b.count(); n != before+1 {
					b.Errorf("%d fetches, want %d", n, before+1)
				}
			})
		})
	}
}

// A caller that looked before a fetch ended, and asks for one after that, causes
// no second one.
func TestDocumentLateCaller(t *testing.T) {
	inBubble(t, func(b bench) {
		b.want(1, 1)
		if f, err := b.join(b.Now()); f != landed || err != nil {
			b.Errorf("join: got %v, %v", f, err)
		}
		b.Add(time.Minute)
		if f, err := b.rejoin(b.Now(), 0); f != nil || err != nil {
			b.Errorf("rejoin: got %v, %v", f, err)
		}
		b.want(1, 1)
	})
}

// A caller whose context has ended gets what is there, and no wait.
func TestDocumentEndedContext(t *testing.T) {
	inBubble(t, func(b bench) {
		ctx, cancel := context.WithCancel(b.Context())
		cancel()
		hold := make(chan struct{})
		b.set(func(i *issuer) { i.hold = hold })
		if _, _, err := b.Get(ctx); !errors.Is(err, context.Canceled) {
			b.Errorf("got error %v", err)
		}
		close(hold)
		synctest.Wait()
		if v, _, err := b.Get(ctx); v != 1 || err != nil {
			b.Errorf("got %d, %v", v, err)
		}
	})
}

// threat 19: a fetch has 10 s, whoever waits.
func TestDocumentFetchTimeout(t *testing.T) {
	inBubble(t, func(b bench) {
		b.hold = make(chan struct{}) // never closed
		start := time.Now()
		_, _, err := b.Get(b.Context())
		if !errors.Is(err, context.DeadlineExceeded) || time.Since(start) != 10*time.Second {
			b.Errorf("got error %v after %v", err, time.Since(start))
		}
	})
}

func TestDocumentClose(t *testing.T) {
	inBubble(t, func(b bench) {
		b.want(1, 1)
		b.Add(time.Minute)
		b.set(func(i *issuer) { i.hold = make(chan struct{}) }) // never closed
		waiter := make(chan error)
		go func() {
			_, _, err := b.Refresh(b.Context(), 1)
			waiter <- err
		}()
		synctest.Wait()
		go b.Close()
		if err := <-waiter; !errors.Is(err, ErrUnavailable) {
			b.Errorf("waiter: got error %v", err)
		}
		b.Close()
		b.want(0, 2)
		b.wantRefresh(0, 0, 2)
		if _, ok := b.Age(); ok {
			b.Error("age after Close")
		}
		if len(b.observed) != 1 {
			b.Errorf("observed %v, want the first fetch only", b.observed)
		}
	})
}

func TestDocumentObserve(t *testing.T) {
	inBubble(t, func(b bench) {
		b.fail(errDown)
		b.want(0, 1)
		b.Add(time.Second)
		b.fail(nil)
		b.want(2, 2)
		if len(b.observed) != 2 || b.observed[0] != errDown || b.observed[1] != nil {
			b.Errorf("observed %v", b.observed)
		}
	})
}

// A fetch that breaks is a failed fetch, and the next one works.
func TestDocumentBrokenFetch(t *testing.T) {
	for _, tc := range []struct {
		name    string
		breaks  func()
		wantErr string
	}{
		{"panic", func() { panic("a secret") }, "fetch panicked: string"},
		{"runtime error", func() { var none []int; clear(none[:len("x")]) }, "out of range"},
		{"goexit", runtime.Goexit, "fetch aborted"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			c := newClock()
			broken := true
			d := NewDocument(func(context.Context) (int, time.Duration, bool, error) {
				if broken {
					broken = false
					tc.breaks()
				}
				return 7, 0, false, nil
			}, c.Now, nil)
			defer d.Close()
			_, _, err := d.Get(t.Context())
			if !errors.Is(err, ErrUnavailable) || !strings.Contains(err.Error(), tc.wantErr) || strings.Contains(err.Error(), "secret") {
				t.Errorf("got error %v", err)
			}
			c.Add(time.Second)
			if v, _, err := d.Get(t.Context()); v != 7 || err != nil {
				t.Errorf("after it: got %d, %v", v, err)
			}
		})
	}
}

// Everything at once, for the race detector.
func TestDocumentConcurrent(t *testing.T) {
	c, i := newClock(), new(issuer)
	d := NewDocument(i.fetch, c.Now, i.observe)
	var callers sync.WaitGroup
	for n := range 16 {
		callers.Go(func() {
			var last uint64
			for range 200 {
				v, generation, err := d.Get(t.Context())
				if n%2 == 0 {
					v, generation, err = d.Refresh(t.Context(), generation)
				}
				if err != nil {
					if !errors.Is(err, ErrUnavailable) {
						t.Errorf("got error %v", err)
					}
					continue
				}
				if v == 0 || generation < last {
					t.Errorf("value %d, generation %d after %d", v, generation, last)
				}
				last = generation
				c.Add(time.Duration(n) * time.Second)
				if n == 3 {
					i.fail(errDown)
				} else if n == 5 {
					i.fail(nil)
				}
				d.Age()
			}
		})
	}
	callers.Wait()
	d.Close()
}

// threat 18, threat 22 and threat 23 over HTTP: an issuer that is down, comes
// up, rotates, and goes down again.
func TestDocumentHTTP(t *testing.T) {
	var answer atomic.Value
	answer.Store("")
	s := serve(t, func(w http.ResponseWriter, _ *http.Request) {
		text := answer.Load().(string)
		if text == "" {
			w.WriteHeader(http.StatusInternalServerError)
			io.WriteString(w, "stack trace")
			return
		}
		w.Header().Set("Cache-Control", "max-age=1")
		io.WriteString(w, text)
	})
	client, c := newClient(t, Options{}), newClock()
	observed := make(chan error, 16)
	d := NewDocument(func(ctx context.Context) (string, time.Duration, bool, error) {
		r, err := client.Get(ctx, s.URL, "application/json")
		return string(r.Body), r.MaxAge, r.HasMaxAge, err
	}, c.Now, func(err error) { observed <- err })
	defer d.Close()
	want := func(value string) {
		t.Helper()
		got, _, err := d.Get(t.Context())
		if got != value || (err == nil) != (value != "") {
			t.Errorf("got %q, %v, want %q", got, err, value)
		}
		if err != nil && (!errors.Is(err, ErrUnavailable) || !strings.Contains(err.Error(), "status 500") || strings.Contains(err.Error(), "stack")) {
			t.Errorf("got error %v", err)
		}
	}
	want("")
	<-observed
	answer.Store("old keys")
	want("") // back-off
	c.Add(time.Second)
	want("old keys")
	<-observed
	answer.Store("new keys")
	c.Add(4 * time.Minute)
	want("old keys")
	c.Add(time.Minute)
	want("old keys")
	<-observed
	want("new keys")
	answer.Store("")
	c.Add(time.Hour)
	want("new keys")
	<-observed
	want("new keys")
	c.Add(24 * time.Hour)
	want("")
}

// What a fresh document costs each request: no lock and no allocation.
func TestDocumentGetAllocates(t *testing.T) {
	d := NewDocument(new(issuer).fetch, newClock().Now, nil)
	defer d.Close()
	ctx := t.Context()
	if _, _, err := d.Get(ctx); err != nil {
		t.Fatal(err)
	}
	if n := testing.AllocsPerRun(100, func() { d.Get(ctx) }); n != 0 {
		t.Errorf("%v allocations", n)
	}
	// No lock either: it is held here.
	d.mu.Lock()
	defer d.mu.Unlock()
	if v, _, err := d.Get(ctx); v != 1 || err != nil {
		t.Errorf("got %d, %v", v, err)
	}
}

func BenchmarkDocumentGet(b *testing.B) {
	d := NewDocument(new(issuer).fetch, time.Now, nil)
	defer d.Close()
	ctx := b.Context()
	b.ReportAllocs()
	for b.Loop() {
		d.Get(ctx)
	}
}
