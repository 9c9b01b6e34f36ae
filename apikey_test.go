package admit

import (
	"slices"
	"strings"
	"testing"
)

// threats 86, 87: API keys in X-API-Key or as a token, whole or not at all.
func TestAPIKey(t *testing.T) {
	f, _ := serveHome(t, homeIntegration(t, "home", "basic\ntokens\napi_key robot "+sha256Hex(robotKey)+" {\ngroups machines\n}\napi_key odd "+sha256Hex("odd key!\"#$%&'()*+,-./:;<=>?@[]^_{|}~")+"\napi_key odder "+sha256Hex("odder-key!\"#$%&'()*+,-./:;<=>?@[]^_{|}~"))+
		strings.Replace(secretIntegration, "local", "other", 1),
		"admit home other {\nrequire /machines/* groups machines\nheader_up X-User {http.auth.user.id}\n}\n"+upstream(t))
	other := sign(t, testSecret, good(object{"iss": "x"}))
	for _, tc := range []struct {
		name    string
		headers []string
		status  int
		reason  string // or the user
	}{
		{"X-API-Key", []string{"X-API-Key: " + robotKey}, 200, "robot"},
		{"in small letters", []string{"x-api-key: " + robotKey}, 200, "robot"},
		{"as a token", []string{"Authorization: Bearer " + robotKey}, 200, "robot"},
		{"any visible letters", []string{"X-API-Key: odder-key!\"#$%&'()*+,-./:;<=>?@[]^_{|}~"}, 200, "odder"},
		{"a space", []string{"X-API-Key: odd key!\"#$%&'()*+,-./:;<=>?@[]^_{|}~"}, 400, "malformed_credential"},
		{"wrong", []string{"X-API-Key: " + robotKey + "x"}, 401, "bad_api_key"},
		{"cut", []string{"X-API-Key: " + robotKey[:len(robotKey)-1]}, 401, "bad_api_key"},
		{"capitals", []string{"X-API-Key: " + strings.ToUpper(robotKey)}, 401, "bad_api_key"},
		{"the hash", []string{"X-API-Key: " + sha256Hex(robotKey)}, 401, "bad_api_key"},
		{"wrong as a token", []string{"Authorization: Bearer " + robotKey + "x"}, 401, "bad_api_key"},
		{"huge", []string{"X-API-Key: " + strings.Repeat("x", 5000)}, 401, "bad_api_key"},
		{"a token as a key", []string{"X-API-Key: " + other}, 401, "bad_api_key"},
		{"empty", []string{"X-API-Key: "}, 400, "malformed_credential"},
		{"two", []string{"X-API-Key: " + robotKey, "X-API-Key: " + robotKey}, 400, "several_credentials"},
		{"key and token", []string{"X-API-Key: " + robotKey, "Authorization: Bearer " + other}, 400, "several_credentials"},
		{"key twice", []string{"X-API-Key: " + robotKey, "Authorization: Bearer " + robotKey}, 400, "several_credentials"},
		{"key and password", []string{"X-API-Key: " + robotKey, basicHeader("ada", adaPassword)}, 400, "several_credentials"},
		{"by Basic", []string{basicHeader("robot", robotKey)}, 401, "bad_password"},
		{"in the query", []string{"X: y"}, 401, "missing_credential"},
		{"another issuer's token", []string{"Authorization: Bearer " + other}, 200, "ada"},
		{"a known token as a key", []string{"X-API-Key: " + other}, 401, "bad_api_key"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			path := "/machines/x?api_key=" + robotKey
			if tc.reason == "ada" || tc.reason == "odder" {
				path = "/x"
			}
			a := f.ask("GET", "localhost", path, tc.headers...)
			if tc.status != 200 {
				a.want(t, tc.status, tc.reason)
				if tc.status == 401 && a.Header.Get("WWW-Authenticate") == "" {
					t.Error("no challenge")
				}
				return
			}
			got := a.seen(t)
			if got.Header.Get("X-User") != tc.reason {
				t.Errorf("header %v", got.Header)
			}
			// The application gets a token, and no API key.
			if kept := tc.reason == "ada"; (got.Header.Get("Authorization") != "") != kept || got.Header.Get("X-Api-Key") != "" {
				t.Errorf("header %v", got.Header)
			}
		})
	}
}

// threat 86: a token is no API key, also not one that the integration has made itself
// and has seen before.
func TestKnownTokenAsKey(t *testing.T) {
	f, _ := serveHome(t, homeIntegration(t, "home", "tokens\napi_key robot "+sha256Hex(robotKey)), "admit\n"+upstream(t))
	token := tokenOf(t, f.token("grant_type=password&username=ada&password="+adaPassword)).Access
	for range 2 {
		f.ask("GET", "localhost", "/x", "Authorization: Bearer "+token).seen(t)
		f.ask("GET", "localhost", "/x", "X-API-Key: "+token).want(t, 401, "bad_api_key")
	}
}

// forward says otherwise: client leaves everything, none takes all.
func TestForwardLocal(t *testing.T) {
	for _, tc := range []struct {
		forward string
		kept    bool
	}{{"", false}, {"forward none", false}, {"forward token", false}, {"forward client", true}} {
		f, _ := serveHome(t, homeIntegration(t, "home", "basic\napi_key robot "+sha256Hex(robotKey)), "admit {\n"+tc.forward+"\n}\n"+upstream(t))
		for _, header := range []string{basicHeader("ada", adaPassword), "X-API-Key: " + robotKey, "Authorization: Bearer " + robotKey} {
			got := f.ask("GET", "localhost", "/x", header, "X-Other: y").seen(t)
			if (got.Header.Get("Authorization")+got.Header.Get("X-Api-Key") != "") != tc.kept || got.Header.Get("X-Other") != "y" {
				t.Errorf("%q %q: %v", tc.forward, header, got.Header)
			}
		}
		stopCaddy(t)
	}
}

// An API key of somebody whom rules refuse, and one where nobody has keys.
func TestAPIKeyElsewhere(t *testing.T) {
	f, _ := serveHome(t, homeIntegration(t, "home", "api_key robot "+sha256Hex(robotKey)+"\ndeny user robot")+strings.Replace(secretIntegration, "local", "other", 1),
		"handle /other/* {\nadmit other\n"+upstream(t)+"\n}\nhandle {\nadmit home\n"+upstream(t)+"\n}")
	f.ask("GET", "localhost", "/x", "X-API-Key: "+robotKey).want(t, 403, "denied")
	f.ask("GET", "localhost", "/other/x", "X-API-Key: "+robotKey).want(t, 401, "missing_credential")
	f.ask("GET", "localhost", "/other/x", "Authorization: Bearer "+robotKey).want(t, 401, "malformed_token")
	page := f.ask("GET", "localhost", "/x", append(slices.Clone(navigation), "X-API-Key: "+robotKey)...)
	if checkPage(t, page); page.StatusCode != 403 {
		t.Errorf("page %d", page.StatusCode)
	}
}
