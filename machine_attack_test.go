package admit

import (
	"fmt"
	"io"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/caddy-admit/admit/claims"
	"github.com/caddy-admit/admit/jwt"
)

// threat 94: an API key in the claims of a session is for the gate. No script of the
// site reads it, whether it is good here or only elsewhere.
func TestUserinfoHoldsNoKey(t *testing.T) {
	for claim, value := range map[string]any{"apikey": strangerKey, "keys.console": object{"console": strangerKey}} {
		p := newProvider(t)
		name, _, _ := strings.Cut(claim, ".")
		p.change(func() { p.idClaims = func(_ url.Values, claims object) { claims[name] = value } })
		f, _ := serveHome(t, p.integration(loginSite{options: "identity {\nuser email\napi_key_claim " + claim + "\n}"})+
			"admit keys {\napi_key robot "+sha256Hex(robotKey)+"\n}\n", "admit corp keys {\nlogin\n}\n"+upstream(t))
		b := f.web()
		b.open("/x").seen(t)
		a := b.fetch("GET", "/oauth2/userinfo")
		if a.StatusCode != 200 || !strings.Contains(a.body, `"email":"ada@example.com"`) || strings.Contains(a.body, strangerKey) {
			t.Errorf("%s: %d %s", claim, a.StatusCode, a.body)
		}
	}
}

// threat 89: of many who exchange at once, at several gates, each gets the token for
// what it has sent, and for what each gate asks for.
func TestExchangedTokensApart(t *testing.T) {
	m := newMachineIssuer(t)
	m.set(func() { m.claims = object{} })
	f := m.serveSite(m.block(m.introspects()),
		"route {\nadmit {\nassertion X-Assertion\nforward token X-Own\n}\nadmit /two/* {\nforward exchange {\naudience two\n}\n}\nadmit {\nheader_up X-User {http.auth.user.id}\n}\n"+upstream(t)+"\n}")
	var wg sync.WaitGroup
	for n := range 8 {
		own := m.key.token(good(object{"iss": m.URL, "sub": fmt.Sprint("user-", n)}), object{"typ": "at+jwt"})
		for range 3 {
			wg.Go(func() {
				h := f.get("/two/x", "Authorization: Bearer "+own, "X-Own: forged", "Connection: close, X-Own, X-Assertion, Authorization").seen(t).Header
				token, err := jwt.Parse(strings.TrimPrefix(h.Get("Authorization"), "Bearer "))
				if err != nil {
					t.Errorf("%d: %v in %v", n, err, h)
					return
				}
				if c := token.Claims; !c.Get("aud").Equal("two") || !c.Get("sub").Equal("of "+own[len(own)-8:]) {
					t.Errorf("%d: %s", n, c.Bytes())
				}
				if !slices.Equal(h["X-Own"], []string{own}) || h.Get("X-User") != fmt.Sprint("user-", n) || h.Get("X-Assertion") == "" {
					t.Errorf("%d: %v", n, h)
				}
			})
		}
	}
	wg.Wait()
	if len(m.forms) != 8 {
		t.Errorf("%d questions", len(m.forms))
	}
}

