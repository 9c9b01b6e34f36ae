package oauth

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/caddy-admit/admit/internal/store"
)

// begin starts an attempt; the browser has its cookie.
func (b browser) begin(t testing.TB, s *Sessions, kind AttemptKind, returnTo string) *Attempt {
	t.Helper()
	w := httptest.NewRecorder()
	a, err := s.Begin(context.Background(), w, b.request(), kind, returnTo, false)
	if err != nil {
		t.Fatal(err)
	}
	b.take(w)
	return a
}

// finish says how an attempt ends: where it returns to, or the error.
func (b browser) finish(s *Sessions, kind AttemptKind, state string) string {
	w := httptest.NewRecorder()
	got := finishRequest(s, w, b.request(), kind, state)
	b.take(w)
	return got
}

func finishRequest(s *Sessions, w http.ResponseWriter, r *http.Request, kind AttemptKind, state string) string {
	a, err := s.Finish(context.Background(), w, r, kind, state)
	switch {
	case errors.Is(err, ErrStateInvalid):
		return "invalid"
	case errors.Is(err, store.ErrUnavailable):
		return "unavailable"
	case err != nil:
		return err.Error()
	}
	return a.ReturnTo
}

// states returns the cookies of attempts that the browser has.
func (b browser) states() (cookies []*http.Cookie) {
	for _, cookie := range b.Cookies(site) {
		if strings.Contains(cookie.Name, stateInfix) {
			cookies = append(cookies, cookie)
		}
	}
	return cookies
}

// TestAttemptValues: what is derived has the form that the protocol asks for, is
// the same when the browser comes back, and is never that of another attempt
// (threats 57, 58 and 100).
func TestAttemptValues(t *testing.T) {
	s, b := node(t, newClock(), newDisk()), newBrowser()
	a, other := b.begin(t, s, Login, "/a"), b.begin(t, s, Login, "/a")
	seen := map[string]bool{}
	for _, value := range []string{
		a.State(), a.Nonce(), a.Verifier(), a.Challenge(), other.State(), other.Nonce(), other.Verifier(), other.Challenge(),
		strings.TrimPrefix(a.State(), "corp."), strict64.EncodeToString(a.seed[:]), stateID(a.State()),
	} {
		if seen[value] || len(value) < 16 {
			t.Errorf("twice or too short: %q", value)
		}
		seen[value] = true
	}
	sum := sha256.Sum256([]byte(a.Verifier()))
	if len(a.Verifier()) != 43 || len(a.Nonce()) != 43 || a.Challenge() != strict64.EncodeToString(sum[:]) || !strings.HasPrefix(a.State(), "corp.") {
		t.Errorf("verifier %q, challenge %q, state %q", a.Verifier(), a.Challenge(), a.State())
	}
	back, err := s.Finish(context.Background(), httptest.NewRecorder(), b.request(), Login, a.State())
	if err != nil || back.seed != a.seed || back.State() != a.State() || back.Verifier() != a.Verifier() || back.Nonce() != a.Nonce() || back.ReturnTo != "/a" {
		t.Fatalf("came back otherwise: %v", err)
	}
	for _, text := range []string{fmt.Sprint(a), fmt.Sprintf("%+v", a), fmt.Sprintf("%v", b.states()), strings.Join(b.request().Header["Cookie"], ";")} {
		for _, value := range []string{a.State(), a.Nonce(), a.Verifier(), fmt.Sprint(a.seed)} {
			if strings.Contains(text, value) {
				t.Errorf("a secret is in %q", text)
			}
		}
	}
}

func TestStateIntegration(t *testing.T) {
	random := strings.Repeat("aA0_-bcd", 4)
	for state, want := range map[string]string{
		"corp." + random:            "corp",
		"a_b-1." + random:           "a_b-1",
		"":                          "",
		".":                         "",
		"corp":                      "",
		"corp.":                     "",
		"." + random:                "",
		random:                      "",
		"Corp." + random:            "",
		"co/rp." + random:           "",
		"corp." + random[1:]:        "",
		"corp." + random + "a":      "",
		"corp.." + random[1:]:       "",
		"corp.x." + random[2:]:      "",
		"corp." + random[1:] + "=":  "",
		"corp." + random[1:] + "\n": "",
		"inline-" + strings.Repeat("f", 32) + "." + random: "inline-" + strings.Repeat("f", 32),
		strings.Repeat("a", 40) + "." + random:             "",
	} {
		if got, ok := StateIntegration(state); got != want || ok != (want != "") {
			t.Errorf("%q: got %q, %v, want %q", state, got, ok, want)
		}
	}
}

