package admit

import (
	"testing"
	"time"
)

// threat 97: what has expired is deleted every hour, however often a configuration is
// loaded in that time.
func TestSweepTimes(t *testing.T) {
	begin := time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
	s := sweepTimes{last: begin}
	for _, tc := range []struct {
		at   time.Duration // since the process began
		want time.Duration
	}{
		{0, time.Hour},
		{5 * time.Minute, 55 * time.Minute},
		{59 * time.Minute, time.Minute},
		{time.Hour, 0},
		{3 * time.Hour, 0},
		{-24 * time.Hour, time.Hour}, // a clock that was set back
	} {
		if got := s.wait(begin.Add(tc.at)); got != tc.want {
			t.Errorf("after %v: in %v, want %v", tc.at, got, tc.want)
		}
	}
	s.done(begin.Add(3 * time.Hour))
	if got := s.wait(begin.Add(3*time.Hour + time.Minute)); got != 59*time.Minute {
		t.Errorf("after the next one: in %v", got)
	}
}
