package admit

import (
	"strings"
	"testing"
)

// threat 67: the gate's own endpoints are exact paths, with a method each, and no
// answer of theirs is kept by anybody; what only looks like one is a request like
// any other.
func TestEndpointsAreExact(t *testing.T) {
	f, _ := serveHome(t, homeIntegration(t, "home", "tokens"), "admit {\nlogin\n}\n"+upstream(t))
	for _, target := range []string{"/oauth2/login", "/oauth2/logout", "/oauth2/logged-out", "/oauth2/userinfo", "/oauth2/jwks"} {
		a := f.ask("GET", "localhost", target, navigation...)
		if a.StatusCode == 302 || !strings.Contains(a.Header.Get("Cache-Control"), "no-store") {
			t.Errorf("%s: %d %v", target, a.StatusCode, a.Header)
		}
		if a := f.ask("DELETE", "localhost", target); a.StatusCode != 405 || a.Header.Get("Allow") == "" {
			t.Errorf("DELETE %s: %d %v", target, a.StatusCode, a.Header)
		}
	}
	for _, target := range []string{
		"/oauth2", "/oauth2/", "/oauth2/login/", "/oauth2/Login", "/OAUTH2/login", "/oauth2//login", "/oauth2/./login",
		"/oauth2/x/../login", "/oauth2/login;x", "/oauth2/login%2f", "/oauth2%2flogin", "/x/oauth2/login", "/oauth2/login/x", "/oauth2/token/x",
	} {
		a := f.ask("GET", "localhost", target)
		if a.StatusCode != 401 || !strings.Contains(a.body, "missing_credential") {
			t.Errorf("%s: %d %q", target, a.StatusCode, a.body)
		}
	}
}
