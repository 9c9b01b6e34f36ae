package admit

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// corpLogin is an integration with a login block, of which nothing exists: neither
// the variables nor the files nor the provider.
const corpLogin = `	admit corp {
		issuer https://idp.invalid
		login {
			client_id {env.ADMIT_TEST_NOT_SET}
			client_secret {file./nowhere/secret}
		}
	}
`

// urlsOf runs "caddy admit urls" on a Caddyfile.
func urlsOf(t *testing.T, caddyfile string) (string, error) {
	t.Helper()
	file := filepath.Join(t.TempDir(), "Caddyfile")
	if err := os.WriteFile(file, []byte(caddyfile), 0o600); err != nil {
		t.Fatal(err)
	}
	out, _, err := runCommand("urls", "--config", file)
	return out, err
}

// TestURLs: the URLs to register and what no gate covers are printed before there
// is a client, a secret or a storage.
func TestURLs(t *testing.T) {
	storage := "\tstorage file_system /nowhere/at/all\n"
	for _, tc := range []struct{ name, caddyfile, want string }{
		{"a site", "{\n" + storage + corpLogin + "}\napp.example.com {\nadmit {\nlogin\n}\nreverse_proxy localhost:1\n}", `
https://app.example.com
  corp: redirect: https://app.example.com/oauth2/callback
  corp: logout: https://app.example.com/oauth2/logged-out
  nothing is open`},
		{"a gate without login", "{\n" + corpLogin + "}\napp.example.com {\nadmit\nreverse_proxy localhost:1\n}", `
https://app.example.com
  nothing is open`},
		{"a port, two hosts, endpoints", "{\n" + corpLogin + "}\na.example.com:8443, b.example.com:8443 {\nadmit {\nlogin\nendpoints /private/oauth2\n}\nrespond ok\n}", `
https://a.example.com:8443 https://b.example.com:8443
  corp: redirect: https://a.example.com:8443/private/oauth2/callback
  corp: redirect: https://b.example.com:8443/private/oauth2/callback
  corp: logout: https://a.example.com:8443/private/oauth2/logged-out
  corp: logout: https://b.example.com:8443/private/oauth2/logged-out
  nothing is open`},
		{"public_url", "{\n" + corpLogin + "}\nhttp://inner.example.com:8080 {\nadmit {\nlogin\npublic_url https://app.example.com\n}\nrespond ok\n}", `
http://inner.example.com:8080
  corp: redirect: https://app.example.com/oauth2/callback
  corp: logout: https://app.example.com/oauth2/logged-out
  nothing is open`},
		{"plain http on loopback", "{\n" + corpLogin + "}\nhttp://localhost:8080, http://app.localhost:8080 {\nadmit {\nlogin\n}\nrespond ok\n}", `
http://localhost:8080 http://app.localhost:8080
  corp: redirect: http://localhost:8080/oauth2/callback
  corp: redirect: http://app.localhost:8080/oauth2/callback
  corp: logout: http://localhost:8080/oauth2/logged-out
  corp: logout: http://app.localhost:8080/oauth2/logged-out
  nothing is open`},
		{"no host", "{\n" + corpLogin + "}\n:8080 {\nadmit {\nlogin\n}\nrespond ok\n}", `
http://<host>:8080
  corp: redirect: http://localhost:8080/oauth2/callback
  corp: redirect: https://<host>/oauth2/callback
  corp: logout: http://localhost:8080/oauth2/logged-out
  corp: logout: https://<host>/oauth2/logged-out
  nothing is open`},
		{"two protocols", "{\n" + corpLogin + "}\nhttp://a.example.com, https://a.example.com {\nadmit {\nlogin\n}\nrespond ok\n}", `
http://a.example.com
  corp: redirect: https://a.example.com/oauth2/callback
  corp: logout: https://a.example.com/oauth2/logged-out
  nothing is open
https://a.example.com
  corp: redirect: https://a.example.com/oauth2/callback
  corp: logout: https://a.example.com/oauth2/logged-out
  nothing is open`},
		{"addresses", "{\n" + corpLogin + "}\nhttps://[::1]:8443, http://127.0.0.1:8080, http://[2001:db8::1]:8080 {\nadmit {\nlogin\n}\nrespond ok\n}", `
http://127.0.0.1:8080 http://[2001:db8::1]:8080
  corp: redirect: http://127.0.0.1:8080/oauth2/callback
  corp: redirect: https://[2001:db8::1]/oauth2/callback
  corp: logout: http://127.0.0.1:8080/oauth2/logged-out
  corp: logout: https://[2001:db8::1]/oauth2/logged-out
  nothing is open
https://[::1]:8443
  corp: redirect: https://[::1]:8443/oauth2/callback
  corp: logout: https://[::1]:8443/oauth2/logged-out
  nothing is open`},
		{"other ports of Caddy's own", "{\nhttp_port 8080\nhttps_port 8443\n" + corpLogin + "}\napp.example.com {\nadmit {\nlogin\n}\nrespond ok\n}", `
https://app.example.com
  corp: redirect: https://app.example.com/oauth2/callback
  corp: logout: https://app.example.com/oauth2/logged-out
  nothing is open`},
		{"other ports of Caddy's own, on loopback", "{\nhttp_port 8080\nhttps_port 8443\n" + corpLogin + "}\nlocalhost, app.localhost {\nadmit {\nlogin\n}\nrespond ok\n}\nhttp://127.0.0.1 {\nadmit {\nlogin\n}\nrespond ok\n}", `
http://127.0.0.1:8080
  corp: redirect: http://127.0.0.1:8080/oauth2/callback
  corp: logout: http://127.0.0.1:8080/oauth2/logged-out
  nothing is open
https://localhost:8443 https://app.localhost:8443
  corp: redirect: https://localhost:8443/oauth2/callback
  corp: redirect: https://app.localhost:8443/oauth2/callback
  corp: logout: https://localhost:8443/oauth2/logged-out
  corp: logout: https://app.localhost:8443/oauth2/logged-out
  nothing is open`},
		{"a wildcard with hosts inside", "{\n" + corpLogin + "}\n*.example.com {\n@a host a.example.com\nhandle @a {\nadmit {\nlogin\n}\nrespond a\n}\nhandle {\nrespond b\n}\n}", `
https://*.example.com
  corp: redirect: https://a.example.com/oauth2/callback
  corp: logout: https://a.example.com/oauth2/logged-out
  open: everything else (no gate)`},
		{"the path of a callback, sessions in the storage", `{
	admit corp {
		issuer https://idp.invalid
		login {
			client_id app
			callback /auth/back
		}
		session {
			store storage
		}
	}
}
app.example.com {
	admit {
		login
	}
	respond ok
}`, `
https://app.example.com
  corp: redirect: https://app.example.com/auth/back
  corp: logout: https://app.example.com/oauth2/logged-out
  corp: back-channel logout: https://app.example.com/oauth2/backchannel-logout
  nothing is open`},
		{"callbacks of two providers", "{\n" + strings.Replace(corpLogin, "client_id", "callback /oauth2/callback/corp\nclient_id", 1) + "\tadmit other {\n\t\tissuer https://other.invalid\n\t\tlogin {\n\t\t\tclient_id app\n\t\t\tcallback /oauth2/callback/other\n\t\t}\n\t}\n}\na.example.com {\nadmit corp other {\nlogin\n}\nrespond ok\n}", `
https://a.example.com
  corp: redirect: https://a.example.com/oauth2/callback/corp
  corp: logout: https://a.example.com/oauth2/logged-out
  other: redirect: https://a.example.com/oauth2/callback/other
  other: logout: https://a.example.com/oauth2/logged-out
  nothing is open`},
		{"one host where all log in", `{
	admit corp {
		issuer https://idp.invalid
		login {
			client_id app
			callback https://login.example.com/in/callback
		}
		session {
			store storage
			domain example.com
		}
	}
}
a.example.com, b.example.com {
	admit {
		login
	}
	respond ok
}`, `
https://a.example.com https://b.example.com
  corp: redirect: https://login.example.com/in/callback
  corp: logout: https://login.example.com/in/logged-out
  corp: back-channel logout: https://login.example.com/in/backchannel-logout
  nothing is open`},
		{"several integrations", "{\n" + corpLogin + "\tadmit other {\n\t\tissuer https://other.invalid\n\t\tlogin {\n\t\t\tclient_id app\n\t\t}\n\t}\n\tadmit machines {\n\t\tsecret {env.X}\n\t}\n}\na.example.com {\nadmit corp other machines {\nlogin\n}\nadmit /x other corp {\nlogin corp\n}\nrespond ok\n}\nb.example.com {\nadmit corp other {\nlogin other\n}\nrespond ok\n}", `
https://a.example.com
  corp: redirect: https://a.example.com/oauth2/callback
  corp: logout: https://a.example.com/oauth2/logged-out
  other: redirect: https://a.example.com/oauth2/callback
  other: logout: https://a.example.com/oauth2/logged-out
  nothing is open
https://b.example.com
  other: redirect: https://b.example.com/oauth2/callback
  other: logout: https://b.example.com/oauth2/logged-out
  nothing is open`},
	} {
		t.Run(tc.name, func(t *testing.T) {
			got, err := urlsOf(t, tc.caddyfile)
			if err != nil || strings.TrimSpace(got) != strings.TrimSpace(tc.want) {
				t.Errorf("got\n%s, %v\nwant%s", got, err, tc.want)
			}
		})
	}
}

