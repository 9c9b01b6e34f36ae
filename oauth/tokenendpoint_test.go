package oauth

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/caddy-admit/admit/claims"
	"github.com/caddy-admit/admit/jwt"
)

const (
	typeJSON = "application/json"
	typeForm = "application/x-www-form-urlencoded"
	typeHTML = "text/html; charset=utf-8"
	// marker is in every text of a provider and in no error.
	marker = "marker-of-the-provider"
)

// TestAskAnswers: a row is what a token endpoint says and what is made of it.
func TestAskAnswers(t *testing.T) {
	c := newClock()
	hour := c.now().Add(time.Hour)
	padding := strings.Repeat(" ", 64<<20)
	for _, tc := range []struct {
		name    string
		status  int
		kind    string
		body    string
		want    Tokens
		code    string // of a TokenError
		refused int    // of a TokenError
		down    bool   // ErrTokenEndpoint
	}{
		{name: "all of it", body: `{"access_token":"at","token_type":"Bearer","refresh_token":"rt","id_token":"id","expires_in":3600,"scope":"a b"}`, want: Tokens{Access: "at", Type: "bearer", Refresh: "rt", ID: "id", Expires: hour, Scope: "a b"}},
		{name: "smallest", body: `{"access_token":"at"}`, want: Tokens{Access: "at", Type: "bearer"}},
		{name: "other type", body: `{"access_token":"at","token_type":"DPoP"}`, want: Tokens{Access: "at", Type: "dpop"}},
		{name: "form", kind: typeForm, body: "access_token=at&token_type=bearer&expires_in=3600&scope=a+b", want: Tokens{Access: "at", Type: "bearer", Expires: hour, Scope: "a b"}},
		{name: "expires_in as text", body: `{"access_token":"at","expires_in":"3600"}`, want: Tokens{Access: "at", Type: "bearer", Expires: hour}},
		{name: "expires_in negative", body: `{"access_token":"at","expires_in":-1}`, want: Tokens{Access: "at", Type: "bearer", Once: true}},
		{name: "expires_in zero", body: `{"access_token":"at","expires_in":0}`, want: Tokens{Access: "at", Type: "bearer", Once: true}},
		{name: "expires_in negative, as text", body: `{"access_token":"at","expires_in":"-60"}`, want: Tokens{Access: "at", Type: "bearer", Once: true}},
		{name: "expires_in negative, in a form", kind: typeForm, body: "access_token=at&expires_in=-60", want: Tokens{Access: "at", Type: "bearer", Once: true}},
		{name: "expires_in null", body: `{"access_token":"at","expires_in":null}`, want: Tokens{Access: "at", Type: "bearer"}},
		{name: "expires_in huge", body: `{"access_token":"at","expires_in":99999999999}`, want: Tokens{Access: "at", Type: "bearer", Expires: c.now().Add(1<<31*time.Second - time.Second)}},
		{name: "expires_in no number", body: `{"access_token":"at","expires_in":"` + marker + `"}`, down: true},
		{name: "tokens of other types", body: `{"access_token":"at","id_token":{"x":1},"scope":["a"]}`, want: Tokens{Access: "at", Type: "bearer"}},

		{name: "no access token", body: `{"id_token":"` + marker + `"}`, down: true},
		{name: "nothing", body: ``, down: true},
		{name: "no object", body: `"` + marker + `"`, down: true},
		{name: "page", kind: typeHTML, body: "<html>" + marker, down: true},
		{name: "64 MiB", body: `{"access_token":"at"}` + padding, down: true},
		{name: "refused with 64 MiB", status: 400, body: `{"error":"invalid_grant"}` + padding, down: true},

		{name: "refused", status: 400, body: `{"error":"invalid_grant","error_description":"` + marker + `"}`, code: "invalid_grant", refused: 400},
		{name: "client refused", status: 401, body: `{"error":"invalid_client"}`, code: "invalid_client", refused: 401},
		{name: "refused with 200", status: 200, body: `{"error":"bad_verification_code","error_description":"` + marker + `"}`, code: "bad_verification_code", refused: 200},
		{name: "refused with 200 and a form", status: 200, kind: typeForm, body: "error=incorrect_client_credentials&error_description=" + marker, code: "incorrect_client_credentials", refused: 200},
		{name: "refused with a token", status: 200, body: `{"error":"invalid_grant","access_token":"at"}`, code: "invalid_grant", refused: 200},
		{name: "refused without a code", status: 401, body: ``, refused: 401},
		{name: "refused by a page", status: 404, kind: typeHTML, body: marker, refused: 404},
		{name: "refused with a text as code", status: 400, body: `{"error":"Look: ` + marker + `"}`, refused: 400},
		{name: "refused with a long code", status: 400, body: `{"error":"` + strings.Repeat("a", 41) + `"}`, refused: 400},
		{name: "error of the server", status: 500, body: `{"error":"invalid_grant"}`, down: true},
		{name: "unavailable", status: 503, body: marker, down: true},
		{name: "too many", status: 429, body: `{"error":"slow_down"}`, down: true},
	} {
		t.Run(tc.name, func(t *testing.T) {
			server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				if r.Method != http.MethodPost || r.Header.Get("Accept") != typeJSON {
					t.Errorf("got %s, Accept %q", r.Method, r.Header.Get("Accept"))
				}
				w.Header().Set("Content-Type", first(tc.kind, typeJSON))
				w.WriteHeader(max(tc.status, 200))
				_, _ = io.WriteString(w, tc.body)
			}))
			defer server.Close()
			got, err := NewTokenEndpoint(newClient(t), c.now).Ask(context.Background(), server.URL+"?key="+marker, ClientAuth{ID: "app"}, url.Values{"grant_type": {"authorization_code"}})
			var tokenErr *TokenError
			switch {
			case errors.As(err, &tokenErr):
				if tc.refused == 0 || tokenErr.Code != tc.code || tokenErr.Status != tc.refused || errors.Is(err, ErrTokenEndpoint) {
					t.Errorf("got %v", err)
				}
			case err != nil:
				if !tc.down || !errors.Is(err, ErrTokenEndpoint) {
					t.Errorf("got %v", err)
				}
			case tc.down || tc.refused != 0 || *got != tc.want:
				t.Errorf("got %+v, want %+v", *got, tc.want)
			}
			if err != nil && strings.Contains(err.Error(), marker) { // threat 94
				t.Errorf("the error tells: %v", err)
			}
		})
	}
}

