package e2e

import (
	"context"
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"encoding/base64"
	"encoding/pem"
	"fmt"
	"html"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/chromedp/chromedp"
)

// deskSite is a site over https, with the certificates that Caddy makes itself.
const deskSite = `
{
	{{.Globals}}
	skip_install_trust
	admit home {
		users {{.Users}}
	}
}
https://desk.localhost:{{.Port}} {
	tls internal
	log
	admit {
		login
		require /admin/* groups admins
		header_up X-User {http.auth.user.id}
	}
	reverse_proxy {{.Desk}}
}
https://other.localhost:{{.Port}} {
	tls internal
	admit
	reverse_proxy {{.Desk}}
}
`

// desk is a Caddy whose users sign in by a page, and a browser that trusts it.
type desk struct {
	*caddy
	*tab
	site string // https://desk.localhost:<port>
}

func startDesk(t *testing.T) *desk {
	t.Helper()
	app := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", "text/html; charset=utf-8")
		user := html.EscapeString(strings.Join(named(r.Header, "X-User"), "|"))
		_, _ = fmt.Fprintf(w, `<!doctype html><html lang="en"><title>Desk</title><h1>Papers of %s</h1><p id="at">%s</p>
			<form method="post" action="/save"><button id="save">Save</button></form><a id="out" href="/oauth2/logout">Sign out</a>`,
			user, html.EscapeString(r.Method+" "+r.RequestURI))
	}))
	t.Cleanup(app.Close)
	dir := t.TempDir()
	users := filepath.Join(dir, "users.json")
	writeUsers(t, users, adaAndBob(t))
	c := startCaddy(t, newUpstream(t), deskSite, values{
		"AutoHTTPS": "disable_redirects", "Users": users, "Desk": app.URL, "Storage": dir,
	})
	c.sent.add(adaPassword, bobPassword)
	port := c.values["Port"]
	eventually(t, 20*time.Second, "there is a certificate", func() bool {
		for _, name := range []string{"desk", "other"} {
			conn, err := tls.Dial("tcp", "127.0.0.1:"+port, &tls.Config{InsecureSkipVerify: true, ServerName: name + ".localhost"})
			if err != nil {
				return false
			}
			_ = conn.Close()
		}
		return true
	})
	trust := chromedp.Flag("ignore-certificate-errors-spki-list", spkiOf(t, filepath.Join(dir, "pki/authorities/local/intermediate.crt")))
	return &desk{c, startBrowser(t, trust), "https://desk.localhost:" + port}
}

// spkiOf is the hash by which Chromium knows a key that it may trust.
func spkiOf(t *testing.T, file string) string {
	t.Helper()
	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	block, _ := pem.Decode(text)
	if block == nil {
		t.Fatalf("%s holds no PEM", file)
	}
	cert, err := x509.ParseCertificate(block.Bytes)
	if err != nil {
		t.Fatal(err)
	}
	sum := sha256.Sum256(cert.RawSubjectPublicKeyInfo)
	return base64.StdEncoding.EncodeToString(sum[:])
}

// person opens the browser of one person, with nothing of the others.
func (d *desk) person(t *testing.T) *tab {
	t.Helper()
	page := d.open(t)
	page.do(t, chromedp.EmulateViewport(800, 600))
	return page
}

// signIn fills in the form that is shown and sends it.
func (b *tab) signIn(t *testing.T, user, password string) int {
	t.Helper()
	script[any](t, b, `username.value = password.value = ''`)
	return b.leave(t, chromedp.SendKeys("#username", user), chromedp.SendKeys("#password", password), chromedp.Click("button[type=submit]"))
}

// at is where the browser is, without the site.
func (b *tab) at(t *testing.T) string {
	t.Helper()
	u, err := url.Parse(run1(t, b, chromedp.Location()))
	if err != nil {
		t.Fatal(err)
	}
	return u.RequestURI()
}

func (b *tab) text(t *testing.T) string {
	t.Helper()
	return script[string](t, b, `document.body.innerText`)
}

// want compares what the page says.
func (b *tab) want(t *testing.T, at string, parts ...string) {
	t.Helper()
	if got := b.at(t); got != at {
		t.Errorf("the browser is at %s, want %s", got, at)
	}
	text := b.text(t)
	for _, part := range parts {
		if !strings.Contains(text, part) {
			t.Errorf("the page at %s does not say %q: %s", at, part, text)
		}
	}
}

// signOut does what signs out and waits for the page that it ends at.
func (b *tab) signOut(t *testing.T, step chromedp.Action[chromedp.Void], at string) {
	t.Helper()
	b.do(t, step)
	b.arrive(t, `location.pathname == `+quoted(at))
}

// arrive waits for a page of which the JavaScript says that it is the one.
func (b *tab) arrive(t *testing.T, is string) {
	t.Helper()
	eventually(t, 10*time.Second, is, func() bool {
		ctx, cancel := context.WithTimeout(b.ctx, 2*time.Second)
		defer cancel()
		there, err := chromedp.Run(ctx, chromedp.Evaluate[bool](`document.readyState == 'complete' && `+is))
		return err == nil && there
	})
}

// back is the browser's button. A page that the browser has kept does not load: it
// is there at once.
func (b *tab) back(t *testing.T) {
	t.Helper()
	was := run1(t, b, chromedp.Location())
	script[any](t, b, `setTimeout(() => history.back())`)
	b.arrive(t, `location.href != `+quoted(was))
}