// Where all log in at one host, its own pages lie where its callback does.
func TestCallbackPrefix(t *testing.T) {
	for text, want := range map[string]string{
		"https://login.example.com/in/callback":        "/in",
		"https://login.example.com/in/callback/corp":   "/in",
		"https://login.example.com/in/callback/a/corp": "/in",
		"https://login.example.com/in/callbacks/corp":  "/own",
		"https://login.example.com/in/done":            "/own",
		"/in/callback/corp":                            "/own",
		"":                                             "/own",
	} {
		if got := parseCallback(text).prefix("/own"); got != want {
			t.Errorf("%q: got %q, want %q", text, got, want)
		}
	}
}

// TestURLsInline: the integration of a gate's own block has the id that sessions
// and revoke know it by.
func TestURLsInline(t *testing.T) {
	got, err := urlsOf(t, "app.example.com {\nadmit {\nissuer https://idp.invalid\nlogin {\nclient_id app\n}\n}\nrespond ok\n}")
	if err != nil || !strings.Contains(got, "\n  inline-") || !strings.Contains(got, ": redirect: https://app.example.com/oauth2/callback\n") {
		t.Errorf("got %s, %v", got, err)
	}
}

// TestOpen: what no gate covers is told, and what one covers is not (threat 98).
func TestOpen(t *testing.T) {
	for _, tc := range []struct{ name, site, want string }{
		{"no gate", "respond ok", "everything (no gate)"},
		{"no gate, and nothing there", "redir https://elsewhere.example", ""},
		{"bare", "admit\nrespond ok", ""},
		{"bypass", "admit {\nbypass /public/* /robots.txt\nbypass POST /hooks/*\n}\nrespond ok", "/public/* /robots.txt (bypass), POST /hooks/* (bypass)"},
		{"optional", "admit {\noptional\nrequire /admin/* groups a\n}\nrespond ok", "without a credential, what no require or any covers (optional)"},
		{"paths", "admit /admin/*\nrespond ok", "everything except /admin/* /admin (what no gate's matcher covers)"},
		{"two of them", "admit /a/*\nadmit /b\nrespond ok", "everything except /a/* /a, /b (what no gate's matcher covers)"},
		{"paths beside a bare one", "admit /admin/*\nadmit\nrespond ok", ""},
		{"another matcher", "@m method POST\nadmit @m\nrespond ok", `everything except {"method":["POST"]} (what no gate's matcher covers)`},
		{"paths that are all there is", "admit /api/*\nreverse_proxy /api/* localhost:1", ""},
		{"paths of which more is there", "admit /api/v1/*\nreverse_proxy /api/* localhost:1", "/api/* except /api/v1/* /api/v1 (what no gate's matcher covers)"},
		{"in a handle", "handle /a/* {\nadmit\nrespond a\n}\nhandle {\nrespond b\n}", "everything else (no gate)"},
		{"in every handle", "handle /a/* {\nadmit\nrespond a\n}\nhandle {\nadmit\nrespond b\n}", ""},
		{"in another handle", "handle /a/* {\nadmit\nrespond a\n}\nhandle /b/* {\nrespond b\n}", "/b/* (no gate)"},
		{"before handles", "admit\nhandle /a/* {\nrespond a\n}\nhandle {\nrespond b\n}", ""},
		{"after something that answers", "route {\nrespond /health ok\nadmit\nrespond ok\n}", "/health (no gate)"},
		{"behind an answer", "route {\nrespond ok\nadmit\n}", "everything (no gate)"},
		{"paths of what was rewritten", "admit /admin/*\nhandle_path /api/* {\nrespond /admin/* a\n}\nhandle /admin/* {\nrespond b\n}", "/api/* and /admin/* except /admin/* /admin (what no gate's matcher covers)"},
		{"rewritten before", "route {\nuri strip_prefix /api\nadmit /admin/*\nrespond /admin/* a\n}", ""},
		{"in a named route", "invoke n", ""},
		{"in a named route that goes round", "invoke round", ""},
	} {
		t.Run(tc.name, func(t *testing.T) {
			got, err := urlsOf(t, "{\n\tadmit local {\n\t\tsecret {env.X}\n\t}\n}\n&(n) {\nadmit\nrespond ok\n}\n&(round) {\nadmit\nrespond ok\ninvoke round\n}\na.example.com {\n"+tc.site+"\n}")
			var lines []string
			for line := range strings.Lines(got) {
				if text, ok := strings.CutPrefix(line, "  open: "); ok {
					lines = append(lines, strings.TrimSpace(text))
				}
			}
			if found := strings.Join(lines, ", "); err != nil || found != tc.want || strings.Contains(got, "nothing is open") != (tc.want == "") {
				t.Errorf("got %q, want %q, %v\n%s", found, tc.want, err, got)
			}
		})
	}
}