func first(texts ...string) string {
	for _, s := range texts {
		if s != "" {
			return s
		}
	}
	return ""
}

// TestAskRedirect: a secret stays where it was sent (threat 24).
func TestAskRedirect(t *testing.T) {
	asked := 0
	thief := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { asked++ }))
	defer thief.Close()
	for _, status := range []int{301, 302, 303, 307, 308} {
		server := httptest.NewServer(http.RedirectHandler(thief.URL, status))
		_, err := NewTokenEndpoint(newClient(t), time.Now).Ask(context.Background(), server.URL, ClientAuth{ID: "app", Secret: "s"}, url.Values{"grant_type": {"x"}})
		server.Close()
		if !errors.Is(err, ErrTokenEndpoint) || asked != 0 {
			t.Errorf("%d: got %v, %d calls", status, err, asked)
		}
	}
	closed := httptest.NewServer(http.NotFoundHandler())
	closed.Close()
	if _, err := NewTokenEndpoint(newClient(t), time.Now).Ask(context.Background(), closed.URL, ClientAuth{ID: "app"}, nil); !errors.Is(err, ErrTokenEndpoint) {
		t.Errorf("got %v", err)
	}
}

// newClientKey makes a key of a client and what checks its signatures.
func newClientKey(t *testing.T) (*ClientKey, *jwt.KeySet) {
	t.Helper()
	private, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	der, err := x509.MarshalPKCS8PrivateKey(private)
	if err != nil {
		t.Fatal(err)
	}
	key, err := ParseClientKey(pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der}))
	if err != nil {
		t.Fatal(err)
	}
	der, err = x509.MarshalPKIXPublicKey(&private.PublicKey)
	if err != nil {
		t.Fatal(err)
	}
	set, err := jwt.ParseKeyFile(pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: der}))
	if err != nil {
		t.Fatal(err)
	}
	return key, set
}

