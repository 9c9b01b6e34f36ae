package admit

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"testing"
)

// metadata are those of a protected resource (RFC 9728 section 2).
type metadata struct {
	Resource string   `json:"resource"`
	Servers  []string `json:"authorization_servers"`
	Scopes   []string `json:"scopes_supported"`
	Methods  []string `json:"bearer_methods_supported"`
}

func (a answered) metadata(t *testing.T) (m metadata) {
	t.Helper()
	if a.StatusCode != 200 || a.Header.Get("Content-Type") != "application/json" {
		t.Fatalf("%d %v %q", a.StatusCode, a.Header, a.body)
	}
	d := json.NewDecoder(strings.NewReader(a.body))
	d.DisallowUnknownFields()
	if err := d.Decode(&m); err != nil {
		t.Fatalf("%q: %v", a.body, err)
	}
	return m
}

// byDiscovery are integrations whose issuers clients can find, without any call.
const byDiscovery = `
	admit corp {
		issuer https://corp.example
		audience api
		require scope base
		from header Authorization Bearer
		from header Authorization Token
		from query token
	}
	admit partner {
		issuer https://partner.example
		audience api
	}
	admit byhand {
		issuer https://byhand.example
		jwks https://byhand.example/jwks
		audience api
	}
` + secretIntegration

const wellKnown = "/.well-known/oauth-protected-resource"

// DESIGN 1.5: the endpoint is there before the matcher, at exact paths, for GET.
func TestResourceMetadata(t *testing.T) {
	f := serveOne(t, byDiscovery, `
		@api method GET POST
		admit @api corp {
			require /files/* scope read files:* "w r"
			require scp base write
			deny scope banned
			require groups staff
		}
		respond "application {http.request.uri}"`)
	a := f.get(wellKnown + "/files/a%20b?secret=1")
	m := a.metadata(t)
	if m.Resource != "http://a.example/files/a%20b" || !slices.Equal(m.Servers, []string{"https://corp.example"}) ||
		!slices.Equal(m.Scopes, []string{"base", "read", "write"}) || !slices.Equal(m.Methods, []string{"header", "query"}) {
		t.Errorf("metadata %+v", m)
	}
	h := a.Header
	if h.Get("Cache-Control") != "no-store" || h.Get("Access-Control-Allow-Origin") != "*" || h.Get("X-Content-Type-Options") != "nosniff" || h.Get("Set-Cookie") != "" {
		t.Errorf("header %v", h)
	}
	for _, tc := range []struct {
		method, target string
		status         int
		own            string // what the gate's answer has, "" for an ordinary request
	}{
		{"GET", wellKnown, 200, `"resource":"http://a.example",`},
		{"GET", wellKnown + "/", 200, `"resource":"http://a.example/",`},
		{"GET", wellKnown + "/x/y", 200, `"resource":"http://a.example/x/y",`},
		{"GET", wellKnown + "/%41", 200, `"resource":"http://a.example/%41",`},
		{"GET", "/%2ewell-known/oauth-protected-resource/x", 200, `"resource":"http://a.example/x",`},
		{"GET", wellKnown + "?a=b", 200, `"resource":"http://a.example",`},
		{"HEAD", wellKnown, 200, "-"},
		{"POST", wellKnown, 405, "-"},
		{"DELETE", wellKnown + "/x", 405, "-"},
		{"PURGE", wellKnown, 405, "-"},
		{"OPTIONS", wellKnown, 204, "-"},
		{"GET", wellKnown + "x", 401, ""},
		{"GET", "/x" + wellKnown, 401, ""},
		{"GET", "/.well-known/OAuth-Protected-Resource", 401, ""},
		{"GET", wellKnown + "/../x", 401, ""},
		{"GET", wellKnown + "//x", 401, ""},
		{"GET", wellKnown + "/%2e%2e/x", 401, ""},
		{"GET", wellKnown + "/x%2fy", 401, ""},
		{"GET", wellKnown + "/x;y", 401, ""},
		{"GET", wellKnown + "%2fx", 401, ""},
		{"GET", "/.well-known//oauth-protected-resource", 401, ""},
		{"GET", "/.well-known/oauth-authorization-server", 401, ""},
	} {
		a := f.ask(tc.method, "a.example", tc.target)
		if a.StatusCode != tc.status || (a.Header.Get("Access-Control-Allow-Origin") == "*") != (tc.own != "") {
			t.Errorf("%s %s: %d %q", tc.method, tc.target, a.StatusCode, a.body)
		}
		switch {
		case tc.own == "-" && a.body != "", !strings.Contains(a.body, strings.TrimPrefix(tc.own, "-")):
			t.Errorf("%s %s: body %q", tc.method, tc.target, a.body)
		case tc.status == 405 && a.Header.Get("Allow") != "GET, HEAD, OPTIONS":
			t.Errorf("Allow %q", a.Header.Get("Allow"))
		case tc.method == "HEAD" && a.Header.Get("Content-Length") != fmt.Sprint(len(f.get(tc.target).body)):
			t.Errorf("Content-Length %q", a.Header.Get("Content-Length"))
		}
	}
	// Left out of the access log, logged by the gate without the query.
	for _, entry := range f.entries("handled request") {
		if uri := entry["request"].(map[string]any)["uri"].(string); strings.HasPrefix(uri, wellKnown+"/files") {
			t.Errorf("access log: %v", entry)
		}
	}
	entries := f.entries("endpoint")
	if len(entries) == 0 || entries[0]["path"] != wellKnown+"/files/a b" || entries[0]["level"] != "debug" || entries[0]["status"] != 200.0 {
		t.Errorf("entries %v", entries)
	}
	if len(f.entries("handled request")) == 0 {
		t.Error("no access log at all")
	}
	for _, entry := range f.entries("") {
		if text := fmt.Sprint(entry); strings.Contains(text, "secret=1") {
			t.Errorf("query in the log: %s", text)
		}
	}
}

