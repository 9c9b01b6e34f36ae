package admit

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/caddyserver/caddy/v2"
)

// mistake is a configuration that must be refused, and what its error must say.
type mistake struct {
	name, integration string
	gate              string // default: the integration by name
	want              []string
}

// threats 8, 16, 25, 29, 98: what is wrong in the Caddyfile is an error at load
// that names the integration and the option, and holds no secret.
func TestMistakes(t *testing.T) {
	t.Setenv("ADMIT_TEST_EMPTY", "")
	t.Setenv("ADMIT_TEST_HOST", "Host")
	t.Setenv("ADMIT_TEST_BREAK", testSecret+"\n")
	dir := t.TempDir()
	write := func(name, text string) string {
		file := filepath.Join(dir, name)
		if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		return file
	}
	key := newKey("k", "one")
	jwk := writeTemp(t, dir, "key.json", key.jwk(nil))
	oct := write("oct.json", `{"keys":[{"kty":"oct","k":"`+testSecret+`"}]}`)
	for _, tc := range []mistake{
		{"no audience, issuer", "issuer https://a.example", "", []string{"corp", "audience"}},
		{"no audience, jwks", "jwks https://a.example/jwks", "", []string{"corp", "audience"}},
		{"no audience, key", "key " + jwk, "", []string{"corp", "audience"}},
		{"any is not alone", "issuer https://a.example\naudience any api", "", []string{"audience", "any"}},
		{"no keys", "audience api", "", []string{"corp", "issuer, jwks, key or secret"}},
		{"weak secret", "secret weaksecret", "", []string{"secret", "10 bytes", "32"}},
		{"secret one byte short", "secret " + testSecret[1:], "", []string{"31 bytes"}},
		{"secret too short for its algorithm", "secret " + testSecret + "\nalgorithms HS256 HS512", "", []string{"32 bytes", "HS512", "64"}},
		{"weak after decoding", "secret hex " + strings.Repeat("ab", 31), "", []string{"31 bytes"}},
		{"secret is not hex", "secret hex " + testSecret + "xyz", "", []string{"secret hex", "not hexadecimal"}},
		{"secret is not base64", "secret base64 " + testSecret + "!?", "", []string{"secret base64", "not base64"}},
		{"variable not set", "secret {env.ADMIT_TEST_NOT_SET}", "", []string{"secret", "{env.ADMIT_TEST_NOT_SET}", "empty or not there"}},
		{"variable empty", "secret {env.ADMIT_TEST_EMPTY}", "", []string{"secret", "{env.ADMIT_TEST_EMPTY}"}},
		{"variable empty, with more text", "secret " + testSecret + "{env.ADMIT_TEST_EMPTY}", "", []string{"{env.ADMIT_TEST_EMPTY}"}},
		{"variable ends in a line break", "secret {env.ADMIT_TEST_BREAK}", "", []string{"secret", "line break"}},
		{"file not there", "secret {file./nowhere/secret}", "", []string{"{file./nowhere/secret}"}},
		{"file empty", "secret {file." + write("empty", "\n") + "}", "", []string{"empty or not there"}},
		{"file with two line breaks", "secret {file." + write("lines", testSecret+"\n\n") + "}", "", []string{"line break"}},
		{"variable in the issuer", "issuer https://{env.ADMIT_TEST_NOT_SET}\naudience api", "", []string{"issuer", "ADMIT_TEST_NOT_SET"}},
		{"http to a far host", "issuer http://login.example.com\naudience api", "", []string{"issuer", "https"}},
		{"http to a far host, jwks", "jwks http://login.example.com/jwks\naudience api", "", []string{"jwks", "https"}},
		{"http to a far host, discovery", "issuer https://a.example\ndiscovery http://login.example.com/d\naudience api", "", []string{"https"}},
		{"another scheme", "jwks ftp://login.example.com/jwks\naudience api", "", []string{"jwks"}},
		{"issuer is not a URL", "issuer accounts\naudience api", "", []string{"issuer", "accounts"}},
		{"algorithm none", "issuer https://a.example\naudience api\nalgorithms none", "", []string{"algorithms", `"none"`}},
		{"algorithm None beside others", "secret " + testSecret + "\nalgorithms HS256 None", "", []string{"algorithms", `"None"`}},
		{"HS256 with public keys", "issuer https://a.example\naudience api\nalgorithms RS256 HS256", "", []string{"algorithms HS256", "secret"}},
		{"HS256 with a key file", "key " + jwk + "\naudience api\nalgorithms HS256", "", []string{"algorithms HS256", "secret"}},
		{"RS256 with a secret", "secret " + testSecret + "\nalgorithms RS256", "", []string{"algorithms RS256", "public keys"}},
		{"jwks and secret", "jwks https://a.example/jwks\nsecret " + testSecret + "\naudience api", "", []string{"jwks, key, secret", "one of them"}},
		{"jwks and key", "jwks https://a.example/jwks\nkey " + jwk + "\naudience api", "", []string{"jwks, key, secret"}},
		{"discovery beside jwks", "jwks https://a.example/jwks\ndiscovery https://a.example/d\naudience api", "", []string{"discovery"}},
		{"tenants without a template", "issuer https://a.example\ntenants " + tenantA + "\naudience api", "", []string{"tenants", "{tenantid}"}},
		{"issuer is the document", "issuer https://a.example/x/.well-known/openid-configuration\naudience api", "", []string{"issuer", "most likely https://a.example/x"}},
		{"login without its block", "issuer https://a.example", "admit {\nlogin\n}", []string{"audience", "login { … }"}},
		{"plural", "issuer https://a.example\naudience api", "admit {\nrequires groups x\n}", []string{`"requires"`, "did you mean require?"}},
		{"singular, inside", "issuer https://a.example\nlogin {\nclient_id a\nscope openid\n}", "", []string{`"scope"`, "did you mean scopes?"}},
		{"another sign between", "issuer https://a.example\nlogin {\nclient-id a\n}", "", []string{`"client-id"`, "did you mean client_id?"}},
		{"no sign between", "issuer https://a.example\nlogin {\nClientID a\n}", "", []string{`"ClientID"`, "did you mean client_id?"}},
		{"template without tenants", "issuer https://a.example/{tenantid}\ndiscovery https://a.example/d\naudience api", "", []string{"tenants"}},
		{"template without discovery", "issuer https://a.example/{tenantid}\ntenants " + tenantA + "\naudience api", "", []string{"discovery"}},
		{"tenant is not a GUID", "issuer https://a.example/{tenantid}\ndiscovery https://a.example/d\ntenants common\naudience api", "", []string{"tenants", "common"}},
		{"leeway too long", "secret " + testSecret + "\nleeway 301s", "", []string{"leeway", "5m"}},
		{"map_only without map", "secret " + testSecret + "\nidentity {\nmap_only\n}", "", []string{"map_only"}},
		{"key file not there", "key /nowhere/key.pem\naudience api", "", []string{"key", "/nowhere/key.pem"}},
		{"key file is none", "key " + write("text", "no key") + "\naudience api", "", []string{"key", "text"}},
		{"key file with a secret", "key " + oct + "\naudience api", "", []string{"oct.json", "secret"}},
		{"jwks file with a secret only", "jwks " + oct + "\naudience api", "", []string{"jwks", "no key that can be used"}},
		{"ca not there", "issuer https://a.example\naudience api\nca /nowhere/ca.pem", "", []string{"ca", "/nowhere/ca.pem"}},
		{"ca is none", "issuer https://a.example\naudience api\nca " + write("ca.pem", "no certificate"), "", []string{"corp", "extra roots"}},
		{"header_up of the credential", "secret " + testSecret + "\nfrom header X-Key", "admit {\nheader_up x_key {http.auth.user.id}\n}", []string{"header_up"}},
		{"header_up of Authorization", "secret " + testSecret, "admit {\nheader_up Authorization {http.auth.user.id}\n}", []string{"header_up", "Authorization"}},
		{"header_up of a fixed value", "secret " + testSecret, "admit {\nheader_up X-User ada\n}", []string{"header_up X-User", "rule"}},
		{"header_up of another placeholder", "secret " + testSecret, "admit {\nheader_up X-User {http.request.header.X-User}\n}", []string{"header_up X-User", "http.auth.user.id"}},
		{"header_up of half a placeholder", "secret " + testSecret, "admit {\nheader_up X-User \"{http.auth.user.id\"\n}", []string{"header_up X-User"}},
		{"bypass that is not canonical", "secret " + testSecret, "admit {\nbypass /a/../b\n}", []string{"bypass", "/a/../b"}},
		{"bypass with a star inside", "secret " + testSecret, "admit {\nbypass /a*/b\n}", []string{"bypass"}},
		{"rule on an empty part", "secret " + testSecret, "admit {\nrequire a..b x\n}", []string{"a..b"}},
		{"claim matcher on the gate", "secret " + testSecret, "@a claim groups x\nadmit @a", []string{"claim matcher"}},
		{"email of Cognito", "preset cognito eu-west-1 pool\naudience api", "admit {\nrequire email a@b.example\n}", []string{"email", "Cognito"}},
		{"email of Cognito in any", "preset cognito eu-west-1 pool\naudience api", "admit {\nany {\nrequire groups x\nrequire email a@b.example\n}\n}", []string{"email", "Cognito"}},
		{"email of Cognito on trial", "preset cognito eu-west-1 pool\naudience api", "admit {\nreport_only {\ndeny email a@b.example\n}\n}", []string{"email", "Cognito"}},
		{"email of Cognito for a header", "preset cognito eu-west-1 pool\naudience api", "admit {\nheader_up X-A a email a@b.example\n}", []string{"email", "Cognito"}},
		{"header name not set", "secret " + testSecret, "admit {\nheader_up {env.ADMIT_TEST_NOT_SET} {http.auth.user.id}\n}", []string{"header_up", "ADMIT_TEST_NOT_SET"}},
		{"header name filled in with a bad one", "secret " + testSecret, "admit {\nforward token {env.ADMIT_TEST_HOST}\n}", []string{"forward", "not the name of a header"}},
		{"rule on an integration that is not there", "secret " + testSecret, "admit {\nrequire integration partnr\n}", []string{`require integration "partnr"`, "corp"}},
		{"deny of one that is not there", "secret " + testSecret, "admit {\ndeny integration corp partnr\n}", []string{`deny integration "partnr"`, "corp"}},
		{"in any", "secret " + testSecret, "admit {\nany {\nrequire groups x\nrequire integration partnr\n}\n}", []string{`"partnr"`, "corp"}},
		{"on trial", "secret " + testSecret, "admit {\nreport_only {\ndeny integration partnr\n}\n}", []string{`"partnr"`, "corp"}},
		{"of a header", "secret " + testSecret, "admit {\nheader_up X-A a integration partnr\n}", []string{`"partnr"`, "corp"}},
		{"in a variable", "secret " + testSecret, "admit {\ndeny integration {env.ADMIT_TEST_HOST}\n}", []string{`"Host"`, "corp"}},
		{"in another case", "secret " + testSecret, "admit {\nrequire integration Corp\n}", []string{`"Corp"`, "corp"}},
		{"at an integration", "secret " + testSecret + "\ndeny integration partnr", "", []string{"integration corp", `"partnr"`}},
		{"beside one of the gate's own", "secret " + testSecret, "admit {\nsecret x" + testSecret + "\ndeny integration partnr\n}", []string{`"partnr"`, "corp"}},
		{"unknown integration", "secret " + testSecret, "admit nobody", []string{`"nobody"`, "corp"}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			if tc.gate == "" {
				tc.gate = "admit corp"
			}
			tc.check(t, loadError(t, "admit corp {\n"+tc.integration+"\n}", tc.gate+"\nrespond ok"))
		})
	}
}

