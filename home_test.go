package admit

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/caddyconfig/caddyfile"
	"github.com/caddyserver/certmagic"
	"golang.org/x/crypto/bcrypt"
)

func init() { caddy.RegisterModule(new(testStorage)) }

// testStorage is a storage of Caddy's in memory, which fails on demand. In a
// Caddyfile it is "storage admit_test <name>".
type testStorage struct {
	Name string `json:"name"`
}

// testDisk is what storages of one name share.
type testDisk struct {
	mu     sync.Mutex
	values map[string][]byte
	locks  map[string]chan struct{}
	failed map[string]bool // operations that fail
	asked  map[string]int
}

var testDisks sync.Map

func testDiskOf(name string) *testDisk {
	d, _ := testDisks.LoadOrStore(name, &testDisk{
		values: map[string][]byte{}, locks: map[string]chan struct{}{}, failed: map[string]bool{}, asked: map[string]int{},
	})
	return d.(*testDisk)
}

func (*testStorage) CaddyModule() caddy.ModuleInfo {
	return caddy.ModuleInfo{ID: "caddy.storage.admit_test", New: func() caddy.Module { return new(testStorage) }}
}

func (s *testStorage) UnmarshalCaddyfile(d *caddyfile.Dispenser) error {
	d.Next()
	d.Args(&s.Name)
	return nil
}

func (s *testStorage) CertMagicStorage() (certmagic.Storage, error) { return testDiskOf(s.Name), nil }

// fail makes operations fail from now on: load, store, delete, list, lock.
func (d *testDisk) fail(operations ...string) {
	d.mu.Lock()
	defer d.mu.Unlock()
	clear(d.failed)
	for _, operation := range operations {
		d.failed[operation] = true
	}
}

// total returns how often anything was asked.
func (d *testDisk) total() (n int) {
	d.mu.Lock()
	defer d.mu.Unlock()
	for _, count := range d.asked {
		n += count
	}
	return n
}

var errDisk = errors.New("read-only file system")

// do makes an operation on the values of Admit. What else Caddy keeps is none of
// a test's business.
func (d *testDisk) do(operation, key string, f func() error) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	if strings.HasPrefix(key, "admit/") {
		if d.asked[operation]++; d.failed[operation] {
			return fmt.Errorf("%s %s: %w", operation, key, errDisk)
		}
	}
	return f()
}

func (d *testDisk) Load(_ context.Context, key string) (value []byte, err error) {
	return value, d.do("load", key, func() error {
		var ok bool
		if value, ok = d.values[key]; !ok {
			return fs.ErrNotExist
		}
		value = bytes.Clone(value)
		return nil
	})
}

func (d *testDisk) Store(_ context.Context, key string, value []byte) error {
	return d.do("store", key, func() error { d.values[key] = bytes.Clone(value); return nil })
}

func (d *testDisk) Delete(_ context.Context, key string) error {
	return d.do("delete", key, func() error { delete(d.values, key); return nil })
}

func (d *testDisk) Exists(ctx context.Context, key string) bool {
	_, err := d.Load(ctx, key)
	return err == nil
}

func (d *testDisk) List(_ context.Context, prefix string, _ bool) (keys []string, err error) {
	return keys, d.do("list", prefix, func() error {
		for key := range maps.Keys(d.values) {
			if strings.HasPrefix(key, prefix+"/") {
				keys = append(keys, key)
			}
		}
		return nil
	})
}

func (d *testDisk) Stat(ctx context.Context, key string) (certmagic.KeyInfo, error) {
	value, err := d.Load(ctx, key)
	return certmagic.KeyInfo{Key: key, Size: int64(len(value)), IsTerminal: true}, err
}

