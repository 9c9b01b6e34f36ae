package e2e

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"encoding/pem"
	"os"
	"path/filepath"
	"testing"

	"github.com/go-jose/go-jose/v4"
)

// party is a relying party as oidc-provider knows it (RFC 7591). Its empty members
// have defaults.
type party struct {
	ID        string              `json:"client_id"`               // default web
	Secret    string              `json:"client_secret,omitempty"` // default partySecret, but for none and private_key_jwt
	Auth      string              `json:"token_endpoint_auth_method"`
	Redirects []string            `json:"redirect_uris"`
	LoggedOut []string            `json:"post_logout_redirect_uris,omitempty"`
	Logout    string              `json:"backchannel_logout_uri,omitempty"`
	SID       bool                `json:"backchannel_logout_session_required,omitempty"`
	Grants    []string            `json:"grant_types"`
	Alg       string              `json:"id_token_signed_response_alg,omitempty"`
	Keys      *jose.JSONWebKeySet `json:"jwks,omitempty"`
	TTL       int                 `json:"ttl,omitempty"` // of access tokens, in seconds; default 3600
}

// partySecret is what the tests look for in logs.
const partySecret = "marked-client-secret-of-the-tests"

// register makes a relying party known, as an operator does at the provider. Its
// endpoints lie at sites, as https://app.localhost:8443.
func (p *provider) register(t *testing.T, c party, sites ...string) {
	t.Helper()
	c.ID, c.Auth = or(c.ID, "web"), or(c.Auth, "client_secret_basic")
	if c.Secret == "" && c.Auth != "none" && c.Auth != "private_key_jwt" {
		c.Secret = partySecret
	}
	if c.Grants == nil {
		c.Grants = []string{"authorization_code"}
	}
	for _, site := range sites {
		c.Redirects = append(c.Redirects, site+"/oauth2/callback")
		c.LoggedOut = append(c.LoggedOut, site+"/oauth2/logged-out")
	}
	p.control(t, "client", c, nil)
}

// refreshing are the grants of a relying party that gets refresh tokens.
var refreshing = []string{"authorization_code", "refresh_token"}

// account changes what the provider knows of somebody; without claims there is
// nobody of that name any more.
func (p *provider) account(t *testing.T, id string, claims map[string]any) {
	t.Helper()
	p.control(t, "account", map[string]any{"id": id, "claims": claims}, nil)
}

// counts returns how many grants there were since the last call, by their type and
// whether they succeeded: "refresh_token success".
func (p *provider) counts(t *testing.T) map[string]int {
	t.Helper()
	var counts map[string]int
	p.control(t, "counts", nil, &counts)
	return counts
}

// clientKey makes a key for private_key_jwt: the file of it and the JWKS to register.
func clientKey(t *testing.T) (file string, public *jose.JSONWebKeySet) {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	der, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	file = filepath.Join(t.TempDir(), "client.pem")
	if err := os.WriteFile(file, pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der}), 0o600); err != nil {
		t.Fatal(err)
	}
	return file, &jose.JSONWebKeySet{Keys: []jose.JSONWebKey{{Key: key.Public(), Algorithm: "ES256", Use: "sig"}}}
}
