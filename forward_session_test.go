package admit

import (
	"strings"
	"testing"
	"time"
)

// What sessions pass on: the access token, renewed in time, or the ID token; without
// one the header is absent, whatever the client sends there.
func TestForwardSession(t *testing.T) {
	for _, tc := range []struct {
		line, header string
		id           bool
	}{
		{"forward access_token", "Authorization", false},
		{"forward access_token X-Access", "X-Access", false},
		{"forward id_token X-Id", "X-Id", true},
		{"forward id_token", "Authorization", true},
	} {
		t.Run(tc.line, func(t *testing.T) {
			p := newProvider(t)
			p.change(func() { p.offline = true })
			// Caddy's own log at DEBUG shows what is in a header of one's own.
			f, _ := serveHome(t, p.integration(loginSite{}), loginSite{gate: tc.line}.body(t))
			b := f.web()
			token := func(got seen) string {
				t.Helper()
				lines := got.Header[tc.header]
				if len(lines) != 1 {
					t.Fatalf("%s: %q", tc.header, lines)
				}
				token := lines[0]
				if tc.header == "Authorization" {
					var ok bool
					if token, ok = strings.CutPrefix(token, "Bearer "); !ok {
						t.Fatalf("%s: %q", tc.header, lines)
					}
				}
				if strings.Count(token, ".") == 2 != tc.id {
					t.Fatalf("not the token that was asked for: %q", token)
				}
				return token
			}
			first := token(b.logIn())
			if !tc.id && first != p.login().access[0] {
				t.Errorf("%q is not what the provider gave", first)
			}
			if again := token(b.fetch("GET", "/x", tc.header+": Bearer forged").seen(t)); again != first {
				t.Errorf("got %q, want %q", again, first)
			}
			forward(t, time.Hour)
			renewed := token(b.fetch("GET", "/x").seen(t))
			if renewed == first {
				t.Error("not renewed")
			}
			if got := f.ask("GET", "localhost", "/x", tc.header+": Bearer forged"); got.reached() {
				t.Error("the header opens")
			}
		})
	}
}

// Without a refresh token the access token is passed on until it ends, and nothing
// after that, nor where the session began before a gate asked for it.
func TestForwardSessionEnds(t *testing.T) {
	p := newProvider(t)
	secret := "secret 0123456789abcdef0123456789abcdef"
	site := loginSite{session: secret, gate: "forward access_token"}
	f, disk := p.serveLogin(loginSite{session: secret})
	b := f.web()
	if h := b.logIn().Header; h["Authorization"] != nil || disk.asked["store"] != 0 {
		t.Errorf("seen %v, storage asked %v", h, disk.asked)
	}
	f.reload(p.integration(site), site.body(t))
	if h := b.fetch("GET", "/x").seen(t).Header; h["Authorization"] != nil {
		t.Errorf("seen %v", h)
	}
	b = f.web()
	if h := b.logIn().Header; h.Get("Authorization") != "Bearer "+p.login().access[0] {
		t.Errorf("seen %v", h)
	}
	if disk.asked["store"] == 0 {
		t.Error("the token is in a cookie")
	}
	forward(t, time.Hour)
	if h := b.fetch("GET", "/x").seen(t).Header; h["Authorization"] != nil || h.Get("X-User") == "" {
		t.Errorf("seen %v", h)
	}
}

// Forms of forward that a session has no part in, and tokens of clients.
func TestForwardOfClients(t *testing.T) {
	tok := sign(t, testSecret, good(nil))
	for _, tc := range []struct{ line, want string }{
		{"forward access_token", "Bearer " + tok},
		{"forward id_token", ""},
	} {
		f := serveOne(t, everywhere, "admit {\n"+tc.line+"\n}\n"+upstream(t))
		for _, header := range []string{"Authorization: Bearer " + tok, "X-Key: " + tok, "Cookie: sid=" + tok} {
			h := f.get("/x", header).seen(t).Header
			if h.Get("Authorization") != tc.want || h.Get("X-Key") != "" || h.Get("Cookie") != "" {
				t.Errorf("%s, %s: %v", tc.line, header, h)
			}
		}
	}
}

func TestForwardSessionAtLoad(t *testing.T) {
	p := newProvider(t)
	for _, line := range []string{"forward access_token", "forward id_token"} {
		err := loadError(t, p.integration(loginSite{session: "store cookie\nrefresh off"}), "admit {\nlogin\n"+line+"\n}")
		if !strings.Contains(err, line+": the sessions of corp lie in cookies") {
			t.Error(err)
		}
	}
}
