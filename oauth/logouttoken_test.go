package oauth

import (
	"context"
	"crypto/ed25519"
	"encoding/base64"
	"encoding/json"
	"errors"
	"maps"
	"strings"
	"testing"
	"time"

	"github.com/caddy-admit/admit/claims"
	"github.com/caddy-admit/admit/internal/store"
	"github.com/caddy-admit/admit/jwt"
)

// logoutKey signs the logout tokens of the tests, by a fixed seed for the fuzzer.
var logoutKey = ed25519.NewKeyFromSeed(secret(7))

// logoutParty is a client whose provider signs with that key.
func logoutParty(t testing.TB, c *clock, change ...func(*RelyingPartyConfig)) *RelyingParty {
	t.Helper()
	config := RelyingPartyConfig{
		Auth: ClientAuth{ID: "app"}, Scopes: []string{"openid"}, Now: c.now, Issuer: "https://idp.example",
		Endpoints: Endpoints{Authorization: "https://idp.example/authorize", Token: "https://idp.example/token"},
		IDTokens:  logoutVerifier(t, c, logoutKeys(t)),
	}
	for _, f := range change {
		f(&config)
	}
	p, err := NewRelyingParty(config)
	if err != nil {
		t.Fatal(err)
	}
	return p
}

// logoutKeys are the keys that the provider publishes.
func logoutKeys(t testing.TB) jwt.KeySource {
	t.Helper()
	x := base64.RawURLEncoding.EncodeToString(logoutKey.Public().(ed25519.PublicKey))
	set, _, err := jwt.ParseKeySet([]byte(`{"keys":[{"kty":"OKP","crv":"Ed25519","x":"` + x + `"}]}`))
	if err != nil {
		t.Fatal(err)
	}
	return jwt.StaticKeys(set)
}

func logoutVerifier(t testing.TB, c *clock, keys jwt.KeySource) *jwt.Verifier {
	t.Helper()
	v, err := jwt.NewVerifier(jwt.Policy{
		Issuers: []string{"https://idp.example", "https://idp.example2"}, Audience: []string{"app"}, AudienceClaims: []claims.Path{claims.MustPath("aud")},
		Algorithms: jwt.Asymmetric, Types: []string{"", "JWT"}, Leeway: time.Minute,
	}, keys, c.now)
	if err != nil {
		t.Fatal(err)
	}
	return v
}

// signed makes a token of claims.
func signed(header string, payload map[string]any) string {
	text, err := json.Marshal(payload)
	if err != nil {
		panic(err)
	}
	b64 := base64.RawURLEncoding.EncodeToString
	input := b64([]byte(header)) + "." + b64(text)
	return input + "." + b64(ed25519.Sign(logoutKey, []byte(input)))
}

const edHeader = `{"alg":"EdDSA"}`

// logoutToken makes a good logout token, with other claims instead of those of the
// same name; nil takes one out.
func logoutToken(c *clock, edit map[string]any) string {
	payload := map[string]any{
		"iss": "https://idp.example", "aud": "app", "sub": "1815", "sid": "s1", "jti": "j1",
		"iat": c.now().Unix(), "exp": c.now().Unix() + 120,
		"events": map[string]any{"http://schemas.openid.net/event/backchannel-logout": map[string]any{}},
	}
	maps.Copy(payload, edit)
	maps.DeleteFunc(payload, func(_ string, v any) bool { return v == nil })
	return signed(edHeader, payload)
}

