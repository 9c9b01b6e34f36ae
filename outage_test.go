package admit

import (
	"fmt"
	"slices"
	"strings"
	"testing"
)

// Caddy starts, and reloads, while the storage is down, and asks it for nothing.
func TestLoadWithoutStorage(t *testing.T) {
	testDiskOf(t.Name()).fail("load", "store", "delete", "list", "lock")
	local := homeIntegration(t, "home", "tokens\nbasic\nsession {\nstore storage\n}\napi_key robot "+sha256Hex(robotKey))
	site := "admit {\nlogin\n}\n" + upstream(t)
	f, disk := serveHome(t, local, site)
	f.reload(local, site)
	if n := disk.total(); n != 0 {
		t.Errorf("the storage was asked %d times", n)
	}
	// What needs no storage works.
	f.ask("GET", "localhost", "/x", basicHeader("ada", adaPassword)).seen(t)
	f.ask("GET", "localhost", "/x", "X-API-Key: "+robotKey).seen(t)
	if form := f.browser().visit("/oauth2/login"); form.StatusCode != 200 {
		t.Errorf("form %d", form.StatusCode)
	}
	if n := disk.total(); n != 0 {
		t.Errorf("the storage was asked %d times", n)
	}
	// What needs it is answered as an outage, and works once it is back.
	checkOutage(t, f.browser().post("/oauth2/login", signInForm("ada", adaPassword, "/")))
	checkOutage(t, f.token("grant_type=password&username=ada&password="+adaPassword))
	checkOutage(t, f.ask("GET", "localhost", "/oauth2/jwks"))
	checkOutage(t, f.ask("GET", "localhost", "/x", "Cookie: __Host-admit-home=x"))
	disk.fail()
	if a := f.browser().signIn().visit("/x"); !a.reached() {
		t.Errorf("back again: %d", a.StatusCode)
	}
	eventually(t, "a token", func() bool {
		return f.token("grant_type=password&username=ada&password="+adaPassword).StatusCode == 200
	})
}

// checkOutage fails unless the answer says that something is out of reach, not that
// somebody is not known (threat 52).
func checkOutage(t *testing.T, a answered) {
	t.Helper()
	if a.StatusCode != 503 || a.Header.Get("Retry-After") == "" || location(a) != "" || len(a.Cookies()) > 0 || !strings.Contains(a.Header.Get("Cache-Control"), "no-store") {
		t.Errorf("%d %v\n%s", a.StatusCode, a.Header, a.body)
	}
	if strings.Contains(a.body, "admit/") || strings.Contains(a.body, errDisk.Error()) {
		t.Errorf("answer %s", a.body)
	}
}

// threat 52: a good session that needs no write goes on while nothing can be
// written; what cannot be read is 503 and no login storm.
func TestReadOnlyStorage(t *testing.T) {
	for _, kind := range []string{"cookie", "storage"} {
		t.Run(kind, func(t *testing.T) {
			f, disk := serveHome(t, homeIntegration(t, "home", "tokens\nsession {\nstore "+kind+"\n}"), "admit {\nlogin\n}\n"+upstream(t))
			b, other := f.browser().signIn(), f.browser().signIn()
			grant := tokenOf(t, f.token("grant_type=password&username=ada&password="+adaPassword))
			disk.fail("store", "delete", "lock")
			if a := b.visit("/x"); !a.reached() {
				t.Errorf("session: %d", a.StatusCode)
			}
			if _, status := b.userinfo(); status != 200 {
				t.Errorf("userinfo %d", status)
			}
			f.ask("GET", "localhost", "/x", "Authorization: Bearer "+grant.Access).seen(t)
			checkOutage(t, f.token("grant_type=password&username=ada&password="+adaPassword))
			checkOutage(t, f.token("grant_type=refresh_token&refresh_token="+grant.Refresh))
			checkOutage(t, f.ask("POST", "localhost", "/oauth2/revoke", formType, "body:token="+grant.Refresh))
			if a := f.browser().post("/oauth2/login", signInForm("ada", adaPassword, "/")); (a.StatusCode == 303) != (kind == "cookie") {
				t.Errorf("signing in: %d", a.StatusCode)
			}
			// A wrong password is one, whatever the storage does.
			if a := f.browser().post("/oauth2/login", signInForm("ada", "x", "/")); a.StatusCode != 401 {
				t.Errorf("wrong password: %d", a.StatusCode)
			}
			// Logging out works in this browser, and says what it could not do.
			a := b.post("/oauth2/logout", nil)
			if a.StatusCode != 503 || len(b.cookies) != 0 || a.Header.Get("Retry-After") == "" {
				t.Errorf("logging out: %d, cookies %v", a.StatusCode, b.cookies)
			}
			disk.fail("load", "store", "delete", "lock", "list")
			stranger := f.ask("GET", "localhost", "/x", navigation...)
			if stranger.StatusCode != 302 {
				t.Errorf("somebody without a session: %d", stranger.StatusCode)
			}
			disk.fail()
			if a := other.visit("/x"); !a.reached() {
				t.Errorf("the other session: %d", a.StatusCode)
			}
			tokenOf(t, f.token("grant_type=refresh_token&refresh_token="+grant.Refresh)) // nothing was spent
		})
	}
}

