package oauth

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/caddy-admit/admit/internal/store"
)

// TestSessionPlace: in cookies where it fits and may be, else in the storage.
func TestSessionPlace(t *testing.T) {
	var groups []string
	for i := range 600 {
		groups = append(groups, fmt.Sprintf("6f1c0d3e-0000-4000-8000-%012d", i))
	}
	many, _ := json.Marshal(map[string]any{"groups": groups})
	for _, tc := range []struct {
		store   string
		session Session
		want    string
	}{
		{"auto", Session{Claims: large(500)}, "cookie"},
		{"auto", Session{Claims: many}, "storage"},
		{"auto", Session{Tokens: Tokens{Refresh: "refresh"}}, "storage"},
		{"cookie", Session{Claims: large(3000)}, "cookie"},
		{"cookie", Session{Claims: many}, "error"},
		{"cookie", Session{Tokens: Tokens{Refresh: "refresh"}}, "error"},
		{"storage", Session{}, "storage"},
		{"auto", Session{Tokens: Tokens{Access: "access"}}, "storage"},
		{"auto", Session{Due: time.UnixMilli(1)}, "storage"},
		{"auto", Session{IDToken: "id"}, "cookie"},
		{"auto", Session{IDToken: string(large(5000))}, "storage"},
	} {
		b, d := newBrowser(), newDisk()
		s := node(t, newClock(), d, func(c *SessionConfig) { c.Store = tc.store })
		tc.session.User = "ada"
		w, got := httptest.NewRecorder(), "cookie"
		err := s.Start(context.Background(), w, b.request(), &tc.session)
		if b.take(w); err != nil {
			got = "error"
		} else if d.asked("store sessions") > 0 {
			got = "storage"
		}
		if got != tc.want || got == "error" && (!errors.Is(err, ErrSessionSize) || b.open(s) != "none") {
			t.Errorf("%s, %d bytes: got %s, %v, want %s", tc.store, len(tc.session.Claims), got, err, tc.want)
		}
		if opened, err := s.Open(context.Background(), b.request()); got != "error" &&
			(err != nil || string(opened.Claims) != string(tc.session.Claims) || opened.Tokens != tc.session.Tokens) {
			t.Errorf("%s, %d bytes: opened %v", tc.store, len(tc.session.Claims), err)
		}
		if got == "storage" && len(b.request().Header.Get("Cookie")) > 250 {
			t.Errorf("the cookie of a stored session is long: %d bytes", len(b.request().Header.Get("Cookie")))
		}
	}
}

// TestSessionRecord: neither keys nor values of the storage hold what opens a
// session, or what is in it; a record put in place of another opens as neither
// (threat 53).
func TestSessionRecord(t *testing.T) {
	c, d := newClock(), newDisk()
	s, ada, eve := node(t, c, d, inStorage), newBrowser(), newBrowser()
	a := ada.login(t, s, Session{User: "ada.lovelace", Claims: json.RawMessage(`{"secret":"s3cr3t"}`), Tokens: Tokens{Refresh: "refresh t0k3n"}})
	e := eve.login(t, s, Session{User: "eve"})
	keys, _ := d.List(context.Background(), store.Folder(recordFolder))
	if len(keys) != 2 {
		t.Fatalf("%d records", len(keys))
	}
	for _, key := range keys {
		value, _ := d.Load(context.Background(), key)
		for _, text := range []string{a.ID, e.ID, "lovelace", "s3cr3t", "t0k3n", "corp"} {
			if strings.Contains(key, text) || bytes.Contains(value, []byte(text)) {
				t.Errorf("%q is in %q", text, key)
			}
		}
	}
	value, _ := d.Load(context.Background(), s.recordKey(a.ID))
	for what, value := range map[string][]byte{"another's": value, "cut": value[:len(value)-1], "empty": nil} {
		if err := d.Store(context.Background(), s.recordKey(e.ID), value); err != nil {
			t.Fatal(err)
		}
		if got := eve.open(node(t, c, d, inStorage)); got != "invalid" {
			t.Errorf("%s record: got %s", what, got)
		}
	}
}

