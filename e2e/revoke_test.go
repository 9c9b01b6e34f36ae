package e2e

import (
	"net/http"
	"os/exec"
	"strings"
	"testing"
	"time"
)

// admit runs "caddy admit" against this Caddy, as an operator does.
func (c *caddy) admit(t *testing.T, args ...string) string {
	t.Helper()
	cmd := exec.Command(caddyBinary, append(append([]string{"admit"}, args...), "--address", c.admin)...)
	out, err := cmd.CombinedOutput()
	if err != nil {
		t.Fatalf("%q: %v\n%s", args, err, out)
	}
	return string(out)
}

// TestClusterRevoke: who is revoked in one process is out there at once, and in the
// other within ten seconds, by a cookie that was copied and by refresh token
// (threats 45 and 72). Nobody else is, and who logs in again is in at both.
func TestClusterRevoke(t *testing.T) {
	t.Parallel()
	all := startLocal(t, newUpstream(t), 2)
	for _, c := range all {
		c.sent.add(adaPassword, bobPassword)
	}
	ada, bob := all[1].session(t, "ada", adaPassword), all[1].session(t, "bob", bobPassword)
	for _, c := range all { // each has learnt that there is no mark
		c.wantUser(t, request{cookie: ada}, "ada")
		c.wantUser(t, request{cookie: bob}, "bob")
	}
	adas, err := all[1].password("ada", adaPassword)
	mustGet(t, adas, err)
	bobs, err := all[1].password("bob", bobPassword)
	mustGet(t, bobs, err)
	if list := all[0].admit(t, "sessions", "home", "ada"); !strings.Contains(list, "refresh token  home") || strings.Contains(list, "bob") || strings.Contains(list, adas.Refresh) {
		t.Errorf("listed\n%s", list)
	}

	started := time.Now()
	if said := all[0].admit(t, "revoke", "home", "ada"); !strings.Contains(said, "1 refresh token.") {
		t.Errorf("said\n%s", said)
	}
	all[0].wantRefusal(t, request{cookie: ada}, 401, "revoked")
	eventually(t, 11*time.Second, "the copied cookie is dead in the second process", func() bool {
		a := all[1].get(t, request{cookie: ada})
		return a.isRefusal(401, "revoked") == nil
	})
	t.Logf("dead in the second process after %v", time.Since(started).Round(100*time.Millisecond))
	for _, c := range all {
		spent, err := c.refresh(adas.Refresh)
		mustRefuse(t, spent, err)
		c.wantUser(t, request{cookie: bob}, "bob")
	}
	next, err := all[1].refresh(bobs.Refresh)
	mustGet(t, next, err)

	again := all[1].session(t, "ada", adaPassword)
	for _, c := range all {
		c.wantUser(t, request{cookie: again}, "ada")
		c.wantRefusal(t, request{cookie: ada}, 401, "revoked")
	}
	all[0].stop(t)
	out, err := exec.Command(caddyBinary, "admit", "revoke", "home", "--address", all[0].admin).CombinedOutput()
	if err == nil || !strings.Contains(string(out), "is Caddy running, with the admin API on?") {
		t.Errorf("a Caddy that does not run: %v\n%s", err, out)
	}
	if status := all[1].get(t, request{cookie: again}).status; status != http.StatusOK {
		t.Errorf("still there: %d", status)
	}
}
