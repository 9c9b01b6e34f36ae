package admit

import (
	"crypto/tls"
	"encoding/json"
	"io"
	"net/http"
	"net/http/cookiejar"
	"net/url"
	"strings"
	"testing"
)

// localExamples holds, for each example with users of its own, what is sent to it
// at an address.
var localExamples = map[string]func(*testing.T, string){
	"ml-api":         visitMLAPI,
	"basic-and-keys": visitBasicAndKeys,
	"home":           visitHome,
}

func visitMLAPI(t *testing.T, addr string) {
	const host = "api.example.com"
	permitted := exampleToken(t, addr, host, "ada", "demo")
	other := exampleToken(t, addr, host, "guest", "demo")
	bearer, cookie := "Authorization: Bearer ", "Cookie: theme=dark; access_token="
	for _, row := range []exampleRow{
		{name: "public", path: "/public/health", status: 200, body: "in\n"},
		{name: "public, with a header of its own", path: "/public/health", headers: []string{"X-User: root"}, status: 200, body: "in\n"},
		{name: "public, a change", method: "POST", path: "/public/health", status: 401, body: "missing_credential"},
		{name: "private", path: "/private/predict", status: 401, body: "missing_credential"},
		{name: "private, its root", path: "/private", status: 401, body: "missing_credential"},
		{name: "private, permitted", method: "POST", path: "/private/predict", headers: []string{bearer + permitted}, status: 200, body: "X-User: ada\n"},
		{name: "private, not permitted", method: "POST", path: "/private/predict", headers: []string{bearer + other}, status: 403, body: "rule"},
		{name: "private, permitted by cookie", path: "/private/predict", headers: []string{cookie + permitted}, status: 200, body: "X-User: ada\n"},
		{name: "private, not permitted by cookie", path: "/private/predict", headers: []string{cookie + other}, status: 403, body: "rule"},
		{name: "a change by cookie, of another site", method: "POST", path: "/private/predict", headers: []string{cookie + permitted, "Sec-Fetch-Site: cross-site"}, status: 403, body: "cross_origin"},
		{name: "a forged signature", path: "/private/predict", headers: []string{bearer + permitted[:len(permitted)-8] + "AAAAAAAA"}, status: 401, body: "token"},
		{name: "the rest", path: "/models", headers: []string{bearer + other}, status: 200, body: "X-User: guest\n"},
	} {
		row.host = host
		t.Run(row.name, func(t *testing.T) { row.send(t, addr) })
	}
}

// exampleToken signs in at the token endpoint.
func exampleToken(t *testing.T, addr, host, user, password string) string {
	t.Helper()
	form := url.Values{"grant_type": {"password"}, "username": {user}, "password": {password}}
	client := http.Client{Transport: behindProxy(addr)}
	resp, err := client.PostForm("https://"+host+"/oauth2/token", form)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	var answer struct {
		AccessToken string `json:"access_token"`
		ExpiresIn   int    `json:"expires_in"`
	}
	if err := json.NewDecoder(resp.Body).Decode(&answer); err != nil || resp.StatusCode != 200 || answer.ExpiresIn != 300 {
		t.Fatalf("got %d %+v, %v", resp.StatusCode, answer, err)
	}
	return answer.AccessToken
}

func visitBasicAndKeys(t *testing.T, addr string) {
	const host, key = "files.example.com", "admit_published-so-it-protects-nothing"
	const hello, wrong = "Authorization: Basic aGVsbG86cGFzcw==", "Authorization: Basic aGVsbG86cGFzdA=="
	for _, row := range []exampleRow{
		{name: "nobody", path: "/", status: 401, body: "missing_credential"},
		{name: "password", path: "/", headers: []string{hello}, status: 200, body: "X-User: hello\n"},
		{name: "password, a change", method: "PUT", path: "/", headers: []string{hello}, status: 200, body: "X-User: hello\n"},
		{name: "wrong password", path: "/", headers: []string{wrong}, status: 401, body: "bad_password"},
		{name: "key", path: "/", headers: []string{"X-Api-Key: " + key}, status: 200, body: "X-User: backup\n"},
		{name: "key as a token", path: "/", headers: []string{"Authorization: Bearer " + key}, status: 200, body: "X-User: backup\n"},
		{name: "wrong key", path: "/", headers: []string{"X-Api-Key: " + key + "x"}, status: 401, body: "bad_api_key"},
		{name: "key, a change", method: "PUT", path: "/", headers: []string{"X-Api-Key: " + key}, status: 403, body: "denied"},
		{name: "password and key", path: "/", headers: []string{hello, "X-Api-Key: " + key}, status: 400, body: "several_credentials"},
	} {
		row.host = host
		t.Run(row.name, func(t *testing.T) { row.send(t, addr) })
	}
	t.Run("prompt", func(t *testing.T) {
		resp, _ := newBrowser(t, behindProxy(addr)).open("https://" + host + "/")
		if got := strings.Join(resp.Header["Www-Authenticate"], "\n"); resp.StatusCode != 401 || !strings.Contains(got, `Basic realm="files.example.com"`) {
			t.Errorf("got %d with %q", resp.StatusCode, got)
		}
	})
}

