package e2e

import (
	"context"
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"regexp"
	"slices"
	"testing"
	"time"

	"golang.org/x/oauth2"
)

// mcpSite is an MCP server behind the gate.
const mcpSite = `
{
	{{.Globals}}
	admit corp {
		issuer {{.Issuer}}
		audience {{.Site}}/mcp
	}
}
{{.Site}} {
	log
	admit {
		require scope mcp:tools
		header_up X-User {http.auth.user.id}
		forward none
	}
	reverse_proxy {{.Upstream}}
}
`

// TestMCPClient finds its way as an MCP client does that knows the URL of a server
// and nothing else, with somebody who logs in at the provider.
func TestMCPClient(t *testing.T) {
	t.Parallel()
	p := startProvider(t, "")
	u := newUpstream(t)
	c := startCaddy(t, u, mcpSite, values{"Issuer": p.issuer})
	p.confide(t, c)
	resource := c.URL + "/mcp"

	refused := c.get(t, request{method: http.MethodPost, path: "/mcp"})
	challenge := regexp.MustCompile(`^Bearer .*resource_metadata="([^"]+)"`).FindStringSubmatch(refused.header.Get("WWW-Authenticate"))
	if refused.status != http.StatusUnauthorized || challenge == nil {
		t.Fatalf("got %d %v", refused.status, refused.header)
	}
	var metadata struct {
		Resource string   `json:"resource"`
		Servers  []string `json:"authorization_servers"`
		Scopes   []string `json:"scopes_supported"`
	}
	readJSON(t, challenge[1], &metadata)
	if metadata.Resource != resource || !slices.Equal(metadata.Servers, []string{p.issuer}) || !slices.Equal(metadata.Scopes, []string{"mcp:tools"}) {
		t.Fatalf("metadata %+v", metadata)
	}
	var server struct {
		Issuer   string `json:"issuer"`
		AuthURL  string `json:"authorization_endpoint"`
		TokenURL string `json:"token_endpoint"`
	}
	readJSON(t, metadata.Servers[0]+providerDiscovery, &server)
	if server.Issuer != metadata.Servers[0] {
		t.Fatalf("discovery %+v", server)
	}

	// The client is public and waits for the answer on loopback.
	own := httptest.NewServer(http.NotFoundHandler())
	t.Cleanup(own.Close)
	redirect := own.URL + "/callback"
	p.register(t, party{ID: "mcp", Auth: "none", Redirects: []string{redirect}})
	client := oauth2.Config{
		ClientID: "mcp", RedirectURL: redirect, Scopes: metadata.Scopes,
		Endpoint: oauth2.Endpoint{AuthURL: server.AuthURL, TokenURL: server.TokenURL, AuthStyle: oauth2.AuthStyleInParams},
	}
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
	defer cancel()
	token := func(resource string) string {
		verifier := oauth2.GenerateVerifier()
		where := oauth2.SetAuthURLParam("resource", resource)
		back := newPerson(t).logIn(client.AuthCodeURL("state-of-the-client", oauth2.S256ChallengeOption(verifier), where), "ada")
		got, err := client.Exchange(ctx, back.at.Query().Get("code"), oauth2.VerifierOption(verifier), where)
		if err != nil {
			t.Fatal(err)
		}
		return got.AccessToken
	}
	u.take()
	c.wantUser(t, request{method: http.MethodPost, path: "/mcp", token: token(resource)}, "ada")
	if seen := u.only(t); seen.Header.Get("Authorization") != "" {
		t.Error("the server got the token")
	}
	c.wantRefusal(t, request{method: http.MethodPost, path: "/mcp", token: token(c.URL + "/other")}, 401, "wrong_audience")
}

// readJSON reads a document that is open to everybody.
func readJSON(t *testing.T, from string, into any) {
	t.Helper()
	resp, err := http.Get(from)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	if err := json.NewDecoder(resp.Body).Decode(into); err != nil || resp.StatusCode != http.StatusOK {
		t.Fatalf("%s: %s: %v", from, resp.Status, err)
	}
}
