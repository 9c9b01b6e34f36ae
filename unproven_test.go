package admit

import (
	"strings"
	"testing"
)

// threats 38, 48: the application gets no token that the gate has not accepted.
func TestUnprovenTokens(t *testing.T) {
	tok := sign(t, testSecret, good(nil))
	forged := sign(t, strings.Repeat("x", 32), good(object{"sub": "root"}))
	for _, forward := range []string{"", "forward client"} {
		s := serve(t, everywhere, "admit {\noptional\nheader_up X-User {http.auth.user.id}\n"+forward+"\n}\n"+upstream(t))
		for _, tc := range []struct{ sent, want string }{
			{"sid=" + tok, "sid=" + tok},
			{`a=b; sid="` + tok + `"; c`, `a=b; sid="` + tok + `"; c`},
			{"sid=" + forged + "; sid=" + tok, "sid=" + tok},
			{"sid=" + tok + "; a=b; sid=" + forged, "sid=" + tok + "; a=b"},
			{"sid=" + tok + "\r\nCookie: sid=" + forged, "sid=" + tok},
			{"sid=" + forged + "\\; a=b", "a=b"}, // Go does not see these, others do
			{"sid=\"" + forged + "; a=b", "a=b"},
			{"sid=" + forged + "\xff; a=b", "a=b"},
			{"sid=; a=b", "a=b"},
		} {
			got := s.get("/", "Cookie: "+tc.sent).seen(t).Header
			if cookie := strings.Join(got["Cookie"], "|"); strings.TrimSpace(cookie) != tc.want {
				t.Errorf("%s: sent %q: upstream sees %q, want %q", forward, tc.sent, cookie, tc.want)
			}
		}
		// A cookie beside another credential is not looked at.
		got := s.get("/", "Authorization: Bearer "+tok, "Cookie: sid="+forged+"; a=b").seen(t).Header
		if got.Get("X-User") != "ada" || strings.TrimSpace(got.Get("Cookie")) != "a=b" {
			t.Errorf("%s: header and cookie: %v", forward, got)
		}
		// Some servers take these for the end of a scheme.
		for _, header := range []string{"Bearer\t" + forged, "Bearer," + forged, "bearer\xa0" + forged, "Bearer:" + forged, "Bearer \t" + forged} {
			s.get("/", "Authorization: "+header).want(t, 400, "malformed_credential")
		}
		for _, header := range []string{"Bearers " + forged, "Basic eDp5", "DPoP x"} {
			s.get("/", "Authorization: "+header).want(t, 200, "")
		}
		if err := s.stop(); err != nil {
			t.Fatal(err)
		}
	}
}
