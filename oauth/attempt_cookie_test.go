package oauth

import (
	"bytes"
	"context"
	"fmt"
	"math/rand/v2"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/caddy-admit/admit/internal/store"
)

// withDomain shares the session among the hosts of a domain.
func withDomain(c *SessionConfig) { c.Cookie, c.Domain = "__Secure-admit-corp", "example.com" }

// TestAttemptAttributes: a cookie goes where the provider's answer arrives and
// nowhere else, and its deletion repeats that (threats 49 and 67).
func TestAttemptAttributes(t *testing.T) {
	for _, tc := range []struct {
		name      string
		change    func(*SessionConfig)
		kind      AttemptKind
		crossSite bool
		domain    string
		sameSite  string
	}{
		{"login", func(*SessionConfig) {}, Login, false, "", "Lax"},
		{"logout", func(*SessionConfig) {}, Logout, false, "", "Lax"},
		{"form", func(*SessionConfig) {}, Login, true, "", "None"},
		{"strict", func(c *SessionConfig) { c.SameSite = "strict" }, Login, false, "", "Lax"},
		{"none", func(c *SessionConfig) { c.SameSite = "none" }, Login, false, "", "Lax"},
		{"login with a domain", withDomain, Login, false, "", "Lax"},
		{"logout with a domain", withDomain, Logout, false, "; Domain=example.com", "Lax"},
	} {
		s, b, w := node(t, newClock(), newDisk(), tc.change), newBrowser(), httptest.NewRecorder()
		a, err := s.Begin(context.Background(), w, b.request(), tc.kind, "/a", tc.crossSite)
		if err != nil {
			t.Fatal(err)
		}
		check := func(what, life, sameSite string) {
			t.Helper()
			lines := w.Header()["Set-Cookie"]
			if len(lines) != 1 || w.Header().Get("Cache-Control") != "private, no-store" {
				t.Fatalf("%s, %s: %q", tc.name, what, w.Header())
			}
			value, attributes, _ := strings.Cut(lines[0], ";")
			want := " Path=/" + tc.domain + life + "; HttpOnly; Secure; SameSite=" + sameSite
			if !strings.HasPrefix(value, s.config.Cookie+stateInfix+stateID(a.State())+"=") || attributes != want {
				t.Errorf("%s, %s: %q, want %q", tc.name, what, attributes, want)
			}
		}
		check("set", "; Max-Age=600", tc.sameSite)
		b.take(w)
		w = httptest.NewRecorder()
		if _, err := s.Finish(context.Background(), w, b.request(), tc.kind, a.State()); err != nil {
			t.Fatal(err)
		}
		check("deleted", "; Expires=Thu, 01 Jan 1970 00:00:00 GMT; Max-Age=0", "Lax")
		if b.take(w); len(b.states()) != 0 {
			t.Errorf("%s: the browser keeps it", tc.name)
		}
		// A refusal deletes nothing: it may be somebody else's state that was sent.
		w = httptest.NewRecorder()
		if got := finishRequest(s, w, b.request(), tc.kind, a.State()); got != "invalid" || len(w.Header()) != 0 {
			t.Errorf("%s: %s, %q", tc.name, got, w.Header())
		}
	}
}

// TestAttemptLimit: the sixth takes the place of the oldest, in whatever order
// cookies arrive (threat 62).
func TestAttemptLimit(t *testing.T) {
	for _, change := range []func(*SessionConfig){func(*SessionConfig) {}, withDomain} {
		c, b := newClock(), newBrowser()
		s := node(t, c, newDisk(), change)
		var attempts []*Attempt
		for i := range 12 {
			c.advance(time.Second)
			lines := make([]string, 0, maxAttempts)
			for _, cookie := range b.Cookies(site) {
				lines = append(lines, cookie.Name+"="+cookie.Value)
			}
			rand.Shuffle(len(lines), func(i, j int) { lines[i], lines[j] = lines[j], lines[i] })
			w, kind := httptest.NewRecorder(), Login
			if i%3 == 0 {
				kind = Logout
			}
			a, err := s.Begin(context.Background(), w, request(strings.Join(lines, "; ")), kind, "/a", false)
			if err != nil {
				t.Fatal(err)
			}
			b.take(w)
			attempts = append(attempts, a)
			if got := len(b.states()); got != min(i+1, maxAttempts) {
				t.Fatalf("%d under way after %d", got, i+1)
			}
		}
		for i, a := range attempts {
			want := "/a"
			if i < len(attempts)-maxAttempts {
				want = "invalid"
			}
			if got := b.finish(s, a.kind, a.State()); got != want {
				t.Errorf("attempt %d: got %s, want %s", i, got, want)
			}
		}
	}
}

