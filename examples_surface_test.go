package admit

import (
	"encoding/json"
	"maps"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// These examples are about the gate: rules, public paths, headers, trials.
func init() {
	maps.Copy(examples, map[string]func(*testing.T) []exampleRow{
		"rules":        rulesExample,
		"public-paths": publicPathsExample,
		"spa":          spaExample,
		"grafana":      grafanaExample,
		"trial":        trialExample,
	})
}

func rulesExample(t *testing.T) []exampleRow {
	corp := newExampleIssuer(t)
	t.Setenv("ISSUER", corp.url)
	const host = "api.example.com"
	token := func(scope string, groups ...string) []string {
		return []string{corp.bearer(t, map[string]any{"aud": "https://api.example.com", "scope": scope, "groups": groups})}
	}
	const read, write = "openid api", "openid api api:write"
	return []exampleRow{
		{name: "read", host: host, path: "/orders/1", headers: token(read), status: 200, body: "X-User: ada\n"},
		{name: "no scope of this API", host: host, path: "/orders/1", headers: token("openid api:write"), status: 403, body: "insufficient_scope"},
		{name: "no token", host: host, path: "/orders/1", status: 401, body: "missing_credential"},
		{name: "change", method: "PUT", host: host, path: "/orders/1", headers: token(write), status: 200},
		{name: "change by a reader", method: "PUT", host: host, path: "/orders/1", headers: token(read), status: 403, body: "insufficient_scope"},
		{name: "admin", host: host, path: "/admin/x", headers: token(read, "admins"), status: 200},
		{name: "not admin", host: host, path: "/admin/x", headers: token(read, "admin"), status: 403, body: "rule"},
		{name: "not admin, the root", host: host, path: "/admin", headers: token(read), status: 403, body: "rule"},
		{name: "not admin, by another path", host: host, path: "/x/..;/admin/x", headers: token(read), status: 403, body: "rule"},
		{name: "change by an admin who only reads", method: "POST", host: host, path: "/admin/x", headers: token(read, "admins"), status: 403, body: "insufficient_scope"},
		{name: "admin, a contractor", host: host, path: "/admin/x", headers: token(read, "admins", "Contractors"), status: 403, body: "denied"},
		{name: "refund", method: "POST", host: host, path: "/orders/1/refund", headers: token(write, "accounting"), status: 200},
		{name: "refund by others", method: "POST", host: host, path: "/orders/1/refund", headers: token(write), status: 403, body: "rule"},
		{name: "look at a refund", host: host, path: "/orders/1/refund", headers: token(read), status: 200},
		{name: "reports", host: host, path: "/reports/1", headers: token(read, "analysts"), status: 200},
		{name: "reports, the other line", host: host, path: "/reports/1", headers: token("api reports:read"), status: 200},
		{name: "reports, neither", host: host, path: "/reports/1", headers: token(read), status: 403, body: "rule"},
	}
}

func publicPathsExample(t *testing.T) []exampleRow {
	shop := newExampleIssuer(t)
	t.Setenv("ISSUER", shop.url)
	const host = "shop.example.com"
	token := func(more map[string]any) []string {
		return []string{shop.bearer(t, map[string]any{"aud": "https://shop.example.com"}, more)}
	}
	expired := token(map[string]any{"exp": 1})
	return []exampleRow{
		{name: "health", host: host, path: "/health", status: 200, body: "in\n"},
		{name: "health with a bad token", host: host, path: "/health", headers: expired, status: 200, body: "in\n"},
		{name: "assets with a forged header", host: host, path: "/assets/a.css", headers: []string{"X-User: root"}, status: 200, body: "in\n"},
		{name: "behind assets, another place", host: host, path: "/assets/..%2faccount/x", status: 401, body: "missing_credential"},
		{name: "webhook", method: "POST", host: host, path: "/webhooks/payments", status: 200, body: "in\n"},
		{name: "webhook with a bad token", method: "POST", host: host, path: "/webhooks/payments", headers: expired, status: 200, body: "in\n"},
		{name: "webhook by another method, a bad token", method: "PUT", host: host, path: "/webhooks/payments", headers: expired, status: 401, body: "expired"},
		{name: "catalogue, nobody", host: host, path: "/catalogue", status: 200, body: "in\n"},
		{name: "catalogue, a forged header", host: host, path: "/catalogue", headers: []string{"X_USER: root"}, status: 200, body: "in\n"},
		{name: "catalogue, somebody", host: host, path: "/catalogue", headers: token(nil), status: 200, body: "X-User: ada\n"},
		{name: "catalogue, a bad token", host: host, path: "/catalogue", headers: expired, status: 401, body: "expired"},
		{name: "account, nobody", host: host, path: "/account/orders", status: 401, body: "missing_credential"},
		{name: "account, the root", host: host, path: "/account", status: 401, body: "missing_credential"},
		{name: "account, somebody", host: host, path: "/account/orders", headers: token(nil), status: 200, body: "X-User: ada\n"},
		{name: "staff", host: host, path: "/staff/", headers: token(map[string]any{"groups": "staff"}), status: 200},
		{name: "not staff", host: host, path: "/staff/", headers: token(nil), status: 403, body: "rule"},
	}
}

func spaExample(t *testing.T) []exampleRow {
	corp := newExampleIssuer(t)
	t.Setenv("ISSUER", corp.url)
	const host, preflight = "api.example.com", "Access-Control-Request-Method: PUT"
	token := corp.bearer(t, map[string]any{"aud": "https://api.example.com"})
	return []exampleRow{
		{name: "call", host: host, path: "/x", headers: []string{listedOrigin, token}, status: 200, body: "X-User: ada\n"},
		{name: "call without a token", host: host, path: "/x", headers: []string{listedOrigin}, status: 401, body: "missing_credential"},
		{name: "call to what is for admins", host: host, path: "/admin/x", headers: []string{listedOrigin, token}, status: 403, body: "rule"},
		{name: "preflight", method: "OPTIONS", host: host, path: "/x", headers: []string{listedOrigin, preflight}, status: 200, body: "in\n"},
		{name: "preflight of another origin", method: "OPTIONS", host: host, path: "/x", headers: []string{otherOrigin, preflight}, status: 401},
		{name: "no preflight", method: "OPTIONS", host: host, path: "/x", headers: []string{listedOrigin}, status: 401},
		{name: "the page", host: "app.example.com", path: "/", status: 404}, // public: /srv/app is not there
	}
}

func grafanaExample(t *testing.T) []exampleRow {
	corp := newExampleIssuer(t)
	t.Setenv("ISSUER", corp.url)
	const host = "grafana.example.com"
	token := func(groups ...string) string {
		return corp.bearer(t, map[string]any{"aud": "grafana", "preferred_username": "ada@corp", "groups": groups})
	}
	row := func(name string, status int, body string, headers ...string) exampleRow {
		return exampleRow{name: name, host: host, path: "/d/1", headers: headers, status: status, body: body}
	}
	verified := corp.bearer(t, map[string]any{"aud": "grafana", "groups": "staff", "email": "ada@example.com", "email_verified": true})
	cookie := "Cookie: corp_token=" + strings.TrimPrefix(token("staff"), "Authorization: Bearer ")
	return []exampleRow{
		row("viewer", 200, "in\nX-Webauth-Role: Viewer\nX-Webauth-User: ada@corp\n", token("staff")),
		row("editor", 200, "X-Webauth-Role: Editor\n", token("staff", "ops-night")),
		row("admin", 200, "X-Webauth-Role: Admin\n", token("developers", "staff", "grafana-admins")),
		row("forged role", 200, "in\nX-Webauth-Role: Viewer\nX-Webauth-User: ada@corp\n", token("staff"), "X-WEBAUTH-ROLE: Admin", "X_webauth_role: Admin", "X-WEBAUTH-EMAIL: root@localhost"),
		row("e-mail", 200, "X-Webauth-Email: ada@example.com\nX-Webauth-Role: Viewer\nX-Webauth-User: ada\n", verified),
		row("browser", 200, "X-Webauth-User: ada@corp\n", cookie),
		row("not staff", 403, "rule", token("grafana-admins")),
		row("nobody", 401, "missing_credential", "X-WEBAUTH-USER: admin"),
	}
}

func trialExample(t *testing.T) []exampleRow {
	corp := newExampleIssuer(t)
	t.Setenv("ISSUER", corp.url)
	const host, old = "api.example.com", "old.example.com"
	token := func(groups ...string) []string {
		return []string{corp.bearer(t, map[string]any{"aud": "https://api.example.com", "groups": groups})}
	}
	return []exampleRow{
		{name: "a rule that counts", host: host, path: "/", headers: token(), status: 403, body: "rule"},
		{name: "a rule on trial", host: host, path: "/admin/x", headers: token("staff"), status: 200, body: "X-User: ada\n"},
		{name: "a deny on trial", host: host, path: "/reports/x", headers: token("staff", "contractors"), status: 200, body: "X-User: ada\n"},
		{name: "no token", host: host, path: "/admin/x", status: 401, body: "missing_credential"},
		{name: "all on trial", host: old, path: "/", headers: token(), status: 200, body: "in\n"},
		{name: "all on trial, no token", host: old, path: "/", status: 401, body: "missing_credential"},
	}
}

// The trial of the example is in the log, with the rule that would have refused.
func TestTrialExampleIsLogged(t *testing.T) {
	corp := newExampleIssuer(t)
	t.Setenv("ISSUER", corp.url)
	config := adaptFile(t, "examples/trial/Caddyfile")
	file := filepath.Join(t.TempDir(), "log")
	addr := runPlain(t, config, newApplication(t), func() {
		config["logging"] = map[string]any{"logs": map[string]any{"default": map[string]any{
			"writer": map[string]any{"output": "file", "filename": file}, "encoder": map[string]any{"format": "json"},
		}}}
	})
	row := exampleRow{
		host: "api.example.com", path: "/reports/x", status: 200,
		headers: []string{corp.bearer(t, map[string]any{"aud": "https://api.example.com", "groups": []string{"staff", "contractors"}})},
	}
	row.send(t, addr[""])
	for _, entry := range waitForLog(t, file, `"msg":"decision"`) {
		if entry["msg"] == "decision" && (entry["verdict"] != "trial" || entry["reason"] != "denied" || entry["rule"] != "deny groups contractors") {
			t.Errorf("entry %v", entry)
		}
	}
}

// A single-page application of another origin: what the application says about
// CORS reaches the browser, and a refusal can be read.
func TestSPAExample(t *testing.T) {
	corp := newExampleIssuer(t)
	t.Setenv("ISSUER", corp.url)
	application := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if origin := r.Header.Get("Origin"); origin == "https://app.example.com" {
			w.Header().Set("Access-Control-Allow-Origin", origin)
			w.Header().Set("Access-Control-Allow-Headers", "authorization")
		}
		if r.Method == http.MethodOptions {
			w.WriteHeader(http.StatusNoContent)
		}
	}))
	t.Cleanup(application.Close)
	root := t.TempDir()
	if err := os.WriteFile(filepath.Join(root, "index.html"), []byte("the page"), 0o600); err != nil {
		t.Fatal(err)
	}
	config := adaptFile(t, "examples/spa/Caddyfile")
	eachObject(config, func(o map[string]any) {
		if o["root"] == "/srv/app" {
			o["root"] = root
		}
	})
	addr := runPlain(t, config, application.Listener.Addr().String(), nil)[""]
	page := exampleRow{host: "app.example.com", path: "/some/view", status: 200, body: "the page"}
	page.send(t, addr)
	token := corp.bearer(t, map[string]any{"aud": "https://api.example.com"})
	f := &front{t: t, addr: addr}
	for _, tc := range []struct {
		name, method string
		headers      []string
		status       int
		allowed      string
	}{
		{"preflight", "OPTIONS", []string{listedOrigin, asksPost}, 204, "https://app.example.com"},
		{"preflight of another origin", "OPTIONS", []string{otherOrigin, asksPost}, 401, ""},
		{"call", "POST", []string{listedOrigin, token}, 200, "https://app.example.com"},
		{"call from another origin", "POST", []string{otherOrigin, token}, 200, ""},
		{"refused", "POST", []string{listedOrigin}, 401, "https://app.example.com"},
		{"refused, another origin", "POST", []string{otherOrigin}, 401, ""},
	} {
		t.Run(tc.name, func(t *testing.T) {
			a := f.ask(tc.method, "api.example.com", "/x", tc.headers...)
			if allowed := a.Header.Get("Access-Control-Allow-Origin"); a.StatusCode != tc.status || allowed != tc.allowed {
				t.Errorf("got %d, allowed %q", a.StatusCode, allowed)
			}
			if len(a.Header["Access-Control-Allow-Origin"]) > 1 {
				t.Errorf("header %v", a.Header)
			}
		})
	}
}

