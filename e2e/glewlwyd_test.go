package e2e

import (
	"bytes"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"encoding/json"
	"encoding/pem"
	"fmt"
	"net/http"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// glewlwyd is Debian's OpenID provider of that name: in C, and unrelated to the
// others. Its issuer has a path, its token_type is "bearer", the audience of its
// access tokens is the scope.
type glewlwyd struct {
	URL    string // where it listens
	issuer string
	logs   journal
}

const glewlwydPassword = "ada's-password-at-glewlwyd"

// startGlewlwyd starts it with the user ada, whose access tokens live for ttl.
func startGlewlwyd(t *testing.T, ttl time.Duration) *glewlwyd {
	t.Helper()
	for _, program := range []string{"glewlwyd", "sqlite3"} {
		if _, err := exec.LookPath(program); err != nil && os.Getenv("CI") == "true" {
			t.Fatal(err)
		} else if err != nil {
			t.Skip(err)
		}
	}
	for range 3 {
		g, ended := runGlewlwyd(t)
		eventually(t, 20*time.Second, "glewlwyd listens or ends", func() bool {
			resp, err := http.Get(g.URL + "/api/")
			if err == nil {
				_ = resp.Body.Close()
			}
			return err == nil || isClosed(ended)
		})
		if !isClosed(ended) {
			g.setUp(t, ttl)
			return g
		}
	}
	t.Fatal("glewlwyd did not start three times")
	return nil
}

func isClosed(c chan struct{}) bool {
	select {
	case <-c:
		return true
	default:
		return false
	}
}

// runGlewlwyd starts the process on a database of its own. The channel is closed
// when it has ended.
func runGlewlwyd(t *testing.T) (*glewlwyd, chan struct{}) {
	t.Helper()
	dir, port := t.TempDir(), freePort(t)
	g := &glewlwyd{URL: "http://127.0.0.1:" + port}
	g.issuer = g.URL + "/api/oidc"
	database, config := filepath.Join(dir, "glewlwyd.db"), filepath.Join(dir, "glewlwyd.conf")
	sql := exec.Command("sqlite3", database, ".read /usr/share/dbconfig-common/data/glewlwyd/install/sqlite3",
		`UPDATE g_user_module_instance SET gumi_parameters = replace(gumi_parameters, '"data-format":{', '"data-format":{"groups":{"multiple":true,"read":true,"write":true},')`)
	if said, err := sql.CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, said)
	}
	text := fmt.Sprintf(`port=%[1]s
bind_address="127.0.0.1"
external_url="%[2]s"
login_url="login.html"
api_prefix="api"
static_files_path="/usr/share/glewlwyd/webapp/"
log_mode="console"
log_level="INFO"
cookie_domain="127.0.0.1"
session_expiration=3600
session_key="GLEWLWYD2_SESSION_ID"
admin_scope="g_admin"
profile_scope="g_profile"
user_module_path="/usr/lib/glewlwyd/user"
user_middleware_module_path="%[3]s"
client_module_path="/usr/lib/glewlwyd/client"
user_auth_scheme_module_path="/usr/lib/glewlwyd/scheme"
plugin_module_path="/usr/lib/glewlwyd/plugin"
hash_algorithm="SHA512"
database={type="sqlite3" path="%[4]s"};
`, port, g.URL, t.TempDir(), database)
	if err := os.WriteFile(config, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	cmd, stdin, err := guarded("glewlwyd", "--config-file="+config)
	if err != nil {
		t.Fatal(err)
	}
	cmd.Stdout, cmd.Stderr = &g.logs, &g.logs
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	ended := make(chan struct{})
	go func() {
		_ = cmd.Wait()
		close(ended)
	}()
	t.Cleanup(func() {
		_ = stdin.Close()
		<-ended
		if t.Failed() {
			t.Logf("the end of glewlwyd's log:\n%s", g.logs.tail(20))
		}
	})
	return g, ended
}

