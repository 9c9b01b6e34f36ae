package admit

import (
	"fmt"
	"html"
	"net/http"
	"net/url"
	"regexp"
	"strings"
	"testing"
)

// named makes an integration of a provider under a name.
func (p *fakeProvider) named(name string) string {
	return fmt.Sprintf("admit %s {\nissuer %s\nlogin {\nclient_id %s\nclient_secret %q\n}\n}\n", name, p.issuer, clientID, clientSecret)
}

var pageLink = regexp.MustCompile(`<li><a href="([^"]*)">([^<]*)</a>`)

// links returns where the links of a page lead, by their text.
func links(a answered) map[string]string {
	found := map[string]string{}
	for _, link := range pageLink.FindAllStringSubmatch(a.body, -1) {
		found[html.UnescapeString(link[2])] = html.UnescapeString(link[1])
	}
	return found
}

// A gate with several providers and users of its own has a page to choose from. A
// session is its integration's, whoever logs in anew is that user alone, and while a
// provider is down the others are the way in.
func TestChooseProvider(t *testing.T) {
	first, second := newProvider(t), newProvider(t)
	f, _ := serveHome(t, first.named("first")+second.named("second")+homeIntegration(t, "home", ""),
		"admit first second home {\nlogin\nrequire /second/* integration second\n"+whoHeaders+"\nheader_up X-From {http.auth.user.integration}\n}\n"+upstream(t))
	b := f.web()
	a := b.open("/deep?x=1")
	choice := links(a)
	if a.StatusCode != 200 || len(choice) != 3 || first.count("/authorize")+second.count("/authorize") != 0 {
		t.Fatalf("%d with %v:\n%s", a.StatusCode, choice, a.body)
	}
	checkPage(t, a)
	if a := b.click(choice["second"]); !a.reached() || a.seen(t).URI != "/deep?x=1" || a.seen(t).Header.Get("X-From") != "second" {
		t.Fatalf("second: %v\n%s", b.trail, a.body)
	}
	if a := b.open("/second/x"); !a.reached() {
		t.Errorf("a rule on the integration: %d", a.StatusCode)
	}
	// Logging in with another one ends the session of before.
	stolen := b.value("__Host-admit-second")
	if a := b.open(choice["first"]); !a.reached() || a.seen(t).Header.Get("X-From") != "first" {
		t.Errorf("first: %v\n%s", b.trail, a.body)
	}
	if a := f.ask("GET", "localhost", "/x", "Cookie: __Host-admit-second="+stolen); a.StatusCode != 401 {
		t.Errorf("the session of before: %d", a.StatusCode)
	}
	// The 403 page leads back to the choice, for another account.
	a = b.open("/second/x")
	other, ok := links(a)["Sign in as someone else"]
	if a.StatusCode != 403 || !ok || !strings.Contains(a.body, "ada") {
		t.Fatalf("%d:\n%s", a.StatusCode, a.body)
	}
	again := links(b.click(other))
	b.click(again["second"])
	if got := second.last("/authorize").form.Get("prompt"); got != "login" {
		t.Errorf("asked for another account with prompt %q", got)
	}
	if a := b.open("/second/x"); !a.reached() {
		t.Errorf("as someone else: %d", a.StatusCode)
	}

	// A provider that is down takes nobody else with it.
	b = f.web()
	second.change(func() {
		second.instead["/token"] = func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusBadGateway) }
	})
	a = b.open(choice["second"])
	ways := links(a)
	if a.StatusCode != 503 || ways["Sign in with home"] == "" || ways["Sign in with first"] == "" || a.Header.Get("Retry-After") == "" {
		t.Fatalf("%d:\n%s", a.StatusCode, a.body)
	}
	b.click(ways["Sign in with home"])
	a = b.submit("/oauth2/login", url.Values{"username": {"ada"}, "password": {adaPassword}, "integration": {"home"}, "return_to": {"/deep?x=1"}})
	if !a.reached() || a.seen(t).Header.Get("X-From") != "home" || a.seen(t).URI != "/deep?x=1" {
		t.Errorf("home: %v\n%s", b.trail, a.body)
	}
}

// Two gates on one host: each sends to its own provider, an answer is taken by the
// gate whose it is, and logging out ends the sessions of both.
func TestGatesOfTwoProviders(t *testing.T) {
	team, shop := newProvider(t), newProvider(t)
	shop.user = "bob"
	f, _ := serveHome(t, team.named("team")+shop.named("shop"),
		"admit /team/* team {\nlogin\n"+whoHeaders+"}\nadmit /shop/* shop {\nlogin\n"+whoHeaders+"}\n"+upstream(t))
	b := f.web()
	for path, user := range map[string]string{"/team/x": "ada@example.com", "/shop/x": "bob@example.com"} {
		if a := b.open(path); !a.reached() || a.seen(t).URI != path || a.seen(t).Header.Get("X-Email") != user {
			t.Fatalf("%s: %v\n%s", path, b.trail, a.body)
		}
	}
	if team.count("/authorize") != 1 || shop.count("/authorize") != 1 {
		t.Errorf("%d and %d logins", team.count("/authorize"), shop.count("/authorize"))
	}
	// An answer that belongs to nobody is the first gate's to refuse, and no path of
	// the application.
	for _, state := range []string{"", "x", "nobody.AAAAAAAAAAAAAAAAAAAAAA", "team", "team." + strings.Repeat("A", 32)} {
		if a := f.web().arrive("/oauth2/callback?code=x&state=" + state); a.StatusCode != 400 || !strings.Contains(a.body, "state_invalid") {
			t.Errorf("state %q: %d\n%s", state, a.StatusCode, a.body)
		}
	}
	b.submit("/oauth2/logout", url.Values{})
	for _, path := range []string{"/team/x", "/shop/x"} {
		if a := b.once(path); a.StatusCode != 302 {
			t.Errorf("%s after logging out: %d", path, a.StatusCode)
		}
	}
}

