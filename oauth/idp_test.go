package oauth

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"encoding/json"
	"encoding/pem"
	"errors"
	"fmt"
	"maps"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"sync"
	"testing"

	"github.com/caddy-admit/admit/claims"
	"github.com/caddy-admit/admit/jwt"
)

// claimSet is the claims of a token or document of the provider in the tests. A nil
// value deletes a claim.
type claimSet map[string]any

func (c claimSet) with(changes claimSet) claimSet {
	all := maps.Clone(c)
	for name, value := range changes {
		if all[name] = value; value == nil {
			delete(all, name)
		}
	}
	return all
}

// idp is a provider whose every answer a test can change.
type idp struct {
	*httptest.Server
	clock   *clock
	private *jwt.PrivateKey
	keys    *jwt.KeySet

	mu sync.Mutex
	// id and access are the claims of the tokens; access nil: an opaque one.
	id, access claimSet
	// token changes the answer of the token endpoint, document that of userinfo.
	token func(claimSet)
	// metadata changes the discovery document.
	metadata claimSet
	// pages are what API paths answer instead.
	pages map[string]http.HandlerFunc
	forms []url.Values // what the token endpoint got
	calls []string     // the other paths that were asked with a token, in turn
	given int          // tokens so far
}

const accessToken = "at-secret-"

func newIDP(t *testing.T) *idp {
	t.Helper()
	private, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	p := &idp{clock: newClock(), pages: map[string]http.HandlerFunc{}}
	der, err := x509.MarshalPKCS8PrivateKey(private)
	if err != nil {
		t.Fatal(err)
	}
	if p.private, err = jwt.ParsePrivateKey(pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der})); err != nil {
		t.Fatal(err)
	}
	if der, err = x509.MarshalPKIXPublicKey(&private.PublicKey); err != nil {
		t.Fatal(err)
	}
	if p.keys, err = jwt.ParseKeyFile(pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: der})); err != nil {
		t.Fatal(err)
	}
	p.Server = httptest.NewServer(p)
	t.Cleanup(p.Close)
	now := p.clock.now().Unix()
	p.id = claimSet{"iss": p.URL, "sub": "ada-1", "aud": "app", "iat": now, "exp": now + 600, "nonce": "nonce-1", "sid": "sid-1"}
	return p
}

// sign makes a token of claims.
func (p *idp) sign(c claimSet) string {
	payload, err := json.Marshal(c)
	if err != nil {
		panic(err)
	}
	raw, err := p.private.Sign("JWT", payload)
	if err != nil {
		panic(err)
	}
	return raw
}

func (p *idp) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	p.mu.Lock()
	defer p.mu.Unlock()
	w.Header().Set("Content-Type", typeJSON)
	if r.URL.Path != "/token" && r.URL.Path != "/.well-known/openid-configuration" {
		p.calls = append(p.calls, strings.TrimSuffix(r.URL.Path+"?"+r.URL.RawQuery, "?"))
		if !strings.HasPrefix(r.Header.Get("Authorization"), "Bearer ") || r.Method != http.MethodGet {
			w.WriteHeader(http.StatusUnauthorized)
			return
		}
	}
	if page := p.pages[r.URL.Path]; page != nil {
		page(w, r)
		return
	}
	switch r.URL.Path {
	case "/.well-known/openid-configuration":
		writeJSON(w, claimSet{
			"issuer": p.URL, "authorization_endpoint": p.URL + "/authorize",
			"token_endpoint": p.URL + "/token", "userinfo_endpoint": p.URL + "/userinfo",
		}.with(p.metadata))
	case "/token":
		_ = r.ParseForm()
		p.forms = append(p.forms, r.PostForm)
		writeJSON(w, p.answer())
	default:
		http.NotFound(w, r)
	}
}

func (p *idp) answer() claimSet {
	p.given++
	access := fmt.Sprint(accessToken, p.given)
	if p.access != nil {
		access = p.sign(p.access)
	}
	answer := claimSet{"access_token": access, "token_type": "Bearer", "expires_in": 3600, "refresh_token": fmt.Sprint("rt-secret-", p.given)}
	if p.id != nil {
		answer["id_token"] = p.sign(p.id)
	}
	if p.token != nil {
		p.token(answer)
	}
	return answer
}

// page lets a path answer with a JSON text.
func (p *idp) page(path string, status int, body string) {
	p.pages[path] = func(w http.ResponseWriter, _ *http.Request) {
		w.WriteHeader(status)
		_, _ = w.Write([]byte(body))
	}
}

func writeJSON(w http.ResponseWriter, value any) {
	if err := json.NewEncoder(w).Encode(value); err != nil {
		panic(err)
	}
}

// verifier checks tokens of the provider for one audience.
func (p *idp) verifier(t *testing.T, audience string) *jwt.Verifier {
	t.Helper()
	v, err := jwt.NewVerifier(jwt.Policy{
		Issuers: []string{p.URL}, Audience: []string{audience}, AudienceClaims: []claims.Path{claims.MustPath("aud")},
		Algorithms: jwt.Asymmetric, Types: jwt.DefaultTypes,
	}, jwt.StaticKeys(p.keys), p.clock.now)
	if err != nil {
		t.Fatal(err)
	}
	return v
}

// party makes a client of the provider.
func (p *idp) party(t *testing.T, change ...func(*RelyingPartyConfig)) *RelyingParty {
	t.Helper()
	client := newClient(t)
	discovery := DiscoveryURL(p.URL)
	c := RelyingPartyConfig{
		Client: client, Now: p.clock.now, Issuer: p.URL, DiscoveryURL: discovery,
		Discovery: NewDiscovery(client, discovery, []string{p.URL}, false, p.clock.now, nil),
		Auth:      ClientAuth{ID: "app", Secret: "client-secret"},
		Scopes:    []string{"openid", "profile", "email"},
		IDTokens:  p.verifier(t, "app"), AccessTokens: p.verifier(t, "api"),
	}
	t.Cleanup(c.Discovery.Close)
	for _, change := range change {
		change(&c)
	}
	party, err := NewRelyingParty(c)
	if err != nil {
		t.Fatal(err)
	}
	return party
}

const redirectURI = "https://app.example.com/oauth2/callback"

// login goes through a login as it would be after the browser came back.
func login(party *RelyingParty, answer string) (*Grant, error) {
	values, err := url.ParseQuery(answer)
	if err != nil {
		return nil, err
	}
	return party.redeem(context.Background(), "verifier-1", "nonce-1", values, redirectURI)
}

// outcome says in one line how a login or a renewal ended, and fails the test for
// an error that tells a secret or a text of the provider (threat 94).
func outcome(t *testing.T, g *Grant, err error) string {
	t.Helper()
	if err == nil {
		return string(g.Claims)
	}
	for _, secret := range []string{"secret", "verifier-1", "nonce-1", "code-1", marker, "eyJ"} {
		if strings.Contains(err.Error(), secret) {
			t.Errorf("the error tells %q: %v", secret, err)
		}
	}
	var refused *LoginError
	switch {
	case errors.Is(err, ErrRefused):
		return "refused for good"
	case errors.Is(err, ErrTokenEndpoint):
		return "down"
	case errors.As(err, &refused):
		return strings.TrimSpace("refused: " + refused.Cause + " " + refused.Code + refused.Reason)
	}
	return err.Error()
}
