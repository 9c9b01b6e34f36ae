package e2e

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
)

// localSite has users of its own, from a file, and all that they can sign in with.
const localSite = `
{
	{{.Globals}}
	admit home {
		users {{.Users}}
		basic
		tokens {
			issuer home
		}
	}
}
{{.Site}} {
	log
	admit {
		login
		require /admin/* groups admins
		header_up X-User {http.auth.user.id}
	}
	reverse_proxy {{.Upstream}}
}
`

// The passwords are long enough to be looked for in the logs.
const (
	adaPassword = "ada's-correct-horse-battery"
	bobPassword = "bob's-wrong-donkey-charger"
)

// localUser is a user in a users file.
type localUser struct {
	Password string         `json:"password"` // the hash
	Disabled bool           `json:"disabled,omitempty"`
	Claims   map[string]any `json:"claims,omitempty"`
}

// adaAndBob are the users of most tests: ada is an admin, bob is not.
func adaAndBob(t *testing.T) map[string]localUser {
	return map[string]localUser{
		"ada": {Password: hashOf(t, adaPassword), Claims: map[string]any{"groups": []string{"admins", "staff"}}},
		"bob": {Password: hashOf(t, bobPassword), Claims: map[string]any{"groups": []string{"staff"}}},
	}
}

var hashes sync.Map // of passwords

// hashOf hashes a password as an operator does.
func hashOf(t *testing.T, password string) string {
	t.Helper()
	if hash, ok := hashes.Load(password); ok {
		return hash.(string)
	}
	out, err := exec.Command(caddyBinary, "hash-password", "--bcrypt-cost", "10", "--plaintext", password).Output()
	if err != nil {
		t.Fatal(err)
	}
	hash := strings.TrimSpace(string(out))
	hashes.Store(password, hash)
	return hash
}

// writeUsers replaces a users file at once, as an operator does who is careful.
func writeUsers(t *testing.T, file string, users map[string]localUser) {
	t.Helper()
	text, err := json.MarshalIndent(users, "", "\t")
	if err != nil {
		t.Fatal(err)
	}
	if err = os.WriteFile(file+".new", text, 0o600); err == nil {
		err = os.Rename(file+".new", file)
	}
	if err != nil {
		t.Fatal(err)
	}
}

// startLocal starts processes of Caddy on one storage and one users file, with ada
// and bob.
func startLocal(t *testing.T, u *upstream, processes int) []*caddy {
	t.Helper()
	dir := t.TempDir()
	users := filepath.Join(dir, "users.json")
	writeUsers(t, users, adaAndBob(t))
	var all []*caddy
	for range processes {
		c := startCaddy(t, u, localSite, values{"Storage": filepath.Join(dir, "storage"), "Users": users})
		c.sent.add(adaPassword, bobPassword)
		all = append(all, c)
	}
	return all
}

// tokens is what the token endpoint answers.
type tokens struct {
	status  int
	Access  string `json:"access_token"`
	Refresh string `json:"refresh_token"`
	Error   string `json:"error"`
}

// ask sends a form to the token endpoint. What it holds and what it gets must not
// come up in the log.
func (c *caddy) ask(form url.Values) (tokens, error) {
	for name, v := range form {
		if name == "password" || name == "refresh_token" {
			c.sent.add(v...)
		}
	}
	resp, err := c.client.PostForm(c.URL+"/oauth2/token", form)
	if err != nil {
		return tokens{}, err
	}
	defer resp.Body.Close()
	got := tokens{status: resp.StatusCode}
	body, err := io.ReadAll(resp.Body)
	if err == nil {
		err = json.Unmarshal(body, &got)
	}
	if err != nil {
		return tokens{}, fmt.Errorf("token endpoint: %s: %w", resp.Status, err)
	}
	c.sent.add(got.Access, got.Refresh)
	return got, nil
}

func (c *caddy) password(user, password string) (tokens, error) {
	return c.ask(url.Values{"grant_type": {"password"}, "username": {user}, "password": {password}})
}

func (c *caddy) refresh(token string) (tokens, error) {
	return c.ask(url.Values{"grant_type": {"refresh_token"}, "refresh_token": {token}})
}

// mustGet wants tokens.
func mustGet(t *testing.T, got tokens, err error) tokens {
	t.Helper()
	if err != nil || got.status != http.StatusOK || got.Access == "" || got.Refresh == "" {
		t.Fatalf("token endpoint: %d %q, %v", got.status, got.Error, err)
	}
	return got
}

// mustRefuse wants the answer to a refresh token, or a password, that is not good.
func mustRefuse(t *testing.T, got tokens, err error) {
	t.Helper()
	if err != nil || got.status != http.StatusBadRequest || got.Error != "invalid_grant" || got.Access+got.Refresh != "" {
		t.Errorf("token endpoint: %d %q, %v; want 400 invalid_grant", got.status, got.Error, err)
	}
}

// signIn sends the form of the sign-in page and returns the status and, as
// name=value, the session's cookie.
func (c *caddy) signIn(t *testing.T, user, password string) (status int, cookie string) {
	t.Helper()
	c.sent.add(password)
	resp, err := c.client.PostForm(c.URL+"/oauth2/login", url.Values{"username": {user}, "password": {password}, "return_to": {"/"}})
	if err != nil {
		t.Fatal(err)
	}
	_ = resp.Body.Close()
	for _, found := range resp.Cookies() {
		if found.Value != "" {
			c.sent.add(found.Value)
			cookie = found.Name + "=" + found.Value
		}
	}
	return resp.StatusCode, cookie
}

// session is the cookie of somebody who has just signed in.
func (c *caddy) session(t *testing.T, user, password string) string {
	t.Helper()
	status, cookie := c.signIn(t, user, password)
	if status != http.StatusSeeOther || cookie == "" {
		t.Fatalf("sign-in of %s: %d, cookie %t", user, status, cookie != "")
	}
	return cookie
}

// signOut sends the form of a page of this site.
func (c *caddy) signOut(t *testing.T, cookie string) int {
	t.Helper()
	req, err := http.NewRequest(http.MethodPost, c.URL+"/oauth2/logout", nil)
	if err != nil {
		t.Fatal(err)
	}
	req.Header = http.Header{"Cookie": {cookie}, "Origin": {c.URL}, "Content-Type": {"application/x-www-form-urlencoded"}}
	resp, err := c.client.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	_ = resp.Body.Close()
	return resp.StatusCode
}

// basicRequest is a request with a user's password.
func basicRequest(user, password string) request {
	r, _ := http.NewRequest(http.MethodGet, "/", nil)
	r.SetBasicAuth(user, password)
	return request{header: r.Header}
}
