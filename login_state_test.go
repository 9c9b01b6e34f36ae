package admit

import (
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"testing"
	"time"
)

// stateRefused fails unless a callback was refused for its state: a page with one
// way on, no session, and nothing asked of the provider.
func (b *webBrowser) stateRefused(a answered) {
	b.t.Helper()
	b.refused(a, 400, "state_invalid")
	if len(b.trail) != 1 || !strings.Contains(a.body, `href="/oauth2/login`) {
		b.t.Errorf("%v\n%s", b.trail, a.body)
	}
	if strings.Contains(a.body, "return_to=%2F%2F") {
		b.t.Errorf("page:\n%s", a.body)
	}
}

// threat 55: nobody is logged in by an answer that the browser did not ask for.
func TestLoginCSRF(t *testing.T) {
	p := newProvider(t)
	f, _ := p.serveLogin(loginSite{})
	mallory, victim := f.web(), f.web()
	hers := p.answerOf(mallory, mallory.begin("/x"))

	victim.stateRefused(victim.callback(hers)) // no login of the victim is under way
	own := p.answerOf(victim, victim.begin("/mine"))
	victim.stateRefused(victim.callback(hers)) // one is, another one
	for _, state := range []string{
		"", "corp.", "corp", ".", "corp." + strings.Repeat("A", 9000), "other" + strings.TrimPrefix(own.Get("state"), "corp"), strings.ToUpper(own.Get("state")),
		own.Get("state") + "A", own.Get("state")[:len(own.Get("state"))-1], "../../x", "corp.\x00", "{http.request.uuid}",
	} {
		bad := url.Values{"code": own["code"], "iss": own["iss"], "state": {state}}
		victim.stateRefused(victim.callback(bad))
	}
	victim.stateRefused(victim.callback(url.Values{"code": own["code"]}))
	victim.stateRefused(victim.callback(url.Values{}))
	if n := p.count("/token"); n != 0 {
		t.Errorf("%d token requests", n)
	}
	// The cookie of another attempt under the name of this one is none of it.
	tossed := f.web()
	state := tossed.begin("/x").Get("state")
	names := tossed.names(stateName)
	for _, c := range mallory.cookies {
		if strings.HasPrefix(c.Name, stateName) {
			c := *c
			c.Name = names[0]
			tossed.cookies = []*http.Cookie{&c}
		}
	}
	tossed.stateRefused(tossed.callback(url.Values{"code": hers["code"], "iss": hers["iss"], "state": {state}}))
	// What the victim began, the victim can finish: none of this has ended it.
	if a := victim.callback(own); !a.reached() || a.seen(t).URI != "/mine" {
		t.Errorf("%v\n%s", victim.trail, a.body)
	}
	if a := mallory.callback(hers); !a.reached() {
		t.Errorf("%v\n%s", mallory.trail, a.body)
	}
}

// threats 57, 58: a code of another login, put into one's own, is no good: the
// verifier is that of this attempt.
func TestCodeInjection(t *testing.T) {
	p := newProvider(t)
	f, _ := p.serveLogin(loginSite{})
	mallory, victim := f.web(), f.web()
	stolen := p.answerOf(victim, victim.begin("/x"))
	own := p.answerOf(mallory, mallory.begin("/x"))
	own["code"] = stolen["code"]
	mallory.refused(mallory.callback(own), 403, "login_refused")
	if n := p.count("/token"); n != 1 {
		t.Errorf("%d token requests", n)
	}
	// A provider that forgets about the verifier still has the nonce against it.
	p.instead["/token"] = func(w http.ResponseWriter, r *http.Request) {
		p.change(func() {
			sum := challengeOf(r.PostForm.Get("code_verifier"))
			for _, login := range p.logins {
				login.asked.Set("code_challenge", sum)
			}
		})
		p.serve(w, r)
	}
	stolen = p.answerOf(victim, victim.begin("/x"))
	own = p.answerOf(mallory, mallory.begin("/x"))
	own["code"] = stolen["code"]
	mallory.refused(mallory.callback(own), 403, "login_refused")
	if n := p.count("/token"); n != 2 {
		t.Errorf("%d token requests", n)
	}
	mallory.logIn()
}

