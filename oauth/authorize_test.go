package oauth

import (
	"context"
	"errors"
	"net/http"
	"net/http/httptest"
	"net/url"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/caddy-admit/admit/internal/outbound"
)

// TestAuthorizationURL: a row is a configuration and all that differs from the
// plain request by it.
func TestAuthorizationURL(t *testing.T) {
	const endpoint, callback = "https://id.example.com/authorize", "https://app.example.com/oauth2/callback"
	a := newAttempt("corp", Login, time.UnixMilli(1))
	plain := url.Values{
		"response_type": {"code"}, "client_id": {"app&x=1"}, "redirect_uri": {callback}, "scope": {"openid email"},
		"state": {a.State()}, "nonce": {a.Nonce()}, "code_challenge": {a.Challenge()}, "code_challenge_method": {"S256"},
	}
	for _, tc := range []struct {
		name, endpoint string
		scopes         []string
		params         []Param
		options        AuthorizationOptions
		want           url.Values // nil value: not there
	}{
		{name: "plain"},
		{name: "not OpenID Connect", scopes: []string{"read:user"}, want: url.Values{"scope": {"read:user"}, "nonce": nil}},
		{name: "no scopes", scopes: []string{}, want: url.Values{"scope": nil, "nonce": nil}},
		{
			name: "params", params: []Param{{"hd", "example.com"}, {"prompt", "consent"}, {"max_age", "60"}, {"response_mode", "form_post"}, {"resource", "a b"}, {"resource", "ü"}},
			want: url.Values{"hd": {"example.com"}, "prompt": {"consent"}, "max_age": {"60"}, "response_mode": {"form_post"}, "resource": {"a b", "ü"}},
		},
		{
			name: "a call wins", params: []Param{{"prompt", "consent"}, {"login_hint", "eve"}}, options: AuthorizationOptions{LoginHint: "ada+1@example.com", Prompt: "select_account"},
			want: url.Values{"prompt": {"select_account"}, "login_hint": {"ada+1@example.com"}},
		},
		{name: "a hint that would be more", options: AuthorizationOptions{LoginHint: "ada&client_id=evil#"}, want: url.Values{"login_hint": {"ada&client_id=evil#"}}},
		{name: "the protocol wins", params: []Param{{"client_id", "evil"}, {"code_challenge_method", "plain"}, {"nonce", "1"}, {"state", "1"}}},
		{name: "query", endpoint: endpoint + "?p=policy%2F1&flag&x=%zz", want: url.Values{"p": {"policy/1"}, "flag": {""}}},
		{name: "empty query", endpoint: endpoint + "?"},
		{name: "query with what is ours", endpoint: endpoint + "?client_id=evil&p=1&st%61te=1", want: url.Values{"p": {"1"}}},
	} {
		p := &RelyingParty{config: RelyingPartyConfig{Auth: ClientAuth{ID: "app&x=1", Secret: "s3cret"}, Scopes: []string{"openid", "email"}, Params: tc.params}}
		p.config.Endpoints.Authorization = endpoint
		if tc.endpoint != "" {
			p.config.Endpoints.Authorization = tc.endpoint
		}
		if tc.scopes != nil {
			p.config.Scopes = tc.scopes
		}
		got, err := p.AuthorizationURL(context.Background(), a, callback, tc.options)
		if err != nil {
			t.Fatal(err)
		}
		base, query, _ := strings.Cut(got, "?")
		values, _ := url.ParseQuery(query)
		for name, want := range plain {
			if other, ok := tc.want[name]; ok {
				want = other
			}
			if !slices.Equal(values[name], want) {
				t.Errorf("%s: %s is %q, want %q", tc.name, name, values[name], want)
			}
			values.Del(name)
		}
		for name, want := range tc.want {
			if plain[name] == nil && !slices.Equal(values[name], want) {
				t.Errorf("%s: %s is %q, want %q", tc.name, name, values[name], want)
			}
			values.Del(name)
		}
		// The verifier is in no URL (threat 57).
		if base != endpoint || len(values) != 0 || strings.Contains(got, a.Verifier()) || strings.Contains(got, "s3cret") {
			t.Errorf("%s: got %s, with %v", tc.name, got, values)
		}
		if strings.Contains(tc.endpoint, "policy") && !strings.Contains(got, "?p=policy%2F1&flag&x=%zz&") {
			t.Errorf("%s: the query of the endpoint became %s", tc.name, query)
		}
	}
}

