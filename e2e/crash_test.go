package e2e

import (
	"net/http"
	"sync/atomic"
	"testing"
	"time"
)

// family is a client with a refresh token: all tokens it ever had, the last one
// last, and whether an answer was lost.
type family struct {
	had  []string
	lost bool
}

func (f *family) last() string { return f.had[len(f.had)-1] }

// TestCrash kills Caddy in the middle of a hundred refreshes. Each client goes on
// with the last token that it knows, whether or not the dead process had spent it;
// nobody goes on with an older one.
func TestCrash(t *testing.T) {
	t.Parallel()
	const clients = 100
	first := startLocal(t, newUpstream(t), 1)[0]
	families := make([]family, clients)
	together(clients, func(i int) {
		got, err := first.password("ada", adaPassword)
		if err != nil || got.status != http.StatusOK {
			t.Errorf("%d %s, %v", got.status, got.Error, err)
		}
		families[i].had = []string{got.Refresh}
	})
	if t.Failed() {
		return
	}

	var answered atomic.Int64
	half := make(chan struct{})
	killed := make(chan struct{})
	go func() {
		defer close(killed)
		<-half
		first.kill(t)
	}()
	together(clients, func(i int) {
		f := &families[i]
		for {
			got, err := first.refresh(f.last())
			if err != nil {
				f.lost = true
				return
			}
			if got.status != http.StatusOK {
				t.Errorf("before the end: %d %s", got.status, got.Error)
				return
			}
			f.had = append(f.had, got.Refresh)
			if answered.Add(1) == clients*5/2 {
				close(half)
			}
		}
	})
	<-killed

	second := startCaddy(t, newUpstream(t), localSite, values{"Storage": first.values["Storage"], "Users": first.values["Users"]})
	started := time.Now()
	var slowest, waited atomic.Int64
	together(clients, func(i int) {
		f := &families[i]
		got, err := second.refresh(f.last())
		if took := time.Since(started); took > time.Second {
			waited.Add(1)
			slowest.Store(max(slowest.Load(), int64(took)))
		}
		for range 2 { // and it goes on
			if err != nil || got.status != http.StatusOK || got.Refresh == f.last() {
				t.Errorf("after the restart, %d tokens, answer lost %t: %d %s, %v", len(f.had), f.lost, got.status, got.Error, err)
				return
			}
			f.had = append(f.had, got.Refresh)
			got, err = second.refresh(f.last())
		}
		if err != nil || got.status != http.StatusOK {
			t.Errorf("at the end: %d %s, %v", got.status, got.Error, err)
		}
		f.had = append(f.had, got.Refresh)
	})
	t.Logf("%d answers before the end; %d clients waited for a lock, the slowest %v", answered.Load(), waited.Load(), time.Duration(slowest.Load()).Round(time.Millisecond))
	if t.Failed() {
		return
	}

	// A spent token, two or more generations old, is refused and ends the family.
	together(clients, func(i int) {
		f := &families[i]
		old := f.had[i%(len(f.had)-2)]
		for _, token := range []string{old, f.last()} {
			got, err := second.refresh(token)
			if err != nil || got.status != http.StatusBadRequest || got.Error != "invalid_grant" {
				t.Errorf("a spent token, or the last one of its family: %d %s, %v", got.status, got.Error, err)
			}
		}
	})
}
