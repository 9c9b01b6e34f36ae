package oauth

import (
	"context"
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/caddy-admit/admit/claims"
)

// threats 45, 47, 97: a node that remembers what it has opened gives the same answers
// as one that opens everything anew, on one stream of logins, logouts, renewals, marks
// of both nodes, clocks, outages, and of cookies that are cut, mixed and doubled. The
// clock is never set back: how old an answer is, is told by the monotonic one.
func TestSessionMemoryChangesNothing(t *testing.T) {
	seen := map[string]int{}
	for seed := range uint64(6) {
		w := newSessionWorld(t, seed)
		for step := range 1200 {
			what := w.change()
			for range 3 {
				r := w.request()
				with := w.answer(r)
				recall := w.forget()
				without := w.answer(r)
				recall()
				// In an outage it depends on what the storage is still being asked from before.
				if with != without && with != "unavailable" && without != "unavailable" {
					t.Fatalf("seed %d, step %d, after %q: with the memory %s, without %s", seed, step, what, with, without)
				}
				seen[strings.Split(with, " ")[0]]++
			}
		}
	}
	t.Logf("answers %v", seen)
	for _, answer := range []string{"ada", "bob", "none", "invalid", "expired", "revoked", "unavailable"} {
		if seen[answer] < 20 {
			t.Errorf("%q came up %d times", answer, seen[answer])
		}
	}
}

// sessionWorld is two nodes of one storage, and browsers.
type sessionWorld struct {
	t           *testing.T
	rnd         *rand.Rand
	clock       *clock
	disk        *disk
	here, there *Sessions
	browsers    []browser
	mappings    [2]*int // of a configuration; which one counts changes
	mapping     int
}

func newSessionWorld(t *testing.T, seed uint64) *sessionWorld {
	w := &sessionWorld{t: t, rnd: rand.New(rand.NewPCG(seed, 1)), clock: newClock(), disk: newDisk(), mappings: [2]*int{new(int), new(int)}}
	in := func(config *SessionConfig) {
		config.Store = []string{"auto", "storage", "cookie"}[seed%3]
		config.Idle, config.Max = 20*time.Minute, time.Hour
	}
	w.here, w.there = node(t, w.clock, w.disk, in), node(t, w.clock, w.disk, in)
	return w
}

func (w *sessionWorld) some() browser { return w.browsers[w.rnd.IntN(len(w.browsers))] }

func (w *sessionWorld) node() *Sessions { return []*Sessions{w.here, w.there}[w.rnd.IntN(2)] }

// login begins a session, of a size that takes one cookie or two.
func (w *sessionWorld) login() {
	b := newBrowser()
	if len(w.browsers) > 0 && w.rnd.IntN(3) == 0 {
		b = w.some()
	}
	user := []string{"ada", "bob"}[w.rnd.IntN(2)]
	set := fmt.Appendf(nil, `{"sub":%q,"pad":%q}`, user, strings.Repeat("x", []int{10, 800, 2600}[w.rnd.IntN(3)]))
	session := &Session{User: user, Claims: json.RawMessage(set)}
	response := httptest.NewRecorder()
	if w.node().Start(context.Background(), response, b.request(), session) != nil {
		return // the storage is down
	}
	b.take(response)
	if w.browsers = append(w.browsers, b); len(w.browsers) > 12 {
		w.browsers = w.browsers[1:]
	}
}