func (m *mistake) check(t *testing.T, text string) {
	t.Helper()
	for _, want := range m.want {
		if !strings.Contains(text, want) {
			t.Errorf("%q is not in: %s", want, text)
		}
	}
	for _, secret := range []string{testSecret[1:], "weaksecret", strings.Repeat("ab", 31)} {
		if strings.Contains(text, secret) {
			t.Errorf("a secret in: %s", text)
		}
	}
}

// checkJSON loads the integration and a handler in JSON.
func (m *mistake) checkJSON(t *testing.T, handler string) {
	t.Helper()
	err := caddy.Load([]byte(`{"admin": {"disabled": true, "config": {"persist": false}},
		"logging": {"logs": {"default": {"level": "FATAL"}}},
		"apps": {"admit": {"integrations": {"corp": {`+m.integration+`}}},
		"http": {"servers": {"s": {"listen": ["`+freeAddr(t)+`"], "routes": [{"handle": [`+handler+`]}]}}}}}`), true)
	if err == nil {
		_ = caddy.Stop()
		t.Fatal("loaded")
	}
	m.check(t, err.Error())
}

// threat 98: what only JSON can express is refused as well.
func TestMistakesInJSON(t *testing.T) {
	const secret = `"secret": {"value": "` + testSecret + `"}`
	for _, tc := range []mistake{
		{"no audience", `"issuer": ["https://a.example"]`, "", []string{"corp", "audience"}},
		{"empty audience", `"issuer": ["https://a.example"], "audience": [""]`, "", []string{"corp", "audience", "empty"}},
		{"empty issuer", `"issuer": [""], "audience": ["api"]`, "", []string{"corp", "issuer", "empty"}},
		{"empty secret", `"secret": {"value": ""}`, "", []string{"corp", "secret", "empty"}},
		{"empty secret, weak ones permitted", `"secret": {}, "insecure_weak_secret": true`, "", []string{"secret", "empty"}},
		{"weak secret", `"secret": {"value": "weaksecret"}`, "", []string{"corp", "secret"}},
		{"encoding", `"secret": {"encoding": "base32", "value": "` + testSecret + `"}`, "", []string{"secret", "base32", "text, hex or base64"}},
		{"none", secret + `, "algorithms": ["none"]`, "", []string{"algorithms", "none"}},
		{"empty algorithm", secret + `, "algorithms": [""]`, "", []string{"algorithms"}},
		{"leeway", secret + `, "leeway": -1`, "", []string{"leeway"}},
		{"leeway too long", secret + `, "leeway": "6m"`, "", []string{"leeway", "5m"}},
		{"age", secret + `, "max_token_age": -1`, "", []string{"max_token_age"}},
		{"expiry", secret + `, "expiry": "never"`, "", []string{"expiry", "never"}},
		{"padding", secret + `, "padding": "x"`, "", []string{"padding"}},
		{"vendor", secret + `, "vendor": "acme"`, "", []string{"vendor", "acme"}},
		{"empty place", secret + `, "from": [{}]`, "", []string{"from"}},
		{"two places in one", secret + `, "from": [{"header": "X-Key", "cookie": "k"}]`, "", []string{"from"}},
		{"scheme of a cookie", secret + `, "from": [{"cookie": "k", "scheme": "Bearer"}]`, "", []string{"from"}},
		{"header name", secret + `, "from": [{"header": "X Key"}]`, "", []string{"from header"}},
		{"Authorization without a scheme", secret + `, "from": [{"header": "authorization"}]`, "", []string{"from header", "scheme"}},
		{"Cookie as a header", secret + `, "from": [{"header": "cookie"}]`, "", []string{"from cookie"}},
		{"place twice", secret + `, "from": [{"header": "x-key"}, {"header": "X-KEY"}]`, "", []string{"twice"}},
		{"none in front", secret + `, "identity": {"user": ["none", "sub"]}`, "", []string{"expected it after the claims"}},
		{"none alone", secret + `, "identity": {"user": ["none"]}`, "", []string{"identity user", "none"}},
		{"cache of nothing", secret + `, "cache": {}`, "", []string{"cache"}},
		{"cache of less than nothing", secret + `, "cache": {"entries": 5, "bytes": -1}`, "", []string{"cache"}},
		{"cache both on and off", secret + `, "cache": {"entries": 5, "off": true}`, "", []string{"cache", "off stands alone"}},
		{"map without a local group", secret + `, "identity": {"map": [{"external": "x"}]}`, "", []string{"identity map"}},
		{"name that is taken", secret + `, "identity": {"claim": [{"name": "user", "claims": ["x"]}]}`, "", []string{"identity claim user"}},
		{"name twice", secret + `, "identity": {"claim": [{"name": "a", "claims": ["x"]}, {"name": "a", "claims": ["y"]}]}`, "", []string{"identity claim a"}},
		{"id of a named one", secret + `, "id": "x"`, "", []string{"corp", "id"}},
		{"rule without patterns", secret + `, "require": [{"claim": "a"}]`, "", []string{"corp", "require"}},
		{"rule with an empty pattern", secret + `, "deny": [{"claim": "a", "patterns": [""]}]`, "", []string{"corp", "empty"}},
		{"rule without a claim", secret + `, "require": [{"patterns": ["x"]}]`, "", []string{"corp"}},
		{"rule of an integration with a matcher", secret + `, "require": [{"match": [{"path": ["/x"]}], "claim": "a", "patterns": ["b"]}]`, "", []string{"require a", "gate"}},
		{"unknown member", secret + `, "audiences": ["api"]`, "", []string{"audiences"}},
		{"rule on an integration that is not there", secret + `, "deny": [{"claim": "integration", "patterns": ["partnr"]}]`, "", []string{"corp", `"partnr"`}},

		{"gate: deny of an integration that is not there", secret, `"deny": [{"claim": "integration", "patterns": ["partnr"]}]`, []string{`"partnr"`, "corp"}},
		{"gate: its own denies what is not there", secret, `"integration": {"id": "mine", "secret": {"value": "x` + testSecret + `"}, "deny": [{"claim": "integration", "patterns": ["partnr"]}]}`, []string{`"partnr"`, "corp, mine"}},
		{"gate: unknown integration", secret, `"integrations": ["nobody"]`, []string{`"nobody"`, "corp"}},
		{"gate: named twice", secret, `"integrations": ["corp", "corp"]`, []string{"corp", "twice"}},
		{"gate: named and its own", secret, `"integrations": ["corp"], "integration": {"id": "x", ` + secret + `}`, []string{"one of them"}},
		{"gate: its own without an id", secret, `"integration": {` + secret + `}`, []string{"id"}},
		{"gate: its own without an audience", secret, `"integration": {"id": "mine", "issuer": ["https://a.example"]}`, []string{"mine", "audience"}},
		{"gate: its own with the name of another", secret, `"integration": {"id": "corp", ` + secret + `}`, []string{`"corp"`, "named"}},
		{"gate: claim matcher", secret, `"match": [{"claim": [{"claim": "a", "patterns": ["b"]}]}]`, []string{"claim matcher"}},
		{"gate: claim matcher under not", secret, `"match": [{"not": [{"not": [{"claim": [{"claim": "a", "patterns": ["b"]}]}]}]}]`, []string{"claim matcher"}},
		{"gate: bypass without paths", secret, `"bypass": [{"methods": ["GET"]}]`, []string{"bypass"}},
		{"gate: bypass of everything by a star", secret, `"bypass": [{"paths": ["*"]}]`, []string{"bypass"}},
		{"gate: bypass with a query", secret, `"bypass": [{"paths": ["/a%2fb"]}]`, []string{"bypass"}},
		{"gate: bypass that no path can be", secret, `"bypass": [{"paths": ["/a?b"]}]`, []string{"bypass"}},
		{"gate: bypass of a method that is none", secret, `"bypass": [{"methods": ["get"], "paths": ["/a"]}]`, []string{"bypass", `"get"`}},
		{"gate: bypass of an empty method", secret, `"bypass": [{"methods": [""], "paths": ["/a"]}]`, []string{"bypass"}},
		{"gate: empty bypass", secret, `"bypass": [{"paths": [""]}]`, []string{"bypass"}},
		{"gate: require without patterns", secret, `"require": [{"claim": "a"}]`, []string{"require"}},
		{"gate: empty any", secret, `"any": [{"require": []}]`, []string{"any"}},
		{"gate: any with a matcher inside", secret, `"any": [{"require": [{"match": [{"path": ["/x"]}], "claim": "a", "patterns": ["b"]}]}]`, []string{"any"}},
		{"gate: header name", secret, `"header_up": [{"name": "X User", "value": "{http.auth.user.id}"}]`, []string{"header_up"}},
		{"gate: header of a connection", secret, `"header_up": [{"name": "connection", "value": "{http.auth.user.id}"}]`, []string{"header_up"}},
		{"gate: line break in a header", secret, `"header_up": [{"name": "X-A", "value": "a\n{http.auth.user.id}"}]`, []string{"header_up X-A"}},
		{"gate: no value", secret, `"header_up": [{"name": "X-A"}]`, []string{"header_up X-A"}},
		{"gate: rule of a header", secret, `"header_up": [{"name": "X-A", "value": "a", "claim": "x"}]`, []string{"at least one pattern"}},
		{"gate: rule of a header without a claim", secret, `"header_up": [{"name": "X-A", "value": "{http.auth.user.id}", "patterns": ["x"]}]`, []string{"empty claim name"}},
		{"gate: unknown member", secret, `"optinal": true`, []string{"optinal"}},
		{"gate: realm", secret, `"realm": "{env.ADMIT_TEST_NOT_SET}"`, []string{"realm", "ADMIT_TEST_NOT_SET"}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			if tc.gate != "" {
				tc.gate = ", " + tc.gate
			}
			tc.checkJSON(t, `{"handler": "admit"`+tc.gate+`}`)
		})
	}
}

