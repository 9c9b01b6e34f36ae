package oauth

import (
	"encoding/json"
	"encoding/pem"
	"errors"
	"io"
	"log"
	"net/http"
	"net/http/httptest"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/caddy-admit/admit/internal/outbound"
)

func TestDiscoveryURL(t *testing.T) {
	const path = "/.well-known/openid-configuration"
	for issuer, want := range map[string]string{
		"https://idp.example":          "https://idp.example" + path,
		"https://idp.example/":         "https://idp.example" + path,
		"https://idp.example/realms/x": "https://idp.example/realms/x" + path,
		"https://idp.example/x/":       "https://idp.example/x" + path,
		"https://idp.example/x//":      "https://idp.example/x/" + path, // a single slash
	} {
		if got := DiscoveryURL(issuer); got != want {
			t.Errorf("%s: got %s, want %s", issuer, got, want)
		}
	}
}

func TestParseMetadata(t *testing.T) {
	const issuer, slash, tenants = "https://idp.example", "https://idp.example/auth0/", "https://login.example/{tenantid}/v2.0"
	issuers := []string{issuer, slash, tenants}
	for _, tc := range []struct {
		name, data string
		wantErr    string // empty: accepted
	}{
		{"smallest", `{"issuer": "https://idp.example"}`, ""},
		{"second issuer", `{"issuer": "https://idp.example/auth0/"}`, ""},
		{"tenants", `{"issuer": "https://login.example/{tenantid}/v2.0"}`, ""},
		// threat 21
		{"slash added", `{"issuer": "https://idp.example/"}`, `of issuer "https://idp.example/", expected "https://idp.example https://idp.example/auth0/ `},
		{"slash dropped", `{"issuer": "https://idp.example/auth0"}`, "of issuer"},
		{"case", `{"issuer": "https://IDP.example"}`, "of issuer"},
		{"prefix", `{"issuer": "https://idp.example.evil.example"}`, "of issuer"},
		{"scheme", `{"issuer": "http://idp.example"}`, "of issuer"},
		{"port", `{"issuer": "https://idp.example:443"}`, "of issuer"},
		{"space", `{"issuer": "https://idp.example "}`, "of issuer"},
		{"other tenant", `{"issuer": "https://login.example/4711/v2.0"}`, "of issuer"},
		{"long issuer", `{"issuer": "https://` + strings.Repeat("x", 300) + `"}`, `xxx...", expected "https://idp.example `},
		{"control bytes", `{"issuer": "https://idp.example\n"}`, `of issuer "https://idp.example\n"`},
		{"no issuer", `{"jwks_uri": "https://idp.example/jwks"}`, "names no issuer"},
		{"empty issuer", `{"issuer": ""}`, "names no issuer"},
		{"null issuer", `{"issuer": null}`, "names no issuer"},
		{"issuer list", `{"issuer": ["https://idp.example"]}`, "names no issuer"},
		{"issuer number behind a wrong list", `{"scopes_supported": 1, "issuer": 1}`, "names no issuer"},
		{"null", `null`, "names no issuer"},
		{"list", `[{"issuer": "https://idp.example"}]`, "not a JSON object"},
		{"text", `"https://idp.example"`, "not a JSON object"},
		{"empty", ``, "not a JSON object"},
		{"page", `<html>secret</html>`, "not a JSON object"},
		{"cut off", `{"issuer": "https://idp.example"`, "not a JSON object"},
		{"more behind it", `{"issuer": "https://idp.example"} {}`, "not a JSON object"},
		// Lenient where nothing hangs on it.
		{"unknown members", `{"issuer": "https://idp.example", "x": {"y": [1]}, "frontchannel_logout_supported": true}`, ""},
		{"wrong type of a list", `{"scopes_supported": "openid", "issuer": "https://idp.example"}`, ""},
		{"null and empty endpoints", `{"issuer": "https://idp.example", "jwks_uri": null, "userinfo_endpoint": ""}`, ""},
		// threat 20
		{"other host", `{"issuer": "https://idp.example", "jwks_uri": "https://keys.example/certs"}`, ""},
		{"plain http", `{"issuer": "https://idp.example", "jwks_uri": "http://keys.example/certs"}`, ""},
		{"file", `{"issuer": "https://idp.example", "jwks_uri": "file:///etc/passwd"}`, "jwks_uri: "},
		{"script", `{"issuer": "https://idp.example", "authorization_endpoint": "javascript:alert(1)"}`, "authorization_endpoint: "},
		{"relative", `{"issuer": "https://idp.example", "token_endpoint": "/token"}`, "token_endpoint: "},
		{"no scheme", `{"issuer": "https://idp.example", "userinfo_endpoint": "//idp.example/me"}`, "userinfo_endpoint: "},
		{"no host", `{"issuer": "https://idp.example", "introspection_endpoint": "https:///x"}`, "introspection_endpoint: "},
		{"user name", `{"issuer": "https://idp.example", "end_session_endpoint": "https://a:b@idp.example/"}`, "end_session_endpoint: "},
		{"data", `{"issuer": "https://idp.example", "revocation_endpoint": "data:text/html,x"}`, "revocation_endpoint: "},
	} {
		t.Run(tc.name, func(t *testing.T) {
			m, err := ParseMetadata([]byte(tc.data), issuers)
			if tc.wantErr == "" {
				if err != nil || m == nil {
					t.Errorf("got %v, %v", m, err)
				}
				return
			}
			if err == nil || m != nil || !strings.HasPrefix(err.Error(), "oauth: ") || !strings.Contains(err.Error(), tc.wantErr) {
				t.Fatalf("got %v, %v, want an error containing %q", m, err, tc.wantErr)
			}
			if len(err.Error()) > 600 || strings.Contains(err.Error(), "secret") {
				t.Errorf("error shows too much: %s", err)
			}
		})
	}
}

