package oauth

import (
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"

	"github.com/caddy-admit/admit/claims"
	"github.com/caddy-admit/admit/jwt"
)

// introspectionVerdict names what came of a question about a token.
func introspectionVerdict(s *claims.Set, err error) string {
	var (
		rejected *jwt.RejectedError
		refused  *TokenError
	)
	switch {
	case err == nil && s == nil, err != nil && s != nil:
		return "neither one nor the other"
	case err == nil:
		return "active"
	case errors.Is(err, ErrTokenEndpoint):
		return "down"
	case errors.Is(err, ErrInactive):
		return "inactive"
	case errors.As(err, &rejected):
		return string(rejected.Reason)
	case errors.As(err, &refused):
		return "refused " + refused.Code
	}
	return err.Error()
}

// TestIntrospectAnswers: a row is what an introspection endpoint says and what is
// made of it (threat 90).
func TestIntrospectAnswers(t *testing.T) {
	for _, tc := range []struct {
		name   string
		status int
		kind   string
		body   string
		want   string
	}{
		{name: "active", body: `{"active":true,"sub":"ada"}`, want: "active"},
		{name: "with a charset", kind: "application/json;charset=UTF-8", body: `{"active":true}`, want: "active"},
		{name: "not active", body: `{"active":false}`, want: "inactive"},
		{name: "not active, with claims", body: `{"active":false,"sub":"ada","exp":99999999999}`, want: "inactive"},
		{name: "active as a text", body: `{"active":"true","sub":"ada"}`, want: "down"},
		{name: "active as a number", body: `{"active":1,"sub":"ada"}`, want: "down"},
		{name: "active is null", body: `{"active":null}`, want: "down"},
		{name: "active in a list", body: `{"active":[true]}`, want: "down"},
		{name: "Active", body: `{"Active":true,"sub":"ada"}`, want: "down"},
		{name: "no word of it", body: `{"sub":"ada"}`, want: "down"},
		{name: "active inside", body: `{"data":{"active":true}}`, want: "down"},
		{name: "both", body: `{"active":false,"active":true}`, want: "down"},
		{name: "two objects", body: `{"active":true}{"active":false}`, want: "down"},
		{name: "true", body: `true`, want: "down"},
		{name: "list", body: `[{"active":true}]`, want: "down"},
		{name: "nothing", body: ``, want: "down"},
		{name: "a page", kind: typeHTML, body: `{"active":true}`, want: "down"},
		{name: "signed", kind: "application/token-introspection+jwt", body: `{"active":true}`, want: "down"},
		{name: "no type", kind: ";", body: `{"active":true}`, want: "down"},
		{name: "longer than is read", body: `{"active":true}` + strings.Repeat(" ", maxIntrospection), want: "down"},
		{name: "64 MiB", body: `{"active":true}` + strings.Repeat(" ", 64<<20), want: "down"},

		{name: "bearer", body: `{"active":true,"token_type":"Bearer"}`, want: "active"},
		{name: "type is null", body: `{"active":true,"token_type":null}`, want: "active"},
		{name: "DPoP", body: `{"active":true,"token_type":"DPoP"}`, want: "bound_token"}, // threat 101
		{name: "bound to a certificate", body: `{"active":true,"token_type":"Bearer","cnf":{"x5t#S256":"x"}}`, want: "bound_token"},
		{name: "refresh token", body: `{"active":true,"token_type":"refresh_token"}`, want: "wrong_type"}, // threat 27
		{name: "type is a list", body: `{"active":true,"token_type":["Bearer"]}`, want: "wrong_type"},
		{name: "used as access token", body: `{"active":true,"token_type":"Bearer","token_use":"access_token"}`, want: "active"},
		{name: "used as refresh token", body: `{"active":true,"token_type":"Bearer","token_use":"refresh_token"}`, want: "wrong_type"},

		{name: "we are refused", status: 401, body: `{"error":"invalid_client","error_description":"` + marker + `"}`, want: "refused invalid_client"},
		{name: "we are refused with a yes", status: 401, body: `{"active":true}`, want: "refused "},
		{name: "forbidden by a page", status: 403, kind: typeHTML, body: marker, want: "refused "},
		{name: "refused with a text as code", status: 400, body: `{"error":"` + marker + ` 1"}`, want: "refused "},
		{name: "no content", status: 204, want: "refused "},
		{name: "error of the server", status: 500, body: `{"active":true}`, want: "down"},
		{name: "too many", status: 429, body: `{"active":false}`, want: "down"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				w.Header().Set("Content-Type", first(tc.kind, typeJSON))
				w.WriteHeader(max(tc.status, 200))
				_, _ = io.WriteString(w, tc.body)
			}))
			defer server.Close()
			s, err := Introspect(t.Context(), newClient(t), server.URL+"?key="+marker, ClientAuth{ID: "gate", Secret: marker}, "token-"+marker, newClock().now())
			if got := introspectionVerdict(s, err); got != tc.want {
				t.Errorf("got %q, want %q", got, tc.want)
			}
			if err != nil && strings.Contains(err.Error(), marker) { // threat 94
				t.Errorf("the error tells: %v", err)
			}
		})
	}
}

