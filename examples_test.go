package admit

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/caddyconfig/caddyfile"
)

// exampleRow is one request to an example, and what its client observes.
type exampleRow struct {
	name, method, host, path string
	headers                  []string
	status                   int
	body                     string // a part of it; the application answers with the X- headers it saw
}

// examples holds, for each example, what sets its environment and says what is
// sent to it. Those with users of their own are in localExamples, those
// with logins at a provider in loginExamples, those of applications that leave
// everything to the gate in delegatedExamples, and TestReadmeQuickstart runs the one
// that is missing here.
var examples = map[string]func(*testing.T) []exampleRow{
	"discovery":   discoveryExample,
	"jwks":        jwksExample,
	"secret":      secretExample,
	"two-issuers": twoIssuersExample,
	"many-sites":  manySitesExample,
}

// TestExamples runs each example's Caddyfile as it lies there, but for where it
// listens and where the application is.
func TestExamples(t *testing.T) {
	for _, file := range exampleFiles(t) {
		name := filepath.Base(filepath.Dir(file))
		if name == "quickstart" {
			continue
		}
		t.Run(name, func(t *testing.T) {
			if visit := localExamples[name]; visit != nil {
				visit(t, runExample(t, file))
				return
			}
			if visit := loginExamples[name]; visit != nil {
				visit(t, adaptFile(t, file))
				return
			}
			if visit := delegatedExamples[name]; visit != nil {
				visit(t)
				return
			}
			rowsOf := examples[name]
			if rowsOf == nil {
				t.Fatalf("nothing is sent to %s", file)
			}
			rows := rowsOf(t)
			addr := runExample(t, file)
			for _, row := range rows {
				t.Run(row.name, func(t *testing.T) { row.send(t, addr) })
			}
		})
	}
}

func (row *exampleRow) send(t *testing.T, addr string) {
	r, err := http.NewRequestWithContext(t.Context(), row.method, "http://"+addr+row.path, nil)
	if err != nil {
		t.Fatal(err)
	}
	r.Host = row.host
	for _, line := range row.headers {
		name, value, _ := strings.Cut(line, ": ")
		r.Header[name] = []string{value}
	}
	resp, err := http.DefaultClient.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	if resp.StatusCode != row.status || !strings.Contains(string(body), row.body) {
		t.Errorf("got %d %q, want %d %q", resp.StatusCode, body, row.status, row.body)
	}
}

func TestExamplesAreFormatted(t *testing.T) {
	for _, file := range exampleFiles(t) {
		text, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		if !bytes.Equal(caddyfile.Format(text), text) {
			t.Errorf("%s: caddy fmt would change it", file)
		}
	}
}

func exampleFiles(t *testing.T) []string {
	t.Helper()
	files, err := filepath.Glob("examples/*/Caddyfile")
	if err != nil || len(files) == 0 {
		t.Fatalf("no examples: %v", err)
	}
	return files
}

func discoveryExample(t *testing.T) []exampleRow {
	corp := newExampleIssuer(t)
	t.Setenv("ISSUER", corp.url)
	const host = "api.example.com"
	token := func(more map[string]any) []string {
		return []string{corp.bearer(t, map[string]any{"aud": "https://api.example.com"}, more)}
	}
	forged := newExampleIssuer(t)
	forged.url = corp.url
	return []exampleRow{
		{name: "in", host: host, path: "/", headers: token(nil), status: 200, body: "X-User: ada\n"},
		{name: "with a header of its own", host: host, path: "/", headers: append(token(nil), "X_user: root"), status: 200, body: "X-User: ada\n"},
		{name: "no token", host: host, path: "/", status: 401, body: "missing_credential"},
		{name: "for another API", host: host, path: "/", headers: token(map[string]any{"aud": "other"}), status: 401, body: "wrong_audience"},
		{name: "of another issuer", host: host, path: "/", headers: token(map[string]any{"iss": "https://evil.example"}), status: 401, body: "unknown_issuer"},
		{name: "signed by somebody else", host: host, path: "/", headers: []string{forged.bearer(t, map[string]any{"aud": "https://api.example.com"})}, status: 401, body: "unknown_key"},
		{name: "expired", host: host, path: "/", headers: token(map[string]any{"exp": 1}), status: 401, body: "expired"},
		{name: "health", host: host, path: "/health", headers: []string{"X-User: root"}, status: 200, body: "in\n"},
		{name: "health by another method", method: "POST", host: host, path: "/health", status: 401, body: "missing_credential"},
		{name: "admin", host: host, path: "/admin/x", headers: token(map[string]any{"groups": []string{"admins"}}), status: 200},
		{name: "not admin", host: host, path: "/admin/x", headers: token(nil), status: 403, body: "rule"},
		{name: "not admin, the root", host: host, path: "/admin", headers: token(nil), status: 403, body: "rule"},
	}
}

