package admit

import (
	"net/url"
	"strings"
	"testing"
	"time"
)

// serverVendors are those whose servers people run themselves.
var serverVendors = []vendorLogin{
	{
		name: "keycloak", user: "ada", groups: "/staff,offline_access,admin",
		site: func(p *fakeProvider) loginSite { return loginSite{issuer: "preset keycloak " + p.URL + " main"} },
		quirks: func(p *fakeProvider) {
			p.issuer = p.URL + "/realms/main"
			p.key = keyOf("RS256", "rs-1")
			enc := put(keyOf("RS256", "rs-enc").jwk(), object{"use": "enc", "alg": "RSA-OAEP"})
			p.published = []object{enc, p.key.jwk()}
			p.says(object{
				"typ": "ID", "azp": clientID, "preferred_username": "ada", "groups": []string{"/staff"}, "acr": "1",
				"realm_access": object{"roles": []string{"offline_access", "admin"}}, "resource_access": object{"my-app.x": object{"roles": []string{"r"}}},
			})
		},
		more: func(t *testing.T, p *fakeProvider, b *webBrowser) {
			p.refusedAs(b, object{"aud": "account", "azp": clientID}) // as in its access tokens
			p.change(func() { p.idClaims = nil })
			if a := b.open("/oauth2/logout"); a.StatusCode != 200 || b.isIn() || p.last("/end-session").form.Get("id_token_hint") == "" {
				t.Errorf("%v\n%s", b.trail, a.body)
			}
		},
	},
	{
		name: "gitlab", user: "ada-1", groups: "direct,direct/sub,inherited",
		site: func(p *fakeProvider) loginSite {
			return loginSite{issuer: "preset gitlab " + p.URL, gate: "require groups inherited"}
		},
		quirks: func(p *fakeProvider) {
			p.without("end_session_endpoint")
			p.idClaims = func(_ url.Values, claims object) { // two minutes
				put(claims, object{"groups": nil, "groups_direct": []string{"direct", "direct/sub"}, "exp": now().Add(2 * time.Minute).Unix()})
			}
			p.userinfo = func(claims object) { claims["groups"] = []string{"direct", "inherited"} }
		},
		more: func(t *testing.T, p *fakeProvider, b *webBrowser) {
			forward(t, 30*time.Minute)
			if !b.isIn() {
				t.Error("the session ended with the ID token")
			}
			// A token of CI has the same issuer and keys, but another audience.
			p.refusedAs(b, object{"aud": "https://vault.example", "sub": "project_path:x/y:ref_type:branch:ref:main"})
			noLogout(t, p, b)
		},
	},
	{
		name: "zitadel", user: "ada-1", groups: "admin,editor",
		asks: url.Values{"scope": {"openid profile urn:zitadel:iam:org:project:id:42:aud"}},
		site: func(p *fakeProvider) loginSite {
			return loginSite{
				options: "userinfo\nidentity {\ngroups urn:zitadel:iam:org:project:42:roles\n}",
				login:   "scopes openid profile urn:zitadel:iam:org:project:id:42:aud",
				gate:    "require urn:zitadel:iam:org:project:42:roles admin",
			}
		},
		quirks: func(p *fakeProvider) {
			p.without()
			p.says(object{"aud": []string{"another-app", clientID, "42"}, "azp": clientID, "groups": nil, "name": nil})
			p.userinfo = func(claims object) {
				claims["urn:zitadel:iam:org:project:42:roles"] = object{"admin": object{"7": "example.com"}, "editor": object{"7": "example.com"}}
			}
		},
		more: func(t *testing.T, p *fakeProvider, b *webBrowser) {
			if got := b.fetch("GET", "/x").seen(t).Header.Get("X-Name"); got != "Ada of the userinfo endpoint" {
				t.Errorf("name %q", got)
			}
			p.change(func() { p.userinfo = nil })
			if a := b.f.web().open("/x"); a.StatusCode != 403 {
				t.Errorf("without the role: %d", a.StatusCode)
			}
			p.refusedAs(b, object{"aud": []string{"another-app", "42"}})
		},
	},
	{
		name: "authentik", user: "ada-1", groups: "staff",
		site: func(p *fakeProvider) loginSite {
			return loginSite{options: "discovery " + p.URL + "/application/o/app/.well-known/openid-configuration"}
		},
		quirks: func(p *fakeProvider) {
			p.issuer = p.URL + "/" // one for all applications
			p.discovery = func(document object) { document["token_endpoint"] = p.URL + "/token/" }
		},
		more: func(t *testing.T, p *fakeProvider, b *webBrowser) {
			if p.count("/token/") != 1 || p.count("/token") != 0 || p.count("/application/o/app/.well-known/openid-configuration") != 1 {
				t.Errorf("requests %v", p.counts)
			}
			p.refusedAs(b, object{"iss": p.URL + "/application/o/app/"}) // an issuer for each application
		},
	},
	{
		name: "dex", user: "CgNhZGESBGxkYXA", groups: "staff",
		asks: url.Values{"scope": {"openid profile email groups"}},
		site: func(p *fakeProvider) loginSite {
			return loginSite{login: "scopes openid profile email groups"}
		},
		quirks: func(p *fakeProvider) {
			p.issuer = p.URL + "/dex"
			p.without("end_session_endpoint")
			p.says(object{"sub": "CgNhZGESBGxkYXA", "aud": []string{clientID, "another"}, "azp": clientID, "sid": nil})
		},
		more: func(t *testing.T, p *fakeProvider, b *webBrowser) {
			noLogout(t, p, b)
			for n := range 3 { // its keys change every few hours
				forward(t, 6*time.Hour)
				p.change(func() { p.key = keyOf("ES256", "es-dex-"+string(rune('a'+n))) })
				b.f.web().logIn()
			}
			p.refusedAs(b, object{"aud": []string{"another"}, "azp": "another"})
		},
	},
	{
		name: "hydra", user: "ada-1", groups: "staff,ops",
		site: func(p *fakeProvider) loginSite {
			return loginSite{options: "identity {\ngroups ext.groups\n}"}
		},
		quirks: func(p *fakeProvider) {
			p.issuer = p.URL + "/"
			p.without()
			p.says(object{"groups": nil, "aud": []string{clientID}, "ext": object{"groups": []string{"staff", "ops"}}, "at_hash": nil})
			p.tokens = func(_ url.Values, answer object) {
				answer["access_token"], answer["token_type"] = "ory_at_marked.x", "bearer"
			}
		},
		more: func(t *testing.T, p *fakeProvider, b *webBrowser) {
			p.refusedAs(b, object{"aud": []string{}})
			if a := b.open("/oauth2/logout"); a.StatusCode != 200 || b.isIn() || !strings.Contains(a.body, "Signed out") {
				t.Errorf("%v\n%s", b.trail, a.body)
			}
		},
	},
}
