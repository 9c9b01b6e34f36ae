package e2e

import (
	"context"
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"os/exec"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/chromedp/cdproto/log"
	"github.com/chromedp/chromedp"
)

// tab is a page in Chromium.
type tab struct{ ctx context.Context }

// startBrowser starts Chromium with an empty profile. The test's end stops it.
// Nothing but names below localhost can be resolved.
func startBrowser(t *testing.T, more ...chromedp.ExecAllocatorOption) *tab {
	t.Helper()
	path, err := exec.LookPath("chromium")
	switch {
	case err == nil:
	case os.Getenv("CI") == "true":
		t.Fatalf("tests in a browser need chromium: %v", err)
	default:
		t.Skipf("tests in a browser need chromium: %v", err)
	}
	options := append(chromedp.DefaultExecAllocatorOptions[:],
		chromedp.ExecPath(path),
		chromedp.NoSandbox,
		chromedp.DisableGPU,
		chromedp.Flag("disable-quic", true),
		chromedp.Flag("disable-component-update", true),
		chromedp.Flag("host-resolver-rules", "MAP * ~NOTFOUND, EXCLUDE *.localhost"),
	)
	allocator, stop := chromedp.NewExecAllocator(t.Context(), append(options, more...)...)
	t.Cleanup(stop)
	ctx, cancel := chromedp.NewContext(allocator)
	t.Cleanup(cancel)
	b := &tab{ctx}
	b.do(t) // starts it
	return b
}

// open returns a new tab with nothing of the others: no cookies, no cache.
func (b *tab) open(t *testing.T) *tab {
	t.Helper()
	ctx, cancel := chromedp.NewContext(b.ctx, chromedp.WithNewBrowserContext())
	t.Cleanup(cancel)
	page := &tab{ctx}
	page.do(t)
	return page
}

func (b *tab) do(t *testing.T, steps ...chromedp.Action[chromedp.Void]) {
	t.Helper()
	if err := chromedp.Do(b.ctx, steps...); err != nil {
		t.Fatal(err)
	}
}

// visit goes to a URL and returns the status of the answer.
func (b *tab) visit(t *testing.T, to string) int {
	t.Helper()
	return int(run1(t, b, chromedp.NavigateResponse(to)).Status)
}

// run1 runs an action that has a value.
func run1[T any](t *testing.T, b *tab, action chromedp.Action[T]) T {
	t.Helper()
	ctx, cancel := context.WithTimeout(b.ctx, 20*time.Second)
	defer cancel()
	value, err := chromedp.Run(ctx, action)
	if err != nil {
		t.Fatal(err)
	}
	return value
}

// leave does what leads to another page and returns the status of that.
func (b *tab) leave(t *testing.T, steps ...chromedp.Action[chromedp.Void]) int {
	t.Helper()
	ctx, cancel := context.WithTimeout(b.ctx, 20*time.Second)
	defer cancel()
	answer, err := chromedp.RunResponse(ctx, steps...)
	if err != nil {
		t.Fatal(err)
	}
	return int(answer.Status)
}

// script runs JavaScript in the page and returns its value, also a promised one.
func script[T any](t *testing.T, b *tab, code string) T {
	t.Helper()
	return run1(t, b, chromedp.Evaluate[T](code, chromedp.EvalAwaitPromise))
}

// fetched is what a script learns of an answer.
type fetched struct {
	Error     string // of the fetch itself: the script learns nothing else
	Type      string // cors, basic, opaque
	Status    int
	Body      string
	Challenge string
	Retry     string
	Problem   problem
}

// fetch calls a URL from the script of the page. The options are JavaScript.
func (b *tab) fetch(t *testing.T, to, options string) fetched {
	t.Helper()
	return script[fetched](t, b, fmt.Sprintf(`(async () => {
		try {
			const r = await fetch(%q, {%s})
			const f = {Type: r.type, Status: r.status, Body: await r.text(),
				Challenge: r.headers.get('WWW-Authenticate') || '', Retry: r.headers.get('Retry-After') || ''}
			try { f.Problem = JSON.parse(f.Body) } catch { }
			return f
		} catch (e) { return {Error: e.name} }
	})()`, to, options))
}

// newApp serves an empty page under every name and returns its port: the app of
// any origin, here http://<name>.localhost:<port>.
func newApp(t *testing.T) string {
	t.Helper()
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "text/html; charset=utf-8")
		fmt.Fprint(w, "<!doctype html><html lang=en><title>app</title>")
	}))
	t.Cleanup(server.Close)
	u, err := url.Parse(server.URL)
	if err != nil {
		t.Fatal(err)
	}
	return u.Port()
}

// newAPI serves an upstream whose answers scripts of some origins may read, and
// returns its URL.
func newAPI(t *testing.T, u *upstream, origins ...string) string {
	t.Helper()
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		h := w.Header()
		if origin := r.Header.Get("Origin"); slices.Contains(origins, origin) {
			h.Set("Access-Control-Allow-Origin", origin)
			h.Set("Access-Control-Allow-Credentials", "true")
			h.Set("Access-Control-Allow-Headers", "Authorization, Content-Type")
			h.Set("Access-Control-Allow-Methods", "GET, PUT, DELETE")
			h.Set("Access-Control-Expose-Headers", "Seen-User")
		}
		u.ServeHTTP(w, r)
	}))
	t.Cleanup(server.Close)
	return server.URL
}

// summary says in a line each what reached an upstream.
func summary(seen []received) string {
	var lines []string
	for _, r := range seen {
		lines = append(lines, strings.TrimSpace(r.Method+" "+r.URI+" "+strings.Join(named(r.Header, "X-User"), "|")))
	}
	return strings.Join(lines, "\n")
}

// complaints collects what the browser says to the developer of a page, but for
// answers that are errors.
func (b *tab) complaints(t *testing.T) *journal {
	t.Helper()
	said := new(journal)
	err := chromedp.Listen(b.ctx, func(event any) {
		if added, ok := event.(*log.EventEntryAdded); ok && added.Entry.Source != log.EntrySourceNetwork {
			_, _ = fmt.Fprintln(said, added.Entry.Text)
		}
	})
	if err != nil {
		t.Fatal(err)
	}
	return said
}
