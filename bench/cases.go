package main

import (
	"fmt"
	"strings"
)

// scenario is a way to use a gate, to be compared with Caddy without one that
// answers the same requests.
type scenario struct {
	name      string
	caddyfile string
	bare      string
	requests  [][]byte
	want      int
	// prepare, if not nil, makes the requests once the server runs.
	prepare func(address string) ([][]byte, error)
}

// site is a whole Caddyfile: global options, and what the site does.
func site(global, directives string) string {
	return "{\n\tadmin off\n\tauto_https off\n\tpersist_config off\n\tlog default {\n\t\tlevel WARN\n\t}\n" + global + "}\n" +
		"http://localhost:PORT {\n\tbind 127.0.0.1\n" + directives + "}\n"
}

const (
	respond = "\trespond 200\n"
	proxy   = "\treverse_proxy UPSTREAM\n"
	// refusal is Caddy's own way to send what a gate sends to those without a credential.
	refusal = "\theader {\n\t\tCache-Control no-store\n\t\tContent-Type application/problem+json\n\t\tWWW-Authenticate `Bearer realm=\"localhost\"`\n\t\tX-Content-Type-Options nosniff\n\t}\n" +
		"\trespond `{\"title\":\"Unauthorized\",\"status\":401,\"reason\":\"missing_credential\"}` 401\n"
	// gate has a rule and two identity headers.
	gate = "\tadmit corp {\n\t\trequire groups staff\n\t\theader_up X-User {http.auth.user.id}\n\t\theader_up X-Email {http.auth.user.claims.email}\n\t}\n"
)

// corp is an integration with the keys of the bench.
func corp(folder string, more ...string) string {
	return "\tadmit corp {\n\t\tissuer " + issuer + "\n\t\tjwks " + folder + "/jwks.json\n\t\taudience " + audience + "\n\t\t" +
		strings.Join(more, "\n\t\t") + "\n\t}\n"
}

// request is what a client sends, with further header lines.
func request(lines ...string) []byte {
	head := "GET /some/path?x=1 HTTP/1.1\r\nHost: localhost\r\nUser-Agent: bench\r\nAccept: */*\r\n"
	return []byte(head + strings.Join(append(lines, "\r\n"), "\r\n"))
}

func bearer(token string) []byte { return request("Authorization: Bearer " + token) }

// many makes requests with different tokens.
func many(n int, token func(number int) string) (requests [][]byte) {
	for number := range n {
		requests = append(requests, bearer(token(number)))
	}
	return requests
}

// scenarios lists what is compared.
func scenarios(folder string, signers map[string]*signer, idp *provider) []scenario {
	rs := signers["RS256"]
	bare, gated := site("", respond), site(corp(folder), gate+respond)
	one := [][]byte{bearer(rs.token(1, nil))}
	fresh := func(n int) string { return rs.token(n, nil) }
	all := []scenario{
		{name: "one token", caddyfile: gated, bare: bare, requests: one, want: 200},
		{name: "10,000 tokens", caddyfile: gated, bare: bare, requests: many(10_000, fresh), want: 200},
		{name: "one token, proxied", caddyfile: site(corp(folder), gate+proxy), bare: site("", proxy), requests: one, want: 200},
		{name: "session cookie", caddyfile: idp.site(), bare: bare, want: 200, prepare: idp.signIn},
		{name: "no credential", caddyfile: gated, bare: bare, requests: [][]byte{request()}, want: 401},
		{name: "the same answer without a gate", caddyfile: site("", refusal), bare: bare, requests: [][]byte{request()}, want: 401},
		{name: "bad signature", caddyfile: gated, bare: bare, requests: many(2000, rs.broken), want: 401},
		{name: "expired", caddyfile: gated, bare: bare, requests: many(2000, func(n int) string { return rs.token(n, map[string]any{"exp": 1}) }), want: 401},
		{name: "wrong audience", caddyfile: gated, bare: bare, requests: many(2000, func(n int) string { return rs.token(n, map[string]any{"aud": "other"}) }), want: 401},
		{name: "50 integrations, 200 rules", caddyfile: large(folder), bare: bare, requests: one, want: 200},
	}
	for _, alg := range []string{"HS256", "RS256", "EdDSA", "ES256"} {
		keys := corp(folder, "cache off")
		if alg == "HS256" {
			keys = "\tadmit corp {\n\t\tissuer " + issuer + "\n\t\tsecret " + secret + "\n\t\taudience " + audience + "\n\t\tcache off\n\t}\n"
		}
		all = append(all, scenario{
			name: "cold " + alg, caddyfile: site(keys, gate+respond), bare: bare, want: 200,
			requests: [][]byte{bearer(signers[alg].token(1, nil))},
		})
	}
	return all
}

// large is a gate of many integrations and rules. The token belongs to the last
// integration, and every rule has to be looked at.
func large(folder string) string {
	var global, lines strings.Builder
	names := make([]string, 0, 50)
	for n := range 49 {
		name := fmt.Sprintf("other%d", n)
		names = append(names, name)
		fmt.Fprintf(&global, "\tadmit %s {\n\t\tissuer https://%s.bench.example\n\t\tjwks %s/jwks.json\n\t\taudience %s\n\t}\n", name, name, folder, audience)
	}
	global.WriteString(corp(folder))
	fmt.Fprintf(&lines, "\tadmit %s corp {\n", strings.Join(names, " "))
	for n := range 100 {
		fmt.Fprintf(&lines, "\t\tdeny sub banned-%d\n\t\trequire /area%d/* groups area%d\n", n, n, n)
	}
	lines.WriteString("\t\theader_up X-User {http.auth.user.id}\n\t\theader_up X-Email {http.auth.user.claims.email}\n\t}\n")
	return site(global.String(), lines.String()+respond)
}
