package admit

import (
	"strings"
	"testing"
)

// everywhere takes a token wherever a client may put one.
const everywhere = "admit local {\nsecret " + testSecret + "\nfrom header Authorization Bearer\nfrom header X-Key\nfrom cookie sid\nfrom query token\n}"

// DESIGN 1.2 forward: what the application sees of the credential, for each place
// it comes from.
func TestForward(t *testing.T) {
	tok := sign(t, testSecret, good(nil))
	type sees struct{ authorization, key, cookie, uri, own string }
	requests := []struct {
		name, target string
		headers      []string
	}{
		{"header", "/x?a=b", []string{"Authorization: bearer  " + tok, "Cookie: a=b"}},
		{"own header", "/x?a=b", []string{"X-Key: " + tok, "Authorization: Basic eDp5"}},
		{"cookie", "/x?a=b", []string{"Cookie: a=b; sid=" + tok + ";  c=\"d e\"; SID=x;;f", "Cookie: sid=old; g=%zz"}},
		{"query", "/x?a=b&token=" + tok + "&c=d", nil},
	}
	for _, tc := range []struct {
		line string
		want []sees // in the order of requests
	}{
		{"forward client", []sees{
			{"bearer  " + tok, "", "a=b", "/x?a=b", ""},
			{"Basic eDp5", tok, "", "/x?a=b", ""},
			{"", "", "a=b; sid=" + tok + ";  c=\"d e\"; SID=x;;f|g=%zz", "/x?a=b", ""}, // the other one is nobody's
			{"", "", "", "/x?a=b&c=d", ""},
		}},
		{"forward none", []sees{
			{"", "", "a=b", "/x?a=b", ""},
			{"Basic eDp5", "", "", "/x?a=b", ""},
			{"", "", "a=b;  c=\"d e\"; SID=x;;f|g=%zz", "/x?a=b", ""},
			{"", "", "", "/x?a=b&c=d", ""},
		}},
		{"forward token", []sees{
			{"Bearer " + tok, "", "a=b", "/x?a=b", ""},
			{"Bearer " + tok, "", "", "/x?a=b", ""},
			{"Bearer " + tok, "", "a=b;  c=\"d e\"; SID=x;;f|g=%zz", "/x?a=b", ""},
			{"Bearer " + tok, "", "", "/x?a=b&c=d", ""},
		}},
		{"forward token x-access-token", []sees{
			{"", "", "a=b", "/x?a=b", tok},
			{"Basic eDp5", "", "", "/x?a=b", tok},
			{"", "", "a=b;  c=\"d e\"; SID=x;;f|g=%zz", "/x?a=b", tok},
			{"", "", "", "/x?a=b&c=d", tok},
		}},
		{"forward token X-Key", []sees{
			{"", tok, "a=b", "/x?a=b", ""},
			{"Basic eDp5", tok, "", "/x?a=b", ""},
			{"", tok, "a=b;  c=\"d e\"; SID=x;;f|g=%zz", "/x?a=b", ""},
			{"", tok, "", "/x?a=b&c=d", ""},
		}},
	} {
		t.Run(tc.line, func(t *testing.T) {
			f := serveOne(t, everywhere, "admit {\n"+tc.line+"\n}\n"+upstream(t))
			for i, request := range requests {
				got := f.get(request.target, request.headers...).seen(t)
				saw := sees{
					strings.Join(got.Header["Authorization"], "|"), strings.Join(got.Header["X-Key"], "|"),
					strings.Join(got.Header["Cookie"], "|"), got.URI, strings.Join(got.Header["X-Access-Token"], "|"),
				}
				if saw != tc.want[i] {
					t.Errorf("%s: application sees\n%+v, want\n%+v", request.name, saw, tc.want[i])
				}
			}
		})
	}
}

// forgeries are spellings that servers take for X-Access-Token. Caddy itself drops
// those with "_" and ".".
var forgeries = []string{"X-Access-Token: forged", "x-access-token: forged", "X-Access-Token: one\r\nX-ACCESS-TOKEN: two"}