// What is passed on belongs to the one who was let in, by this gate, now: nobody else
// gets it, and nobody brings a like of it.
func TestForwardedForNobody(t *testing.T) {
	p := newProvider(t)
	q := newProvider(t)
	other := strings.Replace(q.integration(loginSite{}), "admit corp", "admit other", 1)
	f, _ := serveHome(t, p.integration(loginSite{})+other,
		"route {\nadmit /other/* other {\nlogin\nforward access_token X-Access\nassertion X-Assertion\nendpoints /other/oauth2\n}\nadmit /corp/* corp {\nlogin\noptional\nbypass /corp/free/*\nrequire /corp/in/* user *\nforward access_token X-Access\nassertion X-Assertion\nendpoints /corp/oauth2\n}\n"+upstream(t)+"\n}")
	b := f.web()
	if h := b.open("/corp/in/x").seen(t).Header; h.Get("X-Access") != p.login().access[0] || h.Get("X-Assertion") == "" {
		t.Fatalf("seen %v", h)
	}
	forged := []string{"X-Access: forged", "X_Access: forged", "X.Access: forged", "X-Assertion: forged", "x-assertion: forged", "Connection: X-Access"}
	// Free, though there is a session; another gate's, that knows no such session; and
	// who has none.
	for target, in := range map[string]bool{"/corp/x": true, "/corp/free/x": false, "/x": false} {
		for _, who := range []*webBrowser{b, f.web()} {
			h := who.fetch("GET", target, forged...).seen(t).Header
			if got := h.Get("X-Access") != "" && h.Get("X-Assertion") != ""; got != (in && who == b) || strings.Contains(fmt.Sprint(h), "forged") {
				t.Errorf("%s: seen %v", target, h)
			}
		}
	}
	if b.fetch("GET", "/other/x", forged...).reached() {
		t.Error("the session of another integration opens")
	}
	if h := b.open("/other/x").seen(t).Header; h.Get("X-Access") != q.login().access[0] {
		t.Errorf("seen %v", h)
	}
	if h := b.fetch("GET", "/corp/x").seen(t).Header; h.Get("X-Access") != p.login().access[0] {
		t.Errorf("seen %v", h)
	}
}

// threats 27, 84: the keys of assertions and those of tokens are published together.
// Who verifies the one with them takes no other, even if issuer and audience are the
// same.
func TestAssertionBesideTokens(t *testing.T) {
	const site = "http://localhost"
	f, _ := serveHome(t, homeIntegration(t, "home", "tokens {\nissuer "+site+"\naudience "+site+"\nsign ES256\n}"),
		"admit {\nassertion X-Assertion "+site+"\n}\n"+upstream(t))
	_, own, _ := strings.Cut(f.token("grant_type=password&username=ada&password="+adaPassword).body, `"access_token":"`)
	own, _, _ = strings.Cut(own, `"`)
	made := f.ask("GET", "localhost", "/x", "Authorization: Bearer "+own).seen(t).Header.Get("X-Assertion")
	set, dropped, err := jwt.ParseKeySet([]byte(f.ask("GET", "localhost", "/oauth2/jwks").body))
	if err != nil || len(dropped) > 0 || set.Len() < 2 {
		t.Fatal(err, dropped)
	}
	for _, tc := range []struct {
		name, raw string
		types     []string
		want      string
	}{
		{"assertion as assertion", made, []string{"admit-assertion+jwt"}, ""},
		{"token as assertion", own, []string{"admit-assertion+jwt"}, "wrong_type"},
		{"token as token", own, jwt.DefaultTypes, ""},
		{"assertion as token", made, jwt.DefaultTypes, "wrong_type"},
	} {
		v, err := jwt.NewVerifier(jwt.Policy{
			Issuers: []string{site}, Audience: []string{site}, AudienceClaims: []claims.Path{claims.MustPath("aud")},
			Algorithms: []string{"ES256"}, Types: tc.types,
		}, jwt.StaticKeys(set), now)
		if err != nil {
			t.Fatal(err)
		}
		token, err := jwt.Parse(tc.raw)
		if err != nil {
			t.Fatal(err)
		}
		got := ""
		if err := v.Verify(t.Context(), token); err != nil {
			got = string(refused(err).Reason)
		}
		if got != tc.want {
			t.Errorf("%s: got %q", tc.name, got)
		}
	}
	// The gate has these keys apart: its own assertion opens nothing.
	f.ask("GET", "localhost", "/x", "Authorization: Bearer "+made).want(t, 401, "wrong_type")
}

