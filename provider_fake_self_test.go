package admit

import (
	"io"
	"net/http"
	"net/url"
	"strings"
	"testing"
)

// The provider of these tests lets a client log in that does all it should, and
// nobody else.
func TestFakeProvider(t *testing.T) {
	p := newProvider(t)
	p.offline = true
	f := serveOne(t, secretIntegration, upstream(t))
	b := f.web()
	verifier := strings.Repeat("v", 43)
	asked := url.Values{
		"client_id": {clientID}, "response_type": {"code"}, "scope": {"openid"}, "redirect_uri": {"http://localhost/back"},
		"state": {strings.Repeat("s", 20)}, "nonce": {strings.Repeat("n", 20)}, "code_challenge": {challengeOf(verifier)}, "code_challenge_method": {"S256"},
	}
	back := func() url.Values {
		u, err := url.Parse(b.open(p.URL + "/authorize?" + asked.Encode()).seen(t).URI)
		if err != nil {
			t.Fatal(err)
		}
		return u.Query()
	}
	if site := b.open(p.URL + "/authorize?" + asked.Encode()).seen(t).Header.Get("Sec-Fetch-Site"); site != "cross-site" {
		t.Errorf("back from the provider: %s", site)
	}
	ask := func(form url.Values, secret string) (status int, body string) {
		r, _ := http.NewRequest("POST", p.URL+"/token", strings.NewReader(form.Encode()))
		r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
		r.SetBasicAuth(clientID, url.QueryEscape(secret))
		resp, err := http.DefaultClient.Do(r)
		if err != nil {
			t.Fatal(err)
		}
		defer resp.Body.Close()
		text, _ := io.ReadAll(resp.Body)
		return resp.StatusCode, string(text)
	}
	answer := back()
	good := url.Values{"grant_type": {"authorization_code"}, "code": answer["code"], "redirect_uri": asked["redirect_uri"], "code_verifier": {verifier}}
	if status, _ := ask(good, "x"); status != 401 {
		t.Errorf("wrong secret: %d", status)
	}
	if status, body := ask(good, clientSecret); status != 200 || !strings.Contains(body, "id_token") {
		t.Errorf("%d %s", status, body)
	}
	first := p.login().refresh
	for _, tc := range []struct {
		form   url.Values
		status int
	}{
		{good, 400},
		{url.Values{"grant_type": {"authorization_code"}, "code": back()["code"], "redirect_uri": asked["redirect_uri"], "code_verifier": {verifier + "v"}}, 400},
		{url.Values{"grant_type": {"authorization_code"}, "code": back()["code"], "redirect_uri": {"http://localhost/x"}, "code_verifier": {verifier}}, 400},
		{url.Values{"grant_type": {"refresh_token"}, "refresh_token": {first}}, 400}, // the code came twice
	} {
		if status, body := ask(tc.form, clientSecret); status != tc.status {
			t.Errorf("%v: %d %s", tc.form, status, body)
		}
	}
	// Refresh tokens are rotated, and a spent one ends it all.
	good["code"] = back()["code"]
	if status, body := ask(good, clientSecret); status != 200 {
		t.Fatalf("%d %s", status, body)
	}
	first = p.login().refresh
	for i, status := range []int{200, 400, 400} {
		token := []string{first, first, p.login().refresh}[i]
		if got, _ := ask(url.Values{"grant_type": {"refresh_token"}, "refresh_token": {token}}, clientSecret); got != status {
			t.Errorf("refresh %d: %d", i, got)
		}
	}
	if p.reused != 1 {
		t.Errorf("%d spent tokens", p.reused)
	}
	// By a form that sends itself; a strict browser.
	asked.Set("response_mode", "form_post")
	got := b.open(p.URL + "/authorize?" + asked.Encode()).seen(t)
	if got.Method != "POST" || !strings.Contains(got.Body, "code=") || got.Header.Get("Origin") != p.URL {
		t.Errorf("%+v", got)
	}
}

// The browser of these tests keeps and sends cookies as browsers do.
func TestFakeBrowser(t *testing.T) {
	f := serveOne(t, secretIntegration, `handle /set {
			header +Set-Cookie "__Host-lax=1; Path=/; Secure; SameSite=Lax"
			header +Set-Cookie "strict=1; Path=/; SameSite=Strict"
			header +Set-Cookie "none=1; Path=/; Secure; SameSite=None"
			header +Set-Cookie "shared=1; Path=/; Domain=app.localhost"
			respond ok
		}
		handle /away {
			redir http://other.app.localhost/x
		}
		`+upstream(t))
	b := f.web()
	b.open("http://one.app.localhost/set")
	cookies := func(a answered) string { return a.seen(t).Header.Get("Cookie") }
	if got := cookies(b.click("/x")); got != "__Host-lax=1; strict=1; none=1; shared=1" {
		t.Errorf("own page: %s", got)
	}
	b.at = &url.URL{Scheme: "http", Host: "127.0.0.1:1"}
	if got := cookies(b.click("http://one.app.localhost/x")); got != "__Host-lax=1; none=1; shared=1" {
		t.Errorf("link of another site: %s", got)
	}
	b.at = &url.URL{Scheme: "http", Host: "127.0.0.1:1"}
	if got := cookies(b.submit("http://one.app.localhost/x", url.Values{})); got != "none=1" {
		t.Errorf("form of another site: %s", got)
	}
	if got := cookies(b.open("http://one.app.localhost/away")); got != "shared=1" {
		t.Errorf("sent to a neighbour: %s", got)
	}
	if got := cookies(b.open("http://localhost/x")); got != "" {
		t.Errorf("another host: %s", got)
	}
}
