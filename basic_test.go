package admit

import (
	"encoding/base64"
	"fmt"
	"slices"
	"strings"
	"testing"
)

func basicText(text string) string {
	return "Authorization: Basic " + base64.StdEncoding.EncodeToString([]byte(text))
}

// RFC 7617: user and password by HTTP Basic, and what is no such thing.
func TestBasic(t *testing.T) {
	file, _ := usersFile(t, userMember(t, "bøb ünd", bobPassword, "")+","+userMember(t, "eve", adaPassword, `, "disabled": true`)+","+
		userMember(t, "{http.request.uuid}", adaPassword, ""))
	// Made by caddy hash-password --algorithm argon2id of "antitiming".
	const argon = "$argon2id$v=19$m=47104,t=1,p=1$P2nzckEdTZ3bxCiBCkRTyA$xQL3Z32eo5jKl7u5tcIsnEKObYiyNZQQf5/4sAau6Pg"
	f, _ := serveHome(t, "admit home {\nuser ada "+hashOf(t, adaPassword)+"\nuser argon "+argon+"\nusers "+file+"\nbasic\n}",
		"admit {\nheader_up X-User {http.auth.user.id}\n}\n"+upstream(t))
	coded := base64.StdEncoding.EncodeToString([]byte("ada:" + adaPassword))
	for _, tc := range []struct {
		name, header string
		status       int
		reason       string // or the user
	}{
		{"right", basicText("ada:" + adaPassword), 200, "ada"},
		{"argon2id", basicText("argon:antitiming"), 200, "argon"},
		{"scheme in capitals", "Authorization: BASIC " + coded, 200, "ada"},
		{"colons and UTF-8", basicText("bøb ünd:" + bobPassword), 200, "bøb ünd"},
		{"a placeholder", basicText("{http.request.uuid}:" + adaPassword), 200, "{http.request.uuid}"}, // threat 95
		{"disabled", basicText("eve:" + adaPassword), 401, "bad_password"},
		{"wrong", basicText("ada:x"), 401, "bad_password"},
		{"no password", basicText("ada:"), 401, "bad_password"},
		{"cut", basicText("ada:" + adaPassword[1:]), 401, "bad_password"},
		{"too long for bcrypt", basicText("bøb ünd:" + strings.Repeat("x", 100)), 401, "bad_password"}, // threat 82
		{"nobody", basicText("mallory:" + adaPassword), 401, "bad_password"},
		{"colon in the name", basicText("ada::" + adaPassword), 401, "bad_password"},
		{"no colon", basicText("ada"), 400, "malformed_credential"},
		{"no user", basicText(":" + adaPassword), 400, "malformed_credential"},
		{"not base64", "Authorization: Basic ada:" + adaPassword, 400, "malformed_credential"},
		{"base64url", "Authorization: Basic YWRhOj8_Pw", 400, "malformed_credential"},
		{"no padding", "Authorization: Basic " + strings.TrimRight(base64.StdEncoding.EncodeToString([]byte("ada:x")), "="), 400, "malformed_credential"},
		{"bits left over", "Authorization: Basic YWRhOnh5eh==", 400, "malformed_credential"},
		{"not UTF-8", basicText("ad\xff:x"), 400, "malformed_credential"},
		{"empty", "Authorization: Basic", 400, "malformed_credential"},
		{"two lines", basicText("ada:x") + "\r\n" + basicText("ada:x"), 400, "several_credentials"},
		{"another scheme", "Authorization: Bearer " + coded, 401, "missing_credential"},
	} {
		a := f.ask("GET", "localhost", "/x", tc.header)
		if tc.status != 200 {
			a.want(t, tc.status, tc.reason)
			continue
		}
		// threat 94: the application gets no password.
		if got := a.seen(t); got.Header.Get("X-User") != tc.reason || got.Header.Get("Authorization") != "" {
			t.Errorf("%s: %v", tc.name, got.Header)
		}
	}
}

