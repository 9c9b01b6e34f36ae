package admit

import (
	"crypto/ecdsa"
	"crypto/sha256"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"encoding/pem"
	"math/big"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// The client proves who it is in the way that it is told to, and in no other.
func TestClientAuth(t *testing.T) {
	key := keyOf("ES256", "client")
	der, err := x509.MarshalPKCS8PrivateKey(key.ec)
	if err != nil {
		t.Fatal(err)
	}
	file := filepath.Join(t.TempDir(), "client.pem")
	if err := os.WriteFile(file, pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der}), 0o600); err != nil {
		t.Fatal(err)
	}
	for method, site := range map[string]loginSite{
		"basic":           {login: "client_auth basic"},
		"post":            {login: "client_auth post"},
		"none":            {secret: "# a public client"},
		"private_key_jwt": {secret: "client_auth private_key_jwt " + file},
	} {
		t.Run(method, func(t *testing.T) {
			p := newProvider(t)
			p.auth = method
			f, _ := p.serveLogin(site)
			f.web().logIn()
			f.web().logIn()
			form := p.last("/token").form
			if form.Get("code") == "" || form.Get("code_verifier") == "" || form.Has("client_secret") != (method == "post") || form.Has("client_assertion") != (method == "private_key_jwt") {
				t.Errorf("sent %v", form)
			}
			if method == "private_key_jwt" {
				checkAssertion(t, p, key.ec.Public().(*ecdsa.PublicKey))
			}
			// What the provider wants is not tried until it fits: that would show a
			// secret where it does not belong.
			p.change(func() { p.auth = "nothing at all" })
			n := p.count("/token")
			b := f.web()
			b.refused(b.open("/x"), 403, "login_refused")
			if p.count("/token") != n+1 {
				t.Errorf("%d token requests for one code", p.count("/token")-n)
			}
		})
	}
}

// checkAssertion checks the last client assertion (RFC 7523 section 3), and that it
// is not the one before.
func checkAssertion(t *testing.T, p *fakeProvider, key *ecdsa.PublicKey) {
	t.Helper()
	parts := strings.Split(p.last("/token").form.Get("client_assertion"), ".")
	if len(parts) != 3 {
		t.Fatal("no assertion")
	}
	var claims struct {
		Iss, Sub, JTI string
		Aud           any
		Exp, Iat      int64
	}
	payload, _ := base64.RawURLEncoding.DecodeString(parts[1])
	if err := json.Unmarshal(payload, &claims); err != nil {
		t.Fatal(err)
	}
	aud, _ := claims.Aud.(string)
	if life := claims.Exp - now().Unix(); claims.Iss != clientID || claims.Sub != clientID || len(claims.JTI) < 16 || aud != p.URL+"/token" && aud != p.issuer || life <= 0 || life > 600 {
		t.Errorf("claims %+v", claims)
	}
	signature, _ := base64.RawURLEncoding.DecodeString(parts[2])
	sum := sha256.Sum256([]byte(parts[0] + "." + parts[1]))
	if len(signature) != 64 || !ecdsa.Verify(key, sum[:], new(big.Int).SetBytes(signature[:32]), new(big.Int).SetBytes(signature[32:])) {
		t.Error("the signature is not the client's")
	}
	seen := map[string]bool{}
	for _, r := range p.requests {
		if assertion := r.form.Get("client_assertion"); assertion != "" && seen[assertion] {
			t.Error("an assertion was used twice")
		} else {
			seen[assertion] = true
		}
	}
}

// Extra parameters are sent, and how old a login at the provider may be is checked,
// not only asked for.
func TestLoginParameters(t *testing.T) {
	p := newProvider(t)
	f, _ := p.serveLogin(loginSite{login: "param max_age 300\nparam hd example.com\nparam prompt consent"})
	f.web().logIn()
	asked := p.login().asked
	if asked.Get("max_age") != "300" || asked.Get("hd") != "example.com" || asked.Get("prompt") != "consent" {
		t.Errorf("asked %v", asked)
	}
	for _, bad := range []any{nil, now().Add(-10 * time.Minute).Unix(), "now"} {
		p.change(func() { p.says(object{"auth_time": bad}) })
		b := f.web()
		b.refused(b.open("/x"), 403, "login_refused")
	}
}

