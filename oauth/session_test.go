package oauth

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/http/cookiejar"
	"net/http/httptest"
	"net/url"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/caddy-admit/admit/internal/store"
	"github.com/caddy-admit/admit/internal/store/storetest"
)

// clock is the time that a test sets.
type clock struct {
	mu sync.Mutex
	t  time.Time
}

func newClock() *clock { return &clock{t: time.Date(2030, 1, 2, 3, 4, 5, 0, time.UTC)} }

func (c *clock) now() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.t
}

func (c *clock) advance(d time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.t = c.t.Add(d)
}

// disk is a storage that counts what it is asked and fails at what it is told.
type disk struct {
	storetest.Memory
	mu    sync.Mutex
	fails map[string]bool
	count map[string]int
}

func newDisk() *disk {
	d := &disk{fails: map[string]bool{}, count: map[string]int{}}
	d.Fail = func(operation, key string) error {
		d.mu.Lock()
		defer d.mu.Unlock()
		folder := strings.Split(key, "/")[1]
		d.count[operation+" "+folder]++
		if d.fails[operation] || d.fails[operation+" "+folder] {
			return errors.New("read-only file system")
		}
		return nil
	}
	return d
}

func (d *disk) fail(operations ...string) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.fails = map[string]bool{}
	for _, operation := range operations {
		d.fails[operation] = true
	}
}

// asked returns how often an operation was made since the last time.
func (d *disk) asked(operation string) int {
	d.mu.Lock()
	defer d.mu.Unlock()
	n := d.count[operation]
	d.count[operation] = 0
	return n
}

func secret(b byte) []byte { return bytes.Repeat([]byte{b}, 32) }

func sessionConfig() SessionConfig {
	return SessionConfig{
		Integration: "corp", Issuer: "https://idp.example", ClientID: "app", Cookie: "__Host-admit-corp",
		Idle: 8 * time.Hour, Max: 24 * time.Hour, Secrets: [][]byte{secret(1)},
	}
}