func visitHome(t *testing.T, addr string) {
	const photos, films, router = "https://photos.home.example.com/", "https://films.home.example.com/", "https://router.home.example.com/"
	for _, tc := range []struct {
		user, password               string
		photos, films, router, share int
	}{
		{user: "ada", password: "family-demo", photos: 200, films: 200, router: 200, share: 200},
		{user: "grace", password: "family-demo", photos: 200, films: 200, router: 403, share: 200},
		{user: "visitor", password: "guest-demo", photos: 200, films: 403, router: 403, share: 403},
		{user: "visitor", password: "family-demo", photos: 401, films: 401, router: 401, share: 401},
	} {
		t.Run(tc.user+" with "+tc.password, func(t *testing.T) {
			b := newBrowser(t, behindProxy(addr))
			resp, body := b.signIn(photos+"2026?album=1", tc.user, tc.password)
			if resp.StatusCode != tc.photos || tc.photos == 200 && (resp.Request.URL.RequestURI() != "/2026?album=1" || !strings.Contains(body, "X-User: "+tc.user)) {
				t.Fatalf("photos: got %d at %v: %s", resp.StatusCode, resp.Request.URL, body)
			}
			if tc.photos != 200 {
				return
			}
			for target, want := range map[string]int{films: tc.films, router: tc.router} {
				if resp, body := b.open(target); resp.StatusCode != want {
					t.Errorf("%s: got %d: %s", target, resp.StatusCode, body)
				}
			}
			if resp, body := b.send(photos, url.Values{"title": {"x"}}); resp.StatusCode != tc.share {
				t.Errorf("adding: got %d: %s", resp.StatusCode, body)
			}
			b.open(films + "oauth2/logout")
			if resp, _ := b.open(photos); resp.Request.URL.Path != "/oauth2/login" {
				t.Errorf("signed out of one: the other shows %v", resp.Request.URL)
			}
		})
	}
}

// The README says in words what a browser shows.
func TestReadmeQuickstartBrowser(t *testing.T) {
	start := "https://" + startQuickstart(t) + "/"
	b := newBrowser(t, &http.Transport{TLSClientConfig: &tls.Config{InsecureSkipVerify: true}})
	show := func(where, want string) {
		t.Helper()
		if _, body := b.open(where); !strings.Contains(body, want) {
			t.Errorf("%s: got %s, want %q", where, body, want)
		}
	}
	show(start, "User name")
	if _, body := b.signIn(start, "grace", "grace-demo"); !strings.Contains(body, "Hello grace") {
		t.Errorf("signed in: %s", body)
	}
	show(start, `<a href="/admin">Admins</a>`)
	show(start, `<a href="/oauth2/logout">Sign out</a>`)
	show(start+"admin", "No access")
	show(start+"oauth2/logout", "Signed out")
	show(start, "User name")
	if _, body := b.signIn(start+"admin", "ada", "ada-demo"); !strings.Contains(body, "Hello ada") {
		t.Errorf("signed in: %s", body)
	}
}

// behindProxy sends requests for any https site to the plain port at its address,
// as a proxy does that terminates TLS. What is plain http already, as the providers
// of the tests, is no site of ours.
type behindProxy string

func (addr behindProxy) RoundTrip(r *http.Request) (*http.Response, error) {
	if r.URL.Scheme == "http" {
		return http.DefaultTransport.RoundTrip(r)
	}
	plain := r.Clone(r.Context())
	plain.Host, plain.URL.Host, plain.URL.Scheme = r.URL.Host, string(addr), "http"
	plain.Header.Set("X-Forwarded-Proto", r.URL.Scheme)
	resp, err := http.DefaultTransport.RoundTrip(plain)
	if resp != nil {
		resp.Request = r // redirects start from there
	}
	return resp, err
}

// browser keeps cookies, follows redirects and pages that lead on by themselves, and
// says what browsers say.
type browser struct {
	t *testing.T
	http.Client
}

func newBrowser(t *testing.T, transport http.RoundTripper) *browser {
	t.Helper()
	jar, err := cookiejar.New(nil)
	if err != nil {
		t.Fatal(err)
	}
	return &browser{t, http.Client{Jar: jar, Transport: transport}}
}

// open follows a link, or a typed address.
func (b *browser) open(target string) (*http.Response, string) {
	b.t.Helper()
	return b.navigate("GET", target, "")
}

// send sends a form of the same site.
func (b *browser) send(target string, form url.Values) (*http.Response, string) {
	b.t.Helper()
	return b.navigate("POST", target, form.Encode())
}

// signIn opens a page, and fills in the form that it leads to.
func (b *browser) signIn(target, user, password string) (*http.Response, string) {
	b.t.Helper()
	resp, page := b.open(target)
	if resp.Request.URL.Path != "/oauth2/login" {
		b.t.Fatalf("%s leads to %v: %s", target, resp.Request.URL, page)
	}
	form := url.Values{"username": {user}, "password": {password}, "return_to": {resp.Request.URL.Query().Get("return_to")}}
	return b.send(resp.Request.URL.Scheme+"://"+resp.Request.URL.Host+"/oauth2/login", form)
}

func (b *browser) navigate(method, target, form string) (*http.Response, string) {
	b.t.Helper()
	r, err := http.NewRequestWithContext(b.t.Context(), method, target, strings.NewReader(form))
	if err != nil {
		b.t.Fatal(err)
	}
	r.Header.Set("Accept", "text/html,*/*;q=0.8")
	r.Header.Set("Sec-Fetch-Mode", "navigate")
	r.Header.Set("Sec-Fetch-Dest", "document")
	r.Header.Set("Sec-Fetch-Site", "same-origin")
	if method == "POST" {
		r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	}
	resp, err := b.Do(r)
	if err != nil {
		b.t.Fatal(err)
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	if err != nil {
		b.t.Fatal(err)
	}
	if next, leadsOn := strings.CutPrefix(resp.Header.Get("Refresh"), "0; url="); leadsOn {
		u, err := resp.Request.URL.Parse(next)
		if err != nil {
			b.t.Fatal(err)
		}
		return b.open(u.String())
	}
	return resp, string(body)
}
