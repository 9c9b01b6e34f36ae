package admit

import (
	"fmt"
	"net/http/httptest"
	"net/url"
	"slices"
	"strings"
	"testing"
)

// vendorLogin is one vendor's provider: how it is configured, what is peculiar
// about it, and who somebody is who logs in.
type vendorLogin struct {
	name         string
	site         func(*fakeProvider) loginSite
	quirks       func(*fakeProvider)
	user, groups string
	asks         url.Values                                   // what the authorization request must hold; "" for nothing
	more         func(*testing.T, *fakeProvider, *webBrowser) // with a browser that has logged in
}

// TestVendorLogins: one configuration a vendor, with the quirks of its login and its
// tokens. Where a preset knows the vendor's addresses, these are replaced.
func TestVendorLogins(t *testing.T) {
	for _, v := range slices.Concat(bigVendors, serverVendors) {
		t.Run(v.name, func(t *testing.T) {
			p := newProvider(t)
			if v.quirks != nil {
				v.quirks(p)
			}
			f, _ := p.serveLogin(v.site(p))
			b := f.web()
			got := b.logIn().Header
			if got.Get("X-User") != v.user || got.Get("X-Groups") != v.groups {
				t.Errorf("user %q in %q, want %q in %q", got.Get("X-User"), got.Get("X-Groups"), v.user, v.groups)
			}
			for name, want := range v.asks {
				if got := p.login().asked[name]; !slices.Equal(got, want) && (len(got) > 0 || want[0] != "") {
					t.Errorf("asked for %s %q, want %q", name, got, want)
				}
			}
			if v.more != nil {
				v.more(t, p, b)
			}
		})
	}
}

// without takes members out of the discovery document. Few vendors announce "iss"
// in answers, or send it.
func (p *fakeProvider) without(names ...string) {
	p.discovery = func(document object) {
		for _, name := range append(names, "authorization_response_iss_parameter_supported") {
			delete(document, name)
		}
	}
	p.answer = func(_, answer url.Values) { answer.Del("iss") }
}

// says makes ID tokens with other claims.
func (p *fakeProvider) says(more object) {
	p.idClaims = func(_ url.Values, claims object) { put(claims, more) }
}

// keysWithoutAlg publishes keys as Entra ID does, with more members.
func (p *fakeProvider) keysWithoutAlg(more object) {
	p.key = keyOf("RS256", "rs-1")
	p.published = []object{put(put(p.key.jwk(), object{"alg": nil}), more)}
}

// refusedAs wants a new login to be refused when ID tokens are so.
func (p *fakeProvider) refusedAs(b *webBrowser, more object) {
	p.t.Helper()
	p.change(func() { p.says(more) })
	other := b.f.web()
	other.refused(other.open("/x"), 403, "login_refused")
}

// noLogout wants a page that says that the provider was not left.
func noLogout(t *testing.T, p *fakeProvider, b *webBrowser) {
	t.Helper()
	if a := b.open("/oauth2/logout"); a.StatusCode != 200 || b.isIn() || p.count("/end-session") != 0 || !strings.Contains(a.body, "not of the service") {
		t.Errorf("%v\n%s", b.trail, a.body)
	}
}

