package admit

import (
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"strings"
	"testing"
)

const robotKey = "marked-api-key-of-the-robot"

func sha256Hex(text string) string {
	sum := sha256.Sum256([]byte(text))
	return hex.EncodeToString(sum[:])
}

func basicHeader(user, password string) string {
	return "Authorization: Basic " + base64.StdEncoding.EncodeToString([]byte(user+":"+password))
}

// token posts a form to the token endpoint.
func (f *front) token(form string, headers ...string) answered {
	f.t.Helper()
	return f.ask("POST", "localhost", "/oauth2/token", append(headers, formType, "body:"+form)...)
}

// tokenAnswer is the answer of RFC 6749 section 5.1.
type tokenAnswer struct {
	Access  string `json:"access_token"`
	Type    string `json:"token_type"`
	Expires int    `json:"expires_in"`
	Refresh string `json:"refresh_token"`
}

func tokenOf(t *testing.T, a answered) (got tokenAnswer) {
	t.Helper()
	if err := json.Unmarshal([]byte(a.body), &got); err != nil || a.StatusCode != 200 || got.Access == "" || got.Refresh == "" || got.Type != "Bearer" {
		t.Fatalf("token endpoint: %d %s", a.StatusCode, a.body)
	}
	return got
}

// RFC 6749 sections 4.3 and 6: a token for a password and for a refresh token, by
// form or JSON, which the gate takes beside those of another issuer.
func TestGrant(t *testing.T) {
	f, _ := serveHome(t, homeIntegration(t, "home", "tokens {\naudience one two\n}")+strings.Replace(secretIntegration, "local", "other", 1),
		"admit home other {\nrequire /admin/* groups admin\nheader_up X-User {http.auth.user.id}\nheader_up X-Integration {http.auth.user.integration}\n}\n"+upstream(t))
	first := f.token("grant_type=password&username=ada&scope=&unknown=1&password=" + adaPassword)
	h := first.Header
	// RFC 6749 section 5.1; threat 85
	if h.Get("Cache-Control") != "no-store" || h.Get("Pragma") != "no-cache" || h.Get("Content-Type") != "application/json" || len(first.Cookies()) > 0 {
		t.Errorf("header %v", h)
	}
	grant := tokenOf(t, first)
	if grant.Expires != 300 {
		t.Errorf("expires_in %d", grant.Expires)
	}
	header, own := decodeToken(t, grant.Access)
	if header["typ"] != "at+jwt" || header["alg"] != "EdDSA" || own["iss"] != "home" || own["sub"] != "ada" || fmt.Sprint(own["aud"]) != "[one two]" ||
		own["exp"].(float64)-own["iat"].(float64) != 300 || len(own["jti"].(string)) < 20 || fmt.Sprint(own["groups"]) != "[staff admin]" || len(own) != 7 {
		t.Errorf("token %v %v", header, own)
	}
	byJSON := tokenOf(t, f.ask("POST", "localhost", "/oauth2/token", "Content-Type: application/json; charset=utf-8",
		`body:{"grant_type":"password","username":"bob","password":"`+bobPassword+`","remember":true}`))
	next := tokenOf(t, f.token("grant_type=refresh_token&refresh_token="+grant.Refresh))
	again := tokenOf(t, f.ask("POST", "localhost", "/oauth2/token", "Content-Type: application/json", `body:{"grant_type":"refresh_token","refresh_token":"`+next.Refresh+`"}`))
	for _, tc := range []struct {
		token, path, user, integration string
		status                         int
	}{
		{grant.Access, "/admin/x", "ada", "home", 200},
		{next.Access, "/x", "ada", "home", 200},
		{again.Access, "/x", "ada", "home", 200},
		{byJSON.Access, "/x", "bob", "home", 200},
		{byJSON.Access, "/admin/x", "", "", 403},
		{sign(t, testSecret, good(object{"iss": "elsewhere"})), "/x", "ada", "other", 200},
		// threat 84: who has the other issuer's key cannot speak for this one, nor
		// does a refresh token open anything.
		{sign(t, testSecret, good(object{"iss": "home", "aud": "one"})), "/x", "", "", 401},
		{again.Refresh, "/x", "", "", 401},
		{edited(grant.Access, len(grant.Access)-10), "/x", "", "", 401},
	} {
		a := f.ask("GET", "localhost", tc.path, "Authorization: Bearer "+tc.token)
		if a.StatusCode != tc.status {
			t.Errorf("%s %s: %d %s", tc.user, tc.path, a.StatusCode, a.body)
		} else if tc.status == 200 && (a.seen(t).Header.Get("X-User") != tc.user || a.seen(t).Header.Get("X-Integration") != tc.integration) {
			t.Errorf("%s: %v", tc.user, a.seen(t).Header)
		}
	}
}

