package oauth

import (
	"net/http/httptest"
	"testing"
	"time"
)

// TestLooping: a browser that logs in ten times within a minute is stopped, one that
// takes longer is not, and what it says of itself can stop nobody else (threat 65).
func TestLooping(t *testing.T) {
	c := newClock()
	s, b := node(t, c, newDisk()), newBrowser()
	count := func() {
		w := httptest.NewRecorder()
		s.CountLogin(w, b.request())
		b.take(w)
	}
	for n := range 30 {
		count()
		if s.Looping(b.request()) {
			t.Fatalf("stopped after %d slow logins", n+1)
		}
		c.advance(7 * time.Second)
	}
	c.advance(time.Minute)
	for n := range 10 {
		if s.Looping(b.request()) {
			t.Fatalf("stopped after %d logins", n)
		}
		count()
		c.advance(time.Second)
	}
	if !s.Looping(b.request()) {
		t.Error("not stopped after 10 logins in 10 s")
	}
	c.advance(time.Minute)
	if s.Looping(b.request()) {
		t.Error("still stopped a minute later")
	}
	name := s.cookies.name + loopInfix
	for value, want := range map[string]bool{
		"10.1893553446": true, "11.1893553446": false, "-1.1893553446": false, "10": false, "10.x": false,
		"10.99999999999999999999": false, "99999999999999999999.1893553446": false, "10.1893553446.1": false, "": false,
	} {
		c.t = time.Unix(1893553446, 0)
		if got := s.Looping(request(name + "=" + value)); got != want {
			t.Errorf("%q: %v, want %v", value, got, want)
		}
	}
	r := request(name + "=10.1; other=1")
	s.Strip(r)
	if got := r.Header.Get("Cookie"); got != "other=1" {
		t.Errorf("the application sees %q", got)
	}
}
