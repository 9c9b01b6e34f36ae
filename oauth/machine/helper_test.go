package machine

import (
	"context"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"net/url"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/caddy-admit/admit/claims"
	"github.com/caddy-admit/admit/internal/outbound"
	"github.com/caddy-admit/admit/jwt"
	"github.com/caddy-admit/admit/oauth"
	"github.com/caddy-admit/admit/oauth/local"
)

// clock is one that a test moves.
type clock struct{ ahead atomic.Int64 }

func (c *clock) now() time.Time {
	return time.Date(2026, 1, 1, 12, 0, 0, 0, time.UTC).Add(time.Duration(c.ahead.Load()))
}
func (c *clock) advance(d time.Duration) { c.ahead.Add(int64(d)) }

var (
	home  = netip.MustParseAddr("192.0.2.1")
	rogue = netip.MustParseAddr("198.51.100.7")
)

// elsewhere returns another address for each n.
func elsewhere(n int) netip.Addr { return netip.AddrFrom4([4]byte{10, 0, byte(n >> 8), byte(n)}) }

// marker is in every secret and every text of a provider, and in no error.
const marker = "marker-of-a-secret"

// endpoint is one of a provider. It counts its calls.
type endpoint struct {
	*httptest.Server
	clock *clock
	calls atomic.Int64

	mu     sync.Mutex
	handle http.HandlerFunc
	forms  []url.Values
	basic  [][2]string // as decoded by RFC 6749 section 2.3.1
}

func newEndpoint(t testing.TB, handle http.HandlerFunc) *endpoint {
	t.Helper()
	e := &endpoint{clock: &clock{}, handle: handle}
	e.Server = httptest.NewServer(e)
	t.Cleanup(e.Close)
	return e
}

func (e *endpoint) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	e.calls.Add(1)
	_ = r.ParseForm()
	user, password, _ := r.BasicAuth()
	user, _ = url.QueryUnescape(user)
	password, _ = url.QueryUnescape(password)
	e.mu.Lock()
	e.forms = append(e.forms, r.PostForm)
	e.basic = append(e.basic, [2]string{user, password})
	handle := e.handle
	e.mu.Unlock()
	handle(w, r)
}

func (e *endpoint) answer(handle http.HandlerFunc) {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.handle = handle
}

// calledFor returns how often the endpoint was called since it was last asked.
func (e *endpoint) calledFor() int64 { return e.calls.Swap(0) }

func (e *endpoint) url(context.Context) (string, error) { return e.URL, nil }

// says answers with a status and a JSON text.
func says(status int, body string) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		w.WriteHeader(status)
		_, _ = io.WriteString(w, body)
	}
}

// page answers with a web page.
func page(w http.ResponseWriter, _ *http.Request) {
	w.Header().Set("Content-Type", "text/html")
	_, _ = io.WriteString(w, "<html>"+marker)
}

// silence ends the connection without an answer.
func silence(http.ResponseWriter, *http.Request) { panic(http.ErrAbortHandler) }

// hang answers when the caller has gone.
func hang(_ http.ResponseWriter, r *http.Request) { <-r.Context().Done() }

// one gives a token to the client with this secret.
func one(id, secret string) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		user, password, _ := r.BasicAuth()
		if user != url.QueryEscape(id) || password != url.QueryEscape(secret) {
			says(401, `{"error":"invalid_client","error_description":"`+marker+`"}`)(w, r)
			return
		}
		says(200, `{"access_token":"token-of-`+id+`","token_type":"Bearer","expires_in":3600}`)(w, r)
	}
}

func newOutbound(t testing.TB) *outbound.Client {
	t.Helper()
	client, err := outbound.NewClient(outbound.Options{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(client.Close)
	return client
}

// newClients makes what asks an endpoint.
func newClients(t *testing.T, e *endpoint, change func(*ClientsConfig)) *Clients {
	t.Helper()
	config := ClientsConfig{
		Tokens: oauth.NewTokenEndpoint(newOutbound(t), e.clock.now), URL: e.url,
		Scopes: []string{"read", "write"}, Audience: "https://api.example.com", Now: e.clock.now,
	}
	if change != nil {
		change(&config)
	}
	c := NewClients(config)
	t.Cleanup(c.Close)
	return c
}

// unsigned makes a token that looks like one.
func unsigned(payload string) string {
	b64 := base64.RawURLEncoding.EncodeToString
	return b64([]byte(`{"alg":"ES256"}`)) + "." + b64([]byte(payload)) + "." + b64([]byte("signature"))
}

// verdict names what an error means to the gate.
func verdict(err error) string {
	var (
		locked   *local.LockedError
		rejected *jwt.RejectedError
		refused  *RefusedError
	)
	switch {
	case err == nil:
		return "good"
	case errors.As(err, &refused) && errors.Is(err, oauth.ErrTokenEndpoint):
		return strings.TrimSpace("503 " + refused.Code)
	case errors.Is(err, ErrBusy):
		return "503 busy"
	case errors.Is(err, oauth.ErrTokenEndpoint), errors.Is(err, outbound.ErrUnavailable):
		return "503"
	case errors.As(err, &locked):
		return "429 " + locked.By
	case errors.Is(err, ErrBadClient):
		return "401 bad_client"
	case errors.Is(err, ErrInactive):
		return "401 inactive"
	case errors.As(err, &rejected):
		return "401 " + string(rejected.Reason)
	}
	return fmt.Sprintf("%T %v", err, err)
}

// checkError looks for what no error may hold (threat 94).
func checkError(t *testing.T, err error) {
	t.Helper()
	if err != nil && strings.Contains(fmt.Sprintf("%v %+v", err, err), marker) {
		t.Errorf("the error tells: %v", err)
	}
}

func parsedClaims(t *testing.T, text string) *claims.Set {
	t.Helper()
	s, err := claims.Parse([]byte(text))
	if err != nil {
		t.Fatal(err)
	}
	return s
}
