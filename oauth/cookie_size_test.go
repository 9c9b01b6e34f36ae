package oauth

import (
	"fmt"
	"net/http/httptest"
	"strings"
	"testing"
)

// TestSessionsTogether: where gates of one host have sessions of their own, those
// that find no room any more lie in the storage, if they may.
func TestSessionsTogether(t *testing.T) {
	c, b, d := newClock(), newBrowser(), newDisk()
	for i, tc := range []struct {
		size   int
		store  string
		stored bool
	}{
		{3000, "auto", false}, {900, "auto", true}, {3000, "auto", true}, {3000, "cookie", false},
	} {
		before := d.asked("store sessions")
		s := node(t, c, d, func(c *SessionConfig) {
			c.Integration, c.Store = fmt.Sprint("of-", i), tc.store
			c.Cookie = "__Host-admit-" + c.Integration
		})
		for range 2 { // its own session of before takes no room
			b.login(t, s, Session{User: "ada", Claims: large(tc.size)})
		}
		if got := d.asked("store sessions") > before; got != tc.stored || b.open(s) != "ada" {
			t.Errorf("%d: stored %v, %s", i, got, b.open(s))
		}
		if size := len(b.request().Header.Get("Cookie")); i < 3 && size > 2*chunkSize {
			t.Errorf("%d: cookies of %d bytes", i, size)
		}
	}
}

// TestAllCookiesTogether: with five logins and logouts under way, a session in two
// cookies and the note of how often one has logged in, the cookies of a host are under
// 8 KiB, whatever the name.
func TestAllCookiesTogether(t *testing.T) {
	for _, name := range []string{"__Host-admit-corp", strings.Repeat("n", maxCookieName)} {
		c, b := newClock(), newBrowser()
		s := node(t, c, newDisk(), func(c *SessionConfig) { c.Cookie = name })
		for size := 3300; len(b.Cookies(site)) < 2 || s.cookies.room-len(b.Cookies(site)[1].Value) > 20; size++ {
			b.login(t, s, Session{User: "ada", Claims: large(size)})
			if size > 3700 {
				t.Fatal("no session fills both cookies")
			}
		}
		for range loopLimit {
			w := httptest.NewRecorder()
			s.CountLogin(w, b.request())
			b.take(w)
		}
		for i := range 7 {
			b.begin(t, s, []AttemptKind{Login, Logout}[i%2], "/"+strings.Repeat("x", maxInline-1))
		}
		for _, state := range b.states() {
			if size := len("; ") + len(state.String()); size > stateSize {
				t.Errorf("a state of %d bytes", size)
			}
		}
		if size := len("Cookie: ") + len(b.request().Header.Get("Cookie")); len(b.Cookies(site)) != 8 || size > 8<<10 || b.open(s) != "ada" {
			t.Errorf("%d cookies of %d bytes, %s", len(b.Cookies(site)), size, b.open(s))
		}
	}
}
