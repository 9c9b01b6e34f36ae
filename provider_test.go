package admit

import (
	"encoding/json"
	"strings"
	"testing"

	"github.com/caddyserver/caddy/v2"
)

// jsonSite is a site in JSON with Caddy's authentication handler. Its error page
// and its answer are the same text.
const jsonSite = `{
	"admin": {"disabled": true, "config": {"persist": false}},
	"logging": {"logs": {"default": {"level": "FATAL"}}},
	"apps": {
		"admit": {"integrations": {"local": {"secret": {"value": "` + testSecret + `"}, "audience": ["api"]}}},
		"http": {"servers": {"s": {
			"listen": ["ADDRESS"],
			"routes": [{"handle": [
				{"handler": "authentication", "providers": {"admit": {PROVIDER}}},
				{"handler": "static_response", "body": "BODY"}
			]}],
			"errors": {"routes": [{"handle": [{"handler": "static_response", "status_code": "{http.error.status_code}", "body": "BODY"}]}]}
		}}}
	}
}`

// loadJSON replaces the configuration by one in JSON, ADDRESS in it by the
// address of the site.
func (s *site) loadJSON(config string) {
	s.t.Helper()
	s.addr = freeAddr(s.t)
	if err := caddy.Load([]byte(strings.ReplaceAll(config, "ADDRESS", s.addr)), true); err != nil {
		s.t.Fatalf("loading:\n%s\n%v", config, err)
	}
}

func jsonText(t *testing.T, v any) string {
	t.Helper()
	text, err := json.Marshal(v)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

// TestProvider: the check as a provider for Caddy's authentication handler. Every
// refusal is a 401 with a challenge.
func TestProvider(t *testing.T) {
	s := serve(t, secretIntegration, "admit\nrespond ok")
	s.loadJSON(strings.NewReplacer("BODY", "{http.auth.user.id}|{http.auth.user.groups}|{http.auth.admit.reason}|{http.auth.admit.error}",
		"PROVIDER", `"require": [{"match": [{"path": ["/dev/*"]}], "claim": "groups", "patterns": ["dev"]}],
			"any": [{"match": [{"path": ["/any"]}], "require": [{"claim": "user", "patterns": ["bea"]}]}],
			"deny": [{"claim": "user", "patterns": ["mallory"]}]`).Replace(jsonSite))
	realm := `Bearer realm="` + strings.Split(s.addr, ":")[0] + `"`
	for _, tc := range []struct {
		name, target, header string
		status               int
		body, challenge      string
	}{
		{"good", "/", bearer(t, nil), 200, "ada|||", ""},
		{"nothing", "/", "Accept: */*", 401, "||missing_credential|", realm},
		{"bad", "/", bearer(t, object{"exp": 1}), 401, "||expired|", realm + `, error="invalid_token", error_description="expired"`},
		{"malformed", "/", "Authorization: Bearer", 401, "||malformed_credential|", realm + `, error="invalid_request", error_description="malformed_credential"`},
		{"rule holds", "/dev/x", bearer(t, object{"groups": []string{"ops", "dev"}}), 200, "ada|ops,dev||", ""},
		{"rule fails", "/dev/x", bearer(t, nil), 401, "||rule|", realm + `, error="invalid_token", error_description="rule"`},
		{"any fails", "/any", bearer(t, nil), 401, "||rule|", realm + `, error="invalid_token", error_description="rule"`},
		{"any holds", "/any", bearer(t, object{"sub": "bea"}), 200, "bea|||", ""},
		{"denied", "/", bearer(t, object{"sub": "mallory"}), 401, "||denied|", realm + `, error="invalid_token", error_description="denied"`},
		{"not canonical", "/x/..;/y", bearer(t, nil), 401, "||rule|", realm + `, error="invalid_token", error_description="rule"`},
	} {
		t.Run(tc.name, func(t *testing.T) {
			got := s.get(tc.target, tc.header)
			if got.StatusCode != tc.status || got.body != tc.body || got.Header.Get("WWW-Authenticate") != tc.challenge {
				t.Errorf("got %d %q %q", got.StatusCode, got.body, got.Header.Get("WWW-Authenticate"))
			}
		})
	}
}

// threat 18: keys that are out of reach never let anybody in.
func TestProviderWithoutKeys(t *testing.T) {
	key := newKey("k1", "one")
	is := newIssuer(t, key.jwk(nil))
	is.Close()
	s := serve(t, secretIntegration, "admit\nrespond ok")
	config := strings.Replace(jsonSite, `"secret": {"value": "`+testSecret+`"}`, `"issuer": ["`+is.URL+`"]`, 1)
	s.loadJSON(strings.NewReplacer("BODY", "{http.auth.user.id}|{http.auth.admit.reason}|{http.auth.admit.error}", "PROVIDER", "").Replace(config))
	got := s.get("/", key.bearer(t, is.URL, nil))
	if got.StatusCode != 401 || !strings.HasPrefix(got.body, "|keys_unavailable|") {
		t.Errorf("got %d %q", got.StatusCode, got.body)
	}
	// The token may well be good, so the challenge does not call it anything.
	if challenge := got.Header.Get("WWW-Authenticate"); challenge != `Bearer realm="127.0.0.1"` {
		t.Errorf("challenge %q", challenge)
	}
}

// DESIGN 3, the claim matcher.
//
// The claim matcher is an error where no gate has been, false without an
// identity, and true only for those who have the claim.
func TestClaimMatcher(t *testing.T) {
	body := func(gate string) string {
		return gate + `
		@admins claim groups admin*
		@both {
			claim groups dev
			claim user ada
		}
		@others not claim groups admin*
		handle @admins {
			respond admins
		}
		handle @both {
			respond both
		}
		handle @others {
			respond others
		}
		respond nobody`
	}
	s := serve(t, secretIntegration, body("admit /in/* {\noptional\nbypass /in/free\n}"))
	for _, tc := range []struct{ name, target, header, want string }{
		{"holds", "/in/x", bearer(t, object{"groups": []string{"x", "admins"}}), "admins"},
		{"both hold", "/in/x", bearer(t, object{"groups": "dev"}), "both"},
		{"one of two", "/in/x", bearer(t, object{"groups": "dev", "sub": "bea"}), "others"},
		{"whole value", "/in/x", bearer(t, object{"groups": "xadmin"}), "others"},
		{"anonymous", "/in/x", "Accept: */*", "others"},
		{"bypassed", "/in/free", bearer(t, object{"groups": "admin"}), "others"},
		{"not covered", "/out", bearer(t, object{"groups": "admin"}), "others"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			if got := s.get(tc.target, tc.header); got.body != tc.want {
				t.Errorf("got %d %q, want %q", got.StatusCode, got.body, tc.want)
			}
		})
	}
	s.load(secretIntegration, body(""))
	if got := s.get("/", bearer(t, object{"groups": "admin"})); got.StatusCode != 500 || got.body != "" {
		t.Errorf("without a gate: %d %q", got.StatusCode, got.body)
	}
	s.load(secretIntegration, "@others not claim groups admin\nrespond @others others\nrespond nobody")
	if got := s.get("/"); got.StatusCode != 500 || got.body != "" {
		t.Errorf("without a gate, under not: %d %q", got.StatusCode, got.body)
	}
}

