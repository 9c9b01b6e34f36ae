package jwt

import (
	"encoding/base64"
	"encoding/hex"
	"strings"
	"testing"

	"github.com/caddy-admit/admit/claims"
)

const (
	tenantA = "aaaaaaaa-1111-2222-3333-444444444444"
	tenantB = "bbbbbbbb-1111-2222-3333-444444444444"
	tenantC = "cccccccc-1111-2222-3333-444444444444"
	msV2    = "https://login.microsoftonline.com/"
	msV1    = "https://sts.windows.net/"
)

func v1(tenant string) string { return msV1 + tenant + "/" }
func v2(tenant string) string { return msV2 + tenant + "/v2.0" }

// Entra ID: several tenants, two versions of tokens, keys without "alg" that say
// whose they are. threat 26
func TestEntra(t *testing.T) {
	template := basePolicy()
	template.Vendor = VendorEntra
	template.Issuers = []string{v2("{tenantid}"), v1("{tenantid}")}
	template.Tenants = []string{tenantA, tenantB}
	literal := template
	literal.Issuers, literal.Tenants = []string{v2(tenantA), v1(tenantA), v2(tenantB), v1(tenantB)}, nil
	// The templates must do without the name of the vendor.
	unnamed := template
	unnamed.Vendor = ""

	shared := jwkOf(rsaKeys[0](), "kid", "k", "use", "sig", "issuer", v2("{tenantid}"))
	ofA := jwkOf(rsaKeys[0](), "kid", "k", "use", "sig", "issuer", v2(tenantA))
	plain := jwkOf(rsaKeys[0](), "kid", "k", "use", "sig")
	for _, tc := range []struct {
		name, key, iss, tid string
		template, literal   string // what to expect of each policy
	}{
		{"v2", shared, v2(tenantA), tenantA, "", ""},
		{"v1", shared, v1(tenantA), tenantA, "", ""},
		{"other tenant", shared, v2(tenantB), tenantB, "", ""},
		{"key without issuer", plain, v2(tenantA), tenantA, "", ""},
		{"key of the tenant", ofA, v2(tenantA), tenantA, "", ""},
		{"key of the tenant, v1", ofA, v1(tenantA), tenantA, "", ""},
		{"key of another tenant", ofA, v2(tenantB), tenantB, "unknown_key", "unknown_key"},
		{"key of another tenant, v1", ofA, v1(tenantB), tenantB, "unknown_key", "unknown_key"},
		{"key of another tenant, tid of the key's", ofA, v2(tenantB), tenantA, "unknown_issuer", "unknown_key"},
		{"key of another tenant, tid a part of both", ofA, v2(tenantB), "https", "unknown_issuer", "unknown_key"},
		{"shared key, tid a part of both", shared, v2(tenantA), "1111-2222", "unknown_issuer", "unknown_key"},
		{"unlisted tenant", shared, v2(tenantC), tenantC, "unknown_issuer", "unknown_issuer"},
		{"tid of another tenant", shared, v2(tenantA), tenantB, "unknown_issuer", "unknown_key"},
		{"tid of an unlisted tenant", shared, v2(tenantA), tenantC, "unknown_issuer", "unknown_key"},
		{"tid missing", shared, v2(tenantA), "", "unknown_issuer", "unknown_key"},
		{"tid in upper case", shared, v2(strings.ToUpper(tenantA)), strings.ToUpper(tenantA), "unknown_issuer", "unknown_issuer"},
		{"tid with a path", shared, v2(tenantA + "/../x"), tenantA + "/../x", "unknown_issuer", "unknown_issuer"},
		{"tid is the template", shared, v2("{tenantid}"), "{tenantid}", "unknown_issuer", "unknown_issuer"},
		{"iss is the template", shared, v2("{tenantid}"), tenantA, "unknown_issuer", "unknown_issuer"},
		{"v1 without its slash", shared, msV1 + tenantA, tenantA, "unknown_issuer", "unknown_issuer"},
		{"v2 with a slash", shared, v2(tenantA) + "/", tenantA, "unknown_issuer", "unknown_issuer"},
		{"key of an unknown issuer", jwkOf(rsaKeys[0](), "kid", "k", "issuer", "https://evil.example/"+tenantA), v2(tenantA), tenantA, "unknown_key", "unknown_key"},
	} {
		edit := []string{"iss", `"` + tc.iss + `"`, "tid", `"` + tc.tid + `"`}
		if tc.tid == "" {
			edit[3] = ""
		}
		raw := sign("RS256", rsaKeys[0](), `{"typ":"JWT","alg":"RS256","kid":"k","x5t":"k"}`, goodClaims(edit...))
		for policy, want := range map[*Policy]string{&template: tc.template, &unnamed: tc.template, &literal: tc.literal} {
			v := newTestVerifier(t, *policy, StaticKeys(keySet(t, tc.key)))
			if got := check(t, v, raw); got != want {
				t.Errorf("%s, issuers %.60q: got %q, want %q", tc.name, policy.Issuers, got, want)
			}
			token := must(Parse(raw))
			if takes := v.Takes(token.Claims); takes != (want != "unknown_issuer") {
				t.Errorf("%s, issuers %.60q: Takes is %v", tc.name, policy.Issuers, takes)
			}
		}
	}

	// A template and a name that is none, side by side.
	mixed := template
	mixed.Issuers = []string{v2("{tenantid}"), "https://idp.example"}
	v := newTestVerifier(t, mixed, StaticKeys(keySet(t, plain)))
	for iss, want := range map[string]string{"https://idp.example": "", v2(tenantA): "unknown_issuer"} {
		if got := check(t, v, sign("RS256", rsaKeys[0](), `{"alg":"RS256"}`, goodClaims("iss", `"`+iss+`"`))); got != want {
			t.Errorf("%s without tid: got %q, want %q", iss, got, want)
		}
	}

	// Elsewhere "issuer" of a key means nothing.
	v = newTestVerifier(t, basePolicy(), StaticKeys(keySet(t, ofA)))
	if got := check(t, v, sign("RS256", rsaKeys[0](), `{"alg":"RS256","kid":"k"}`, goodClaims())); got != "" {
		t.Errorf("another vendor: got %q", got)
	}
	// Entra ID signs tokens for Graph with the hash of the nonce in its place, so
	// that nobody else can take them.
	header := `{"typ":"JWT","nonce":"#","alg":"RS256","kid":"k"}`
	raw := sign("RS256", rsaKeys[0](), strings.Replace(header, "#", "hash", 1), goodClaims("iss", `"`+v2(tenantA)+`"`, "tid", `"`+tenantA+`"`))
	v = newTestVerifier(t, template, StaticKeys(keySet(t, shared)))
	if got := check(t, v, raw); got != "" {
		t.Errorf("nonce in the header: got %q", got)
	}
	if got := check(t, v, b64([]byte(strings.Replace(header, "#", "nonce", 1)))+raw[strings.IndexByte(raw, '.'):]); got != "bad_signature" {
		t.Errorf("token for Graph: got %q", got)
	}
}

