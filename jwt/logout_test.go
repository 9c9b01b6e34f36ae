package jwt

import (
	"fmt"
	"testing"
	"time"

	"github.com/caddy-admit/admit/claims"
)

const goodEvents = `{"http://schemas.openid.net/event/backchannel-logout":{}}`

// logoutClaims are those of a good logout token, edited as by [goodClaims].
func logoutClaims(edit ...string) string {
	return goodClaims(append([]string{"events", goodEvents, "jti", `"j1"`, "sid", `"s1"`}, edit...)...)
}

// TestLogout: every check of OpenID Connect Back-Channel Logout 1.0 section 2.6,
// and that no logout token is another token, nor the other way round (threat 73).
func TestLogout(t *testing.T) {
	plain := newTestVerifier(t, basePolicy(), StaticKeys(keySet(t, jwkOf(ec256()))))
	logout := plain.Logout()
	at := func(d time.Duration) string { return fmt.Sprint(noon.Add(d).Unix()) }
	for _, tc := range []struct {
		name, header, payload string
		want                  claims.Reason
	}{
		{"good", `{"alg":"ES256"}`, logoutClaims(), ""},
		{"typ JWT", `{"alg":"ES256","typ":"JWT"}`, logoutClaims(), ""},
		{"typ logout+jwt", `{"alg":"ES256","typ":"logout+jwt"}`, logoutClaims(), ""},
		{"typ in other case", `{"alg":"ES256","typ":"application/Logout+JWT"}`, logoutClaims(), ""},
		{"typ at+jwt", `{"alg":"ES256","typ":"at+jwt"}`, logoutClaims(), claims.WrongType},
		{"typ is no text", `{"alg":"ES256","typ":1}`, logoutClaims(), claims.WrongType},
		{"alg none", `{"alg":"none"}`, logoutClaims(), claims.UnsupportedAlgorithm},
		{"alg of another key", `{"alg":"RS256"}`, logoutClaims(), claims.UnknownKey},
		{"alg HS256", `{"alg":"HS256"}`, logoutClaims(), claims.UnsupportedAlgorithm},
		{"only sub", `{"alg":"ES256"}`, logoutClaims("sid", ""), ""},
		{"only sid", `{"alg":"ES256"}`, logoutClaims("sub", ""), ""},
		{"neither", `{"alg":"ES256"}`, logoutClaims("sub", "", "sid", ""), claims.MalformedToken},
		{"sub is null", `{"alg":"ES256"}`, logoutClaims("sub", "null"), claims.MalformedToken},
		{"sub is a number", `{"alg":"ES256"}`, logoutClaims("sub", "1815"), claims.MalformedToken},
		{"sub is empty", `{"alg":"ES256"}`, logoutClaims("sub", `""`), claims.MalformedToken},
		{"sid is a list", `{"alg":"ES256"}`, logoutClaims("sid", `["s1"]`), claims.MalformedToken},
		{"sid is empty", `{"alg":"ES256"}`, logoutClaims("sid", `""`), claims.MalformedToken},
		{"other issuer", `{"alg":"ES256"}`, logoutClaims("iss", `"https://idp.example/"`), claims.UnknownIssuer},
		{"no issuer", `{"alg":"ES256"}`, logoutClaims("iss", ""), claims.UnknownIssuer},
		{"other audience", `{"alg":"ES256"}`, logoutClaims("aud", `"other"`), claims.WrongAudience},
		{"no audience", `{"alg":"ES256"}`, logoutClaims("aud", ""), claims.WrongAudience},
		{"several audiences", `{"alg":"ES256"}`, logoutClaims("aud", `["other","api"]`), ""},
		{"no jti", `{"alg":"ES256"}`, logoutClaims("jti", ""), claims.MalformedToken},
		{"jti is a number", `{"alg":"ES256"}`, logoutClaims("jti", "1"), claims.MalformedToken},
		{"nonce", `{"alg":"ES256"}`, logoutClaims("nonce", `"n1"`), claims.WrongType},
		{"nonce is null", `{"alg":"ES256"}`, logoutClaims("nonce", "null"), claims.WrongType},
		{"no events", `{"alg":"ES256"}`, logoutClaims("events", ""), claims.WrongType},
		{"events is a list", `{"alg":"ES256"}`, logoutClaims("events", `["http://schemas.openid.net/event/backchannel-logout"]`), claims.WrongType},
		{"no event", `{"alg":"ES256"}`, logoutClaims("events", `{}`), claims.WrongType},
		{"other event", `{"alg":"ES256"}`, logoutClaims("events", `{"http://schemas.openid.net/event/frontchannel-logout":{}}`), claims.WrongType},
		{"event is a text", `{"alg":"ES256"}`, logoutClaims("events", `{"http://schemas.openid.net/event/backchannel-logout":"{}"}`), claims.WrongType},
		{"event is null", `{"alg":"ES256"}`, logoutClaims("events", `{"http://schemas.openid.net/event/backchannel-logout":null}`), claims.WrongType},
		{"no iat", `{"alg":"ES256"}`, logoutClaims("iat", ""), claims.TooOld},
		{"just not too old", `{"alg":"ES256"}`, logoutClaims("iat", at(time.Second-11*time.Minute)), ""},
		{"too old", `{"alg":"ES256"}`, logoutClaims("iat", at(-11*time.Minute)), claims.TooOld},
		{"from the future", `{"alg":"ES256"}`, logoutClaims("iat", at(2*time.Minute)), claims.NotYetValid},
		{"no exp", `{"alg":"ES256"}`, logoutClaims("exp", ""), claims.MissingExpiry},
		{"expired", `{"alg":"ES256"}`, logoutClaims("exp", at(-time.Minute)), claims.Expired},
		{"critical header", `{"alg":"ES256","crit":["x"]}`, logoutClaims(), claims.CriticalHeader},
		{"an ID token", `{"alg":"ES256"}`, goodClaims("nonce", `"n1"`, "sid", `"s1"`, "jti", `"j1"`), claims.WrongType},
		{"an access token", `{"alg":"ES256","typ":"at+jwt"}`, goodClaims("jti", `"j1"`), claims.WrongType},
	} {
		raw := sign("ES256", ec256(), tc.header, tc.payload)
		if got := check(t, logout, raw); got != string(tc.want) {
			t.Errorf("%s: got %q, want %q", tc.name, got, tc.want)
		}
		if tc.want == "" && check(t, plain, raw) != string(claims.WrongType) {
			t.Errorf("%s: passes as another token", tc.name)
		}
	}
	if raw := sign("ES256", newEC(ec256().Curve)(), `{"alg":"ES256"}`, logoutClaims()); check(t, logout, raw) != string(claims.BadSignature) {
		t.Error("another key: accepted")
	}
}

// TestLogoutPolicy: what the policy of ID tokens leaves out a logout token needs
// all the same.
func TestLogoutPolicy(t *testing.T) {
	p := basePolicy()
	p.Issuers, p.Audience, p.ExpiryOptional, p.Types, p.Vendor = nil, nil, true, []string{"x"}, VendorKeycloak
	logout := newTestVerifier(t, p, StaticKeys(keySet(t, jwkOf(ec256())))).Logout()
	for edit, want := range map[string]claims.Reason{
		"none": "", "iss": claims.MalformedToken, "aud": claims.WrongAudience, "exp": claims.MissingExpiry, "iat": claims.TooOld,
	} {
		raw := sign("ES256", ec256(), `{"alg":"ES256"}`, logoutClaims(edit, ""))
		if got := check(t, logout, raw); got != string(want) {
			t.Errorf("without %s: got %q, want %q", edit, got, want)
		}
	}
}