// threat 55, 67: an answer counts once, and for ten minutes.
func TestCallbackOnce(t *testing.T) {
	p := newProvider(t)
	f, _ := p.serveLogin(loginSite{})
	b := f.web()
	answer := p.answerOf(b, b.begin("/x"))
	thief := f.web() // with a copy of the state
	thief.cookies = slices.Clone(b.cookies)
	if a := b.callback(answer); !a.reached() {
		t.Fatalf("%v\n%s", b.trail, a.body)
	}
	thief.stateRefused(thief.callback(answer))
	first := b.value(sessionName)
	if len(b.names(stateName)) > 0 {
		t.Errorf("the state is kept: %v", b.names(""))
	}
	// Again, as by the back button: to the start page, since a session is there.
	if a := b.callback(answer); a.StatusCode != 200 || a.seen(t).URI != "/" || b.value(sessionName) != first || p.count("/token") != 1 {
		t.Errorf("%v, %v\n%s", b.trail, p.counts, a.body)
	}
	// Without the session it is refused, and a copy after a reload too.
	b.cookies = nil
	b.stateRefused(b.callback(answer))
	site := loginSite{}
	f.reload(p.integration(site), site.body(t))
	thief.stateRefused(thief.callback(answer))

	late := p.answerOf(b, b.begin("/x"))
	forward(t, 11*time.Minute)
	b.stateRefused(b.callback(late))
	if n := p.count("/token"); n != 1 {
		t.Errorf("%d token requests", n)
	}
	nearly := p.answerOf(b, b.begin("/x"))
	forward(t, 9*time.Minute)
	if a := b.callback(nearly); !a.reached() {
		t.Errorf("%v\n%s", b.trail, a.body)
	}
}

// threat 60: an answer of one provider is not taken for another's (RFC 9207).
func TestMixUp(t *testing.T) {
	for _, tc := range []struct {
		name  string
		says  bool // the provider announces "iss"
		iss   []string
		taken bool
	}{
		{"as announced", true, []string{"own"}, true},
		{"announced, but missing", true, nil, false},
		{"announced, but another", true, []string{"https://evil.example"}, false},
		{"announced, but empty", true, []string{""}, false},
		{"not announced, missing", false, nil, true},
		{"not announced, there", false, []string{"own"}, true},
		{"not announced, another", false, []string{"https://evil.example"}, false},
		{"with a slash", false, []string{"own/"}, false},
	} {
		t.Run(tc.name, func(t *testing.T) {
			p := newProvider(t)
			p.discovery = func(document object) {
				if !tc.says {
					delete(document, "authorization_response_iss_parameter_supported")
				}
			}
			p.answer = func(_, answer url.Values) {
				delete(answer, "iss")
				for _, iss := range tc.iss {
					answer.Add("iss", strings.Replace(iss, "own", p.issuer, 1))
				}
			}
			f, _ := p.serveLogin(loginSite{})
			b := f.web()
			a := b.open("/x")
			if tc.taken != a.reached() {
				t.Errorf("%v\n%s", b.trail, a.body)
			}
			if !tc.taken {
				b.refused(a, 403, "login_refused")
				if n := p.count("/token"); n != 0 {
					t.Errorf("%d token requests: the code may be another provider's", n)
				}
			}
		})
	}
}

