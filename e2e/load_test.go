package e2e

import (
	"fmt"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

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
		t.Errorf("%d requests were made, want %d", n, atLeast)
	}
	t.Logf("%d requests", l.sent.Load())
}