// TestAttemptReturn: a target survives, whether in the cookie or in the storage;
// one that is not safe or too long does not (threats 56 and 63).
func TestAttemptReturn(t *testing.T) {
	of := func(n int) string { return "/" + strings.Repeat("x", n-1) }
	for _, tc := range []struct {
		target, want string
		stored       int
	}{
		{"/deep/link?a=1&b=%2F", "/deep/link?a=1&b=%2F", 0},
		{of(256), of(256), 0},
		{of(257), of(257), 1},
		{of(2048), of(2048), 1},
		{of(2049), "/", 0},
		{"", "/", 0},
		{"//evil.example", "/", 0},
		{"/a\r\nb", "/", 0},
		{"https://evil.example/", "/", 0},
		{"https://app.example.com/x", "/", 0}, // the session has no domain
	} {
		for _, kind := range []AttemptKind{Login, Logout} {
			d, b := newDisk(), newBrowser()
			s, want := node(t, newClock(), d), tc.want
			if kind == Logout && tc.target == "" {
				want = "" // a page says that it is done
			}
			a := b.begin(t, s, kind, tc.target)
			if stored := d.asked("store returns"); stored != tc.stored || a.ReturnTo != want {
				t.Errorf("%.40q: %d stored, returns to %.40q", tc.target, stored, a.ReturnTo)
			}
			if got := b.finish(s, kind, a.State()); got != want || len(b.states()) != 0 {
				t.Errorf("%.40q: got %.40q, %d cookies left", tc.target, got, len(b.states()))
			}
			if keys, _ := d.List(context.Background(), store.Folder(targetFolder)); len(keys) != 0 {
				t.Errorf("%.40q: %d left in the storage", tc.target, len(keys))
			}
		}
	}
}

// TestAttemptRefused: an answer counts for the attempt that this browser has under
// way, for that kind, within ten minutes and once (threat 55).
func TestAttemptRefused(t *testing.T) {
	name := func(a *Attempt) string { return "__Host-admit-corp.state." + stateID(a.State()) }
	for _, tc := range []struct {
		name string
		do   func(c *clock, s *Sessions, b browser, a, other *Attempt, r *http.Request) string
		want string
	}{
		{"in time", func(c *clock, s *Sessions, _ browser, a, _ *Attempt, r *http.Request) string {
			c.advance(10*time.Minute - 1)
			return finishRequest(s, httptest.NewRecorder(), r, Login, a.State())
		}, "/a"},
		{"late", func(c *clock, s *Sessions, _ browser, a, _ *Attempt, r *http.Request) string {
			c.advance(10 * time.Minute)
			return finishRequest(s, httptest.NewRecorder(), r, Login, a.State())
		}, "invalid"},
		{"clock a little behind", func(c *clock, s *Sessions, _ browser, a, _ *Attempt, r *http.Request) string {
			c.advance(-time.Minute)
			return finishRequest(s, httptest.NewRecorder(), r, Login, a.State())
		}, "/a"},
		{"clock set back", func(c *clock, s *Sessions, _ browser, a, _ *Attempt, r *http.Request) string {
			c.advance(-time.Minute - time.Second)
			return finishRequest(s, httptest.NewRecorder(), r, Login, a.State())
		}, "invalid"},
		{"as a logout", func(_ *clock, s *Sessions, _ browser, a, _ *Attempt, r *http.Request) string {
			return finishRequest(s, httptest.NewRecorder(), r, Logout, a.State())
		}, "invalid"},
		{"after that as what it is", func(_ *clock, s *Sessions, _ browser, a, _ *Attempt, r *http.Request) string {
			finishRequest(s, httptest.NewRecorder(), r, Logout, a.State())
			return finishRequest(s, httptest.NewRecorder(), r, Login, a.State())
		}, "/a"},
		{"twice", func(_ *clock, s *Sessions, b browser, a, _ *Attempt, _ *http.Request) string {
			b.finish(s, Login, a.State())
			return b.finish(s, Login, a.State())
		}, "invalid"},
		{"twice with a copy of the cookie", func(_ *clock, s *Sessions, b browser, a, _ *Attempt, _ *http.Request) string {
			thief := b.copy()
			b.finish(s, Login, a.State())
			return thief.finish(s, Login, a.State())
		}, "invalid"},
		{"the other too", func(_ *clock, s *Sessions, b browser, a, other *Attempt, _ *http.Request) string {
			return b.finish(s, Login, a.State()) + b.finish(s, Login, other.State())
		}, "/a/b"},
		{"another browser", func(_ *clock, s *Sessions, _ browser, a, _ *Attempt, _ *http.Request) string {
			return newBrowser().finish(s, Login, a.State())
		}, "invalid"},
		{"the cookie of the other", func(_ *clock, s *Sessions, _ browser, a, other *Attempt, r *http.Request) string {
			r = request(strings.Join(r.Header["Cookie"], "; "), strings.ReplaceAll(strings.Join(r.Header["Cookie"], "; "), name(other), name(a)))
			return finishRequest(s, httptest.NewRecorder(), r, Login, a.State())
		}, "/a"},
		{"only the cookie of the other", func(_ *clock, s *Sessions, b browser, a, other *Attempt, _ *http.Request) string {
			var value string
			for _, c := range b.states() {
				if c.Name == name(other) {
					value = c.Value
				}
			}
			r := request(name(a) + "=" + value)
			return finishRequest(s, httptest.NewRecorder(), r, Login, a.State())
		}, "invalid"},
		{"its random part under another integration", func(_ *clock, s *Sessions, b browser, a, _ *Attempt, r *http.Request) string {
			return finishRequest(s, httptest.NewRecorder(), r, Login, "corp2."+strings.TrimPrefix(a.State(), "corp."))
		}, "invalid"},
		{"one character of the state", func(_ *clock, s *Sessions, b browser, a, _ *Attempt, r *http.Request) string {
			last := a.State()[len(a.State())-1]
			return finishRequest(s, httptest.NewRecorder(), r, Login, a.State()[:len(a.State())-1]+string(rune(last^1)))
		}, "invalid"},
		{"no state", func(_ *clock, s *Sessions, _ browser, _, _ *Attempt, r *http.Request) string {
			return finishRequest(s, httptest.NewRecorder(), r, Login, "")
		}, "invalid"},
		{"no cookie", func(_ *clock, s *Sessions, _ browser, a, _ *Attempt, _ *http.Request) string {
			return finishRequest(s, httptest.NewRecorder(), request(), Login, a.State())
		}, "invalid"},
	} {
		c, b := newClock(), newBrowser()
		s := node(t, c, newDisk())
		a, other := b.begin(t, s, Login, "/a"), b.begin(t, s, Login, "/b")
		if got := tc.do(c, s, b, a, other, b.request()); got != tc.want {
			t.Errorf("%s: got %s, want %s", tc.name, got, tc.want)
		}
	}
}