// Every member of a full document is read, under the names of the registry
// "OAuth Authorization Server Metadata".
func TestParseMetadataMembers(t *testing.T) {
	const document = `{
		"issuer": "https://idp.example",
		"jwks_uri": "https://idp.example/jwks",
		"authorization_endpoint": "https://idp.example/authorize",
		"token_endpoint": "https://idp.example/token",
		"userinfo_endpoint": "https://idp.example/me",
		"introspection_endpoint": "https://idp.example/introspect",
		"end_session_endpoint": "https://idp.example/logout",
		"revocation_endpoint": "https://idp.example/revoke",
		"scopes_supported": ["openid"],
		"response_types_supported": ["code"],
		"response_modes_supported": ["query", "form_post"],
		"grant_types_supported": ["authorization_code"],
		"code_challenge_methods_supported": ["S256"],
		"token_endpoint_auth_methods_supported": ["client_secret_basic"],
		"token_endpoint_auth_signing_alg_values_supported": ["ES256"],
		"id_token_signing_alg_values_supported": ["RS256"],
		"authorization_response_iss_parameter_supported": true,
		"backchannel_logout_supported": true,
		"backchannel_logout_session_supported": true
	}`
	m, err := ParseMetadata([]byte(document), []string{"https://idp.example"})
	if err != nil {
		t.Fatal(err)
	}
	for i := range reflect.TypeFor[Metadata]().NumField() {
		if reflect.ValueOf(m).Elem().Field(i).IsZero() {
			t.Errorf("%s is empty", reflect.TypeFor[Metadata]().Field(i).Name)
		}
	}
	var want, got any
	again, err := json.Marshal(m)
	if err = errors.Join(err, json.Unmarshal([]byte(document), &want), json.Unmarshal(again, &got)); err != nil || !reflect.DeepEqual(got, want) {
		t.Errorf("got %s, error %v", again, err)
	}
}

func FuzzParseMetadata(f *testing.F) {
	f.Add([]byte(`{"issuer": "https://idp.example", "jwks_uri": "https://idp.example/jwks"}`))
	f.Add([]byte(`{"scopes_supported": 1, "issuer": "https://idp.example"}`))
	f.Fuzz(func(t *testing.T, data []byte) {
		m, err := ParseMetadata(data, []string{"https://idp.example"})
		if (m == nil) == (err == nil) || m != nil && m.Issuer != "https://idp.example" {
			t.Errorf("%q: got %v, %v", data, m, err)
		}
	})
}

// issuer serves one document under any path.
func issuer(t *testing.T, tls bool, document func(base string) string) (*httptest.Server, *outbound.Client) {
	t.Helper()
	var s *httptest.Server
	s = httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		io.WriteString(w, document(s.URL))
	}))
	s.Config.ErrorLog = log.New(io.Discard, "", 0)
	var options outbound.Options
	if tls {
		s.StartTLS()
		options.CAs = pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: s.Certificate().Raw})
	} else {
		s.Start()
	}
	t.Cleanup(s.Close)
	client, err := outbound.NewClient(options)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(client.Close)
	return s, client
}

