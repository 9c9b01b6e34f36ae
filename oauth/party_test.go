package oauth

import (
	"context"
	"errors"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/caddy-admit/admit/internal/outbound"
	"github.com/caddy-admit/admit/jwt"
)

func newClient(t *testing.T) *outbound.Client {
	t.Helper()
	client, err := outbound.NewClient(outbound.Options{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(client.Close)
	return client
}

// TestNewRelyingParty: a row is a whole configuration with one thing changed.
func TestNewRelyingParty(t *testing.T) {
	for _, tc := range []struct {
		name   string
		change func(*RelyingPartyConfig)
		want   string // part of the error, "" for none
	}{
		{"whole", func(*RelyingPartyConfig) {}, ""},
		{"no client id", func(c *RelyingPartyConfig) { c.Auth.ID = "" }, "client_id is needed"},
		{"post with a secret", func(c *RelyingPartyConfig) { c.Auth.Method = AuthPost }, ""},
		{"post without a secret", func(c *RelyingPartyConfig) { c.Auth = ClientAuth{ID: "app", Method: AuthPost} }, "post needs a client_secret"},
		{"public client", func(c *RelyingPartyConfig) { c.Auth.Secret = "" }, ""},
		{"key without a key", func(c *RelyingPartyConfig) { c.Auth.Method = AuthKey }, "needs a key file"},
		{"unknown method", func(c *RelyingPartyConfig) { c.Auth.Method = "client_secret_jwt" }, "expected basic, post"},
		{"no token URL", func(c *RelyingPartyConfig) { c.Endpoints.Token = "" }, "token_url: needed"},
		{"no authorization URL", func(c *RelyingPartyConfig) { c.Endpoints.Authorization = "" }, "authorization_url: needed"},
		{"plain http", func(c *RelyingPartyConfig) { c.Endpoints.Token = "http://id.example.com/token" }, "token_url: outbound"},
		{"plain http by option", func(c *RelyingPartyConfig) {
			c.Endpoints.Token, c.InsecureHTTP = "http://id.example.com/token", true
		}, ""},
		{"openid without a verifier", func(c *RelyingPartyConfig) { c.IDTokens = nil }, "check ID tokens with"},
		{"no openid", func(c *RelyingPartyConfig) { c.Scopes, c.IDTokens = []string{"read:user"}, nil }, ""},
		{"no openid and no userinfo", func(c *RelyingPartyConfig) {
			c.Scopes, c.Endpoints.Userinfo = []string{"read:user"}, ""
		}, "userinfo_url: needed"},
		{"access token", func(c *RelyingPartyConfig) { c.SessionToken, c.AccessTokens = SessionTokenAccess, c.IDTokens }, ""},
		{"access token without a verifier", func(c *RelyingPartyConfig) { c.SessionToken = SessionTokenAccess }, "check access tokens with"},
		{"other session token", func(c *RelyingPartyConfig) { c.SessionToken = "refresh" }, "expected id or access"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			c := RelyingPartyConfig{
				Client: newClient(t), Now: time.Now,
				Auth: ClientAuth{ID: "app", Secret: "secret-1"}, Scopes: []string{"openid"}, IDTokens: new(jwt.Verifier),
				Endpoints: Endpoints{
					Authorization: "https://id.example.com/authorize",
					Token:         "https://id.example.com/token",
					Userinfo:      "https://id.example.com/userinfo",
				},
			}
			tc.change(&c)
			_, err := NewRelyingParty(c)
			if (err == nil) != (tc.want == "") || err != nil && !strings.Contains(err.Error(), tc.want) {
				t.Errorf("got error %v, want one with %q", err, tc.want)
			}
		})
	}
}

// TestEndpoint: discovery names endpoints, what is given by hand wins, and what is
// not safe to send a secret to is refused (threat 20).
func TestEndpoint(t *testing.T) {
	for _, tc := range []struct {
		name, found, byHand, want, problem string
	}{
		{name: "found", found: "https://id.example.com/token", want: "https://id.example.com/token"},
		{name: "by hand wins", found: "https://id.example.com/token", byHand: "https://other.example.com/t", want: "https://other.example.com/t"},
		{name: "by hand wins over an unsafe one", found: "http://id.example.com/token", byHand: "https://other.example.com/t", want: "https://other.example.com/t"},
		{name: "loopback", found: "http://127.0.0.1:1/token", want: "http://127.0.0.1:1/token"},
		{name: "plain http", found: "http://id.example.com/token", problem: "token_endpoint: outbound"},
		{name: "none", problem: "names no token_endpoint: set token_url"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			mux := http.NewServeMux()
			server := httptest.NewServer(mux)
			defer server.Close()
			mux.HandleFunc("/.well-known/openid-configuration", func(w http.ResponseWriter, _ *http.Request) {
				_, _ = w.Write([]byte(`{"issuer":"` + server.URL + `","token_endpoint":"` + tc.found + `"}`))
			})
			client := newClient(t)
			url := DiscoveryURL(server.URL)
			discovery := NewDiscovery(client, url, []string{server.URL}, false, time.Now, nil)
			defer discovery.Close()
			p, err := NewRelyingParty(RelyingPartyConfig{
				Client: client, Now: time.Now, Discovery: discovery, DiscoveryURL: url,
				Endpoints: Endpoints{Token: tc.byHand}, Auth: ClientAuth{ID: "app"},
			})
			if err != nil {
				t.Fatal(err)
			}
			got, err := p.needed(context.Background(), tokenEndpoint)
			if got != tc.want && err == nil || (err == nil) != (tc.problem == "") {
				t.Errorf("got %q, %v", got, err)
			}
			if err != nil && (!errors.Is(err, outbound.ErrUnavailable) || !strings.Contains(err.Error(), tc.problem)) {
				t.Errorf("got error %v, want one with %q", err, tc.problem)
			}
		})
	}
}

// TestEndpointDowngrade: a remote https document does not name a plain one, not
// even on loopback (threat 20).
func TestEndpointDowngrade(t *testing.T) {
	const from = "https://id.example.com/.well-known/openid-configuration"
	for url, good := range map[string]bool{
		"https://127.0.0.1/token":    true,
		"http://127.0.0.1/token":     false,
		"http://id.example.com/t":    false,
		"javascript:alert(1)":        false,
		"https://u:p@id.example.com": false,
	} {
		if err := checkEndpoint("token_endpoint", url, from, false); (err == nil) != good {
			t.Errorf("%s: got %v", url, err)
		}
	}
}
