package admit

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/caddyserver/caddy/v2"
)

// serveAdmin runs one site with a storage of its own and Caddy's admin API, whose
// address it returns.
func serveAdmin(t *testing.T, global, body string) (f *front, d *testDisk, admin string) {
	t.Helper()
	admin = freeAddr(t)
	f, d = serveHome(t, "admin "+admin+"\n"+global, body)
	t.Cleanup(func() { // the next configuration ends it, or this one
		if err := caddy.Load([]byte(`{"admin": {"disabled": true, "config": {"persist": false}}}`), true); err != nil {
			t.Error(err)
		}
	})
	return f, d, admin
}

// command runs a command against an admin API, and fails if the command does.
func command(t *testing.T, admin string, args ...string) string {
	t.Helper()
	out, _, err := runCommand(append(args, "--address", admin)...)
	if err != nil {
		t.Fatalf("%q: %v", args, err)
	}
	return out
}

const adminBody = "admit {\nlogin\nheader_up X-User {http.auth.user.id}\n}\n"

// threats 45, 72: who is revoked is out at once, by sealed cookie, by session in
// storage and by refresh token, and nobody else is. Who logs in again is in.
func TestRevoke(t *testing.T) {
	for _, store := range []string{"cookie", "storage"} {
		t.Run(store, func(t *testing.T) {
			f, _, admin := serveAdmin(t, homeIntegration(t, "home", "tokens\nsession {\nstore "+store+"\n}"), adminBody+upstream(t))
			ada, copied, bob := f.browser().signIn(), f.browser(), f.browser()
			if a := bob.post("/oauth2/login", signInForm("bob", bobPassword, "/")); a.StatusCode != 303 {
				t.Fatalf("bob: %d", a.StatusCode)
			}
			copied.cookies = ada.cookies
			password := func(user, password string) tokenAnswer {
				return tokenOf(t, f.token("grant_type=password&username="+user+"&password="+password))
			}
			adas, bobs := password("ada", adaPassword), password("bob", bobPassword)
			refreshes := func(token string) bool {
				return f.token("grant_type=refresh_token&refresh_token="+token).StatusCode == 200
			}
			inside := func(b *localBrowser) bool { return b.visit("/x").reached() }

			list := command(t, admin, "sessions", "home")
			sessions := map[string]int{"cookie": 0, "storage": 1}[store]
			for _, user := range []string{"ada", "bob"} {
				if got := len(regexp.MustCompile(` session +home +`+user+` `).FindAllString(list, -1)); got != sessions {
					t.Errorf("%s has %d sessions in\n%s", user, got, list)
				}
				if got := len(regexp.MustCompile(` refresh token +home +`+user+` `).FindAllString(list, -1)); got != 1 {
					t.Errorf("%s has %d refresh tokens in\n%s", user, got, list)
				}
			}
			if strings.Contains(list, "cannot be counted") != (store == "cookie") {
				t.Errorf("about sealed cookies:\n%s", list)
			}
			if one := command(t, admin, "sessions", "home", "ada"); strings.Contains(one, "bob") || !strings.Contains(one, " ada ") {
				t.Errorf("ada's alone:\n%s", one)
			}

			forward(t, time.Minute)
			said := command(t, admin, "revoke", "home", "ada")
			for _, want := range []string{"what ada began with home", fmt.Sprintf("In the storage: %s, 1 refresh token.", count(sessions, "session")), "for 5m0s at most", "logging in again"} {
				if !strings.Contains(said, want) {
					t.Errorf("%q is not in\n%s", want, said)
				}
			}
			if inside(copied) || inside(ada) || !inside(bob) {
				t.Error("not ada alone is out")
			}
			if refreshes(adas.Refresh) || !refreshes(bobs.Refresh) {
				t.Error("not ada's refresh token alone has ended")
			}
			if a := f.ask("GET", "localhost", "/x", "Authorization: Bearer "+adas.Access); !a.reached() {
				t.Errorf("the access token: %d", a.StatusCode)
			}
			if list := command(t, admin, "sessions", "home"); strings.Contains(list, " ada ") || !strings.Contains(list, " bob ") {
				t.Errorf("after it\n%s", list)
			}
			forward(t, time.Minute)
			again := password("ada", adaPassword)
			if ada.signIn(); !inside(ada) || !refreshes(again.Refresh) {
				t.Error("ada cannot log in again")
			}

			command(t, admin, "revoke", "home")
			if inside(ada) || inside(bob) || refreshes(again.Refresh) {
				t.Error("somebody is still there")
			}
			if list := command(t, admin, "sessions", "home"); !strings.Contains(list, "Nothing in the storage.") {
				t.Errorf("after everybody was revoked\n%s", list)
			}
			checkRevokeLog(t, f)
		})
	}
}

