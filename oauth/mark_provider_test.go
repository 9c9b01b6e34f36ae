package oauth

import (
	"context"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/caddy-admit/admit/internal/store"
)

// TestMarkProvider: what the provider names ends, here at once and elsewhere after
// 10 s, and nothing else: sid and sub must both fit where both are given, and two
// marks of one sid do not replace each other (threat 74).
func TestMarkProvider(t *testing.T) {
	type pair [2]string // sid, sub
	for _, tc := range []struct {
		marks []pair
		want  string // ada's two sessions s1 and s2, bob's s3, one without either
	}{
		{[]pair{{"s1", ""}}, "revoked ada bob eve"},
		{[]pair{{"S1", ""}}, "ada ada bob eve"},
		{[]pair{{"", "1815"}}, "revoked revoked bob eve"},
		{[]pair{{"", "181"}}, "ada ada bob eve"},
		{[]pair{{"s1", "1815"}}, "revoked ada bob eve"},
		{[]pair{{"s1", "1816"}}, "ada ada bob eve"},
		{[]pair{{"s3", "1815"}}, "ada ada bob eve"},
		{[]pair{{"1815", "s1"}}, "ada ada bob eve"},
		{[]pair{{"s", "11815"}}, "ada ada bob eve"},
		{[]pair{{"1815", ""}, {"", "s1"}}, "ada ada bob eve"},
		{[]pair{{"s1", "1815"}, {"s1", "1816"}}, "revoked ada bob eve"},
		{[]pair{{"s1", ""}, {"s1", "1816"}}, "revoked ada bob eve"},
		{[]pair{{"s1", ""}, {"s3", ""}}, "revoked ada revoked eve"},
	} {
		c, d := newClock(), newDisk()
		here, there := node(t, c, d, inStorage), node(t, c, d, inStorage)
		var browsers []browser
		for _, session := range []Session{
			{User: "ada", SID: "s1", Subject: "1815"},
			{User: "ada", SID: "s2", Subject: "1815"},
			{User: "bob", SID: "s3", Subject: "1816"},
			{User: "eve"},
		} {
			b := newBrowser()
			b.login(t, here, session)
			b.open(there)
			browsers = append(browsers, b)
		}
		all := func(s *Sessions) string {
			var got []string
			for _, b := range browsers {
				got = append(got, b.open(s))
			}
			return strings.Join(got, " ")
		}
		c.advance(time.Second)
		for _, m := range tc.marks {
			if err := here.MarkProvider(context.Background(), m[0], m[1], c.now()); err != nil {
				t.Fatal(err)
			}
		}
		got := all(here)
		c.advance(10 * time.Second)
		if later := all(there); got != tc.want || later != tc.want {
			t.Errorf("%v: got %s, there %s, want %s", tc.marks, got, later, tc.want)
		}
		// The mark lives as long as the sessions do, whatever the caller said.
		c.advance(7 * time.Hour)
		if err := SweepSessions(context.Background(), d, c.now()); err != nil {
			t.Fatal(err)
		}
		if got := all(node(t, c, d, inStorage)); got != tc.want {
			t.Errorf("%v: after a sweep got %s, want %s", tc.marks, got, tc.want)
		}
	}
}

// TestMarkProviderAgain: who logs in again is in, and a sid is dead for a minute
// more, for the login that was under way and for a clock that is ahead.
func TestMarkProviderAgain(t *testing.T) {
	for _, tc := range []struct {
		sid, sub string
		after    time.Duration
		want     string
	}{
		{"", "1815", time.Millisecond, "ada"},
		{"", "1815", 0, "revoked"},
		{"s1", "", time.Minute, "revoked"},
		{"s1", "", time.Minute + time.Millisecond, "ada"},
		{"s1", "1815", time.Minute, "revoked"},
		{"s1", "1815", time.Minute + time.Millisecond, "ada"},
		{"s0", "1815", time.Millisecond, "ada"},
	} {
		c, d := newClock(), newDisk()
		s, b := node(t, c, d, inStorage), newBrowser()
		if err := s.MarkProvider(context.Background(), tc.sid, tc.sub, c.now()); err != nil {
			t.Fatal(err)
		}
		c.advance(tc.after)
		b.login(t, s, Session{User: "ada", SID: "s1", Subject: "1815"})
		if got := b.open(s) + " " + b.open(node(t, c, d, inStorage)); got != tc.want+" "+tc.want {
			t.Errorf("%+v: got %s", tc, got)
		}
	}
}

// TestMarkProviderRefused: sessions in cookies are out of the provider's reach, and
// it is told so (threat 77); a storage that is down is an error too (threat 52).
func TestMarkProviderRefused(t *testing.T) {
	c, d := newClock(), newDisk()
	for _, in := range []string{"", "auto", "cookie"} {
		s := node(t, c, d, func(c *SessionConfig) { c.Store = in })
		if err := s.MarkProvider(context.Background(), "s1", "1815", c.now()); !errors.Is(err, ErrNoMarks) {
			t.Errorf("store %q: got error %v", in, err)
		}
	}
	s, b := node(t, c, d, inStorage), newBrowser()
	b.login(t, s, Session{User: "ada", SID: "s1", Subject: "1815"})
	if err := s.MarkProvider(context.Background(), "", "", c.now()); err == nil || b.open(s) != "ada" {
		t.Errorf("nothing named: got error %v", err)
	}
	d.fail("store")
	if err := s.MarkProvider(context.Background(), "s1", "", c.now()); !errors.Is(err, store.ErrUnavailable) || b.open(s) != "revoked" {
		t.Errorf("storage down: got error %v, session %s", err, b.open(s))
	}
}

// TestMarkProviderKeys: what lies in the storage names nobody (threat 53).
func TestMarkProviderKeys(t *testing.T) {
	c, d := newClock(), newDisk()
	s := node(t, c, d, inStorage)
	if err := s.MarkProvider(context.Background(), "sid-1", "subject-1815", c.now()); err != nil {
		t.Fatal(err)
	}
	keys, _ := d.List(context.Background(), store.Folder(markFolder))
	for _, key := range keys {
		value, _ := d.Load(context.Background(), key)
		if text := key + string(value); strings.Contains(text, "1815") || strings.Contains(text, "sid-1") {
			t.Errorf("%q", text)
		}
	}
	if len(keys) != 1 {
		t.Errorf("%d marks", len(keys))
	}
}

// TestMarkProviderLoads: sessions in cookies do not ask for marks of a provider.
func TestMarkProviderLoads(t *testing.T) {
	for in, want := range map[string]int{"cookie": 3, "storage": 6} {
		c, d := newClock(), newDisk()
		change := func(c *SessionConfig) { c.Store = in }
		b := newBrowser()
		b.login(t, node(t, c, d, change), Session{User: "ada", SID: "s1", Subject: "1815"})
		b.open(node(t, c, d, change))
		if got := d.asked("load marks"); got != want {
			t.Errorf("%s: %d loads, want %d", in, got, want)
		}
	}
}
