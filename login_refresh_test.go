package admit

import (
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

// threat 69: many requests of one session that is due make one token request, and
// none of them is refused.
func TestRefreshOnce(t *testing.T) {
	p := newProvider(t)
	p.offline = true
	f, _ := p.serveLogin(loginSite{})
	b := f.web()
	b.logIn()
	for round := range 3 {
		forward(t, 59*time.Minute)
		var started, done sync.WaitGroup
		var in atomic.Int32
		started.Add(50)
		p.change(func() {
			p.instead["/token"] = func(w http.ResponseWriter, r *http.Request) {
				started.Wait() // all are on their way
				p.serve(w, r)
			}
		})
		cookie := "Cookie: " + sessionName + "=" + b.value(sessionName)
		for range 50 {
			done.Go(func() {
				started.Done()
				if f.ask("GET", "localhost", "/x", cookie).reached() {
					in.Add(1)
				}
			})
		}
		done.Wait()
		if p.count("/token") != 2+round || in.Load() != 50 || p.reused != 0 {
			t.Errorf("round %d: %d token requests, %d of 50 in, %d spent tokens came again", round, p.count("/token"), in.Load(), p.reused)
		}
	}
}

// threat 69: a provider that does not rotate refresh tokens gives no new one.
func TestRefreshKept(t *testing.T) {
	p := newProvider(t)
	p.offline, p.keepOld = true, true
	f, _ := p.serveLogin(loginSite{})
	b := f.web()
	b.logIn()
	for n := range 3 {
		forward(t, 59*time.Minute)
		if !b.isIn() || p.count("/token") != n+2 {
			t.Errorf("%v", p.counts)
		}
	}
}

// threat 71: an outage of the provider keeps a session for an hour, and is not made
// worse; a refusal ends it for good.
func TestRefreshTroubles(t *testing.T) {
	down := func(w http.ResponseWriter, _ *http.Request) {
		w.WriteHeader(http.StatusBadGateway)
		_, _ = w.Write([]byte("<html>marked"))
	}
	t.Run("outage", func(t *testing.T) {
		p := newProvider(t)
		p.offline = true
		f, _ := p.serveLogin(loginSite{})
		b := f.web()
		b.logIn()
		forward(t, 59*time.Minute)
		p.change(func() { p.instead["/token"] = down })
		for range 20 {
			if !b.isIn() {
				t.Fatal("the outage ended the session")
			}
		}
		if n := p.count("/token"); n < 2 || n > 4 {
			t.Errorf("%d token requests", n)
		}
		forward(t, 30*time.Minute)
		if !b.isIn() {
			t.Error("out after half an hour")
		}
		p.change(func() { clear(p.instead) })
		forward(t, 15*time.Minute)
		n := p.count("/token")
		if !b.isIn() || p.count("/token") != n+1 {
			t.Errorf("after the outage: %v", p.counts)
		}
		forward(t, 59*time.Minute)
		p.change(func() { p.instead["/token"] = down })
		b.isIn()
		forward(t, 61*time.Minute)
		if b.isIn() {
			t.Error("in after more than an hour of outage")
		}
	})
	t.Run("refusal", func(t *testing.T) {
		p := newProvider(t)
		p.offline = true
		f, _ := p.serveLogin(loginSite{})
		b := f.web()
		b.logIn()
		forward(t, 59*time.Minute)
		p.change(func() { p.logins[0].revoked = true })
		copied := "Cookie: " + sessionName + "=" + b.value(sessionName)
		if a := b.fetch("GET", "/x"); a.StatusCode != 401 {
			t.Errorf("%d %s", a.StatusCode, a.body)
		}
		p.change(func() { p.logins[0].revoked = false })
		for range 5 {
			if f.ask("GET", "localhost", "/x", copied).reached() {
				t.Error("the session came back")
			}
		}
		if n := p.count("/token"); n != 2 {
			t.Errorf("%d token requests", n)
		}
		b.logIn() // somebody who looks is sent to log in, once
	})
	// What is not invalid_grant is a matter of the client's settings, or of the
	// moment: it does not log everybody out.
	for _, code := range []string{"invalid_client", "temporarily_unavailable", "slow_down"} {
		t.Run(code, func(t *testing.T) {
			p := newProvider(t)
			p.offline = true
			f, _ := p.serveLogin(loginSite{})
			b := f.web()
			b.logIn()
			forward(t, 59*time.Minute)
			p.change(func() {
				p.instead["/token"] = func(w http.ResponseWriter, _ *http.Request) { p.refuseToken(w, 400, code) }
			})
			if !b.isIn() {
				t.Error("out")
			}
		})
	}
}

// threat 72: rules see the claims of the last refresh, and whoever has lost a group
// is out by then.
func TestRefreshedClaims(t *testing.T) {
	p := newProvider(t)
	p.offline = true
	f, _ := p.serveLogin(loginSite{gate: "require groups staff"})
	b := f.web()
	b.logIn()
	p.change(func() { p.idClaims = func(_ url.Values, claims object) { claims["groups"] = []string{"former"} } })
	if !b.isIn() {
		t.Error("out before it was due")
	}
	forward(t, 59*time.Minute)
	a := b.open("/x")
	if a.StatusCode != 403 || !strings.Contains(a.body, "ada-1") || !strings.Contains(a.body, "/oauth2/login") || len(b.trail) != 1 {
		t.Errorf("%v\n%s", b.trail, a.body)
	}
	p.change(func() { p.idClaims = nil })
	forward(t, 59*time.Minute)
	if !b.isIn() {
		t.Error("out with the group")
	}
}

// threat 51: nothing prolongs a session beyond a day.
func TestRefreshNotForEver(t *testing.T) {
	p := newProvider(t)
	p.offline = true
	f, _ := p.serveLogin(loginSite{})
	b := f.web()
	b.logIn()
	for hour := range 24 {
		forward(t, 59*time.Minute+30*time.Second)
		if !b.isIn() {
			t.Fatalf("out after hour %d", hour)
		}
	}
	forward(t, 30*time.Minute)
	if b.isIn() {
		t.Error("in after more than a day")
	}
}

// Without a refresh token the session outlives the access token and the ID token. Where
// it was to be renewed, the log says that it will not be.
func TestSessionOutlivesTokens(t *testing.T) {
	p := newProvider(t)
	p.lifetime = 60
	p.idClaims = func(_ url.Values, claims object) { claims["exp"] = now().Add(2 * time.Minute).Unix() }
	f, _ := p.serveLogin(loginSite{})
	b := f.web()
	b.logIn()
	for range 3 {
		forward(t, 7*time.Hour)
		if !b.isIn() {
			t.Fatal("out")
		}
	}
	if n := p.count("/token"); n != 1 {
		t.Errorf("%d token requests", n)
	}
	const said = "a provider told less than was asked for"
	if found := f.entries(said); len(found) != 0 {
		t.Errorf("the log says %v", found)
	}
	site := loginSite{session: "refresh 1h"}
	f.reload(p.integration(site), site.body(t))
	f.web().logIn()
	if found := f.entries(said); len(found) != 1 || !strings.Contains(fmt.Sprint(found[0]["missing"]), "offline_access") {
		t.Errorf("the log says %v", found)
	}
}
