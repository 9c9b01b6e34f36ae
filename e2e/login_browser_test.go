package e2e

import (
	"net/url"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/chromedp/cdproto/network"
	"github.com/chromedp/chromedp"
)

// TestLoginBrowser is what people see of a login at oidc-provider, all over https.
func TestLoginBrowser(t *testing.T) {
	t.Parallel()
	o := startOffice(t)
	for name, test := range map[string]func(*testing.T, *office){
		"deep link":        loginDeep,
		"four tabs":        loginTabs,
		"form post":        loginPosted,
		"refused":          loginOther,
		"denied":           loginDenied,
		"renewal":          loginRenewed,
		"logout":           loginOut,
		"back-channel":     loginOutElsewhere,
		"WebSocket":        loginStream,
		"of other origins": loginForged,
	} {
		t.Run(name, func(t *testing.T) { test(t, o) })
	}
}

// loginDeep goes to a page deep in the site and is there after the login.
func loginDeep(t *testing.T, o *office) {
	page := o.person(t)
	said := page.complaints(t)
	o.enter(t, page, "/reports/7?year=2026&x=a%20b&x=%2F", "ada")
	cookies, err := chromedp.Call(page.ctx, network.GetCookies, network.GetCookiesParams{URLs: []string{o.site}})
	if err != nil {
		t.Fatal(err)
	}
	// Beside the session there is a count of logins, for a minute.
	i := slices.IndexFunc(cookies.Cookies, func(c *network.Cookie) bool { return c.Name == sessionName })
	if i < 0 || len(cookies.Cookies) > 2 {
		t.Fatalf("the cookies are %+v", cookies.Cookies)
	}
	cookie := cookies.Cookies[i]
	o.sent.add(cookie.Value)
	if !cookie.HTTPOnly || !cookie.Secure || cookie.SameSite != network.CookieSameSiteLax || cookie.Path != "/" || cookie.Domain != "app.localhost" {
		t.Errorf("the cookie is %+v", cookie)
	}
	if seen := script[string](t, page, `document.cookie`); seen != "" {
		t.Errorf("a script sees %q", seen)
	}
	if status := page.visit(t, o.site+"/admin/"); status != 200 {
		t.Errorf("the page of admins: %d", status)
	}
	if text := said.String(); strings.Contains(text, "Security Policy") || strings.Contains(text, "rror") {
		t.Errorf("the browser says %q", text)
	}
}

// loginTabs has four tabs at the provider at once; each comes back to its own page.
// threat 62
func loginTabs(t *testing.T, o *office) {
	first := o.person(t)
	tabs := []*tab{first, first.more(t), first.more(t), first.more(t)}
	paths := []string{"/one?a=1", "/two?b=2", "/three?c=3", "/four?d=4"}
	for i, page := range tabs {
		page.visit(t, o.site+paths[i])
		o.atProvider(t, page)
	}
	for i, page := range tabs {
		if status := page.signIn(t, "ada", "any"); status != 200 {
			t.Errorf("tab %d: %d: %s", i, status, page.text(t))
		}
		page.want(t, paths[i], "App of ada", "GET "+paths[i])
	}
}

// loginPosted gets the answer of the provider by a form: browsers send no Lax cookie
// with it.
func loginPosted(t *testing.T, o *office) {
	page := o.person(t)
	site := strings.Replace(o.site, "app.", "posted.", 1)
	page.visit(t, site+"/deep?a=1")
	o.atProvider(t, page)
	page.do(t, chromedp.SendKeys("#username", "bob"), chromedp.SendKeys("#password", "any"), chromedp.Click("button[type=submit]"))
	page.arrive(t, `location.origin == `+quoted(site)+` && location.pathname == '/deep'`)
	page.want(t, "/deep?a=1", "App of bob", "GET /deep?a=1")
}

// loginOther: who may not open a page is told as whom, and can log in as somebody
// who may, though the provider still knows them.
func loginOther(t *testing.T, o *office) {
	page := o.person(t)
	page.visit(t, o.site+"/admin/plans?a=1")
	o.atProvider(t, page)
	if status := page.signIn(t, "bob", "any"); status != 403 {
		t.Errorf("bob at a page of admins: %d", status)
	}
	page.want(t, "/admin/plans?a=1", "No access", "signed in as bob", "as someone else")
	if status := page.visit(t, o.site+"/mine"); status != 200 {
		t.Errorf("bob elsewhere: %d", status)
	}
	page.visit(t, o.site+"/admin/plans?a=1")
	page.leave(t, chromedp.Click(`a[href^="/oauth2/login"]`))
	o.atProvider(t, page)
	page.signIn(t, "ada", "any") // the provider logs bob out by a page that sends itself
	page.arrive(t, `location.pathname == '/admin/plans'`)
	page.want(t, "/admin/plans?a=1", "App of ada")
}