// checkRevokeLog wants one line for each revocation.
func checkRevokeLog(t *testing.T, f *front) {
	t.Helper()
	var got []string
	for _, entry := range f.entries("sessions revoked") {
		got = append(got, fmt.Sprint(entry["level"], entry["integration"], entry["user"], entry["everybody"]))
	}
	if fmt.Sprint(got) != "[infohomeadafalse infohometrue]" {
		t.Errorf("logged %v", got)
	}
}

// The user is the id that rules see, also where that is not the one to sign in with.
func TestRevokeByRuleName(t *testing.T) {
	integration := strings.Replace(homeIntegration(t, "home", "session {\nstore storage\n}\nidentity {\nuser mail\n}"),
		"groups staff admin", "mail ada@example.com", 1)
	f, _, admin := serveAdmin(t, strings.Replace(integration, "user bob "+hashOf(t, bobPassword), "user bob "+hashOf(t, bobPassword)+" {\nmail bob@example.com\n}", 1), adminBody+upstream(t))
	ada, bob := f.browser().signIn(), f.browser()
	bob.post("/oauth2/login", signInForm("bob", bobPassword, "/"))
	if list := command(t, admin, "sessions", "home", "ada@example.com"); !strings.Contains(list, " ada@example.com ") || strings.Contains(list, "bob") {
		t.Errorf("got\n%s", list)
	}
	command(t, admin, "revoke", "home", "ada@example.com")
	if ada.visit("/x").reached() || !bob.visit("/x").reached() {
		t.Error("not ada alone is out")
	}
}

// The integration of a gate's own block is found by its id, which is told.
func TestRevokeInline(t *testing.T) {
	f, _, admin := serveAdmin(t, "", fmt.Sprintf("admit {\nuser ada %s\nlogin\n}\n%s", hashOf(t, adaPassword), upstream(t)))
	ada := f.browser().signIn()
	list := command(t, admin, "sessions")
	id := regexp.MustCompile(`inline-[a-z0-9]+`).FindString(list)
	if id == "" || !strings.Contains(list, f.addr[strings.LastIndex(f.addr, ":"):]) {
		t.Fatalf("got %s", list)
	}
	_, _, err := runCommand("revoke", "home", "ada", "--address", admin)
	if err == nil || !strings.Contains(err.Error(), `integration "home": not among`) || !strings.Contains(err.Error(), id) {
		t.Errorf("got %v", err)
	}
	if !ada.visit("/x").reached() {
		t.Fatal("out before")
	}
	command(t, admin, "revoke", id, "ada")
	if ada.visit("/x").reached() {
		t.Error("ada is in")
	}
}

