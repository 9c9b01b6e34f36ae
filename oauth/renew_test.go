package oauth

import (
	"context"
	"errors"
	"net/http"
	"strings"
	"testing"
	"time"
)

// loggedIn logs in, and returns what a session keeps of it.
func loggedIn(t *testing.T, party *RelyingParty) *Grant {
	t.Helper()
	g, err := login(party, "code=code-1")
	if err != nil {
		t.Fatal(err)
	}
	return g
}

// TestRenew: a refresh token gets new tokens and new claims.
func TestRenew(t *testing.T) {
	p := newIDP(t)
	p.page("/userinfo", 200, `{"sub":"ada-1","groups":["dev"]}`)
	party := p.party(t, withUserinfo)
	old := loggedIn(t, party)
	p.clock.advance(55 * time.Minute)
	now := p.clock.now()
	p.page("/userinfo", 200, `{"sub":"ada-1","groups":["ops"]}`)
	p.id = p.id.with(claimSet{"iat": now.Unix(), "exp": now.Unix() + 600, "nonce": nil, "sid": nil, "name": "Ada"})
	g, err := party.Renew(context.Background(), old)
	if err != nil {
		t.Fatal(err)
	}
	form := p.forms[1]
	if len(form) != 2 || form.Get("grant_type") != "refresh_token" || form.Get("refresh_token") != "rt-secret-1" {
		t.Errorf("got %v", form)
	}
	if g.Tokens.Access != accessToken+"2" || g.Tokens.Refresh != "rt-secret-2" || g.Tokens.ID == old.Tokens.ID ||
		g.Subject != "ada-1" || g.SID != "sid-1" || !g.Due.Equal(now.Add(55*time.Minute)) {
		t.Errorf("got %+v", g)
	}
	if text := string(g.Claims); !strings.Contains(text, `"groups":["ops"]`) || !strings.Contains(text, `"name":"Ada"`) {
		t.Errorf("got claims %s", text)
	}
	if old.Tokens.Refresh != "rt-secret-1" || !strings.Contains(string(old.Claims), "dev") {
		t.Error("the old grant was changed")
	}
}

// TestRenewKeeps: what a provider does not give anew stays.
func TestRenewKeeps(t *testing.T) {
	p := newIDP(t)
	p.token = func(a claimSet) { a["scope"] = "openid groups" }
	p.page("/userinfo", 200, `{"sub":"ada-1","groups":["dev"]}`)
	party := p.party(t, withUserinfo)
	p.id["name"] = "Ada"
	old := loggedIn(t, party)
	p.page("/userinfo", 200, `{"sub":"ada-1"}`)
	p.token = func(a claimSet) {
		delete(a, "refresh_token")
		delete(a, "id_token")
	}
	g, err := party.Renew(context.Background(), old)
	if err != nil {
		t.Fatal(err)
	}
	if g.Tokens.Refresh != "rt-secret-1" || g.Tokens.ID != old.Tokens.ID || g.Tokens.Scope != "openid groups" || g.SID != "sid-1" {
		t.Errorf("got %+v", g)
	}
	if text := string(g.Claims); strings.Contains(text, "dev") || !strings.Contains(text, `"name":"Ada"`) {
		t.Errorf("got claims %s", text) // a group that userinfo no longer names is gone
	}
	// Where the ID token was not kept the claims of the session stand in for it.
	g.Tokens.ID = ""
	if g, err = party.Renew(context.Background(), g); err != nil || !strings.Contains(string(g.Claims), `"name":"Ada"`) {
		t.Errorf("got %v", err)
	}
}

