package admit

import (
	"crypto"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"maps"
	"math/big"
	"net/http"
	"net/http/httptest"
	"net/url"
	"slices"
	"strings"
	"testing"
	"time"
)

// vendorRow is one request with a token of the vendor. Claims stand over those
// that docs/vendors.md shows; nil takes one away.
type vendorRow struct {
	name, path string
	claims     map[string]any
	header     map[string]any // of the token
	raw        string         // a token instead of one that is signed
	other      bool           // signed by somebody else with the same key id
	from       string         // another issuer than the vendor's
	status     int
	want       string // the reason, or a header that the application sees
}

type vendorCase struct {
	key     map[string]any // members of the published key beside its own
	more    []map[string]any
	issuers []string // of the key set, for vendors that name them in keys
	rows    [][]vendorRow
}

// vendorCases holds, for each section of the document and each Caddyfile in it,
// what is sent. Every refusal that the document lists has a row.
var vendorCases = map[string]vendorCase{
	"Okta": {key: map[string]any{"alg": "RS256"}, rows: [][]vendorRow{{
		{name: "access token", header: object{"typ": nil}, status: 200, want: "X-User: ada@example.com\n"},
		{name: "admin", path: "/admin/x", status: 200},
		{name: "not admin", path: "/admin/x", claims: object{"groups": []string{"Everyone"}}, status: 403, want: "rule"},
		{name: "no group", path: "/admin/x", claims: object{"groups": nil}, status: 403, want: "rule"},
		{name: "another scope", claims: object{"scp": []string{"openid"}}, status: 403, want: "insufficient_scope"},
		{name: "the organisation's server", from: "/", claims: object{"aud": "https://example.okta.com"}, status: 401, want: "unknown_issuer"},
		{name: "another server", from: "/oauth2/aus1", status: 401, want: "unknown_issuer"},
		{name: "ID token", claims: object{"aud": "0oabucvyc38HLL1ef0h7", "scp": nil, "sub": "00ucwl6jv2cFjvdPg0h7"}, status: 401, want: "wrong_audience"},
		{name: "program", claims: object{"sub": "0oabucvyc38HLL1ef0h7", "uid": nil, "groups": nil}, status: 200, want: "X-User: 0oabucvyc38HLL1ef0h7\n"},
	}}},
	"Entra ID": {key: map[string]any{"x5t": "k"}, issuers: []string{"/11111111-2222-3333-4444-555555555555/v2.0", "/{tenantid}/v2.0"}, rows: [][]vendorRow{
		{
			{name: "version 2", status: 200, want: "X-User: bbbbbbbb-0000-4000-8000-000000000002\n"},
			{name: "version 1", from: "/11111111-2222-3333-4444-555555555555/", claims: object{"aud": "api://my-api", "ver": "1.0", "azp": nil, "appid": "aaaaaaaa-0000-4000-8000-000000000001"}, status: 200},
			{name: "for Graph", from: "/11111111-2222-3333-4444-555555555555/", claims: object{"aud": "00000003-0000-0000-c000-000000000000", "scp": "User.Read"}, header: object{"nonce": "x"}, status: 401, want: "wrong_audience"},
			{name: "ID token", claims: object{"aud": "aaaaaaaa-0000-4000-8000-000000000001", "scp": nil}, status: 401, want: "wrong_audience"},
			{name: "another tenant", from: "/99999999-2222-3333-4444-555555555555/v2.0", claims: object{"tid": "99999999-2222-3333-4444-555555555555"}, status: 401, want: "unknown_issuer"},
			{name: "no oid", claims: object{"oid": nil}, status: 401, want: "no_identity"},
			{name: "program with its role", claims: object{"scp": nil, "roles": []string{"Orders.Read.All"}}, status: 200},
			{name: "program without a role", claims: object{"scp": nil, "roles": nil}, status: 403, want: "rule"},
			{name: "another scope", claims: object{"scp": "Other", "roles": nil}, status: 403, want: "rule"},
			{name: "admin", path: "/admin/x", status: 200},
			{name: "not admin", path: "/admin/x", claims: object{"roles": nil}, status: 403, want: "rule"},
		},
		{
			{name: "first tenant", status: 200, want: "X-Tenant: 11111111-2222-3333-4444-555555555555\n"},
			{name: "second tenant", from: "/aaaaaaaa-2222-3333-4444-555555555555/v2.0", claims: object{"tid": "aaaaaaaa-2222-3333-4444-555555555555"}, status: 200, want: "X-Tenant: aaaaaaaa-2222-3333-4444-555555555555\n"},
			{name: "second tenant, admin", path: "/admin", from: "/aaaaaaaa-2222-3333-4444-555555555555/v2.0", claims: object{"tid": "aaaaaaaa-2222-3333-4444-555555555555"}, status: 403, want: "rule"},
			{name: "second tenant in the name of the first", from: "/aaaaaaaa-2222-3333-4444-555555555555/v2.0", status: 401, want: "unknown_issuer"},
			{name: "a third tenant", from: "/99999999-2222-3333-4444-555555555555/v2.0", claims: object{"tid": "99999999-2222-3333-4444-555555555555"}, status: 401, want: "unknown_issuer"},
		},
	}},
	"Cognito": {key: map[string]any{"alg": "RS256"}, rows: [][]vendorRow{{
		{name: "access token", status: 200, want: "X-User: aaaaaaaa-bbbb-cccc-dddd-eeeeeeeeeeee\n"},
		{name: "ID token", claims: object{"aud": "1example23456789", "client_id": nil, "token_use": "id", "email": "ada@example.com", "scope": nil}, status: 401, want: "wrong_type"},
		{name: "another app client", claims: object{"client_id": "other"}, status: 401, want: "wrong_audience"},
		{name: "another pool", from: "/eu-west-1_OTHER", status: 401, want: "unknown_issuer"},
		{name: "by the SDK", claims: object{"scope": "aws.cognito.signin.user.admin"}, status: 403, want: "insufficient_scope"},
		{name: "admin", path: "/admin/x", status: 200},
		{name: "not admin", path: "/admin/x", claims: object{"cognito:groups": nil}, status: 403, want: "rule"},
	}}},
	"Google": {key: map[string]any{"alg": "RS256"}, rows: [][]vendorRow{{
		{name: "ID token", status: 200, want: "X-User: ada@example.com\n"},
		{name: "the issuer's other spelling", from: "accounts.google.com", status: 200},
		{name: "access token", raw: "ya29.a0AfH6SMBx_opaque-opaque", status: 401, want: "malformed_token"},
		{name: "another client", claims: object{"aud": "32555940559.apps.googleusercontent.com"}, status: 401, want: "wrong_audience"},
		{name: "an hour later", claims: object{"exp": int64(1)}, status: 401, want: "expired"},
		{name: "a private account", claims: object{"hd": nil, "email": "eve@gmail.com"}, status: 403, want: "rule"},
		{name: "a service account", claims: object{"hd": nil, "email": "jobs@my-project.iam.gserviceaccount.com"}, status: 403, want: "rule"},
		{name: "another organisation", claims: object{"hd": "evil.example"}, status: 403, want: "rule"},
		{name: "admin", path: "/admin/x", status: 200},
		{name: "not admin", path: "/admin/x", claims: object{"email": "grace@example.com"}, status: 403, want: "rule"},
		{name: "admin's address, not verified", path: "/admin/x", claims: object{"email_verified": false}, status: 403, want: "rule"},
	}}},
	"Auth0": {key: map[string]any{"alg": "RS256", "x5t": "k"}, rows: [][]vendorRow{{
		{name: "access token", status: 200, want: "X-User: auth0|5f7c8ec7c33c6c004bbafe82\n"},
		{name: "RFC 9068 profile", header: object{"typ": "at+jwt"}, claims: object{"client_id": "my_client_id"}, status: 200},
		{name: "opaque token", raw: "Yk3pL9w0zJb1xTqS", status: 401, want: "malformed_token"},
		{name: "encrypted token", raw: "eyJhbGciOiJkaXIiLCJlbmMiOiJBMjU2R0NNIn0..AAAAAAAAAAAAAAAA.AAAA.AAAAAAAAAAAAAAAAAAAAAA", status: 401, want: "encrypted"},
		{name: "ID token", claims: object{"aud": "my_client_id"}, status: 401, want: "wrong_audience"},
		{name: "slash at the end of the audience", claims: object{"aud": "https://api.example.com/"}, status: 401, want: "wrong_audience"},
		{name: "issuer without its slash", from: "", claims: object{"iss": "NOSLASH"}, status: 401, want: "unknown_issuer"},
		{name: "custom domain", from: "https://login.example.com/", status: 401, want: "unknown_issuer"},
		{name: "HS256", raw: "HS256", status: 401, want: "unsupported_algorithm"},
		{name: "no permission", claims: object{"permissions": []string{}}, status: 403, want: "rule"},
		{name: "admin", path: "/admin/x", status: 200},
		{name: "not admin", path: "/admin/x", claims: object{"https://example.com/roles": nil}, status: 403, want: "rule"},
		{name: "program", claims: object{"sub": "abc@clients", "gty": "client-credentials"}, status: 200, want: "X-User: abc@clients\n"},
	}}},
	"Keycloak": {
		key:  map[string]any{"alg": "RS256"},
		more: []map[string]any{{"alg": "RSA-OAEP", "use": "enc", "kid": "enc"}},
		rows: [][]vendorRow{{
			{name: "access token", status: 200, want: "X-User: ada\n"},
			{name: "role alone", claims: object{"groups": nil}, status: 200},
			{name: "no mapper", claims: object{"aud": "account"}, status: 401, want: "wrong_audience"},
			{name: "no audience", claims: object{"aud": nil}, status: 401, want: "wrong_audience"},
			{name: "ID token", claims: object{"typ": "ID"}, status: 401, want: "wrong_type"},
			{name: "refresh token", raw: "HS512", status: 401, want: "unsupported_algorithm"},
			{name: "inside name", from: "http://keycloak:8080/realms/staff", status: 401, want: "unknown_issuer"},
			{name: "another realm", from: "/realms/master", status: 401, want: "unknown_issuer"},
			{name: "neither group nor role", claims: object{"groups": nil, "realm_access": nil}, status: 403, want: "rule"},
			{name: "group of another name", claims: object{"groups": []string{"staff"}, "realm_access": nil}, status: 403, want: "rule"},
			{name: "admin", path: "/admin/x", status: 200},
			{name: "not admin", path: "/admin/x", claims: object{"resource_access": object{"other": object{"roles": []string{"admin"}}}}, status: 403, want: "rule"},
		}},
	},
	"GitLab": {key: map[string]any{"alg": "RS256"}, rows: [][]vendorRow{{
		{name: "job", status: 200, want: "X-Project: acme/site\nX-User: ada\n"},
		{name: "job token", raw: "glcbt-64_opaque", status: 401, want: "malformed_token"},
		{name: "another audience", claims: object{"aud": "https://other.example.com"}, status: 401, want: "wrong_audience"},
		{name: "login", claims: object{"aud": "0123abcd", "groups_direct": []string{"acme"}, "project_path": nil}, status: 401, want: "wrong_audience"},
		{name: "another instance", from: "https://git.example.com", status: 401, want: "unknown_issuer"},
		{name: "another project", claims: object{"project_path": "evil/site"}, status: 403, want: "rule"},
		{name: "a branch", claims: object{"ref_protected": "false"}, status: 403, want: "rule"},
	}}},
}

