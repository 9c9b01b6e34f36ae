package admit

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// threat 98: what may not mean what it says is a warning at load, and only that.
func TestWarningsAtLoad(t *testing.T) {
	const (
		roots     = "a named matcher covers what is below a path but not the path itself"
		noAddress = "a rule on email has a pattern that no address matches"
		several   = "several integrations may call different people the same"
		open      = "tells requests apart by more than the path"
		query     = "from query:"
		weak      = "insecure_weak_secret:"
		plainHTTP = "insecure_http:"
		resource  = "the site is not among the audience of an integration"
		hidden    = "no request gets to a gate"
		cookies   = "have the same session cookie"
		caching   = "sets Cache-Control after the gate"
		callbacks = "two providers share a callback"
		idTokens  = "audience holds the client_id of the login"
	)
	user := "user ada " + hashOf(t, adaPassword) + "\n"
	one, other, star := "@one host 1.example\n", "@other host 2.example\n", "@one host 1.example\n@all host *.example\n"
	// login is an integration with a login at a provider.
	login := func(name, issuer, more string) string {
		return "admit " + name + " {\nissuer https://" + issuer + "\nlogin {\nclient_id app\n" + more + "\n}\n}\n"
	}
	x, y, own := login("x", "x.example", ""), login("y", "y.example", ""), "callback /oauth2/callback/y"
	// audience is such a one with audiences, the site's among them, and more options.
	audience := func(aud, more string) string {
		return strings.Replace(login("x", "x.example", ""), "login {", "audience https://a.example "+aud+"\n"+more+"\nlogin {", 1)
	}
	t.Setenv("APP_ID", "app")
	const gate = "admit {\nlogin\n}"
	const two = secretIntegration + "\nadmit other {\nsecret " + testSecret + "x\naudience api\n}"
	for _, tc := range []struct {
		name, global, site string
		named              string // named routes
		want               []string
		detail             string // in the first entry
	}{
		{name: "nothing", global: secretIntegration, site: "admit {\nrequire /x/* groups a\nrequire user *\n}"},

		{name: "a domain as an address", global: secretIntegration, site: "admit {\nrequire email example.com\n}", want: []string{noAddress}, detail: "example.com"},
		{name: "a domain with its sign", global: secretIntegration, site: "admit {\nany {\nrequire email ada@example.com @example.com\n}\n}", want: []string{noAddress}, detail: "@example.com"},
		{name: "all of a domain", global: secretIntegration, site: "admit {\nrequire email *@example.com ada@example.org *\n}"},
		{name: "another claim", global: secretIntegration, site: "admit {\nrequire hd example.com\n}"},

		{name: "gate's matcher without root", global: secretIntegration, site: "@m path /x/*\nadmit @m", want: []string{roots}, detail: "/x"},
		{name: "gate's matcher with root", global: secretIntegration, site: "@m path /x /x/*\nadmit @m"},
		{name: "gate's matcher with root as a prefix", global: secretIntegration, site: "@m path /x* /x/*\nadmit @m"},
		{name: "matcher of everything", global: secretIntegration, site: "@m path /*\nadmit @m"},
		{name: "rule's matcher", global: secretIntegration, site: "@m path /y/*\nadmit {\nrequire @m groups a\n}", want: []string{roots}, detail: "/y"},
		{name: "deny's matcher", global: secretIntegration, site: "@m path /y/*\nadmit {\ndeny @m groups a\n}", want: []string{roots}},
		{name: "any's matcher", global: secretIntegration, site: "@m path /y/*\nadmit {\nany @m {\nrequire groups a\n}\n}", want: []string{roots}},
		{name: "matcher of a rule on trial", global: secretIntegration, site: "@m path /y/*\nadmit {\nreport_only {\nrequire @m groups a\n}\n}", want: []string{roots}},
		{name: "matcher with more than a path", global: secretIntegration, site: "@m {\npath /y/*\nmethod POST\n}\nadmit {\nrequire @m groups a\n}", want: []string{roots}},

		{name: "rule on user, two integrations", global: two, site: "admit local other {\nrequire user ada\n}", want: []string{several}, detail: "user"},
		{name: "rule on email", global: two, site: "admit local other {\ndeny email x@example.com\n}", want: []string{several}, detail: "email"},
		{name: "rule on sub in any", global: two, site: "admit local other {\nany {\nrequire sub x\nrequire scope y\n}\n}", want: []string{several}, detail: "sub"},
		{name: "rule on groups on trial", global: two, site: "admit local other {\nreport_only {\nrequire groups x\n}\n}", want: []string{several}, detail: "groups"},
		{name: "rule on another claim", global: two, site: "admit local other {\nrequire scope x\n}"},
		{name: "rule on integration too", global: two, site: "admit local other {\nrequire user ada\nrequire integration local\n}"},
		{name: "one integration", global: two, site: "admit local {\nrequire user ada\n}"},

		{name: "gate by header alone", global: secretIntegration, site: "@m header X-Y z\nadmit @m", want: []string{open}, detail: "a.example"},
		{name: "gate by path and method", global: secretIntegration, site: "@m {\npath /x\nmethod GET\n}\nadmit @m", want: []string{open}},
		{name: "gate by what the path is not", global: secretIntegration, site: "@m not path /x\nadmit @m", want: []string{open}},
		{name: "in a handle", global: secretIntegration, site: "@m header X-Y z\nhandle /x/* {\nadmit @m\n}", want: []string{open}},
		{name: "in a named route", global: secretIntegration, named: "&(n) {\n@m header X-Y z\nadmit @m\n}\n", site: "invoke n", want: []string{open}},
		{name: "beside a bare gate", global: secretIntegration, site: "@m header X-Y z\nadmit @m\nadmit"},
		{name: "gate by paths", global: secretIntegration, site: "@m path /x /y\nadmit @m\nadmit /z"},

		{name: "behind an answer", global: secretIntegration, site: "route {\nrespond open\nadmit\n}", want: []string{hidden}},
		{name: "behind a proxy, in a handle", global: secretIntegration, site: "handle /x/* {\nroute {\nreverse_proxy 127.0.0.1:1\nadmit\n}\n}", want: []string{hidden}},
		{name: "behind files", global: secretIntegration, site: "route {\nroot /nowhere\nfile_server\nroute {\nadmit\n}\n}", want: []string{hidden}},
		{name: "behind files that pass on", global: secretIntegration, site: "route {\nfile_server {\npass_thru\n}\nadmit\n}"},
		{name: "behind an answer to some", global: secretIntegration, site: "route {\nrespond /health ok\nhandle /y {\nrespond y\n}\nadmit\n}"},
		{name: "before an answer", global: secretIntegration, site: "respond ok\nadmit"},

		{name: "two gates with sessions of their own", site: "admit /a/* {\n" + user + "}\nadmit /b/* {\n" + user + "endpoints /b\n}", want: []string{cookies}, detail: "__Host-admit"},
		{name: "... on a host and on all below", site: star + "handle @all {\nadmit {\n" + user + "}\n}\nhandle @one {\nadmit {\n" + user + "}\n}", want: []string{cookies}},
		{name: "... on two hosts", site: one + other + "handle @one {\nadmit {\n" + user + "}\n}\nhandle @other {\nadmit {\n" + user + "}\n}"},
		{name: "... with a name for the cookie of one", site: "admit /a/* {\n" + user + "}\nadmit /b/* {\n" + user + "session {\ncookie b\n}\n}"},
		{name: "two integrations with one cookie", global: "admit x {\n" + user + "session {\ncookie a\n}\n}\nadmit y {\n" + user + "session {\ncookie a\n}\n}", site: "admit x y", want: []string{cookies}},
		{name: "one integration at two gates", global: "admit x {\n" + user + "session {\ncookie a\n}\n}", site: "admit /a/* x\nadmit /b/* x"},

		{name: "Cache-Control beside a deletion", site: "header {\nCache-Control public\n-Server\n}\nadmit {\n" + user + "}", want: []string{caching}, detail: "a.example"}, // threats 49, 54
		{name: "Cache-Control for some files", site: "header /static/* >Cache-Control public\nadmit {\n" + user + "}", want: []string{caching}},
		{name: "Cache-Control for some answers", site: "header {\nCache-Control public\nmatch status 2xx\n}\nadmit {\n" + user + "}", want: []string{caching}},
		{name: "Cache-Control deleted", site: "header -Cache-Control\nhandle /x/* {\nadmit {\n" + user + "}\n}", want: []string{caching}},
		{name: "Cache-Control replaced", site: "header >Cache-Control no-store public\nroute {\nadmit {\n" + user + "}\n}", want: []string{caching}},
		{name: "Cache-Control in a named route", named: "&(n) {\nheader >Cache-Control public\n}\n", site: "route {\ninvoke n\nadmit {\n" + user + "}\n}", want: []string{caching}},
		{name: "Cache-Control at once", site: "header {\nCache-Control public\n}\nheader -Server\nadmit {\n" + user + "}"},
		{name: "Cache-Control where there is none", site: "header ?Cache-Control public\nadmit {\n" + user + "}"},
		{name: "another header late", site: "header {\nX-Y z\n-Server\n}\nadmit {\n" + user + "}"},
		{name: "Cache-Control behind the gate", site: "admit {\n" + user + "}\nhandle /static/* {\nheader >Cache-Control public\n}"},
		{name: "Cache-Control of other requests", site: "handle /static/* {\nheader >Cache-Control public\n}\nhandle {\nadmit {\n" + user + "}\n}"},
		{name: "Cache-Control without sessions", global: secretIntegration, site: "header >Cache-Control public\nadmit"},

		{name: "two providers", global: x + y, site: "admit x y {\nlogin\n}", want: []string{callbacks}, detail: "https://a.example/oauth2/callback"}, // threat 60
		{name: "... of two gates", global: x + y, site: "admit /x/* x {\nlogin\n}\nadmit /y/* y {\nlogin\n}", want: []string{callbacks}},
		{name: "... in a list of three", global: x + y + login("z", "z.example", own), site: "admit x y z {\nlogin\n}", want: []string{callbacks}},
		{name: "... one of them without an issuer", global: x + "admit hub {\npreset github\nlogin {\nclient_id app\n}\n}", site: "admit x hub {\nlogin\nrequire integration *\n}", want: []string{callbacks}},
		{name: "... with a path of its own", global: x + login("y", "y.example", own), site: "admit x y {\nlogin\n}"},
		{name: "... with one path of their own", global: login("x", "x.example", own) + login("y", "y.example", own), site: "admit x y {\nlogin\n}", want: []string{callbacks}, detail: "https://a.example/oauth2/callback/y"},
		{name: "... that are one", global: x + login("y", "x.example", ""), site: "admit x y {\nlogin\n}"},
		{name: "... with endpoints of their own", global: x + y, site: "admit /x/* x {\nlogin\n}\nadmit /y/* y {\nlogin\nendpoints /y\n}"},
		{name: "... on two hosts", global: x + y, site: one + other + "handle @one {\nadmit x {\nlogin\n}\n}\nhandle @other {\nadmit y {\nlogin\n}\n}"},
		{name: "... with one host for all", global: x + y, site: one + other + "handle @one {\nadmit x {\nlogin\npublic_url https://c.example\n}\n}\nhandle @other {\nadmit y {\nlogin\npublic_url https://c.example\n}\n}", want: []string{callbacks}, detail: "https://c.example/oauth2/callback"},
		{name: "... one logs in here", global: x + y, site: "admit x y {\nlogin x\n}"},
		{name: "a provider and users of one's own", global: x + "admit z {\n" + user + "}", site: "admit x z {\nlogin\n}"},

		{name: "ID tokens as bearer tokens", global: audience("api {env.APP_ID}", ""), site: gate, want: []string{idTokens}, detail: "app"}, // threat 27
		{name: "... by type alone", global: audience("app", "types JWT"), site: gate, want: []string{idTokens}},
		{name: "... told by their type", global: audience("app", "types at+jwt"), site: gate},
		{name: "... by another claim", global: audience("app", "audience_claims client_id"), site: gate},
		{name: "... of a vendor that says what they are", global: strings.Replace(audience("app", ""), "issuer https://x.example", "preset cognito eu-west-1 pool x.example", 1), site: gate},
		{name: "... of another", global: strings.Replace(audience("app", ""), "issuer https://x.example", "preset entra 8d1e5b3a-0000-4000-8000-000000000001", 1), site: gate, want: []string{idTokens}},
		{name: "... where sessions are made of access tokens", global: strings.Replace(audience("app", ""), "login {", "login {\nsession_token access", 1), site: gate},
		{name: "... where nobody sends any", global: audience("app", "from session"), site: gate},
		{name: "... where there are none", global: strings.Replace(audience("app", ""), "login {", "login {\nscopes profile\nuserinfo_url https://x.example/me", 1), site: gate},
		{name: "another audience", global: audience("api", ""), site: gate},
		{name: "any audience", global: strings.Replace(audience("", ""), "https://a.example", "any", 1), site: gate},
		{name: "no audience", global: x, site: gate},

		{name: "from query", global: "admit local {\nsecret " + testSecret + "\nfrom query token\n}", site: "admit", want: []string{query}},
		{name: "weak secret", global: "admit local {\nsecret short\ninsecure_weak_secret\n}", site: "admit", want: []string{weak}},
		{name: "plain http", global: "admit local {\nissuer http://far.example\naudience any\ninsecure_http\n}", site: "admit", want: []string{plainHTTP}},

		{name: "resource", global: "admit local {\nissuer https://far.example\naudience api https://b.example https://a.example.org\n}", site: "admit", want: []string{resource}, detail: "a.example"},
		{name: "... that is an audience", global: "admit local {\nissuer https://far.example\naudience api https://a.example\n}", site: "admit"},
		{name: "... with a path", global: "admit local {\nissuer https://far.example\naudience https://a.example/mcp\n}", site: "admit"},
		{name: "... by its public URL", global: "admit local {\nissuer https://far.example\naudience https://b.example\n}", site: "admit {\npublic_url https://b.example\n}"},
		{name: "... by another public URL", global: "admit local {\nissuer https://far.example\naudience https://a.example\n}", site: "admit {\npublic_url https://b.example\n}", want: []string{resource}, detail: "a.example"},
		{name: "... of an issuer without metadata", global: "admit local {\nissuer https://far.example\njwks https://far.example/jwks\naudience api\n}", site: "admit"},
		{name: "all, in the gate's own block", site: "admit {\njwks http://far.example/jwks\naudience api\ninsecure_http\nfrom query token\n}", want: []string{query, plainHTTP}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			f := serveFront(t, tc.global, tc.named+"http://a.example:PORT {\n"+tc.site+"\n}\nhttp://b.example:PORT {\nrespond ok\n}")
			var got []map[string]any
			for _, entry := range f.entries("") {
				if logger, _ := entry["logger"].(string); entry["level"] == "warn" && strings.Contains(logger, "admit") {
					got = append(got, entry)
				}
			}
			if len(got) != len(tc.want) {
				t.Fatalf("warnings %v, want %q", got, tc.want)
			}
			for _, want := range tc.want {
				found := false
				for _, entry := range got {
					found = found || strings.Contains(entry["msg"].(string), want)
				}
				if !found {
					t.Errorf("warnings %v, want %q", got, want)
				}
			}
			if tc.detail != "" && !holdsText(got[0], tc.detail) {
				t.Errorf("warning %v, want %q in it", got[0], tc.detail)
			}
		})
	}
}

