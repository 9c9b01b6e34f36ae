package oauth

import (
	"encoding/json"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/caddy-admit/admit/jwt"
)

// TestRedeemAnswer: a row is what the browser brings back.
func TestRedeemAnswer(t *testing.T) {
	for _, tc := range []struct {
		name, answer string
		announced    bool // authorization_response_iss_parameter_supported
		want         string
	}{
		{name: "code", answer: "state=s&code=code-1", want: "in"},
		{name: "unknown parameters", answer: "state=s&code=code-1&authuser=0&prompt=none&authuser=1", want: "in"},
		{name: "iss", answer: "state=s&code=code-1&iss=ISS", want: "in"},
		{name: "iss that was announced", answer: "state=s&code=code-1&iss=ISS", announced: true, want: "in"},
		// threat 60
		{name: "no iss though announced", answer: "state=s&code=code-1", announced: true, want: "refused: missing_iss"},
		{name: "another iss", answer: "state=s&code=code-1&iss=https://evil.example", want: "refused: wrong_iss"},
		{name: "iss with a slash", answer: "state=s&code=code-1&iss=ISS/", want: "refused: wrong_iss"},
		{name: "empty iss", answer: "state=s&code=code-1&iss=", want: "refused: wrong_iss"},
		{name: "error of another iss", answer: "state=s&error=access_denied&iss=https://evil.example", want: "refused: wrong_iss"},
		{name: "error without iss though announced", answer: "state=s&error=access_denied", announced: true, want: "refused: missing_iss"},
		// threat 61
		{name: "two states", answer: "state=s&state=s&code=code-1", want: "refused: duplicate_parameter"},
		{name: "two codes", answer: "state=s&code=code-1&code=code-2", want: "refused: duplicate_parameter"},
		{name: "two issuers", answer: "state=s&code=code-1&iss=ISS&iss=https://evil.example", want: "refused: duplicate_parameter"},
		{name: "two errors", answer: "state=s&error=a&error=b", want: "refused: duplicate_parameter"},
		// threat 65
		{name: "error", answer: "state=s&error=access_denied&error_description=" + marker, want: "refused: provider_error access_denied"},
		{name: "error and code", answer: "state=s&error=login_required&code=code-1", want: "refused: provider_error login_required"},
		{name: "hostile error", answer: "state=s&error=" + marker + "%3Cscript%3E", want: "refused: provider_error"},
		{name: "empty error", answer: "state=s&error=&code=code-1", want: "refused: provider_error"},
		{name: "no code", answer: "state=s", want: "refused: code_missing"},
		{name: "empty code", answer: "state=s&code=", want: "refused: code_missing"},
		{name: "long code", answer: "state=s&code=" + strings.Repeat("c", maxCode+1), want: "refused: code_missing"},
		{name: "longest code", answer: "state=s&code=" + strings.Repeat("c", maxCode), want: "in"},
		{name: "code with a line", answer: "state=s&code=code%0d%0a1", want: "refused: code_missing"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			p := newIDP(t)
			p.metadata = claimSet{"authorization_response_iss_parameter_supported": tc.announced}
			g, err := login(p.party(t), strings.ReplaceAll(tc.answer, "ISS", p.URL))
			got := outcome(t, g, err)
			if err == nil {
				got = "in"
			}
			if got != tc.want {
				t.Errorf("got %s, want %s", got, tc.want)
			}
			if asked := len(p.forms) > 0; asked != (tc.want == "in") {
				t.Errorf("token endpoint asked: %v", asked)
			}
		})
	}
}

