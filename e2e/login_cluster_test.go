package e2e

import (
	"net/http"
	"net/url"
	"os/exec"
	"strings"
	"testing"
	"time"
)

// refusedIn waits until a cookie counts for nothing in each process.
func refusedIn(t *testing.T, all []*caddy, cookie, why string) {
	t.Helper()
	for i, c := range all {
		started := time.Now()
		eventually(t, 11*time.Second, why, func() bool {
			a := c.get(t, request{cookie: cookie})
			return a.status == http.StatusUnauthorized
		})
		t.Logf("%s, process %d: after %v", why, i, time.Since(started).Round(100*time.Millisecond))
	}
}

// TestLoginClusterRevoke ends the sessions of one user by the command, on one of two
// processes that share a storage: those in the storage, and those in the browser.
func TestLoginClusterRevoke(t *testing.T) {
	t.Parallel()
	for name, web := range map[string]party{"in the browser": {}, "in the storage": {Grants: refreshing}} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			p := startProvider(t, "")
			all := startLogin(t, p, newUpstream(t), web, 2, nil)
			who := newPerson(t)
			ended, stays := all[0].login(t, who, "ada"), all[1].login(t, newPerson(t), "bob")
			for _, c := range all {
				c.wantUser(t, request{cookie: ended}, "ada")
				c.wantUser(t, request{cookie: stays}, "bob")
			}
			command := func(args ...string) string {
				cmd := exec.Command(caddyBinary, append(append([]string{"admit"}, args...), "--address", all[0].admin)...)
				out, err := cmd.CombinedOutput()
				if err != nil {
					t.Errorf("caddy admit %s: %v: %s", strings.Join(args, " "), err, out)
				}
				return string(out)
			}
			if out := command("sessions", "corp", "ada"); strings.Contains(out, "ada") != (name == "in the storage") || strings.Contains(out, "bob") {
				t.Errorf("the sessions of ada: %s", out)
			}
			command("revoke", "corp", "ada")
			refusedIn(t, all, ended, "a revoked session is refused")
			for _, c := range all {
				c.wantUser(t, request{cookie: stays}, "bob")
			}
			// What begins from now on counts.
			if got := who.visit(all[0].URL + "/x"); got.status != http.StatusOK || got.header.Get("Seen-User") != "ada" {
				t.Errorf("ada again: %d at %s", got.status, got.at.Redacted())
			}
		})
	}
}

// TestLoginClusterLogout: a logout token that comes to one process ends the session
// in the other. If it names a session it ends no other of the user, else all of them;
// never those of somebody else. threats 73, 74
func TestLoginClusterLogout(t *testing.T) {
	t.Parallel()
	p := startProvider(t, "")
	all := startLogin(t, p, newUpstream(t), party{Grants: refreshing}, 2, values{"Session": "store storage"})
	register := func(sid bool) {
		p.register(t, party{Grants: refreshing, Logout: all[1].URL + "/oauth2/backchannel-logout", SID: sid}, all[0].URL, all[1].URL)
	}
	logOut := func(who *person) {
		form := who.visit(p.issuer + "/session/end")
		if got := who.submit(form, url.Values{"logout": {"yes"}}); got.status != http.StatusOK || !strings.HasPrefix(got.at.Path, "/session/end/success") {
			t.Fatalf("the log-out at the provider ends at %s, %d", got.at.Redacted(), got.status)
		}
	}
	register(true)
	first, second, third := newPerson(t), newPerson(t), newPerson(t)
	one, two, bob := all[0].login(t, first, "ada"), all[0].login(t, second, "ada"), all[0].login(t, third, "bob")
	everywhere := func(cookie, user string) {
		for _, c := range all {
			c.wantUser(t, request{cookie: cookie}, user)
		}
	}
	everywhere(one, "ada")
	everywhere(two, "ada")
	everywhere(bob, "bob")
	logOut(first)
	refusedIn(t, all, one, "a session that the provider has ended is refused")
	everywhere(two, "ada")
	register(false)
	logOut(second)
	refusedIn(t, all, two, "a session of a user whom the provider has logged out is refused")
	everywhere(bob, "bob")
	for what, token := range map[string]string{"nothing": "", "no token": "e30.e30.e30", "an access token": p.token(t, grant{})} {
		all[0].sent.add(token)
		got, err := all[0].client.PostForm(all[0].URL+"/oauth2/backchannel-logout", url.Values{"logout_token": {token}})
		if err != nil {
			t.Fatal(err)
		}
		_ = got.Body.Close()
		if got.StatusCode != http.StatusBadRequest || !strings.Contains(got.Header.Get("Cache-Control"), "no-store") {
			t.Errorf("%s for a logout token: %s", what, got.Status)
		}
	}
	everywhere(bob, "bob")
}

// TestLoginClusterCrash kills the process that renews a session while the provider
// does not answer. The other one does it instead: the refresh token is not lost. And
// nobody has waited long.
func TestLoginClusterCrash(t *testing.T) {
	t.Parallel()
	p := startProvider(t, "")
	all := startLogin(t, p, newUpstream(t), party{Grants: refreshing, TTL: int(dueAfter.Seconds())}, 2, nil)
	session := all[0].login(t, newPerson(t), "ada")
	all[1].wantUser(t, request{cookie: session}, "ada")
	p.counts(t)
	p.fault("/token", p.hang)
	overdue(t)
	for _, c := range all {
		started := time.Now()
		c.wantUser(t, request{cookie: session}, "ada")
		if took := time.Since(started); took > 8*time.Second {
			t.Errorf("a request waited %v for the provider", took)
		}
	}
	all[0].kill(t)
	p.fault("/token", nil)
	eventually(t, 60*time.Second, "the other process renews the session", func() bool {
		all[1].wantUser(t, request{cookie: session}, "ada")
		return p.counts(t)["refresh_token success"] == 1
	})
	all[1].wantUser(t, request{cookie: session, path: "/admin/x"}, "ada")
}
