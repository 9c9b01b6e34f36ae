package e2e

import (
	"net/http"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/coreos/go-oidc/v3/oidc"
)

// exchangeSite gives the application a token of its own (RFC 8693).
const exchangeSite = `
{
	{{.Globals}}
	admit corp {
		issuer {{.Issuer}}
		audience https://api.test
		login {
			client_id web
			client_secret {env.CLIENT_SECRET}
		}
	}
}
{{.Site}} {
	log
	admit {
		header_up X-User {http.auth.user.id}
		forward exchange {
			audience https://orders.test
			scopes openid
		}
	}
	reverse_proxy {{.Upstream}}
}
`

// TestTokenExchange: the application gets a token of a real provider that is for it
// alone, about the same user. The provider is asked once.
func TestTokenExchange(t *testing.T) {
	t.Parallel()
	z := startZitadel(t, "")
	u := newUpstream(t)
	c := startCaddy(t, u, exchangeSite, values{"Issuer": z.URL, "env.CLIENT_SECRET": "web-secret-of-the-tests"})
	c.sent.add("web-secret-of-the-tests")
	own := z.token(t)
	before := z.fetched("/oauth/token")
	var wg sync.WaitGroup
	for range 12 {
		wg.Go(func() {
			a, err := c.send(request{token: own})
			if err == nil {
				err = a.isUser("sid1")
			}
			if err != nil {
				t.Error(err)
			}
		})
	}
	wg.Wait()
	if n := z.fetched("/oauth/token") - before; n != 1 {
		t.Errorf("%d exchanges", n)
	}
	provider, err := oidc.NewProvider(t.Context(), z.URL)
	if err != nil {
		t.Fatal(err)
	}
	for _, seen := range u.take() {
		given, bearer := strings.CutPrefix(seen.Header.Get("Authorization"), "Bearer ")
		if !bearer || given == own {
			t.Fatal("the application does not get a token of its own")
		}
		c.sent.add(given)
		token, err := provider.Verifier(&oidc.Config{ClientID: "https://orders.test"}).Verify(t.Context(), given)
		if err != nil || token.Subject != "sid1" || slices.Contains(token.Audience, apiAudience) {
			t.Fatalf("%v: %+v", err, token)
		}
	}

	next := z.token(t)
	z.fault("/oauth/token", func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusBadGateway) })
	c.wantUser(t, request{token: own}, "sid1") // whose token is known
	c.wantRefusal(t, request{token: next}, 503, "token_endpoint_unavailable")
}
