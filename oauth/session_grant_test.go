package oauth

import (
	"context"
	"encoding/json"
	"reflect"
	"testing"
	"time"
)

// TestSessionGrant: a session holds what the provider said last, and keeps what was
// not said anew.
func TestSessionGrant(t *testing.T) {
	first := &Grant{
		Claims: json.RawMessage(`{"n":1}`), Subject: "1815", SID: "s1", Due: time.UnixMilli(5),
		Tokens: Tokens{Access: "a1", Refresh: "r1", ID: "i1", Type: "bearer", Scope: "openid", Expires: time.UnixMilli(6)},
	}
	session := &Session{User: "ada"}
	session.Take(first)
	if got := session.Grant(); !reflect.DeepEqual(got, first) {
		t.Errorf("got %+v", got)
	}
	session.Take(&Grant{Claims: json.RawMessage(`{"n":2}`), Tokens: Tokens{Access: "a2"}})
	want := &Grant{Claims: json.RawMessage(`{"n":2}`), Subject: "1815", SID: "s1", Tokens: Tokens{Access: "a2", Refresh: "r1", ID: "i1"}}
	if got := session.Grant(); !reflect.DeepEqual(got, want) || session.User != "ada" {
		t.Errorf("then got %+v", got)
	}
}

// TestSessionNoRoomForIDToken: where only cookies are allowed, a session goes
// without an ID token rather than not at all.
func TestSessionNoRoomForIDToken(t *testing.T) {
	for size, want := range map[int]int{1000: 1000, 5000: 0} {
		b, s := newBrowser(), node(t, newClock(), newDisk(), func(c *SessionConfig) { c.Store = "cookie" })
		b.login(t, s, Session{User: "ada", Claims: large(500), Tokens: Tokens{ID: string(large(size))}})
		if got, err := s.Open(context.Background(), b.request()); err != nil || len(got.IDToken) != want || got.User != "ada" {
			t.Errorf("%d bytes: got %d, %v", size, len(got.IDToken), err)
		}
	}
}