// TestAttemptMakesRoom: what does not open goes before what does, and what makes
// no cookie of ours costs none (threats 48 and 62).
func TestAttemptMakesRoom(t *testing.T) {
	c, b := newClock(), newBrowser()
	s := node(t, c, newDisk())
	n := s.cookies.name + stateInfix
	late := b.begin(t, s, Login, "/late")
	lateLine := b.request().Header.Get("Cookie")
	c.advance(10 * time.Minute)
	b = newBrowser()
	old := b.begin(t, s, Login, "/old")
	c.advance(time.Second)
	for range 3 {
		b.begin(t, s, Login, "/a")
	}
	four := b.request().Header.Get("Cookie")
	oldName := n + stateID(old.State())
	oldValue, _, _ := strings.Cut(strings.SplitN(four, oldName+"=", 2)[1], ";")
	for _, tc := range []struct {
		name, line string
		want       []string // the names of what is deleted
	}{
		{"room", four, nil},
		{"one that does not open", four + "; " + n + "abc=AAAA", []string{n + "abc"}},
		{"one that is empty", four + "; " + n + "abc", []string{n + "abc"}},
		{"two of them", n + "b=AAAA; " + four + "; " + n + "a=AAAA", []string{n + "b", n + "a"}},
		{"one that is over", four + "; " + lateLine, []string{n + stateID(late.State())}},
		{"one under a name that is not its own", four + "; " + n + "abc=" + oldValue, []string{n + "abc"}},
		{"a name twice", four + "; " + oldName + "=AAAA", nil},
		{"a name twice, the wrong one first", oldName + "=AAAA; " + four + "; " + n + "abc=A", []string{n + "abc"}},
		{"another integration's", four + "; __Host-admit-b.state.abc=AAAA", []string{"__Host-admit-b.state.abc"}},
		{"what is none", four + "; a.state.b=1; " + n + "a b=1; " + n + "a/b=1; __Host-admit-(.state.a=1; state=1; " + n + strings.Repeat("a", 200) + "=1", nil},
	} {
		w := httptest.NewRecorder()
		if _, err := s.Begin(context.Background(), w, request(tc.line), Login, "/", false); err != nil {
			t.Fatal(err)
		}
		var got []string
		for _, cookie := range w.Result().Cookies() {
			if cookie.MaxAge < 0 {
				got = append(got, cookie.Name)
			}
		}
		if !slices.Equal(got, tc.want) {
			t.Errorf("%s: deleted %q, want %q", tc.name, got, tc.want)
		}
	}
	// Room for one more is made in several answers if need be.
	var many []string
	for i := range 100 {
		many = append(many, fmt.Sprintf("%s%d=A", n, i))
	}
	w := httptest.NewRecorder()
	if _, err := s.Begin(context.Background(), w, request(strings.Join(many, "; ")), Login, "/", false); err != nil || len(w.Header()["Set-Cookie"]) != maxDropped+1 {
		t.Errorf("%d lines, %v", len(w.Header()["Set-Cookie"]), err)
	}
}