// threat 74: of two integrations that log in as the same client, a logout token ends
// the sessions of both.
func TestBackChannelTwoIntegrations(t *testing.T) {
	p := newProvider(t)
	site := loginSite{session: "store storage"}
	both := p.integration(site) + strings.Replace(p.integration(site), "admit corp", "admit twin", 1)
	f, _ := serveHome(t, both, "admit /a/* corp {\nlogin\n}\nadmit /b/* twin {\nlogin\n}\n"+upstream(t))
	b := f.web()
	for _, path := range []string{"/a/x", "/b/x"} {
		if a := b.open(path); !a.reached() {
			t.Fatalf("%s: %v", path, b.trail)
		}
	}
	p.backChannel(f, p.logoutToken(object{"sid": nil}, nil), 200)
	for _, path := range []string{"/a/x", "/b/x"} {
		if a := b.once(path); a.StatusCode != 302 {
			t.Errorf("%s: %d", path, a.StatusCode)
		}
	}
}

// threat 55: nobody comes back from users of one's own, so a state that names them is as
// good as none, in a form as in a query.
func TestCallbackOfLocalUsers(t *testing.T) {
	p := newProvider(t)
	f, _ := serveHome(t, p.named("corp")+homeIntegration(t, "home", ""), "admit corp home {\nlogin\n}\n"+upstream(t))
	for _, name := range []string{"home", "corp", "nobody"} {
		answer := url.Values{"code": {"x"}, "state": {name + "." + strings.Repeat("A", 32)}}
		b := f.web()
		b.stateRefused(b.callback(answer))
		want := 400
		if name == "corp" {
			want = 405 // its answers are no forms
		}
		if a := b.submit("/oauth2/callback", answer); a.StatusCode != want {
			t.Errorf("a form about %s: %d\n%s", name, a.StatusCode, a.body)
		}
	}
}

// sharedCallback is the warning at load that says so.
const sharedCallback = `two providers share a callback: if one of them means ill, it can have people log in at the other and be handed the code of that login; give each a path of its own with "callback" (RFC 9700 section 4.4)`

// threat 60: a provider that sends people on to another one, with a login that somebody
// else has begun there, is not told the code of that one: either because the answer says
// whose it is, or because each provider has a callback of its own.
func TestMixUpByProvider(t *testing.T) {
	for name, tc := range map[string]struct {
		iss, own bool
		status   int
		reason   string
	}{
		"issuer in the answer":   {iss: true, status: 403, reason: "login_refused"},
		"callbacks of one's own": {own: true, status: 400, reason: "state_invalid"},
	} {
		t.Run(name, func(t *testing.T) {
			honest, evil := newProvider(t), newProvider(t)
			honest.user = "victim"
			if !tc.iss {
				honest.discovery = func(document object) { delete(document, "authorization_response_iss_parameter_supported") }
				honest.answer = func(_, answer url.Values) { answer.Del("iss") }
			}
			global, callback := honest.named("honest")+evil.named("evil"), "/oauth2/callback"
			if tc.own {
				for _, name := range []string{"honest", "evil"} {
					global = strings.Replace(global, "admit "+name+" {", "admit "+name+" {{", 1)
					before, after, _ := strings.Cut(global, "{{")
					global = before + "{" + strings.Replace(after, "login {", "login {\ncallback /oauth2/callback/"+name, 1)
				}
				callback += "/honest"
			}
			f, _ := serveHome(t, global, "admit honest evil {\nlogin\n}\n"+upstream(t))
			mallory, victim := f.web(), f.web()
			begun, err := url.Parse(location(mallory.once("/oauth2/login?integration=honest")))
			if err != nil || begun.Query().Get("redirect_uri") != "http://localhost"+callback {
				t.Fatalf("%v: %v", begun, err)
			}
			evil.change(func() {
				evil.instead["/authorize"] = func(w http.ResponseWriter, r *http.Request) {
					asked := begun.Query()
					asked.Set("state", r.FormValue("state"))
					http.Redirect(w, r, honest.URL+"/authorize?"+asked.Encode(), http.StatusFound)
				}
			})
			if warned := len(f.entries(sharedCallback)) == 1; warned == tc.own {
				t.Errorf("warned at load: %v", warned)
			}
			a := victim.open("/oauth2/login?integration=evil")
			if a.StatusCode != tc.status || !strings.Contains(a.body, tc.reason) || honest.count("/authorize") != 1 {
				t.Errorf("%d: %v\n%s", a.StatusCode, victim.trail, a.body)
			}
			if n := evil.count("/token"); n != 0 {
				t.Errorf("%d codes went to the wrong provider", n)
			}
		})
	}
}
