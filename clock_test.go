package admit

import (
	"sync/atomic"
	"testing"
	"time"
)

// ahead is how far the clock of the tests is set forward.
var ahead atomic.Int64

func init() { now = func() time.Time { return time.Now().Add(time.Duration(ahead.Load())) } }

// forward sets the clock forward until the end of the test.
func forward(t *testing.T, by time.Duration) {
	t.Helper()
	ahead.Add(int64(by))
	t.Cleanup(func() { ahead.Add(-int64(by)) })
}

// threat 51: a session ends when nobody has used it for long, and at the latest a
// day after the login.
func TestSessionLife(t *testing.T) {
	f, _ := serveHome(t, homeIntegration(t, "home", ""), "admit {\nlogin\n}\n"+upstream(t))
	b := f.browser().signIn()
	for _, tc := range []struct {
		by time.Duration
		in bool
	}{
		{7 * time.Hour, true}, {7 * time.Hour, true}, {7 * time.Hour, true}, {4 * time.Hour, false},
	} {
		forward(t, tc.by)
		if a := b.visit("/x"); a.reached() != tc.in {
			t.Fatalf("%d, want in: %v", a.StatusCode, tc.in)
		}
	}
	b.signIn()
	forward(t, 9*time.Hour)
	if a := b.visit("/x"); a.reached() {
		t.Error("in after nine idle hours")
	}
}
