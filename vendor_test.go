package admit

import (
	"net/http"
	"strings"
	"testing"
)

const (
	tenantA = "aaaaaaaa-1111-2222-3333-444444444444"
	tenantB = "bbbbbbbb-1111-2222-3333-444444444444"
)

// TestVendors: tokens as vendors make them, with keys of a fake issuer. A row is
// what a token has beside the good claims; header is in its JOSE header.
func TestVendors(t *testing.T) {
	key := newKey("k1", "one")
	is := newIssuer(t, key.jwk(map[string]any{"alg": nil})) // as Entra ID publishes them
	jwks := "\naudience api\njwks " + is.URL + "/jwks\n"
	entraA := "https://login.microsoftonline.com/" + tenantA + "/v2.0"
	entraB := "https://login.microsoftonline.com/" + tenantB + "/v2.0"
	type claims = map[string]any
	type row struct {
		name   string
		claims claims
		status int
		want   string // the user and groups, or the reason
	}
	for _, tc := range []struct {
		preset string
		rows   []row
	}{
		{"preset google" + jwks, []row{
			{"one spelling", claims{"iss": "https://accounts.google.com", "email": "ada@example.com", "email_verified": true}, 200, "ada@example.com "},
			{"the other spelling", claims{"iss": "accounts.google.com"}, 200, "ada "},
			{"a third spelling", claims{"iss": "http://accounts.google.com"}, 401, "unknown_issuer"},
			{"not verified", claims{"iss": "accounts.google.com", "email": "eve@example.com", "email_verified": false}, 200, "ada "},
		}},
		{"preset entra " + tenantA + jwks, []row{
			{"version 2", claims{"iss": entraA, "tid": tenantA, "oid": "o1", "groups": []string{"g"}, "roles": []string{"r"}}, 200, "o1 g,r"},
			{"version 1", claims{"iss": "https://sts.windows.net/" + tenantA + "/", "tid": tenantA, "oid": "o1"}, 200, "o1 "},
			{"another tenant", claims{"iss": entraB, "tid": tenantB, "oid": "o1"}, 401, "unknown_issuer"},
			{"without a user", claims{"iss": entraA, "tid": tenantA}, 401, "no_identity"},
		}},
		{"preset entra " + tenantA + " " + strings.ToUpper(tenantB) + jwks, []row{
			{"first tenant", claims{"iss": entraA, "tid": tenantA, "oid": "o1"}, 200, "o1 "},
			{"second tenant", claims{"iss": entraB, "tid": tenantB, "oid": "o2"}, 200, "o2 "},
			{"issuer of one, tid of the other", claims{"iss": entraB, "tid": tenantA, "oid": "o1"}, 401, "unknown_issuer"},
			{"no tid", claims{"iss": entraA, "oid": "o1"}, 401, "unknown_issuer"},
			{"the template itself", claims{"iss": "https://login.microsoftonline.com/{tenantid}/v2.0", "tid": "{tenantid}", "oid": "o1"}, 401, "unknown_issuer"},
			{"tid that is a path", claims{"iss": "https://login.microsoftonline.com/x/../v2.0", "tid": "x/..", "oid": "o1"}, 401, "unknown_issuer"},
			{"a third tenant", claims{"iss": strings.Replace(entraA, "aaaaaaaa", "cccccccc", 1), "tid": strings.Replace(tenantA, "aaaaaaaa", "cccccccc", 1), "oid": "o1"}, 401, "unknown_issuer"},
		}},
		{"preset cognito eu-west-1 pool1" + jwks, []row{
			{"access token", claims{"iss": "https://cognito-idp.eu-west-1.amazonaws.com/pool1", "aud": nil, "client_id": "api", "token_use": "access", "cognito:groups": []string{"dev"}}, 200, "ada dev"},
			{"ID token", claims{"iss": "https://cognito-idp.eu-west-1.amazonaws.com/pool1", "token_use": "id"}, 401, "wrong_type"},
			{"another client", claims{"iss": "https://cognito-idp.eu-west-1.amazonaws.com/pool1", "aud": nil, "client_id": "other", "token_use": "access"}, 401, "wrong_audience"},
			{"another pool", claims{"iss": "https://cognito-idp.eu-west-1.amazonaws.com/pool2", "token_use": "access"}, 401, "unknown_issuer"},
		}},
		{"preset keycloak https://sso.example.com main" + jwks, []row{
			{"access token", claims{"iss": "https://sso.example.com/realms/main", "typ": "Bearer", "preferred_username": "bea", "groups": []string{"/g"}, "realm_access": claims{"roles": []string{"r"}}}, 200, "bea /g,r"},
			{"ID token", claims{"iss": "https://sso.example.com/realms/main", "typ": "ID"}, 401, "wrong_type"},
			{"refresh token", claims{"iss": "https://sso.example.com/realms/main", "typ": "Refresh"}, 401, "wrong_type"},
			{"no typ", claims{"iss": "https://sso.example.com/realms/main"}, 401, "wrong_type"},
			{"another realm", claims{"iss": "https://sso.example.com/realms/main2", "typ": "Bearer"}, 401, "unknown_issuer"},
		}},
	} {
		t.Run(strings.Fields(tc.preset)[1], func(t *testing.T) {
			s := serve(t, "admit corp {\n"+tc.preset+"}", "admit\nrespond \"{http.auth.user.id} {http.auth.user.groups}\"")
			for _, r := range tc.rows {
				t.Run(r.name, func(t *testing.T) {
					got := s.get("/", key.bearer(t, "", r.claims))
					if r.status != 200 {
						got.want(t, r.status, r.want)
					} else if got.body != r.want {
						t.Errorf("got %d %q, want %q", got.StatusCode, got.body, r.want)
					}
				})
			}
		})
	}
}

