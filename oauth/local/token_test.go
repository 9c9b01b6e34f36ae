package local

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/caddy-admit/admit/claims"
	"github.com/caddy-admit/admit/internal/store"
	"github.com/caddy-admit/admit/internal/store/storetest"
	"github.com/caddy-admit/admit/jwt"
)

func newTokens(s store.Store, now func() time.Time, audience ...string) *Tokens {
	return &Tokens{
		Issuer: "home", Audience: audience, Access: 5 * time.Minute, Now: now,
		Keys: jwt.NewSigningKeys(jwt.Signing{Store: s, Key: "admit/keys/x", Algorithm: "EdDSA", Age: time.Hour, Keep: time.Hour, Now: now}),
	}
}

func parseClaims(t *testing.T, text string) *claims.Set {
	t.Helper()
	set, err := claims.Parse([]byte(text))
	if err != nil {
		t.Fatal(err)
	}
	return set
}

// made makes a token and returns what is in it.
func made(t *testing.T, tokens *Tokens, own *claims.Set) (header, payload map[string]any) {
	t.Helper()
	token, err := tokens.Make(context.Background(), "ada", own)
	if err != nil {
		t.Fatal(err)
	}
	for i, into := range []*map[string]any{&header, &payload} {
		data, err := base64.RawURLEncoding.DecodeString(strings.Split(token, ".")[i])
		if err == nil {
			err = json.Unmarshal(data, into)
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	return header, payload
}

// TestMake: registered claims are the token's own whatever the user's are called,
// and nothing of the user's passes for one (threat 84, CVE-2024-29892).
func TestMake(t *testing.T) {
	c := &familyClock{time.Unix(2_000_000_000, 0)}
	var all []string
	for _, name := range ReservedClaims {
		all = append(all, fmt.Sprintf("%q: \"evil\"", name))
	}
	own := parseClaims(t, "{"+strings.Join(all, ",")+`, "groups": ["staff"], "Sub": "x", "n": 12345678901234567890, "html": "<&>"}`)
	header, payload := made(t, newTokens(new(storetest.Memory), c.now, "home"), own)
	if header["typ"] != "at+jwt" || header["alg"] != "EdDSA" || header["kid"] == "" {
		t.Errorf("header %v", header)
	}
	jti, _ := payload["jti"].(string)
	delete(payload, "jti")
	want := "map[Sub:x aud:home exp:2.0000003e+09 groups:[staff] html:<&> iat:2e+09 iss:home n:1.2345678901234567e+19 sub:ada]"
	if got := fmt.Sprint(payload); got != want {
		t.Errorf("got  %s\nwant %s", got, want)
	}
	if id, err := base64.RawURLEncoding.DecodeString(jti); err != nil || len(id) != 16 {
		t.Errorf("jti %q", jti)
	}
}

// TestMakeAudience: one audience is text, several a list; each token has an id of
// its own (threat 100).
func TestMakeAudience(t *testing.T) {
	tokens := newTokens(new(storetest.Memory), time.Now, "one", "two")
	_, a := made(t, tokens, nil)
	_, b := made(t, tokens, parseClaims(t, "{}"))
	if fmt.Sprint(a["aud"]) != "[one two]" || a["jti"] == b["jti"] || len(a) != 6 {
		t.Errorf("%v %v", a, b)
	}
}

// TestMakeOutage: without a key there is no token.
func TestMakeOutage(t *testing.T) {
	s := &storetest.Memory{Fail: func(string, string) error { return errors.New("down") }}
	token, err := newTokens(s, time.Now, "home").Make(context.Background(), "ada", nil)
	if token != "" || !errors.Is(err, store.ErrUnavailable) {
		t.Errorf("%q, %v", token, err)
	}
}

// TestNamed: the id comes before the claims, which cannot say another.
func TestNamed(t *testing.T) {
	for _, tc := range []struct{ id, own, want string }{
		{"ada", "{}", `{"sub":"ada"}`},
		{"ada", " { } ", `{"sub":"ada" }`},
		{"ada", `{"a":1}`, `{"sub":"ada","a":1}`},
		{"ada", "\n{ \"a\" : [1, 2] }\n", `{"sub":"ada", "a" : [1, 2] }`},
		{`a"d\a`, `{}`, `{"sub":"a\"d\\a"}`},
		{"ada", `{"sub":"bob"}`, ""},
	} {
		set, err := Named(tc.id, parseClaims(t, tc.own))
		got := ""
		if err == nil {
			got = string(set.Bytes())
		}
		if got != tc.want {
			t.Errorf("%s %s: got %s, %v", tc.id, tc.own, got, err)
		}
	}
	if set, err := Named("ada", nil); err != nil || string(set.Bytes()) != `{"sub":"ada"}` {
		t.Errorf("without claims: %v", err)
	}
}
