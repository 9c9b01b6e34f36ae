package machine

import (
	"fmt"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/caddy-admit/admit/claims"
	"github.com/caddy-admit/admit/jwt"
	"github.com/caddy-admit/admit/oauth"
)

func newIntrospector(t testing.TB, handle http.HandlerFunc) (*Introspector, *endpoint) {
	t.Helper()
	e := newEndpoint(t, handle)
	i, err := NewIntrospector(IntrospectorConfig{
		Client: newOutbound(t), Auth: oauth.ClientAuth{ID: "gate", Secret: marker}, URL: e.url, Now: e.clock.now,
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(i.Close)
	return i, e
}

// TestIntrospectorAnswers: a row is what the endpoint says, what the gate makes of
// it, and how long it goes by that (threats 90, 92).
func TestIntrospectorAnswers(t *testing.T) {
	now := (&clock{}).now()
	ending := func(d time.Duration) string { return fmt.Sprintf(`{"active":true,"exp":%d}`, now.Add(d).Unix()) }
	for _, tc := range []struct {
		name   string
		answer http.HandlerFunc
		want   string
		life   time.Duration
	}{
		{"active", says(200, `{"active":true}`), "good", IntrospectionCap},
		{"ends soon", says(200, ending(20*time.Second)), "good", 20 * time.Second},
		{"ends later", says(200, ending(time.Hour)), "good", IntrospectionCap},
		{"has ended, which the caller checks", says(200, ending(-time.Second)), "good", 0},
		{"ends never", says(200, `{"active":true,"exp":1e300}`), "good", IntrospectionCap},
		{"not active", says(200, `{"active":false}`), "401 inactive", badFor},
		{"active as text", says(200, `{"active":"true"}`), "503", badFor},
		{"no word of it", says(200, `{}`), "503", badFor},
		{"bound to a key", says(200, `{"active":true,"token_type":"DPoP"}`), "401 bound_token", badFor}, // threat 101
		{"refresh token", says(200, `{"active":true,"token_use":"refresh_token"}`), "401 wrong_type", badFor},
		{"we are refused", says(401, `{"error":"invalid_client"}`), "503 invalid_client", badFor},
		{"no such endpoint", http.NotFound, "503", badFor},
		{"500", says(500, `{"active":false}`), "503", badFor},
		{"HTML", page, "503", badFor},
		{"64 MiB", says(200, `{"active":true}`+strings.Repeat(" ", 64<<20)), "503", badFor},
		{"nothing at all", silence, "503", badFor},
		{"not in time", hang, "503", badFor},
	} {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			i, e := newIntrospector(t, tc.answer)
			if tc.name == "not in time" {
				i.checker.call = 50 * time.Millisecond
			}
			ask := func() int64 {
				t.Helper()
				s, err := i.Claims(t.Context(), "token-"+marker, home)
				if verdict(err) != tc.want || (s == nil) != (err != nil) {
					t.Errorf("got %v, %q, want %q", s, verdict(err), tc.want)
				}
				checkError(t, err)
				return e.calledFor()
			}
			ask()
			if tc.life > 0 {
				e.clock.advance(tc.life - 1)
				if n := ask(); n != 0 {
					t.Errorf("%d calls within its life", n)
				}
				e.clock.advance(1)
			}
			if n := ask(); n == 0 { // net/http asks again where a connection ends early
				t.Error("no call after its life")
			}
		})
	}
}

// TestIntrospectorSlow: an answer is as old as the question (threat 92).
func TestIntrospectorSlow(t *testing.T) {
	i, e := newIntrospector(t, nil)
	e.answer(func(w http.ResponseWriter, r *http.Request) {
		e.clock.advance(IntrospectionCap / 2)
		says(200, `{"active":true}`)(w, r)
	})
	for _, after := range []time.Duration{0, IntrospectionCap / 2} {
		e.clock.advance(after)
		if _, err := i.Claims(t.Context(), "good-token", home); err != nil || e.calledFor() != 1 {
			t.Errorf("after %v: not asked, or %v", after, err)
		}
	}
}