// threat 36: the header of a forwarded token is the gate's alone, on requests that
// it does not check too.
func TestForwardedTokenCannotBeForged(t *testing.T) {
	tok := sign(t, testSecret, good(nil))
	gate := `
		admit /in/* {
			optional
			bypass /in/free/*
			forward token X-Access-Token
			origins https://app.example.com
			require /in/rule user *
		}
		`
	f := serveOne(t, everywhere, gate+upstream(t))
	for _, forged := range forgeries {
		for _, target := range []string{"/in/free/x", "/out", "/in/anonymous", "/in/free"} {
			if got := f.get(target, forged).seen(t).Header["X-Access-Token"]; got != nil {
				t.Errorf("%s, %s: application sees %q", target, forged, got)
			}
		}
		if got := f.get("/in/x", forged, "Cookie: sid="+tok).seen(t).Header["X-Access-Token"]; len(got) != 1 || got[0] != tok {
			t.Errorf("%s: application sees %q", forged, got)
		}
		if got := f.ask("OPTIONS", "a.example", "/in/x", forged, listedOrigin, asksPost).seen(t).Header["X-Access-Token"]; got != nil {
			t.Errorf("preflight, %s: application sees %q", forged, got)
		}
		// threat 37
		if got := f.get("/in/x", "Cookie: sid="+tok, "Connection: close, x-access-Token").seen(t).Header.Get("X-Access-Token"); got != tok {
			t.Errorf("Connection: application sees %q", got)
		}
	}
	// Authorization too, where only the gate puts a token there.
	f = serveOne(t, "admit local {\nsecret "+testSecret+"\nfrom cookie sid\n}", strings.Replace(gate, " X-Access-Token", "", 1)+upstream(t))
	for _, target := range []string{"/in/free/x", "/out", "/in/anonymous"} {
		if got := f.get(target, bearer(t, nil)).seen(t).Header["Authorization"]; got != nil {
			t.Errorf("%s: application sees %q", target, got)
		}
	}
	if got := f.get("/in/x", "Authorization: Bearer forged", "Cookie: sid="+tok).seen(t).Header["Authorization"]; len(got) != 1 || got[0] != "Bearer "+tok {
		t.Errorf("application sees %q", got)
	}
}

// DESIGN 1.2 One route: of gates that overlap, a later one reuses the identity if
// its integration is among those it names, else it checks what the client sent,
// whatever gates before it did to the headers.
func TestGatesThatOverlap(t *testing.T) {
	f := serveOne(t, everywhere+"\nadmit other {\nsecret "+testSecret+"\nfrom header Authorization Bearer\nfrom header X-User\naudience other\n}", `
		route {
			admit local {
				forward none
				optional
				header_up X-User {http.auth.user.id}
				header_up X-First {http.auth.user.integration}
			}
			admit /same/* local other {
				forward token X-Second-Token
				header_up X-Second {http.auth.user.integration}
			}
			admit /else/* other {
				header_up X-Third {http.auth.user.id}
				header_up X-Second {http.auth.user.integration}
			}
		}
		`+upstream(t))
	both := bearer(t, object{"aud": []string{"api", "other"}})
	// The second knows the token that the first has taken out.
	tok := sign(t, testSecret, good(nil))
	got := f.get("/same/x", "Authorization: Bearer "+tok).seen(t)
	if got.Header.Get("X-First") != "local" || got.Header.Get("X-Second") != "local" || got.Header.Get("X-User") != "ada" || got.Header.Get("Authorization") != "" ||
		got.Header.Get("X-Second-Token") != tok {
		t.Errorf("seen %v", got.Header)
	}
	// The first takes the token out; the second finds what was sent.
	got = f.get("/else/x", both).seen(t)
	if got.Header.Get("X-First") != "local" || got.Header.Get("X-Second") != "other" || got.Header.Get("X-Third") != "ada" || got.Header.Get("Authorization") != "" {
		t.Errorf("seen %v", got.Header)
	}
	f.get("/else/x").want(t, 401, "missing_credential")
	f.get("/else/x", bearer(t, nil)).want(t, 401, "wrong_audience")
	f.get("/x", bearer(t, nil)).want(t, 200, "")
	// A header that one gate sets and the other reads: what the client sent counts.
	forged := "X-User: " + sign(t, testSecret, good(object{"aud": "other", "sub": "eve"}))
	if got := f.get("/else/x", forged).seen(t); got.Header.Get("X-Third") != "eve" || got.Header.Get("X-First") != "" || got.Header.Get("X-User") != "" {
		t.Errorf("seen %v", got.Header)
	}
}

// A header for the token that something else is in is a mistake.
func TestForwardAtLoad(t *testing.T) {
	err := loadError(t, secretIntegration, "admit {\nforward token X-User\nheader_up X-User {http.auth.user.id}\n}")
	if !strings.Contains(err, "forward token X-User: header_up sets that header") {
		t.Error(err)
	}
}
