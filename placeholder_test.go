package admit

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// every name of the family, in one line.
const allPlaceholders = `id={http.auth.user.id} groups={http.auth.user.groups} in={http.auth.user.integration} mail={http.auth.user.claims.email} ` +
	`deep={http.auth.user.claims.o.inner} none={http.auth.user.nothing} cid={http.auth.candidate.id} cgroups={http.auth.candidate.groups} ` +
	`verdict={http.auth.admit.verdict} reason={http.auth.admit.reason} rule={http.auth.admit.rule} x={http.auth.admit.x}`

// DESIGN 3, "Placeholders".
//
// Placeholders are known wherever a gate has been, and empty where there is
// nothing to say.
func TestPlaceholders(t *testing.T) {
	s := serve(t, secretIntegration, `
		admit /in/* {
			optional
			bypass /in/free
			require /in/rule/* groups admin
		}
		respond "`+allPlaceholders+`"`)
	full := object{"groups": []string{"a", "b"}, "email": "a@example.com", "o": object{"inner": 7}}
	const nobody = "id= groups= in= mail= deep= none= cid= cgroups= verdict=%s reason= rule= x="
	for _, tc := range []struct{ name, target, header, want string }{
		{"known", "/in/x", bearer(t, full), "id=ada groups=a,b in=local mail=a@example.com deep=7 none= cid= cgroups= verdict=allowed reason= rule= x="},
		{"anonymous", "/in/x", "Accept: */*", strings.Replace(nobody, "%s", "anonymous", 1)},
		{"bypassed", "/in/free", bearer(t, full), strings.Replace(nobody, "%s", "bypassed", 1)},
		{"not covered", "/out", bearer(t, full), strings.Replace(nobody, "%s", "", 1)},
	} {
		t.Run(tc.name, func(t *testing.T) {
			if got := s.get(tc.target, tc.header); got.body != tc.want {
				t.Errorf("got  %s\nwant %s", got.body, tc.want)
			}
		})
	}
}

// A known caller whom rules refuse is a candidate only, for error pages too.
func TestCandidate(t *testing.T) {
	s := serve(t, secretIntegration, `
		route {
			admit
			admit /rule/* {
				require groups admin
			}
			respond ok
		}`)
	s.get("/rule/x", bearer(t, nil)).want(t, 403, "rule")
	config := strings.ReplaceAll(jsonSite, "PROVIDER", `"integrations": ["local"], "require": [{"claim": "groups", "patterns": ["admin"]}]`)
	s.loadJSON(strings.ReplaceAll(config, "BODY", strings.ReplaceAll(allPlaceholders, `"`, ``)))
	for header, want := range map[string]string{
		bearer(t, object{"groups": "admin"}): "id=ada groups=admin in=local mail= deep= none= cid= cgroups= verdict=allowed reason= rule= x=",
		bearer(t, object{"groups": "dev"}):   "id= groups= in= mail= deep= none= cid=ada cgroups=dev verdict=refused reason=rule rule=require groups admin x=",
		bearer(t, object{"exp": 1}):          "id= groups= in= mail= deep= none= cid= cgroups= verdict=refused reason=expired rule= x=",
		"Accept: */*":                        "id= groups= in= mail= deep= none= cid= cgroups= verdict=refused reason=missing_credential rule= x=",
	} {
		if got := s.get("/", header); got.body != want {
			t.Errorf("got  %d %s\nwant %s", got.StatusCode, got.body, want)
		}
	}
}

// Expressions see real values, and empty ones instead of an error.
func TestPlaceholdersInExpressions(t *testing.T) {
	s := serve(t, secretIntegration, `
		admit {
			optional
		}
		@dev expression "'dev' in {http.auth.user.groups}"
		@ada expression {http.auth.user.id} == "ada"
		@known expression {http.auth.user.id} != ""
		@mail expression {http.auth.user.claims.email}.endsWith("@example.com")
		respond @dev dev
		respond @mail mail
		respond @ada ada
		respond @known known
		respond nobody`)
	for _, tc := range []struct{ header, want string }{
		{bearer(t, object{"groups": []string{"ops", "dev"}}), "dev"},
		{bearer(t, object{"groups": "developers", "email": "a@example.com"}), "mail"},
		{bearer(t, object{"groups": []string{}}), "ada"},
		{bearer(t, object{"sub": "bea"}), "known"},
		{"Accept: */*", "nobody"},
	} {
		if got := s.get("/", tc.header); got.body != tc.want {
			t.Errorf("got %d %q, want %q", got.StatusCode, got.body, tc.want)
		}
	}
}

