package admit

import (
	"encoding/json"
	"io"
	"net/http"
	"net/url"
	"regexp"
	"strings"
	"testing"
)

// mcpClient calls an MCP server as a client does that was told its URL and nothing
// else: what refuses it leads on to the authorization server (Model Context Protocol,
// Authorization).
type mcpClient struct {
	t          *testing.T
	gate       string // where all hosts of the site are
	id, secret string // at the authorization server
	token      string
}

// call sends a call, and gets a token on the way if one is wanted.
func (c *mcpClient) call(resource string) string {
	c.t.Helper()
	resp, body := c.do("POST", resource, `{"jsonrpc":"2.0","id":1,"method":"initialize"}`)
	if resp.StatusCode == http.StatusUnauthorized && c.token == "" {
		c.token = c.find(resource, resp.Header["Www-Authenticate"])
		resp, body = c.do("POST", resource, `{"jsonrpc":"2.0","id":1,"method":"initialize"}`)
	}
	if resp.StatusCode != http.StatusOK {
		c.t.Fatalf("%s: %d %v %s", resource, resp.StatusCode, resp.Header, body)
	}
	return body
}

// find goes from a challenge to the token endpoint.
func (c *mcpClient) find(resource string, challenges []string) (token string) {
	c.t.Helper()
	named := regexp.MustCompile(`^Bearer .*resource_metadata="([^"]+)"`).FindStringSubmatch(strings.Join(challenges, "\n"))
	if named == nil {
		c.t.Fatalf("challenges %q", challenges)
	}
	var metadata struct {
		Resource string   `json:"resource"`
		Servers  []string `json:"authorization_servers"`
		Scopes   []string `json:"scopes_supported"`
	}
	if !c.read(named[1], &metadata) || metadata.Resource != resource || len(metadata.Servers) != 1 { // RFC 9728 section 3.3
		c.t.Fatalf("%s: %+v", named[1], metadata)
	}
	var server struct {
		Issuer string `json:"issuer"`
		Token  string `json:"token_endpoint"`
	}
	issuer := metadata.Servers[0]
	// RFC 8414 section 3, else OpenID Connect Discovery 1.0.
	if !c.read(issuer+"/.well-known/oauth-authorization-server", &server) && !c.read(issuer+"/.well-known/openid-configuration", &server) || server.Issuer != issuer {
		c.t.Fatalf("%s: %+v", issuer, server)
	}
	form := url.Values{"grant_type": {"client_credentials"}, "resource": {resource}, "scope": metadata.Scopes[:1]}
	r, err := http.NewRequest("POST", server.Token, strings.NewReader(form.Encode()))
	if err != nil {
		c.t.Fatal(err)
	}
	r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	r.SetBasicAuth(c.id, c.secret)
	var tokens struct {
		Access string `json:"access_token"`
	}
	resp, body := c.send(r)
	if err := json.Unmarshal([]byte(body), &tokens); err != nil || resp.StatusCode != http.StatusOK {
		c.t.Fatalf("%d %s", resp.StatusCode, body)
	}
	return tokens.Access
}

// read reads a document; it reports whether there is one.
func (c *mcpClient) read(target string, into any) bool {
	c.t.Helper()
	resp, body := c.do("GET", target, "")
	return resp.StatusCode == http.StatusOK && json.Unmarshal([]byte(body), into) == nil
}

// do sends a request to the site, behind a proxy that has taken TLS away, or to the
// authorization server.
func (c *mcpClient) do(method, target, body string) (*http.Response, string) {
	c.t.Helper()
	r, err := http.NewRequest(method, target, strings.NewReader(body))
	if err != nil {
		c.t.Fatal(err)
	}
	if r.URL.Scheme == "https" {
		r.Host = r.URL.Host
		r.URL.Scheme, r.URL.Host = "http", c.gate
		r.Header.Set("X-Forwarded-Proto", "https")
	}
	if c.token != "" {
		r.Header.Set("Authorization", "Bearer "+c.token)
	}
	return c.send(r)
}

func (c *mcpClient) send(r *http.Request) (*http.Response, string) {
	c.t.Helper()
	resp, err := http.DefaultClient.Do(r)
	if err != nil {
		c.t.Fatal(err)
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	if err != nil {
		c.t.Fatal(err)
	}
	return resp, string(body)
}
