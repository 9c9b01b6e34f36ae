package admit

import (
	"encoding/json"
	"strings"
	"testing"

	"github.com/caddyserver/caddy/v2"
)

// Sentences of docs/reference.md about what is easily taken for granted.

func TestReferenceHeaderValues(t *testing.T) {
	s := serve(t, secretIntegration, "admit {\nheader_up X-User {http.auth.user.id}\nheader_up X-Groups {http.auth.user.groups}\n}\nrespond \"[{header.X-User}] [{header.X-Groups}] [{http.auth.user.groups}]\"")
	for _, tc := range []struct {
		user   string
		groups []string
		want   string
	}{
		{"ada", []string{"a", "b"}, "[ada] [a,b] [a,b]"},
		{" ada", nil, "[] [] []"},
		{"ada ", nil, "[] [] []"},
		{"a da", nil, "[a da] [] []"},
		{"ada", []string{"a", "b "}, "[ada] [] [a,b ]"},
		{"ada", []string{"a,b", "50%"}, "[ada] [a%2Cb,50%25] [a,b,50%]"},
	} {
		if a := s.get("/", bearer(t, object{"sub": tc.user, "groups": tc.groups}), "X-User: root"); a.body != tc.want {
			t.Errorf("%q %q: got %q, want %q", tc.user, tc.groups, a.body, tc.want)
		}
	}
}

func TestReferenceProvider(t *testing.T) {
	key := newKey("k1", "one")
	is := newIssuer(t, key.jwk(nil))
	is.Close()
	s := serve(t, secretIntegration, "admit\nrespond ok")
	config := strings.NewReplacer("BODY", "{http.request.orig_uri} {http.request.header.X-User}", "PROVIDER", `"integrations": ["local", "down"]`,
		`"audience": ["api"]}`, `"audience": ["api"], "from": [{"query": "token"}, {"header": "Authorization", "scheme": "Bearer"}]},
			"down": {"issuer": ["`+is.URL+`"], "audience": ["api"]}`).Replace(jsonSite)
	s.loadJSON(config)
	token := strings.TrimPrefix(bearer(t, nil), "Authorization: Bearer ")
	if a := s.get("/?token="+token, "X-User: root"); a.StatusCode != 200 || a.body != "/?token="+token+" root" {
		t.Errorf("got %d %q", a.StatusCode, a.body)
	}
	a := s.get("/", key.bearer(t, is.URL, nil))
	if a.StatusCode != 401 || a.Header.Get("Retry-After") != "" || a.Header.Get("WWW-Authenticate") == "" {
		t.Errorf("got %d %v", a.StatusCode, a.Header)
	}
}

func TestReferenceNamedEmail(t *testing.T) {
	s := serve(t, strings.Replace(secretIntegration, "audience api", "audience api\nidentity {\nclaim mail email\n}", 1), `admit {
		require /lower mail *@example.com
		require /upper mail *@Example.com
	}
	respond "{http.auth.user.claims.mail}"`)
	token := bearer(t, object{"email": "Ada@EXAMPLE.com"})
	if a := s.get("/lower", token); a.StatusCode != 200 || a.body != "Ada@example.com" {
		t.Errorf("lower: %d %q", a.StatusCode, a.body)
	}
	s.get("/upper", token).want(t, 403, "rule")
}

func TestReferenceInlineIDs(t *testing.T) {
	for _, tc := range []struct{ second, want string }{
		{testSecret, ""},
		{strings.ToUpper(testSecret), "an integration of another gate has it"},
	} {
		server := func(secret string) map[string]any {
			return map[string]any{"listen": []string{freeAddr(t)}, "routes": []any{map[string]any{"handle": []any{
				map[string]any{"handler": "admit", "integration": map[string]any{"id": "own", "secret": map[string]any{"value": secret}}},
			}}}}
		}
		config := map[string]any{"apps": map[string]any{"http": map[string]any{"servers": map[string]any{"a": server(testSecret), "b": server(tc.second)}}}}
		quiet(config)
		raw, err := json.Marshal(config)
		if err != nil {
			t.Fatal(err)
		}
		err = caddy.Load(raw, true)
		if err == nil {
			_ = caddy.Stop()
		}
		if (err == nil) != (tc.want == "") || err != nil && !strings.Contains(err.Error(), tc.want) {
			t.Errorf("got error %v, want %q", err, tc.want)
		}
	}
}

func TestReferenceSharedKeys(t *testing.T) {
	key := newKey("k", "shared")
	is := newIssuer(t, key.jwk(nil))
	global := ""
	for _, name := range []string{"shared-one", "shared-two"} {
		global += "admit " + name + " {\nissuer " + is.URL + "\naudience api\n}\n"
	}
	f := serveFront(t, global, "http://:PORT {\nhandle /metrics {\nmetrics\n}\nadmit /in/* shared-one\nrespond ok\n}")
	f.get("/in/x", key.bearer(t, is.URL, nil)).want(t, 200, "")
	for _, name := range []string{"shared-one", "shared-two"} {
		if n := f.metric(`admit_key_fetches_total{integration="` + name + `",outcome="success"}`); n != 1 {
			t.Errorf("%s: %v fetches", name, n)
		}
	}
}