// DESIGN 1.5: the metadata are named in the Bearer challenge only where a gate
// would answer.
func TestMetadataAreNamed(t *testing.T) {
	site := func(host, body string) string { return "http://" + host + ":PORT {\n" + body + "\nrespond ok\n}\n" }
	f := serveFront(t, byDiscovery, site("root.example", "admit corp")+
		site("path.example", "admit /api/* corp")+
		site("handle.example", "handle /api/* {\nadmit corp\nrespond ok\n}")+
		site("whole.example", "handle {\nadmit corp\nrespond ok\n}")+
		site("beside.example", "handle /api/* {\nadmit corp\nrespond ok\n}\nhandle {\nadmit corp\nrespond ok\n}")+
		site("another.example", "handle /api/* {\nadmit corp\nrespond ok\n}\nhandle {\nadmit partner\nrespond ok\n}")+
		site("taken.example", "handle /.well-known/* {\nrespond mine\n}\nhandle {\nadmit corp\nrespond ok\n}")+
		site("group.example", "handle /.well-known/* {\nheader X y\n}\nhandle {\nadmit corp\nrespond ok\n}")+
		site("narrower.example", "admit /web/* corp\nhandle /api/* {\nadmit corp\nrespond ok\n}")+
		site("prefix.example", "handle_path /api/* {\nadmit corp\nrespond ok\n}")+
		site("named.example", "invoke gate")+
		site("expression.example", "@any expression `{path}.startsWith('/api/') || {path}.startsWith('/.well-known/')`\nhandle @any {\nadmit corp\nrespond ok\n}")+
		site("narrow.example", "@api expression `{path}.startsWith('/api/')`\nhandle @api {\nadmit corp\nrespond ok\n}")+
		site("rewritten.example", "route {\nrewrite * /index\nadmit corp\nrespond ok\n}")+
		site("byhand.example", "admit byhand")+
		site("secret.example", "admit local")+
		"&(gate) {\nadmit corp\n}\n")
	for _, tc := range []struct{ host, target, path string }{
		{"root.example", "/", ""},
		{"root.example", "/a/b%20c?d=e", "/a/b%20c"},
		{"root.example", "/a//b", ""}, // more than one meaning
		{"path.example", "/api/x", "/api/x"},
		{"handle.example", "/api/x", "-"},
		{"whole.example", "/api/x", "/api/x"},
		{"beside.example", "/api/x", "/api/x"},
		{"another.example", "/api/x", "-"},
		{"another.example", "/x", "/x"},
		{"taken.example", "/x", "-"},
		{"group.example", "/x", "-"},
		{"narrower.example", "/api/x", "-"}, // the gate that is reached does not answer for this path
		{"narrower.example", "/web/x", "/web/x"},
		{"prefix.example", "/api/x", "-"},
		{"named.example", "/x", "/x"},
		{"expression.example", "/api/x", "/api/x"},
		{"narrow.example", "/api/x", "-"},
		{"rewritten.example", "/x", "/x"},
		{"byhand.example", "/x", "-"},
		{"secret.example", "/x", "-"},
	} {
		for range 2 { // what is found out is remembered
			a := f.ask("GET", tc.host, tc.target)
			challenges := a.Header["Www-Authenticate"]
			_, named, _ := strings.Cut(challenges[0], `resource_metadata="`)
			want := "http://" + tc.host + wellKnown + tc.path + `"`
			if tc.path == "-" {
				want = ""
			}
			if a.StatusCode != 401 || named != want {
				t.Errorf("%s%s: %d, named %q, want %q", tc.host, tc.target, a.StatusCode, named, want)
			}
			if len(challenges) > 1 && strings.Contains(challenges[1], "resource_metadata") {
				t.Errorf("not only in the Bearer challenge: %q", challenges)
			}
			if want == "" {
				continue
			}
			got := f.ask("GET", tc.host, strings.TrimSuffix(strings.TrimPrefix(want, "http://"+tc.host), `"`)).metadata(t)
			if got.Resource != "http://"+tc.host+tc.path {
				t.Errorf("%s%s: metadata %+v", tc.host, tc.target, got)
			}
		}
	}
	if a := f.ask("GET", "taken.example", wellKnown); a.body != "mine" {
		t.Errorf("got %q", a.body)
	}
}