// TestRedeemGrant: what the token endpoint gets, and what comes of it.
func TestRedeemGrant(t *testing.T) {
	p := newIDP(t)
	p.id = p.id.with(claimSet{"email": "ada@example.com", "at_hash": nil})
	g, err := login(p.party(t), "code=code-1")
	if err != nil {
		t.Fatal(err)
	}
	form := p.forms[0]
	for name, want := range map[string]string{
		"grant_type": "authorization_code", "code": "code-1", "redirect_uri": redirectURI, "code_verifier": "verifier-1", // threat 57
	} {
		if form.Get(name) != want || len(form[name]) != 1 {
			t.Errorf("%s: got %q", name, form[name])
		}
	}
	if len(form) != 4 {
		t.Errorf("got %v", form)
	}
	now := p.clock.now()
	if g.Subject != "ada-1" || g.SID != "sid-1" || g.Tokens.Access != accessToken+"1" || g.Tokens.Refresh != "rt-secret-1" ||
		!strings.HasPrefix(g.Tokens.ID, "eyJ") || !g.Tokens.Expires.Equal(now.Add(time.Hour)) || !g.Due.Equal(now.Add(55*time.Minute)) {
		t.Errorf("got %+v", g)
	}
	if text := string(g.Claims); !strings.Contains(text, `"email":"ada@example.com"`) || strings.Contains(text, "nonce") {
		t.Errorf("got claims %s", text)
	}
	if len(p.calls) != 0 {
		t.Errorf("calls that nobody wanted: %v", p.calls)
	}
}

// TestRedeemIDToken has the rules of OpenID Connect Core 1.0 section 3.1.3.7: a row
// changes one thing about an ID token that is good.
func TestRedeemIDToken(t *testing.T) {
	p := newIDP(t)
	now := p.clock.now().Unix()
	for _, tc := range []struct {
		name   string
		change claimSet
		want   string // "" for in
	}{
		{"good", nil, ""},
		// threat 58
		{"nonce of another login", claimSet{"nonce": "nonce-2"}, "nonce"},
		{"no nonce", claimSet{"nonce": nil}, "nonce"},
		{"nonce of another type", claimSet{"nonce": 1}, "nonce"},
		// threat 59
		{"another issuer", claimSet{"iss": "https://evil.example"}, "id_token unknown_issuer"},
		{"no issuer", claimSet{"iss": nil}, "id_token unknown_issuer"},
		{"another audience", claimSet{"aud": "other"}, "id_token wrong_audience"},
		{"no audience", claimSet{"aud": nil}, "id_token wrong_audience"},
		{"audience in a list", claimSet{"aud": []string{"app"}}, ""},
		{"audience twice", claimSet{"aud": []string{"app", "app"}}, ""},
		{"two audiences", claimSet{"aud": []string{"app", "other"}}, "id_token wrong_audience"},
		{"two audiences and azp", claimSet{"aud": []string{"app", "other"}, "azp": "app"}, ""},
		{"two audiences and azp of another", claimSet{"aud": []string{"app", "other"}, "azp": "other"}, "id_token wrong_audience"},
		{"azp", claimSet{"azp": "app"}, ""},
		{"azp of another", claimSet{"azp": "other"}, "id_token wrong_audience"},
		{"azp of another type", claimSet{"azp": []string{"app"}}, "id_token wrong_audience"},
		{"no subject", claimSet{"sub": nil}, "id_token no_identity"},
		{"empty subject", claimSet{"sub": ""}, "id_token no_identity"},
		{"subject of another type", claimSet{"sub": 1}, "id_token no_identity"},
		{"no iat", claimSet{"iat": nil}, "id_token malformed_token"},
		{"iat as text", claimSet{"iat": "1"}, "id_token malformed_token"},
		{"no expiry", claimSet{"exp": nil}, "id_token missing_expiry"},
		{"expired", claimSet{"exp": now - 1}, "id_token expired"},
		{"a logout token", claimSet{"events": claimSet{}}, "id_token wrong_type"},
		{"bound", claimSet{"cnf": claimSet{}}, "id_token bound_token"},
		{"at_hash", claimSet{"at_hash": "HASH"}, ""},
		{"at_hash of another token", claimSet{"at_hash": "77QmUPtjPfzWtF2AnpK9RQ"}, "id_token at_hash"},
		{"empty at_hash", claimSet{"at_hash": ""}, "id_token at_hash"},
		{"at_hash of another type", claimSet{"at_hash": 1}, "id_token at_hash"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			p := newIDP(t)
			p.id = p.id.with(tc.change)
			if p.id["at_hash"] == "HASH" {
				token, err := jwt.Parse(p.sign(p.id))
				if err != nil {
					t.Fatal(err)
				}
				p.id["at_hash"] = token.HalfHash(accessToken + "1")
			}
			g, err := login(p.party(t, func(c *RelyingPartyConfig) { c.Userinfo = true }), "code=code-1")
			got := outcome(t, g, err)
			if tc.want == "" {
				// Userinfo is not there, and asked for only by those who came so far.
				if got != "refused: userinfo" || len(p.calls) != 1 {
					t.Errorf("got %s, calls %v", got, p.calls)
				}
				return
			}
			if got != "refused: "+tc.want || len(p.calls) != 0 {
				t.Errorf("got %s, want %s; calls %v", got, tc.want, p.calls)
			}
		})
	}
}