// TestOpenProvider: the provider of Caddy's authentication is a gate, another
// provider is none.
func TestOpenProvider(t *testing.T) {
	config := `{"apps": {"http": {"servers": {"one": {"listen": [":443"], "routes": [
		{"handle": [{"handler": "authentication", "providers": {"PROVIDER": {}}}, {"handler": "file_server"}]}]}}}}}`
	for provider, want := range map[string]string{"admit": "nothing is open", "http_basic": "open: everything (no gate)"} {
		lines, err := describe([]byte(strings.ReplaceAll(config, "PROVIDER", provider)))
		if got := strings.Join(lines, "\n"); err != nil || got != "https://<host>\n  "+want {
			t.Errorf("%s: got %s, %v", provider, got, err)
		}
	}
}

// TestURLsMistakes: what cannot be read is an error that says what.
func TestURLsMistakes(t *testing.T) {
	for name, tc := range map[string]struct{ caddyfile, want string }{
		"no Caddyfile at all":            {"a.example.com {", "unexpected"},
		"a public_url that is not there": {"{\n" + corpLogin + "}\na.example.com {\nadmit {\nlogin\npublic_url {env.ADMIT_TEST_NOT_SET}\n}\nrespond ok\n}", "public_url: {env.ADMIT_TEST_NOT_SET} is empty"},
	} {
		if out, err := urlsOf(t, tc.caddyfile); err == nil || !strings.Contains(strings.ToLower(err.Error()), strings.ToLower(tc.want)) || out != "" {
			t.Errorf("%s: %q, %v", name, out, err)
		}
	}
	t.Chdir(t.TempDir())
	if _, _, err := runCommand("urls"); err == nil || !strings.Contains(err.Error(), "expected --config") {
		t.Errorf("no file: %v", err)
	}
}

