package e2e

import (
	"fmt"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

// coolDown is how long after a fetch an unknown kid causes no other, and some.
const coolDown = 10*time.Second + 500*time.Millisecond

// load sends requests from several workers until it is stopped. Every answer must
// be what its check wants; the first wrong ones are kept.
type load struct {
	sent, wrong atomic.Int64

	mu     sync.Mutex
	errors []error
	stop   chan struct{}
	done   sync.WaitGroup
}

// expected is a request and what is wrong with an answer to it.
type expected struct {
	request request
	check   func(answer) error
}

func letIn(r request, user string) expected {
	return expected{r, func(a answer) error { return a.isUser(user) }}
}

func refused(r request, status int, reasons ...string) expected {
	return expected{r, func(a answer) error { return a.isRefusal(status, reasons...) }}
}

func startLoad(c *caddy, workers int, of ...expected) *load {
	l := &load{stop: make(chan struct{})}
	for worker := range workers {
		l.done.Go(func() {
			pace := time.NewTicker(2 * time.Millisecond) // leaves the other tests some time
			defer pace.Stop()
			for i := worker; ; i++ {
				select {
				case <-l.stop:
					return
				case <-pace.C:
					l.one(c, of[i%len(of)])
				}
			}
		})
	}
	return l
}

func (l *load) one(c *caddy, e expected) {
	began := time.Now()
	a, err := c.send(e.request)
	if err == nil {
		err = e.check(a)
	}
	if took := time.Since(began); err == nil && took > 5*time.Second {
		err = fmt.Errorf("the answer took %v", took)
	}
	l.sent.Add(1)
	if err == nil {
		return
	}
	l.wrong.Add(1)
	l.mu.Lock()
	defer l.mu.Unlock()
	if len(l.errors) < 5 {
		l.errors = append(l.errors, fmt.Errorf("%s: %w", began.Format("05.000"), err))
	}
}

// end stops the workers and fails the test on any wrong answer.
func (l *load) end(t *testing.T, atLeast int64) {
	t.Helper()
	close(l.stop)
	l.done.Wait()
	if n := l.wrong.Load(); n != 0 {
		t.Errorf("%d of %d answers were wrong: %v", n, l.sent.Load(), l.errors)
	}
	if n := l.sent.Load(); n < atLeast {
		t.Errorf("only %d requests were made, want %d", n, atLeast)
	}
	t.Logf("%d requests", l.sent.Load())
}

// TestRotation rotates the issuer's keys while requests run. Once the cool-down of
// the first fetch is over, a token of a new key is right at its first use.
func TestRotation(t *testing.T) {
	t.Parallel()
	for _, keep := range []bool{true, false} {
		t.Run(fmt.Sprintf("keep=%t", keep), func(t *testing.T) {
			t.Parallel()
			p := startProvider(t, "")
			c := startCaddy(t, newUpstream(t), oneIssuer, values{"Issuer": p.URL, "Config": "one"})
			oldRSA, oldEC := p.token(t, grant{}), p.token(t, grant{alg: "ES256", group: "readers"})
			c.wantUser(t, request{token: oldRSA}, "admins-cli")
			fetched := time.Now()

			old := startLoad(c, 2, letIn(request{token: oldRSA}, "admins-cli"), letIn(request{token: oldEC}, "readers-cli"))
			eventually(t, 2*coolDown, "the cool-down is over", func() bool { return time.Since(fetched) > coolDown })
			p.rotate(t, keep)
			if !keep {
				old.end(t, 100) // they are good only until the new keys are there
			}
			newRSA, newEC := p.token(t, grant{}), p.token(t, grant{alg: "ES256", group: "readers"})
			fresh := startLoad(c, 4, letIn(request{token: newRSA}, "admins-cli"), letIn(request{token: newEC}, "readers-cli"))
			eventually(t, 10*time.Second, "requests with new keys", func() bool { return fresh.sent.Load() > 400 })
			fresh.end(t, 400)
			if keep {
				old.end(t, 100)
			} else {
				c.wantRefusal(t, request{token: oldRSA}, 401, "unknown_key")
				c.wantRefusal(t, request{token: oldEC}, 401, "unknown_key")
			}

			// A flood of unknown keys does not become a flood of fetches.
			before := p.fetched(providerKeys)
			unknown := request{token: unknownKid(t, newRSA)}
			flood := startLoad(c, 4, refused(unknown, 401, "unknown_key"))
			eventually(t, 10*time.Second, "requests with an unknown key", func() bool { return flood.sent.Load() > 300 })
			flood.end(t, 300)
			if n := p.fetched(providerKeys); before != 2 || n > before+1 {
				t.Errorf("the JWKS was fetched %d times, then %d for unknown keys; want 2, then at most one", before, n-before)
			}
		})
	}
}