// TestAuthorizationEndpoint: it is the one that discovery names, and without one
// there is no URL.
func TestAuthorizationEndpoint(t *testing.T) {
	for _, named := range []string{"/authorize?p=1", ""} {
		var provider *httptest.Server
		provider = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
			endpoint := ""
			if named != "" {
				endpoint = `, "authorization_endpoint": "` + provider.URL + named + `"`
			}
			_, _ = w.Write([]byte(`{"issuer": "` + provider.URL + `"` + endpoint + `}`))
		}))
		defer provider.Close()
		d := NewDiscovery(newClient(t), DiscoveryURL(provider.URL), []string{provider.URL}, false, time.Now, nil)
		defer d.Close()
		p := &RelyingParty{config: RelyingPartyConfig{Auth: ClientAuth{ID: "app"}, DiscoveryURL: DiscoveryURL(provider.URL), Discovery: d}}
		a := newAttempt("corp", Login, time.UnixMilli(1))
		got, err := p.AuthorizationURL(context.Background(), a, "https://app.example.com/oauth2/callback", AuthorizationOptions{})
		if named == "" {
			if got != "" || !errors.Is(err, outbound.ErrUnavailable) || strings.Contains(err.Error(), a.State()) {
				t.Errorf("got %q, %v", got, err)
			}
		} else if err != nil || !strings.HasPrefix(got, provider.URL+named+"&client_id=app&") {
			t.Errorf("got %q, %v", got, err)
		}
	}
}

// TestCheckParams: extra parameters do not touch the protocol (threat 98).
func TestCheckParams(t *testing.T) {
	for _, tc := range []struct {
		params []Param
		want   string // part of the error, "" for none
	}{
		{nil, ""},
		{[]Param{{"prompt", "consent"}, {"access_type", "offline"}, {"hd", ""}}, ""},
		{[]Param{{"resource", "a"}, {"resource", "b"}, {"audience", "a"}, {"audience", "b"}}, ""},
		{[]Param{{"prompt", "login"}, {"prompt", "consent"}}, "prompt: given twice"},
		{[]Param{{"prompt", "login"}, {"Prompt", "consent"}}, "Prompt: given twice"},
		{[]Param{{"client_id", "x"}}, "client_id: is part of the protocol"},
		{[]Param{{"redirect_uri", "x"}}, "redirect_uri: is part"},
		{[]Param{{"response_type", "x"}}, "response_type: is part"},
		{[]Param{{"scope", "x"}}, "scope: is part"},
		{[]Param{{"state", "x"}}, "state: is part"},
		{[]Param{{"State", "x"}}, "State: is part"},
		{[]Param{{"nonce", "x"}}, "nonce: is part"},
		{[]Param{{"code_challenge", "x"}}, "code_challenge: is part"},
		{[]Param{{"CODE_CHALLENGE_METHOD", "plain"}}, "CODE_CHALLENGE_METHOD: is part"},
		{[]Param{{"request_uri", "x"}}, "request_uri: is part"},
		{[]Param{{"client_secret", "x"}}, "client_secret: is part"},
		{[]Param{{"", "x"}}, `"": not the name`},
		{[]Param{{"a b", "x"}}, `"a b": not the name`},
		{[]Param{{"state\u200b", "x"}}, "not the name"},
		{[]Param{{"response_mode", "query"}}, ""},
		{[]Param{{"response_mode", "form_post"}}, ""},
		{[]Param{{"response_mode", "fragment"}}, "expected query or form_post"},
		{[]Param{{"Response_Mode", "form_post"}}, "write response_mode"},
		{[]Param{{"max_age", "0"}}, ""},
		{[]Param{{"max_age", "1h"}}, "a number of seconds"},
		{[]Param{{"max_age", "-1"}}, "a number of seconds"},
		{[]Param{{"state", "x"}, {"max_age", "x"}}, "a number of seconds"},
	} {
		err := CheckParams(tc.params)
		if (err == nil) != (tc.want == "") || err != nil && !strings.Contains(err.Error(), tc.want) {
			t.Errorf("%q: got error %v, want %q", tc.params, err, tc.want)
		}
	}
	if err := CheckParams([]Param{{"state", "s3cret"}, {"response_mode", "s3cret"}}); strings.Contains(err.Error(), "s3cret") {
		t.Errorf("a value is in %v", err)
	}
}