// TestVendorsDocument: the Caddyfiles of docs/vendors.md take the tokens that
// the page shows, and refuse others as it says. A stand-in for the vendor
// publishes the keys; the rest of the configuration is what the page has.
func TestVendorsDocument(t *testing.T) {
	doc := readDoc(t, "docs/vendors.md")
	for _, section := range doc.sections(2, "") {
		tc, known := vendorCases[section.title]
		if !known {
			t.Errorf("%s: nothing is sent to it", section.title)
			continue
		}
		t.Run(section.title, func(t *testing.T) {
			var sites []string
			var token map[string]any
			for _, f := range (document{text: section.text}).fences() {
				switch f.info {
				case "caddyfile":
					sites = append(sites, f.text)
				case "jsonc":
					if err := json.Unmarshal([]byte(f.text), &token); err != nil {
						t.Fatal(err)
					}
				}
			}
			if len(sites) != len(tc.rows) || token == nil {
				t.Fatalf("%d Caddyfiles, token %v", len(sites), token)
			}
			refused := map[string]bool{}
			for i, site := range sites {
				v := newVendor(t, &tc)
				v.serve(site, token)
				for _, row := range tc.rows[i] {
					t.Run(row.name, func(t *testing.T) { refused[v.send(t, &row)] = true })
				}
				forged := vendorRow{other: true, status: 401, want: "bad_signature"}
				t.Run("forged", func(t *testing.T) { v.send(t, &forged) })
			}
			for _, row := range doc.rows(section.title) {
				if _, reason, _ := strings.Cut(row[0], " "); !refused[strings.Trim(reason, "`")] {
					t.Errorf("%s: no token is refused so", row[0])
				}
			}
		})
	}
}

