package oauth

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/caddy-admit/admit/claims"
	"github.com/caddy-admit/admit/internal/outbound"
	"github.com/caddy-admit/admit/jwt"
)

// TestHints: the mistakes that are made most name what to look at.
func TestHints(t *testing.T) {
	token := func(reason claims.Reason) string {
		var e *LoginError
		if !errors.As(rejected(CauseIDToken, &jwt.RejectedError{Reason: reason}), &e) {
			return ""
		}
		return e.Hint
	}
	_, otherIssuer := ParseMetadata([]byte(`{"issuer": "https://idp.example"}`), []string{"https://idp.example/"})
	for _, tc := range []struct{ name, got, want string }{
		{"redirect URI, at the provider", providerHint("redirect_uri_mismatch"), "callback URL"},
		{"redirect URI, at the token endpoint", tokenHint(&TokenError{Code: "redirect_uri_mismatch"}), "callback URL"},
		{"wrong secret", tokenHint(&TokenError{Code: "invalid_client", Status: 401}), "client_secret"},
		{"wrong secret, GitHub", tokenHint(&TokenError{Code: "incorrect_client_credentials", Status: 200}), "client_secret"},
		{"wrong secret, no code", tokenHint(&TokenError{Status: 401}), "client_secret"},
		{"wrong endpoint", tokenHint(&TokenError{Status: 404}), "token_url"},
		{"no scope", providerHint("invalid_scope"), "scopes"},
		{"userinfo without scope", userinfoHint(403), "scopes"},
		{"prompt none", providerHint("login_required"), "param prompt"},
		{"another tenant", token(claims.UnknownIssuer), "tenants"},
		{"clock", token(claims.NotYetValid), "clocks"},
		{"another client", token(claims.WrongAudience), "client_id"},
		{"another issuer", UnavailableHint(otherIssuer), "issuer"},
		{"private authority", UnavailableHint(fmt.Errorf("%w: %w", outbound.ErrUnavailable, &tls.CertificateVerificationError{Err: x509.UnknownAuthorityError{}})), "ca"},
		{"algorithm", token(claims.UnsupportedAlgorithm), "algorithms"},
	} {
		if !strings.Contains(tc.got, tc.want) {
			t.Errorf("%s: got %q, want it to name %s", tc.name, tc.got, tc.want)
		}
	}
	if got := providerHint("something_else") + tokenHint(&TokenError{Status: 400}) + UnavailableHint(outbound.ErrUnavailable); got != "" {
		t.Errorf("a hint for what nobody knows: %s", got)
	}
	if err := rejected(CauseIDToken, jwt.ErrKeysUnavailable); !errors.Is(err, jwt.ErrKeysUnavailable) {
		t.Errorf("got %v", err)
	}
}

// TestSameIssuer: an issuer of several tenants stands for each of them and nothing
// else.
func TestSameIssuer(t *testing.T) {
	const template = "https://login.example/{tenantid}/v2.0"
	for got, want := range map[string]bool{
		"https://login.example/4711/v2.0":   true,
		"https://login.example//v2.0":       false,
		"https://login.example/a/b/v2.0":    false,
		"https://login.example/4711/v2.0/":  false,
		"https://login.example.evil/x/v2.0": false,
		"":                                  false,
	} {
		if sameIssuer(template, got) != want {
			t.Errorf("%s: want %v", got, want)
		}
	}
	if sameIssuer("https://login.example", "https://login.example/") || !sameIssuer("https://login.example", "https://login.example") {
		t.Error("an issuer is compared exactly")
	}
}
