package oauth

import (
	"context"
	"errors"
	"net/http"
	"net/http/httptest"
	"net/url"
	"slices"
	"strings"
	"testing"

	"github.com/caddy-admit/admit/internal/outbound"
)

// TestEndSessionURL: a row is a provider and a logout there (OpenID Connect
// RP-Initiated Logout 1.0 section 2, and what some vendors have instead).
func TestEndSessionURL(t *testing.T) {
	const back = "https://app.example.com/oauth2/logged-out?x=1"
	long := strings.Repeat("x", maxEndSession)
	byHand := func(url string) func(*RelyingPartyConfig) {
		return func(c *RelyingPartyConfig) { c.Endpoints.EndSession = url }
	}
	for _, tc := range []struct {
		name                     string
		change                   func(*RelyingPartyConfig)
		idToken, returnTo, state string
		want                     string // endpoint, then parameters in order of their names
	}{
		{
			"all", byHand("https://idp.example/end"), "id", back, "corp.1",
			"https://idp.example/end client_id=app id_token_hint=id post_logout_redirect_uri=" + back + " state=corp.1",
		},
		{
			"no ID token", byHand("https://idp.example/end"), "", back, "corp.1",
			"https://idp.example/end client_id=app post_logout_redirect_uri=" + back + " state=corp.1",
		},
		{
			"an ID token that is too long", byHand("https://idp.example/end"), long, back, "corp.1",
			"https://idp.example/end client_id=app post_logout_redirect_uri=" + back + " state=corp.1",
		},
		{
			"nowhere to return to", byHand("https://idp.example/end"), "id", "", "corp.1",
			"https://idp.example/end client_id=app id_token_hint=id",
		},
		{
			"an endpoint with a query", byHand("https://idp.example/end?realm=a&client_id=b"), "id", "", "",
			"https://idp.example/end client_id=app id_token_hint=id realm=a",
		},
		{"no endpoint", byHand(""), "id", back, "corp.1", ""},
		{"Cognito", func(c *RelyingPartyConfig) {
			c.Vendor, c.Endpoints.EndSession = "cognito", "https://x.auth.eu-west-1.amazoncognito.com/logout"
		}, "id", back, "corp.1", "https://x.auth.eu-west-1.amazoncognito.com/logout client_id=app logout_uri=" + back},
		{"Cognito without a domain", func(c *RelyingPartyConfig) { c.Vendor = "cognito" }, "id", back, "corp.1", ""},
		{
			"Auth0", func(c *RelyingPartyConfig) { c.Vendor, c.Issuer = "auth0", "https://tenant.eu.auth0.com/" }, "id", back, "corp.1",
			"https://tenant.eu.auth0.com/v2/logout client_id=app returnTo=" + back,
		},
		{
			"Auth0 without a return", func(c *RelyingPartyConfig) { c.Vendor, c.Issuer = "auth0", "https://tenant.eu.auth0.com/" }, "id", "", "",
			"https://tenant.eu.auth0.com/v2/logout client_id=app",
		},
		{
			"Auth0 with an endpoint", func(c *RelyingPartyConfig) {
				c.Vendor, c.Issuer, c.Endpoints.EndSession = "auth0", "https://tenant.eu.auth0.com/", "https://tenant.eu.auth0.com/oidc/logout"
			}, "id", back, "corp.1",
			"https://tenant.eu.auth0.com/oidc/logout client_id=app id_token_hint=id post_logout_redirect_uri=" + back + " state=corp.1",
		},
		{"Auth0 with the older one by hand", func(c *RelyingPartyConfig) {
			c.Vendor, c.Endpoints.EndSession = "auth0", "https://login.example.com/v2/logout"
		}, "id", back, "corp.1", "https://login.example.com/v2/logout client_id=app returnTo=" + back},
		{"Auth0 without an issuer", func(c *RelyingPartyConfig) { c.Vendor, c.Issuer = "auth0", "" }, "id", back, "corp.1", ""},
		{"GitHub", func(c *RelyingPartyConfig) { c.Vendor = VendorGitHub }, "", back, "corp.1", ""},
	} {
		p := logoutParty(t, newClock(), tc.change)
		got, err := p.EndSessionURL(context.Background(), tc.idToken, tc.returnTo, tc.state)
		if shown := spelled(t, got); err != nil || shown != tc.want || len(got) > maxEndSession {
			t.Errorf("%s: got %s, %v, want %s", tc.name, shown, err, tc.want)
		}
		handsBack := tc.want != "" && !strings.Contains(tc.want, "logout_uri=") && !strings.Contains(tc.want, "/v2/logout")
		if can, hands, err := p.EndsSessions(context.Background()); err != nil || can != (tc.want != "") || hands != handsBack {
			t.Errorf("%s: can %v, %v", tc.name, can, err)
		}
	}
}

// spelled writes a URL as an endpoint and its parameters in order.
func spelled(t *testing.T, location string) string {
	t.Helper()
	u, err := url.Parse(location)
	if err != nil {
		t.Fatal(err)
	}
	pairs := strings.Split(u.RawQuery, "&")
	slices.Sort(pairs)
	text, err := url.QueryUnescape(strings.Join(pairs, " "))
	if err != nil {
		t.Fatal(err)
	}
	u.RawQuery = ""
	return strings.TrimSpace(u.String() + " " + text)
}

// TestEndSessionDiscovery: discovery names the endpoint, is asked for it, and is
// not believed when it leads astray (threats 20 and 76).
func TestEndSessionDiscovery(t *testing.T) {
	for found, want := range map[string]string{
		"https://idp.example/end":      "https://idp.example/end client_id=app id_token_hint=id",
		"":                             "",
		"http://idp.example/end":       "unavailable",
		"https://ada@idp.example/end":  "unavailable",
		"https://idp.example/end#away": "unavailable",
	} {
		server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			w.Write([]byte(`{"issuer":"https://idp.example","end_session_endpoint":"` + found + `"}`))
		}))
		client := newClient(t)
		d := NewDiscovery(client, server.URL, []string{"https://idp.example"}, false, newClock().now, nil)
		p := logoutParty(t, newClock(), func(c *RelyingPartyConfig) { c.Discovery, c.DiscoveryURL = d, server.URL })
		got, err := p.EndSessionURL(context.Background(), "id", "", "")
		if got = spelled(t, got); errors.Is(err, outbound.ErrUnavailable) {
			got = "unavailable"
		} else if err != nil {
			got = err.Error()
		}
		if got != want {
			t.Errorf("%q: got %s, want %s", found, got, want)
		}
		d.Close()
		server.Close()
	}
}