// Service accounts of Google get in where they are named, others do not.
func TestVendorsDocumentServiceAccounts(t *testing.T) {
	section := readDoc(t, "docs/vendors.md").section(2, "Google")
	fences := map[string]string{}
	for _, f := range (document{text: section.text}).fences() {
		fences[f.info] = f.text
	}
	site := strings.Replace(fences["caddyfile"], "require hd example.com\n", fences["caddyfile gate"], 1)
	var token map[string]any
	if err := json.Unmarshal([]byte(fences["jsonc"]), &token); err != nil {
		t.Fatal(err)
	}
	tc := vendorCases["Google"]
	v := newVendor(t, &tc)
	v.serve(site, token)
	for _, row := range []vendorRow{
		{status: 200},
		{claims: object{"hd": nil, "email": "jobs@my-project.iam.gserviceaccount.com"}, status: 200},
		{claims: object{"hd": nil, "email": "jobs@other-project.iam.gserviceaccount.com"}, status: 403, want: "rule"},
	} {
		v.send(t, &row)
	}
}

// vendor stands in for an identity provider, and its site is served.
type vendor struct {
	t       *testing.T
	tc      *vendorCase
	url     string
	issuers []string // that the integration accepts
	token   map[string]any
	key     *rsa.PrivateKey
	another *rsa.PrivateKey
	site    *front
	host    string
}