// DESIGN 1.5: of several gates on one host the one that protects the path answers.
func TestMetadataOfSeveralGates(t *testing.T) {
	f := serveOne(t, byDiscovery, `
		admit /corp/* corp
		admit /partner/* partner
		admit /both/* partner corp
		admit /local/* local
		respond "application"`)
	for path, want := range map[string]string{
		"":            "https://corp.example", // the first gate
		"/corp":       "https://corp.example",
		"/corp/x":     "https://corp.example",
		"/partner/x":  "https://partner.example",
		"/both/x":     "https://partner.example https://corp.example",
		"/partnerx/y": "",
		"/local/x":    "",
		"/":           "",
	} {
		a := f.get(wellKnown + path)
		if want == "" {
			if a.body != "application" {
				t.Errorf("%s: %d %q", path, a.StatusCode, a.body)
			}
			continue
		}
		if got := strings.Join(a.metadata(t).Servers, " "); got != want {
			t.Errorf("%s: %s, want %s", path, got, want)
		}
		if path != "" && !strings.Contains(f.get(path).Header.Get("WWW-Authenticate"), wellKnown+path+`"`) {
			t.Errorf("%s: challenge %q", path, f.get(path).Header.Get("WWW-Authenticate"))
		}
	}
}

// threat 41: the public URL is what is configured, or the host as Caddy matched it;
// what a client says about it counts only from a trusted proxy.
func TestPublicURL(t *testing.T) {
	forwarded := []string{
		"X-Forwarded-Proto: https", "X-Forwarded-Host: evil.example", "X-Forwarded-Port: 444", "X-Forwarded-Prefix: /evil",
		"Forwarded: proto=https;host=evil.example", "X-Forwarded-For: 192.0.2.9", "X-Original-URL: /evil",
	}
	t.Setenv("ADMIT_TEST_URL", "HTTPS://Public.example:443/")
	const site = "http://a.example:PORT {\nadmit corp%s\n}\n"
	for _, tc := range []struct {
		name, global, option string
		headers              []string
		want                 string
	}{
		{"as asked", "", "", nil, "http://a.example:PORT"},
		{"as asked by somebody else", "", "", forwarded, "http://a.example:PORT"},
		{"trusted proxy", "servers {\ntrusted_proxies static 127.0.0.1/32\n}\n", "", forwarded, "https://a.example:PORT"},
		{"trusted proxy, http", "servers {\ntrusted_proxies static 127.0.0.1/32\n}\n", "", []string{"X-Forwarded-Proto: http"}, "http://a.example:PORT"},
		{"trusted proxy, nonsense", "servers {\ntrusted_proxies static 127.0.0.1/32\n}\n", "", []string{"X-Forwarded-Proto: javascript"}, "http://a.example:PORT"},
		{"another proxy is trusted", "servers {\ntrusted_proxies static 192.0.2.0/24\n}\n", "", forwarded, "http://a.example:PORT"},
		{"public_url", "", " {\npublic_url https://public.example:8443\n}", forwarded, "https://public.example:8443"},
		{"public_url by variable", "", " {\npublic_url {env.ADMIT_TEST_URL}\n}", nil, "https://public.example"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			f := serveFront(t, tc.global+byDiscovery, fmt.Sprintf(site, tc.option))
			_, port, _ := strings.Cut(f.addr, ":")
			want := strings.ReplaceAll(tc.want, "PORT", port)
			if got := f.ask("GET", "a.example:"+port, wellKnown+"/x", tc.headers...).metadata(t).Resource; got != want+"/x" {
				t.Errorf("resource %q, want %q", got, want+"/x")
			}
			a := f.ask("GET", "a.example:"+port, "/x", tc.headers...)
			if challenge := a.Header.Get("WWW-Authenticate"); !strings.Contains(challenge, `resource_metadata="`+want+wellKnown+`/x"`) || strings.Contains(challenge, "evil") {
				t.Errorf("challenge %q", challenge)
			}
		})
	}
	t.Setenv("ADMIT_TEST_URL", "app.example.com/x")
	if err := loadError(t, secretIntegration, "admit {\npublic_url {env.ADMIT_TEST_URL}\n}"); !strings.Contains(err, "public_url") || !strings.Contains(err, "expected scheme and host") {
		t.Error(err)
	}
}
