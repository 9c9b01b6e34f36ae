package admit

import (
	"fmt"
	"net/url"
	"os"
	"slices"
	"strings"
	"testing"
)

// loginSite is one site where people log in with a provider: what a test sets
// beside the six lines that are needed.
type loginSite struct {
	options string // of the integration
	login   string // in its login block
	session string // in its session block
	gate    string // of the gate
	issuer  string // line about the issuer; default: the provider's
	secret  string // line about the client's secret; default: clientSecret
}

// integration is the provider as an integration named corp.
func (p *fakeProvider) integration(s loginSite) string {
	issuer, secret, session := "issuer "+p.issuer, fmt.Sprintf("client_secret %q", clientSecret), ""
	if s.issuer != "" {
		issuer = s.issuer
	}
	if s.secret != "" {
		secret = s.secret
	}
	if s.session != "" {
		session = "session {\n" + s.session + "\n}\n"
	}
	return fmt.Sprintf("admit corp {\n%s\n%s\nlogin {\nclient_id %s\n%s\n%s\n}\n%s}\n", issuer, s.options, clientID, secret, s.login, session)
}

// body is the site: a gate that says who it is, before an application.
func (s loginSite) body(t *testing.T) string {
	t.Helper()
	return "admit corp {\nlogin\n" + whoHeaders + s.gate + "\n}\n" + upstream(t)
}

const whoHeaders = `header_up X-User {http.auth.user.id}
	header_up X-Groups {http.auth.user.groups}
	header_up X-Email {http.auth.user.claims.email}
	header_up X-Name {http.auth.user.claims.name}
	`

// serveLogin runs the site. At the end of the test nothing that is secret may be in
// Caddy's log (threat 94).
func (p *fakeProvider) serveLogin(s loginSite) (*front, *testDisk) {
	p.t.Helper()
	f, disk := serveHome(p.t, p.integration(s), s.body(p.t))
	p.t.Cleanup(func() { p.keptSecret(f) })
	return f, disk
}

// keptSecret fails if the log holds a code, a token, a verifier or what a provider
// said in its own words.
func (p *fakeProvider) keptSecret(f *front) {
	log, err := os.ReadFile(f.log)
	if err != nil {
		p.t.Error(err)
	}
	secrets := p.secrets()
	secrets = append(secrets[max(0, len(secrets)-200):], "marked-text", "marked:secret", clientSecret)
	for _, secret := range secrets {
		if strings.Contains(string(log), secret) {
			p.t.Errorf("the log holds %q", secret)
		}
	}
}

// logIn opens a page and comes back to it, logged in.
func (b *webBrowser) logIn() seen {
	b.t.Helper()
	a := b.open("/deep/link?a=1&b=%2F%3F&c")
	if !a.reached() {
		b.t.Fatalf("not logged in: %v\n%s", b.trail, a.body)
	}
	got := a.seen(b.t)
	if got.URI != "/deep/link?a=1&b=%2F%3F&c" || got.Header.Get("Cookie") != "" {
		b.t.Errorf("the application saw %v", got)
	}
	return got
}

// isIn reports whether the browser has a session, without logging in.
func (b *webBrowser) isIn() bool {
	b.t.Helper()
	return b.fetch("GET", "/is-in").reached()
}

// refused fails unless a login ended with a page that says so: no session, no loop,
// nothing of what the provider said.
func (b *webBrowser) refused(a answered, status int, reason string) {
	b.t.Helper()
	if a.StatusCode != status || !strings.Contains(a.body, reason) {
		b.t.Errorf("got %d, want %d with %s: %v\n%s", a.StatusCode, status, reason, b.trail, a.body)
		return
	}
	checkPage(b.t, a)
	if cc := a.Header.Get("Cache-Control"); !strings.Contains(cc, "no-store") {
		b.t.Errorf("Cache-Control %q", cc)
	}
	if strings.Contains(a.body, "marked") || strings.Contains(fmt.Sprint(a.Header), "marked") || strings.Contains(a.body, "<script") {
		b.t.Errorf("what the provider said is in the page:\n%s", a.body)
	}
	if names := b.sessionCookies(); len(names) > 0 || b.isIn() {
		b.t.Errorf("there is a session: %v", names)
	}
}

const (
	sessionName = "__Host-admit-corp"
	stateName   = sessionName + ".state."
)

// sessionCookies lists those that hold a session.
func (b *webBrowser) sessionCookies() []string {
	return slices.DeleteFunc(b.names(sessionName), func(name string) bool { return name != sessionName && name != sessionName+".1" })
}

// begin goes to the provider and stops before it answers: it returns what the
// provider is asked.
func (b *webBrowser) begin(target string) (asked url.Values) {
	b.t.Helper()
	return b.onward("/oauth2/login?" + url.Values{"return_to": {target}}.Encode())
}

// onward is begin for a link to the login page.
func (b *webBrowser) onward(link string) (asked url.Values) {
	b.t.Helper()
	a := b.once(link)
	u, err := url.Parse(location(a))
	if a.StatusCode != 302 && a.StatusCode != 303 || err != nil || u.Path != "/authorize" {
		b.t.Fatalf("login: %d to %q\n%s", a.StatusCode, location(a), a.body)
	}
	return u.Query()
}

// answerOf lets the provider answer a login that was begun, without going there
// with the browser, and returns the parameters of the callback.
func (p *fakeProvider) answerOf(b *webBrowser, asked url.Values) url.Values {
	p.t.Helper()
	elsewhere := &webBrowser{t: b.t, f: b.f, transport: b.connected(), addr: b.addr}
	a := elsewhere.once(p.URL + "/authorize?" + asked.Encode())
	u, err := url.Parse(location(a))
	if err != nil || a.StatusCode != 302 {
		p.t.Fatalf("provider: %d to %q", a.StatusCode, location(a))
	}
	return u.Query()
}

// callback brings an answer back, as the provider's redirect does.
func (b *webBrowser) callback(answer url.Values, headers ...string) answered {
	b.t.Helper()
	return b.arrive("/oauth2/callback?"+answer.Encode(), headers...)
}
