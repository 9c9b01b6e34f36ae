package oauth

import (
	"context"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"
	"time"
)

// request has these Cookie lines.
func request(lines ...string) *http.Request {
	r := httptest.NewRequest("GET", site.String(), nil)
	r.Header["Cookie"] = lines
	return r
}

// chunks returns the cookies that a session of so many bytes of claims is in.
func chunks(t testing.TB, s *Sessions, user string, size int) (first, second string) {
	t.Helper()
	b := newBrowser()
	b.login(t, s, Session{User: user, Claims: large(size)})
	for _, cookie := range b.Cookies(site) {
		switch cookie.Name {
		case s.cookies.name:
			first = cookie.Value
		case s.cookies.second:
			second = cookie.Value
		default:
			t.Errorf("cookie %s", cookie.Name)
		}
	}
	return first, second
}

// TestChunkSizes goes over both limits byte by byte: one cookie, two, storage.
// Full first chunks are among them, with and without a second (threat 47).
func TestChunkSizes(t *testing.T) {
	seen := map[string]bool{}
	for _, start := range []int{1700, 3560} {
		for size := start; size < start+150; size++ {
			b, s := newBrowser(), node(t, newClock(), newDisk())
			session := b.login(t, s, Session{User: "ada", Claims: large(size)})
			total, kind := 0, ""
			for _, cookie := range b.Cookies(site) {
				total += len("; ") + len(cookie.Name) + len("=") + len(cookie.Value)
				kind += cookie.Name[len(s.cookies.name):] + " "
				if len(cookie.Name)+len(cookie.Value) > chunkSize {
					t.Fatalf("%d: a cookie of %d bytes", size, len(cookie.Value))
				}
				if len(cookie.Value) == s.cookies.room {
					kind += "full "
				}
			}
			if session.stored {
				kind = "stored"
			}
			seen[kind] = true
			// With five states of 600 bytes all is under 8 KiB.
			if got := b.open(s); got != "ada" || total > 2*chunkSize || total+5*600 > 8<<10 {
				t.Fatalf("%d (%s): got %s with %d bytes of cookies", size, kind, got, total)
			}
		}
	}
	for _, kind := range []string{" ", " full ", " full .1 ", " full .1 full ", "stored"} {
		if !seen[kind] {
			t.Errorf("not seen: %q of %v", kind, seen)
		}
	}
}

// TestChunkGames: whatever is not the two chunks of one session opens nothing,
// and what is beside them hides nothing (threat 47).
func TestChunkGames(t *testing.T) {
	c, d := newClock(), newDisk()
	s := node(t, c, d)
	a1, a2 := chunks(t, s, "ada", 3000)
	_, b2 := chunks(t, s, "bob", 3000)
	small, _ := chunks(t, s, "eve", 30)
	n := s.cookies.name
	if a2 == "" || b2 == "" || small == "" {
		t.Fatal("not the chunks that this is about")
	}
	for _, tc := range []struct{ name, line, want string }{
		{"both", n + "=" + a1 + "; " + n + ".1=" + a2, "ada"},
		{"the second before the first", n + ".1=" + a2 + "; " + n + "=" + a1, "ada"},
		{"blanks", " " + n + " = " + a1 + ";" + n + ".1=" + a2 + " ", "ada"},
		{"no second", n + "=" + a1, "invalid"},
		{"no first", n + ".1=" + a2, "invalid"},
		{"exchanged", n + "=" + a2 + "; " + n + ".1=" + a1, "invalid"},
		{"mixed", n + "=" + a1 + "; " + n + ".1=" + b2, "invalid"},
		{"second cut", n + "=" + a1 + "; " + n + ".1=" + a2[1:], "invalid"},
		{"second empty", n + "=" + a1 + "; " + n + ".1=", "invalid"},
		{"all in the first", n + "=" + a1 + a2, "invalid"},
		{"cut elsewhere", n + "=" + a1[:400] + "; " + n + ".1=" + a1[400:] + a2, "invalid"},
		{"second under the name of a third", n + "=" + a1 + "; " + n + ".2=" + a2, "invalid"},
		{"only a third", n + ".2=" + a2, "invalid"},
		{"only a thousand-millionth", n + ".1000000000=" + a2, "invalid"},
		{"a third too", n + "=" + a1 + "; " + n + ".1=" + a2 + "; " + n + ".2=" + b2, "ada"},
		{"first twice", n + "=" + a1 + "; " + n + "=" + a1 + "; " + n + ".1=" + a2, "ada"},
		{"second twice, the wrong one first", n + "=" + a1 + "; " + n + ".1=" + b2 + "; " + n + ".1=" + a2, "ada"},
		{"a small one with a stale second", n + "=" + small + "; " + n + ".1=" + a2, "eve"},
		{"a small one cut in two", n + "=" + small[:40] + "; " + n + ".1=" + small[40:], "invalid"},
		{"name in another case", strings.ToUpper(n) + "=" + small, "none"},
		{"a longer name", n + "x=" + small + "; " + n + ".=" + small + "; " + n + ".1a=" + small, "none"},
		{"a login under way", n + ".state.abc=" + small, "none"},
	} {
		if got := openRequest(s, request(tc.line)); got != tc.want {
			t.Errorf("%s: got %s, want %s", tc.name, got, tc.want)
		}
	}
	if got := openRequest(s, request(n+"="+a1, n+".1="+a2)); got != "ada" {
		t.Errorf("two lines: got %s", got)
	}
}