func (w *sessionWorld) change() string {
	if len(w.browsers) < 3 {
		w.login()
		return "login"
	}
	switch w.rnd.IntN(30) {
	case 0, 1, 2:
		w.login()
		return "login"
	case 3, 4, 5, 6, 7:
		w.clock.advance(time.Duration(w.rnd.IntN(7000)) * time.Millisecond)
		return "seconds"
	case 8:
		w.clock.advance(time.Duration(w.rnd.IntN(600)) * time.Second)
		return "minutes"
	case 10:
		_ = w.node().Revoke(context.Background(), []string{"ada", "bob", ""}[w.rnd.IntN(3)], time.Hour)
		return "revocation"
	case 11, 12:
		b, s := w.some(), w.node()
		if session, err := s.Open(context.Background(), b.request()); err == nil {
			copied := b.copy() // somebody may have the cookies still
			response := httptest.NewRecorder()
			_ = s.End(context.Background(), response, b.request(), session)
			b.take(response)
			w.browsers = append(w.browsers, copied)
		}
		return "logout"
	case 13, 14, 15:
		b, s := w.some(), w.node()
		if session, err := s.Open(context.Background(), b.request()); err == nil {
			copied := b.copy()
			response := httptest.NewRecorder()
			_ = s.Renew(context.Background(), response, b.request(), session)
			b.take(response)
			w.browsers = append(w.browsers, copied)
		}
		return "renewal"
	case 16:
		w.mapping = 1 - w.mapping
		return "another mapping"
	case 17:
		if w.rnd.IntN(3) == 0 {
			w.disk.fail("load")
			return "outage"
		}
	}
	w.disk.fail()
	return ""
}

// request is one of a browser, now and then with something else among its cookies.
func (w *sessionWorld) request() *http.Request {
	r, name := w.some().request(), w.here.CookieName()
	other := w.some().request().Cookies()
	switch w.rnd.IntN(14) {
	case 0:
		for _, cookie := range other { // two of one name, or the second of another session
			r.AddCookie(cookie)
		}
	case 1:
		r.AddCookie(&http.Cookie{Name: name + ".1", Value: fmt.Sprint("stray", w.rnd.IntN(100))})
	case 2:
		r.AddCookie(&http.Cookie{Name: name, Value: "forged"})
	case 3, 4:
		cookies := r.Cookies()
		r.Header.Del("Cookie")
		for i, cookie := range cookies {
			if n := len(cookie.Value); n > 0 && w.rnd.IntN(2) == 0 {
				at := w.rnd.IntN(n)
				cookie.Value = cookie.Value[:at] + "A" + cookie.Value[min(n, at+w.rnd.IntN(2)):]
			}
			if i > 0 && w.rnd.IntN(2) == 0 {
				continue // a chunk is missing
			}
			r.AddCookie(cookie)
		}
	case 5:
		r.Header.Del("Cookie")
	case 6:
		r.Header.Set("Cookie", strings.Replace(r.Header.Get("Cookie"), name+"=", name+"=;"+name+"=", 1))
	}
	return r
}

// answer says who a request is from by the mapping of now, or why it is from nobody.
func (w *sessionWorld) answer(r *http.Request) string {
	session, err := w.here.Open(context.Background(), r)
	if err != nil {
		return openedAs(nil, err)
	}
	of := w.mappings[w.mapping]
	id := session.Identity(of, func() *claims.Identity {
		set, err := claims.Parse(session.Claims)
		if err != nil {
			w.t.Fatal(err)
		}
		claim := []string{"sub", "pad"}[w.mapping]
		return (&claims.Mapping{User: []claims.Path{claims.MustPath(claim)}}).Identify(set)
	})
	return fmt.Sprint(session.User, " ", len(id.User()), " ", session.ID, " ", session.Seen.UnixMilli())
}

// forget makes the node forget what it has opened and found out about sessions, until
// it may recall it; what the storage has said it knows all the time.
func (w *sessionWorld) forget() (recall func()) {
	s := w.here
	var known [openedShards]*openedTable
	var bytes [openedShards]int
	for i := range s.memory.shards {
		shard := &s.memory.shards[i]
		known[i], bytes[i], shard.bytes = shard.table.Swap(nil), shard.bytes, 0
	}
	records := map[*Session]*sessionMemo{}
	s.records.mu.Lock()
	defer s.records.mu.Unlock()
	for _, record := range s.records.known {
		records[record.value], record.value.opened = record.value.opened, new(sessionMemo)
	}
	return func() {
		for i := range s.memory.shards {
			shard := &s.memory.shards[i]
			shard.table.Store(known[i])
			shard.bytes = bytes[i]
		}
		for record, opened := range records {
			record.opened = opened
		}
	}
}