// node returns the sessions of one process.
func node(t testing.TB, c *clock, d store.Store, change ...func(*SessionConfig)) *Sessions {
	t.Helper()
	config := sessionConfig()
	for _, f := range change {
		f(&config)
	}
	s, err := NewSessions(config, d, c.now)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// browser keeps cookies as browsers do.
type browser struct{ *cookiejar.Jar }

var site = &url.URL{Scheme: "https", Host: "app.example.com", Path: "/x"}

func newBrowser() browser {
	jar, _ := cookiejar.New(nil)
	return browser{jar}
}

func (b browser) request() *http.Request {
	r := httptest.NewRequest("GET", site.String(), nil)
	for _, cookie := range b.Cookies(site) {
		r.AddCookie(cookie)
	}
	return r
}

func (b browser) take(w *httptest.ResponseRecorder) {
	b.SetCookies(site, (&http.Response{Header: w.Header()}).Cookies())
}

func (b browser) copy() browser {
	other := newBrowser()
	other.SetCookies(site, b.Cookies(site))
	return other
}

// login starts a session and returns it; the browser has its cookies.
func (b browser) login(t testing.TB, s *Sessions, session Session) *Session {
	t.Helper()
	w := httptest.NewRecorder()
	if err := s.Start(context.Background(), w, b.request(), &session); err != nil {
		t.Fatal(err)
	}
	b.take(w)
	return &session
}

// open says how a request of the browser ends: the user, or the error.
func (b browser) open(s *Sessions) string { return openRequest(s, b.request()) }

func openRequest(s *Sessions, r *http.Request) string {
	return openedAs(s.Open(context.Background(), r))
}

func openedAs(session *Session, err error) string {
	for word, is := range map[string]error{
		"none": ErrNoSession, "invalid": ErrSessionInvalid, "expired": ErrSessionExpired,
		"revoked": ErrSessionRevoked, "unavailable": store.ErrUnavailable,
	} {
		if errors.Is(err, is) {
			return word
		}
	}
	if err != nil {
		return err.Error()
	}
	return session.User
}

func (b browser) logout(t testing.TB, s *Sessions) {
	t.Helper()
	session, err := s.Open(context.Background(), b.request())
	if err != nil {
		t.Fatal(err)
	}
	w := httptest.NewRecorder()
	if err := s.End(context.Background(), w, b.request(), session); err != nil {
		t.Fatal(err)
	}
	b.take(w)
}

// renew is a request that notes the use of the session. It returns the response.
func (b browser) renew(t testing.TB, s *Sessions) *httptest.ResponseRecorder {
	t.Helper()
	w := httptest.NewRecorder()
	session, err := s.Open(context.Background(), b.request())
	if err == nil {
		err = s.Renew(context.Background(), w, b.request(), session)
	}
	if err != nil {
		t.Fatal(err)
	}
	b.take(w)
	return w
}

// large returns claims of n bytes.
func large(n int) json.RawMessage { return json.RawMessage(`"` + strings.Repeat("x", n-2) + `"`) }

// inStorage and the like are changes of a configuration.
func inStorage(c *SessionConfig) { c.Store = "storage" }
func noSecret(c *SessionConfig)  { c.Secrets = nil }

// TestSessionRoundTrip: what Start was given comes out of Open, from a cookie and
// from the storage.
func TestSessionRoundTrip(t *testing.T) {
	for _, store := range []string{"", "auto", "cookie", "storage"} {
		b, s := newBrowser(), node(t, newClock(), newDisk(), func(c *SessionConfig) { c.Store = store })
		want := b.login(t, s, Session{User: "ada", Claims: json.RawMessage(`{"sub":"ada"}`), Stamp: "7", Subject: "1815", SID: "s1", Tokens: Tokens{ID: "id"}})
		got, err := s.Open(context.Background(), b.request())
		if err != nil || got.ID != want.ID || got.User != "ada" || string(got.Claims) != `{"sub":"ada"}` || got.Stamp != "7" ||
			got.Subject != "1815" || got.SID != "s1" || got.IDToken != "id" || got.Tokens.ID != "" ||
			!got.Began.Equal(want.Began) || !got.Seen.Equal(want.Began) || !got.Ends.Equal(want.Began.Add(24*time.Hour)) || got.stored != (store == "storage") {
			t.Errorf("store %q: got %+v, %v", store, got, err)
		}
	}
}

// TestSessionTimes: a session ends when it is idle or has lasted for max, which
// renewal does not prolong (threat 51).
func TestSessionTimes(t *testing.T) {
	const day = 24 * time.Hour
	for _, tc := range []struct {
		name   string
		change func(*SessionConfig) // of the node that is asked in the end
		steps  []time.Duration      // renewed after each but the last
		want   string
	}{
		{"just not idle", nil, []time.Duration{8*time.Hour - 1}, "ada"},
		{"idle", nil, []time.Duration{8 * time.Hour}, "expired"},
		{"renewed", nil, []time.Duration{7 * time.Hour, 7 * time.Hour}, "ada"},
		{"idle after renewal", nil, []time.Duration{7 * time.Hour, 8 * time.Hour}, "expired"},
		{"just before max", nil, []time.Duration{7 * time.Hour, 7 * time.Hour, 7 * time.Hour, 3*time.Hour - 1}, "ada"},
		{"max", nil, []time.Duration{7 * time.Hour, 7 * time.Hour, 7 * time.Hour, 3 * time.Hour}, "expired"},
		{"idle off", func(c *SessionConfig) { c.Idle = 0 }, []time.Duration{day - 1}, "ada"},
		{"idle off, max", func(c *SessionConfig) { c.Idle = 0 }, []time.Duration{day}, "expired"},
		{"max raised since", func(c *SessionConfig) { c.Max = 9 * day; c.Idle = 0 }, []time.Duration{day}, "expired"},
		{"max lowered since", func(c *SessionConfig) { c.Max = time.Hour }, []time.Duration{time.Hour}, "expired"},
		{"clock set back a little", nil, []time.Duration{-time.Minute}, "ada"},
		{"clock set back", nil, []time.Duration{-time.Hour}, "expired"},
	} {
		for _, store := range []string{"cookie", "storage"} {
			c, d := newClock(), newDisk()
			in := func(config *SessionConfig) { config.Store = store }
			b, s := newBrowser(), node(t, c, d, in)
			b.login(t, s, Session{User: "ada"})
			for i, step := range tc.steps {
				c.advance(step)
				if i < len(tc.steps)-1 {
					b.renew(t, s)
				}
			}
			if tc.change != nil {
				s = node(t, c, d, in, tc.change)
			}
			if got := b.open(s); got != tc.want {
				t.Errorf("%s, %s: got %s, want %s", tc.name, store, got, tc.want)
			}
		}
	}
}

// TestSessionRenewSeldom: nothing is sent or written before a tenth of idle.
func TestSessionRenewSeldom(t *testing.T) {
	for _, store := range []string{"cookie", "storage"} {
		c, d := newClock(), newDisk()
		b, s := newBrowser(), node(t, c, d, func(c *SessionConfig) { c.Store = store })
		b.login(t, s, Session{User: "ada"})
		d.asked("store sessions")
		for i, want := range []int{0, 1, 0, 1} {
			c.advance(24 * time.Minute)
			w := b.renew(t, s)
			lines, writes := len(w.Header()["Set-Cookie"]), d.asked("store sessions")
			if lines != want || store == "cookie" && writes != 0 || store == "storage" && writes != want {
				t.Errorf("%s, step %d: %d cookies, %d writes", store, i, lines, writes)
			}
			if got := w.Header().Get("Cache-Control"); (got == "private, no-store") != (lines > 0) {
				t.Errorf("%s, step %d: Cache-Control %q", store, i, got)
			}
		}
	}
}

// TestSessionNewID: a login has an ID that no browser brought along, and ends the
// session that was there (threats 46 and 100).
func TestSessionNewID(t *testing.T) {
	for _, store := range []string{"cookie", "storage"} {
		c, d := newClock(), newDisk()
		in := func(c *SessionConfig) { c.Store = store }
		planted, s, other := newBrowser(), node(t, c, d, in), node(t, c, d, in)
		before := planted.login(t, s, Session{User: "mallory"})
		victim := planted.copy()
		if after := victim.login(t, s, Session{User: "ada", ID: before.ID}); after.ID == before.ID || len(after.ID) != 24 {
			t.Errorf("%s: ID %q after %q", store, after.ID, before.ID)
		}
		if got := planted.open(s) + " " + planted.open(other); got != "revoked revoked" {
			t.Errorf("%s: the session of before is %s", store, got)
		}
		if got := victim.open(s) + " " + victim.open(other); got != "ada ada" {
			t.Errorf("%s: the new session is %s", store, got)
		}
	}
}

// TestSessionConfig: what cannot work is refused.
func TestSessionConfig(t *testing.T) {
	for name, change := range map[string]func(*SessionConfig){
		"no name":           func(c *SessionConfig) { c.Cookie = "" },
		"name with a blank": func(c *SessionConfig) { c.Cookie = "a b" },
		"name too long":     func(c *SessionConfig) { c.Cookie = strings.Repeat("a", 129) },
		"__Host- and domain": func(c *SessionConfig) {
			c.Cookie, c.Domain = "__host-x", "example.com"
		},
		"domain":       func(c *SessionConfig) { c.Cookie, c.Domain = "x", "exa mple.com" },
		"same_site":    func(c *SessionConfig) { c.SameSite = "Lax" },
		"store":        func(c *SessionConfig) { c.Store = "memory" },
		"no max":       func(c *SessionConfig) { c.Max = 0 },
		"idle":         func(c *SessionConfig) { c.Idle = -1 },
		"short secret": func(c *SessionConfig) { c.Secrets = [][]byte{secret(1), secret(2)[:31]} },
	} {
		config := sessionConfig()
		change(&config)
		if _, err := NewSessions(config, newDisk(), time.Now); err == nil || strings.Contains(err.Error(), string(secret(1))) {
			t.Errorf("%s: got error %v", name, err)
		}
	}
	if _, err := NewSessions(sessionConfig(), newDisk(), time.Now); err != nil {
		t.Error(err)
	}
}

// BenchmarkSessionOpen is what each request of somebody logged in costs.
func BenchmarkSessionOpen(b *testing.B) {
	for _, size := range []int{500, 3000} {
		b.Run(fmt.Sprint(size), func(b *testing.B) {
			bro, s := newBrowser(), node(b, newClock(), newDisk())
			bro.login(b, s, Session{User: "ada", Claims: large(size)})
			r := bro.request()
			b.ReportAllocs()
			for b.Loop() {
				if _, err := s.Open(context.Background(), r); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
