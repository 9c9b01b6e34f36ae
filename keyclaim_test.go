package admit

import (
	"slices"
	"strings"
	"testing"
)

// delegated is an issuer whose tokens may hold keys of the local integration beside
// it.
func delegated(identity string) string {
	return "admit corp {\nissuer https://corp.example\nsecret " + testSecret + "\naudience api\nidentity {\nuser email\ngroups groups\n" + identity + "\n}\ndeny user mallory@corp.example\n}\n" +
		"admit keys {\napi_key robot " + sha256Hex(robotKey) + " {\ngroups machines\n}\n}\n" +
		"admit others {\napi_key stranger " + sha256Hex(strangerKey) + "\n}\n"
}

const strangerKey = "admit_stranger_0123456789"

// A key in the claims of a token: of a local integration of the same gate it counts,
// with the key's groups and not the token's; else the user claim does, or with strict
// nothing.
func TestAPIKeyClaim(t *testing.T) {
	site := "route {\nadmit /alone/* corp\nadmit /others/* corp others\nadmit /keys/* corp keys {\nrequire /keys/machines/* groups machines\nrequire /keys/staff/* groups staff\n}\nrequest_header X-User {http.auth.user.id}\nrequest_header X-From {http.auth.user.integration}\n" + upstream(t) + "\n}"
	loose := serveOne(t, delegated("api_key_claim apikey"), site)
	token := func(apikey, email any) string {
		return bearer(t, object{"iss": "https://corp.example", "sub": nil, "apikey": apikey, "email": email, "groups": []string{"staff"}})
	}
	type row struct {
		path          string
		apikey, email any
		strict, user  string // "!reason" for a refusal
	}
	rows := []row{
		{"/keys/x", robotKey, "ada@corp.example", "robot keys", ""},
		{"/keys/x", robotKey, nil, "robot keys", ""},
		{"/keys/machines/x", robotKey, "ada@corp.example", "robot keys", ""},
		{"/keys/staff/x", robotKey, "ada@corp.example", "!rule", ""},
		{"/keys/machines/x", nil, "ada@corp.example", "!rule", ""},
		{"/keys/staff/x", nil, "ada@corp.example", "ada@corp.example corp", ""},
		{"/keys/x", "", "ada@corp.example", "ada@corp.example corp", ""},
		{"/keys/x", nil, nil, "!no_identity", ""},
		{"/keys/x", robotKey, "mallory@corp.example", "!denied", ""}, // no key helps who is shut out
		// threat 86: whole or not at all, of a local integration of this gate.
		{"/keys/x", robotKey[1:], "ada@corp.example", "!bad_api_key", "ada@corp.example corp"},
		{"/keys/x", robotKey + "x", nil, "!bad_api_key", "!no_identity"},
		{"/keys/x", strings.ToUpper(robotKey), "ada@corp.example", "!bad_api_key", "ada@corp.example corp"},
		{"/keys/x", sha256Hex(robotKey), "ada@corp.example", "!bad_api_key", "ada@corp.example corp"},
		{"/keys/x", strangerKey, "ada@corp.example", "!bad_api_key", "ada@corp.example corp"},
		{"/keys/x", []string{robotKey}, "ada@corp.example", "!bad_api_key", "ada@corp.example corp"},
		{"/keys/x", 1234567890123456, nil, "!bad_api_key", "!no_identity"},
		{"/others/x", strangerKey, "ada@corp.example", "stranger others", ""},
		{"/others/x", robotKey, "ada@corp.example", "!bad_api_key", "ada@corp.example corp"},
		{"/alone/x", robotKey, "ada@corp.example", "!bad_api_key", "ada@corp.example corp"},
		{"/alone/x", robotKey, nil, "!bad_api_key", "!no_identity"},
	}
	check := func(f *front, loose bool) {
		for range 2 { // from the cache of verified tokens as well
			for _, tc := range rows {
				want := tc.strict
				if loose && tc.user != "" {
					want = tc.user
				}
				a := f.get(tc.path, token(tc.apikey, tc.email))
				if reason, refused := strings.CutPrefix(want, "!"); refused {
					status := 401
					if reason == "rule" || reason == "denied" {
						status = 403
					}
					a.want(t, status, reason)
					continue
				}
				if got := a.seen(t).Header; got.Get("X-User")+" "+got.Get("X-From") != want {
					t.Errorf("%s %v %v: got %s of %s, want %s", tc.path, tc.apikey, tc.email, got.Get("X-User"), got.Get("X-From"), want)
				}
			}
		}
	}
	check(loose, true)
	check(serveOne(t, delegated("api_key_claim apikey strict"), site), false)
}

// The key is judged by each gate that a request comes to.
func TestAPIKeyClaimOfEachGate(t *testing.T) {
	f := serveOne(t, delegated("api_key_claim apikey"), `
		route {
			admit /first/* corp {
				header_up X-First {http.auth.user.id}
			}
			admit corp keys {
				header_up X-Second {http.auth.user.id}
				header_up X-Groups {http.auth.user.groups}
			}
			admit /third/* corp {
				header_up X-Third {http.auth.user.id}
			}
			admit /keys/* keys
		}
		`+upstream(t))
	tok := bearer(t, object{"iss": "https://corp.example", "apikey": robotKey, "email": "ada@corp.example", "groups": []string{"staff"}})
	if h := f.get("/first/x", tok).seen(t).Header; h.Get("X-First") != "ada@corp.example" || h.Get("X-Second") != "robot" || h.Get("X-Groups") != "machines" || h.Get("Authorization") == "" {
		t.Errorf("seen %v", h)
	}
	if h := f.get("/third/x", tok).seen(t).Header; h.Get("X-Second") != "robot" || h.Get("X-Third") != "ada@corp.example" {
		t.Errorf("seen %v", h)
	}
	f.get("/keys/x", tok).want(t, 401, "unknown_issuer") // the client has not sent a key there
}

// A local integration does not vouch for another issuer, whatever its tokens say.
func TestLocalTokensBesideDelegated(t *testing.T) {
	f := serveOne(t, delegated("api_key_claim apikey")+"admit own {\nissuer https://own.example\nsecret 0123456789abcdef0123456789abcdeX\naudience api\n}\n",
		"admit corp own keys {\nheader_up X-From {http.auth.user.integration}\n}\n"+upstream(t))
	own := func(iss string) string {
		return "Authorization: Bearer " + sign(t, "0123456789abcdef0123456789abcdeX", good(object{"iss": iss, "email": "ada@corp.example", "apikey": robotKey}))
	}
	if got := f.get("/x", own("https://own.example")).seen(t).Header.Get("X-From"); got != "own" {
		t.Errorf("vouched for by %q", got)
	}
	f.get("/x", own("https://corp.example")).want(t, 401, "bad_signature")
}

// At load.
func TestAPIKeyClaimAtLoad(t *testing.T) {
	f := serveOne(t, delegated("api_key_claim apikey"), "admit corp\nrespond ok")
	if !slices.ContainsFunc(f.entries(""), func(e map[string]any) bool {
		return e["level"] == "warn" && strings.HasPrefix(e["msg"].(string), "api_key_claim: none of the gate's integrations has an api_key")
	}) {
		t.Error("no warning")
	}
	err := loadError(t, "admit keys {\napi_key robot "+sha256Hex(robotKey)+"\nidentity {\napi_key_claim x\n}\n}", "admit")
	if !strings.Contains(err, "identity api_key_claim: is about another issuer's tokens") {
		t.Error(err)
	}
}