// TestAttemptOnce: of several answers at once one counts (threats 55 and 67).
func TestAttemptOnce(t *testing.T) {
	s, b := node(t, newClock(), newDisk()), newBrowser()
	a := b.begin(t, s, Login, "/a")
	var wait sync.WaitGroup
	results := make([]string, 20)
	for i := range results {
		wait.Go(func() { results[i] = finishRequest(s, httptest.NewRecorder(), b.request(), Login, a.State()) })
	}
	wait.Wait()
	if n := strings.Count(strings.Join(results, " "), "/a"); n != 1 {
		t.Errorf("%d of them count", n)
	}
	// What is remembered of that is bounded, and goes when a copy is too old anyway
	// (threat 97).
	now := newClock().now()
	for i := range 3 * maxSpent {
		s.spent.take(fmt.Sprint(i), now)
	}
	if n := len(s.spent.until); n > maxSpent {
		t.Errorf("%d are remembered", n)
	}
	s.spent.forget(now.Add(attemptLife + leeway))
	if n := len(s.spent.until); n != 0 {
		t.Errorf("%d are remembered for ever", n)
	}
}

// TestAttemptForged: an edited, cut or foreign cookie belongs to no attempt
// (threats 44 and 50).
func TestAttemptForged(t *testing.T) {
	c := newClock()
	s, b := node(t, c, newDisk()), newBrowser()
	a := b.begin(t, s, Login, "/a")
	name, good := b.states()[0].Name, b.states()[0].Value
	ask := func(value string) string {
		s.spent = new(Spent)
		return finishRequest(s, httptest.NewRecorder(), request(name+"="+value), Login, a.State())
	}
	for i := range good {
		if ask(good[:i]+string(rune(good[i]^1))+good[i+1:]) != "invalid" || ask(good[:i]) != "invalid" {
			t.Fatalf("opens with byte %d changed, or cut there", i)
		}
	}
	seals, _ := s.seals.get(context.Background(), secretName)
	plain := appendAttempt(nil, a)
	sealed := func(plain []byte) string { return strict64.EncodeToString(seals.attempt.Seal(nil, plain)) }
	changed := func(i int, b byte) string {
		other := append([]byte(nil), plain...)
		other[i] = b
		return sealed(other)
	}
	both := *a
	both.stored = true
	if got := ask(sealed(plain)) + ask(good); got != "/a/a" {
		t.Fatalf("got %s", got)
	}
	for what, value := range map[string]string{
		"padded":              good + "=",
		"quoted":              `"` + good + `"`,
		"with a line break":   good[:8] + "\n" + good[8:],
		"another version":     changed(0, attemptVersion+1),
		"another kind":        changed(1, byte(Logout)),
		"no kind":             changed(1, 0),
		"a target in storage": changed(2, 1),
		"more than it is":     sealed(append(plain[:len(plain):len(plain)], 0)),
		"less than it is":     sealed(plain[:len(plain)-1]),
		"nothing":             sealed(nil),
		"sealed as a session": strict64.EncodeToString(seals.cookie.Seal(nil, plain)),
		"sealed as a record":  strict64.EncodeToString(seals.record.Seal(nil, plain)),
		"sealed as a target":  strict64.EncodeToString(seals.target.Seal(nil, plain)),
		"a session":           s.cookies.seal(seals.cookie, &Session{ID: newSessionID(), User: "ada"}),
	} {
		if got := ask(value); got != "invalid" {
			t.Errorf("%s: got %s", what, got)
		}
	}
	if got := openRequest(s, request(s.cookies.name+"="+good)); got != "invalid" {
		t.Errorf("as a session: got %s", got)
	}
}