func jwksExample(t *testing.T) []exampleRow {
	builds := newExampleIssuer(t)
	t.Setenv("ISSUER", builds.url)
	const host = "deploy.example.com"
	token := func(repository, ref string, more map[string]any) []string {
		standard := map[string]any{"aud": "deploy", "iat": time.Now().Unix(), "repository": repository, "ref": ref}
		return []string{builds.bearer(t, standard, more)}
	}
	maintenance := map[string]any{"context": map[string]any{"environment": "maintenance"}}
	return []exampleRow{
		{name: "in", host: host, path: "/", headers: token("acme/site", "refs/heads/x", nil), status: 200, body: "X-Repository: acme/site\n"},
		{name: "no token", host: host, path: "/", status: 401, body: "missing_credential"},
		{name: "repository of others", host: host, path: "/", headers: token("evil/acme/site", "refs/heads/main", nil), status: 403, body: "rule"},
		{name: "sandbox", host: host, path: "/", headers: token("acme/Sandbox-1", "refs/heads/main", nil), status: 403, body: "denied"},
		{name: "old", host: host, path: "/", headers: token("acme/site", "refs/heads/x", map[string]any{"iat": time.Now().Add(-time.Hour).Unix()}), status: 401, body: "too_old"},
		{name: "production", host: host, path: "/production/1", headers: token("acme/site", "refs/tags/v1.2", nil), status: 200},
		{name: "production from a branch", host: host, path: "/production/1", headers: token("acme/site", "refs/heads/main2", nil), status: 403, body: "rule"},
		{name: "settings", host: host, path: "/settings/x", headers: token("acme/site", "refs/heads/x", map[string]any{"actor": "grace"}), status: 200},
		{name: "settings, the other line", host: host, path: "/settings/x", headers: token("acme/site", "refs/heads/x", maintenance), status: 200},
		{name: "settings, neither", host: host, path: "/settings/x", headers: token("acme/site", "refs/heads/x", map[string]any{"actor": "mallory"}), status: 403, body: "rule"},
	}
}

func secretExample(t *testing.T) []exampleRow {
	t.Setenv("APP_SECRET", hex.EncodeToString([]byte(testSecret)))
	const host = "app.example.com"
	token := func(more map[string]any) string {
		return sign(t, testSecret, merged(good(map[string]any{"aud": "app"}), more))
	}
	header := "Authorization: Bearer " + token(nil)
	cookie := "Cookie: theme=dark; app_token=" + token(map[string]any{"role": "editor"})
	return []exampleRow{
		{name: "public", host: host, path: "/", status: 200, body: "in\n"},
		{name: "public, a tree", host: host, path: "/assets/a.css", headers: []string{"X-Role: editor"}, status: 200, body: "in\n"},
		{name: "private", host: host, path: "/notes", status: 401, body: "missing_credential"},
		{name: "private behind a public path", host: host, path: "/assets/../notes", status: 401, body: "missing_credential"},
		{name: "public path, another method", method: "POST", host: host, path: "/", status: 401, body: "missing_credential"},
		{name: "header", host: host, path: "/notes", headers: []string{header}, status: 200, body: "X-User: ada\n"},
		{name: "cookie", host: host, path: "/notes", headers: []string{cookie}, status: 200, body: "X-Role: editor\nX-User: ada\n"},
		{name: "cookie, a change from the site", method: "POST", host: host, path: "/notes", headers: []string{cookie, "Sec-Fetch-Site: same-origin"}, status: 200},
		{name: "cookie, a change from another site", method: "POST", host: host, path: "/notes", headers: []string{cookie, "Sec-Fetch-Site: cross-site"}, status: 403, body: "cross_origin"},
		{name: "another secret", host: host, path: "/notes", headers: []string{"Authorization: Bearer " + sign(t, strings.ToUpper(testSecret), good(map[string]any{"aud": "app"}))}, status: 401, body: "bad_signature"},
		{name: "another role", host: host, path: "/notes", headers: []string{"Authorization: Bearer " + token(map[string]any{"role": "guest"})}, status: 200, body: "X-Role: reader\n"},
	}
}

