package e2e

import (
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"testing"
	"time"
)

// caddyBinary is the Caddy under test; TestMain sets it.
var caddyBinary string

func TestMain(m *testing.M) {
	if os.Getenv("ADMIT_E2E_GUARD") != "" {
		os.Exit(guard(os.Args[1], os.Args[2:]))
	}
	os.Exit(run(m))
}

func run(m *testing.M) int {
	if caddyBinary = os.Getenv("ADMIT_CADDY"); caddyBinary != "" {
		return m.Run()
	}
	dir, err := os.MkdirTemp("", "admit-e2e-")
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	defer os.RemoveAll(dir)
	caddyBinary = filepath.Join(dir, "caddy")
	build := exec.Command("go", "build", "-o", caddyBinary, "./cmd/caddy")
	build.Dir = ".."
	if out, err := build.CombinedOutput(); err != nil {
		fmt.Fprintf(os.Stderr, "building ../cmd/caddy: %v\n%s", err, out)
		return 1
	}
	return m.Run()
}

// guarded is a command that this test binary starts and watches over: it ends when
// its stdin closes, hence also when the tests die without cleaning up.
func guarded(name string, args ...string) (*exec.Cmd, io.WriteCloser, error) {
	self, err := os.Executable()
	if err != nil {
		return nil, nil, err
	}
	cmd := exec.Command(self, append([]string{name}, args...)...)
	cmd.Env = append(os.Environ(), "ADMIT_E2E_GUARD=1")
	stdin, err := cmd.StdinPipe()
	return cmd, stdin, err
}

// guard runs a command until it ends or stdin closes, and returns its exit status.
func guard(name string, args []string) int {
	cmd := exec.Command(name, args...)
	cmd.Stdout, cmd.Stderr = os.Stdout, os.Stderr
	if err := cmd.Start(); err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	ended := make(chan error, 1)
	go func() { ended <- cmd.Wait() }()
	closed := make(chan struct{})
	go func() {
		_, _ = io.Copy(io.Discard, os.Stdin)
		close(closed)
	}()
	select {
	case err := <-ended:
		var exit *exec.ExitError
		if errors.As(err, &exit) {
			return exit.ExitCode()
		}
	case <-closed:
		_ = cmd.Process.Signal(os.Interrupt)
		select {
		case <-ended:
		case <-time.After(5 * time.Second):
			_ = cmd.Process.Kill()
			<-ended
			fmt.Fprintln(os.Stderr, "killed after 5s, pid "+strconv.Itoa(cmd.Process.Pid))
			return 1
		}
	}
	return 0
}

// eventually asks until the answer is yes; it fails the test after the limit.
func eventually(t *testing.T, limit time.Duration, what string, yes func() bool) {
	t.Helper()
	deadline := time.After(limit)
	ask := time.NewTicker(20 * time.Millisecond)
	defer ask.Stop()
	for !yes() {
		select {
		case <-ask.C:
		case <-deadline:
			t.Fatalf("not within %v: %s", limit, what)
		}
	}
}
