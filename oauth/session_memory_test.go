package oauth

import (
	"context"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/caddy-admit/admit/claims"
)

// A cookie is opened once, and what was made of it once for each thing that it was
// made of.
func TestSessionMemory(t *testing.T) {
	s, b := node(t, newClock(), newDisk()), newBrowser()
	b.login(t, s, Session{User: "ada", Claims: large(3000)}) // two cookies
	open := func() *Session {
		session, err := s.Open(context.Background(), b.request())
		if err != nil {
			t.Fatal(err)
		}
		return session
	}
	first := open()
	if open() != first {
		t.Error("opened twice")
	}
	one, two, made := new(int), new(int), 0
	make := func() *claims.Identity {
		made++
		return new(claims.Identity)
	}
	for i, step := range []struct {
		of   any
		want int
	}{{one, 1}, {one, 1}, {two, 2}, {two, 2}, {one, 3}} {
		if open().Identity(step.of, make); made != step.want {
			t.Errorf("step %d: made %d times, want %d", i, made, step.want)
		}
	}
	if s.Renew(context.Background(), httptest.NewRecorder(), b.request(), first) != nil || !first.Seen.Equal(first.Began) {
		t.Error("what is shared was changed")
	}
}

// threat 45: a session that is remembered ends at once in the process where it is
// ended, and within 10 s in another, whatever was asked before.
func TestSessionMemoryMarks(t *testing.T) {
	for _, store := range []string{"cookie", "storage"} {
		for kind, end := range map[string]func(*Sessions, *Session) error{
			"session": func(s *Sessions, session *Session) error {
				return s.End(context.Background(), httptest.NewRecorder(), request(), session)
			},
			"user": func(s *Sessions, _ *Session) error { return s.Revoke(context.Background(), "ada", time.Hour) },
			"all":  func(s *Sessions, _ *Session) error { return s.Revoke(context.Background(), "", time.Hour) },
		} {
			c, d := newClock(), newDisk()
			in := func(config *SessionConfig) { config.Store = store }
			here, there, b := node(t, c, d, in), node(t, c, d, in), newBrowser()
			session := b.login(t, here, Session{User: "ada"})
			for range 3 {
				c.advance(3 * time.Second)
				if got := b.open(here) + b.open(there); got != "adaada" {
					t.Fatalf("%s, %s: %s", store, kind, got)
				}
			}
			if err := end(here, session); err != nil {
				t.Fatal(err)
			}
			if got := b.open(here); got != "revoked" {
				t.Errorf("%s, %s: here %s", store, kind, got)
			}
			if c.advance(10 * time.Second); b.open(there) != "revoked" {
				t.Errorf("%s, %s: there %s after 10 s", store, kind, b.open(there))
			}
		}
	}
}

// threat 97: the memory has a bound, and gives the right answer beyond it.
func TestSessionMemoryBounds(t *testing.T) {
	var o openedCookies
	text := func(n int) string { return fmt.Sprint(n, strings.Repeat("x", 4000)) }
	ask := func(n int) {
		session := o.get(text(n), "")
		if session == nil {
			session = o.put(text(n), "", &Session{User: fmt.Sprint(n)})
		}
		if session.User != fmt.Sprint(n) {
			t.Errorf("%d: got %s", n, session.User)
		}
	}
	const asked = 2 * openedShards * openedBytes / 9000
	var all sync.WaitGroup
	for k := range 4 {
		all.Go(func() {
			for n := range asked {
				ask((n*7 + k) % asked)
			}
		})
	}
	all.Wait()
	for i := range o.shards {
		shard := &o.shards[i]
		bytes, seen := 0, map[string]bool{}
		for place := range shard.table.Load() {
			for c := shard.table.Load()[place].Load(); c != nil; c = c.next {
				if bytes += c.size(); seen[c.first] {
					t.Errorf("part %d: one is there twice", i)
				}
				seen[c.first] = true
			}
		}
		if bytes != shard.bytes || bytes > openedBytes || bytes < openedBytes/2 {
			t.Errorf("part %d: %d bytes, counted %d", i, bytes, shard.bytes)
		}
	}
}