func twoIssuersExample(t *testing.T) []exampleRow {
	staff, partners := newExampleIssuer(t), newExampleIssuer(t)
	t.Setenv("STAFF_ISSUER", staff.url)
	t.Setenv("PARTNERS_ISSUER", partners.url)
	const host = "api.example.com"
	token := func(by *exampleIssuer, more map[string]any) []string {
		return []string{by.bearer(t, map[string]any{"aud": "https://api.example.com"}, more)}
	}
	reader := map[string]any{"roles": []string{"api-reader", "admins"}}
	return []exampleRow{
		{name: "staff", host: host, path: "/internal/x", headers: token(staff, nil), status: 200, body: "X-User-From: staff\nX-User: ada\n"},
		{name: "partner", host: host, path: "/", headers: token(partners, nil), status: 200, body: "X-User-From: partners\nX-User: ada\n"},
		{name: "partner, internal", host: host, path: "/internal/x", headers: token(partners, nil), status: 403, body: "rule"},
		{name: "partner, reports", host: host, path: "/reports", headers: token(partners, reader), status: 200},
		{name: "partner, a group of staff", host: host, path: "/reports", headers: token(partners, map[string]any{"roles": "analysts"}), status: 403, body: "rule"},
		{name: "partner's keys, staff's name", host: host, path: "/", headers: token(partners, map[string]any{"iss": staff.url}), status: 401, body: "unknown_key"},
		{name: "a third issuer", host: host, path: "/", headers: token(newExampleIssuer(t), nil), status: 401, body: "unknown_issuer"},
		{name: "no token", host: host, path: "/", status: 401, body: "missing_credential"},
	}
}

func manySitesExample(t *testing.T) []exampleRow {
	corp := newExampleIssuer(t)
	t.Setenv("ISSUER", corp.url)
	token := func(user string, groups ...string) []string {
		return []string{corp.bearer(t, map[string]any{"aud": "https://apps.example.com", "sub": user, "groups": groups})}
	}
	const wiki, metrics, docs = "wiki.example.com", "metrics.example.com", "docs.example.com"
	return []exampleRow{
		{name: "wiki", host: wiki, path: "/", headers: token("ada"), status: 200},
		{name: "wiki, no token", host: wiki, path: "/", status: 401, body: "missing_credential"},
		{name: "wiki, denied", host: wiki, path: "/", headers: token("Mallory"), status: 403, body: "denied"},
		{name: "metrics", host: metrics, path: "/", headers: token("ada", "ops-night"), status: 200, body: "X-User: ada\n"},
		{name: "metrics, mapped", host: metrics, path: "/", headers: token("ada", "Domain Admins"), status: 200},
		{name: "metrics, no group", host: metrics, path: "/", headers: token("ada", "dev"), status: 403, body: "rule"},
		{name: "metrics, denied", host: metrics, path: "/", headers: token("mallory", "admins"), status: 403, body: "denied"},
		{name: "docs, anybody", host: docs, path: "/", headers: []string{"X-User: root"}, status: 200, body: "in\n"},
		{name: "docs, change by nobody", method: "PUT", host: docs, path: "/", status: 401, body: "missing_credential"},
		{name: "docs, change by a reader", method: "PUT", host: docs, path: "/", headers: token("ada"), status: 403, body: "rule"},
		{name: "docs, change by an editor", method: "PUT", host: docs, path: "/", headers: token("ada", "editors"), status: 200, body: "X-User: ada\n"},
		{name: "docs, a bad token reads nothing", host: docs, path: "/", headers: []string{"Authorization: Bearer x"}, status: 401, body: "malformed_token"},
	}
}

// runExample loads a Caddyfile whose servers listen on one plain port instead,
// behind a proxy that may say https, and whose proxies lead to an application that
// answers with the headers it saw.
// It returns the address of that port.
func runExample(t *testing.T, file string) string {
	t.Helper()
	return runBehindProxy(t, adaptFile(t, file))
}

// runBehindProxy is runExample for a config.
func runBehindProxy(t *testing.T, config map[string]any) string {
	t.Helper()
	return runBefore(t, config, newApplication(t))
}

// runBefore is runBehindProxy for an application at an address.
func runBefore(t *testing.T, config map[string]any, application string) string {
	t.Helper()
	addr := freeAddr(t)
	for _, server := range config["apps"].(map[string]any)["http"].(map[string]any)["servers"].(map[string]any) {
		server := server.(map[string]any)
		server["listen"] = []string{addr}
		server["automatic_https"] = map[string]any{"disable": true}
		server["trusted_proxies"] = map[string]any{"source": "static", "ranges": []string{"127.0.0.1/32"}}
	}
	eachObject(config, func(o map[string]any) {
		if o["dial"] != nil {
			o["dial"] = application
		}
	})
	config["storage"] = map[string]any{"module": "file_system", "root": t.TempDir()}
	quiet(config)
	loadTree(t, config)
	return addr
}