// A claim matcher on a rule sees who is being judged.
func TestClaimMatcherOnRule(t *testing.T) {
	s := serve(t, secretIntegration, `
		@contractors claim groups contractors
		@employees not claim groups contractors
		admit {
			optional
			require @contractors project apollo
			deny @employees level intern
		}
		respond "{http.auth.user.id}"`)
	for _, tc := range []struct {
		name   string
		claims object
		status int
	}{
		{"not covered", nil, 200},
		{"covered, holds", object{"groups": "contractors", "project": "apollo"}, 200},
		{"covered, fails", object{"groups": "contractors"}, 403},
		{"covered by not", object{"level": "intern"}, 403},
		{"not covered by not", object{"level": "intern", "groups": "contractors", "project": "apollo"}, 200},
	} {
		t.Run(tc.name, func(t *testing.T) {
			if got := s.get("/", bearer(t, tc.claims)); got.StatusCode != tc.status {
				t.Errorf("got %d %q, want %d", got.StatusCode, got.body, tc.status)
			}
		})
	}
	if got := s.get("/"); got.StatusCode != 200 || got.body != "" {
		t.Errorf("anonymous: %d %q", got.StatusCode, got.body)
	}
}

// threat 32: a matcher that fails decides nothing: nobody gets in or is named.
func TestProviderWithAMatcherThatFails(t *testing.T) {
	s := serve(t, secretIntegration, "admit\nrespond ok")
	s.loadJSON(strings.NewReplacer("BODY", "[{http.auth.user.id}{http.auth.user.claims.sub}{http.auth.candidate.id}]", "PROVIDER",
		`"deny": [{"match": [{"expression": "'x' in {http.request.host}"}], "claim": "user", "patterns": ["mallory"]}]`).Replace(jsonSite))
	got := s.get("/", bearer(t, nil))
	if got.StatusCode != 401 || got.body != "[]" {
		t.Errorf("got %d %q", got.StatusCode, got.body)
	}
	// The token may well be good.
	if challenge := got.Header["Www-Authenticate"]; len(challenge) != 1 || challenge[0] != `Bearer realm="127.0.0.1"` {
		t.Errorf("challenge %q", challenge)
	}
}