// TestRenewIDToken: a new ID token goes on with the old one (threat 70, conformance
// refresh-token-invalid-issuer, refresh-token-invalid-sub).
func TestRenewIDToken(t *testing.T) {
	for _, tc := range []struct {
		name   string
		change claimSet
		want   string // "" for renewed
	}{
		{"the same", nil, ""},
		{"without nonce", claimSet{"nonce": nil}, ""},
		{"another nonce", claimSet{"nonce": "nonce-2"}, "refused for good"},
		{"another user", claimSet{"sub": "eve-2"}, "refused for good"},
		{"another issuer", claimSet{"iss": "https://evil.example"}, "refused for good"},
		{"another audience", claimSet{"aud": "other"}, "refused for good"},
		{"one more audience", claimSet{"aud": []string{"app", "other"}, "azp": "app"}, "refused for good"},
		{"the audience in a list", claimSet{"aud": []string{"app"}}, ""},
		{"no user", claimSet{"sub": nil}, "refused: id_token no_identity"},
		{"expired", claimSet{"exp": 1}, "refused: id_token expired"},
		{"another access token's", claimSet{"at_hash": "x"}, "refused: id_token at_hash"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			p := newIDP(t)
			party := p.party(t)
			old := loggedIn(t, party)
			p.id = p.id.with(tc.change)
			g, err := party.Renew(context.Background(), old)
			if got := outcome(t, g, err); tc.want == "" && err != nil || tc.want != "" && got != tc.want {
				t.Errorf("got %s, want %s", got, tc.want)
			}
			if final := errors.Is(err, ErrRefused); final != (g == nil) {
				t.Errorf("refused %v, grant %+v", final, g)
			}
			if err != nil && g != nil {
				// The refresh token is spent. The new one must not get lost.
				if g.Tokens.Refresh != "rt-secret-2" || g.Tokens.ID != old.Tokens.ID || string(g.Claims) != string(old.Claims) || !g.Due.Equal(old.Due) {
					t.Errorf("got %+v", g)
				}
			}
		})
	}
}

// TestRenewAnswers: a row is how the provider answers the refresh token, and
// whether that ends the session (threat 71).
func TestRenewAnswers(t *testing.T) {
	for _, tc := range []struct {
		name   string
		status int
		body   string
		want   string
	}{
		{"spent", 400, `{"error":"invalid_grant"}`, "refused for good"},
		{"spent, with 200", 200, `{"error":"bad_refresh_token"}`, "refused for good"},
		{"has to log in", 400, `{"error":"interaction_required"}`, "refused for good"},
		{"client unknown", 401, `{"error":"invalid_client"}`, "oauth: token endpoint refused: invalid_client (status 401)"},
		{"not allowed", 400, `{"error":"unauthorized_client"}`, "oauth: token endpoint refused: unauthorized_client (status 400)"},
		{"no code", 400, marker, "oauth: token endpoint refused: status 400"},
		{"trouble that names a code", 500, `{"error":"invalid_grant"}`, "down"},
		{"too many", 429, `{"error":"invalid_grant"}`, "down"},
		{"unavailable", 503, marker, "down"},
		{"page", 200, "<html>" + marker, "down"},
		{"nothing", 200, "", "down"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			p := newIDP(t)
			party := p.party(t)
			old := loggedIn(t, party)
			p.page("/token", tc.status, tc.body)
			g, err := party.Renew(context.Background(), old)
			if got := outcome(t, g, err); got != tc.want || g != nil {
				t.Errorf("got %s, want %s", got, tc.want)
			}
		})
	}
}

// TestRenewUserinfo: userinfo is asked anew.
func TestRenewUserinfo(t *testing.T) {
	for _, tc := range []struct {
		status     int
		body, want string
	}{
		{401, marker, "refused for good"},
		{200, `{"sub":"eve-2"}`, "refused for good"},
		{403, marker, "refused: userinfo"},
		{200, `[]`, "refused: userinfo"},
		{503, marker, "down"},
	} {
		p := newIDP(t)
		p.page("/userinfo", 200, `{"sub":"ada-1"}`)
		party := p.party(t, withUserinfo)
		old := loggedIn(t, party)
		p.page("/userinfo", tc.status, tc.body)
		g, err := party.Renew(context.Background(), old)
		if got := outcome(t, g, err); got != tc.want {
			t.Errorf("%d: got %s, want %s", tc.status, got, tc.want)
		}
		if g != nil && (errors.Is(err, ErrRefused) || g.Tokens.Refresh != "rt-secret-2" || g.Tokens.Access != accessToken+"2") {
			t.Errorf("%d: got %+v", tc.status, g)
		}
	}
}

// TestRenewAccessToken: the claims of an access token are those of the new one.
func TestRenewAccessToken(t *testing.T) {
	p := newIDP(t)
	now := p.clock.now().Unix()
	p.access = claimSet{"iss": p.URL, "sub": "ada-1", "aud": "api", "exp": now + 600, "roles": "admin"}
	party := p.party(t, func(c *RelyingPartyConfig) { c.SessionToken = SessionTokenAccess })
	old := loggedIn(t, party)
	p.access["roles"] = "guest"
	g, err := party.Renew(context.Background(), old)
	if got := outcome(t, g, err); !strings.Contains(got, `"roles":"guest"`) {
		t.Errorf("got %s", got)
	}
	p.access["sub"] = "eve-2"
	g, err = party.Renew(context.Background(), old)
	if got := outcome(t, g, err); got != "refused for good" {
		t.Errorf("got %s", got)
	}
}

