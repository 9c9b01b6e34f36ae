package jwt

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/caddy-admit/admit/claims"
)

// TestCheckClaims: what an issuer says when it is asked is held to the policy on
// every request (threat 90), and beside each row what a token would get.
func TestCheckClaims(t *testing.T) {
	at := func(d time.Duration) string { return fmt.Sprint(noon.Add(d).Unix()) }
	const tenant = "11111111-2222-3333-4444-555555555555"
	tenants := func(p *Policy) {
		p.Issuers, p.Tenants = []string{"https://idp.example/{tenantid}"}, []string{tenant}
	}
	aged := func(p *Policy) { p.MaxAge = time.Minute }
	anyone := func(p *Policy) { p.Audience = nil }
	keycloak := func(p *Policy) { p.Vendor = VendorKeycloak }
	for _, tc := range []struct {
		name   string
		change func(*Policy)
		claims string
		want   claims.Reason
		token  claims.Reason // of a signed token with these claims
	}{
		{"good", nil, goodClaims(), "", ""},
		{"no issuer", nil, goodClaims("iss", ""), "", claims.UnknownIssuer},
		{"other issuer", nil, goodClaims("iss", `"https://idp.example/"`), claims.UnknownIssuer, claims.UnknownIssuer},
		{"issuer is null", nil, goodClaims("iss", "null"), claims.UnknownIssuer, claims.UnknownIssuer},
		{"tenant", tenants, goodClaims("iss", `"https://idp.example/`+tenant+`"`, "tid", `"`+tenant+`"`), "", ""},
		{"no issuer of several tenants", tenants, goodClaims("iss", "", "tid", `"`+tenant+`"`), claims.UnknownIssuer, claims.UnknownIssuer},
		{"no expiry", nil, goodClaims("exp", ""), "", claims.MissingExpiry},
		{"expired", nil, goodClaims("exp", at(-time.Hour)), claims.Expired, claims.Expired},
		{"expiry is a text", nil, goodClaims("exp", `"`+at(time.Hour)+`"`), claims.MalformedToken, claims.MalformedToken},
		{"not yet", nil, goodClaims("nbf", at(time.Hour)), claims.NotYetValid, claims.NotYetValid},
		{"too old", aged, goodClaims("iat", at(-time.Hour)), claims.TooOld, claims.TooOld},
		{"of no age", aged, goodClaims("iat", ""), claims.TooOld, claims.TooOld},
		{"other audience", nil, goodClaims("aud", `"other"`), claims.WrongAudience, claims.WrongAudience},
		{"no audience", nil, goodClaims("aud", ""), claims.WrongAudience, claims.WrongAudience},
		// threat 27: a refresh token has neither an audience nor a type.
		{"any audience, of a type", anyone, goodClaims("aud", "", "token_type", `"Bearer"`), "", ""},
		{"any audience, of a use", anyone, goodClaims("aud", "", "token_use", `"access_token"`), "", ""},
		{"any audience, of no type", anyone, goodClaims("aud", ""), claims.WrongType, ""},
		{"any audience, type is null", anyone, goodClaims("token_type", "null"), claims.WrongType, ""},
		{"any audience, type is empty", anyone, goodClaims("token_type", `""`), claims.WrongType, ""},
		{"bound", nil, goodClaims("cnf", `{"jkt":"x"}`), claims.BoundToken, claims.BoundToken}, // threat 101
		{"logout token", nil, goodClaims("events", goodEvents), claims.WrongType, claims.WrongType},
		{"type of the vendor", keycloak, goodClaims("typ", `"Bearer"`), "", ""},
		{"refresh token of the vendor", keycloak, goodClaims("typ", `"Refresh"`), claims.WrongType, claims.WrongType}, // threat 27
	} {
		t.Run(tc.name, func(t *testing.T) {
			p := basePolicy()
			if tc.change != nil {
				tc.change(&p)
			}
			v := newTestVerifier(t, p, StaticKeys(keySet(t, jwkOf(ec256()))))
			s, err := claims.Parse([]byte(tc.claims))
			if err != nil {
				t.Fatal(err)
			}
			if got := reasonOf(v.CheckClaims(s)); got != tc.want {
				t.Errorf("got %q, want %q", got, tc.want)
			}
			token, err := Parse(sign("ES256", ec256(), `{"alg":"ES256"}`, tc.claims))
			if err != nil {
				t.Fatal(err)
			}
			if got := reasonOf(v.Verify(context.Background(), token)); got != tc.token {
				t.Errorf("as a token: got %q, want %q", got, tc.token)
			}
		})
	}
}

func reasonOf(err error) claims.Reason {
	var rejected *RejectedError
	if errors.As(err, &rejected) {
		return rejected.Reason
	}
	if err != nil {
		return "not rejected, but failed"
	}
	return ""
}