// TestRedeemIDTokenForms: what stands in the place of an ID token.
func TestRedeemIDTokenForms(t *testing.T) {
	other := newIDP(t)
	for name, tc := range map[string]struct {
		change func(p *idp, answer claimSet)
		want   string
	}{
		"none":            {func(_ *idp, a claimSet) { delete(a, "id_token") }, "refused: id_token_missing"},
		"no text":         {func(_ *idp, a claimSet) { a["id_token"] = 1 }, "refused: id_token_missing"},
		"no token":        {func(_ *idp, a claimSet) { a["id_token"] = "x" }, "refused: id_token malformed_token"},
		"encrypted":       {func(_ *idp, a claimSet) { a["id_token"] = "a.b.c.d.e" }, "refused: id_token encrypted"},
		"unsigned":        {func(p *idp, a claimSet) { a["id_token"] = "eyJhbGciOiJub25lIn0.e30.x" }, "refused: id_token malformed_token"},
		"another key":     {func(p *idp, a claimSet) { a["id_token"] = other.sign(p.id) }, "refused: id_token bad_signature"},
		"not bearer":      {func(_ *idp, a claimSet) { a["token_type"] = "DPoP" }, "refused: access_token"},
		"refused":         {func(_ *idp, a claimSet) { a["error"] = "invalid_grant" }, "refused: token_refused invalid_grant"},
		"hundred of them": {func(p *idp, a claimSet) { a["id_token"] = p.sign(p.id.with(claimSet{"groups": make([]string, 9000)})) }, "in"},
		"too large": {func(p *idp, a claimSet) {
			a["id_token"] = p.sign(p.id.with(claimSet{"pad": strings.Repeat("x", maxIDToken)}))
		}, "refused: id_token malformed_token"},
	} {
		t.Run(name, func(t *testing.T) {
			p := newIDP(t)
			p.token = func(a claimSet) { tc.change(p, a) }
			g, err := login(p.party(t), "code=code-1")
			got := outcome(t, g, err)
			if err == nil {
				got = "in"
			}
			if got != tc.want {
				t.Errorf("got %s, want %s", got, tc.want)
			}
		})
	}
}

// TestRedeemMaxAge: who asks for a fresh login gets one (OpenID Connect Core 1.0
// section 3.1.2.1).
func TestRedeemMaxAge(t *testing.T) {
	for _, tc := range []struct {
		name, limit string // limit "" for no max_age
		age         any    // of the login at the provider in seconds; nil: not said
		good        bool
	}{
		{"not asked", "", nil, true},
		{"not asked, old", "", 1e6, true},
		{"young", "300", 10, true},
		{"within the leeway", "300", 359, true},
		{"old", "300", 361, false},
		{"not said", "300", nil, false},
		{"from the future", "300", -120, false},
		{"at once", "0", 30, true},
		{"at once, old", "0", 61, false},
	} {
		t.Run(tc.name, func(t *testing.T) {
			p := newIDP(t)
			if tc.age != nil {
				age := 0.0
				switch n := tc.age.(type) {
				case int:
					age = float64(n)
				case float64:
					age = n
				}
				p.id["auth_time"] = p.clock.now().Unix() - int64(age)
			}
			g, err := login(p.party(t, func(c *RelyingPartyConfig) {
				if tc.limit != "" {
					c.Params = []Param{{"max_age", tc.limit}}
				}
			}), "code=code-1")
			if got := outcome(t, g, err); (err == nil) != tc.good || err != nil && got != "refused: auth_time" {
				t.Errorf("got %s", got)
			}
		})
	}
}

