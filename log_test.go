package admit

import (
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// logged runs a site whose whole log, at DEBUG, goes to a file, and returns the
// file.
func serveLogged(t *testing.T, integrations, body string) (s *site, file string) {
	t.Helper()
	file = filepath.Join(t.TempDir(), "log")
	s = serve(t, "log all {\noutput file "+file+"\nlevel DEBUG\nformat json\n}\n"+integrations, "log\n"+body)
	return s, file
}

// waitForLog returns the entries of a log file once one of them has this text.
func waitForLog(t *testing.T, file, text string) []map[string]any {
	t.Helper()
	deadline := time.Now().Add(10 * time.Second)
	for {
		data, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		if strings.Contains(string(data), text) || time.Now().After(deadline) {
			var entries []map[string]any
			for line := range strings.Lines(string(data)) {
				var entry map[string]any
				if json.Unmarshal([]byte(line), &entry) == nil {
					entries = append(entries, entry)
				}
			}
			if !strings.Contains(string(data), text) {
				t.Errorf("%q is not in the log", text)
			}
			return entries
		}
	}
}

// A decision is one entry, refusals at INFO, the rest at DEBUG.
func TestDecisionLog(t *testing.T) {
	s, file := serveLogged(t, secretIntegration, `
		admit {
			bypass /free
			require /admin/* groups admin
		}
		respond ok`)
	for _, tc := range []struct {
		target, header string
		want           map[string]any
	}{
		{"/one?secret=1", bearer(t, nil), map[string]any{"level": "debug", "verdict": "allowed", "reason": "", "integration": "local", "credential": "header", "user": "ada", "path": "/one"}},
		{"/two", "X-Forwarded-For: 192.0.2.1", map[string]any{"level": "info", "verdict": "refused", "reason": "missing_credential", "status": 401.0, "client_ip": "127.0.0.1"}},
		{"/admin/three", bearer(t, nil), map[string]any{"level": "info", "reason": "rule", "status": 403.0, "rule": "require groups admin", "user": "ada"}},
		{"/four/..;/x", bearer(t, object{"exp": 1}), map[string]any{"level": "info", "reason": "expired", "status": 401.0, "integration": "local", "user": ""}},
		{"/free", bearer(t, nil), map[string]any{"level": "debug", "verdict": "bypassed", "user": "", "method": "GET", "host": s.addr}},
	} {
		s.get(tc.target, tc.header)
		path, _, _ := strings.Cut(tc.target, "?")
		n := 0
		for _, entry := range waitForLog(t, file, `"path":"`+path+`"`) {
			if entry["msg"] != "decision" || entry["path"] != path {
				continue
			}
			n++
			for name, want := range tc.want {
				if entry[name] != want {
					t.Errorf("%s: %s is %v, want %v", tc.target, name, entry[name], want)
				}
			}
			// threat 43
			if id, _ := entry["request_id"].(string); len(id) != 36 {
				t.Errorf("request_id %v", entry["request_id"])
			}
		}
		if n != 1 {
			t.Errorf("%s: %d entries, want 1", tc.target, n)
		}
	}
}

// The access log names the user, after the request.
func TestAccessLog(t *testing.T) {
	s, file := serveLogged(t, secretIntegration, "admit /in/*\nrespond ok")
	s.get("/in/good", bearer(t, nil))
	s.get("/in/bad", bearer(t, object{"exp": 1}))
	s.get("/out", bearer(t, nil))
	waitForLog(t, file, "/in/good")
	users := map[string]any{}
	for _, entry := range waitForLog(t, file, `"uri":"/out"`) {
		if request, ok := entry["request"].(map[string]any); ok && entry["msg"] == "handled request" {
			users[request["uri"].(string)] = entry["user_id"]
		}
	}
	if users["/in/good"] != "ada" || users["/in/bad"] != "" || users["/out"] != "" {
		t.Errorf("users %v", users)
	}
}

// threat 94: no token, part of a token or secret gets into a log, at any level,
// or into an answer.
func TestNothingSecretIsLogged(t *testing.T) {
	t.Setenv("ADMIT_TEST_SECRET", testSecret)
	key := newKey("kidkidkid", "one")
	is := newIssuer(t, key.jwk(nil))
	down := newIssuer(t)
	down.Close()
	s, file := serveLogged(t, `
		admit local {
			secret {env.ADMIT_TEST_SECRET}
			from header Authorization Bearer
			from header X-Key
			from cookie sid
		}
		admit corp {
			issuer `+is.URL+`
			audience api
		}
		admit down {
			issuer `+down.URL+`
			audience api
		}`, `
		admit local corp down {
			require /admin/* groups admin
			header_up X-User {http.auth.user.id}
		}
		respond ok`)
	long := strings.Repeat("SECRETSECRET", 20)
	tokens := []string{
		sign(t, testSecret, good(nil)),
		sign(t, testSecret, good(object{"exp": 1})),
		sign(t, "wrong secret wrong secret wrong s", good(nil)),
		sign(t, testSecret, good(object{"sub": "a\nb"})),
		key.token(t, good(object{"iss": is.URL}), nil),
		key.token(t, good(object{"iss": is.URL, "aud": long}), nil),
		key.token(t, good(object{"iss": down.URL}), nil),
		key.token(t, good(object{"iss": is.URL}), object{"kid": long}),
		key.token(t, good(object{"iss": is.URL}), object{"alg": long, "typ": long}),
		long + "." + long + "." + long, long, long + "=", "a.b.c.d." + long,
	}
	var answers strings.Builder
	for _, token := range tokens {
		for _, header := range []string{"Authorization: Bearer " + token, "Authorization: Bearer " + token + ",", "X-Key: " + token, "Cookie: sid=" + token} {
			for _, target := range []string{"/x", "/admin/x"} {
				a := s.get(target, header)
				answers.WriteString(a.body)
				_ = a.Header.Write(&answers)
			}
		}
	}
	s.get("/the-end")
	waitForLog(t, file, `"uri":"/the-end"`)
	data, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	for _, where := range []struct{ name, text string }{{"log", withoutXKey(string(data))}, {"answers", answers.String()}} {
		if strings.Contains(where.text, testSecret) || strings.Contains(where.text, long) {
			t.Errorf("%s: a secret or a claim", where.name)
		}
		for _, token := range tokens {
			for _, part := range strings.Split(token, ".") {
				if len(part) > 8 && strings.Contains(where.text, part) {
					t.Errorf("%s: %q", where.name, part)
				}
			}
		}
	}
}

// withoutXKey leaves out Caddy's own access log, which shows headers of names
// that it does not know.
func withoutXKey(log string) string {
	var kept strings.Builder
	for line := range strings.Lines(log) {
		if !strings.Contains(line, `"X-Key":["`) {
			kept.WriteString(line)
		}
	}
	return kept.String()
}
