package oauth

import (
	"net/http/httptest"
	"strings"
	"testing"
	"time"
)

// FuzzSessionOpen: no Cookie header opens a session that does not hold one.
func FuzzSessionOpen(f *testing.F) {
	s := node(f, newClock(), newDisk())
	first, _ := chunks(f, s, "ada", 30)
	a1, a2 := chunks(f, s, "bob", 3000)
	named := strings.NewReplacer("N", s.cookies.name)
	for _, tc := range stripCases {
		f.Add(tc[0])
	}
	f.Add("N=" + first)
	f.Add("N=" + a1 + "; N.1=" + a2)
	f.Fuzz(func(t *testing.T, line string) {
		line = named.Replace(line)
		r := request(line)
		got := openRequest(s, r)
		ada := strings.Contains(line, s.cookies.name) && strings.Contains(line, first)
		bob := strings.Contains(line, s.cookies.second) && strings.Contains(line, a1) && strings.Contains(line, a2)
		switch {
		case got == "none" || got == "invalid":
		case got == "ada" && ada, got == "bob" && bob:
		default:
			t.Errorf("%q: got %s", line, got)
		}
		s.Clear(httptest.NewRecorder(), r)
	})
}

// FuzzParseSession: what is read can be written again to the same bytes' meaning,
// and nothing panics.
func FuzzParseSession(f *testing.F) {
	session := &Session{ID: newSessionID(), User: "ada", Claims: large(30), Stamp: "7", Tokens: Tokens{Refresh: "t"}, Began: time.UnixMilli(1), Ends: time.UnixMilli(2)}
	f.Add(appendSession(nil, session, formSession))
	full := *session
	full.Subject, full.SID, full.IDToken, full.Due = "1815", "s1", "e30.e30.c2ln", time.UnixMilli(3)
	full.Tokens = Tokens{Access: "a", Refresh: "r", Type: "bearer", Scope: "openid", Expires: time.UnixMilli(4)}
	f.Add(appendSession(nil, &full, formSession))
	f.Add(appendSession(nil, session, formReference))
	f.Fuzz(func(t *testing.T, data []byte) {
		session, ok := parseSession(data)
		if !ok {
			return
		}
		again, ok := parseSession(appendSession(nil, session, data[1]))
		if !ok || again.ID != session.ID || again.User != session.User || !again.Ends.Equal(session.Ends) || again.Tokens != session.Tokens || again.IDToken != session.IDToken || !again.Due.Equal(session.Due) {
			t.Errorf("%x: read as %+v, then as %+v", data, session, again)
		}
	})
}