// The line at load has the same URLs as the command, and nothing that is secret.
func TestURLsAtLoad(t *testing.T) {
	t.Setenv("ADMIT_TEST_NOT_SET", "marked-client")
	const secret = "marked-client-secret"
	global := strings.Replace(corpLogin, "{file./nowhere/secret}", secret, 1)
	f := serveFront(t, global+"\tadmit own {\n\t\tsecret "+testSecret+"\n\t}\n", "http://localhost:PORT {\nadmit corp {\nlogin\n}\nrespond ok\n}\nhttp://b.localhost:PORT {\nadmit own\nrespond ok\n}\n")
	_, port, _ := strings.Cut(f.addr, ":")
	entries := f.entries("URLs to register at the provider")
	if len(entries) != 1 || entries[0]["level"] != "info" || entries[0]["site"] != "localhost" {
		t.Fatalf("got %v", entries)
	}
	want := map[string]string{"integration": "corp", "redirect": "http://localhost:" + port + "/oauth2/callback", "logout": "http://localhost:" + port + "/oauth2/logged-out"}
	list := entries[0]["register"].([]any)
	got, _ := list[0].(map[string]any)
	for name, value := range want {
		text, isList := got[name].([]any)
		if len(list) != 1 || !(got[name] == value || isList && len(text) == 1 && text[0] == value) {
			t.Errorf("%s: got %v, want %s", name, got[name], value)
		}
	}
	log, err := os.ReadFile(f.log)
	if err != nil || strings.Contains(string(log), secret) {
		t.Errorf("the secret is in the log, %v", err)
	}
}