// After a restart nothing is remembered: then a session cannot be judged without
// the storage, and nobody is sent to log in (threat 52).
func TestSessionWithoutStorage(t *testing.T) {
	local, site := homeIntegration(t, "home", "session {\nstore storage\n}"), "admit {\nlogin\n}\n"+upstream(t)
	f, disk := serveHome(t, local, site)
	b := f.browser().signIn()
	f.reload(local, site)
	disk.fail("load")
	page := b.visit("/x")
	checkOutage(t, page)
	checkPage(t, page)
	api := b.do("GET", "/x")
	checkOutage(t, api)
	if !strings.Contains(api.body, `"reason":"storage_unavailable"`) {
		t.Errorf("%s", api.body)
	}
	checkOutage(t, b.do("GET", "/oauth2/userinfo"))
	disk.fail()
	if a := b.visit("/x"); !a.reached() {
		t.Errorf("back again: %d", a.StatusCode)
	}
}

// threat 94: at DEBUG the log holds no password, token, cookie or API key, and
// names that were only tried are not in it either.
func TestLocalSecretsAreNotLogged(t *testing.T) {
	f, _ := serveHome(t, homeIntegration(t, "home", "tokens\nbasic\napi_key robot "+sha256Hex(robotKey)), "admit {\nlogin\nerrors handle_errors\n}\n"+upstream(t)+"\nhandle_errors {\nrespond \"{err.message}\"\n}")
	marks := map[string]string{"password": adaPassword, "password of bob": bobPassword, "API key": robotKey, "wrong password": "marked-wrong-password", "name": "marked-name"}
	b := f.browser().signIn()
	for name, value := range b.cookies {
		marks["cookie "+name] = value
	}
	grant := tokenOf(t, f.token("grant_type=password&username=ada&password="+adaPassword))
	next := tokenOf(t, f.token("grant_type=refresh_token&refresh_token="+grant.Refresh))
	marks["access token"], marks["refresh token"], marks["next refresh token"] = grant.Access, grant.Refresh, next.Refresh
	var answers strings.Builder
	for _, a := range []answered{
		b.visit("/x?y"),
		f.browser().post("/oauth2/login", signInForm("marked-name", "marked-wrong-password", "/")),
		f.browser().post("/oauth2/login", signInForm("ada", "marked-wrong-password", "/")),
		f.token("grant_type=password&username=marked-name&password=marked-wrong-password"),
		f.token("grant_type=refresh_token&refresh_token=" + next.Refresh + "x"),
		f.token("grant_type=refresh_token&refresh_token=" + next.Refresh + "&refresh_token=" + next.Refresh),
		f.ask("POST", "localhost", "/oauth2/revoke", formType, "body:token="+next.Refresh),
		f.ask("GET", "localhost", "/oauth2/login?username=marked-name&password=marked-wrong-password"),
		f.ask("GET", "localhost", "/x", basicHeader("marked-name", "marked-wrong-password")),
		f.ask("GET", "localhost", "/x", basicHeader("bob", bobPassword)),
		f.ask("GET", "localhost", "/x", "Authorization: Bearer "+grant.Access),
		f.ask("GET", "localhost", "/x", "Authorization: Bearer "+grant.Access+"x"),
		f.ask("GET", "localhost", "/x", "Authorization: Bearer "+robotKey),
		f.ask("GET", "localhost", "/x", "Authorization: Bearer "+robotKey+"x"),
		f.ask("GET", "localhost", "/x", "Cookie: "+b.cookieLine()[len("Cookie: "):]+"x"),
		b.post("/oauth2/logout", nil),
	} {
		if !a.reached() { // what the application says is its own business
			answers.WriteString(strings.ReplaceAll(a.body, `value="marked-name"`, ""))
			h := a.Header.Clone()
			h.Del("Set-Cookie")
			_ = h.Write(&answers)
		}
	}
	log := fmt.Sprint(f.entries(""))
	for what, mark := range marks {
		for _, part := range append(strings.Split(mark, "."), mark) {
			if len(part) < 10 {
				continue
			}
			if strings.Contains(log, part) {
				t.Errorf("%s is in the log", what)
			}
			if strings.Contains(answers.String(), part) {
				t.Errorf("%s is in an answer", what)
			}
		}
	}
	if !slices.ContainsFunc(f.entries("sign-in"), func(entry map[string]any) bool { return entry["user_hash"] != nil && entry["user"] == nil }) {
		t.Error("no entry about an attempt")
	}
}
