package e2e

import (
	"net/http"
	"os"
	"sync"
	"testing"
	"time"
)

// together runs the same thing n times at once.
func together(n int, what func(i int)) {
	var wg sync.WaitGroup
	for i := range n {
		wg.Go(func() { what(i) })
	}
	wg.Wait()
}

// TestClusterKeys: two processes that sign for the first time, at once, agree on
// the keys: each accepts the other's tokens, and shows the keys of both.
func TestClusterKeys(t *testing.T) {
	t.Parallel()
	all := startLocal(t, newUpstream(t), 2)
	made := make([]tokens, 8)
	together(len(made), func(i int) {
		got, err := all[i%2].password("ada", adaPassword)
		if err != nil || got.status != http.StatusOK {
			t.Errorf("%d %s %v", got.status, got.Error, err)
		}
		made[i] = got
	})
	for _, got := range made {
		for _, c := range all {
			c.wantUser(t, request{token: got.Access}, "ada")
			c.wantRefusal(t, request{token: got.Access[:len(got.Access)-8] + "AAAAAAAA"}, 401, "bad_signature", "malformed_token")
		}
	}
	one, other := all[0].get(t, request{path: "/oauth2/jwks"}), all[1].get(t, request{path: "/oauth2/jwks"})
	if one.status != 200 || one.body == "" || one.body != other.body {
		t.Errorf("the JWKS of one is %s, of the other %s", one.body, other.body)
	}
}

// TestClusterRefresh uses refresh tokens in both processes at once, several times
// in a row: all callers get one successor.
func TestClusterRefresh(t *testing.T) {
	t.Parallel()
	all := startLocal(t, newUpstream(t), 2)
	together(10, func(int) {
		got, err := all[0].password("ada", adaPassword)
		for range 3 {
			if err != nil || got.status != http.StatusOK {
				t.Errorf("%d %s, %v", got.status, got.Error, err)
				return
			}
			successors := make([]tokens, 4)
			together(len(successors), func(i int) {
				next, err := all[i%2].refresh(got.Refresh)
				if err != nil || next.status != http.StatusOK || next.Refresh == got.Refresh {
					t.Errorf("%d %s, %v", next.status, next.Error, err)
				}
				successors[i] = next
			})
			for _, next := range successors {
				if next.Refresh != successors[0].Refresh {
					t.Error("one refresh token has two successors")
				}
			}
			got = successors[0]
		}
	})
}

// TestClusterReuse: the family that a spent token ends in one process has ended in
// the other.
func TestClusterReuse(t *testing.T) {
	t.Parallel()
	all := startLocal(t, newUpstream(t), 2)
	got := make([]tokens, 4)
	var err error
	for i := range got {
		if i == 0 {
			got[0], err = all[0].password("ada", adaPassword)
		} else {
			got[i], err = all[i%2].refresh(got[i-1].Refresh)
		}
		mustGet(t, got[i], err)
	}
	spent, err := all[0].refresh(got[1].Refresh) // two generations old
	mustRefuse(t, spent, err)
	for _, c := range all {
		last, err := c.refresh(got[3].Refresh)
		mustRefuse(t, last, err)
	}

	// One who logs out of an app ends the family, in both too.
	revoked, err := all[0].password("ada", adaPassword)
	mustGet(t, revoked, err)
	resp, err := all[0].client.PostForm(all[0].URL+"/oauth2/revoke", map[string][]string{"token": {revoked.Refresh}})
	if err != nil {
		t.Fatal(err)
	}
	_ = resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		t.Errorf("revoke: %s", resp.Status)
	}
	last, err := all[1].refresh(revoked.Refresh)
	mustRefuse(t, last, err)
}

