package admit

import (
	"strconv"
	"sync"
	"testing"
)

// threat 97: a memo answers right from the first to the last question, also past its
// limit, and never grows beyond it.
func TestMemo(t *testing.T) {
	m := memo[string, int]{limit: 50}
	found := map[string]int{}
	var mu sync.Mutex
	ask := func(n int) int {
		key := strconv.Itoa(n)
		return m.get(key, func() int {
			mu.Lock()
			defer mu.Unlock()
			found[key]++
			return n
		})
	}
	var all sync.WaitGroup
	for range 4 {
		all.Go(func() {
			for n := range 200 {
				if got := ask(n % 100); got != n%100 {
					t.Errorf("%d: got %d", n%100, got)
				}
			}
		})
	}
	all.Wait()
	if got := len(*m.known.Load()); got != 50 {
		t.Errorf("%d answers are kept", got)
	}
	kept := 0
	for key := range *m.known.Load() {
		before := found[key]
		n, _ := strconv.Atoi(key)
		if ask(n); found[key] == before {
			kept++
		}
	}
	if kept != 50 {
		t.Errorf("%d of 50 answers are remembered", kept)
	}
}