// TestIntrospectorRules: what is in memory is held to audience and times at every
// request, and an answer counts for the whole token only (threats 87, 90).
func TestIntrospectorRules(t *testing.T) {
	start := (&clock{}).now()
	i, e := newIntrospector(t, func(w http.ResponseWriter, r *http.Request) {
		sub := "nobody"
		if r.PostFormValue("token") == "token-of-ada" {
			sub = "ada"
		}
		says(200, fmt.Sprintf(`{"active":true,"sub":%q,"aud":"api","nbf":%d}`, sub, start.Add(30*time.Second).Unix()))(w, r)
	})
	verifier := func(audience string) *jwt.Verifier {
		v, err := jwt.NewVerifier(jwt.Policy{
			Audience: []string{audience}, AudienceClaims: []claims.Path{claims.MustPath("aud")}, Algorithms: jwt.Asymmetric,
		}, nil, e.clock.now)
		if err != nil {
			t.Fatal(err)
		}
		return v
	}
	api, other := verifier("api"), verifier("other")
	for _, tc := range []struct {
		after      time.Duration
		api, other string
		calls      int64
	}{
		{0, "401 not_yet_valid", "401 not_yet_valid", 1},
		{29 * time.Second, "401 not_yet_valid", "401 not_yet_valid", 0},
		{time.Second, "good", "401 wrong_audience", 0},
	} {
		e.clock.advance(tc.after)
		s, err := i.Claims(t.Context(), "token-of-ada", home)
		if err != nil || !s.Get("sub").Equal("ada") {
			t.Fatal(err)
		}
		if a, o, n := verdict(api.CheckClaims(s)), verdict(other.CheckClaims(s)), e.calledFor(); a != tc.api || o != tc.other || n != tc.calls {
			t.Errorf("after %v: got %s, %s, %d calls", tc.after, a, o, n)
		}
	}
	for _, token := range []string{"token-of-ad", "token-of-adaa", "token-of-Ada", "token-of-ada="} {
		if s, err := i.Claims(t.Context(), token, home); err != nil || s.Get("sub").Equal("ada") {
			t.Errorf("%s: got %s, %v", token, s.Bytes(), err)
		}
	}
}

// TestIntrospectorGarbage: what cannot be a token is not asked about (threat 91).
func TestIntrospectorGarbage(t *testing.T) {
	i, e := newIntrospector(t, says(200, `{"active":true}`))
	for _, token := range []string{
		"", "null", "seven77", "========", "with space", "tab\tinside", "line\nbreak", "null\x00byte", "ümlaut-token",
		"comma,inside", "a=b=c=d=e", strings.Repeat("a", 16<<10+1),
	} {
		if _, err := i.Claims(t.Context(), token, home); verdict(err) != "401 malformed_token" {
			t.Errorf("%.20q: got %s", token, verdict(err))
		}
	}
	if n := e.calledFor(); n != 0 {
		t.Errorf("%d calls", n)
	}
	for _, token := range []string{"eight888", "ory_at_a.b-c", "a+/b==~x"[:5] + "==="} {
		if _, err := i.Claims(t.Context(), token, home); err != nil || e.calledFor() != 1 {
			t.Errorf("%q: got %v", token, err)
		}
	}
}

// TestIntrospectorGuesses: made-up tokens are counted by address, tokens that have
// ended are not, and neither stops a token that was good there (threats 88, 91).
func TestIntrospectorGuesses(t *testing.T) {
	active := sync.Map{}
	i, e := newIntrospector(t, func(w http.ResponseWriter, r *http.Request) {
		_, ok := active.Load(r.PostFormValue("token"))
		says(200, fmt.Sprintf(`{"active":%v}`, ok))(w, r)
	})
	ask := func(token string) string {
		_, err := i.Claims(t.Context(), token, home)
		return verdict(err)
	}
	for n := range 100 { // as many as there are users, all of them for a while
		active.Store(fmt.Sprint("session-", n), true)
		if got := ask(fmt.Sprint("session-", n)); got != "good" {
			t.Fatal(got)
		}
	}
	active.Clear()
	active.Store("good-token", true)
	e.clock.advance(IntrospectionCap)
	for n := range 100 {
		if got := ask(fmt.Sprint("session-", n)); got != "401 inactive" {
			t.Fatalf("a token that has ended: got %s", got)
		}
	}
	if got := ask("good-token"); got != "good" {
		t.Errorf("after 100 that have ended: got %s", got)
	}
	e.calledFor()
	for n := range 1000 {
		if got := ask(fmt.Sprint("made-up-", n)); got != "401 inactive" && got != "429 address" {
			t.Fatal(got)
		}
	}
	if n := e.calledFor(); n > 21 {
		t.Errorf("%d calls for 1,000 tokens that were made up", n)
	}
	if got := ask("made-up-too"); got != "429 address" {
		t.Errorf("got %s", got)
	}
	e.clock.advance(IntrospectionCap)
	for n := range 30 {
		ask(fmt.Sprint("more-", n))
	}
	if got := ask("good-token"); got != "good" {
		t.Errorf("a token that was good here: got %s", got)
	}
	if _, err := i.Claims(t.Context(), "good-token", rogue); err != nil {
		t.Errorf("from another address: got %v", err)
	}
}

// TestNoOneAsks: without a client there is nothing to ask with.
func TestNoOneAsks(t *testing.T) {
	if _, err := NewIntrospector(IntrospectorConfig{}); err == nil {
		t.Error("an introspector without a client")
	}
	if _, err := NewExchanger(ExchangerConfig{}); err == nil {
		t.Error("an exchanger without a client")
	}
}
