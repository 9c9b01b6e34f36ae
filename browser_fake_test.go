package admit

import (
	"cmp"
	"context"
	"fmt"
	"html"
	"io"
	"net"
	"net/http"
	"net/url"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"
)

// webBrowser goes from page to page as browsers do: it follows redirects, sends
// forms that send themselves, keeps cookies by host and site, and says with each
// request where it comes from. Hosts at localhost and below app.localhost are
// Caddy's; 127.0.0.1, where providers are, is another site.
type webBrowser struct {
	t       *testing.T
	f       *front
	cookies []*http.Cookie // with Domain always set; host-only ones without its dot
	at      *url.URL       // the page that is shown, nil for none
	trail   []hop          // of the last navigation
	// transport keeps connections, all to Caddy at one address.
	transport *http.Transport
	addr      string
}

// hop is one request of a navigation.
type hop struct {
	method string
	url    *url.URL
	status int
	answer answered
}

// navigated is a request that a browser is about to make.
type navigated struct {
	method, target string
	form           url.Values
	from           *url.URL // the page that it comes from, nil for a typed address
	crossed        bool     // a redirect of another site was on the way
	headers        []string // others
}

func (f *front) web() *webBrowser { return &webBrowser{t: f.t, f: f} }

// open types an address: a path is one of localhost.
func (b *webBrowser) open(target string, headers ...string) answered {
	b.t.Helper()
	return b.navigate(navigated{method: "GET", target: target, headers: headers})
}

// click follows a link of the page that is shown.
func (b *webBrowser) click(target string, headers ...string) answered {
	b.t.Helper()
	return b.navigate(navigated{method: "GET", target: b.resolve(target), from: b.at, headers: headers})
}

// submit sends a form of the page that is shown.
func (b *webBrowser) submit(target string, form url.Values) answered {
	b.t.Helper()
	return b.navigate(navigated{method: "POST", target: b.resolve(target), from: b.at, form: form})
}

// resolve reads a link of the page that is shown, which may be none.
func (b *webBrowser) resolve(target string) string {
	if b.at == nil {
		return target
	}
	u, err := b.at.Parse(target)
	if err != nil {
		b.t.Fatal(err)
	}
	return u.String()
}

// arrive comes back from a provider that nothing else is known of.
func (b *webBrowser) arrive(target string, headers ...string) answered {
	b.t.Helper()
	return b.navigate(navigated{method: "GET", target: target, from: &url.URL{Scheme: "http", Host: "127.0.0.1"}, headers: headers})
}

// once makes one request of a navigation and goes no further.
func (b *webBrowser) once(target string, headers ...string) answered {
	b.t.Helper()
	a, _ := b.request(navigated{method: "GET", target: target, headers: headers})
	return a
}

// fetch is what a script of the page at localhost asks for.
func (b *webBrowser) fetch(method, target string, headers ...string) answered {
	b.t.Helper()
	trail := b.trail
	a, _ := b.request(navigated{method: method, target: target, from: &url.URL{Scheme: "http", Host: "localhost"}, headers: append(slices.Clone(script), headers...)})
	b.trail = trail // it is no navigation
	return a
}

// navigate goes on until there is a page to look at.
func (b *webBrowser) navigate(n navigated) answered {
	b.t.Helper()
	b.trail = nil
	for range 20 {
		a, u := b.request(n)
		next, ok := leadsTo(a, u, n)
		if !ok {
			b.at = u
			return a
		}
		n = next
	}
	b.t.Fatalf("in circles: %v", b.trail)
	return answered{}
}

var (
	selfSent    = regexp.MustCompile(`onload="document\.forms\[0\]\.submit\(\)".*action="([^"]*)"`)
	hiddenField = regexp.MustCompile(`<input type="hidden" name="([^"]*)" value="([^"]*)">`)
	metaRefresh = regexp.MustCompile(`<meta http-equiv="refresh" content="0; ?url=([^"]*)"`)
)

// leadsTo returns where a page leads by itself.
func leadsTo(a answered, u *url.URL, n navigated) (navigated, bool) {
	to := func(target string) string {
		next, err := u.Parse(target)
		if err != nil {
			return target
		}
		return next.String()
	}
	// Somebody has done something at the provider: the way back is its own.
	crossed := n.crossed || n.from != nil && !sameSite(n.from, u) || u.Hostname() == "127.0.0.1"
	if location := a.Header.Get("Location"); a.StatusCode/100 == 3 && location != "" {
		return navigated{method: "GET", target: to(location), from: n.from, crossed: crossed, headers: n.headers}, true
	}
	if form := selfSent.FindStringSubmatch(a.body); form != nil {
		next := navigated{method: "POST", target: to(html.UnescapeString(form[1])), from: u, form: url.Values{}}
		for _, field := range hiddenField.FindAllStringSubmatch(a.body, -1) {
			next.form.Add(html.UnescapeString(field[1]), html.UnescapeString(field[2]))
		}
		return next, true
	}
	target, ok := strings.CutPrefix(a.Header.Get("Refresh"), "0; url=")
	if meta := metaRefresh.FindStringSubmatch(a.body); meta != nil {
		target, ok = html.UnescapeString(meta[1]), true
	}
	return navigated{method: "GET", target: to(target), from: u}, ok
}