// threat 97: what is remembered of assertions is bounded in bytes, whatever host
// somebody asks for and however much a token says.
func TestAssertionsBoundedInBytes(t *testing.T) {
	var groups []string
	for n := range 300 {
		groups = append(groups, fmt.Sprintf("a-group-of-some-length-%d", n))
	}
	f, _ := serveHome(t, secretIntegration, "admit {\nassertion X-Assertion\n}\n"+upstream(t))
	for _, tc := range []struct {
		who        string
		remembered bool
	}{{bearer(t, nil), true}, {bearer(t, object{"groups": groups}), false}} {
		first := f.ask("GET", "localhost", "/x", tc.who).seen(t).Header.Get("X-Assertion")
		again := f.ask("GET", "localhost", "/x", tc.who).seen(t).Header.Get("X-Assertion")
		f.asserted(again, "http://localhost", "localhost")
		if (first == again) != tc.remembered {
			t.Errorf("remembered %t, want %t", first == again, tc.remembered)
		}
	}
}

// threats 88, 91: while the issuer gives no answer, who sends made-up credentials is
// not passed on to it each time, and it is 503 all the same.
func TestIssuerDown(t *testing.T) {
	m := newMachineIssuer(t)
	f := m.serveSite(m.block("client_credentials\n"+m.introspects()), "admit\n"+upstream(t))
	f.get("/x", basicHeader("robot", machineSecret)).want(t, 200, "")
	before := m.count("/token") + m.count("/introspect")
	for _, path := range []string{"/token", "/introspect"} {
		m.failing(path, func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(429) })
	}
	for n := range 100 {
		for _, header := range []string{basicHeader(fmt.Sprint("made-up-", n), "secret"), fmt.Sprint("Authorization: Bearer made-up-token-", n)} {
			a := f.get("/x", header)
			a.want(t, 503, "token_endpoint_unavailable")
			if a.Header.Get("Retry-After") == "" {
				t.Fatal("no Retry-After")
			}
		}
	}
	if n := m.count("/token") + m.count("/introspect") - before; n > 2*17 {
		t.Errorf("%d calls", n)
	}
	f.get("/x", basicHeader("robot", machineSecret)).want(t, 200, "") // in memory
	for _, path := range []string{"/token", "/introspect"} {
		m.failing(path, nil)
	}
	forward(t, 5*time.Minute)
	f.get("/x", basicHeader("robot", machineSecret)).want(t, 200, "")
}

// threats 41, 84: at load it is said where clients choose whom an assertion names, and
// where one issuer is shown the tokens of another.
func TestWarningsAboutMachines(t *testing.T) {
	const (
		anyHost = "assertion: the site answers to any host"
		several = "introspection: several integrations of the gate are asked"
	)
	asks := func(name string) string {
		return "admit " + name + " {\nissuer https://" + name + ".example\naudience any\nintrospection {\nclient_id gate\nclient_secret s\n}\n}\n"
	}
	for _, tc := range []struct{ global, site, want string }{
		{secretIntegration, "http://:PORT {\nadmit {\nassertion X-A\n}\n}", anyHost},
		{secretIntegration, "http://:PORT {\nadmit {\nassertion X-A https://app.example\n}\n}", anyHost},
		{secretIntegration, "http://:PORT {\nadmit {\nassertion X-A\npublic_url https://app.example\n}\n}", ""},
		{secretIntegration, "http://a.example:PORT {\nadmit {\nassertion X-A\n}\n}", ""},
		{secretIntegration, "http://:PORT {\nadmit\n}", ""},
		{asks("one") + asks("two"), "http://a.example:PORT {\nadmit one two\n}", several},
		{asks("one") + asks("two"), "http://a.example:PORT {\nadmit /one/* one\nadmit /two/* two\n}", ""},
	} {
		f := serveFront(t, tc.global, tc.site)
		got := ""
		for _, entry := range f.entries("") {
			if msg, _ := entry["msg"].(string); entry["level"] == "warn" && (strings.HasPrefix(msg, "assertion:") || strings.HasPrefix(msg, "introspection:")) {
				got += msg
			}
		}
		if tc.want == "" != (got == "") || !strings.HasPrefix(got, tc.want) {
			t.Errorf("%s: got %q", tc.site, got)
		}
	}
}