// loginDenied: who says no at the provider sees a page, none of the provider's
// words, and can try again. threat 65
func loginDenied(t *testing.T, o *office) {
	page := o.person(t)
	page.visit(t, o.site+"/deep?a=1")
	o.atProvider(t, page)
	if status := page.leave(t, chromedp.Click("#deny")); status != 403 {
		t.Errorf("the end of a login that was denied: %d", status)
	}
	text := page.text(t)
	if strings.Contains(text, "words of") || strings.Contains(text, "script") {
		t.Errorf("the page repeats what the provider said: %s", text)
	}
	page.leave(t, chromedp.Click(`a[href^="/oauth2/login"]`))
	o.atProvider(t, page)
	page.signIn(t, "ada", "any")
	page.want(t, "/deep?a=1", "App of ada")
}

// loginRenewed: a session is renewed without the browser knowing.
func loginRenewed(t *testing.T, o *office) {
	page := o.person(t)
	o.enter(t, page, "/", "cleo")
	o.counts(t)
	overdue(t)
	if status := page.visit(t, o.site+"/later"); status != 200 {
		t.Errorf("after the end of the access token: %d", status)
	}
	page.want(t, "/later", "App of cleo")
	if got := o.counts(t); got["refresh_token success"] != 1 || got["authorization_code success"] != 0 {
		t.Errorf("the provider counts %v", got)
	}
}

// loginOut logs out of the app and of the provider.
func loginOut(t *testing.T, o *office) {
	page := o.person(t)
	o.enter(t, page, "/", "ada")
	page.do(t, chromedp.Click("#out"))
	page.arrive(t, `!!document.getElementById('logout')`)
	if to := run1(t, page, chromedp.Location()); !strings.HasPrefix(to, o.issuer+"/session/end") {
		t.Errorf("the browser is at %s", to)
	}
	page.do(t, chromedp.Click("#logout"))
	page.arrive(t, `location.pathname == '/oauth2/logged-out'`)
	if text := page.text(t); !strings.Contains(text, "signed out") {
		t.Errorf("the page says %s", text)
	}
	page.visit(t, o.site+"/again")
	o.atProvider(t, page) // who asks again: both have forgotten
}

// loginOutElsewhere logs out at the provider, which tells the app. threat 73
func loginOutElsewhere(t *testing.T, o *office) {
	page, other := o.person(t), o.person(t)
	o.enter(t, page, "/", "ada")
	o.enter(t, other, "/", "ada")
	page.visit(t, o.issuer+"/session/end")
	page.leave(t, chromedp.Click("#logout"))
	page.arrive(t, `location.pathname.startsWith('/session/end/success')`)
	// Who logged out is out; the same user in another browser is not.
	eventually(t, 11*time.Second, "the session in the app has ended", func() bool {
		page.visit(t, o.site+"/again")
		return strings.HasPrefix(run1(t, page, chromedp.Location()), o.issuer+"/interaction/")
	})
	o.counts(t)
	if status := other.visit(t, o.site+"/still"); status != 200 {
		t.Errorf("the other session: %d", status)
	}
	other.want(t, "/still", "App of ada")
	if got := o.counts(t); got["authorization_code success"] != 0 {
		t.Error("the other session has ended too: the browser logged in again")
	}
}

// loginStream opens the app's WebSocket from its own page.
func loginStream(t *testing.T, o *office) {
	page := o.person(t)
	o.enter(t, page, "/", "ada")
	page.arrive(t, `said.textContent == 'ada: hello'`)
}

// loginForged opens pages of other origins: none of them gets at the app with the
// session, by a socket, a form or a script, nor logs anybody out.
func loginForged(t *testing.T, o *office) {
	page := o.person(t)
	o.enter(t, page, "/", "ada")
	page.arrive(t, `said.textContent == 'ada: hello'`)
	for _, from := range []string{o.beside, "http://evil.localhost:" + newApp(t)} {
		page.visit(t, from+"/")
		opened := o.app.opened.Load()
		got := script[string](t, page, `new Promise((done) => {
			const s = new WebSocket(`+quoted(strings.Replace(o.site, "https", "wss", 1)+streamPath)+`)
			s.onopen = () => done('open'); s.onerror = () => done('refused')
		})`)
		if got != "refused" || o.app.opened.Load() != opened {
			t.Errorf("a socket from %s: %s", from, got)
		}
		if f := page.fetch(t, o.site+"/save", `method: 'POST', credentials: 'include'`); f.Error == "" {
			t.Errorf("a script at %s reads %d", from, f.Status)
		}
		status := page.leave(t, chromedp.Evaluate[chromedp.Void](`const f = document.createElement('form'); f.method = 'post'; f.action = `+
			quoted(o.site+"/save")+`; document.body.append(f); f.submit()`))
		if strings.Contains(page.text(t), "POST /save") || status == 200 && !strings.HasPrefix(run1(t, page, chromedp.Location()), o.issuer) {
			t.Errorf("a form at %s: %d: %s", from, status, page.text(t))
		}
		page.visit(t, from+"/")
		page.leave(t, chromedp.Evaluate[chromedp.Void](`location = `+quoted(o.site+"/oauth2/logout?"+url.Values{"return_to": {"/left"}}.Encode())))
		page.want(t, "/oauth2/logout?return_to=%2Fleft", "Sign out?")
		page.visit(t, o.site+"/")
		page.want(t, "/", "App of ada")
	}
}