func TestDiscovery(t *testing.T) {
	for _, tc := range []struct {
		name         string
		tls          bool
		insecureHTTP bool
		issuer       string // appended to the base
		jwks         string // "BASE" is the base
		wantErr      string
	}{
		{name: "own keys", jwks: "BASE/jwks"},
		{name: "own keys over TLS", tls: true, jwks: "BASE/jwks"},
		{name: "no keys"},
		// threat 20
		{name: "keys of another host", tls: true, jwks: "https://keys.example/certs"},
		{name: "plain http elsewhere", jwks: "http://keys.example/certs", wantErr: "jwks_uri: outbound: URL"},
		{name: "plain http elsewhere, insecure", insecureHTTP: true, jwks: "http://keys.example/certs"},
		{name: "plain http at loopback", jwks: "http://localhost:1/certs"},
		{name: "from https to http at loopback", tls: true, jwks: "http://localhost:1/certs?secret=1", wantErr: `jwks_uri at "localhost:1" must be https`},
		{name: "from https to http at loopback, insecure", tls: true, insecureHTTP: true, jwks: "http://localhost:1/certs"},
		{name: "link-local", jwks: "http://169.254.169.254/latest", wantErr: "must be https"},
		{name: "file, insecure", insecureHTTP: true, jwks: "file:///etc/passwd", wantErr: "absolute https URL"},
		// threat 21
		{name: "another issuer", issuer: "/", jwks: "BASE/jwks", wantErr: "of issuer"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			s, client := issuer(t, tc.tls, func(base string) string {
				document, _ := json.Marshal(map[string]string{
					"issuer":   base + tc.issuer,
					"jwks_uri": strings.Replace(tc.jwks, "BASE", base, 1),
				})
				return string(document)
			})
			outcome := make(chan error, 1)
			d := NewDiscovery(client, DiscoveryURL(s.URL), []string{s.URL}, tc.insecureHTTP, time.Now, func(err error) { outcome <- err })
			defer d.Close()
			m, err := d.Metadata(t.Context())
			observed := <-outcome
			if tc.wantErr == "" {
				if err != nil || observed != nil || m.JWKSURI != strings.Replace(tc.jwks, "BASE", s.URL, 1) {
					t.Errorf("got %+v, %v, observed %v", m, err, observed)
				}
				return
			}
			if m != nil || !errors.Is(err, outbound.ErrUnavailable) || !strings.Contains(err.Error(), tc.wantErr) || observed == nil {
				t.Errorf("got %+v, %v, observed %v, want an error containing %q", m, err, observed, tc.wantErr)
			}
		})
	}
}

// threat 22: a discovery that cannot be had now is an error now, and no more.
func TestDiscoveryRecovers(t *testing.T) {
	document := "down for maintenance"
	s, client := issuer(t, false, func(string) string { return document })
	now := time.Unix(1_800_000_000, 0)
	d := NewDiscovery(client, DiscoveryURL(s.URL), []string{s.URL}, false, func() time.Time { return now }, nil)
	if _, err := d.Metadata(t.Context()); !errors.Is(err, outbound.ErrUnavailable) {
		t.Errorf("got error %v", err)
	}
	document = `{"issuer": "` + s.URL + `"}`
	now = now.Add(time.Second)
	if m, err := d.Metadata(t.Context()); err != nil || m.Issuer != s.URL {
		t.Errorf("got %v, %v", m, err)
	}
	d.Close()
	if _, err := d.Metadata(t.Context()); !errors.Is(err, outbound.ErrUnavailable) {
		t.Errorf("after Close: got error %v", err)
	}
}

// threat 22: keys that the document does not name yet are looked for again soon,
// and not with every request.
func TestDiscoveryJWKSURI(t *testing.T) {
	var jwks string
	fetches := 0
	s, client := issuer(t, false, func(base string) string {
		fetches++
		return `{"issuer": "` + base + `", "jwks_uri": "` + jwks + `"}`
	})
	now := time.Unix(1_800_000_000, 0)
	d := NewDiscovery(client, DiscoveryURL(s.URL), []string{s.URL}, false, func() time.Time { return now }, nil)
	defer d.Close()
	want := func(uri string, n int) {
		t.Helper()
		got, err := d.JWKSURI(t.Context())
		if got != uri || (err == nil) != (uri != "") || fetches != n {
			t.Errorf("got %q, %v and %d fetches, want %q and %d", got, err, fetches, uri, n)
		}
	}
	want("", 1)
	jwks = s.URL + "/jwks"
	now = now.Add(9 * time.Second)
	want("", 1)
	now = now.Add(time.Second)
	want(jwks, 2)
	now = now.Add(time.Minute)
	want(jwks, 2)
	d.Close()
	if _, err := d.JWKSURI(t.Context()); !errors.Is(err, outbound.ErrUnavailable) {
		t.Errorf("after Close: got error %v", err)
	}
}