// TestIntrospectRequest: the request of RFC 7662 section 2.1, whoever asks.
func TestIntrospectRequest(t *testing.T) {
	const id, secret = "ga te:%", "s:%+ &ü"
	key, set := newClientKey(t)
	for _, tc := range []struct {
		name  string
		auth  ClientAuth
		basic bool
		form  []string // beside token and hint
	}{
		{"basic", ClientAuth{ID: id, Secret: secret}, true, nil},
		{"post", ClientAuth{ID: id, Secret: secret, Method: AuthPost}, false, []string{"client_id", "client_secret"}},
		{"key", ClientAuth{ID: id, Key: key}, false, []string{"client_id", "client_assertion", "client_assertion_type"}},
		{"none", ClientAuth{ID: id}, false, []string{"client_id"}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			var got url.Values
			var user, password string
			var basic bool
			server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				if r.Method != http.MethodPost || r.Header.Get("Accept") != typeJSON || r.Header.Get("Content-Type") != typeForm {
					t.Errorf("got %s %v", r.Method, r.Header)
				}
				_ = r.ParseForm()
				got = r.PostForm
				user, password, basic = r.BasicAuth()
				w.Header().Set("Content-Type", typeJSON)
				_, _ = io.WriteString(w, `{"active":true}`)
			}))
			defer server.Close()
			c := newClock()
			if _, err := Introspect(t.Context(), newClient(t), server.URL, tc.auth, "a+/b==", c.now()); err != nil {
				t.Fatal(err)
			}
			if basic != tc.basic || basic && (user != url.QueryEscape(id) || password != url.QueryEscape(secret)) {
				t.Errorf("basic: got %v %q %q", basic, user, password)
			}
			if got.Get("token") != "a+/b==" || got.Get("token_type_hint") != "access_token" || len(got) != 2+len(tc.form) {
				t.Errorf("got form %v", got)
			}
			for _, name := range tc.form {
				if got.Get(name) == "" {
					t.Errorf("%s is missing", name)
				}
			}
			if tc.auth.Key != nil {
				checkAssertion(t, got.Get("client_assertion"), id, server.URL, set, c)
			}
		})
	}
}

// TestIntrospectRedirect: a token stays where it was sent (threat 24).
func TestIntrospectRedirect(t *testing.T) {
	thief := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { t.Error("asked") }))
	defer thief.Close()
	server := httptest.NewServer(http.RedirectHandler(thief.URL, http.StatusTemporaryRedirect))
	defer server.Close()
	s, err := Introspect(t.Context(), newClient(t), server.URL, ClientAuth{ID: "gate", Secret: "s"}, "token-1", newClock().now())
	if got := introspectionVerdict(s, err); got != "down" {
		t.Errorf("got %q", got)
	}
}

// FuzzIntrospection: only an object whose own "active" is true is a yes (threat 90).
func FuzzIntrospection(f *testing.F) {
	for _, seed := range []string{
		`{"active":true}`, `{"active":false}`, `{"active":"true"}`, `{"active":true,"active":false}`,
		`{"act\u0069ve":true}`, `{"data":{"active":true}}`, ` {"active" : true , "token_type":"DPoP"} `, `{"active":true}x`, ``,
	} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, body []byte) {
		s, err := readIntrospection(body)
		verdict := introspectionVerdict(s, err)
		plain, parseErr := claims.Parse(body)
		active, isBool := plain.Get("active").Bool()
		switch verdict {
		case "active", "wrong_type", "bound_token":
			if parseErr != nil || !active {
				t.Errorf("%q: got %s", body, verdict)
			}
		case "inactive":
			if parseErr != nil || !isBool || active {
				t.Errorf("%q: got %s", body, verdict)
			}
		case "down":
		default:
			t.Errorf("%q: got %s", body, verdict)
		}
	})
}