// What a link to the login page says of the user and of another account goes along to
// the provider, other words for "prompt" do not.
func TestLoginHint(t *testing.T) {
	p := newProvider(t)
	f, _ := p.serveLogin(loginSite{})
	for _, tc := range []struct{ query, hint, prompt string }{
		{"", "", ""},
		{"&login_hint=ada%2B1%40example.com", "ada+1@example.com", ""},
		{"&login_hint=ada&prompt=login", "ada", "login"},
		{"&prompt=select_account", "", "login"},
		{"&prompt=none&max_age=0&scope=admin&redirect_uri=https://evil.example", "", ""},
	} {
		asked := f.web().onward("/oauth2/login?return_to=/x" + tc.query)
		if asked.Get("login_hint") != tc.hint || asked.Get("prompt") != tc.prompt || asked.Has("max_age") || asked.Get("scope") != "openid profile email" ||
			asked.Get("redirect_uri") != "http://localhost/oauth2/callback" {
			t.Errorf("%s: asked %v", tc.query, asked)
		}
	}
}

// threat 41: where browsers come back to is told by this site, not by headers of
// whoever asks.
func TestRedirectURI(t *testing.T) {
	p := newProvider(t)
	forwarded := []string{"X-Forwarded-Host: evil.example", "X-Forwarded-Proto: https", "X-Forwarded-Port: 81", "X-Forwarded-Prefix: /evil", "Forwarded: host=evil.example;proto=https", "X-Original-URL: /evil"}
	redirect := func(f *front, host string, headers ...string) string {
		b := f.web()
		a := b.once("http://"+host+"/oauth2/login?return_to=/x", headers...)
		u, err := url.Parse(location(a))
		if err != nil || !u.Query().Has("redirect_uri") {
			t.Fatalf("%d to %q\n%s", a.StatusCode, location(a), a.body)
		}
		return u.Query().Get("redirect_uri")
	}
	f, _ := p.serveLogin(loginSite{})
	if got := redirect(f, "localhost", forwarded...); got != "http://localhost/oauth2/callback" {
		t.Errorf("redirect_uri %q", got)
	}
	if got := redirect(f, "a.localhost:8080"); got != "http://a.localhost:8080/oauth2/callback" {
		t.Errorf("redirect_uri %q", got)
	}
	for _, tc := range []struct {
		site loginSite
		want string
	}{
		{loginSite{gate: "public_url https://app.example.com"}, "https://app.example.com/oauth2/callback"},
		{loginSite{login: "callback /sign-in/done"}, "http://localhost/sign-in/done"},
	} {
		f.reload(p.integration(tc.site), tc.site.body(t))
		if got := redirect(f, "localhost", forwarded...); got != tc.want {
			t.Errorf("redirect_uri %q, want %q", got, tc.want)
		}
	}
	// Among the endpoints too, where it is no page to come back to.
	site := loginSite{login: "callback /_auth/callback/corp", gate: "endpoints /_auth"}
	f.reload(p.integration(site), site.body(t))
	for target, want := range map[string]string{"/x": "/x", "/_auth/callback/corp?code=x": "/"} {
		b := f.web()
		if a := b.open("/_auth/login?return_to=" + url.QueryEscape(target)); !a.reached() || a.seen(t).URI != want {
			t.Errorf("%s: %v\n%s", target, b.trail, a.body)
		}
		if a := b.arrive("/_auth/callback?code=x&state=corp.x"); !a.reached() {
			t.Errorf("%v\n%s", b.trail, a.body)
		}
	}
	site = loginSite{login: "callback /sign-in/done", gate: "endpoints /_auth"}
	f.reload(p.integration(site), site.body(t))
	b := f.web()
	if a := b.open("/x"); !a.reached() {
		t.Errorf("%v\n%s", b.trail, a.body)
	}
	if a := b.arrive("/_auth/callback?code=x&state=corp.x"); a.StatusCode != http.StatusOK || !a.reached() { // an ordinary path
		t.Errorf("%v\n%s", b.trail, a.body)
	}
}

// Whoever is refused with the account that the provider knows can take another one; a
// provider that does not answer would not help with that either.
func TestRefusedOther(t *testing.T) {
	p := newProvider(t)
	f, _ := p.serveLogin(loginSite{options: "identity {\nuser employee\n}"})
	b := f.web()
	a := b.open("/x?y")
	other, ok := links(a)["Sign in as someone else"]
	if b.refused(a, 403, "login_refused"); !ok {
		t.Fatalf("no way out:\n%s", a.body)
	}
	p.change(func() { p.says(object{"employee": "e-1"}) })
	if a := b.click(other); !a.reached() || a.seen(t).URI != "/x?y" || p.last("/authorize").form.Get("prompt") != "login" {
		t.Errorf("%v\n%s", b.trail, a.body)
	}
	p.change(func() {
		p.instead["/token"] = func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusBadGateway) }
	})
	a = f.web().open("/x")
	if _, ok := links(a)["Sign in as someone else"]; ok || a.StatusCode != 503 {
		t.Errorf("out of reach: %d %v", a.StatusCode, links(a))
	}
}