// TestSessionRecordMemory: a record is loaded once in 5 s.
func TestSessionRecordMemory(t *testing.T) {
	c, d := newClock(), newDisk()
	b, s := newBrowser(), node(t, c, d, inStorage)
	b.login(t, s, Session{User: "ada"})
	for i, want := range []int{0, 0, 1, 0} {
		for range 10 {
			b.open(s)
		}
		if got := d.asked("load sessions"); got != want {
			t.Errorf("step %d: %d loads, want %d", i, got, want)
		}
		c.advance(5 * time.Second / 2)
	}
}

// TestSessionOutage: a storage out of reach is neither a missing nor a good
// session (threat 52), and what needs no storage goes on without.
func TestSessionOutage(t *testing.T) {
	readOnly := []string{"store", "delete", "lock"}
	down := append([]string{"load", "list"}, readOnly...)
	for _, tc := range []struct {
		name   string
		change func(*SessionConfig)
		fails  []string
		wait   time.Duration
		want   string
	}{
		{"in cookies, down for 10 s", nil, down, 10*time.Second - 1, "ada"},
		{"in cookies, down", nil, down, 10 * time.Second, "unavailable"},
		{"in cookies, marks cannot be read", nil, []string{"load marks"}, time.Hour, "unavailable"},
		{"in cookies, read-only", nil, readOnly, 7 * time.Hour, "ada"},
		{"in cookies, idle while down", nil, down, 8 * time.Hour, "expired"},
		{"in storage, down", inStorage, down, 5 * time.Second, "unavailable"},
		{"in storage, records cannot be read", inStorage, []string{"load sessions"}, 5 * time.Second, "unavailable"},
		{"in storage, read-only", inStorage, readOnly, 7 * time.Hour, "ada"},
		{"secret in storage, read-only", noSecret, readOnly, 7 * time.Hour, "ada"},
	} {
		if tc.change == nil {
			tc.change = func(*SessionConfig) {}
		}
		c, d := newClock(), newDisk()
		b, s := newBrowser(), node(t, c, d, tc.change)
		b.login(t, s, Session{User: "ada"})
		b.open(s) // and asks for the marks
		d.fail(tc.fails...)
		c.advance(tc.wait)
		if got := b.open(s); got != tc.want {
			t.Errorf("%s: got %s, want %s", tc.name, got, tc.want)
		}
		if got := newBrowser().open(s); got != "none" {
			t.Errorf("%s: without a cookie: got %s", tc.name, got)
		}
		if tc.want == "ada" {
			b.renew(t, s)
		}
		if d.fail(); tc.want == "unavailable" && tc.wait < time.Hour && b.open(s) != "ada" {
			t.Errorf("%s: it does not count again afterwards", tc.name)
		}
	}
}

// TestSessionWriteOutage: login and logout need to write, and say so (threat 52).
func TestSessionWriteOutage(t *testing.T) {
	for _, change := range []func(*SessionConfig){func(*SessionConfig) {}, inStorage} {
		c, d := newClock(), newDisk()
		b, s := newBrowser(), node(t, c, d, change)
		session := b.login(t, s, Session{User: "ada"})
		d.fail("store")
		w := httptest.NewRecorder()
		if err := s.Start(context.Background(), w, b.request(), &Session{User: "bob"}); !errors.Is(err, store.ErrUnavailable) || len(w.Header()) != 0 {
			t.Errorf("login: got error %v, %v", err, w.Header())
		}
		err := s.End(context.Background(), w, b.request(), session)
		if b.take(w); !errors.Is(err, store.ErrUnavailable) || b.open(s) != "none" {
			t.Errorf("logout: got error %v; the browser is %s", err, b.open(s))
		}
	}
	d := newDisk()
	d.fail("store")
	err := node(t, newClock(), d, inStorage).Start(context.Background(), httptest.NewRecorder(), newBrowser().request(), &Session{})
	if !errors.Is(err, store.ErrUnavailable) {
		t.Errorf("first login: got error %v", err)
	}
}

