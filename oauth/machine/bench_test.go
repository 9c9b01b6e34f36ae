package machine

import (
	"testing"

	"github.com/caddy-admit/admit/oauth"
)

// BenchmarkClientsHit is what a machine's every request costs.
func BenchmarkClientsHit(b *testing.B) {
	e := newEndpoint(b, one("app", "right"))
	c := NewClients(ClientsConfig{Tokens: oauth.NewTokenEndpoint(newOutbound(b), e.clock.now), URL: e.url, Scopes: []string{"read"}, Now: e.clock.now})
	defer c.Close()
	b.ReportAllocs()
	for b.Loop() {
		if _, err := c.Token(b.Context(), "app", "right", home); err != nil {
			b.Fatal(err)
		}
	}
}

// BenchmarkIntrospectorHit is what a request with an opaque token costs.
func BenchmarkIntrospectorHit(b *testing.B) {
	i, _ := newIntrospector(b, says(200, `{"active":true}`))
	b.ReportAllocs()
	for b.Loop() {
		if _, err := i.Claims(b.Context(), "good-token", home); err != nil {
			b.Fatal(err)
		}
	}
}