// TestRenewPlain: without a refresh token the user API is asked again.
func TestRenewPlain(t *testing.T) {
	for _, tc := range []struct {
		name string
		page http.HandlerFunc
		want string
	}{
		{"the same", func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write([]byte(`{"id":1,"x":2}`)) }, `{"sub":"1","id":1,"x":2}`},
		{"another user", func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write([]byte(`{"id":2}`)) }, "refused for good"},
		{"token gone", func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(401) }, "refused for good"},
		{"forbidden", func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(403) }, "refused: userinfo"},
		{"too many", func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Retry-After", "60")
			w.WriteHeader(403)
		}, "down"},
		{"in trouble", func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(502) }, "down"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			p := newIDP(t)
			p.page("/user", 200, `{"id":1}`)
			p.token = func(a claimSet) {
				delete(a, "refresh_token")
				delete(a, "expires_in")
			}
			party := p.party(t, plainConfig, func(c *RelyingPartyConfig) { c.Refresh = time.Hour })
			old := loggedIn(t, party)
			p.clock.advance(time.Hour)
			p.pages["/user"] = tc.page
			g, err := party.Renew(context.Background(), old)
			if got := outcome(t, g, err); got != tc.want || len(p.forms) != 1 {
				t.Errorf("got %s, want %s", got, tc.want)
			}
			if err == nil && (g.Tokens.Access != old.Tokens.Access || !g.Due.Equal(p.clock.now().Add(time.Hour))) {
				t.Errorf("got %+v", g)
			}
		})
	}
}

// TestRenewNothing: without a refresh token there is nothing to ask with.
func TestRenewNothing(t *testing.T) {
	p := newIDP(t)
	p.token = func(a claimSet) { delete(a, "refresh_token") }
	party := p.party(t)
	old := loggedIn(t, party)
	if g, err := party.Renew(context.Background(), old); err == nil || errors.Is(err, ErrRefused) || g != nil || len(p.forms) != 1 {
		t.Errorf("got %v, %v", g, err)
	}
}

// TestDue: a row is what there is to renew by, and when that is done.
func TestDue(t *testing.T) {
	const never = -1
	for _, tc := range []struct {
		name         string
		refreshToken bool
		plain, off   bool
		life, option time.Duration
		want         time.Duration
	}{
		{"five minutes before the end", true, false, false, time.Hour, 0, 55 * time.Minute},
		{"a tenth before the end", true, false, false, 10 * time.Minute, 0, 9 * time.Minute},
		{"sooner by option", true, false, false, time.Hour, 10 * time.Minute, 10 * time.Minute},
		{"option later than the end", true, false, false, time.Hour, 2 * time.Hour, 55 * time.Minute},
		{"no end", true, false, false, 0, 0, never},
		{"no end, by option", true, false, false, 0, time.Hour, time.Hour},
		{"no refresh token", false, false, false, time.Hour, time.Minute, never},
		{"switched off", true, false, true, time.Hour, time.Minute, never},
		{"user API", false, true, false, 0, time.Hour, time.Hour},
		{"user API, the token's end is no reason", false, true, false, time.Hour, 0, never},
		{"user API with a refresh token", true, true, false, time.Hour, 0, 55 * time.Minute},
		{"user API, switched off", false, true, true, 0, time.Hour, never},
	} {
		t.Run(tc.name, func(t *testing.T) {
			p := newIDP(t)
			change := func(c *RelyingPartyConfig) { c.Refresh, c.NoRefresh = tc.option, tc.off }
			party := p.party(t, change)
			if tc.plain {
				party = p.party(t, plainConfig, change)
			}
			tokens := &Tokens{Access: "at"}
			if tc.refreshToken {
				tokens.Refresh = "rt"
			}
			if tc.life > 0 {
				tokens.Expires = p.clock.now().Add(tc.life)
			}
			due := party.due(tokens)
			if tc.want == never && !due.IsZero() || tc.want != never && !due.Equal(p.clock.now().Add(tc.want)) {
				t.Errorf("got %v", due)
			}
			if note := party.neverDue(due); (note != "") != (tc.want == never && tc.option > 0 && !tc.off) {
				t.Errorf("noted %q", note)
			}
		})
	}
}
