package e2e

import (
	"crypto/tls"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/chromedp/chromedp"
)

// providerSite is oidc-provider over https, and beside it a page of another origin
// that browsers take for the same site as the app.
const providerSite = `
{
	{{.Globals}}
	skip_install_trust
}
https://127.0.0.1:{{.Port}} {
	tls internal
	reverse_proxy {{.Upstream}}
}
https://app.localhost:{{.Port}} {
	tls internal
	header Content-Type "text/html; charset=utf-8"
	respond "<!doctype html><html lang=en><title>beside</title>"
}
`

// appSite is an app whose people log in at providerSite.
const appSite = `
{
	{{.Globals}}
	skip_install_trust
	admit corp {
		issuer {{.Issuer}}
		ca {{.CA}}
		login {
			client_id web
			client_secret {env.CLIENT_SECRET}
			scopes openid email profile groups
		}
		session {
			secret {env.SESSION_SECRET}
			store storage
		}
	}
	admit posted {
		issuer {{.Issuer}}
		ca {{.CA}}
		login {
			client_id posted
			client_secret {env.CLIENT_SECRET}
			param response_mode form_post
		}
	}
}
https://app.localhost:{{.Port}} {
	tls internal
	log
	admit corp {
		login
		require /admin/* groups admins
		header_up X-User {http.auth.user.id}
	}
	reverse_proxy {{.Upstream}}
}
https://posted.localhost:{{.Port}} {
	tls internal
	log
	admit posted {
		login
		header_up X-User {http.auth.user.id}
	}
	reverse_proxy {{.Upstream}}
}
`

// office is an app and a provider, both behind Caddy over https, and a browser that
// trusts them.
type office struct {
	*caddy
	*tab
	*provider
	app    *stream
	site   string // https://app.localhost:<port>
	beside string // the same at another port, which is another origin
}

func startOffice(t *testing.T) *office {
	t.Helper()
	needNode(t)
	storage := t.TempDir()
	f := newFront(t, "")
	front := startCaddy(t, &upstream{URL: f.URL}, providerSite, values{"AutoHTTPS": "disable_redirects", "Storage": storage})
	p := runProvider(t, f, "https://127.0.0.1:"+front.values["Port"])
	app := newStream(t)
	authority := filepath.Join(storage, "pki/authorities/local")
	front.certified(t, "127.0.0.1", "app.localhost")
	c := startCaddy(t, &upstream{URL: app.URL}, appSite, values{
		"AutoHTTPS": "disable_redirects", "Storage": storage, "Issuer": p.issuer, "CA": filepath.Join(authority, "root.crt"),
		"env.CLIENT_SECRET": partySecret, "env.SESSION_SECRET": sessionSecret,
	})
	c.certified(t, "app.localhost", "posted.localhost")
	p.confide(t, c)
	site := "https://app.localhost:" + c.values["Port"]
	p.register(t, party{Grants: refreshing, TTL: int(dueAfter.Seconds()), Logout: site + "/oauth2/backchannel-logout", SID: true}, site)
	p.register(t, party{ID: "posted"}, "https://posted.localhost:"+c.values["Port"])
	trust := chromedp.Flag("ignore-certificate-errors-spki-list", spkiOf(t, filepath.Join(authority, "intermediate.crt")))
	loopback := chromedp.Flag("host-resolver-rules", "MAP * ~NOTFOUND, EXCLUDE *.localhost, EXCLUDE 127.0.0.1")
	return &office{c, startBrowser(t, trust, loopback), p, app, site, "https://app.localhost:" + front.values["Port"]}
}

// certified waits until Caddy has certificates for the names.
func (c *caddy) certified(t *testing.T, names ...string) {
	t.Helper()
	eventually(t, 20*time.Second, "there is a certificate", func() bool {
		for _, name := range names {
			config := &tls.Config{InsecureSkipVerify: true, ServerName: name} // an address is not sent
			conn, err := tls.Dial("tcp", "127.0.0.1:"+c.values["Port"], config)
			if err != nil {
				return false
			}
			_ = conn.Close()
		}
		return true
	})
}

// person opens the browser of one person, with nothing of the others.
func (o *office) person(t *testing.T) *tab {
	t.Helper()
	return o.open(t)
}

// more opens another tab of the same person.
func (b *tab) more(t *testing.T) *tab {
	t.Helper()
	ctx, cancel := chromedp.NewContext(b.ctx)
	t.Cleanup(cancel)
	page := &tab{ctx}
	page.do(t)
	return page
}

// atProvider fails the test if the browser is not at the provider's login form.
func (o *office) atProvider(t *testing.T, page *tab) {
	t.Helper()
	if to := run1(t, page, chromedp.Location()); !strings.HasPrefix(to, o.issuer+"/interaction/") {
		t.Fatalf("the browser is at %s: %s", to, page.text(t))
	}
}

// enter goes to a page of the app and logs in at the provider.
func (o *office) enter(t *testing.T, page *tab, path, user string) {
	t.Helper()
	page.visit(t, o.site+path)
	o.atProvider(t, page)
	if status := page.signIn(t, user, "any"); status != 200 {
		t.Errorf("%s logs in: %d: %s", user, status, page.text(t))
	}
	page.want(t, path, "App of "+user, "GET "+path)
}