// threat 25, threat 27: the access token of Cognito has no "aud", its ID token no
// business here.
func TestCognito(t *testing.T) {
	p := basePolicy()
	p.Vendor = VendorCognito
	p.AudienceClaims = []claims.Path{claims.MustPath("aud"), claims.MustPath("client_id")}
	v := newTestVerifier(t, p, StaticKeys(keySet(t, jwkOf(rsaKeys[0](), "kid", "a", "alg", "RS256", "use", "sig"))))
	for _, tc := range []struct {
		edit []string
		want string
	}{
		{[]string{"aud", "", "client_id", `"api"`, "token_use", `"access"`}, ""},
		{[]string{"aud", "", "client_id", `"other"`, "token_use", `"access"`}, "wrong_audience"},
		{[]string{"aud", "", "token_use", `"access"`}, "wrong_audience"},
		{[]string{"aud", "", "client_id", `"api"`, "token_use", `"id"`}, "wrong_type"},
		{[]string{"aud", `"api"`, "token_use", `"id"`}, "wrong_type"},
		{[]string{"aud", "", "client_id", `"api"`}, "wrong_type"},
		{[]string{"aud", "", "client_id", `"api"`, "token_use", `["access"]`}, "wrong_type"},
		{[]string{"aud", "", "client_id", `"api"`, "token_use", `"Access"`}, "wrong_type"},
	} {
		if got := check(t, v, sign("RS256", rsaKeys[0](), `{"alg":"RS256","kid":"a"}`, goodClaims(tc.edit...))); got != tc.want {
			t.Errorf("%q: got %q, want %q", tc.edit, got, tc.want)
		}
	}
}

