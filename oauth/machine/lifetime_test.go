package machine

import (
	"fmt"
	"strings"
	"testing"
	"time"
)

// TestTokenLife: a row is what is known about the end of a token, and how long it
// is used (threat 89).
func TestTokenLife(t *testing.T) {
	base := (&clock{}).now()
	jwtEnding := func(d time.Duration) string { return unsigned(fmt.Sprintf(`{"exp":%d}`, base.Add(d).Unix())) }
	for _, tc := range []struct {
		name    string
		expires string
		token   string
		want    time.Duration
	}{
		{"an hour", `3600`, "at", TokenCap},
		{"at the cap", `300`, "at", 270 * time.Second},
		{"a minute", `60`, "at", 54 * time.Second},
		{"a second", `1`, "at", 900 * time.Millisecond},
		{"missing", ``, "at", time.Minute},
		{"null", `null`, "at", time.Minute},
		{"zero", `0`, "at", 0},
		{"negative", `-1`, "at", 0},
		{"huge", `99999999999`, "at", TokenCap},
		{"as text", `"60"`, "at", 54 * time.Second},
		{"negative as text", `"-60"`, "at", 0},
		{"the token ends before", `3600`, jwtEnding(time.Minute), 54 * time.Second},
		{"the token ends later", `60`, jwtEnding(time.Hour), 54 * time.Second},
		{"missing, but the token says it", ``, jwtEnding(30 * time.Second), 27 * time.Second},
		{"missing, the token ends later", ``, jwtEnding(time.Hour), time.Minute},
		{"the token has ended", `3600`, jwtEnding(-time.Minute), 0},
		{"the token has ended long ago", `3600`, unsigned(`{"exp":-1e300}`), 0},
		{"the token never ends", `3600`, unsigned(`{"exp":1e300}`), TokenCap},
		{"the token does not say it", `3600`, unsigned(`{}`), TokenCap},
		{"the token says it as text", `3600`, unsigned(`{"exp":"1"}`), TokenCap},
	} {
		t.Run(tc.name, func(t *testing.T) {
			body := `{"access_token":"` + tc.token + `","token_type":"Bearer"`
			if tc.expires != "" {
				body += `,"expires_in":` + tc.expires
			}
			e := newEndpoint(t, says(200, body+"}"))
			c := newClients(t, e, nil)
			ask := func() int64 {
				t.Helper()
				if token, err := c.Token(t.Context(), "app", "s", home); token != tc.token {
					t.Fatalf("got %q, %v", token, err)
				}
				return e.calledFor()
			}
			if n := ask(); n != 1 {
				t.Errorf("%d calls at first", n)
			}
			if tc.want > 0 {
				e.clock.advance(tc.want - 1)
				if n := ask(); n != 0 {
					t.Errorf("%d calls within its life", n)
				}
				e.clock.advance(1)
			}
			if n := ask(); n != 1 {
				t.Errorf("%d calls after its life", n)
			}
		})
	}
}

// TestRotatedSecret: an old secret goes on for the cap and no longer, a new one is
// good at once (threat 89).
func TestRotatedSecret(t *testing.T) {
	e := newEndpoint(t, one("app", "old"))
	c := newClients(t, e, nil)
	ask := func(secret string) string {
		_, err := c.Token(t.Context(), "app", secret, home)
		return verdict(err)
	}
	if got := ask("old"); got != "good" {
		t.Fatal(got)
	}
	e.answer(one("app", "new"))
	e.clock.advance(TokenCap - 1)
	if got := ask("old"); got != "good" {
		t.Errorf("within the cap: got %s", got)
	}
	if got := ask("new"); got != "good" {
		t.Errorf("the new one: got %s", got)
	}
	e.clock.advance(1)
	if got := ask("old"); got != "401 bad_client" {
		t.Errorf("after the cap: got %s", got)
	}
	// A program that was forgotten locks out nobody, and asks once in 10 s.
	e.calledFor()
	for range 200 {
		e.clock.advance(time.Second)
		if got := ask("old"); got != "401 bad_client" {
			t.Fatalf("the old one: got %s", got)
		}
		if got := ask("new"); got != "good" {
			t.Fatalf("the new one: got %s", got)
		}
	}
	if n := e.calledFor(); n > 21 {
		t.Errorf("%d calls in 200 s", n)
	}
}

// TestMemoryIsBounded: what is made up pushes out nothing that is good (threats 91,
// 97), and what is good has limits of its own.
func TestMemoryIsBounded(t *testing.T) {
	c := newCache[int](3, 100)
	now := (&clock{}).now()
	key := func(n byte) (d digest) { d[0] = n; return d }
	for n := range byte(5) {
		c.put(key(n), int(n), 1, now.Add(time.Minute))
	}
	if len(c.items) != 3 || c.used != 3 {
		t.Errorf("%d entries of %d bytes", len(c.items), c.used)
	}
	c.get(key(2), now)
	c.put(key(9), 9, 90, now.Add(time.Minute))
	c.put(key(10), 10, 10, now.Add(time.Minute))
	if _, ok := c.get(key(2), now); ok || c.used != 100 {
		t.Errorf("%d bytes, and what was used first is there: %v", c.used, ok)
	}
	c.put(key(11), 11, 101, now.Add(time.Minute))
	if _, ok := c.get(key(11), now); ok || len(c.items) != 2 {
		t.Error("something larger than the whole was kept")
	}
	if _, ok := c.get(key(9), now.Add(time.Minute)); ok || c.used != 10 {
		t.Error("something was found after its end")
	}

	i, e := newIntrospector(t, says(200, `{"active":true}`))
	if _, err := i.Claims(t.Context(), "good-token", home); err != nil {
		t.Fatal(err)
	}
	e.answer(says(200, `{"active":false}`))
	for n := range maxBad + 100 {
		i.checker.bad.put(i.checker.digest(fmt.Sprint(n)), ErrInactive, overhead, e.clock.now().Add(badFor))
	}
	if n := len(i.checker.bad.items); n != maxBad {
		t.Errorf("%d failures are remembered, want %d", n, maxBad)
	}
	e.calledFor()
	if _, err := i.Claims(t.Context(), "good-token", home); err != nil || e.calledFor() != 0 {
		t.Errorf("got %v", err)
	}
	large := says(200, `{"access_token":"`+strings.Repeat("a", 16<<10)+`","token_type":"Bearer","expires_in":3600}`)
	many := newEndpoint(t, large)
	clients := newClients(t, many, nil)
	for n := range maxGoodBytes/(16<<10) + 8 {
		if _, err := clients.Token(t.Context(), "app", fmt.Sprint(n), home); err != nil {
			t.Fatal(err)
		}
	}
	if used := clients.checker.good.used; used > maxGoodBytes {
		t.Errorf("%d bytes are kept", used)
	}
}

// TestNoSecretInMemory: what is remembered about a client holds no part of its
// secret, in the clear or encoded.
func TestNoSecretInMemory(t *testing.T) {
	e := newEndpoint(t, one("app", marker))
	c := newClients(t, e, nil)
	for _, secret := range []string{marker, marker + "-wrong"} {
		_, _ = c.Token(t.Context(), "app", secret, home)
	}
	if got := fmt.Sprintf("%+v %+v %+v", c.checker.good.items, c.checker.bad.items, c.config); strings.Contains(got, marker) {
		t.Error("a secret is kept")
	}
	for item := c.checker.good.order.Front(); item != nil; item = item.Next() {
		if got := fmt.Sprintf("%+v", item.Value); strings.Contains(got, marker) || !strings.Contains(got, "token-of-app") {
			t.Errorf("got %s", got)
		}
	}
}
