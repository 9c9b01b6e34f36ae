package admit

import (
	"encoding/base64"
	"encoding/json"
	"maps"
	"net/http"
	"net/http/httptest"
	"os"
	"regexp"
	"strings"
	"testing"

	"github.com/caddy-admit/admit/jwt"
)

// TestDelegatedDocument shows the example as it is, and does what the page says.
func TestDelegatedDocument(t *testing.T) {
	needTools(t, "sh", "curl", "jq", "base64")
	doc := readDoc(t, "docs/delegated.md")
	example, err := os.ReadFile("examples/delegated-console/Caddyfile")
	if err != nil {
		t.Fatal(err)
	}
	if !strings.HasSuffix(string(example), doc.first("caddyfile").text) {
		t.Error("the page shows another site than the example")
	}
	realm := consoleRealm(t)
	for name, token := range consoleTokens(realm) {
		t.Setenv(name, token)
	}
	addr := runBefore(t, adaptFile(t, "examples/delegated-console/Caddyfile"), newConsoleApp(t).Listener.Addr().String())
	runDocument(t, doc, realm, map[string]string{"console.example.com": addr})
}

// delegatedSite runs a site of docs/delegated.md, found by a part of it, with the
// realm as its issuer, before an application that answers with what it sees.
func delegatedSite(t *testing.T, part string, r *fakeRealm) *front {
	t.Helper()
	t.Setenv("APP_SECRET", clientSecret)
	for _, f := range readDoc(t, "docs/delegated.md").fences() {
		if f.info == "caddyfile" && strings.Contains(f.text, part) {
			application := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				writeJSON(w, seen{Method: r.Method, URI: r.RequestURI, Header: r.Header})
			}))
			t.Cleanup(application.Close)
			config := adaptTree(t, strings.ReplaceAll(f.text, "https://login.example.com", r.url))
			return &front{t: t, addr: runBefore(t, config, application.Listener.Addr().String())}
		}
	}
	t.Fatalf("the page has no site with %s", part)
	return nil
}

// The site with opaque tokens asks once about each, looks at rules and audience all
// the same, and takes JWTs of the same issuer without asking.
func TestDelegatedOpaqueTokens(t *testing.T) {
	r := newRealm(t, map[string]realmClient{"gate": {secret: clientSecret}})
	f := delegatedSite(t, "introspection {", r)
	opaque := func(more object) string {
		r.mu.Lock()
		defer r.mu.Unlock()
		return r.token(merged(good(nil), object{"iss": r.url, "aud": "https://api.example.com", "scope": "read"}, more))
	}
	for _, tc := range []struct {
		name, token string
		asked       int
		reason      string
	}{
		{"active", opaque(nil), 1, ""},
		{"without the scope", opaque(object{"scope": "write"}), 1, "rule"},
		{"for another API", opaque(object{"aud": "other"}), 1, "wrong_audience"},
		{"of another issuer", opaque(object{"iss": "https://evil.example"}), 1, "unknown_issuer"},
		{"ended", opaque(object{"exp": 1}), 1, "expired"},
		{"not known", "opaque_0123456789", 1, "inactive"},
		{"no token at all", "short", 0, "malformed_token"},
		{"a JWT", r.compact(merged(good(nil), object{"iss": r.url, "aud": "https://api.example.com", "scope": "read"})), 0, ""},
	} {
		t.Run(tc.name, func(t *testing.T) {
			before := r.count("/introspect")
			for range 3 {
				a := f.askWith("", "api.example.com", "/x", "Authorization: Bearer "+tc.token)
				if tc.reason == "" {
					if got := a.seen(t).Header.Get("X-User"); got != "ada" {
						t.Errorf("user %q", got)
					}
					continue
				}
				status := http.StatusUnauthorized
				if tc.reason == "rule" {
					status = http.StatusForbidden
				}
				a.want(t, status, tc.reason)
			}
			// What has ended already is not kept.
			if asked := r.count("/introspect") - before; asked != tc.asked && tc.reason != "expired" {
				t.Errorf("asked %d times, want %d", asked, tc.asked)
			}
		})
	}
}

// The site with token exchange gives the application a token that is for it alone.
func TestDelegatedExchange(t *testing.T) {
	r := newRealm(t, map[string]realmClient{"app": {secret: clientSecret, claims: object{"scope": "orders.read"}}})
	f := delegatedSite(t, "forward exchange {", r)
	own := r.bearer(t, object{"aud": "https://app.example.com"})
	for range 3 {
		h := f.askWith("", "app.example.com", "/x", own).seen(t).Header
		given := strings.TrimPrefix(h.Get("Authorization"), "Bearer ")
		token, err := jwt.Parse(given)
		if err != nil || "Authorization: Bearer "+given == own {
			t.Fatalf("the application got %q: %v", h.Get("Authorization"), err)
		}
		var claims map[string]any
		if err := json.Unmarshal(token.Claims.Bytes(), &claims); err != nil {
			t.Fatal(err)
		}
		if claims["aud"] != "https://orders.internal" || claims["sub"] != "ada" || claims["scope"] != "orders.read" || h.Get("X-User") != "ada" {
			t.Errorf("claims %v, user %q", claims, h.Get("X-User"))
		}
	}
	if n := r.count("/token"); n != 1 {
		t.Errorf("%d exchanges", n)
	}
}

// The line of the log on the page is that of a client which may not have a scope.
func TestDelegatedLogLine(t *testing.T) {
	shown := object{}
	for _, f := range readDoc(t, "docs/delegated.md").fences() {
		if f.info == "jsonc" {
			if err := json.Unmarshal([]byte(f.text), &shown); err != nil {
				t.Fatal(err)
			}
		}
	}
	r := consoleRealm(t)
	f := serveOne(t, "admit realm {\nissuer "+r.url+"\naudience https://console.example.com\nclient_credentials {\nscopes console\n}\n}", "admit\nrespond ok")
	f.get("/", "Authorization: Basic "+base64.StdEncoding.EncodeToString([]byte("reports:reports-demo"))).want(t, 503, "token_endpoint_unavailable")
	msg, _ := shown["msg"].(string)
	entries := f.entries(msg)
	if len(entries) != 1 {
		t.Fatalf("%d lines %q", len(entries), msg)
	}
	got := object(entries[0])
	delete(got, "ts")
	if !maps.Equal(got, shown) {
		t.Errorf("got %v, the page shows %v", got, shown)
	}
}

// The reasons of the page are those that there are.
func TestDelegatedReasons(t *testing.T) {
	reasons := readDoc(t, "docs/reasons.md").text
	rows := readDoc(t, "docs/delegated.md").rows("When it does not work")
	if len(rows) < 10 {
		t.Errorf("%d rows", len(rows))
	}
	for _, row := range rows {
		for _, m := range regexp.MustCompile("`(\\w+)`").FindAllStringSubmatch(row[0], -1) {
			if !strings.Contains(reasons, "| `"+m[1]+"` |") {
				t.Errorf("%s: no such reason", m[1])
			}
		}
	}
}
