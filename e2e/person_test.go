package e2e

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"html"
	"io"
	"maps"
	"net"
	"net/http"
	"net/http/cookiejar"
	"net/url"
	"os"
	"regexp"
	"strings"
	"testing"
	"time"
)

// person is somebody whose browser is a client in this process: it keeps cookies,
// follows redirects and says that it navigates.
type person struct {
	*http.Client
	t *testing.T
}

// newPerson has no cookies yet. Beside the authorities of the system it trusts the
// certificates in the files.
func newPerson(t *testing.T, authorities ...string) *person {
	t.Helper()
	trusted := x509.NewCertPool()
	for _, file := range authorities {
		text, err := os.ReadFile(file)
		if err != nil || !trusted.AppendCertsFromPEM(text) {
			t.Fatalf("%s: no certificate, %v", file, err)
		}
	}
	transport := &http.Transport{DialContext: dialLoopback, TLSClientConfig: &tls.Config{RootCAs: trusted}}
	t.Cleanup(transport.CloseIdleConnections)
	cookies, _ := cookiejar.New(nil)
	return &person{&http.Client{Jar: jar{cookies}, Timeout: 30 * time.Second, Transport: navigation{transport}}, t}
}

// dialLoopback takes every name below localhost for this machine.
func dialLoopback(ctx context.Context, network, address string) (net.Conn, error) {
	host, port, err := net.SplitHostPort(address)
	if err != nil {
		return nil, err
	}
	if strings.HasSuffix(host, ".localhost") {
		address = net.JoinHostPort("127.0.0.1", port)
	}
	return new(net.Dialer).DialContext(ctx, network, address)
}

// navigation sends what browsers send when somebody follows a link. Unlike Go's
// client, browsers do not take a redirect for a page that refers to the next one.
type navigation struct{ http.RoundTripper }

func (n navigation) RoundTrip(r *http.Request) (*http.Response, error) {
	r = r.Clone(r.Context())
	r.Header.Del("Referer")
	r.Header.Set("Accept", "text/html")
	r.Header.Set("Sec-Fetch-Mode", "navigate")
	r.Header.Set("Sec-Fetch-Dest", "document")
	return n.RoundTripper.RoundTrip(r)
}

// jar keeps the cookies of 127.0.0.1 apart by port, so that what listens there are
// several sites, and takes http on loopback for as good as https, as browsers do.
type jar struct{ *cookiejar.Jar }

func (j jar) SetCookies(u *url.URL, cookies []*http.Cookie) {
	for _, c := range cookies {
		if c.Domain == "127.0.0.1" {
			c.Domain = "" // what a domain means that is an address
		}
	}
	j.Jar.SetCookies(site(u), cookies)
}

func (j jar) Cookies(u *url.URL) []*http.Cookie { return j.Jar.Cookies(site(u)) }

func site(u *url.URL) *url.URL {
	host := u.Hostname()
	if host == "127.0.0.1" {
		host = "port" + u.Port() + ".test"
	}
	return &url.URL{Scheme: "https", Host: host, Path: u.Path}
}

// sight is what a person sees, and where.
type sight struct {
	status int
	at     *url.URL
	header http.Header
	body   string
}

// visit opens a page.
func (p *person) visit(to string) sight {
	p.t.Helper()
	return p.see(p.Get(to))
}

// post sends a form of the page that is open.
func (p *person) post(from sight, to string, form url.Values) sight {
	p.t.Helper()
	target, err := from.at.Parse(to)
	if err != nil {
		p.t.Fatal(err)
	}
	req, err := http.NewRequest(http.MethodPost, target.String(), strings.NewReader(form.Encode()))
	if err != nil {
		p.t.Fatal(err)
	}
	req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	req.Header.Set("Origin", from.at.Scheme+"://"+from.at.Host)
	return p.see(p.Do(req))
}

func (p *person) see(resp *http.Response, err error) sight {
	p.t.Helper()
	if err != nil {
		p.t.Fatal(err)
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	if err != nil {
		p.t.Fatal(err)
	}
	return sight{resp.StatusCode, resp.Request.URL, resp.Header, string(body)}
}

// logIn opens a page that leads to the login form of oidc-provider, and logs in
// there.
func (p *person) logIn(to, user string) sight {
	p.t.Helper()
	form := p.visit(to)
	if !strings.HasPrefix(form.at.Path, "/interaction/") {
		p.t.Fatalf("%s leads to %s%s, %d: %s", to, form.at.Host, form.at.Path, form.status, form.body)
	}
	return p.post(form, "", url.Values{"username": {user}, "password": {"any"}})
}

// setCookie puts a cookie into the browser, as a page of the site could.
func (p *person) setCookie(at, name, value string) {
	p.t.Helper()
	u, err := url.Parse(at)
	if err != nil {
		p.t.Fatal(err)
	}
	p.Jar.SetCookies(u, []*http.Cookie{{Name: name, Value: value, Path: "/", Secure: true}})
}

// submit sends the only form of a page as it is, with more fields.
func (p *person) submit(from sight, more url.Values) sight {
	p.t.Helper()
	action := formAction.FindStringSubmatch(from.body)
	if action == nil {
		p.t.Fatalf("no form at %s, %d: %s", from.at.Redacted(), from.status, from.body)
	}
	form := url.Values{}
	for _, input := range formInput.FindAllStringSubmatch(from.body, -1) {
		form.Set(input[1], html.UnescapeString(input[2]))
	}
	maps.Copy(form, more)
	return p.post(from, html.UnescapeString(action[1]), form)
}

var (
	formAction = regexp.MustCompile(`<form[^>]* action="([^"]*)"`)
	formInput  = regexp.MustCompile(`<input[^>]* name="([^"]*)"[^>]* value="([^"]*)"`)
)