// A browser asks for a password by itself, and only when somebody opens a page of
// a site without a login page.
func TestBasicPrompt(t *testing.T) {
	f, _ := serveHome(t, homeIntegration(t, "home", "basic"), "handle /login/* {\nadmit {\nlogin\nendpoints /login/oauth2\n}\n"+upstream(t)+"\n}\nhandle {\nadmit {\nrealm \"the \\\"place\\\"\"\n}\n"+upstream(t)+"\n}")
	const prompt = `Basic realm="the \"place\"", charset="UTF-8"`
	for _, tc := range []struct {
		name    string
		path    string
		headers []string
		prompt  bool
	}{
		{"a page", "/x", navigation, true},
		{"curl", "/x", nil, true},
		{"wrong password", "/x", append(slices.Clone(navigation), basicHeader("ada", "x")), true},
		{"fetch", "/x", script, false},
		{"XHR", "/x", []string{"X-Requested-With: XMLHttpRequest"}, false},
		{"image", "/x", []string{"Sec-Fetch-Mode: no-cors", "Sec-Fetch-Dest: image"}, false},
		{"login page", "/login/x", append(slices.Clone(navigation), basicHeader("ada", "y")), false},
		{"form with a login page", "/login/x", append(slices.Clone(navigation), "Content-Length: 0"), false},
		{"curl with a login page", "/login/x", nil, true},
	} {
		a := f.ask("GET", "localhost", tc.path, tc.headers...)
		got := false
		for _, line := range a.Header["Www-Authenticate"] {
			if strings.HasPrefix(line, "Basic") {
				got = tc.path != "/x" || line == prompt
			}
		}
		if got != tc.prompt || a.StatusCode == 401 && len(a.Header["Www-Authenticate"]) == 0 {
			t.Errorf("%s: %d %v", tc.name, a.StatusCode, a.Header["Www-Authenticate"])
		}
	}
}

// threat 78: guessing by Basic is slowed down as well; an old password that a
// program sends over and over counts once, and nobody locks out who got in before.
func TestBasicLocked(t *testing.T) {
	f, _ := serveHome(t, homeIntegration(t, "home", "basic"), "admit\n"+upstream(t))
	for range 30 {
		f.ask("GET", "localhost", "/x", basicHeader("bob", "old")).want(t, 401, "bad_password")
	}
	var a answered
	for i := range 7 {
		a = f.ask("GET", "localhost", "/x", basicHeader("bob", fmt.Sprint(i)))
	}
	a.want(t, 429, "locked_out")
	if a.Header.Get("Retry-After") != "1" || a.Header.Get("Www-Authenticate") != "" {
		t.Errorf("header %v", a.Header)
	}
	page := f.ask("GET", "localhost", "/x", append(slices.Clone(navigation), basicHeader("bob", "another"))...)
	if checkPage(t, page); page.StatusCode != 429 || !strings.Contains(page.body, "Too many attempts") {
		t.Errorf("%d\n%s", page.StatusCode, page.body)
	}
	// ada got in from here before: only the address counts, which has some left.
	f.ask("GET", "localhost", "/x", basicHeader("ada", adaPassword)).seen(t)
	for i := range 8 {
		f.ask("GET", "localhost", "/x", basicHeader("ada", fmt.Sprint(i)))
	}
	f.ask("GET", "localhost", "/x", basicHeader("ada", adaPassword)).seen(t)
	// A reload is no amnesty.
	f.reload(homeIntegration(t, "home", "basic\nsession {\nmax 1h\n}"), "admit\nrespond ok")
	f.ask("GET", "localhost", "/x", basicHeader("bob", "yet another")) // in case the lock is over by now
	f.ask("GET", "localhost", "/x", basicHeader("bob", "and another")).want(t, 429, "locked_out")
}

// threat 81: a user of one integration is checked there and nowhere else.
func TestBasicSeveral(t *testing.T) {
	one := "admit one {\nuser ada " + hashOf(t, adaPassword) + "\nbasic\n}\n"
	two := "admit two {\nuser ada " + hashOf(t, bobPassword) + "\nuser bob " + hashOf(t, bobPassword) + "\nbasic\n}\n"
	f, _ := serveHome(t, one+two, "admit one two {\nheader_up X-User {http.auth.user.integration}\n}\n"+upstream(t))
	for _, tc := range []struct{ user, password, want string }{
		{"ada", adaPassword, "one"}, {"ada", bobPassword, ""}, {"bob", bobPassword, "two"}, {"bob", adaPassword, ""}, {"mallory", adaPassword, ""},
	} {
		a := f.ask("GET", "localhost", "/x", basicHeader(tc.user, tc.password))
		if tc.want == "" {
			a.want(t, 401, "bad_password")
		} else if got := a.seen(t).Header.Get("X-User"); got != tc.want {
			t.Errorf("%s: %s, want %s", tc.user, got, tc.want)
		}
	}
}