// request makes one request and takes the cookies of its answer.
func (b *webBrowser) request(n navigated) (answered, *url.URL) {
	b.t.Helper()
	u, err := (&url.URL{Scheme: "http", Host: "localhost", Path: "/"}).Parse(n.target)
	if err != nil {
		b.t.Fatal(err)
	}
	var body io.Reader
	if n.form != nil {
		body = strings.NewReader(n.form.Encode())
	}
	ctx, cancel := context.WithTimeout(b.t.Context(), 20*time.Second)
	defer cancel()
	r, err := http.NewRequestWithContext(ctx, n.method, u.String(), body)
	if err != nil {
		b.t.Fatal(err)
	}
	b.mark(r, n)
	resp, err := b.connected().RoundTrip(r)
	if err != nil {
		b.t.Fatal(err)
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(resp.Body)
	if err != nil {
		b.t.Fatal(err)
	}
	a := answered{resp, string(text)}
	b.keep(u, resp.Cookies())
	b.trail = append(b.trail, hop{n.method, u, a.StatusCode, a})
	return a, u
}

// connected returns what makes the connections: new ones after a reload.
func (b *webBrowser) connected() *http.Transport {
	if b.addr == b.f.addr {
		return b.transport
	}
	b.addr = b.f.addr
	dial := func(ctx context.Context, network, addr string) (net.Conn, error) {
		if !strings.HasPrefix(addr, "127.0.0.1:") {
			addr = b.addr
		}
		return new(net.Dialer).DialContext(ctx, network, addr)
	}
	b.transport = &http.Transport{DisableCompression: true, DialContext: dial}
	b.t.Cleanup(b.transport.CloseIdleConnections)
	return b.transport
}

// mark sets the headers that say what a request is for and where it comes from
// (Fetch Metadata), and the cookies that go with it.
func (b *webBrowser) mark(r *http.Request, n navigated) {
	h := r.Header
	site := "none"
	switch {
	case n.crossed || n.from != nil && !sameSite(n.from, r.URL):
		site = "cross-site"
	case n.from != nil && n.from.Host == r.URL.Host:
		site = "same-origin"
	case n.from != nil:
		site = "same-site"
	}
	h.Set("Sec-Fetch-Site", site)
	h.Set("Sec-Fetch-Mode", "navigate")
	h.Set("Sec-Fetch-Dest", "document")
	h.Set("Accept", "text/html,application/xhtml+xml,*/*;q=0.8")
	if n.form != nil {
		h.Set("Content-Type", "application/x-www-form-urlencoded")
	}
	if n.method != http.MethodGet && n.method != http.MethodHead && n.from != nil {
		h.Set("Origin", n.from.Scheme+"://"+n.from.Host)
	}
	if cookies := b.cookieLine(r.URL, site == "cross-site", n.method == http.MethodGet); cookies != "" {
		h.Set("Cookie", cookies)
	}
	for _, line := range n.headers {
		name, value, _ := strings.Cut(line, ": ")
		if h.Set(name, value); value == "-" {
			h.Del(name)
		}
	}
}

// cookieLine lists the cookies of an address. Those of a strict site stay at home
// when another site leads here, and of the others all but None with a form.
func (b *webBrowser) cookieLine(u *url.URL, crossSite, get bool) string {
	var pairs []string
	for _, c := range b.cookies {
		host := u.Hostname()
		domain, below := strings.CutPrefix(c.Domain, ".")
		here := host == domain || below && strings.HasSuffix(host, c.Domain)
		kept := crossSite && (c.SameSite == http.SameSiteStrictMode || c.SameSite != http.SameSiteNoneMode && !get)
		if here && !kept && (c.Path == "/" || strings.HasPrefix(u.Path, c.Path)) {
			pairs = append(pairs, c.Name+"="+c.Value)
		}
	}
	return strings.Join(pairs, "; ")
}

// keep takes cookies as a browser does that trusts loopback like https.
func (b *webBrowser) keep(u *url.URL, cookies []*http.Cookie) {
	for _, c := range cookies {
		if strings.HasPrefix(c.Name, "__Host-") && (!c.Secure || c.Domain != "" || c.Path != "/") || strings.HasPrefix(c.Name, "__Secure-") && !c.Secure ||
			c.SameSite == http.SameSiteNoneMode && !c.Secure || len(c.Raw) > 4096 {
			b.t.Errorf("no browser keeps the cookie %.200s", c.Raw)
			continue
		}
		if c.Domain != "" {
			c.Domain = "." + strings.TrimPrefix(c.Domain, ".")
			if u.Hostname() != c.Domain[1:] && !strings.HasSuffix(u.Hostname(), c.Domain) {
				b.t.Errorf("%s sets a cookie for %s", u.Hostname(), c.Domain)
			}
		}
		c.Domain, c.Path = cmp.Or(c.Domain, u.Hostname()), cmp.Or(c.Path, "/")
		same := func(old *http.Cookie) bool { return old.Name == c.Name && old.Domain == c.Domain && old.Path == c.Path }
		b.cookies = slices.DeleteFunc(b.cookies, same)
		if c.MaxAge >= 0 && (c.Expires.IsZero() || c.Expires.After(now())) {
			b.cookies = append(b.cookies, c)
		}
	}
}

// sameSite reports whether two addresses are of one site: hosts below app.localhost
// are.
func sameSite(a, b *url.URL) bool {
	site := func(u *url.URL) string {
		if strings.HasSuffix(u.Hostname(), ".app.localhost") {
			return "app.localhost"
		}
		return u.Hostname()
	}
	return a.Scheme == b.Scheme && site(a) == site(b)
}

// names lists the cookies with a prefix.
func (b *webBrowser) names(prefix string) (names []string) {
	for _, c := range b.cookies {
		if strings.HasPrefix(c.Name, prefix) {
			names = append(names, c.Name)
		}
	}
	slices.Sort(names)
	return names
}

// value returns a cookie, "" for none.
func (b *webBrowser) value(name string) string {
	for _, c := range b.cookies {
		if c.Name == name {
			return c.Value
		}
	}
	return ""
}

func (h hop) String() string { return fmt.Sprint(h.method, " ", h.url, " ", h.status) }