// What a request with a session costs once it is known.
func TestSessionMemoryAllocations(t *testing.T) {
	s, b := node(t, newClock(), newDisk()), newBrowser()
	b.login(t, s, Session{User: "ada", Claims: large(1000)})
	r, ctx := b.request(), context.Background()
	identity := new(claims.Identity)
	if n := testing.AllocsPerRun(100, func() {
		session, err := s.Open(ctx, r)
		if err != nil || session.Identity(s, func() *claims.Identity { return identity }) != identity {
			t.Fatal(err)
		}
	}); n > 0 {
		t.Errorf("%v allocations", n)
	}
}

// What Open finds out about the age of a session is what Renew would say, wherever the
// session lies and whether it is remembered.
func TestSessionMemoryFresh(t *testing.T) {
	for _, store := range []string{"cookie", "storage"} {
		for _, stray := range []string{"", "; __Host-admit-corp=stray"} {
			c := newClock()
			s, b := node(t, c, newDisk(), func(config *SessionConfig) { config.Store = store }), newBrowser()
			b.login(t, s, Session{User: "ada"})
			for _, want := range []bool{true, false, false} {
				r := b.request()
				r.Header.Set("Cookie", r.Header.Get("Cookie")+stray)
				session, err := s.Open(context.Background(), r)
				if err != nil {
					t.Fatal(err)
				}
				if got := s.Fresh(session); got != want || got != s.fresh(session, c.now()) {
					t.Errorf("%s, %q: %v, want %v", store, stray, got, want)
				}
				c.advance(s.config.Idle / 10)
			}
		}
	}
}

// threats 47, 97: what somebody sends beside a good cookie makes no second place in the
// memory, also where a session fills the first cookie and might have a second one; and
// what a cookie was opened from is not held.
func TestSessionMemoryStraySecond(t *testing.T) {
	s, b := node(t, newClock(), newDisk()), newBrowser()
	full := 0 // claims of a session that fills a cookie
	for n := s.cookies.room / 2; full == 0; n++ {
		if b.login(t, s, Session{User: "ada", Claims: large(n)}); len(b.request().Cookies()[0].Value) == s.cookies.room {
			full = n
		}
	}
	for _, n := range []int{500, full} {
		b = newBrowser()
		b.login(t, s, Session{User: "ada", Claims: large(n)})
		var first *Session
		for i := range 20 {
			r := b.request()
			if i > 0 {
				r.AddCookie(&http.Cookie{Name: s.cookies.second, Value: fmt.Sprint("stray", i)})
			}
			session, err := s.Open(context.Background(), r)
			if err != nil {
				t.Fatal(err)
			}
			if first == nil {
				first = session
			}
			if session != first {
				t.Fatalf("%d: opened anew with stray cookie %d", n, i)
			}
		}
		if cap(first.Claims) > len(first.Claims)+len(first.Claims)/4 {
			t.Errorf("%d bytes of claims hold %d", len(first.Claims), cap(first.Claims))
		}
	}
}

// threats 44, 47: the memory knows a session by all of its text. What begins or ends as
// one that is known does not open.
func TestSessionMemoryWhole(t *testing.T) {
	s, b := node(t, newClock(), newDisk()), newBrowser()
	b.login(t, s, Session{User: "ada", Claims: large(3000)})
	if got := b.open(s); got != "ada" {
		t.Fatal(got)
	}
	whole := b.request().Cookies()
	for i, cookie := range whole {
		for at := range cookie.Value {
			r := request()
			for k, other := range whole {
				changed := *other
				if k == i {
					changed.Value = other.Value[:at] + string(other.Value[at]^1) + other.Value[at+1:]
				}
				r.AddCookie(&changed)
			}
			if session, err := s.Open(context.Background(), r); err == nil {
				t.Fatalf("cookie %d, changed at %d: %s", i, at, session.User)
			}
		}
	}
	if got := openRequest(s, request(whole[0].String())); got == "ada" {
		t.Error("opened without the second cookie")
	}
}
