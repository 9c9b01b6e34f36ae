package admit

import (
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// TestTokensRefused: what package jwt refuses is refused over HTTP, with its
// reason. Each row differs in one thing from the first.
func TestTokensRefused(t *testing.T) {
	s := serve(t, secretIntegration, "admit\nrespond ok")
	now := time.Now().Unix()
	const header = `{"alg":"HS256","typ":"JWT"}`
	payload := fmt.Sprintf(`{"sub":"ada","aud":"api","exp":%d}`, now+600)
	with := func(more string) string { return strings.TrimSuffix(payload, "}") + "," + more + "}" }
	token := signText(testSecret, header, payload)
	parts := strings.Split(token, ".")
	for _, tc := range []struct{ name, token, reason string }{
		{"good", token, ""},
		// threat 1
		{"none", signText(testSecret, `{"alg":"none"}`, payload), "unsupported_algorithm"},
		{"None", signText(testSecret, `{"alg":"None"}`, payload), "unsupported_algorithm"},
		{"no alg", signText(testSecret, `{"typ":"JWT"}`, payload), "unsupported_algorithm"},
		{"without a signature", parts[0] + "." + parts[1] + ".", "malformed_token"},
		{"two parts", parts[0] + "." + parts[1], "malformed_token"},
		{"another signature", parts[0] + "." + parts[1] + "." + strings.Repeat("A", len(parts[2])), "bad_signature"},
		// threats 4, 96
		{"five parts", parts[0] + ".a.b.c.d", "encrypted"},
		{"encrypted header", signText(testSecret, `{"alg":"HS256","enc":"A128GCM"}`, payload), "encrypted"},
		// threats 3, 5, 6
		{"a member twice", signText(testSecret, header, with(`"sub":"bea"`)), "malformed_token"},
		{"a member twice, deep inside", signText(testSecret, header, with(`"a":[{"b":1,"b":2}]`)), "malformed_token"},
		{"data behind the claims", signText(testSecret, header, payload+"{}"), "malformed_token"},
		{"not UTF-8", signText(testSecret, header, with("\"a\":\"\xff\"")), "malformed_token"},
		{"deep", signText(testSecret, header, with(`"a":`+strings.Repeat("[", 2000)+strings.Repeat("]", 2000))), "malformed_token"},
		{"a list", signText(testSecret, header, "["+payload+"]"), "malformed_token"},
		// threat 7
		{"padding", parts[0] + "=." + parts[1] + "." + parts[2], "malformed_token"},
		{"spare bits", token[:len(token)-1] + string(token[len(token)-1]+1), "malformed_token"},
		// threat 12
		{"another algorithm", signText(testSecret, `{"alg":"HS512"}`, payload), "unsupported_algorithm"},
		// threat 13
		{"crit", signText(testSecret, `{"alg":"HS256","crit":["exp"]}`, payload), "critical_header"},
		{"b64", signText(testSecret, `{"alg":"HS256","b64":true}`, payload), "critical_header"},
		// threat 14
		{"kid is a number", signText(testSecret, `{"alg":"HS256","kid":1}`, payload), "malformed_token"},
		// threat 25
		{"audience", signText(testSecret, header, strings.Replace(payload, `"api"`, `"API"`, 1)), "wrong_audience"},
		{"audience is an object", signText(testSecret, header, strings.Replace(payload, `"api"`, `{"api":1}`, 1)), "malformed_token"},
		{"no audience", signText(testSecret, header, strings.Replace(payload, `"aud"`, `"Aud"`, 1)), "wrong_audience"},
		// threat 27
		{"logout token by type", signText(testSecret, `{"alg":"HS256","typ":"logout+jwt"}`, payload), "wrong_type"},
		{"proof token by type", signText(testSecret, `{"alg":"HS256","typ":"dpop+jwt"}`, payload), "wrong_type"},
		{"logout token by its event", signText(testSecret, header, with(`"events":{}`)), "wrong_type"},
		{"access token by type", signText(testSecret, `{"alg":"HS256","typ":"application/AT+jwt"}`, payload), ""},
		// threats 28, 29
		{"no expiry", signText(testSecret, header, `{"sub":"ada","aud":"api"}`), "missing_expiry"},
		{"expiry 0", signText(testSecret, header, `{"sub":"ada","aud":"api","exp":0}`), "expired"},
		{"expiry is text", signText(testSecret, header, `{"sub":"ada","aud":"api","exp":"9999999999"}`), "malformed_token"},
		{"expired within the leeway", signText(testSecret, header, fmt.Sprintf(`{"sub":"ada","aud":"api","exp":%d}`, now-30)), ""},
		{"expired beyond the leeway", signText(testSecret, header, fmt.Sprintf(`{"sub":"ada","aud":"api","exp":%d}`, now-70)), "expired"},
		{"not yet valid", signText(testSecret, header, with(fmt.Sprintf(`"nbf":%d`, now+120))), "not_yet_valid"},
		{"never valid", signText(testSecret, header, with(`"nbf":1e30`)), "not_yet_valid"},
		{"never valid, by wrapping around", signText(testSecret, header, with(`"nbf":9223372036854775807`)), "not_yet_valid"},
		// threat 101
		{"bound to a key", signText(testSecret, header, with(`"cnf":{"jkt":"x"}`)), "bound_token"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			status := 401
			if tc.reason == "" {
				status = 200
			}
			s.get("/", "Authorization: Bearer "+tc.token).want(t, status, tc.reason)
		})
	}
}

// threat 32: a matcher that fails decides nothing: nobody gets in, and nobody is
// named on the error page.
func TestMatcherThatFails(t *testing.T) {
	s := serve(t, secretIntegration, `
		@fails expression "'x' in {http.request.host}"
		admit /gate/* {
			require @fails groups admin
		}
		admit @fails
		handle_errors {
			respond "[{http.auth.user.id}][{http.auth.user.claims.sub}][{http.auth.candidate.id}]"
		}
		respond ok`)
	for _, target := range []string{"/gate/x", "/x"} {
		for _, header := range []string{bearer(t, object{"groups": "admin"}), "Accept: */*"} {
			got := s.get(target, header)
			if refused := got.StatusCode == 401 && target == "/gate/x"; !refused && got.StatusCode != 500 || !strings.HasPrefix(got.body, "[][][]") {
				t.Errorf("%s: %d %q", target, got.StatusCode, got.body)
			}
		}
	}
}

// threat 100: nothing that is not a test draws predictable numbers.
func TestNoPredictableNumbers(t *testing.T) {
	err := filepath.WalkDir(".", func(name string, entry fs.DirEntry, err error) error {
		if err != nil || entry.IsDir() && (name == "e2e" || strings.HasPrefix(entry.Name(), ".") && name != ".") {
			if err == nil {
				err = fs.SkipDir
			}
			return err
		}
		if entry.IsDir() || !strings.HasSuffix(name, ".go") || strings.HasSuffix(name, "_test.go") {
			return nil
		}
		text, err := os.ReadFile(name)
		if strings.Contains(string(text), `"math/rand`) {
			t.Errorf("%s imports math/rand", name)
		}
		return err
	})
	if err != nil {
		t.Error(err)
	}
}
