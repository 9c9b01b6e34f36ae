package oauth

import (
	"net/http"
	"strconv"
	"strings"
	"time"
)

const (
	loopInfix  = ".logins"   // stands in the name of the cookie, after that of the session
	loopWindow = time.Minute // in which logins are counted
	loopLimit  = 10          // more logins than any person makes in that time
	loopValues = len("10.1234567890")
)

// CountLogin notes in the browser that it has just logged in. The note says nothing
// about who it is and proves nothing: whoever forges it stops nobody but himself.
func (s *Sessions) CountLogin(w http.ResponseWriter, r *http.Request) {
	count, since := s.countedLogins(r)
	if count == 0 {
		since = s.now()
	}
	value := strconv.Itoa(count+1) + "." + strconv.FormatInt(since.Unix(), 10)
	s.cookies.set(w, s.cookies.name+loopInfix, value, loopWindow)
}

// Looping reports whether a browser has logged in over and over within a minute: its
// session does not count when it comes back, and the provider, which knows it, sends
// it round again. Only stopping it ends that (threat 65).
func (s *Sessions) Looping(r *http.Request) bool {
	count, _ := s.countedLogins(r)
	return count >= loopLimit
}

// countedLogins reads the note of a browser, if it is one of the last minute.
func (s *Sessions) countedLogins(r *http.Request) (count int, since time.Time) {
	for name, value := range cookies(r.Header["Cookie"]) {
		if name != s.cookies.name+loopInfix || len(value) > loopValues {
			continue
		}
		text, at, _ := strings.Cut(value, ".")
		n, err := strconv.Atoi(text)
		seconds, errAt := strconv.ParseInt(at, 10, 64)
		age := s.now().Sub(time.Unix(seconds, 0))
		if err == nil && errAt == nil && n > count && n <= loopLimit && age >= -leeway && age < loopWindow {
			count, since = n, time.Unix(seconds, 0)
		}
	}
	return count, since
}