// Who logs in and has neither a usable key nor a user id is told so, once: no session
// that leads to the login again.
func TestNobodyAfterLogin(t *testing.T) {
	for _, key := range []any{nil, strangerKey, robotKey} {
		p := newProvider(t)
		p.change(func() {
			p.idClaims = func(_ url.Values, claims object) {
				claims["email_verified"] = false
				if key != nil {
					claims["apikey"] = key
				}
			}
		})
		f, _ := serveHome(t, p.integration(loginSite{options: "identity {\nuser email\napi_key_claim apikey\n}"})+
			"admit keys {\napi_key robot "+sha256Hex(robotKey)+"\n}\n", "admit corp keys {\nlogin\nheader_up X-User {http.auth.user.id}\n}\n"+upstream(t))
		b := f.web()
		a := b.open("/x")
		if key == robotKey {
			if got := a.seen(t).Header.Get("X-User"); got != "robot" {
				t.Errorf("user %q", got)
			}
			continue
		}
		if n := p.count("/authorize"); a.reached() || a.StatusCode != 401 && a.StatusCode != 403 || n != 1 {
			t.Errorf("%v: %d after %d logins\n%s", key, a.StatusCode, n, a.body)
		}
		if b.fetch("GET", "/x").reached() {
			t.Errorf("%v: let in", key)
		}
	}
}

// Requests go on while configurations come and go: nobody is refused because of it,
// and nothing that is still good is asked about again (threat 89).
func TestMachinesWhileReloading(t *testing.T) {
	m := newMachineIssuer(t)
	m.set(func() {
		m.active[opaque] = object{"active": true, "aud": "api", "sub": "ada", "exp": now().Add(time.Hour).Unix()}
	})
	gate := "admit {\nforward exchange {\naudience two\n}\nassertion X-Assertion\n}\n" + upstream(t)
	f := m.serveSite(m.block("client_credentials\n"+m.introspects()), gate)
	stop := make(chan struct{})
	var wg sync.WaitGroup
	served := make(chan struct{})
	for range 3 {
		wg.Go(func() {
			for {
				select {
				case <-stop:
					return
				default:
				}
				for _, header := range []string{basicHeader("robot", machineSecret), "Authorization: Bearer " + opaque} {
					r, _ := http.NewRequestWithContext(t.Context(), http.MethodGet, "http://"+f.addr+"/x", nil)
					r.Header.Set("Authorization", strings.TrimPrefix(header, "Authorization: "))
					resp, err := (&http.Transport{DisableKeepAlives: true}).RoundTrip(r)
					if err != nil {
						continue // Caddy closes connections that have said nothing yet
					}
					body, _ := io.ReadAll(resp.Body)
					resp.Body.Close()
					select {
					case served <- struct{}{}:
					case <-stop:
					}
					if h := (answered{resp, string(body)}).seen(t).Header; !strings.HasPrefix(h.Get("Authorization"), "Bearer ey") || h.Get("X-Assertion") == "" {
						t.Errorf("seen %v", h)
					}
				}
			}
		})
	}
	for n := range 8 {
		if err := f.load("storage admit_test "+t.Name()+"\n"+m.block("client_credentials\n"+m.introspects()+fmt.Sprintf("leeway %ds", n)), "http://:PORT {\n"+gate+"\n}"); err != nil {
			t.Error(err)
		}
		for range 6 {
			select {
			case <-served:
			case <-time.After(10 * time.Second):
				t.Fatal("no request is served")
			}
		}
	}
	close(stop)
	wg.Wait()
	if tokens, asked := m.count("/token"), m.count("/introspect"); tokens != 3 || asked != 1 { // one is the client's, two are exchanged
		t.Errorf("%d tokens, %d introspections", tokens, asked)
	}
}
