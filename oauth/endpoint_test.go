package oauth

import (
	"context"
	"errors"
	"testing"

	"github.com/caddy-admit/admit/internal/outbound"
)

// TestLocator: what is given by hand wins, and what discovery says may not lead a
// secret to where it can be read on its way (threat 20).
func TestLocator(t *testing.T) {
	p := newIDP(t)
	p.metadata = claimSet{"token_endpoint": p.URL + "/token", "introspection_endpoint": "http://example.com/introspect", "userinfo_endpoint": nil}
	d := NewDiscovery(newClient(t), DiscoveryURL(p.URL), []string{p.URL}, false, p.clock.now, nil)
	defer d.Close()
	found := Locator{Discovery: d, DiscoveryURL: DiscoveryURL(p.URL)}
	insecure := Locator{Discovery: d, DiscoveryURL: DiscoveryURL(p.URL), InsecureHTTP: true}
	https := Locator{Discovery: d, DiscoveryURL: "https://id.example.com/.well-known/openid-configuration"}
	for _, tc := range []struct {
		name string
		find func(context.Context) (string, error)
		want string // "": unavailable
	}{
		{"found", found.Token(""), p.URL + "/token"},
		{"by hand", found.Token("https://other.example.com/token"), "https://other.example.com/token"},
		{"plain http by a document on https", https.Token(""), ""},
		{"plain http", found.Introspection(""), ""},
		{"plain http that is permitted", insecure.Introspection(""), "http://example.com/introspect"},
		{"introspection by hand", found.Introspection("https://other.example.com/i"), "https://other.example.com/i"},
		{"not named", found.Userinfo(""), ""},
		{"without discovery", Locator{}.Userinfo(""), ""},
		{"without discovery, by hand", Locator{}.Userinfo("https://id.example.com/u"), "https://id.example.com/u"},
	} {
		got, err := tc.find(t.Context())
		if got != tc.want && tc.want != "" || errors.Is(err, outbound.ErrUnavailable) != (tc.want == "") {
			t.Errorf("%s: got %q, %v", tc.name, got, err)
		}
	}
}