func decodeToken(t *testing.T, token string) (header, own object) {
	t.Helper()
	for i, into := range []*object{&header, &own} {
		data, err := base64.RawURLEncoding.DecodeString(strings.Split(token, ".")[i])
		if err == nil {
			err = json.Unmarshal(data, into)
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	return header, own
}

// RFC 6749 section 5.2, threat 85: what is refused, and how.
func TestGrantErrors(t *testing.T) {
	f, _ := serveHome(t, homeIntegration(t, "home", "tokens")+strings.Replace(secretIntegration, "local", "other", 1),
		"admit home other {\nlogin home\norigins https://app.example\n}\n"+upstream(t))
	right := "grant_type=password&username=ada&password=" + adaPassword
	json := func(body string) []string { return []string{"Content-Type: application/json", "body:" + body} }
	form := func(body string) []string { return []string{formType, "body:" + body} }
	for _, tc := range []struct {
		name, method, query string
		headers             []string
		status              int
		code                string
	}{
		{"right", "POST", "", form(right), 200, ""},
		{"by name", "POST", "?integration=home", form(right), 200, ""},
		{"no grant_type", "POST", "", form("username=ada&password=" + adaPassword), 400, "invalid_request"},
		{"nothing", "POST", "", form(""), 400, "invalid_request"},
		{"no user", "POST", "", form("grant_type=password&password=x"), 400, "invalid_request"},
		{"no password", "POST", "", form("grant_type=password&username=ada&password="), 400, "invalid_request"},
		{"no refresh token", "POST", "", form("grant_type=refresh_token"), 400, "invalid_request"},
		{"unknown grant", "POST", "", form("grant_type=client_credentials"), 400, "unsupported_grant_type"},
		{"grant in capitals", "POST", "", form("grant_type=PASSWORD&username=ada&password=x"), 400, "unsupported_grant_type"},
		{"wrong password", "POST", "", form("grant_type=password&username=ada&password=x"), 400, "invalid_grant"},
		{"unknown user", "POST", "", form("grant_type=password&username=mallory&password=x"), 400, "invalid_grant"},
		{"no such refresh token", "POST", "", form("grant_type=refresh_token&refresh_token=x"), 400, "invalid_grant"},
		{"twice", "POST", "", form(right + "&username=bob"), 400, "invalid_request"},
		{"twice, encoded", "POST", "", form(right + "&user%6eame=bob"), 400, "invalid_request"},
		{"not a form", "POST", "", form(right + "&x=%zz"), 400, "invalid_request"},
		{"semicolon", "POST", "", form("grant_type=password;username=ada"), 400, "invalid_request"},
		{"twice in JSON", "POST", "", json(`{"grant_type":"password","username":"ada","username":"bob","password":"x"}`), 400, "invalid_request"},
		{"number in JSON", "POST", "", json(`{"grant_type":"password","username":"ada","password":1}`), 400, "invalid_request"},
		{"null in JSON", "POST", "", json(`{"grant_type":"password","username":null,"password":"x"}`), 400, "invalid_request"},
		{"list in JSON", "POST", "", json(`[{"grant_type":"password"}]`), 400, "invalid_request"},
		{"cut JSON", "POST", "", json(`{"grant_type":"password"`), 400, "invalid_request"},
		{"JSON and more", "POST", "", json(`{"grant_type":"password"}{}`), 400, "invalid_request"},
		{"case in JSON", "POST", "", json(`{"GRANT_TYPE":"password","username":"ada","password":"` + adaPassword + `"}`), 400, "invalid_request"},
		{"JSON as text", "POST", "", []string{"Content-Type: text/plain", `body:{"grant_type":"password","username":"ada","password":"` + adaPassword + `"}`}, 415, "invalid_request"},
		{"form as text", "POST", "", []string{"Content-Type: text/plain", "body:" + right}, 415, "invalid_request"},
		{"multipart", "POST", "", []string{"Content-Type: multipart/form-data; boundary=x", "body:--x--"}, 415, "invalid_request"},
		{"no type", "POST", "", []string{"body:" + right}, 415, "invalid_request"},
		{"in the query", "POST", "?" + right, form(""), 400, "invalid_request"},
		{"huge", "POST", "", form(right + "&x=" + strings.Repeat("x", 64<<10)), 400, "invalid_request"},
		{"nearly huge", "POST", "", form(right + "&x=" + strings.Repeat("x", 64<<10-len(right)-3)), 200, ""},
		{"another site", "POST", "", append(form(right), "Sec-Fetch-Site: cross-site"), 403, "access_denied"},
		{"another origin", "POST", "", append(form(right), "Origin: https://evil.example"), 403, "access_denied"},
		{"a listed origin", "POST", "", append(form(right), "Origin: https://app.example", "Sec-Fetch-Site: cross-site"), 200, ""},
		{"by GET", "GET", "?" + right, nil, 405, ""},
		{"by PUT", "PUT", "", form(right), 405, ""},
		{"by HEAD", "HEAD", "?" + right, nil, 405, ""},
		{"of another integration", "POST", "?integration=other", form(right), 401, ""},
	} {
		a := f.ask(tc.method, "localhost", "/oauth2/token"+tc.query, tc.headers...)
		var body struct{ Error string }
		_ = unmarshal(a.body, &body)
		if a.StatusCode != tc.status || body.Error != tc.code || len(a.Cookies()) > 0 || a.Header.Get("Cache-Control") != "no-store" {
			t.Errorf("%s: %d %q %v, want %d %q", tc.name, a.StatusCode, body.Error, a.Header, tc.status, tc.code)
		}
		if tc.status == 405 && a.Header.Get("Allow") != "POST" {
			t.Errorf("%s: Allow %q", tc.name, a.Header.Get("Allow"))
		}
		if strings.Contains(a.body, adaPassword) {
			t.Errorf("%s: the password is in the answer", tc.name)
		}
	}
	// Scripts of the origins may ask, others may not.
	for origin, status := range map[string]int{"https://app.example": 204, "https://evil.example": 405} {
		a := f.ask("OPTIONS", "localhost", "/oauth2/token", "Origin: "+origin, "Access-Control-Request-Method: POST", "Access-Control-Request-Headers: content-type")
		if a.StatusCode != status || (a.Header.Get("Access-Control-Allow-Origin") == origin) != (status == 204) {
			t.Errorf("preflight of %s: %d %v", origin, a.StatusCode, a.Header)
		}
	}
}

func unmarshal(text string, into any) error { return json.Unmarshal([]byte(text), into) }

// threats 80, 87: a spent refresh token gets the same successor for a moment; an
// older one ends the family; so does revoke.
func TestRefreshAndRevoke(t *testing.T) {
	f, _ := serveHome(t, homeIntegration(t, "home", "tokens")+homeIntegration(t, "work", "tokens"), "admit home work\n"+upstream(t))
	refresh := func(token string) answered { return f.token("grant_type=refresh_token&refresh_token=" + token) }
	begin := func() tokenAnswer {
		return tokenOf(t, f.token("grant_type=password&username=ada&password="+adaPassword))
	}
	first := begin()
	second := tokenOf(t, refresh(first.Refresh))
	if again := tokenOf(t, refresh(first.Refresh)); again.Refresh != second.Refresh || again.Access == second.Access {
		t.Error("the spent token got another successor")
	}
	for name, token := range map[string]string{
		"cut": second.Refresh[:len(second.Refresh)-1], "edited": edited(second.Refresh, 3), "longer": second.Refresh + "A", "empty": "", "access token": second.Access,
	} {
		if a := refresh(token); a.StatusCode != 400 {
			t.Errorf("%s: %d %s", name, a.StatusCode, a.body)
		}
	}
	// Another integration's endpoint knows nothing of it.
	if a := f.ask("POST", "localhost", "/oauth2/token?integration=work", formType, "body:grant_type=refresh_token&refresh_token="+second.Refresh); a.StatusCode != 400 {
		t.Errorf("another integration: %d %s", a.StatusCode, a.body)
	}
	third := tokenOf(t, refresh(second.Refresh))
	if a := refresh(first.Refresh); a.StatusCode != 400 {
		t.Errorf("an old token: %d", a.StatusCode)
	}
	if a := refresh(third.Refresh); a.StatusCode != 400 {
		t.Errorf("the family lives on: %d", a.StatusCode)
	}
	revoke := func(body string) answered {
		return f.ask("POST", "localhost", "/oauth2/revoke", formType, "body:"+body)
	}
	own, other := begin(), begin()
	for _, tc := range []struct {
		body   string
		status int
	}{
		{"token=" + own.Refresh + "&token_type_hint=refresh_token", 200},
		{"token=" + own.Refresh, 200},
		{"token=x", 200},
		{"token=" + own.Access, 200},
		{"token=" + edited(other.Refresh, 40), 200},
		{"", 400},
		{"token=", 400},
		{"token=a&token=b", 400},
	} {
		if a := revoke(tc.body); a.StatusCode != tc.status || a.Header.Get("Cache-Control") != "no-store" {
			t.Errorf("revoke %q: %d %s", tc.body, a.StatusCode, a.body)
		}
	}
	if a := refresh(own.Refresh); a.StatusCode != 400 {
		t.Errorf("revoked: %d", a.StatusCode)
	}
	tokenOf(t, refresh(other.Refresh))
	if a := f.ask("GET", "localhost", "/oauth2/revoke?token=x"); a.StatusCode != 405 || a.Header.Get("Allow") != "POST" {
		t.Errorf("GET: %d", a.StatusCode)
	}
}

// threats 83, 84: public keys and nothing else; a token of one integration is not
// one of another, not even where both give themselves the same name.
func TestOwnKeys(t *testing.T) {
	secret := homeIntegration(t, "hs", "tokens {\nsign HS256\n}")
	f, disk := serveHome(t, homeIntegration(t, "home", "tokens")+homeIntegration(t, "work", "tokens {\nsign ES256\n}")+
		homeIntegration(t, "twin", "tokens {\nissuer home\n}")+secret, `
		handle /desk/* {
			admit work {
				endpoints /desk/oauth2
			}
			`+upstream(t)+`
		}
		handle /twin/* {
			admit twin {
				endpoints /twin/oauth2
			}
			`+upstream(t)+`
		}
		handle /hs/* {
			admit hs {
				endpoints /hs/oauth2
			}
			`+upstream(t)+`
		}
		handle {
			admit home
			`+upstream(t)+`
		}`)
	prefixes := []string{"", "/desk", "/twin", "/hs"}
	tokens := map[string]string{}
	for _, prefix := range prefixes {
		tokens[prefix] = tokenOf(t, f.ask("POST", "localhost", prefix+"/oauth2/token", formType, "body:grant_type=password&username=ada&password="+adaPassword)).Access
	}
	for _, at := range prefixes {
		for _, of := range prefixes {
			a := f.ask("GET", "localhost", at+"/x", "Authorization: Bearer "+tokens[of])
			if a.reached() != (at == of) {
				t.Errorf("token of %q at %q: %d %s", of, at, a.StatusCode, a.body)
			}
		}
		a := f.ask("GET", "localhost", at+"/oauth2/jwks")
		var set struct{ Keys []object }
		if err := unmarshal(a.body, &set); err != nil || a.StatusCode != 200 || a.Header.Get("Access-Control-Allow-Origin") != "*" {
			t.Fatalf("%q: %d %s", at, a.StatusCode, a.body)
		}
		if want := map[bool]int{true: 0, false: 1}[at == "/hs"]; len(set.Keys) != want {
			t.Errorf("%q: %d keys", at, len(set.Keys))
		}
		for _, key := range set.Keys {
			header, _ := decodeToken(t, tokens[at])
			if key["kid"] != header["kid"] || key["alg"] != header["alg"] || key["use"] != "sig" {
				t.Errorf("%q: %v", at, key)
			}
			for _, private := range []string{"d", "p", "q", "dp", "dq", "qi", "oth", "k"} {
				if key[private] != nil {
					t.Errorf("%q: private member %s", at, private)
				}
			}
		}
		if a := f.ask("HEAD", "localhost", at+"/oauth2/jwks"); a.StatusCode != 200 || a.body != "" {
			t.Errorf("%q: HEAD %d %q", at, a.StatusCode, a.body)
		}
	}
	// What is kept is under hashes; no name, token or user is in a key.
	for key := range disk.values {
		if strings.HasPrefix(key, "admit/") && strings.Contains(key, "home") {
			t.Errorf("key %s", key)
		}
	}
}
