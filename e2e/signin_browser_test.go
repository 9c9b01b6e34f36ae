package e2e

import (
	"net/url"
	"strings"
	"testing"

	"github.com/chromedp/cdproto/network"
	"github.com/chromedp/chromedp"
)

// TestSignIn goes to a page deep in the site, signs in with a wrong and then with
// the right password, comes back to that page, and signs out.
func TestSignIn(t *testing.T) {
	t.Parallel()
	d := startDesk(t)
	page := d.person(t)
	said := page.complaints(t)
	const deep = "/reports/7?year=2026&x=a%20b&x=%2F"
	login := "/oauth2/login?" + url.Values{"return_to": {deep}}.Encode()

	if status := page.visit(t, d.site+deep); status != 200 {
		t.Errorf("the sign-in page: %d", status)
	}
	page.want(t, login, "Sign in", "User name", "Password")

	if status := page.signIn(t, "ada", bobPassword); status != 401 {
		t.Errorf("a wrong password: %d", status)
	}
	page.want(t, "/oauth2/login", "User name or password is wrong.")
	page.arrive(t, `document.activeElement.id == 'password'`)
	if got := script[[]string](t, page, `[username.value, password.value]`); strings.Join(got, "|") != "ada|" {
		t.Errorf("user name and password after a wrong password: %q", got)
	}
	if status := page.signIn(t, "nobody-at-all", adaPassword); status != 401 {
		t.Errorf("an unknown user: %d", status)
	}
	page.want(t, "/oauth2/login", "User name or password is wrong.")

	if status := page.signIn(t, "ada", adaPassword); status != 200 {
		t.Errorf("signed in: %d", status)
	}
	page.want(t, deep, "Papers of ada", "GET "+deep)
	cookies, err := chromedp.Call(page.ctx, network.GetCookies, network.GetCookiesParams{})
	if err != nil || len(cookies.Cookies) != 1 {
		t.Fatalf("%d cookies, %v", len(cookies.Cookies), err)
	}
	cookie := cookies.Cookies[0]
	d.sent.add(cookie.Value)
	if cookie.Name != "__Host-admit-home" || !cookie.HTTPOnly || !cookie.Secure || cookie.SameSite != network.CookieSameSiteLax || cookie.Path != "/" || cookie.Domain != "desk.localhost" {
		t.Errorf("the cookie is %+v", cookie)
	}
	if seen := script[string](t, page, `document.cookie`); seen != "" {
		t.Errorf("a script sees %q", seen)
	}
	if status := page.visit(t, d.site+"/admin/"); status != 200 {
		t.Errorf("the page of admins: %d", status)
	}
	if status := page.leave(t, chromedp.Click("#save")); status != 200 {
		t.Errorf("a form of the site: %d", status)
	}
	page.want(t, "/save", "POST /save")

	page.signOut(t, chromedp.Click("#out"), "/oauth2/logged-out")
	page.want(t, "/oauth2/logged-out", "You are signed out of this site.")
	if text := said.String(); strings.Contains(text, "Security Policy") || strings.Contains(text, "rror") {
		t.Errorf("the browser says %q", text)
	}
}

// TestSignOutBack goes back after the log-out, step by step: nothing of what was
// protected is shown, though the app lets the browser keep its pages.
func TestSignOutBack(t *testing.T) {
	t.Parallel()
	d := startDesk(t)
	for link, end := range map[string]string{
		"/oauth2/logout":                 "/oauth2/logged-out",
		"/oauth2/logout?return_to=/left": "/oauth2/login",
	} {
		page := d.person(t)
		page.visit(t, d.site+"/one")
		page.signIn(t, "ada", adaPassword)
		page.want(t, "/one", "Papers of ada")
		page.visit(t, d.site+"/two")
		page.want(t, "/two", "Papers of ada")
		script[any](t, page, `document.getElementById('out').href = `+quoted(link))
		page.signOut(t, chromedp.Click("#out"), end)
		for _, from := range []string{"/two", "/one"} {
			page.back(t)
			if text := page.text(t); strings.Contains(text, "Papers") || !strings.Contains(text, "Sign in") {
				t.Errorf("%s: back at %s, at %s: %s", link, from, page.at(t), text)
			}
		}
		if status := page.visit(t, d.site+"/three"); status != 200 || !strings.HasPrefix(page.at(t), "/oauth2/login?") {
			t.Errorf("%s: after the log-out: %d at %s", link, status, page.at(t))
		}
	}
}