func (d *testDisk) Lock(ctx context.Context, name string) error {
	var lock chan struct{}
	if err := d.do("lock", name, func() error {
		if lock = d.locks[name]; lock == nil {
			lock = make(chan struct{}, 1)
			d.locks[name] = lock
		}
		return nil
	}); err != nil {
		return err
	}
	select {
	case lock <- struct{}{}:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

func (d *testDisk) Unlock(_ context.Context, name string) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	<-d.locks[name]
	return nil
}

const (
	adaPassword = "marked-password-of-ada"
	bobPassword = "marked:password:of-böb"
)

var hashes sync.Map // by password

// hashOf makes the cheapest hash that is accepted.
func hashOf(t testing.TB, password string) string {
	t.Helper()
	if hash, ok := hashes.Load(password); ok {
		return hash.(string)
	}
	hash, err := bcrypt.GenerateFromPassword([]byte(password), 10)
	if err != nil {
		t.Fatal(err)
	}
	hashes.Store(password, string(hash))
	return string(hash)
}

// homeIntegration has two users, and more options.
func homeIntegration(t testing.TB, name, more string) string {
	t.Helper()
	return fmt.Sprintf("admit %s {\nuser ada %s {\ngroups staff admin\n}\nuser bob %s\n%s\n}\n", name, hashOf(t, adaPassword), hashOf(t, bobPassword), more)
}

// serveHome runs one site with a storage of its own. Browsers are at localhost,
// where they can log in without TLS.
func serveHome(t *testing.T, global, body string) (*front, *testDisk) {
	t.Helper()
	forgetGuesses(t)
	t.Cleanup(func() { testDisks.Delete(t.Name()) })
	return serveOne(t, "storage admit_test "+t.Name()+"\n"+global, body), testDiskOf(t.Name())
}

// forgetGuesses makes sure that no counter of another test is left.
func forgetGuesses(t *testing.T) {
	t.Helper()
	guessPool.Range(func(key, _ any) bool { t.Errorf("counters of %v are left", key); return true })
}

// localBrowser keeps cookies as browsers do, for one host.
type localBrowser struct {
	*front
	host    string
	cookies map[string]string
}

func (f *front) browser() *localBrowser {
	return &localBrowser{f, "localhost", map[string]string{}}
}

// do sends a request with the cookies and takes those of the answer.
func (b *localBrowser) do(method, target string, headers ...string) answered {
	b.t.Helper()
	if line := b.cookieLine(); line != "" {
		headers = append(slices.Clone(headers), line)
	}
	a := b.ask(method, b.host, target, headers...)
	for _, cookie := range a.Cookies() {
		if b.cookies[cookie.Name] = cookie.Value; cookie.MaxAge < 0 {
			delete(b.cookies, cookie.Name)
		}
	}
	return a
}

func (b *localBrowser) cookieLine() string {
	var pairs []string
	for _, name := range slices.Sorted(maps.Keys(b.cookies)) {
		pairs = append(pairs, name+"="+b.cookies[name])
	}
	if len(pairs) == 0 {
		return ""
	}
	return "Cookie: " + strings.Join(pairs, "; ")
}

// visit opens a page as a typed address does.
func (b *localBrowser) visit(target string, headers ...string) answered {
	b.t.Helper()
	return b.do("GET", target, slices.Concat(navigation, []string{"Sec-Fetch-Site: none"}, headers)...)
}

// goOn follows a page that leads on by itself, as the one after logging out does:
// always to the next page of the gate.
func (b *localBrowser) goOn(a answered) answered {
	b.t.Helper()
	next, ok := strings.CutPrefix(a.Header.Get("Refresh"), "0; url=")
	if !ok {
		return a
	}
	if a.StatusCode != 200 || !strings.HasPrefix(next, "/oauth2/logged-out") {
		b.t.Errorf("%d leads on to %q", a.StatusCode, next)
	}
	after := b.do("GET", next, append(slices.Clone(navigation), "Sec-Fetch-Site: same-origin")...)
	if after.Header.Get("Clear-Site-Data") != `"cache"` {
		b.t.Errorf("%s: the browser keeps what it has: %v", next, after.Header)
	}
	return after
}

// post sends a form of a page of the site.
func (b *localBrowser) post(target string, form url.Values, headers ...string) answered {
	b.t.Helper()
	return b.do("POST", target, slices.Concat(navigation, []string{
		"Sec-Fetch-Site: same-origin", "Origin: http://" + b.host, formType, "body:" + form.Encode(),
	}, headers)...)
}

const formType = "Content-Type: application/x-www-form-urlencoded"

func signInForm(user, password, target string) url.Values {
	return url.Values{"username": {user}, "password": {password}, "return_to": {target}}
}

// signIn logs ada in, or fails.
func (b *localBrowser) signIn() *localBrowser {
	b.t.Helper()
	if a := b.post("/oauth2/login", signInForm("ada", adaPassword, "/")); a.StatusCode != 303 {
		b.t.Fatalf("signing in: %d %s", a.StatusCode, a.body)
	}
	return b
}

// userinfo returns who the browser is known as.
func (b *localBrowser) userinfo() (info struct {
	ID, Integration string
	Groups          []string
	Claims          object
	Expires         *time.Time `json:"session_expires"`
}, status int,
) {
	b.t.Helper()
	a := b.do("GET", "/oauth2/userinfo", script...)
	if a.StatusCode == 200 {
		if err := json.Unmarshal([]byte(a.body), &info); err != nil {
			b.t.Fatal(err)
		}
	}
	return info, a.StatusCode
}

// usersFile writes a file of users: the body of an object.
func usersFile(t *testing.T, body string) (name string, change func(body string)) {
	t.Helper()
	name = filepath.Join(t.TempDir(), "users.json")
	change = func(body string) {
		next := name + ".next"
		if err := os.WriteFile(next, []byte("{"+body+"}"), 0o600); err != nil {
			t.Fatal(err)
		}
		if err := os.Rename(next, name); err != nil {
			t.Fatal(err)
		}
	}
	change(body)
	return name, change
}

// userMember is one user in a file.
func userMember(t *testing.T, id, password, more string) string {
	t.Helper()
	return fmt.Sprintf("%q: {\"password\": %q%s}", id, hashOf(t, password), more)
}

// eventually asks until the answer is as wanted.
func eventually(t *testing.T, what string, ok func() bool) {
	t.Helper()
	for deadline := time.Now().Add(10 * time.Second); !ok(); time.Sleep(50 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("not within 10 s: %s", what)
		}
	}
}

func location(a answered) string { return a.Header.Get("Location") }

// stopCaddy makes room for another one in the same test.
func stopCaddy(t *testing.T) {
	t.Helper()
	if err := caddy.Stop(); err != nil {
		t.Fatal(err)
	}
}

// reload replaces the configuration. It takes another address, so that no request
// meets the server that is on its way out.
func (f *front) reload(global, body string) {
	f.t.Helper()
	f.addr = freeAddr(f.t)
	if err := f.load("storage admit_test "+f.t.Name()+"\n"+global, "http://:PORT {\n"+body+"\n}"); err != nil {
		f.t.Fatal(err)
	}
}
