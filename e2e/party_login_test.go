package e2e

import (
	"context"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/coreos/go-oidc/v3/oidc"
	"golang.org/x/oauth2"
)

// TestProviderParty lets an independent relying party log people in, so that what
// the gate does there is measured against a provider that works.
func TestProviderParty(t *testing.T) {
	t.Parallel()
	p := startProvider(t, "")
	told := make(chan string, 4) // logout tokens
	rp := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/backchannel" {
			told <- r.PostFormValue("logout_token")
		}
	}))
	t.Cleanup(rp.Close)
	p.register(t, party{Grants: refreshing, TTL: 60, Logout: rp.URL + "/backchannel"}, rp.URL)

	ctx := t.Context()
	discovered, err := oidc.NewProvider(ctx, p.issuer)
	if err != nil {
		t.Fatal(err)
	}
	config := oauth2.Config{
		ClientID: "web", ClientSecret: partySecret, Endpoint: discovered.Endpoint(), RedirectURL: rp.URL + "/oauth2/callback",
		Scopes: []string{"openid", "email", "profile", "groups"},
	}
	ada := newPerson(t)
	verifier := oauth2.GenerateVerifier()
	back := ada.logIn(config.AuthCodeURL("some-state", oauth2.S256ChallengeOption(verifier), oidc.Nonce("some-nonce")), "ada").at
	if q := back.Query(); back.Path != "/oauth2/callback" || q.Get("state") != "some-state" || q.Get("iss") != p.issuer {
		t.Fatalf("the login ends at %s", back.Redacted())
	}
	p.counts(t)
	tokens, err := config.Exchange(ctx, back.Query().Get("code"), oauth2.VerifierOption(verifier))
	if err != nil {
		t.Fatal(err)
	}
	groups := func(tokens *oauth2.Token) string {
		raw, _ := tokens.Extra("id_token").(string)
		idToken, err := discovered.Verifier(&oidc.Config{ClientID: "web"}).Verify(ctx, raw)
		if err != nil {
			t.Fatal(err)
		}
		var claims struct {
			Sub, Email string
			Groups     []string
		}
		if err := idToken.Claims(&claims); err != nil || claims.Sub != "ada" || claims.Email != "ada@example.test" || idToken.Nonce != "some-nonce" {
			t.Fatalf("%v: %+v", err, claims)
		}
		return strings.Join(claims.Groups, " ")
	}
	if got := groups(tokens); got != "admins staff" || tokens.ExpiresIn != 60 {
		t.Errorf("groups %q, expires in %d s", got, tokens.ExpiresIn)
	}

	p.account(t, "ada", map[string]any{"email": "ada@example.test", "groups": []string{"retired"}})
	renew := func(refreshToken string) (*oauth2.Token, error) {
		return config.TokenSource(context.WithoutCancel(ctx), &oauth2.Token{RefreshToken: refreshToken}).Token()
	}
	next, err := renew(tokens.RefreshToken)
	if err != nil || groups(next) != "retired" || next.RefreshToken == tokens.RefreshToken {
		t.Fatalf("renewal: %v", err)
	}
	if _, err := renew(tokens.RefreshToken); err == nil || !strings.Contains(err.Error(), "invalid_grant") {
		t.Errorf("a refresh token twice: %v", err)
	}
	if got := p.counts(t); got["authorization_code success"] != 1 || got["refresh_token success"] != 1 || got["refresh_token error"] != 1 {
		t.Errorf("the provider counts %v", got)
	}

	// The second login needs no form; the logout tells the relying party.
	if at := ada.visit(config.AuthCodeURL("again", oauth2.S256ChallengeOption(verifier))).at; at.Query().Get("code") == "" {
		t.Errorf("the second login ends at %s", at.Redacted())
	}
	raw, _ := next.Extra("id_token").(string)
	form := ada.visit(p.issuer + "/session/end?" + url.Values{
		"id_token_hint": {raw}, "post_logout_redirect_uri": {rp.URL + "/oauth2/logged-out"}, "state": {"bye"},
	}.Encode())
	if at := ada.submit(form, url.Values{"logout": {"yes"}}).at; at.Path != "/oauth2/logged-out" || at.Query().Get("state") != "bye" {
		t.Errorf("the logout ends at %s", at.Redacted())
	}
	select {
	case token := <-told:
		if strings.Count(token, ".") != 2 {
			t.Errorf("the logout token is %q", token)
		}
	default:
		t.Error("the provider told nobody of the logout")
	}
}

// TestGlewlwydParty is the same with glewlwyd.
func TestGlewlwydParty(t *testing.T) {
	t.Parallel()
	g := startGlewlwyd(t, time.Minute)
	rp := httptest.NewServer(http.NotFoundHandler())
	t.Cleanup(rp.Close)
	g.register(t, "web", rp.URL+"/oauth2/callback")
	discovered, err := oidc.NewProvider(t.Context(), g.issuer)
	if err != nil {
		t.Fatal(err)
	}
	config := oauth2.Config{
		ClientID: "web", ClientSecret: partySecret, Endpoint: discovered.Endpoint(), RedirectURL: rp.URL + "/oauth2/callback",
		Scopes: []string{"openid"},
	}
	ada, verifier := newPerson(t), oauth2.GenerateVerifier()
	back := g.logIn(t, ada, config.AuthCodeURL("some-state", oauth2.S256ChallengeOption(verifier), oidc.Nonce("some-nonce")), "web").at
	tokens, err := config.Exchange(t.Context(), back.Query().Get("code"), oauth2.VerifierOption(verifier))
	if err != nil {
		t.Fatalf("%s: %v", back.Redacted(), err)
	}
	raw, _ := tokens.Extra("id_token").(string)
	idToken, err := discovered.Verifier(&oidc.Config{ClientID: "web"}).Verify(t.Context(), raw)
	if err != nil || idToken.Nonce != "some-nonce" || idToken.Issuer != g.issuer {
		t.Errorf("the ID token: %v", err)
	}
	next, err := config.TokenSource(t.Context(), &oauth2.Token{RefreshToken: tokens.RefreshToken}).Token()
	if err != nil || next.AccessToken == tokens.AccessToken || next.TokenType != "bearer" {
		t.Errorf("renewal: %v", err)
	}
	if next.Extra("id_token") != nil {
		t.Error("a renewal has an ID token: the gate's test of one without has lost its sense")
	}
	eventually(t, 5*time.Second, "glewlwyd has granted two access tokens", func() bool { return g.granted() == 2 })
}