// TestLogoutToken: what is good, and what differs from it in one thing (threat 73;
// all checks are tested where they are made, in package jwt).
func TestLogoutToken(t *testing.T) {
	c := newClock()
	for _, tc := range []struct {
		name    string
		raw     string
		want    string // sid and sub
		refused bool
	}{
		{"good", logoutToken(c, nil), "s1 1815", false},
		{"sid", logoutToken(c, map[string]any{"sub": nil}), "s1 ", false},
		{"sub", logoutToken(c, map[string]any{"sid": nil}), " 1815", false},
		{"neither", logoutToken(c, map[string]any{"sid": nil, "sub": nil}), " ", true},
		{"other client", logoutToken(c, map[string]any{"aud": "other"}), " ", true},
		{"other issuer", logoutToken(c, map[string]any{"iss": "https://idp.example/"}), " ", true},
		{"no jti", logoutToken(c, map[string]any{"jti": nil}), " ", true},
		{"nonce", logoutToken(c, map[string]any{"nonce": "n"}), " ", true},
		{"ID token", logoutToken(c, map[string]any{"nonce": "n", "events": nil}), " ", true},
		{"no token", "x", " ", true},
		{"nothing", "", " ", true},
		{"cut", strings.TrimSuffix(logoutToken(c, nil), "A")[:300], " ", true},
	} {
		p := logoutParty(t, c)
		sid, sub, exp, err := p.LogoutToken(context.Background(), tc.raw)
		if got := sid + " " + sub; got != tc.want || errors.Is(err, ErrLogoutToken) != tc.refused || (err != nil) != tc.refused {
			t.Errorf("%s: got %s, %v", tc.name, got, err)
		}
		if err != nil && (len(tc.raw) > 1 && strings.Contains(err.Error(), tc.raw) || strings.Contains(err.Error(), "1815")) {
			t.Errorf("%s: the error quotes the token: %v", tc.name, err)
		}
		if err == nil && (exp.Before(c.now().Add(2*time.Minute)) || exp.After(c.now().Add(20*time.Minute))) {
			t.Errorf("%s: until %v", tc.name, exp)
		}
	}
	none := logoutParty(t, c, func(c *RelyingPartyConfig) {
		c.IDTokens, c.Scopes, c.Endpoints.Userinfo = nil, nil, "https://idp.example/user"
	})
	if _, _, _, err := none.LogoutToken(context.Background(), logoutToken(c, nil)); !errors.Is(err, ErrLogoutToken) || none.MayTakeLogout(logoutToken(c, nil)) {
		t.Errorf("without ID tokens: got error %v", err)
	}
	lasting := logoutToken(c, map[string]any{"exp": 1e300})
	if _, _, exp, err := logoutParty(t, c).LogoutToken(context.Background(), lasting); err != nil || exp.After(c.now().Add(20*time.Minute)) {
		t.Errorf("one that never ends: until %v, %v", exp, err)
	}
}

// TestLogoutTokenKeys: keys out of reach say nothing about a token: the provider
// may send it again, and then it counts.
func TestLogoutTokenKeys(t *testing.T) {
	c := newClock()
	keys := &failing{}
	p := logoutParty(t, c, func(config *RelyingPartyConfig) {
		keys.KeySource, keys.err = logoutKeys(t), errors.New("down")
		config.IDTokens = logoutVerifier(t, c, keys)
	})
	raw := logoutToken(c, nil)
	if _, _, _, err := p.LogoutToken(context.Background(), raw); !errors.Is(err, jwt.ErrKeysUnavailable) || errors.Is(err, ErrLogoutToken) {
		t.Errorf("got error %v", err)
	}
	keys.err = nil
	if _, _, _, err := p.LogoutToken(context.Background(), raw); err != nil {
		t.Errorf("then got error %v", err)
	}
}

// failing is a source of keys that fails while err is set.
type failing struct {
	jwt.KeySource
	err error
}

func (f *failing) Keys(ctx context.Context) (*jwt.KeySet, uint64, error) {
	if f.err != nil {
		return nil, 0, f.err
	}
	return f.KeySource.Keys(ctx)
}

// TestLogoutTokenReplay: a token is good once, for as long as anybody would take
// it, whatever else is in it, and also after a reload (threat 73).
func TestLogoutTokenReplay(t *testing.T) {
	c := newClock()
	kept := new(Replays)
	keep := func(c *RelyingPartyConfig) { c.Replays = kept }
	p := logoutParty(t, c, keep)
	raw := logoutToken(c, map[string]any{"exp": c.now().Add(24 * time.Hour).Unix()})
	take := func(p *RelyingParty, raw string) string {
		_, _, _, err := p.LogoutToken(context.Background(), raw)
		switch {
		case errors.Is(err, errReplayed) && errors.Is(err, ErrLogoutToken):
			return "replayed"
		case errors.Is(err, ErrLogoutToken):
			return "refused"
		case err != nil:
			return err.Error()
		}
		return "taken"
	}
	for _, tc := range []struct {
		wait time.Duration
		p    *RelyingParty
		raw  string
		want string
	}{
		{0, p, raw, "taken"},
		{0, p, raw, "replayed"},
		{0, p, logoutToken(c, map[string]any{"sid": "s2"}), "replayed"}, // the same jti
		{0, p, logoutToken(c, map[string]any{"jti": "j2"}), "taken"},
		{0, p, logoutToken(c, map[string]any{"jti": "2j3"}), "taken"},
		{0, p, logoutToken(c, map[string]any{"iss": "https://idp.example2", "jti": "j3"}), "taken"},
		{0, logoutParty(t, c, keep), raw, "replayed"},
		{0, logoutParty(t, c), raw, "taken"}, // another process
		{10 * time.Minute, p, raw, "replayed"},
		{59 * time.Second, p, raw, "replayed"},
		{time.Second, p, raw, "refused"},
		{time.Hour, p, raw, "refused"},
	} {
		c.advance(tc.wait)
		if got := take(tc.p, tc.raw); got != tc.want {
			t.Errorf("after %v: got %s, want %s", tc.wait, got, tc.want)
		}
	}
}