func newVendor(t *testing.T, tc *vendorCase) *vendor {
	t.Helper()
	v := &vendor{t: t, tc: tc}
	for _, key := range []**rsa.PrivateKey{&v.key, &v.another} {
		made, err := rsa.GenerateKey(rand.Reader, 2048)
		if err != nil {
			t.Fatal(err)
		}
		*key = made
	}
	server := httptest.NewServer(v)
	t.Cleanup(server.Close)
	v.url = server.URL
	return v
}

// ServeHTTP publishes the key set, and a discovery document below each issuer.
// That of "organizations" is the one of Entra ID for all tenants.
func (v *vendor) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if r.URL.Path == "/keys" {
		writeJSON(w, map[string]any{"keys": v.keys()})
		return
	}
	below, ok := strings.CutSuffix(r.URL.Path, "/.well-known/openid-configuration")
	below = strings.Replace(below, "/organizations/", "/{tenantid}/", 1)
	for _, issuer := range v.issuers {
		if ok && strings.TrimSuffix(issuer, "/") == v.url+below {
			writeJSON(w, map[string]any{"issuer": issuer, "jwks_uri": v.url + "/keys"})
			return
		}
	}
	http.NotFound(w, r)
}

func (v *vendor) keys() []map[string]any {
	b64 := base64.RawURLEncoding.EncodeToString
	public := func(key *rsa.PrivateKey, more map[string]any) map[string]any {
		return merged(map[string]any{
			"kty": "RSA", "kid": "k", "use": "sig", "n": b64(key.N.Bytes()), "e": b64(big.NewInt(int64(key.E)).Bytes()),
		}, more)
	}
	keys := []map[string]any{public(v.key, v.tc.key)}
	for _, path := range v.tc.issuers {
		if slices.Contains(v.issuers, v.url+path) {
			keys[0]["issuer"] = v.url + path
		}
	}
	for _, more := range v.tc.more {
		keys = append(keys, public(v.another, more))
	}
	return keys
}