// TestRedeemDown: a provider in trouble refuses nobody.
func TestRedeemDown(t *testing.T) {
	for name, page := range map[string]http.HandlerFunc{
		"503":  func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(503) },
		"page": func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write([]byte(marker)) },
		"redirect": func(w http.ResponseWriter, r *http.Request) {
			http.Redirect(w, r, "/elsewhere", http.StatusTemporaryRedirect)
		},
		"no tokens": func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write([]byte("{}")) },
	} {
		t.Run(name, func(t *testing.T) {
			p := newIDP(t)
			p.pages["/token"] = page
			g, err := login(p.party(t), "code=code-1")
			if got := outcome(t, g, err); got != "down" {
				t.Errorf("got %s", got)
			}
		})
	}
}

// TestRedeemAccessToken: with session_token access the access token is checked as
// the gate would, and is about the same user (threat 59).
func TestRedeemAccessToken(t *testing.T) {
	for _, tc := range []struct {
		name       string
		id, access claimSet // changes
		opaque     bool
		want       string // the user, or how it ended
	}{
		{name: "good", want: "ada-1"},
		{name: "opaque", opaque: true, want: "refused: access_token malformed_token"},
		{name: "for another API", access: claimSet{"aud": "app"}, want: "refused: access_token wrong_audience"},
		{name: "expired", access: claimSet{"exp": 1}, want: "refused: access_token expired"},
		{name: "of nobody", access: claimSet{"sub": nil}, want: "refused: access_token no_identity"},
		{name: "of another user", access: claimSet{"sub": "eve-2"}, want: "refused: subject"},
		{name: "Okta", access: claimSet{"sub": "ada@example.com", "uid": "ada-1"}, want: "ada@example.com"},
		{name: "Okta, another user", access: claimSet{"sub": "ada@example.com", "uid": "eve-2"}, want: "refused: subject"},
		{name: "Entra ID", id: claimSet{"oid": "o", "tid": "t"}, access: claimSet{"sub": "x", "oid": "o", "tid": "t"}, want: "x"},
		{name: "Entra ID, another tenant", id: claimSet{"oid": "o", "tid": "t"}, access: claimSet{"sub": "x", "oid": "o", "tid": "u"}, want: "refused: subject"},
		{name: "Entra ID, no tenant", id: claimSet{"oid": "o"}, access: claimSet{"sub": "x", "oid": "o"}, want: "refused: subject"},
		{name: "ID token of another client", id: claimSet{"aud": "other"}, want: "refused: id_token wrong_audience"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			p := newIDP(t)
			p.id = p.id.with(tc.id)
			if !tc.opaque {
				now := p.clock.now().Unix()
				p.access = claimSet{"iss": p.URL, "sub": "ada-1", "aud": "api", "exp": now + 600, "roles": "admin"}.with(tc.access)
			}
			g, err := login(p.party(t, func(c *RelyingPartyConfig) { c.SessionToken = SessionTokenAccess }), "code=code-1")
			got := outcome(t, g, err)
			if err == nil {
				var c struct{ Sub, Roles string }
				if err := json.Unmarshal(g.Claims, &c); err != nil || c.Roles != "admin" || g.Subject != "ada-1" || g.SID != "sid-1" {
					t.Errorf("got %s of %+v, %v", g.Claims, g, err)
				}
				got = c.Sub
			}
			if got != tc.want {
				t.Errorf("got %s, want %s", got, tc.want)
			}
		})
	}
}