// TestSessionSecret: one secret is made, by whoever comes first, and kept; without
// a storage there is none (threat 52).
func TestSessionSecret(t *testing.T) {
	c, d := newClock(), newDisk()
	nodes := []*Sessions{node(t, c, d, noSecret), node(t, c, d, noSecret)}
	browsers := make([]browser, 20)
	var wg sync.WaitGroup
	for i := range browsers {
		browsers[i] = newBrowser()
		wg.Go(func() { browsers[i].login(t, nodes[i%2], Session{User: "ada"}) })
	}
	wg.Wait()
	if got := d.asked("store secrets"); got != 1 {
		t.Errorf("%d secrets were made", got)
	}
	restarted := node(t, c, d, noSecret)
	for _, b := range browsers {
		if got := b.open(nodes[0]) + " " + b.open(nodes[1]) + " " + b.open(restarted); got != "ada ada ada" {
			t.Errorf("got %s", got)
		}
	}
	if got := d.asked("load secrets"); got > 5 {
		t.Errorf("%d loads of the secret", got)
	}
	other := node(t, c, d, noSecret, func(c *SessionConfig) { c.Integration = "other" })
	if got := browsers[0].open(other); got != "invalid" {
		t.Errorf("other integration: got %s", got)
	}
	d.fail("load", "store", "lock")
	restarted = node(t, c, d, noSecret)
	if got := browsers[0].open(restarted) + " " + newBrowser().open(restarted); got != "unavailable none" {
		t.Errorf("down: got %s", got)
	}
	err := restarted.Start(context.Background(), httptest.NewRecorder(), newBrowser().request(), &Session{})
	if !errors.Is(err, store.ErrUnavailable) {
		t.Errorf("login while down: got error %v", err)
	}
	if d.fail(); browsers[0].open(restarted) != "ada" {
		t.Error("down for ever")
	}
	if err := d.Store(context.Background(), store.Key("secrets", "corp", secretName), []byte("short")); err != nil {
		t.Fatal(err)
	}
	if got := browsers[0].open(node(t, c, d, noSecret)); got != "unavailable" {
		t.Errorf("damaged secret: got %s", got)
	}
}

// TestSessionRenewRecord: renewal changes the record as it is, never brings back
// one that is gone, and is no error where it fails (threats 51 and 69).
func TestSessionRenewRecord(t *testing.T) {
	c, d := newClock(), newDisk()
	here, there := node(t, c, d, inStorage), node(t, c, d, inStorage)
	b := newBrowser()
	session := b.login(t, here, Session{User: "ada", Tokens: Tokens{Refresh: "old"}})
	seals, _ := there.seals.get(context.Background(), secretName)
	c.advance(time.Hour)
	b.open(here) // which remembers the record, when another node replaces the tokens
	newer := *session
	newer.Tokens.Refresh = "new"
	if err := there.storeRecord(context.Background(), seals, &newer); err != nil {
		t.Fatal(err)
	}
	b.renew(t, here)
	got, err := node(t, c, d, inStorage).Open(context.Background(), b.request())
	if err != nil || got.Tokens.Refresh != "new" || !got.Seen.Equal(c.now()) {
		t.Fatalf("got %+v, %v", got, err)
	}

	// What another node has noted is not noted again.
	c.advance(time.Hour)
	b.open(here)
	b.open(there)
	b.renew(t, there)
	if d.asked("store sessions"); len(b.renew(t, here).Header()) != 0 || d.asked("store sessions") != 0 {
		t.Error("noted twice")
	}

	// After a failure nobody tries for 10 s.
	d.fail("store")
	d.asked("lock sessions")
	for _, step := range []struct {
		wait  time.Duration
		tries int
	}{{time.Hour, 1}, {5 * time.Second, 0}, {5 * time.Second, 1}} {
		c.advance(step.wait)
		b.renew(t, here)
		if got := d.asked("lock sessions"); got != step.tries {
			t.Errorf("after %v: %d attempts, want %d", step.wait, got, step.tries)
		}
	}
	d.fail()

	// One that another node has just deleted stays deleted.
	c.advance(time.Hour)
	b.open(here)
	held, err := here.Open(context.Background(), b.request())
	if err != nil {
		t.Fatal(err)
	}
	b.copy().logout(t, there)
	d.asked("store sessions")
	if err := here.Renew(context.Background(), httptest.NewRecorder(), b.request(), held); err != nil || d.asked("store sessions") != 0 {
		t.Errorf("renewal of a deleted record: %v", err)
	}
	// Until the marks are asked for again, at most.
	if c.advance(10 * time.Second); b.open(here) != "revoked" {
		t.Errorf("got %s", b.open(here))
	}
}