// TestChunkStale: a session that has become smaller leaves no second chunk in the
// browser (threat 47).
func TestChunkStale(t *testing.T) {
	s, b := node(t, newClock(), newDisk()), newBrowser()
	b.login(t, s, Session{User: "ada", Claims: large(3000)})
	b.login(t, s, Session{User: "ada", Claims: large(30)})
	if got := b.Cookies(site); len(got) != 1 || b.open(s) != "ada" {
		t.Errorf("got %d cookies, %s", len(got), b.open(s))
	}
	first, _ := chunks(t, s, "eve", 30)
	r := request(s.cookies.name + "=" + first + "; " + s.cookies.second + "=stale")
	session, err := s.Open(context.Background(), r)
	if err != nil {
		t.Fatal(err)
	}
	session.Seen = session.Seen.Add(-7 * time.Hour)
	w := httptest.NewRecorder()
	if err := s.Renew(context.Background(), w, r, session); err != nil {
		t.Fatal(err)
	}
	if lines := w.Result().Cookies(); len(lines) != 2 || lines[1].Name != s.cookies.second || lines[1].MaxAge != -1 {
		t.Errorf("renewal sets %v", lines)
	}
}

// TestSeveralCookies: of several cookies of one name none hides a good one, and
// the latest login counts (threat 48).
func TestSeveralCookies(t *testing.T) {
	c, d := newClock(), newDisk()
	s := node(t, c, d, func(c *SessionConfig) { c.Cookie, c.Domain = "__Secure-x", "example.com" })
	line := func(values ...string) string {
		for i, value := range values {
			values[i] = s.cookies.name + "=" + value
		}
		return strings.Join(values, "; ")
	}
	older, _ := chunks(t, s, "mallory", 30)
	c.advance(time.Hour)
	good, _ := chunks(t, s, "ada", 30)
	ended := newBrowser()
	c.advance(time.Hour)
	ended.login(t, s, Session{User: "bob"})
	revoked := ended.Cookies(site)[0].Value
	ended.logout(t, s)
	for _, tc := range []struct{ name, line, want string }{
		{"rubbish first", line("AAAA", "AQAA", good[1:], good), "ada"},
		{"rubbish last", line(good, "AAAA"), "ada"},
		{"too much of it", line("AAAA", "AQAA", "AgAA", "AwAA", good), "invalid"},
		{"rubbish that never was a session", line("", "a b", "%20", "é", `"x"`, strings.Repeat("A", chunkSize), good), "ada"},
		{"an older login first", line(older, good), "ada"},
		{"an older login last", line(good, older), "ada"},
		{"a later login that was ended", line(revoked, good), "ada"},
		{"only that", line(revoked), "revoked"},
	} {
		if got := openRequest(s, request(tc.line)); got != tc.want {
			t.Errorf("%s: got %s, want %s", tc.name, got, tc.want)
		}
	}
	// One that cannot be checked is not passed over for an older one that was.
	s = node(t, c, d, func(c *SessionConfig) { c.Cookie, c.Domain = "__Secure-x", "example.com" })
	openRequest(s, request(line(older)))
	d.fail("load")
	if got := openRequest(s, request(line(good, older))) + " " + openRequest(s, request(line(older))); got != "unavailable mallory" {
		t.Errorf("got %s", got)
	}
	// Where none counts, it is the verdict on the latest that is given.
	d.fail()
	c.advance(6*time.Hour + 30*time.Minute)
	if got := openRequest(s, request(line("AAAA", older))) + " " + openRequest(s, request(line(older, revoked))); got != "expired revoked" {
		t.Errorf("got %s", got)
	}
}