// threat 27: Keycloak signs access, ID and refresh tokens alike and tells them
// apart in the payload. Its set also holds a key for encryption.
func TestKeycloak(t *testing.T) {
	p := basePolicy()
	p.Vendor = VendorKeycloak
	p.AudienceClaims = []claims.Path{claims.MustPath("aud"), claims.MustPath("azp")}
	set, dropped, err := ParseKeySet([]byte(jwks(
		jwkOf(rsaKeys[1](), "kid", "enc", "alg", "RSA-OAEP", "use", "enc"),
		jwkOf(rsaKeys[0](), "kid", "sig", "alg", "RS256", "use", "sig"))))
	if err != nil || set.Len() != 1 || len(dropped) != 1 {
		t.Fatalf("got %v, dropped %q", err, dropped)
	}
	v := newTestVerifier(t, p, StaticKeys(set))
	for _, tc := range []struct {
		kid  string
		key  int
		edit []string
		want string
	}{
		{"sig", 0, []string{"aud", `"account"`, "azp", `"api"`, "typ", `"Bearer"`, "nbf", "0"}, ""},
		{"sig", 0, []string{"aud", "", "azp", `"api"`, "typ", `"Bearer"`}, ""},
		{"sig", 0, []string{"aud", `"api"`, "azp", `"web"`, "typ", `"Bearer"`}, ""},
		{"sig", 0, []string{"aud", `"account"`, "azp", `"web"`, "typ", `"Bearer"`}, "wrong_audience"},
		{"sig", 0, []string{"aud", `"api"`, "azp", `"api"`, "typ", `"ID"`}, "wrong_type"},
		{"sig", 0, []string{"aud", `"api"`, "azp", `"api"`, "typ", `"Refresh"`}, "wrong_type"},
		{"sig", 0, []string{"aud", `"api"`, "azp", `"api"`, "typ", `"Logout"`}, "wrong_type"},
		{"sig", 0, []string{"aud", `"api"`, "azp", `"api"`}, "wrong_type"},
		{"sig", 0, []string{"azp", `"api"`, "typ", `"Bearer"`, "iss", `"https://idp.internal"`}, "unknown_issuer"},
		{"enc", 1, []string{"azp", `"api"`, "typ", `"Bearer"`}, "unknown_key"},
	} {
		raw := sign("RS256", rsaKeys[tc.key](), `{"alg":"RS256","typ":"JWT","kid":"`+tc.kid+`"}`, goodClaims(tc.edit...))
		if got := check(t, v, raw); got != tc.want {
			t.Errorf("%s %q: got %q, want %q", tc.kid, tc.edit, got, tc.want)
		}
	}
}