var bigVendors = []vendorLogin{
	{
		name: "google", user: "ada@example.com", groups: "staff",
		asks: url.Values{"access_type": {"offline"}, "scope": {"openid profile email"}},
		site: func(p *fakeProvider) loginSite {
			return loginSite{issuer: "preset google\nissuer " + p.URL + " " + strings.TrimPrefix(p.URL, "http://"), gate: "require hd example.com"}
		},
		quirks: func(p *fakeProvider) {
			p.without("end_session_endpoint")
			p.keysWithoutAlg(object{"alg": "RS256"})
			p.offline, p.keepOld = true, true
			p.says(object{"iss": strings.TrimPrefix(p.URL, "http://"), "hd": "example.com"})
		},
		more: func(t *testing.T, p *fakeProvider, b *webBrowser) {
			p.change(func() { p.says(object{"hd": "example.com"}) }) // the other spelling
			b.f.web().logIn()
			p.change(func() { p.says(object{"hd": nil}) }) // a private account
			if a := b.f.web().open("/x"); a.StatusCode != 403 || !strings.Contains(a.body, "ada@example.com") {
				t.Errorf("%d\n%s", a.StatusCode, a.body)
			}
			p.refusedAs(b, object{"iss": "https://" + strings.TrimPrefix(p.URL, "http://"), "hd": "example.com"})
			noLogout(t, p, b)
		},
	},
	{
		name: "okta-custom", user: "ada@example.com", groups: "staff",
		site: func(p *fakeProvider) loginSite {
			return loginSite{issuer: "preset okta example.okta.com default\nissuer " + p.issuer, options: "audience api://default", gate: "require scp groups"}
		},
		quirks: func(p *fakeProvider) {
			p.issuer = p.URL + "/oauth2/default"
			p.without()
			p.says(object{"sub": "00u1", "groups": nil})
			p.access = func(claims object) {
				put(claims, object{"sub": "ada@example.com", "aud": "api://default", "cid": clientID, "client_id": nil, "uid": "00u1", "scp": []string{"openid", "groups"}, "groups": []string{"staff"}})
			}
		},
		more: func(t *testing.T, p *fakeProvider, b *webBrowser) {
			// threat 59: the access token is checked as the gate checks one.
			good := p.access
			for name, bad := range map[string]object{"audience": {"aud": "api://other"}, "issuer": {"iss": "https://evil.example"}, "expiry": {"exp": 1}} {
				p.change(func() { p.access = func(claims object) { good(claims); put(claims, bad) } })
				other := b.f.web()
				if other.refused(other.open("/x"), 403, "login_refused"); t.Failed() {
					t.Fatal(name)
				}
			}
			p.change(func() { p.access = nil }) // the organisation's own server: opaque
			other := b.f.web()
			other.refused(other.open("/x"), 403, "login_refused")
		},
	},
	{
		name: "entra-v2", user: "o1", groups: "g1,Admin",
		site: func(p *fakeProvider) loginSite {
			return loginSite{issuer: "preset entra " + tenantA + "\nissuer " + p.issuer}
		},
		quirks: func(p *fakeProvider) {
			p.issuer = p.URL + "/" + tenantA + "/v2.0"
			p.without()
			p.keysWithoutAlg(nil)
			p.says(object{"tid": tenantA, "oid": "o1", "groups": []string{"g1"}, "roles": []string{"Admin"}, "at_hash": nil, "email": "ada@example.com", "email_verified": nil})
		},
		more: func(t *testing.T, p *fakeProvider, b *webBrowser) {
			// threat 30: an address that Entra ID has not verified is none.
			if got := b.fetch("GET", "/x").seen(t).Header.Get("X-Email"); got != "" {
				t.Errorf("e-mail %q", got)
			}
			p.change(func() {
				p.says(object{"tid": tenantA, "oid": "o1", "email": "ada@example.com", "email_verified": nil, "xms_edov": true})
			})
			if got := b.f.web().logIn().Header.Get("X-Email"); got != "ada@example.com" {
				t.Errorf("e-mail %q", got)
			}
		},
	},
	{
		name: "entra-v1", user: "o1", groups: "r1",
		site: func(p *fakeProvider) loginSite {
			return loginSite{
				issuer:  "preset entra " + tenantA + "\nissuer " + p.issuer + " " + p.URL + "/" + tenantA + "/",
				options: "audience api://app", login: "session_token access",
			}
		},
		quirks: func(p *fakeProvider) { // a version 2 endpoint for an API of version 1
			p.issuer = p.URL + "/" + tenantA + "/v2.0"
			p.without()
			p.keysWithoutAlg(nil)
			p.says(object{"tid": tenantA, "oid": "o1"})
			p.access = func(claims object) {
				put(claims, object{"iss": p.URL + "/" + tenantA + "/", "aud": "api://app", "tid": tenantA, "oid": "o1", "roles": []string{"r1"}, "appid": clientID})
			}
		},
	},
	{
		name: "entra-multi", user: "o1", groups: "",
		site: func(p *fakeProvider) loginSite {
			return loginSite{
				issuer: "preset entra " + tenantA + " " + tenantB + "\nissuer " + p.issuer + "\ndiscovery " + p.URL + "/organizations/v2.0/.well-known/openid-configuration",
				gate:   "require /admin/* groups admins\ndeny /guests/* groups guests",
			}
		},
		quirks: func(p *fakeProvider) {
			p.issuer = p.URL + "/{tenantid}/v2.0"
			p.without()
			p.keysWithoutAlg(object{"issuer": p.issuer})
			p.says(object{"iss": p.URL + "/" + tenantA + "/v2.0", "tid": tenantA, "oid": "o1", "groups": nil, "_claim_names": object{"groups": "src1"}, "_claim_sources": object{"src1": object{"endpoint": p.URL + "/marked"}}})
		},
		more: func(t *testing.T, p *fakeProvider, b *webBrowser) {
			for _, path := range []string{"/admin/x", "/guests/x"} { // unknown groups are no groups, and not none
				if a := b.fetch("GET", path); a.StatusCode != 403 {
					t.Errorf("%s: %d", path, a.StatusCode)
				}
			}
			if p.count("/marked") != 0 {
				t.Error("a claim source was asked") // threat 20
			}
			p.change(func() {
				p.says(object{"iss": p.URL + "/" + tenantB + "/v2.0", "tid": tenantB, "oid": "o2", "groups": []string{"admins"}})
			})
			other := b.f.web()
			if a := other.open("/admin/x"); !a.reached() || a.seen(t).Header.Get("X-User") != "o2" {
				t.Errorf("%v\n%s", other.trail, a.body)
			}
			third := strings.Replace(tenantA, "aaaaaaaa", "cccccccc", 1)
			p.refusedAs(b, object{"iss": p.URL + "/" + third + "/v2.0", "tid": third, "oid": "o3"})
			p.refusedAs(b, object{"iss": p.URL + "/" + tenantA + "/v2.0", "tid": tenantB, "oid": "o3"})
			p.refusedAs(b, object{"tid": "{tenantid}", "oid": "o3"})
			p.refusedAs(b, object{"iss": p.URL + "/" + tenantA + "/v2.0", "oid": "o3"})
		},
	},
	{
		name: "cognito", user: "ada-1", groups: "dev",
		site: func(p *fakeProvider) loginSite {
			return loginSite{
				issuer:  "preset cognito eu-west-1 pool1\nissuer " + p.issuer,
				options: "audience " + clientID, login: "end_session_url " + p.URL + "/logout",
			}
		},
		quirks: func(p *fakeProvider) {
			domain := httptest.NewServer(p) // where people log in is not where the keys are
			p.t.Cleanup(domain.Close)
			p.keysWithoutAlg(object{"alg": "RS256"})
			p.published = append(p.published, keyOf("ES256", "es-2").jwk())
			p.answer = func(_, answer url.Values) { answer.Del("iss") }
			p.discovery = func(document object) {
				delete(document, "authorization_response_iss_parameter_supported")
				for _, name := range []string{"authorization", "token", "userinfo"} {
					document[name+"_endpoint"] = strings.Replace(document[name+"_endpoint"].(string), p.URL, domain.URL, 1)
				}
			}
			p.says(object{"token_use": "id", "cognito:groups": []string{"dev"}, "groups": nil})
			p.access = func(claims object) {
				put(claims, object{"aud": nil, "token_use": "access", "username": "ada", "scope": "openid profile email", "cognito:groups": []string{"dev"}})
			}
		},
		more: func(t *testing.T, p *fakeProvider, b *webBrowser) {
			good := p.access
			for _, bad := range []object{{"client_id": "another"}, {"token_use": "id"}, {"token_use": nil}} {
				p.change(func() { p.access = func(claims object) { good(claims); put(claims, bad) } })
				other := b.f.web()
				other.refused(other.open("/x"), 403, "login_refused")
			}
			a := b.open("/oauth2/logout")
			asked := p.last("/logout").form
			if a.StatusCode != 200 || b.isIn() || asked.Get("client_id") != clientID || asked.Get("logout_uri") != "http://localhost/oauth2/logged-out" || asked.Has("id_token_hint") {
				t.Errorf("%v\nasked %v\n%s", b.trail, asked, a.body)
			}
			// threat 62: no state comes back, so none is left behind.
			if left := b.names(stateName); len(left) > 0 {
				t.Errorf("left behind: %v", left)
			}
		},
	},
	{
		name: "auth0", user: "ada-1", groups: "admin",
		asks: url.Values{"audience": {"https://api.example.com"}, "organization": {"org_1"}},
		site: func(p *fakeProvider) loginSite {
			return loginSite{
				issuer:  "preset auth0 tenant.example.com\nissuer " + p.issuer,
				options: "identity {\ngroups https://app.example.com/roles\n}",
				login:   "param audience https://api.example.com\nparam organization org_1",
				gate:    "require user *",
			}
		},
		quirks: func(p *fakeProvider) {
			p.issuer = p.URL + "/"
			p.without("end_session_endpoint")
			p.says(object{"https://app.example.com/roles": []string{"admin"}, "at_hash": nil})
			p.tokens = func(_ url.Values, answer object) {
				answer["access_token"] = "eyJhbGciOiJkaXIiLCJlbmMiOiJBMjU2R0NNIn0..a.b.c"
			}
		},
		more: func(t *testing.T, p *fakeProvider, b *webBrowser) {
			p.refusedAs(b, object{"iss": p.URL}) // without the slash
			a := b.open("/oauth2/logout")
			if asked := p.last("/v2/logout").form; a.StatusCode != 200 || b.isIn() || asked.Get("client_id") != clientID || asked.Get("returnTo") != "http://localhost/oauth2/logged-out" {
				t.Errorf("%v\nasked %v\n%s", b.trail, asked, a.body)
			}
			// threat 62: no state comes back, so none is left behind.
			if left := b.names(stateName); len(left) > 0 {
				t.Errorf("left behind: %v", left)
			}
			p.change(func() {
				p.tokens = func(_ url.Values, answer object) {
					answer["id_token"] = "eyJhbGciOiJkaXIiLCJlbmMiOiJBMjU2R0NNIn0..a.b.c"
				}
			})
			other := b.f.web()
			other.refused(other.open("/x"), 403, "login_refused")
			if line := b.f.entries("login refused"); !strings.Contains(fmt.Sprint(line[len(line)-1]), "encrypted") {
				t.Errorf("logged %v", line[len(line)-1])
			}
		},
	},
}