// threat 95: placeholders in what a client sends are text.
func TestPlaceholdersAreNotExpanded(t *testing.T) {
	t.Setenv("ADMIT_TEST_VALUE", "expanded")
	file := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(file, []byte("expanded"), 0o600); err != nil {
		t.Fatal(err)
	}
	s := serve(t, "admit local {\nsecret "+testSecret+"\nfrom header Authorization Bearer\nfrom query t\n}", `
		admit {
			header_up X-User {http.auth.user.id}
			header_up X-Claim {http.auth.user.claims.c}
			header_up X-Groups {http.auth.user.groups}
			realm "{http.request.host}"
		}
		request_header X-Again {http.auth.user.claims.c}
		`+upstream(t))
	for _, text := range []string{"{env.ADMIT_TEST_VALUE}", "{file." + file + "}", "{http.request.header.Authorization}", "{http.auth.user.claims.c}", "{$ADMIT_TEST_VALUE}", "{", "}", "{{env.ADMIT_TEST_VALUE}}"} {
		got := s.get("/", bearer(t, object{"sub": text, "c": text, "groups": []string{text}})).seen(t).Header
		for _, name := range []string{"X-User", "X-Claim", "X-Groups", "X-Again"} {
			if got.Get(name) != text {
				t.Errorf("%s: %q became %q", name, text, got.Get(name))
			}
		}
		refused := s.get("/", "Authorization: Bearer "+signText(testSecret, `{"alg":"HS256","kid":`+jsonText(t, text)+`,"typ":`+jsonText(t, text)+`}`, `{}`))
		refused.want(t, 401, "wrong_type")
		if got := refused.Header.Get("WWW-Authenticate"); !strings.Contains(got, `realm="{http.request.host}"`) || strings.Contains(refused.body+got, "expanded") {
			t.Errorf("refused: %q %q", got, refused.body)
		}
	}
}

// DESIGN 1: names of headers are text values like others.
func TestHeaderNamesAreFilledIn(t *testing.T) {
	t.Setenv("ADMIT_TEST_HEADER", "x-who")
	s := serve(t, secretIntegration, "admit {\nheader_up {env.ADMIT_TEST_HEADER} {http.auth.user.id}\nforward token {env.ADMIT_TEST_HEADER}-token\n}\n"+upstream(t))
	tok := sign(t, testSecret, good(nil))
	got := s.get("/", "Authorization: Bearer "+tok, "X_Who: mallory", "X-Who-Token: forged").seen(t).Header
	if got.Get("X-Who") != "ada" || got.Get("X-Who-Token") != tok || len(got["X_who"]) > 0 || got.Get("Authorization") != "" {
		t.Errorf("upstream sees %v", got)
	}
}

// threat 36: who the user is, is what the gate says, for logs and FastCGI too. What a
// handler before it or between two of them says instead, perhaps with the client's
// words, does not count once a gate has decided.
func TestUserOfOthers(t *testing.T) {
	const (
		mapped = "map {header.X-Who} {http.auth.user.id} {\ndefault {header.X-Who}\n}\n"
		set    = "vars http.auth.user.id {header.X-Who}\n"
		gate   = "admit /in/* {\noptional\ndeny user eve\nbypass /in/public\n}\n"
	)
	for name, before := range map[string]string{
		"map": mapped, "vars": set, "map, after a gate": gate + mapped, "vars, after a gate": gate + set,
	} {
		s := serve(t, secretIntegration, "route {\n"+before+gate+"respond \"[{http.auth.user.id}]\"\n}\nhandle_errors {\nrespond \"[{http.auth.user.id}]\"\n}")
		for _, row := range []struct{ path, user, want string }{
			{"/in/x", "ada", "[ada]"},
			{"/in/x", "", "[]"},
			{"/in/x", "eve", "[]"},
		} {
			headers := []string{"X-Who: mallory"}
			if row.user != "" {
				headers = append(headers, bearer(t, object{"sub": row.user}))
			}
			if a := s.get(row.path, headers...); a.body != row.want {
				t.Errorf("%s: %s as %q: %d %s, want %s", name, row.path, row.user, a.StatusCode, a.body, row.want)
			}
		}
		if name == "map, after a gate" {
			continue // of whom the placeholder is asked first, and says that it is nobody
		}
		for _, path := range []string{"/out", "/in/public"} { // where no gate decides who it is
			if a := s.get(path, "X-Who: bob", bearer(t, nil)); a.body != "[bob]" {
				t.Errorf("%s: %s: %s", name, path, a.body)
			}
		}
	}
}