// TestAttemptForeign: an attempt counts for the integration, issuer, client, cookie
// and domain that it was made for, on all nodes, and as long as its secret is in
// the list (threats 44 and 50).
func TestAttemptForeign(t *testing.T) {
	for name, tc := range map[string]struct {
		change func(*SessionConfig)
		want   string
	}{
		"the same":          {func(*SessionConfig) {}, "/a"},
		"rotated":           {func(c *SessionConfig) { c.Secrets = [][]byte{secret(2), secret(1)} }, "/a"},
		"other attributes":  {func(c *SessionConfig) { c.SameSite = "strict"; c.Store = "storage" }, "/a"},
		"secret removed":    {func(c *SessionConfig) { c.Secrets = [][]byte{secret(2)} }, "invalid"},
		"other integration": {func(c *SessionConfig) { c.Integration = "corp2" }, "invalid"},
		"other issuer":      {func(c *SessionConfig) { c.Issuer += "/" }, "invalid"},
		"other client":      {func(c *SessionConfig) { c.ClientID = "app2" }, "invalid"},
		"with a domain":     {func(c *SessionConfig) { c.Domain = "example.com" }, "invalid"},
		"other name":        {func(c *SessionConfig) { c.Cookie = "__Secure-other" }, "invalid"},
	} {
		c, d := newClock(), newDisk()
		plain := func(c *SessionConfig) { c.Cookie = "__Secure-x" }
		b, s := newBrowser(), node(t, c, d, plain)
		a := b.begin(t, s, Login, "/a")
		other := node(t, c, d, plain, tc.change)
		r := request(strings.Replace(b.request().Header.Get("Cookie"), s.cookies.name+".", other.cookies.name+".", 1))
		state := other.config.Integration + strings.TrimPrefix(a.State(), "corp")
		r.Header["Cookie"] = append(r.Header["Cookie"], strings.Replace(r.Header.Get("Cookie"), stateID(a.State()), stateID(state), 1))
		if got := finishRequest(other, httptest.NewRecorder(), r, Login, state); got != tc.want {
			t.Errorf("%s: got %s, want %s", name, got, tc.want)
		}
	}
	// A secret that is kept in the storage is needed here too.
	d, b := newDisk(), newBrowser()
	a := b.begin(t, node(t, newClock(), d, noSecret), Login, "/a")
	d.fail("load secrets")
	down := node(t, newClock(), d, noSecret)
	if _, err := down.Begin(context.Background(), httptest.NewRecorder(), b.request(), Login, "/a", false); !errors.Is(err, store.ErrUnavailable) {
		t.Errorf("begin: got error %v", err)
	}
	if got := b.finish(down, Login, a.State()); got != "unavailable" {
		t.Errorf("finish: got %s", got)
	}
	d.fail()
	if got := b.finish(down, Login, a.State()); got != "/a" {
		t.Errorf("after that: got %s", got)
	}
}
