package oauth

import (
	"context"
	"net/http/httptest"
	"strings"
	"testing"
	"time"
)

// TestSessionForged: an edited, cut or foreign cookie opens nothing, and all of
// them look the same (threat 44).
func TestSessionForged(t *testing.T) {
	c, d := newClock(), newDisk()
	s := node(t, c, d)
	seals, _ := s.seals.get(context.Background(), secretName)
	name := s.cookies.name
	session := &Session{ID: newSessionID(), User: "ada", Began: c.now(), Seen: c.now(), Ends: c.now().Add(s.config.Max)}
	good := s.cookies.seal(seals.cookie, session)
	ask := func(value string) string {
		r := httptest.NewRequest("GET", "/", nil)
		r.Header["Cookie"] = []string{name + "=" + value}
		return openRequest(s, r)
	}
	if got := ask(good); got != "ada" {
		t.Fatalf("got %s", got)
	}
	for i := range good {
		if edited := good[:i] + string(rune(good[i]^1)) + good[i+1:]; ask(edited) != "invalid" {
			t.Fatalf("opens with byte %d changed", i)
		}
		if ask(good[:i]) != "invalid" {
			t.Fatalf("opens cut after %d bytes", i)
		}
	}
	plain := appendSession(nil, session, formSession)
	sealed := func(plain []byte) string { return strict64.EncodeToString(seals.cookie.Seal(nil, plain)) }
	later := append([]byte{sessionVersion + 1}, plain[1:]...)
	unnamed := *session
	unnamed.ID = "../../secrets"
	for what, value := range map[string]string{
		"empty":              "",
		"padded":             good + "=",
		"quoted":             `"` + good + `"`,
		"twice":              good + good,
		"with a line break":  good[:8] + "\n" + good[8:],
		"a record":           strict64.EncodeToString(seals.record.Seal(nil, plain)),
		"another version":    sealed(later),
		"another form":       sealed(append([]byte{sessionVersion, 9}, plain[2:]...)),
		"more than it is":    sealed(append(plain[:len(plain):len(plain)], 0)),
		"less than it is":    sealed(plain[:len(plain)-1]),
		"nothing":            sealed(nil),
		"an ID that is none": sealed(appendSession(nil, &unnamed, formSession)),
	} {
		if got := ask(value); got != "invalid" {
			t.Errorf("%s: got %s", what, got)
		}
	}
	if got := ask(sealed(plain)); got != "ada" {
		t.Errorf("sealed anew: got %s", got)
	}
}

// TestSessionForeign: a session counts for the integration, issuer, client, cookie
// and domain that it was made for, and under its secret (threats 44 and 50).
func TestSessionForeign(t *testing.T) {
	for name, tc := range map[string]struct {
		change func(*SessionConfig)
		want   string
	}{
		"the same":          {func(*SessionConfig) {}, "ada"},
		"rotated":           {func(c *SessionConfig) { c.Secrets = [][]byte{secret(2), secret(1)} }, "ada"},
		"other attributes":  {func(c *SessionConfig) { c.SameSite = "none"; c.Store = "storage" }, "ada"},
		"secret removed":    {func(c *SessionConfig) { c.Secrets = [][]byte{secret(2)} }, "invalid"},
		"other integration": {func(c *SessionConfig) { c.Integration = "corp2" }, "invalid"},
		"other issuer":      {func(c *SessionConfig) { c.Issuer += "/" }, "invalid"},
		"other client":      {func(c *SessionConfig) { c.ClientID = "app2" }, "invalid"},
		"with a domain":     {func(c *SessionConfig) { c.Domain = "example.com" }, "invalid"},
		"other name":        {func(c *SessionConfig) { c.Cookie = "__Secure-other" }, "invalid"},
	} {
		for _, store := range []string{"auto", "storage"} {
			c, d := newClock(), newDisk()
			plain := func(c *SessionConfig) { c.Cookie, c.Store = "__Secure-x", store }
			b, s := newBrowser(), node(t, c, d, plain)
			b.login(t, s, Session{User: "ada"})
			other := node(t, c, d, plain, tc.change)
			r := b.request()
			r.Header.Set("Cookie", strings.Replace(r.Header.Get("Cookie"), s.cookies.name+"=", other.cookies.name+"=", 1))
			if got := openRequest(other, r); got != tc.want {
				t.Errorf("%s, %s: got %s, want %s", name, store, got, tc.want)
			}
		}
	}
}

// TestSessionRotation: renewal seals with the first secret, so that the old one
// can go (threat 50).
func TestSessionRotation(t *testing.T) {
	for _, store := range []string{"cookie", "storage"} {
		c, d := newClock(), newDisk()
		with := func(secrets ...[]byte) *Sessions {
			return node(t, c, d, func(c *SessionConfig) { c.Store, c.Secrets = store, secrets })
		}
		b := newBrowser()
		b.login(t, with(secret(1)), Session{User: "ada"})
		c.advance(2 * time.Hour)
		b.renew(t, with(secret(2), secret(1)))
		if got := b.open(with(secret(2))); got != "ada" {
			t.Errorf("%s: got %s", store, got)
		}
	}
}