// TestAttemptSeveralCookies: others of its name do not hide a cookie that is right
// (threat 48).
func TestAttemptSeveralCookies(t *testing.T) {
	b, s := newBrowser(), node(t, newClock(), newDisk())
	a := b.begin(t, s, Login, "/a")
	good, name := b.states()[0].Value, b.states()[0].Name
	b.begin(t, s, Login, "/b")
	foreign := b.states()[0].Value
	if foreign == good {
		foreign = b.states()[1].Value
	}
	for _, tc := range []struct {
		name   string
		values []string
		want   string
	}{
		{"alone", []string{good}, "/a"},
		{"three others first", []string{"AAAA", foreign, good[1:], good}, "/a"},
		{"others behind", []string{good, "AAAA", foreign}, "/a"},
		{"four others first", []string{"AAAA", "AQAA", foreign, good[1:], good}, "invalid"},
		{"one of them often", []string{foreign, foreign, foreign, foreign, foreign, good}, "/a"},
		{"what never was one", []string{"", "a b", "%20", `"x"`, strings.Repeat("A", 600), "", good}, "/a"},
		{"only others", []string{"AAAA", foreign}, "invalid"},
	} {
		s.spent = new(Spent)
		line := name + "=" + strings.Join(tc.values, "; "+name+"=")
		if got := finishRequest(s, httptest.NewRecorder(), request(line), Login, a.State()); got != tc.want {
			t.Errorf("%s: got %s, want %s", tc.name, got, tc.want)
		}
	}
}

// TestAttemptTarget: a long target lies in the storage sealed, for its attempt
// alone, and not for ever; without it the login goes on (threats 53, 63 and 97).
func TestAttemptTarget(t *testing.T) {
	long := func(word string) string { return "/" + word + "?" + strings.Repeat("x", 300) }
	keys := func(d *disk) []string {
		list, _ := d.List(context.Background(), store.Folder(targetFolder))
		return list
	}
	c, d, b := newClock(), newDisk(), newBrowser()
	s := node(t, c, d)
	a := b.begin(t, s, Login, long("ada"))
	other := b.begin(t, s, Login, long("eve"))
	for _, key := range keys(d) {
		value, _ := d.Load(context.Background(), key)
		for _, text := range []string{"xxxx", "corp", a.State(), stateID(a.State())} {
			if strings.Contains(key, text) || bytes.Contains(value, []byte(text)) {
				t.Errorf("%q is in the storage", text)
			}
		}
	}
	swapped, _ := d.Load(context.Background(), s.targetKey(other))
	if err := d.Store(context.Background(), s.targetKey(a), swapped); err != nil {
		t.Fatal(err)
	}
	if got := b.finish(s, Login, a.State()) + b.finish(s, Login, other.State()); got != "/"+long("eve") {
		t.Errorf("got %s", got)
	}
	// Another node has it too, and what never came back is swept.
	a = b.begin(t, s, Login, long("ada"))
	b.begin(t, s, Login, long("eve"))
	if got := b.finish(node(t, c, d), Login, a.State()); got != long("ada") || len(keys(d)) != 1 {
		t.Errorf("got %s, %d left", got, len(keys(d)))
	}
	for _, step := range []struct {
		wait time.Duration
		left int
	}{{19 * time.Minute, 1}, {2 * time.Minute, 0}} {
		c.advance(step.wait)
		if err := SweepSessions(context.Background(), d, c.now()); err != nil || len(keys(d)) != step.left {
			t.Errorf("%d left, %v", len(keys(d)), err)
		}
	}
	for _, operation := range []string{"store", "load", "delete"} {
		want := "/"
		if operation == "delete" {
			want = long("ada")
		}
		s, d = node(t, c, newDisk()), newDisk()
		s.storage = d
		d.fail(operation)
		a := b.begin(t, s, Login, long("ada"))
		if got := b.finish(s, Login, a.State()); got != want {
			t.Errorf("%s fails: got %s", operation, got)
		}
	}
	// Nobody fills the storage by beginning logins.
	s = node(t, c, newDisk())
	for i := range maxTargets + 1 {
		if ok := s.targets.take(c.now()); ok != (i < maxTargets) {
			t.Fatalf("%d: %v", i, ok)
		}
	}
	if a := newBrowser().begin(t, s, Login, long("ada")); a.stored || a.ReturnTo != "/" {
		t.Errorf("one more is stored")
	}
	c.advance(attemptLife)
	if a := newBrowser().begin(t, s, Login, long("ada")); !a.stored || a.ReturnTo != long("ada") {
		t.Errorf("none is stored later")
	}
}