// threat 60: with two providers, the answer of one with the state of the other.
func TestTwoProviders(t *testing.T) {
	good, evil := newProvider(t), newProvider(t)
	evil.discovery = func(document object) { delete(document, "authorization_response_iss_parameter_supported") }
	evil.answer = func(_, answer url.Values) { answer.Del("iss") }
	f, _ := serveHome(t, good.integration(loginSite{})+strings.Replace(evil.integration(loginSite{}), "admit corp", "admit evil", 1), "admit corp evil {\nlogin\n"+whoHeaders+"}\n"+upstream(t))
	b := f.web()
	// The chooser leads to each.
	a := b.open("/x?y=z")
	if a.StatusCode != 200 || !strings.Contains(a.body, "integration=corp") || !strings.Contains(a.body, "integration=evil") {
		t.Fatalf("%v\n%s", b.trail, a.body)
	}
	if a := b.click("/oauth2/login?integration=evil&return_to=%2Fx"); !a.reached() || evil.count("/token") != 1 || good.count("/authorize") != 0 {
		t.Fatalf("%v\n%s", b.trail, a.body)
	}
	// The state of a login at evil, named as one of corp, and the other way round.
	b = f.web()
	for from, to := range map[string]string{"corp": "evil", "evil": "corp"} {
		a := b.once("/oauth2/login?integration=" + from)
		u, _ := url.Parse(location(a))
		state := u.Query().Get("state")
		if !strings.HasPrefix(state, from+".") {
			t.Fatalf("state %q", state)
		}
		b.stateRefused(b.callback(url.Values{"code": {"x"}, "iss": {good.issuer}, "state": {to + strings.TrimPrefix(state, from)}}))
	}
	if good.count("/token") != 0 || evil.count("/token") != 1 {
		t.Errorf("token requests: %d, %d", good.count("/token"), evil.count("/token"))
	}
}

// threat 61: what is said twice is not believed once.
func TestCallbackDuplicates(t *testing.T) {
	p := newProvider(t)
	f, _ := p.serveLogin(loginSite{})
	b := f.web()
	good := p.answerOf(b, b.begin("/x"))
	for _, name := range []string{"state", "code", "iss", "session_state"} {
		good.Set("session_state", "s") // OpenID Connect Session Management 1.0 section 2
		for _, second := range []string{good.Get(name), "x", ""} {
			bad := url.Values{}
			for key, values := range good {
				bad[key] = slices.Clone(values)
			}
			bad.Add(name, second)
			a := b.callback(bad)
			if b.refused(a, 400, ""); len(b.trail) != 1 {
				t.Errorf("%s twice: %v", name, b.trail)
			}
		}
	}
	for _, more := range []string{"&error=a&error=b", "&error=access_denied"} { // with a code it says both
		a := b.arrive("/oauth2/callback?" + good.Encode() + more)
		if a.reached() || b.isIn() {
			t.Errorf("%s: %v", more, b.trail)
		}
		good = p.answerOf(b, b.begin("/x"))
	}
	if n := p.count("/token"); n != 0 {
		t.Errorf("%d token requests", n)
	}
	if a := b.callback(good); !a.reached() {
		t.Errorf("%v\n%s", b.trail, a.body)
	}
}

// threat 62: tabs do not disturb each other, and do not fill the header.
func TestTabs(t *testing.T) {
	p := newProvider(t)
	f, _ := p.serveLogin(loginSite{})
	b := f.web()
	var asked []url.Values
	for i := range 7 {
		asked = append(asked, b.begin(fmt.Sprint("/tab/", i)))
		forward(t, time.Second)
	}
	if names := b.names(stateName); len(names) != 5 {
		t.Errorf("%d logins under way: %v", len(names), names)
	}
	for _, c := range b.cookies {
		if strings.HasPrefix(c.Name, stateName) && (len(c.Name)+len(c.Value)+3 > 600 || c.MaxAge <= 0 || c.MaxAge > 600 || !c.HttpOnly || !c.Secure || c.Path != "/" || c.SameSite != 2) {
			t.Errorf("%d bytes: %s", len(c.Raw), c.Raw) // threat 49
		}
	}
	for i := range 7 {
		i = 6 - i
		a := b.callback(p.answerOf(b, asked[i]))
		switch {
		case i >= 2 && (!a.reached() || a.seen(t).URI != fmt.Sprint("/tab/", i)):
			t.Errorf("tab %d: %v\n%s", i, b.trail, a.body)
		case i < 2 && (!a.reached() || a.seen(t).URI != "/"): // dropped, but somebody is logged in
			t.Errorf("tab %d: %v\n%s", i, b.trail, a.body)
		}
	}
	if names := b.names(stateName); len(names) > 0 {
		t.Errorf("states are left: %v", names)
	}
}