// TestJSONExample runs the gate and the provider of the example in JSON.
func TestJSONExample(t *testing.T) {
	corp := newExampleIssuer(t)
	text, err := os.ReadFile("examples/json/caddy.json")
	if err != nil {
		t.Fatal(err)
	}
	if err := validate(t, "json", string(text)); err != nil {
		t.Fatal(err)
	}
	var config map[string]any
	if err := json.Unmarshal([]byte(strings.ReplaceAll(string(text), "https://login.example.com", corp.url)), &config); err != nil {
		t.Fatal(err)
	}
	addr := runPlain(t, config, newApplication(t), nil)
	token := func(user string, groups ...string) []string {
		return []string{corp.bearer(t, map[string]any{"aud": "https://api.example.com", "sub": user, "groups": groups})}
	}
	const api, internal = "api.example.com", "internal.example.com"
	for server, rows := range map[string][]exampleRow{
		"gate": {
			{name: "in", host: api, path: "/api/x", headers: token("ada"), status: 200, body: "X-User: ada\n"},
			{name: "no token", host: api, path: "/api", status: 401, body: "missing_credential"},
			{name: "health", host: api, path: "/api/health", headers: []string{"X-User: root"}, status: 200, body: "in\n"},
			{name: "health by another method", method: "PUT", host: api, path: "/api/health", status: 401, body: "missing_credential"},
			{name: "beside the gate", host: api, path: "/", headers: []string{"x.user: root"}, status: 200, body: "in\n"},
			{name: "admin", host: api, path: "/api/admin", headers: token("ada", "Domain Admins"), status: 200},
			{name: "not admin", host: api, path: "/api/admin", headers: token("ada", "staff"), status: 403, body: "rule"},
			{name: "denied", host: api, path: "/api/x", headers: token("mallory"), status: 403, body: "denied"},
		},
		"provider": {
			{name: "staff", host: internal, path: "/", headers: token("ada", "staff"), status: 200, body: "X-User: ada\n"},
			{name: "admins", host: internal, path: "/", headers: append(token("ada", "Domain Admins"), "X-User: root"), status: 200, body: "X-User: ada\n"},
			{name: "others", host: internal, path: "/", headers: token("ada"), status: 401},
			{name: "denied", host: internal, path: "/", headers: token("mallory", "staff"), status: 401},
			{name: "no token", host: internal, path: "/", headers: []string{"X-User: ada"}, status: 401},
		},
	} {
		for _, row := range rows {
			t.Run(server+"/"+row.name, func(t *testing.T) { row.send(t, addr[server]) })
		}
	}
}

func adaptFile(t *testing.T, file string) map[string]any {
	t.Helper()
	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	return adaptTree(t, string(text))
}

// runPlain loads a config whose servers listen on plain ports instead, and whose
// proxies lead to an application. It returns their addresses by name, that of
// the only one as "" as well. Nothing is logged, unless adjust says otherwise.
func runPlain(t *testing.T, config map[string]any, application string, adjust func()) map[string]string {
	t.Helper()
	addrs := map[string]string{}
	for name, server := range config["apps"].(map[string]any)["http"].(map[string]any)["servers"].(map[string]any) {
		server := server.(map[string]any)
		addrs[name] = freeAddr(t)
		addrs[""] = addrs[name]
		server["listen"] = []string{addrs[name]}
		server["automatic_https"] = map[string]any{"disable": true}
	}
	eachObject(config, func(o map[string]any) {
		if o["dial"] != nil {
			o["dial"] = application
		}
	})
	quiet(config)
	if adjust != nil {
		adjust()
	}
	loadTree(t, config)
	return addrs
}
