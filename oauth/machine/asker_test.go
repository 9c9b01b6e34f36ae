package machine

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"runtime"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

// ask asks about a key and returns what it gets.
func ask(ctx context.Context, a *asker[string], key string, f func(ctx context.Context) answer[string]) string {
	got, _ := a.get(ctx, question[string]{key: a.digest(key), ask: f})
	if got.err != nil {
		return verdict(got.err)
	}
	return got.value
}

func newTestAsker(t *testing.T) (*asker[string], *clock) {
	c := &clock{}
	a := newAsker[string](c.now, nil)
	t.Cleanup(a.Close)
	return a, c
}

// TestAskerTurns: at most 16 calls at once, others wait for a while (threat 91).
func TestAskerTurns(t *testing.T) {
	a, _ := newTestAsker(t)
	a.patience = 20 * time.Millisecond
	var atOnce, most atomic.Int64
	full, release := make(chan struct{}, maxCalls), make(chan struct{})
	slow := func(context.Context) answer[string] {
		if n := atOnce.Add(1); n > most.Load() {
			most.Store(n)
		}
		defer atOnce.Add(-1)
		full <- struct{}{}
		<-release
		return answer[string]{value: "yes", life: time.Minute}
	}
	var wg sync.WaitGroup
	for n := range maxCalls {
		wg.Go(func() {
			if got := ask(t.Context(), a, fmt.Sprint(n), slow); got != "yes" {
				t.Errorf("got %s", got)
			}
		})
	}
	for range maxCalls {
		<-full
	}
	if got := ask(t.Context(), a, "one more", slow); got != "503 busy" {
		t.Errorf("got %s", got)
	}
	a.mu.Lock()
	a.waiting = maxCalls
	a.mu.Unlock()
	if got := ask(t.Context(), a, "and one more", slow); got != "503 busy" {
		t.Errorf("got %s", got)
	}
	close(release)
	wg.Wait()
	// To have been busy is not remembered.
	full = make(chan struct{}, 1)
	if got := ask(t.Context(), a, "one more", slow); got != "yes" || most.Load() != maxCalls {
		t.Errorf("got %s, %d at once", got, most.Load())
	}
}

// TestAskerClose: calls end, nothing is asked any more, and nothing is known.
func TestAskerClose(t *testing.T) {
	a, _ := newTestAsker(t)
	good := func(context.Context) answer[string] { return answer[string]{value: "yes", life: time.Minute} }
	if got := ask(t.Context(), a, "known", good); got != "yes" {
		t.Fatal(got)
	}
	started, ended := make(chan struct{}), make(chan string)
	go func() {
		ended <- ask(context.Background(), a, "running", func(ctx context.Context) answer[string] {
			close(started)
			<-ctx.Done()
			return answer[string]{err: errAborted}
		})
	}()
	<-started
	a.Close()
	if got := <-ended; got != "503" {
		t.Errorf("got %s", got)
	}
	for _, key := range []string{"known", "new"} {
		if got := ask(t.Context(), a, key, good); got != "503" {
			t.Errorf("%s: got %s", key, got)
		}
	}
	a.Close()
}

// TestAskerAborted: a call that ends its goroutine leaves nobody waiting and no
// turn taken.
func TestAskerAborted(t *testing.T) {
	a, _ := newTestAsker(t)
	for range maxCalls + 1 {
		if got := ask(t.Context(), a, "key", func(context.Context) answer[string] { runtime.Goexit(); return answer[string]{} }); got != "503" {
			t.Fatalf("got %s", got)
		}
	}
	if len(a.turns) != 0 || len(a.running) != 0 {
		t.Errorf("%d turns, %d flights", len(a.turns), len(a.running))
	}
}

// TestObserve: each call is told once, however many wait for it.
func TestObserve(t *testing.T) {
	var told []string
	e := newEndpoint(t, one("app", "s"))
	c := newClients(t, e, func(c *ClientsConfig) { c.Observe = func(err error) { told = append(told, verdict(err)) } })
	for _, secret := range []string{"s", "s", "wrong", "wrong"} {
		_, _ = c.Token(t.Context(), "app", secret, home)
	}
	e.answer(http.NotFound)
	_, err := c.Token(t.Context(), "new", "s", home)
	var refused *RefusedError
	if !errors.As(err, &refused) || refused.Hint == "" || refused.Status != 404 {
		t.Errorf("got %v", err)
	}
	if got := fmt.Sprint(told); got != "[good 401 bad_client 503]" {
		t.Errorf("got %s", got)
	}
}