// Issuers with {tenantid}, by discovery: as the document of Entra ID for several
// tenants, whose keys name the tenant they belong to.
func TestTenantsByDiscovery(t *testing.T) {
	forAll, forB := newKey("all", "one"), newKey("b", "two")
	is := newIssuer(t)
	template := is.URL + "/{tenantid}/v2.0"
	is.name = template
	is.keys = []map[string]any{
		forAll.jwk(map[string]any{"issuer": template}),
		forB.jwk(map[string]any{"issuer": is.URL + "/" + tenantB + "/v2.0"}),
	}
	s := serve(t, `admit corp {
		issuer `+template+`
		discovery `+is.URL+`/.well-known/openid-configuration
		tenants `+tenantA+` `+tenantB+`
		audience api
	}`, "admit\nrespond ok")
	for _, tc := range []struct {
		name        string
		key         testKey
		issuer, tid string
		status      int
		reason      string
	}{
		{"a", forAll, tenantA, tenantA, 200, ""},
		{"b", forAll, tenantB, tenantB, 200, ""},
		{"b with its own key", forB, tenantB, tenantB, 200, ""},
		{"a with b's key", forB, tenantA, tenantA, 401, "unknown_key"},
		{"a in the name of b", forAll, tenantB, tenantA, 401, "unknown_issuer"},
		{"GUID in capitals", forAll, strings.ToUpper(tenantA), strings.ToUpper(tenantA), 401, "unknown_issuer"},
		{"the template", forAll, "{tenantid}", "{tenantid}", 401, "unknown_issuer"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			s.get("/", tc.key.bearer(t, is.URL+"/"+tc.issuer+"/v2.0", map[string]any{"tid": tc.tid})).want(t, tc.status, tc.reason)
		})
	}
	// threat 21: a document of one tenant does not speak for the others.
	is.mu.Lock()
	is.name = is.URL + "/" + tenantA + "/v2.0"
	is.mu.Unlock()
	s.load(secretIntegration, "admit\nrespond ok") // forgets the keys
	s.load(`admit corp {
		issuer `+template+`
		discovery `+is.URL+`/.well-known/openid-configuration
		tenants `+tenantA+` `+tenantB+`
		audience api
	}`, "admit\nrespond ok")
	s.get("/", forAll.bearer(t, is.URL+"/"+tenantB+"/v2.0", map[string]any{"tid": tenantB})).want(t, http.StatusServiceUnavailable, "keys_unavailable")
}

// threat 30, 32: groups that Entra ID leaves out of a token refuse every rule on
// them, deny too.
func TestGroupsElsewhere(t *testing.T) {
	key := newKey("k1", "one")
	is := newIssuer(t, key.jwk(nil))
	s := serve(t, "admit corp {\npreset entra "+tenantA+"\naudience api\njwks "+is.URL+"/jwks\n}", `
		admit {
			require /in/* groups admins
			deny /out/* groups guests
			any /any/* {
				require groups admins
				require user o1
			}
			require /mail/* email *@example.com
		}
		respond ok`)
	iss := "https://login.microsoftonline.com/" + tenantA + "/v2.0"
	there := map[string]any{"tid": tenantA, "oid": "o1", "groups": []string{"admins"}, "email": "ada@EXAMPLE.com", "xms_edov": true}
	away := map[string]any{"tid": tenantA, "oid": "o1", "_claim_names": map[string]any{"groups": "src1"}, "email": "ada@example.com"}
	for _, tc := range []struct {
		path        string
		there, away int
	}{
		{"/", 200, 200}, {"/in/x", 200, 403}, {"/out/x", 200, 403}, {"/any/x", 200, 200}, {"/mail/x", 200, 403},
	} {
		if got := s.get(tc.path, key.bearer(t, iss, there)).StatusCode; got != tc.there {
			t.Errorf("%s: groups in the token: %d", tc.path, got)
		}
		if got := s.get(tc.path, key.bearer(t, iss, away)).StatusCode; got != tc.away {
			t.Errorf("%s: groups elsewhere: %d", tc.path, got)
		}
	}
}