// TestAskAuth: a row is how a client proves who it is, and what arrives.
func TestAskAuth(t *testing.T) {
	key, set := newClientKey(t)
	const id, secret = "app:1 ä", "p%a+s s&w=ö"
	for _, tc := range []struct {
		name  string
		auth  ClientAuth
		basic bool
		form  []string // the names that arrive besides grant_type and code
	}{
		{"basic", ClientAuth{ID: id, Secret: secret, Method: AuthBasic}, true, nil},
		{"basic by default", ClientAuth{ID: id, Secret: secret}, true, nil},
		{"post", ClientAuth{ID: id, Secret: secret, Method: AuthPost}, false, []string{"client_id", "client_secret"}},
		{"key", ClientAuth{ID: id, Key: key, Method: AuthKey}, false, []string{"client_assertion", "client_assertion_type", "client_id"}},
		{"key by default", ClientAuth{ID: id, Key: key}, false, []string{"client_assertion", "client_assertion_type", "client_id"}},
		{"none", ClientAuth{ID: id, Method: AuthNone}, false, []string{"client_id"}},
		{"none by default", ClientAuth{ID: id}, false, []string{"client_id"}},
		{"none, with a secret that is not shown", ClientAuth{ID: id, Secret: secret, Method: AuthNone}, false, []string{"client_id"}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			var got url.Values
			var user, password string
			var basic bool
			server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				_ = r.ParseForm()
				got = r.PostForm
				user, password, basic = r.BasicAuth()
				w.Header().Set("Content-Type", typeJSON)
				_, _ = io.WriteString(w, `{"access_token":"at"}`)
			}))
			defer server.Close()
			form := url.Values{"grant_type": {"authorization_code"}, "code": {"c"}}
			c := newClock()
			_, err := NewTokenEndpoint(newClient(t), c.now).Ask(context.Background(), server.URL, tc.auth, form)
			if err != nil {
				t.Fatal(err)
			}
			if basic != tc.basic || basic && (user != url.QueryEscape(id) || password != url.QueryEscape(secret)) {
				t.Errorf("basic: got %v %q %q", basic, user, password)
			}
			if len(form) != 2 || got.Get("grant_type") != "authorization_code" || got.Get("code") != "c" || len(got) != 2+len(tc.form) {
				t.Errorf("got form %v", got)
			}
			for _, name := range tc.form {
				if len(got[name]) != 1 || got.Get(name) == "" {
					t.Errorf("%s: got %q", name, got[name])
				}
			}
			if tc.auth.Key != nil {
				checkAssertion(t, got.Get("client_assertion"), id, server.URL, set, c)
			}
		})
	}
}

func checkAssertion(t *testing.T, raw, id, aud string, set *jwt.KeySet, c *clock) {
	t.Helper()
	v, err := jwt.NewVerifier(jwt.Policy{
		Issuers: []string{id}, Audience: []string{aud}, AudienceClaims: []claims.Path{claims.MustPath("aud")},
		Algorithms: []string{"ES256"}, Types: []string{"JWT"}, MaxAge: time.Second,
	}, jwt.StaticKeys(set), c.now)
	if err != nil {
		t.Fatal(err)
	}
	token, err := jwt.Parse(raw)
	if err != nil {
		t.Fatal(err)
	}
	if err := v.Verify(context.Background(), token); err != nil {
		t.Error(err)
	}
	if sub := token.Claims.Get("sub"); !sub.Equal(id) || len(token.Claims.Get("jti").String()) != 24 {
		t.Errorf("got %s", token.Claims.Bytes())
	}
	exp, _ := token.Claims.Get("exp").Number()
	if want := c.now().Add(time.Minute).Unix(); int64(exp) != want {
		t.Errorf("got exp %v, want %v", exp, want)
	}
}

// TestAssertionOnce: no two assertions are alike.
func TestAssertionOnce(t *testing.T) {
	key, _ := newClientKey(t)
	seen := map[string]bool{}
	for range 3 {
		raw, err := key.assertion("app", "https://id.example.com/token", time.Unix(1, 0))
		if err != nil {
			t.Fatal(err)
		}
		token, err := jwt.Parse(raw)
		if err != nil {
			t.Fatal(err)
		}
		if id := token.Claims.Get("jti").String(); seen[id] {
			t.Errorf("%s again", id)
		} else {
			seen[id] = true
		}
	}
}
