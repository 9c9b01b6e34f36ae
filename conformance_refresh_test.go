package admit

import (
	"net/url"
	"testing"
	"time"
)

// threats 69, 70, 72.
var conformanceRefresh = []conformance{
	{"-refresh-token", func(t *testing.T, p *fakeProvider) {
		p.offline = true
		f, _ := p.serveLogin(loginSite{options: "userinfo", login: "scopes openid profile email offline_access"})
		b := f.web()
		b.logIn()
		p.change(func() {
			p.idClaims = func(_ url.Values, claims object) { claims["groups"] = []string{"late"} }
			p.userinfo = func(claims object) { claims["name"] = "Ada again" }
		})
		if got := b.fetch("GET", "/x").seen(t).Header.Get("X-Groups"); got != "staff" || p.count("/token") != 1 {
			t.Errorf("groups %q before it was due", got)
		}
		forward(t, 59*time.Minute)
		got := b.fetch("GET", "/x").seen(t).Header
		if got.Get("X-Groups") != "late" || got.Get("X-Name") != "Ada again" {
			t.Errorf("the application saw %v", got)
		}
		asked := p.last("/token").form
		if p.count("/token") != 2 || asked.Get("grant_type") != "refresh_token" || p.reused != 0 {
			t.Errorf("%v, %v", p.counts, asked)
		}
		if got := p.last("/userinfo").header.Get("Authorization"); p.count("/userinfo") != 2 || got != "Bearer "+p.login().access[1] {
			t.Errorf("%v: the token was not the new one", p.counts)
		}
		// The next time with the rotated token.
		forward(t, 59*time.Minute)
		if !b.isIn() || p.count("/token") != 3 || p.reused != 0 {
			t.Errorf("%v, %d spent tokens came again", p.counts, p.reused)
		}
	}},
	refreshRefused("-refresh-token-invalid-issuer", claim("iss", "https://evil.example")),
	refreshRefused("-refresh-token-invalid-sub", claim("sub", "eve-1")),
	refreshRefused("-refresh-token-invalid-aud", claim("aud", "another")), // beside the suite's
}

// refreshRefused makes a test of an ID token by refresh that is not of the same
// person, provider and client: that ends the session (threat 70).
func refreshRefused(suffix string, bad func(*fakeProvider)) conformance {
	return conformance{suffix, func(t *testing.T, p *fakeProvider) {
		p.offline = true
		f, _ := p.serveLogin(loginSite{})
		b := f.web()
		b.logIn()
		p.change(func() { bad(p) })
		forward(t, 59*time.Minute)
		if b.isIn() || p.count("/token") != 2 {
			t.Errorf("the session goes on: %v", p.counts)
		}
		p.change(func() { p.idClaims = nil })
		if b.isIn() {
			t.Error("the session came back")
		}
		b.logIn()
	}}
}

// GitHub's tokens do not end: its API is asked anew each hour.
func TestGitHubRenewal(t *testing.T) {
	g := newGitHub(t)
	f, _ := g.serveLogin(g.site())
	b := f.web()
	b.logIn()
	// Nobody is asked before the hour is over; then the team is gone.
	asked := g.count("/user")
	g.change(func() { g.teams = g.teams[1:] })
	if forward(t, 50*time.Minute); !b.isIn() || g.count("/user") != asked {
		t.Errorf("asked before the time: %v", g.counts)
	}
	forward(t, 11*time.Minute)
	if a := b.open("/x"); a.StatusCode != 403 || g.count("/user") != asked+1 || g.count("/token") != 1 {
		t.Errorf("%v %v\n%s", b.trail, g.counts, a.body)
	}
	// A token that was revoked there ends the session here (threat 72).
	g.change(func() { g.logins[0].revoked = true })
	forward(t, 61*time.Minute)
	if a := b.fetch("GET", "/x"); a.StatusCode != 401 {
		t.Errorf("%d\n%s", a.StatusCode, a.body)
	}
}

// Google gives a refresh token once, at the first login.
func TestGoogleRenewal(t *testing.T) {
	p := newProvider(t)
	google := bigVendors[0]
	google.quirks(p)
	f, _ := p.serveLogin(google.site(p))
	b := f.web()
	b.logIn()
	forward(t, 59*time.Minute)
	if !b.isIn() || p.count("/token") != 2 {
		t.Errorf("not renewed: %v", p.counts)
	}
}