// What a command cannot do it says, and nobody is out by mistake.
func TestRevokeMistakes(t *testing.T) {
	f, d, admin := serveAdmin(t, homeIntegration(t, "home", "")+"admit machines {\nsecret "+testSecret+"\n}\n", "admit home machines {\nlogin\n}\n"+upstream(t))
	ada := f.browser().signIn()
	off := filepath.Join(t.TempDir(), "Caddyfile")
	if err := os.WriteFile(off, []byte("{\nadmin off\n}\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	at := []string{"--address", admin}
	for _, tc := range []struct {
		name, want string
		args       []string
		fails      string // of the storage
	}{
		{name: "no integration", args: []string{"revoke"}, want: "between 1 and 2 arg"},
		{name: "too much", args: []string{"revoke", "home", "ada", "bob"}, want: "between 1 and 2 arg"},
		{name: "empty user", args: append([]string{"revoke", "home", ""}, at...), want: "user is empty"},
		{name: "empty user of a list", args: append([]string{"sessions", "home", ""}, at...), want: "user is empty"},
		{name: "unknown", args: append([]string{"revoke", "hom"}, at...), want: `integration "hom": not among those that have sessions, which are: home`},
		{name: "unknown, of a list", args: append([]string{"sessions", "../home"}, at...), want: `not among those that have sessions, which are: home`},
		{name: "without sessions", args: append([]string{"sessions", "machines"}, at...), want: "integration machines: nobody logs in with it, so it has no sessions; there are: home"},
		{name: "nobody there", args: []string{"revoke", "home", "--address", freeAddr(t)}, want: "is Caddy running, with the admin API on?"},
		{name: "admin off", args: []string{"revoke", "home", "--config", off}, want: "switches the admin API off"},
		{name: "storage fails", args: append([]string{"revoke", "home"}, at...), want: "the storage is out of reach", fails: "store"},
		{name: "storage fails for a list", args: append([]string{"sessions", "home"}, at...), want: "the storage is out of reach", fails: "list"},
	} {
		d.fail(tc.fails)
		out, _, err := runCommand(tc.args...)
		if err == nil || !strings.Contains(err.Error(), tc.want) || out != "" {
			t.Errorf("%s: %q, %v, want %q", tc.name, out, err, tc.want)
		}
		if d.fail(); tc.fails == "" && !ada.visit("/x").reached() {
			t.Fatalf("%s: ada is out", tc.name)
		}
	}
	d.fail("list")
	if out := command(t, admin, "revoke", "home", "ada"); !strings.Contains(out, "It counts no more") || !strings.Contains(out, "Not all of it could be deleted") {
		t.Errorf("got %s", out)
	}
	d.fail()
	if ada.visit("/x").reached() {
		t.Error("ada is in")
	}
}

// The address is found as Caddy's own commands find it.
func TestAdminAddress(t *testing.T) {
	_, _, admin := serveAdmin(t, homeIntegration(t, "home", ""), adminBody+upstream(t))
	file := filepath.Join(t.TempDir(), "Caddyfile")
	if err := os.WriteFile(file, []byte("{\nadmin "+admin+"\n}\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, args := range [][]string{{"--address", admin}, {"--config", file}, {"-c", file, "-a", "caddyfile"}} {
		if out, _, err := runCommand(append([]string{"sessions"}, args...)...); err != nil || out != "home\n" {
			t.Errorf("%q: %q, %v", args, out, err)
		}
	}
}

// TestAdminAPI: requests that may be a mistake, or a page of some site, revoke
// nobody.
func TestAdminAPI(t *testing.T) {
	f, _, admin := serveAdmin(t, homeIntegration(t, "home", ""), adminBody+upstream(t))
	ada := f.browser().signIn()
	const kind = "application/json"
	for _, tc := range []struct {
		name, method, path, kind, body string
		status                         int
		origin                         string
	}{
		{name: "GET", method: "GET", path: "/admit/revoke", status: 405},
		{name: "POST of a list", method: "POST", path: "/admit/sessions/home", kind: kind, status: 405},
		{name: "DELETE", method: "DELETE", path: "/admit/sessions", status: 405},
		{name: "another type", method: "POST", path: "/admit/revoke", kind: "text/plain", body: `{"integration": "home"}`, status: 415},
		{name: "a form", method: "POST", path: "/admit/revoke", kind: "application/x-www-form-urlencoded", body: `integration=home`, status: 415},
		{name: "no type", method: "POST", path: "/admit/revoke", body: `{"integration": "home"}`, status: 415},
		{name: "another origin", method: "POST", path: "/admit/revoke", kind: kind, body: `{"integration": "home"}`, status: 403, origin: "https://evil.example"},
		{name: "no body", method: "POST", path: "/admit/revoke", kind: kind, status: 400},
		{name: "no JSON", method: "POST", path: "/admit/revoke", kind: kind, body: "home", status: 400},
		{name: "a list", method: "POST", path: "/admit/revoke", kind: kind, body: `["home"]`, status: 400},
		{name: "no integration", method: "POST", path: "/admit/revoke", kind: kind, body: `{}`, status: 400},
		{name: "another member", method: "POST", path: "/admit/revoke", kind: kind, body: `{"integration": "home", "usr": "bob"}`, status: 400},
		{name: "another spelling", method: "POST", path: "/admit/revoke", kind: kind, body: `{"integration": "home", "User": "bob"}`, status: 400},
		{name: "user null", method: "POST", path: "/admit/revoke", kind: kind, body: `{"integration": "home", "user": null}`, status: 400},
		{name: "user empty", method: "POST", path: "/admit/revoke", kind: kind, body: `{"integration": "home", "user": ""}`, status: 400},
		{name: "user a list", method: "POST", path: "/admit/revoke", kind: kind, body: `{"integration": "home", "user": ["bob"]}`, status: 400},
		{name: "user twice", method: "POST", path: "/admit/revoke", kind: kind, body: `{"integration": "home", "user": "bob", "user": "ada"}`, status: 400},
		{name: "two objects", method: "POST", path: "/admit/revoke", kind: kind, body: `{"integration": "home"}{}`, status: 400},
		{name: "long", method: "POST", path: "/admit/revoke", kind: kind, body: `{"integration": "home", "user": "` + strings.Repeat("a", maxAdminBody) + `"}`, status: 413},
		{name: "unknown", method: "POST", path: "/admit/revoke", kind: kind, body: `{"integration": "away"}`, status: 404},
		{name: "unknown, of a list", method: "GET", path: "/admit/sessions/away", status: 404},
		{name: "two users", method: "GET", path: "/admit/sessions/home?user=ada&user=bob", status: 400},
		{name: "empty user", method: "GET", path: "/admit/sessions/home?user=", status: 400},
		{name: "somebody else", method: "POST", path: "/admit/revoke", kind: kind, body: `{"integration": "home", "user": "bob"}`, status: 200},
		{name: "another case", method: "POST", path: "/admit/revoke", kind: kind, body: `{"integration": "home", "user": "ADA"}`, status: 200},
		{name: "a list", method: "GET", path: "/admit/sessions/home", status: 200},
	} {
		req, err := http.NewRequest(tc.method, "http://"+admin+tc.path, strings.NewReader(tc.body))
		if err != nil {
			t.Fatal(err)
		}
		if tc.kind != "" {
			req.Header.Set("Content-Type", tc.kind)
		}
		if tc.origin != "" {
			req.Header.Set("Origin", tc.origin)
		}
		resp, err := http.DefaultClient.Do(req)
		if err != nil {
			t.Fatal(err)
		}
		data, err := io.ReadAll(resp.Body)
		_ = resp.Body.Close()
		var answer map[string]any
		if err != nil || resp.StatusCode != tc.status || json.Unmarshal(data, &answer) != nil || tc.status >= 400 != (answer["error"] != nil) {
			t.Errorf("%s: %d %s, %v", tc.name, resp.StatusCode, data, err)
		}
		if (tc.status == 405) != (resp.Header.Get("Allow") != "") {
			t.Errorf("%s: Allow %q", tc.name, resp.Header.Get("Allow"))
		}
		if !ada.visit("/x").reached() {
			t.Fatalf("%s: ada is out", tc.name)
		}
	}
}

// An answer that somebody else gives is not taken for one, and what users call
// themselves does nothing to a terminal.
func TestShown(t *testing.T) {
	for id, want := range map[string]string{
		"ada": "ada", "ada@example.com": "ada@example.com", "jürgen": "jürgen", "": `""`,
		"a\x1b[2J": `"a\x1b[2J"`, "a b": "a b", `a"b`: `"a\"b"`, "a\u202eb": `"a\u202eb"`,
	} {
		if got := shown(id); got != want {
			t.Errorf("%q: got %s", id, got)
		}
	}
}
