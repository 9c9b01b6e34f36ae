package admit

import (
	"net/http"
	"net/http/httptest"
	"strconv"
	"strings"
	"sync"
	"testing"
	"unsafe"

	"github.com/caddy-admit/admit/claims"
)

// threat 97: a memo answers right from the first to the last question, also past its
// limit, and never grows beyond it.
func TestMemo(t *testing.T) {
	m := memo[string, int]{limit: 50}
	found := map[string]int{}
	var mu sync.Mutex
	ask := func(n int) int {
		key := strconv.Itoa(n)
		return m.get(key, func() int {
			mu.Lock()
			defer mu.Unlock()
			found[key]++
			return n
		})
	}
	var all sync.WaitGroup
	for range 4 {
		all.Go(func() {
			for n := range 200 {
				if got := ask(n % 100); got != n%100 {
					t.Errorf("%d: got %d", n%100, got)
				}
			}
		})
	}
	all.Wait()
	if got := len(*m.known.Load()); got != 50 {
		t.Errorf("%d answers are kept", got)
	}
	kept := 0
	for key := range *m.known.Load() {
		before := found[key]
		n, _ := strconv.Atoi(key)
		if ask(n); found[key] == before {
			kept++
		}
	}
	if kept != 50 {
		t.Errorf("%d of 50 answers are remembered", kept)
	}
}

// threat 97: what is remembered by the host that a client wrote holds on to no request,
// and not to hosts that nobody has.
func TestMemoOfHosts(t *testing.T) {
	m := memo[challenge, string]{limit: 2, own: challenge.own}
	line := strings.Repeat("x", 1000)
	c := challenge{scheme: "Bearer", realm: line[10:20]}
	for range 2 {
		if got := m.get(c, c.text); got != `Bearer realm="xxxxxxxxxx"` {
			t.Errorf("got %s", got)
		}
	}
	for known := range *m.known.Load() {
		if unsafe.StringData(known.realm) == unsafe.StringData(c.realm) {
			t.Error("what is remembered is a part of the request")
		}
	}
	g := newGuard(log())
	g.schemes = []string{"Bearer"}
	for n, host := range []string{strings.Repeat("h", maxHost), strings.Repeat("h", maxHost+1), strings.Repeat("h", 10_000)} {
		r := benchRequest(httptest.NewRequest(http.MethodGet, "/x", http.NoBody))
		r.Host = host
		h := http.Header{}
		g.challenge(h, newRequest(r, r.URL, stateOf(r), survey(r.Header, nil)), &claims.Decision{Reason: claims.MissingCredential}, unauthorized)
		if !strings.Contains(h.Get("Www-Authenticate"), host) {
			t.Errorf("host %d: %q", n, h)
		}
		_ = g.reachable(r, "/oauth2/login", func(*guard) bool { return false })
		if hosts, texts := len(*g.reached.known.Load()), len(*g.challenges.known.Load()); hosts != 1 || texts != 1 {
			t.Errorf("host %d: %d hosts and %d challenges are remembered", n, hosts, texts)
		}
	}
}
