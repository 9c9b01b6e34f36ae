package admit

import (
	"fmt"
	"strings"
	"testing"

	"github.com/caddyserver/caddy/v2"
)

// gateJSON is a config with one gate that has more members.
func gateJSON(addr, members string) []byte {
	return fmt.Appendf(nil, `{"admin": {"disabled": true, "config": {"persist": false}}, "logging": {"logs": {"default": {"level": "ERROR"}}},
		"apps": {"admit": {"integrations": {"local": {"secret": {"value": %q}}}},
		"http": {"servers": {"s": {"listen": [%q], "automatic_https": {"disable": true}, "routes": [{"handle": [
			{"handler": "admit"%s}, {"handler": "static_response", "body": "{http.auth.admit.verdict}"}]}]}}}}}`, testSecret, addr, members)
}

// DESIGN 1.6: JSON has the names of the Caddyfile, and its mistakes are errors at
// load too.
func TestGateInJSON(t *testing.T) {
	for _, tc := range []struct{ name, members, want string }{
		{"report_only, bare", `, "report_only": {}, "require": [{"claim": "groups", "patterns": ["x"]}]`, ""},
		{"report_only, rules", `, "report_only": {"require": [{"match": [{"path": ["/"]}], "claim": "groups", "patterns": ["x"]}], "deny": [{"claim": "user", "patterns": ["y"]}]}`, ""},
		{"report_only, unknown member", `, "report_only": {"any": []}`, `unknown field "any"`},
		{"report_only, no pattern", `, "report_only": {"require": [{"claim": "groups", "patterns": []}]}`, "rule"},
		{"report_only, matcher unknown", `, "report_only": {"deny": [{"match": [{"nope": {}}], "claim": "groups", "patterns": ["x"]}]}`, "nope"},
		{"forward", `, "forward": {"what": "token", "header": "X-Token"}`, ""},
		{"forward, audience without exchange", `, "forward": {"what": "token", "audience": "a"}`, "forward token: takes no audience and no scopes"},
		{"forward, exchange without audience", `, "forward": {"what": "exchange"}`, "forward exchange: expected audience"},
		{"assertion", `, "assertion": {"header": "X-Assertion"}`, ""},
		{"assertion, empty", `, "assertion": {}`, `assertion "": not the name of a header`},
		{"forward, empty", `, "forward": {}`, "forward: expected client, none, token, access_token, id_token or exchange"},
		{"forward, word", `, "forward": {"what": "bearer"}`, `forward "bearer": expected client, none, token, access_token, id_token or exchange`},
		{"forward, header without token", `, "forward": {"what": "none", "header": "X-Token"}`, `forward none "X-Token": expected a header name only after token, access_token and id_token`},
		{"forward, reserved header", `, "forward": {"what": "token", "header": "host"}`, `forward token "host": not the name of a header for a token`},
		{"forward, no header name", `, "forward": {"what": "token", "header": "X Token"}`, `forward token "X Token": not the name`},
		{"origins", `, "origins": ["https://app.example.com"]`, ""},
		{"origins, no scheme", `, "origins": ["app.example.com"]`, `origins "app.example.com": expected *`},
		{"origins, null", `, "origins": ["null"]`, `origins "null": expected *`},
		{"origins, empty", `, "origins": [""]`, "origins"},
		{"origins, star and more", `, "origins": ["*", "https://app.example.com"]`, "origins: expected * alone"},
		{"public_url", `, "public_url": "https://app.example.com/"`, ""},
		{"public_url, path", `, "public_url": "https://app.example.com/x"`, "public_url"},
		{"public_url, query", `, "public_url": "https://app.example.com?"`, "public_url"},
		{"public_url, user", `, "public_url": "https://a@app.example.com"`, "public_url"},
		{"errors", `, "errors": "direct"`, ""},
		{"errors, word", `, "errors": "none"`, `errors "none": expected direct or handle_errors`},
		{"pages", `, "pages": {"title": "x"}`, ""},
		{"pages, unknown member", `, "pages": {"css": "x"}`, `unknown field "css"`},
		{"pages, no such file", `, "pages": {"logo": "/no/such/file"}`, "pages logo"},
		{"claim matcher on a rule", `, "report_only": {}, "require": [{"match": [{"claim": [{"claim": "user", "patterns": ["ada"]}]}], "claim": "groups", "patterns": ["x"]}]`, ""},
		{"claim matcher on the gate", `, "match": [{"claim": [{"claim": "user", "patterns": ["ada"]}]}]`, "claim matcher"},
		{"claim matcher on the gate, inside not", `, "match": [{"not": [{"claim": [{"claim": "user", "patterns": ["ada"]}]}]}]`, "claim matcher"},
		{"header for identity and token", `, "forward": {"what": "token", "header": "X-User"}, "header_up": [{"name": "x-user", "value": "{http.auth.user.id}"}]`, "header_up sets that header"},
		{"unknown member", `, "report": {}`, `unknown field "report"`},
	} {
		t.Run(tc.name, func(t *testing.T) {
			f := &front{t: t, addr: freeAddr(t)}
			err := caddy.Load(gateJSON(f.addr, tc.members), true)
			if err == nil {
				defer func() { _ = caddy.Stop() }()
			}
			switch {
			case tc.want == "" && err != nil:
				t.Error(err)
			case tc.want == "":
				if a := f.get("/", bearer(t, nil)); a.StatusCode != 200 {
					t.Errorf("%d %q", a.StatusCode, a.body)
				}
			case err == nil || !strings.Contains(err.Error(), tc.want):
				t.Errorf("got error %v, want %q", err, tc.want)
			}
		})
	}
}