// TestClusterSession: a session that was made in one process opens in the other,
// and after the log-out in one a copied cookie is dead in both: here at once, there
// within ten seconds.
func TestClusterSession(t *testing.T) {
	t.Parallel()
	all := startLocal(t, newUpstream(t), 2)
	for _, c := range all {
		c.sent.add(adaPassword)
	}
	ended, stays := all[0].session(t, "ada", adaPassword), all[0].session(t, "ada", adaPassword)
	for _, c := range all {
		c.wantUser(t, request{cookie: ended}, "ada")
		c.wantUser(t, request{cookie: stays, path: "/admin/x"}, "ada")
		if a := c.get(t, request{cookie: ended, path: "/oauth2/userinfo"}); a.status != 200 {
			t.Errorf("userinfo: %d", a.status)
		}
	}
	started := time.Now()
	if status := all[0].signOut(t, ended); status != http.StatusOK {
		t.Fatalf("log-out: %d", status)
	}
	all[0].wantRefusal(t, request{cookie: ended}, 401, "revoked")
	eventually(t, 11*time.Second, "the copied cookie is dead in the second process", func() bool {
		a := all[1].get(t, request{cookie: ended})
		return a.isRefusal(401, "revoked") == nil
	})
	t.Logf("dead in the second process after %v", time.Since(started).Round(100*time.Millisecond))
	for _, c := range all {
		c.wantUser(t, request{cookie: stays}, "ada") // another session of the same user
		c.wantRefusal(t, request{cookie: ended}, 401, "revoked")
	}
}

// TestClusterUsers changes the users file: who is removed, disabled or has another
// password is out in both processes, whatever was signed in with before.
func TestClusterUsers(t *testing.T) {
	t.Parallel()
	all := startLocal(t, newUpstream(t), 2)
	file := all[0].values["Users"]
	const newPassword = "ada's-other-password-now"
	type held struct {
		user, cookie string
		tokens       tokens
	}
	var before []held
	for i, user := range []string{"ada", "bob"} {
		password := []string{adaPassword, bobPassword}[i]
		got, err := all[i].password(user, password)
		mustGet(t, got, err)
		h := held{user, all[1-i].session(t, user, password), got}
		for _, c := range all {
			c.wantUser(t, request{cookie: h.cookie}, user)
			c.wantUser(t, basicRequest(user, password), user)
		}
		before = append(before, h)
	}

	// A broken file changes nothing, and says so.
	if err := os.WriteFile(file, []byte(`{"ada": {"password": "`), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, c := range all {
		eventually(t, 5*time.Second, "a broken users file is reported", func() bool {
			for _, entry := range c.logs.entries("") {
				if entry["level"] == "error" && entry["file"] == file {
					return true
				}
			}
			return false
		})
		c.wantUser(t, request{cookie: before[0].cookie}, "ada")
		c.wantUser(t, basicRequest("bob", bobPassword), "bob")
	}

	users := adaAndBob(t)
	ada, bob := users["ada"], users["bob"]
	ada.Password = hashOf(t, newPassword)
	bob.Disabled = true
	users["ada"], users["bob"] = ada, bob
	writeUsers(t, file, users)
	started := time.Now()
	for _, c := range all {
		for _, h := range before {
			eventually(t, 4*time.Second, "a session ends with the credential it began with", func() bool {
				a := c.get(t, request{cookie: h.cookie})
				return a.status == 401
			})
		}
	}
	t.Logf("out in both processes after %v", time.Since(started).Round(100*time.Millisecond))
	for _, c := range all {
		for _, h := range before {
			again, err := c.refresh(h.tokens.Refresh)
			mustRefuse(t, again, err)
		}
		c.wantRefusal(t, basicRequest("ada", adaPassword), 401, "bad_password")
		c.wantRefusal(t, basicRequest("bob", bobPassword), 401, "bad_password")
		if status, _ := c.signIn(t, "bob", bobPassword); status != 401 {
			t.Errorf("a disabled user signs in: %d", status)
		}
		c.wantUser(t, basicRequest("ada", newPassword), "ada")
		c.wantUser(t, request{cookie: c.session(t, "ada", newPassword)}, "ada")
	}
}
