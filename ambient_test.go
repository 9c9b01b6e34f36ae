package admit

import (
	"strings"
	"testing"
)

// A password that a browser keeps is sent with forms of other sites too, as a
// cookie is (DESIGN 1.2, sessions and other origins).
func TestBasicFromOtherSites(t *testing.T) {
	f, _ := serveHome(t, homeIntegration(t, "home", "basic"), "admit\n"+upstream(t))
	ada := basicHeader("ada", adaPassword)
	f.ask("POST", "localhost", "/x", ada).seen(t)
	f.ask("POST", "localhost", "/x", ada, "Sec-Fetch-Site: same-origin").seen(t)
	f.ask("GET", "localhost", "/x", ada, "Sec-Fetch-Site: cross-site").seen(t)
	f.ask("POST", "localhost", "/x", ada, "Sec-Fetch-Site: cross-site").want(t, 403, "cross_origin")
	f.ask("POST", "localhost", "/x", ada, "Origin: https://evil.example").want(t, 403, "cross_origin")
}

// threat 46: whoever signs in with one integration of a gate is nobody else's
// session any more.
func TestSignInReplaces(t *testing.T) {
	f, _ := serveHome(t, homeIntegration(t, "home", "")+homeIntegration(t, "office", ""), "admit home office {\nlogin\nheader_up X-In {http.auth.user.integration}\n}\n"+upstream(t))
	var cookies []string
	for _, name := range []string{"home", "office"} {
		form := "body:username=ada&return_to=/&integration=" + name + "&password=" + adaPassword
		lines := []string{formType, form}
		if len(cookies) > 0 {
			lines = append(lines, "Cookie: "+strings.Join(cookies, "; "))
		}
		a := f.ask("POST", "localhost", "/oauth2/login", lines...)
		if a.StatusCode != 303 {
			t.Fatalf("%s: %d %s", name, a.StatusCode, a.body)
		}
		for _, c := range a.Cookies() {
			if c.MaxAge > 0 {
				cookies = append(cookies, c.Name+"="+c.Value)
			}
		}
	}
	// A browser that kept the first cookie all the same is the second user.
	if got := f.ask("GET", "localhost", "/x", "Cookie: "+strings.Join(cookies, "; ")).seen(t).Header.Get("X-In"); got != "office" {
		t.Errorf("signed in at %q", got)
	}
}