// TestSignInRefused: who may not open a page is told as whom, and can sign in as
// somebody who may.
func TestSignInRefused(t *testing.T) {
	t.Parallel()
	d := startDesk(t)
	page := d.person(t)
	page.visit(t, d.site+"/admin/plans?a=1")
	if status := page.signIn(t, "bob", bobPassword); status != 403 {
		t.Errorf("bob at a page of admins: %d", status)
	}
	page.want(t, "/admin/plans?a=1", "No access", "You are signed in as bob.", "Sign in as someone else", "rule")
	if status := page.visit(t, d.site+"/mine"); status != 200 {
		t.Errorf("bob elsewhere: %d", status)
	}
	page.visit(t, d.site+"/admin/plans?a=1")
	page.leave(t, chromedp.Click(`a[href^="/oauth2/login"]`))
	if status := page.signIn(t, "ada", adaPassword); status != 200 {
		t.Errorf("ada at a page of admins: %d", status)
	}
	page.want(t, "/admin/plans?a=1", "Papers of ada")
	if status := page.visit(t, strings.Replace(d.site, "desk.", "other.", 1)+"/"); status != 401 {
		t.Errorf("the session counts on another host: %d", status)
	}
}

// TestSignInForged: a page of another site can neither sign somebody in, nor out,
// nor send a form in somebody's name.
func TestSignInForged(t *testing.T) {
	t.Parallel()
	d := startDesk(t)
	page := d.person(t)
	app := "http://app.localhost:" + newApp(t)
	send := func(to string, fields map[string]string) int {
		page.visit(t, app)
		var code strings.Builder
		code.WriteString(`const f = document.createElement('form'); f.method = 'post'; f.action = ` + quoted(to) + `;`)
		for name, value := range fields {
			code.WriteString(`f.append(Object.assign(document.createElement('input'), {name: ` + quoted(name) + `, value: ` + quoted(value) + `}));`)
		}
		code.WriteString(`document.body.append(f); f.submit()`)
		return page.leave(t, chromedp.Evaluate[chromedp.Void](code.String()))
	}
	if status := send(d.site+"/oauth2/login", map[string]string{"username": "bob", "password": bobPassword, "return_to": "/"}); status != 403 {
		t.Errorf("a sign-in form of another site: %d", status)
	}
	page.want(t, "/oauth2/login", "Sent from another site")
	if status := page.visit(t, d.site+"/"); status != 200 || !strings.HasPrefix(page.at(t), "/oauth2/login?") {
		t.Errorf("after that: %d at %s", status, page.at(t))
	}
	page.signIn(t, "ada", adaPassword)
	page.want(t, "/", "Papers of ada")

	page.visit(t, app)
	page.leave(t, chromedp.Evaluate[chromedp.Void](`location = `+quoted(d.site+"/oauth2/logout?return_to=/left")))
	page.want(t, "/oauth2/logout?return_to=/left", "Sign out?")
	send(d.site+"/oauth2/logout", nil)
	page.want(t, "/oauth2/logout", "Sign out?")
	if status := send(d.site+"/save", nil); status == 200 && strings.Contains(page.text(t), "POST /save") {
		t.Error("a form of another site reaches the app with a session")
	}
	page.visit(t, d.site+"/")
	page.want(t, "/", "Papers of ada")

	page.visit(t, app)
	page.leave(t, chromedp.Evaluate[chromedp.Void](`location = `+quoted(d.site+"/oauth2/logout?return_to=/left")))
	page.signOut(t, chromedp.Click("button[type=submit]"), "/oauth2/login")
	page.want(t, "/oauth2/login?return_to=%2Fleft", "Sign in")
}

func quoted(text string) string { return `'` + strings.ReplaceAll(text, `'`, `\'`) + `'` }