// newApplication starts an application and returns its address. It answers with
// the X- headers that it sees, those aside that every proxy sets.
func newApplication(t *testing.T) string {
	t.Helper()
	app := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		var lines []string
		for name := range r.Header {
			if strings.HasPrefix(name, "X") && !strings.HasPrefix(name, "X-Forwarded-") {
				lines = append(lines, name+": "+r.Header.Get(name)+"\n")
			}
		}
		slices.Sort(lines)
		fmt.Fprint(w, "in\n", strings.Join(lines, ""))
	}))
	t.Cleanup(app.Close)
	return app.Listener.Addr().String()
}

func adaptTree(t testing.TB, text string) map[string]any {
	t.Helper()
	adapted, err := adapt(text)
	if err != nil {
		t.Fatalf("adapting:\n%s\n%v", text, err)
	}
	var config map[string]any
	if err := json.Unmarshal(adapted, &config); err != nil {
		t.Fatal(err)
	}
	return config
}

// quiet keeps a config from opening the admin endpoint, writing files and logging.
func quiet(config map[string]any) {
	config["admin"] = map[string]any{"disabled": true, "config": map[string]any{"persist": false}}
	config["logging"] = map[string]any{"logs": map[string]any{"default": map[string]any{"level": "ERROR"}}}
}

func loadTree(t testing.TB, config map[string]any) {
	t.Helper()
	raw, err := json.Marshal(config)
	if err != nil {
		t.Fatal(err)
	}
	if err := caddy.Load(raw, true); err != nil {
		t.Fatalf("loading %s: %v", raw, err)
	}
	t.Cleanup(func() { _ = caddy.Stop() })
}

// eachObject calls do with every object in a tree of JSON.
func eachObject(node any, do func(map[string]any)) {
	switch node := node.(type) {
	case []any:
		for _, child := range node {
			eachObject(child, do)
		}
	case map[string]any:
		do(node)
		for _, child := range node {
			eachObject(child, do)
		}
	}
}

// exampleIssuer stands in for an identity provider: it publishes a discovery
// document and one key, and signs what a test asks for.
type exampleIssuer struct {
	url string
	kid string
	key *ecdsa.PrivateKey
}

func newExampleIssuer(t *testing.T) *exampleIssuer {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	is := &exampleIssuer{key: key, kid: rand.Text()}
	mux := http.NewServeMux()
	mux.HandleFunc("GET /.well-known/openid-configuration", func(w http.ResponseWriter, _ *http.Request) {
		_ = json.NewEncoder(w).Encode(map[string]string{"issuer": is.url, "jwks_uri": is.url + "/keys.json"})
	})
	mux.HandleFunc("GET /keys.json", func(w http.ResponseWriter, _ *http.Request) {
		_, _ = w.Write(is.keySet())
	})
	server := httptest.NewServer(mux)
	t.Cleanup(server.Close)
	is.url = server.URL
	return is
}

func (is *exampleIssuer) keySet() []byte {
	point, err := is.key.PublicKey.Bytes()
	if err != nil {
		panic(err)
	}
	b64 := base64.RawURLEncoding.EncodeToString
	return fmt.Appendf(nil, `{"keys":[{"kty":"EC","crv":"P-256","kid":%q,"x":%q,"y":%q}]}`, is.kid, b64(point[1:33]), b64(point[33:]))
}

// bearer returns the header line of a token with these claims, later ones over
// earlier ones.
func (is *exampleIssuer) bearer(t *testing.T, sets ...map[string]any) string {
	t.Helper()
	all := merged(append([]map[string]any{good(nil), {"iss": is.url}}, sets...)...)
	return "Authorization: Bearer " + is.compact(all)
}

// compact makes a token of claims.
func (is *exampleIssuer) compact(claims map[string]any) string {
	payload, err := json.Marshal(claims)
	if err != nil {
		panic(err)
	}
	b64 := base64.RawURLEncoding.EncodeToString
	input := b64(fmt.Appendf(nil, `{"alg":"ES256","kid":%q}`, is.kid)) + "." + b64(payload)
	digest := sha256.Sum256([]byte(input))
	r, s, err := ecdsa.Sign(rand.Reader, is.key, digest[:])
	if err != nil {
		panic(err)
	}
	var signature [64]byte
	r.FillBytes(signature[:32])
	s.FillBytes(signature[32:])
	return input + "." + b64(signature[:])
}

// merged returns all claims of the sets, later ones over earlier ones.
func merged(sets ...map[string]any) map[string]any {
	all := map[string]any{}
	for _, set := range sets {
		for name, value := range set {
			all[name] = value
		}
	}
	return all
}