// TestCookieAttributes: each line has what keeps a cookie where it belongs, and a
// deletion repeats it (threats 45, 49 and 54).
func TestCookieAttributes(t *testing.T) {
	for _, tc := range []struct{ name, cookie, domain, sameSite, want string }{
		{"default", "__Host-admit-corp", "", "", "; Path=/; Max-Age=86400; HttpOnly; Secure; SameSite=Lax"},
		{"domain", "__Secure-admit-corp", "example.com", "lax", "; Path=/; Domain=example.com; Max-Age=86400; HttpOnly; Secure; SameSite=Lax"},
		{"strict", "x", "", "strict", "; Path=/; Max-Age=86400; HttpOnly; Secure; SameSite=Strict"},
		{"none", "x", "", "none", "; Path=/; Max-Age=86400; HttpOnly; Secure; SameSite=None"},
	} {
		s := node(t, newClock(), newDisk(), func(c *SessionConfig) { c.Cookie, c.Domain, c.SameSite = tc.cookie, tc.domain, tc.sameSite })
		b, w := newBrowser(), httptest.NewRecorder()
		w.Header().Add("Set-Cookie", "theirs=1")
		session := &Session{User: "ada", Claims: large(3000)}
		if err := s.Start(context.Background(), w, b.request(), session); err != nil {
			t.Fatal(err)
		}
		check := func(what string, want string) {
			lines := w.Header()["Set-Cookie"]
			if len(lines) != 3 || lines[0] != "theirs=1" || w.Header().Get("Cache-Control") != "private, no-store" {
				t.Fatalf("%s, %s: %q", tc.name, what, w.Header())
			}
			for i, prefix := range []string{tc.cookie + "=", tc.cookie + ".1="} {
				if value, attributes, _ := strings.Cut(lines[i+1], ";"); !strings.HasPrefix(value, prefix) || ";"+attributes != want {
					t.Errorf("%s, %s: %q, want %q", tc.name, what, lines[i+1], want)
				}
			}
		}
		check("set", tc.want)
		b.take(w)
		// The same response takes them back: one line for each name.
		if err := s.End(context.Background(), w, b.request(), session); err != nil {
			t.Fatal(err)
		}
		check("deleted", strings.Replace(tc.want, "Max-Age=86400", "Expires=Thu, 01 Jan 1970 00:00:00 GMT; Max-Age=0", 1))
		if b.take(w); len(b.Cookies(site)) != 1 {
			t.Errorf("%s: the browser keeps %d cookies, want theirs", tc.name, len(b.Cookies(site)))
		}
	}
}