// The warning names the site by host and by address, since hosts may be the same.
func TestWarningNamesTheAddress(t *testing.T) {
	f := serveFront(t, secretIntegration, "http://a.example:PORT {\n@m header X-Y z\nadmit @m\n}")
	for _, entry := range f.entries("") {
		if msg, _ := entry["msg"].(string); strings.Contains(msg, "tells requests apart") {
			if got := fmt.Sprint(entry["site"], entry["listen"]); got != "a.example["+strings.Replace(f.addr, "127.0.0.1", "", 1)+"]" && got != "a.example["+f.addr+"]" {
				t.Errorf("names %s", got)
			}
			return
		}
	}
	t.Error("no warning")
}

// threat 98: the provider warns of its rules as a gate does.
func TestWarningsOfTheProvider(t *testing.T) {
	file := filepath.Join(t.TempDir(), "log")
	load := func(provider string) (messages []string) {
		t.Helper()
		config := strings.NewReplacer("PROVIDER", provider, "BODY", "", `"level": "FATAL"`, `"level": "WARN", "writer": {"output": "file", "filename": "`+file+`"}`,
			`"integrations": {`, `"integrations": {"other": {"secret": {"value": "x`+testSecret+`"}}, `).Replace(jsonSite)
		s := &site{t: t}
		s.loadJSON(config)
		if err := s.stop(); err != nil {
			t.Fatal(err)
		}
		data, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		for line := range strings.Lines(string(data)) {
			if strings.Contains(line, "authentication.providers.admit") {
				messages = append(messages, line)
			}
		}
		return messages
	}
	const both = `"integrations": ["local", "other"]`
	if got := load(both + `, "require": [{"claim": "user", "patterns": ["ada"]}, {"claim": "integration", "patterns": ["local"]}]`); len(got) != 0 {
		t.Errorf("warnings %q", got)
	}
	got := strings.Join(load(both+`, "require": [{"claim": "user", "patterns": ["ada"]}], "any": [{"match": [{"path": ["/x/*"]}], "require": [{"claim": "scope", "patterns": ["a"]}]}]`), "")
	for _, want := range []string{"several integrations may call different people the same", "covers what is below a path but not the path itself"} {
		if !strings.Contains(got, want) {
			t.Errorf("%q is not in %s", want, got)
		}
	}
}

func holdsText(entry map[string]any, text string) bool {
	for _, value := range entry {
		if value == text {
			return true
		}
	}
	return false
}