// TestSweep: what has ended is deleted, what counts stays, other folders are left
// alone (threat 97).
func TestSweep(t *testing.T) {
	c, d := newClock(), newDisk()
	s, b, idle, gone := node(t, c, d, inStorage, noSecret), newBrowser(), newBrowser(), newBrowser()
	b.login(t, s, Session{User: "ada"})
	idle.login(t, s, Session{User: "bob"})
	gone.login(t, s, Session{User: "eve"})
	thief := gone.copy()
	gone.logout(t, s)
	count := func(folder string) int {
		keys, err := d.List(context.Background(), store.Folder(folder))
		if err != nil {
			t.Fatal(err)
		}
		return len(keys)
	}
	for _, step := range []struct {
		wait           time.Duration
		records, marks int
		want           string // ada, bob, the copy of eve's cookie
	}{
		{7 * time.Hour, 2, 1, "ada bob revoked"},
		{2 * time.Hour, 1, 1, "ada expired revoked"},
		{6 * time.Hour, 1, 1, "ada expired revoked"},
		{9 * time.Hour, 0, 1, "expired expired expired"},
		{9 * time.Minute, 0, 1, "expired expired expired"}, // clocks differ
		{2 * time.Minute, 0, 0, "expired expired expired"},
	} {
		c.advance(step.wait)
		if b.open(s) == "ada" {
			b.renew(t, s)
		}
		if err := SweepSessions(context.Background(), d, c.now()); err != nil {
			t.Fatal(err)
		}
		fresh := node(t, c, d, inStorage, noSecret)
		got := b.open(fresh) + " " + idle.open(fresh) + " " + thief.open(fresh)
		if records, marks := count(recordFolder), count(markFolder); records != step.records || marks != step.marks || got != step.want {
			t.Errorf("after %v: %d records, %d marks, %s", step.wait, records, marks, got)
		}
	}
	if count("secrets") != 1 {
		t.Error("the secret was swept")
	}
	for _, operation := range []string{"lock", "list", "load", "delete"} {
		s.Mark(context.Background(), MarkAll, "", c.now().Add(-time.Hour))
		d.fail(operation)
		if err := SweepSessions(context.Background(), d, c.now()); !errors.Is(err, store.ErrUnavailable) {
			t.Errorf("%s fails: got error %v", operation, err)
		}
		d.fail()
	}
	// A folder that cannot be read keeps none of the others.
	b.login(t, s, Session{User: "ada"})
	s.Mark(context.Background(), MarkAll, "", c.now().Add(-time.Hour))
	c.advance(48 * time.Hour)
	d.fail("list " + recordFolder)
	if err := SweepSessions(context.Background(), d, c.now()); !errors.Is(err, store.ErrUnavailable) {
		t.Errorf("got error %v", err)
	}
	d.fail()
	if records, marks := count(recordFolder), count(markFolder); records != 1 || marks != 0 {
		t.Errorf("%d records, %d marks", records, marks)
	}
}