// TestClear deletes chunks that are not in use too, and no states.
func TestClear(t *testing.T) {
	s, w := node(t, newClock(), newDisk()), httptest.NewRecorder()
	n := s.cookies.name
	s.Clear(w, request("a=1; "+n+".state.x=1; "+n+".123456=1; "+n+".3=1; "+n+".4=1; "+n+".5=1; "+n+".6=1; "+n+".7=1; "+n+"=1"))
	var names []string
	for _, cookie := range w.Result().Cookies() {
		names = append(names, strings.TrimPrefix(cookie.Name, n))
		if cookie.MaxAge != -1 || cookie.Value != "" {
			t.Errorf("%s is not deleted", cookie.Name)
		}
	}
	if want := []string{"", ".1", ".3", ".4", ".5", ".6"}; !slices.Equal(names, want) {
		t.Errorf("got %q, want %q", names, want)
	}
}

// stripCases: what the client sent, and what the upstream gets ("N" is the name).
var stripCases = [][2]string{
	{"", ""},
	{"a=1; b=2", "a=1; b=2"},
	{"N=x", ""},
	{" N = x ;", ""},
	{"N", ""},
	{"N=x; a=1", "a=1"},
	{"a=1; N=x", "a=1"},
	{"a=1; N=x; N.1=y; b=2", "a=1; b=2"},
	{"a=1;N.state.abc=x;b=2", "a=1;b=2"},
	{"N.state.=x; N.0=x; N.17=x", ""},
	{`a="1;  b = 2 ;; N=x;c`, `a="1;  b = 2 ;;c`},
	{"NN=x; xN=x; N.a=1; N.state=1; N.=1; N-2=1; n=1; a=N", "NN=x; xN=x; N.a=1; N.state=1; N.=1; N-2=1; n=1; a=N"},
	{"a=\xff\x80; N=x", "a=\xff\x80"},
}

func TestStrip(t *testing.T) {
	s := node(t, newClock(), newDisk())
	named := strings.NewReplacer("N", s.cookies.name)
	for _, tc := range stripCases {
		r := request(named.Replace(tc[0]))
		before := r.Header["Cookie"]
		s.Strip(r)
		got, want := strings.Join(r.Header["Cookie"], "|"), named.Replace(tc[1])
		if got != want || want == "" && tc[0] != "" && r.Header["Cookie"] != nil {
			t.Errorf("%q: got %q, want %q", tc[0], got, want)
		}
		if before[0] != named.Replace(tc[0]) {
			t.Errorf("%q: changed under others who hold it", tc[0])
		}
	}
	r := request("a=1", named.Replace("N=x"), named.Replace("N.1=x; b"), "c=3 ")
	if s.Strip(r); strings.Join(r.Header["Cookie"], "|") != "a=1|b|c=3 " {
		t.Errorf("got %q", r.Header["Cookie"])
	}
}

// FuzzStrip: nothing of ours is left, nothing of others is lost.
func FuzzStrip(f *testing.F) {
	s := node(f, newClock(), newDisk())
	named := strings.NewReplacer("N", s.cookies.name)
	for _, tc := range stripCases {
		f.Add(tc[0])
	}
	pairs := func(line string) (ours, others []string) {
		for pair := range strings.SplitSeq(line, ";") {
			pair = strings.Trim(pair, " \t\r\n")
			name, _, _ := strings.Cut(pair, "=")
			if s.cookies.owns(strings.Trim(name, " \t\r\n")) {
				ours = append(ours, pair)
			} else if pair != "" {
				others = append(others, pair)
			}
		}
		return ours, others
	}
	f.Fuzz(func(t *testing.T, line string) {
		line = named.Replace(line)
		r := request(line)
		s.Strip(r)
		left := strings.Join(r.Header["Cookie"], ";")
		had, want := pairs(line)
		ours, others := pairs(left)
		if len(ours) != 0 || !slices.Equal(others, want) || len(had) == 0 && left != line {
			t.Errorf("%q became %q", line, left)
		}
		if s.cookies.present(r.Header["Cookie"]) {
			t.Errorf("%q: a session is left in %q", line, left)
		}
	})
}
