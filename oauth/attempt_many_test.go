package oauth

import (
	"context"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
)

// manyStates is a request with as many cookies that look like logins under way as fit
// into its headers.
func manyStates(cookie string) *http.Request {
	var line strings.Builder
	for i := 0; line.Len() < 16<<10; i++ {
		fmt.Fprintf(&line, "%s%s%d=A; ", cookie, stateInfix, i)
	}
	r := httptest.NewRequest(http.MethodGet, "/", nil)
	r.Header["Cookie"] = []string{line.String() + "a=b"}
	return r
}

// threats 62, 97: whoever sends hundreds of states makes no more work than one can: some
// are deleted, and the login goes on.
func TestManyStates(t *testing.T) {
	s := node(t, newClock(), newDisk(), func(*SessionConfig) {})
	w := httptest.NewRecorder()
	if _, err := s.Begin(context.Background(), w, manyStates(s.config.Cookie), Login, "/a", false); err != nil {
		t.Fatal(err)
	}
	if lines := w.Header()["Set-Cookie"]; len(lines) != maxDropped+1 {
		t.Errorf("%d cookies: %q", len(lines), lines)
	}
	few := testing.AllocsPerRun(20, func() {
		_, _ = s.Begin(context.Background(), httptest.NewRecorder(), httptest.NewRequest(http.MethodGet, "/", nil), Login, "/a", false)
	})
	r := manyStates(s.config.Cookie)
	many := testing.AllocsPerRun(20, func() { _, _ = s.Begin(context.Background(), httptest.NewRecorder(), r, Login, "/a", false) })
	if many > few+400 {
		t.Errorf("%v pieces of memory, %v without them", many, few)
	}
}

// What it costs to begin a login.
func BenchmarkBegin(b *testing.B) {
	s := node(b, newClock(), newDisk(), func(*SessionConfig) {})
	for name, r := range map[string]*http.Request{"none": httptest.NewRequest(http.MethodGet, "/", nil), "many": manyStates(s.config.Cookie)} {
		b.Run(name, func(b *testing.B) {
			for b.Loop() {
				_, _ = s.Begin(context.Background(), httptest.NewRecorder(), r, Login, "/a", false)
			}
		})
	}
}
