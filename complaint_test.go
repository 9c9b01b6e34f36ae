package admit

import (
	"net/http"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"
)

// threat 97: what any client can bring about is said in the log once a minute, by each
// gate and for each kind, however often somebody asks.
func TestComplaints(t *testing.T) {
	for name, tc := range map[string]struct {
		site    loginSite
		host    string
		target  string
		headers []string
		status  int
		line    string // "": none
	}{
		"a forged note of many logins": {
			host: "localhost", target: "/oauth2/login", headers: []string{"Cookie: " + sessionName + ".logins=10." + strconv.FormatInt(now().Unix(), 10)},
			status: 500, line: "a browser logs in again and again",
		},
		"a note of few": {
			host: "localhost", target: "/oauth2/login", headers: []string{"Cookie: " + sessionName + ".logins=9." + strconv.FormatInt(now().Unix(), 10)},
			status: 302,
		},
		"a host beyond the domain": {
			site: loginSite{session: "domain app.localhost"}, host: "localhost", target: "/oauth2/login",
			status: 500, line: "nobody can sign in here",
		},
		"a host of the domain": {
			site: loginSite{session: "domain app.localhost"}, host: "app.localhost", target: "/oauth2/login",
			status: 302,
		},
		"sent on already": {
			site: loginSite{login: "callback http://app.localhost:81/oauth2/callback", session: "domain localhost", options: "insecure_http"},
			host: "localhost", target: "/oauth2/login?sent_on=1",
			status: 500, line: "browsers that are sent to the host of",
		},
		"not sent on yet": {
			site: loginSite{login: "callback http://app.localhost:81/oauth2/callback", session: "domain localhost", options: "insecure_http"},
			host: "localhost", target: "/oauth2/login",
			status: 302,
		},
		"plain http": {host: "far.example", target: "/oauth2/login", status: 400, line: "nobody can log in over plain http"},
	} {
		t.Run(name, func(t *testing.T) {
			f, _ := newProvider(t).serveLogin(tc.site)
			lines := func() (n int) {
				for _, entry := range f.entries("") {
					if msg := entry["msg"].(string); entry["level"] == "error" && (tc.line == "" || strings.HasPrefix(msg, tc.line)) {
						n++
					}
				}
				return n
			}
			ask := func() {
				t.Helper()
				if a := f.ask(http.MethodGet, tc.host, tc.target, append(slices.Clone(navigation), tc.headers...)...); a.StatusCode != tc.status {
					t.Fatalf("got %d, want %d:\n%s", a.StatusCode, tc.status, a.body)
				}
			}
			for range 5 {
				ask()
			}
			want := 0
			if tc.line != "" {
				want = 1
			}
			if got := lines(); got != want {
				t.Errorf("%d lines, want %d", got, want)
			}
			if strings.Contains(name, "note") {
				return // it counts for a minute
			}
			forward(t, time.Minute)
			ask()
			if got := lines(); got != 2*want {
				t.Errorf("%d lines after a minute, want %d", got, 2*want)
			}
		})
	}
}

// A clock that was set back keeps nothing from being said.
func TestSeldom(t *testing.T) {
	var s seldom
	for i, step := range []struct {
		by  time.Duration
		due bool
	}{{0, true}, {0, false}, {time.Minute - time.Second, false}, {2 * time.Second, true}, {-time.Hour, true}, {0, false}} {
		ahead.Add(int64(step.by))
		defer ahead.Add(-int64(step.by))
		if got := s.due(time.Minute); got != step.due {
			t.Errorf("step %d: got %v", i, got)
		}
	}
}
