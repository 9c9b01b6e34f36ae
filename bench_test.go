package admit

import (
	"context"
	"crypto/ed25519"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/modules/caddyhttp"
)

// testKeysFile writes a key set with a key.
func testKeysFile(tb testing.TB, key testKey) string {
	tb.Helper()
	keys, err := json.Marshal(object{"keys": []any{key.jwk(nil)}})
	if err != nil {
		tb.Fatal(err)
	}
	file := filepath.Join(tb.TempDir(), "keys.json")
	if err := os.WriteFile(file, keys, 0o600); err != nil {
		tb.Fatal(err)
	}
	return file
}

// benchGate is a gate as it stands in a site with a rule and two identity headers.
func benchGate(b testing.TB, key testKey, cache *Cache) *Handler {
	b.Helper()
	file := testKeysFile(b, key)
	config := caddy.Config{Admin: &caddy.AdminConfig{Disabled: true}, AppsRaw: caddy.ModuleMap{}}
	config.Logging = &caddy.Logging{Logs: map[string]*caddy.CustomLog{"default": {BaseLog: caddy.BaseLog{Level: "ERROR"}}}}
	config.AppsRaw["admit"], _ = json.Marshal(App{Integrations: map[string]*Integration{
		"corp": {Issuer: []string{"https://corp.example"}, JWKS: file, Audience: []string{"api"}, Cache: cache},
	}})
	ctx, err := caddy.ProvisionContext(&config)
	if err != nil {
		b.Fatal(err)
	}
	h := &Handler{
		Require: []Rule{{Claim: "groups", Patterns: []string{"staff"}}},
		HeaderUp: []HeaderUp{
			{Name: "X-User", Value: "{http.auth.user.id}"},
			{Name: "X-Groups", Value: "{http.auth.user.groups}"},
		},
	}
	if err := h.Provision(ctx); err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() { _ = h.Cleanup() })
	return h
}

// BenchmarkHandler measures the whole gate, from the request as Caddy hands it
// over to the next handler or the written refusal. What Caddy does before that
// lies outside.
func BenchmarkHandler(b *testing.B) {
	key := newKey("k", "bench")
	h, cold := benchGate(b, key, nil), benchGate(b, key, &Cache{Off: true})
	token := func(more object) string {
		claims := map[string]any{
			"iss": "https://corp.example", "sub": "248289761001", "aud": "api", "exp": time.Now().Add(time.Hour).Unix(), "iat": time.Now().Unix(),
			"email": "ada@example.com", "email_verified": true, "groups": []string{"dev", "staff", "ops"}, "scope": "openid profile email",
		}
		for name, value := range more {
			claims[name] = value
		}
		return "Bearer " + benchToken(b, key, claims)
	}
	good := token(nil)
	for _, bc := range []struct {
		name, authorization string
		gate                *Handler
		status              int
	}{
		{"hit", good, h, 200},
		{"cache off", good, cold, 200},
		{"no credential", "", h, 401},
		{"expired", token(object{"exp": 1}), h, 401},
		{"bad signature", good[:len(good)-8] + "AAAAAAAA", h, 401},
		{"rule refuses", token(object{"groups": "guests"}), h, 403},
	} {
		b.Run(bc.name, func(b *testing.B) { benchRequests(b, bc.gate, bc.authorization, bc.status) })
	}
}

// BenchmarkCheck measures from the text of a token to the decision of two rules, with
// the token in the cache: with one integration and with many, on one core and on two
// (-cpu 1,2).
func BenchmarkCheck(b *testing.B) {
	for _, n := range []int{1, 50} {
		b.Run(fmt.Sprint(n, " integrations"), func(b *testing.B) {
			c, token := cachedGate(b, n)
			b.ReportAllocs()
			b.RunParallel(func(pb *testing.PB) {
				for pb.Next() {
					d := c.places[0].check(b.Context(), token)
					if reason, _ := c.apply(&c.rules, &d, nil); d.Identity == nil || reason != "" {
						b.Fatal(d.Reason, reason)
					}
				}
			})
		})
	}
}

// benchToken signs claims.
func benchToken(b testing.TB, key testKey, claims object) string {
	payload, err := json.Marshal(claims)
	if err != nil {
		b.Fatal(err)
	}
	b64 := base64.RawURLEncoding.EncodeToString
	input := b64([]byte(`{"alg":"EdDSA","kid":"`+key.kid+`","typ":"JWT"}`)) + "." + b64(payload)
	return input + "." + b64(ed25519.Sign(key.private, []byte(input)))
}

func benchRequests(b *testing.B, h *Handler, authorization string, status int) {
	next := caddyhttp.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) error {
		w.WriteHeader(http.StatusOK)
		return nil
	})
	plain := httptest.NewRequest(http.MethodGet, "http://a.example/x", http.NoBody)
	plain.Header.Set("User-Agent", "bench")
	plain.Header.Set("Accept", "*/*")
	if authorization != "" {
		plain.Header.Set("Authorization", authorization)
	}
	serve := func() int {
		w := &benchWriter{header: http.Header{}}
		if err := h.ServeHTTP(w, benchRequest(plain), next); err != nil {
			b.Fatal(err)
		}
		return w.status
	}
	if got := serve(); got != status { // fetches the keys too
		b.Fatalf("status %d, want %d", got, status)
	}
	requests := make([]*http.Request, 0, 1024)
	b.ReportAllocs()
	b.ResetTimer()
	for n := range b.N {
		if n%1024 == 0 {
			b.StopTimer()
			requests = requests[:0]
			for range 1024 {
				requests = append(requests, benchRequest(plain))
			}
			b.StartTimer()
		}
		w := benchWriter{header: make(http.Header, 8)}
		if err := h.ServeHTTP(&w, requests[n%1024], next); err != nil || w.status != status {
			b.Fatalf("status %d, error %v", w.status, err)
		}
	}
}

// benchRequest makes a request as Caddy's server prepares it.
func benchRequest(plain *http.Request) *http.Request {
	r := plain.Clone(context.Background())
	return caddyhttp.PrepareRequest(r, caddy.NewReplacer(), nil, &caddyhttp.Server{})
}

// benchWriter is a response that goes nowhere.
type benchWriter struct {
	header http.Header
	status int
}

func (w *benchWriter) Header() http.Header         { return w.header }
func (w *benchWriter) WriteHeader(status int)      { w.status = status }
func (w *benchWriter) Write(p []byte) (int, error) { return len(p), nil }