// serve runs a Caddyfile of the document with the vendor's URLs pointing here.
func (v *vendor) serve(site string, token map[string]any) {
	v.t.Helper()
	config := adaptTree(v.t, site)
	eachObject(config, func(o map[string]any) {
		if host, ok := o["host"].([]any); ok {
			v.host = host[0].(string)
		}
		issuers, ok := o["issuer"].([]any)
		if !ok {
			return
		}
		tenant, _ := token["tid"].(string)
		if !slices.ContainsFunc(issuers, func(issuer any) bool {
			return strings.Replace(issuer.(string), "{tenantid}", tenant, 1) == token["iss"]
		}) {
			v.t.Errorf("the token's issuer is %v, not one of %v", token["iss"], issuers)
		}
		for i := range issuers {
			issuers[i] = v.here(issuers[i].(string))
			v.issuers = append(v.issuers, issuers[i].(string))
		}
		if discovery, ok := o["discovery"].(string); ok {
			o["discovery"] = v.here(discovery)
		}
	})
	v.token = maps.Clone(token)
	now := time.Now()
	for name, at := range map[string]time.Time{"iat": now, "nbf": now, "auth_time": now, "exp": now.Add(time.Hour)} {
		if v.token[name] != nil {
			v.token[name] = at.Unix()
		}
	}
	v.site = &front{t: v.t, addr: runPlain(v.t, config, newApplication(v.t), nil)[""]}
}

// here puts this server into a URL of the vendor.
func (v *vendor) here(text string) string {
	u, err := url.Parse(text)
	if err != nil {
		v.t.Fatal(err)
	}
	if u.Host == "" {
		return text // "accounts.google.com"
	}
	return v.url + strings.TrimPrefix(text, u.Scheme+"://"+u.Host)
}

// send sends the token of a row and returns the reason of a refusal.
func (v *vendor) send(t *testing.T, row *vendorRow) (reason string) {
	t.Helper()
	path := row.path
	if path == "" {
		path = "/"
	}
	a := v.site.ask("GET", v.host, path, "Authorization: Bearer "+v.sign(t, row))
	if a.StatusCode != row.status || !strings.Contains(a.body, row.want) {
		t.Errorf("got %d %q, want %d %q", a.StatusCode, a.body, row.status, row.want)
	}
	var refusal struct{ Reason string }
	_ = json.Unmarshal([]byte(a.body), &refusal)
	return refusal.Reason
}

func (v *vendor) sign(t *testing.T, row *vendorRow) string {
	t.Helper()
	claims := maps.Clone(v.token)
	claims["iss"] = v.here(claims["iss"].(string))
	for name, value := range row.claims {
		if claims[name] = value; value == nil {
			delete(claims, name)
		}
	}
	switch {
	case row.claims["iss"] == "NOSLASH":
		claims["iss"] = v.url
	case row.from == "/": // the server alone
		claims["iss"] = v.url
	case strings.HasPrefix(row.from, "/"):
		claims["iss"] = v.url + row.from
	case row.from != "":
		claims["iss"] = row.from
	}
	payload, err := json.Marshal(claims)
	if err != nil {
		t.Fatal(err)
	}
	if strings.HasPrefix(row.raw, "HS") {
		return signText(testSecret, `{"alg":"`+row.raw+`","typ":"JWT"}`, string(payload))
	}
	if row.raw != "" {
		return row.raw
	}
	members := merged(map[string]any{"alg": "RS256", "typ": "JWT", "kid": "k"}, row.header)
	maps.DeleteFunc(members, func(_ string, value any) bool { return value == nil })
	header, err := json.Marshal(members)
	if err != nil {
		t.Fatal(err)
	}
	key := v.key
	if row.other {
		key = v.another
	}
	b64 := base64.RawURLEncoding.EncodeToString
	input := b64(header) + "." + b64(payload)
	digest := sha256.Sum256([]byte(input))
	signature, err := rsa.SignPKCS1v15(nil, key, crypto.SHA256, digest[:])
	if err != nil {
		t.Fatal(err)
	}
	return input + "." + b64(signature)
}