// TestAttemptReturnHosts: with a domain a target may be on its hosts (threat 56).
func TestAttemptReturnHosts(t *testing.T) {
	shared, own := node(t, newClock(), newDisk(), withDomain), node(t, newClock(), newDisk())
	local := node(t, newClock(), newDisk(), withDomain, func(c *SessionConfig) { c.Domain = "localhost" })
	for _, tc := range []struct {
		target string
		by     *Sessions
		good   bool
	}{
		{"/a?b=c", shared, true},
		{"/a?b=c", own, true},
		{"https://a.example.com/x?y=z", shared, true},
		{"https://a.example.com/x?y=z", own, false},
		{"https://a.example.com:8443/", shared, true},
		{"https://example.com/", shared, true},
		{"http://a.example.com/", shared, false},
		{"http://a.localhost:8080/", local, true},
		{"http://a.localhost:8080/", shared, false},
		{"http://a.localhost.example.com/", shared, false},
		{"https://evilexample.com/", shared, false},
		{"https://example.com.evil.example/", shared, false},
		{"https://a.example.com@evil.example/", shared, false},
		{`https://evil.example\.example.com/`, shared, false},
		{"https://a.example.com//evil.example", shared, false},
		{"//a.example.com/", shared, false},
		{"", shared, true}, // a page says that it is done
	} {
		want := "/"
		if tc.good {
			want = tc.target
		}
		b := newBrowser()
		a := b.begin(t, tc.by, Logout, tc.target)
		if a.ReturnTo != want || tc.by != local && b.finish(tc.by, Logout, a.State()) != want {
			t.Errorf("%s: returns to %q", tc.target, a.ReturnTo)
		}
	}
}

// FuzzAttemptFinish: no Cookie header and no state finish an attempt that the
// header does not hold whole.
func FuzzAttemptFinish(f *testing.F) {
	s, b := node(f, newClock(), newDisk()), newBrowser()
	a := b.begin(f, s, Login, "/a")
	cookie := b.states()[0]
	named := strings.NewReplacer("N", s.cookies.name, "S", stateID(a.State()), "V", cookie.Value)
	for _, line := range []string{"N.state.S=V", "N.state.S=; N.state.S=V", "N.state.S=V=", "N=V", "N.state.=V; a=b", "N.state.S=AAAA"} {
		f.Add(line, a.State())
		f.Add(line, "corp."+strings.Repeat("A", 32))
	}
	f.Fuzz(func(t *testing.T, line, state string) {
		line = named.Replace(line)
		s.spent = new(Spent)
		w := httptest.NewRecorder()
		got := finishRequest(s, w, request(line), Login, state)
		if whole := strings.Contains(line, cookie.Value) && state == a.State(); got != "invalid" && (got != "/a" || !whole) {
			t.Errorf("%q, %q: got %s", line, state, got)
		}
		if _, err := s.Begin(context.Background(), w, request(line), Logout, state, true); err != nil {
			t.Error(err)
		}
		for _, line := range w.Header()["Set-Cookie"] {
			if line == "" || strings.ContainsAny(line, "\r\n") {
				t.Errorf("sets %q", line)
			}
		}
	})
}

// FuzzParseAttempt: what is read can be written again to the same, and nothing
// panics.
func FuzzParseAttempt(f *testing.F) {
	a := newAttempt("corp", Login, time.UnixMilli(1))
	a.ReturnTo = "/a"
	f.Add(appendAttempt(nil, a))
	a.stored = true
	f.Add(appendAttempt(nil, a))
	f.Fuzz(func(t *testing.T, data []byte) {
		a, ok := parseAttempt("corp", data)
		if !ok {
			return
		}
		again, ok := parseAttempt("corp", appendAttempt(nil, a))
		if !ok || again.seed != a.seed || again.kind != a.kind || again.ReturnTo != a.ReturnTo || again.stored != a.stored {
			t.Errorf("%x: read as another", data)
		}
	})
}