// TestReplaysBounded: a memory that is full refuses and does not forget; what has
// ended makes room (threat 97).
func TestReplaysBounded(t *testing.T) {
	c := newClock()
	p := logoutParty(t, c)
	for i := range maxReplays {
		id := [32]byte{byte(i), byte(i >> 8), byte(i >> 16)}
		if err := p.replays().take(id, c.now(), c.now().Add(time.Minute)); err != nil {
			t.Fatal(err)
		}
	}
	if _, _, _, err := p.LogoutToken(context.Background(), logoutToken(c, nil)); !errors.Is(err, errReplays) || errors.Is(err, ErrLogoutToken) {
		t.Errorf("full: got error %v", err)
	}
	c.advance(time.Minute)
	if _, _, _, err := p.LogoutToken(context.Background(), logoutToken(c, nil)); err != nil || len(p.replays().seen) != 1 {
		t.Errorf("later: got error %v, %d are remembered", err, len(p.replays().seen))
	}
}

// TestBackchannel: the session that a token names ends, on every node; while the
// storage fails the token is not spent (threats 52, 73 and 74).
func TestBackchannel(t *testing.T) {
	c, d := newClock(), newDisk()
	here, there := node(t, c, d, inStorage), node(t, c, d, inStorage)
	p, ada, other := logoutParty(t, c), newBrowser(), newBrowser()
	ada.login(t, here, Session{User: "ada", SID: "s1", Subject: "1815"})
	other.login(t, here, Session{User: "ada", SID: "s2", Subject: "1815"})
	c.advance(time.Second)
	if err := p.Backchannel(context.Background(), logoutToken(c, map[string]any{"nonce": "n"}), here); !errors.Is(err, ErrLogoutToken) {
		t.Errorf("refused: got error %v", err)
	}
	if got := ada.open(here) + " " + other.open(there); got != "ada ada" {
		t.Errorf("refused: got %s", got)
	}
	raw := logoutToken(c, nil)
	d.fail("store")
	if err := p.Backchannel(context.Background(), raw, here); !errors.Is(err, store.ErrUnavailable) {
		t.Errorf("storage down: got error %v", err)
	}
	d.fail()
	if err := p.Backchannel(context.Background(), raw, here); err != nil {
		t.Errorf("again: got error %v", err)
	}
	if err := p.Backchannel(context.Background(), raw, here); !errors.Is(err, errReplayed) {
		t.Errorf("a third time: got error %v", err)
	}
	c.advance(10 * time.Second)
	for _, s := range []*Sessions{here, there} {
		if got := ada.open(s) + " " + other.open(s); got != "revoked ada" {
			t.Errorf("got %s", got)
		}
	}
	if err := p.Backchannel(context.Background(), logoutToken(c, map[string]any{"jti": "j2"}), node(t, c, d)); !errors.Is(err, ErrNoMarks) {
		t.Errorf("sessions in cookies: got error %v", err) // threat 77
	}
}

// TestMayTakeLogout: which of several clients of a provider a token is for.
func TestMayTakeLogout(t *testing.T) {
	c := newClock()
	p := logoutParty(t, c)
	for _, tc := range []struct {
		edit map[string]any
		want bool
	}{
		{nil, true},
		{map[string]any{"aud": []string{"other", "app"}}, true},
		{map[string]any{"aud": "other"}, false},
		{map[string]any{"aud": nil}, false},
		{map[string]any{"iss": "https://other.example"}, false},
	} {
		if got := p.MayTakeLogout(logoutToken(c, tc.edit)); got != tc.want {
			t.Errorf("%v: got %v", tc.edit, got)
		}
	}
	if p.MayTakeLogout("x") {
		t.Error("takes what is no token")
	}
}

// FuzzLogoutToken: only what was signed for this purpose passes, and once.
func FuzzLogoutToken(f *testing.F) {
	c := newClock()
	good := logoutToken(c, nil)
	f.Add(good)
	f.Add(logoutToken(c, map[string]any{"events": nil, "nonce": "n"}))
	f.Add(logoutToken(c, map[string]any{"exp": -1e300, "iat": 1e300}))
	f.Add(signed(`{"alg":"none"}`, map[string]any{}))
	f.Add("..")
	f.Add(strings.Replace(good, ".", ".=", 1))
	f.Fuzz(func(t *testing.T, raw string) {
		p := logoutParty(t, c)
		p.MayTakeLogout(raw)
		sid, sub, _, err := p.LogoutToken(context.Background(), raw)
		if err != nil {
			if sid != "" || sub != "" || raw == good {
				t.Errorf("%q: got %q, %q, %v", raw, sid, sub, err)
			}
			return
		}
		if raw != good {
			t.Errorf("%q: accepted", raw)
		}
		if _, _, _, err := p.LogoutToken(context.Background(), raw); !errors.Is(err, ErrLogoutToken) {
			t.Errorf("%q: accepted twice: %v", raw, err)
		}
	})
}