// Names of the whole app count, since sites share rules; a pattern may name what is
// to come, and deny does not look at case.
func TestRulesOnIntegrations(t *testing.T) {
	both := "admit corp {\nsecret " + testSecret + "\ndeny integration partner\n}\nadmit partner {\nsecret x" + testSecret + "\n}"
	s := serve(t, both, "admit corp {\ndeny integration PARTNER\nrequire integration corp partner other*\n}\nrespond ok")
	s.get("/", bearer(t, nil)).want(t, 200, "")
}

// threat 98: the provider refuses what a gate refuses.
func TestMistakesOfTheProvider(t *testing.T) {
	const cognito = `"issuer": ["https://a.example"], "audience": ["api"], "vendor": "cognito"`
	const secret = `"secret": {"value": "` + testSecret + `"}`
	for _, tc := range []mistake{
		{"unknown integration", secret, `"integrations": ["nobody"]`, []string{`"nobody"`, "corp"}},
		{"empty any", secret, `"any": [{"require": []}]`, []string{"any"}},
		{"rule without patterns", secret, `"require": [{"claim": "groups"}]`, []string{"require groups", "pattern"}},
		{"rule on an integration that is not there", secret, `"deny": [{"claim": "integration", "patterns": ["partnr"]}]`, []string{`"partnr"`, "corp"}},
		{"email of Cognito", cognito, `"require": [{"claim": "email", "patterns": ["a@b.example"]}]`, []string{"email", "Cognito"}},
		{"email of Cognito in any", cognito, `"any": [{"require": [{"claim": "email", "patterns": ["a@b.example"]}]}]`, []string{"email", "Cognito"}},
		{"unknown member", secret, `"optional": true`, []string{"optional"}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			tc.checkJSON(t, `{"handler": "authentication", "providers": {"admit": {`+tc.gate+`}}}`)
		})
	}
}

// The ids of integrations in gates' own blocks are theirs alone: a later gate
// takes over an identity by that name. Two servers may share one gate.
func TestIDsInJSON(t *testing.T) {
	gate := func(secret string) string {
		return `{"handler": "admit", "integration": {"id": "mine", "secret": {"value": "` + secret + `"}}}`
	}
	server := func(handlers string) string {
		return `{"listen": ["` + freeAddr(t) + `"], "routes": [{"handle": [` + handlers + `]}]}`
	}
	load := func(servers string) error {
		return caddy.Load([]byte(`{"admin": {"disabled": true, "config": {"persist": false}},
			"logging": {"logs": {"default": {"level": "FATAL"}}}, "apps": {"http": {"servers": {`+servers+`}}}}`), true)
	}
	t.Cleanup(func() { _ = caddy.Stop() })
	err := load(`"a": ` + server(gate(testSecret)+", "+gate("x"+testSecret)))
	if err == nil || !strings.Contains(err.Error(), `id "mine"`) {
		t.Errorf("two integrations with one id: %v", err)
	}
	if err := load(`"a": ` + server(gate(testSecret)) + `, "b": ` + server(gate(testSecret))); err != nil {
		t.Errorf("one gate on two servers: %v", err)
	}
}
