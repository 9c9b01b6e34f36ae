package e2e

import (
	"os"
	"path/filepath"
	"runtime"
	"testing"

	"golang.org/x/sys/unix"
)

// boundEnv makes the guard take away what lets root write where nobody may.
const boundEnv = "ADMIT_E2E_BOUND"

func init() {
	if os.Getenv("ADMIT_E2E_GUARD") == "" || os.Getenv(boundEnv) == "" {
		return
	}
	runtime.LockOSThread()                                               // the child inherits from this thread; what init locks stays so for main
	_ = unix.Prctl(unix.PR_CAPBSET_DROP, unix.CAP_DAC_OVERRIDE, 0, 0, 0) // refused to whoever has not got it
}

// TestReadOnly makes Caddy's storage read-only. What needs to write is told to come
// back later and has spent nothing; who is in stays in.
func TestReadOnly(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	storage, users := filepath.Join(dir, "storage"), filepath.Join(dir, "users.json")
	writeUsers(t, users, adaAndBob(t))
	c := startCaddy(t, newUpstream(t), localSite, values{"Storage": storage, "Users": users, "env." + boundEnv: "1"})
	c.sent.add(adaPassword)
	got, err := c.password("ada", adaPassword)
	held := mustGet(t, got, err)
	open := c.session(t, "ada", adaPassword)

	writable := func(yes bool) {
		mode := os.FileMode(0o500)
		if yes {
			mode = 0o700
		}
		err := filepath.WalkDir(storage, func(path string, entry os.DirEntry, err error) error {
			if err == nil && entry.IsDir() {
				err = os.Chmod(path, mode)
			}
			return err
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	writable(false)
	t.Cleanup(func() { writable(true) })

	for range 2 {
		if got, err := c.refresh(held.Refresh); err != nil || got.status != 503 {
			t.Errorf("a refresh: %d %s, %v", got.status, got.Error, err)
		}
	}
	if got, err := c.password("bob", bobPassword); err != nil || got.status != 503 {
		t.Errorf("a token: %d %s, %v", got.status, got.Error, err)
	}
	c.wantUser(t, request{cookie: open}, "ada")
	c.wantUser(t, request{token: held.Access}, "ada")
	c.wantUser(t, basicRequest("ada", adaPassword), "ada")
	c.wantUser(t, request{cookie: c.session(t, "ada", adaPassword)}, "ada") // lies in the cookie
	if a := c.get(t, request{path: "/oauth2/jwks"}); a.status != 200 {
		t.Errorf("the JWKS: %d", a.status)
	}
	if status := c.signOut(t, open); status != 503 {
		t.Errorf("a log-out that cannot be noted: %d", status)
	}

	writable(true)
	got, err = c.refresh(held.Refresh)
	mustGet(t, got, err)
	if status := c.signOut(t, open); status != 200 {
		t.Errorf("a log-out: %d", status)
	}
	c.wantRefusal(t, request{cookie: open}, 401, "revoked")
}