// setUp makes an OpenID provider out of it: a plugin, a user, a scope.
func (g *glewlwyd) setUp(t *testing.T, ttl time.Duration) {
	t.Helper()
	key, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}
	public, err := x509.MarshalPKIXPublicKey(key.Public())
	if err != nil {
		t.Fatal(err)
	}
	g.administer(t, "mod/plugin/", map[string]any{"module": "oidc", "name": "oidc", "display_name": "oidc", "parameters": map[string]any{
		"iss": g.issuer, "jwt-type": "rsa", "jwt-key-size": "256",
		"key":                   string(pem.EncodeToMemory(&pem.Block{Type: "RSA PRIVATE KEY", Bytes: x509.MarshalPKCS1PrivateKey(key)})),
		"cert":                  string(pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: public})),
		"access-token-duration": int(ttl.Seconds()), "refresh-token-duration": 3600, "code-duration": 60,
		"refresh-token-rolling": true, "refresh-token-one-use": "always", "subject-type": "public", "jwks-show": true,
		"auth-type-code-enabled": true, "auth-type-code-revoke-replayed": true, "auth-type-refresh-enabled": true,
		"pkce-allowed": true, "pkce-required": true, "oauth-as-iss-id": true,
		"email-claim": "mandatory", "scope-claim": "mandatory",
		"claims": []map[string]any{{"name": "groups", "type": "string", "user-property": "groups", "mandatory": true}},
	}})
	g.administer(t, "user/", map[string]any{
		"username": "ada", "name": "Ada", "email": "ada@example.test", "enabled": true, "password": glewlwydPassword,
		"scope": []string{"openid", "g_profile"}, "groups": []string{"admins", "staff"},
	})
}

// register makes a relying party known; its secret is partySecret.
func (g *glewlwyd) register(t *testing.T, id, redirect string) {
	t.Helper()
	g.administer(t, "client/", map[string]any{
		"client_id": id, "name": id, "confidential": true, "enabled": true, "password": partySecret, "client_secret": partySecret,
		"redirect_uri": []string{redirect}, "authorization_type": []string{"code", "refresh_token"},
		"token_endpoint_auth_method": []string{"client_secret_basic"}, "scope": []string{"openid"},
	})
}

// administer adds something as the administrator, whose password is the default.
func (g *glewlwyd) administer(t *testing.T, path string, what any) {
	t.Helper()
	admin := newPerson(t)
	g.send(t, admin, http.MethodPost, "auth/", map[string]string{"username": "admin", "password": "password"})
	g.send(t, admin, http.MethodPost, path, what)
}

func (g *glewlwyd) send(t *testing.T, who *person, method, path string, what any) {
	t.Helper()
	body, err := json.Marshal(what)
	if err != nil {
		t.Fatal(err)
	}
	req, err := http.NewRequest(method, g.URL+"/api/"+path, bytes.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Content-Type", "application/json")
	if got := who.see(who.Do(req)); got.status != http.StatusOK {
		t.Fatalf("glewlwyd: %s: %d %s", path, got.status, got.body)
	}
}

// logIn opens a page that leads to glewlwyd's login page and does what its script
// does: it signs ada in, grants the scope, and goes on.
func (g *glewlwyd) logIn(t *testing.T, who *person, to, client string) sight {
	t.Helper()
	form := who.visit(to)
	back := form.at.Query().Get("callback_url")
	if !strings.HasSuffix(form.at.Path, "/login.html") || !strings.HasPrefix(back, g.URL) {
		t.Fatalf("%s leads to %s, %d: %s", to, form.at.Redacted(), form.status, form.body)
	}
	g.send(t, who, http.MethodPost, "auth/", map[string]string{"username": "ada", "password": glewlwydPassword})
	g.send(t, who, http.MethodPut, "auth/grant/"+url.PathEscape(client), map[string]string{"scope": "openid"})
	return who.visit(back + "&g_continue")
}

// granted returns how many access tokens the client "web" got. There is another,
// by which glewlwyd tries itself.
func (g *glewlwyd) granted() int {
	return strings.Count(g.logs.String(), "Access token generated for client 'web'")
}