// threat 26: Google names itself in two ways. Nobody else's name may be cut so.
func TestGoogle(t *testing.T) {
	both, one := basePolicy(), basePolicy()
	both.Issuers = []string{"https://accounts.google.com", "accounts.google.com"}
	one.Issuers = both.Issuers[:1]
	keys := StaticKeys(keySet(t, jwkOf(rsaKeys[0](), "kid", "a", "alg", "RS256", "use", "sig")))
	for _, tc := range []struct{ iss, both, one string }{
		{"https://accounts.google.com", "", ""},
		{"accounts.google.com", "", "unknown_issuer"},
		{"https://accounts.google.com/", "unknown_issuer", "unknown_issuer"},
		{"http://accounts.google.com", "unknown_issuer", "unknown_issuer"},
		{"evil.accounts.google.com", "unknown_issuer", "unknown_issuer"},
	} {
		raw := sign("RS256", rsaKeys[0](), `{"alg":"RS256","kid":"a"}`, goodClaims("iss", `"`+tc.iss+`"`))
		if got := check(t, newTestVerifier(t, both, keys), raw); got != tc.both {
			t.Errorf("%s, both: got %q, want %q", tc.iss, got, tc.both)
		}
		if got := check(t, newTestVerifier(t, one, keys), raw); got != tc.one {
			t.Errorf("%s, one: got %q, want %q", tc.iss, got, tc.one)
		}
	}
}

// Tokens of Flama: padded, without "exp", signed with a key of sixteen zeros over
// the text as it stands.
func TestFlama(t *testing.T) {
	const flama = "eyJhbGciOiAiSFMyNTYiLCAidHlwIjogIkpXVCJ9.eyJkYXRhIjogeyJmb28iOiAiYmFyIn0sICJpYXQiOiAwfQ==.J3zdedMZSFNOimstjJat0V28rM_b1UU62XCp9dg_5kg="
	zeros := must(hex.DecodeString("00000000000000000000000000000000"))
	p := Policy{Algorithms: Symmetric, Types: DefaultTypes, ExpiryOptional: true, LenientPadding: true}
	lenient := newTestVerifier(t, p, StaticKeys(NewSecretKeySet(zeros)))
	p.LenientPadding = false
	strict := newTestVerifier(t, p, StaticKeys(NewSecretKeySet(zeros)))
	p.ExpiryOptional, p.LenientPadding = false, true
	expiring := newTestVerifier(t, p, StaticKeys(NewSecretKeySet(zeros)))

	parts := strings.Split(flama, ".")
	header, payload := must(base64.URLEncoding.DecodeString(parts[0])), must(base64.URLEncoding.DecodeString(parts[1]))
	anew := sign("HS256", zeros, string(header), string(payload))
	for _, tc := range []struct {
		name, raw                 string
		lenient, strict, expiring string
	}{
		{"as issued", flama, "", "malformed_token", "missing_expiry"},
		{"without padding, signed anew", anew, "", "", "missing_expiry"},
		{"stripped of its padding", strings.ReplaceAll(flama, "=", ""), "bad_signature", "bad_signature", "missing_expiry"},
		{"stripped in the payload", strings.Replace(flama, "==", "", 1), "bad_signature", "malformed_token", "missing_expiry"},
		// The padding of the signature is not signed.
		{"stripped in the signature", strings.TrimSuffix(flama, "="), "", "malformed_token", "missing_expiry"},
		{"another bit", strings.Replace(flama, "J3z", "J3y", 1), "bad_signature", "malformed_token", "missing_expiry"},
		{"padding too long", flama + "=", "malformed_token", "malformed_token", "malformed_token"},
	} {
		for v, want := range map[*Verifier]string{lenient: tc.lenient, strict: tc.strict, expiring: tc.expiring} {
			if got := check(t, v, tc.raw); got != want {
				t.Errorf("%s: got %q, want %q", tc.name, got, want)
			}
		}
	}
	token := must(Parse(flama))
	id := (&claims.Mapping{User: []claims.Path{claims.MustPath("data.id"), claims.MustPath("sub")}, AnyUser: true}).Identify(token.Claims)
	if id == nil || id.User() != "" {
		t.Errorf("got %+v", id)
	}
}
