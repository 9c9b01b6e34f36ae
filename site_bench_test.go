package admit

import (
	"encoding/json"
	"fmt"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/caddy-admit/admit/oauth"
)

// BenchmarkSite measures a request on its way through all of Caddy's server, without
// the kernel: with no gate, and with one. The difference is what the gate costs, with
// what it makes the server do.
func BenchmarkSite(b *testing.B) {
	key := newKey("k", "bench")
	global := "\tadmit corp {\n\t\tissuer https://corp.example\n\t\tjwks " + testKeysFile(b, key) + "\n\t\taudience api\n\t}\n"
	gate := "\tadmit corp {\n\t\trequire groups staff\n\t\theader_up X-User {http.auth.user.id}\n\t\theader_up X-Email {http.auth.user.claims.email}\n\t}\n"
	tokens := make([]string, 10_000)
	for n := range tokens {
		tokens[n] = "Authorization: Bearer " + benchToken(b, key, object{
			"iss": "https://corp.example", "sub": fmt.Sprint("248289761", n), "aud": "api", "exp": time.Now().Add(time.Hour).Unix(), "iat": time.Now().Unix(),
			"email": "ada@example.com", "email_verified": true, "groups": []string{"dev", "staff", "ops"}, "scope": "openid profile email",
			"pad": strings.Repeat("x", 250), // to 800 bytes
		}) + "\r\n"
	}
	const secret = "secret 0123456789abcdef0123456789abcdef"
	login := "\tstorage admit_test site\n\tadmit corp {\n\t\tissuer https://corp.example\n\t\tlogin {\n\t\t\tclient_id bench\n\t\t\tclient_secret bench\n\t\t}\n" +
		"\t\tsession {\n\t\t\tsecret \"" + secret + "\"\n\t\t}\n\t}\n"
	none, logged := []string{""}, []string{"Cookie: " + benchSession(b, secret) + "\r\n"}
	for _, bc := range []struct {
		name, global, gate string
		headers            []string
		status             string
	}{
		{"without a gate, no credential", "", "", none, "200"},
		{"no credential", global, gate, none, "401"},
		{"without a gate, token", "", "", tokens[:1], "200"},
		{"hit", global, gate, tokens[:1], "200"},
		{"without a gate, 10,000 tokens", "", "", tokens, "200"},
		{"hit, 10,000 tokens", global, gate, tokens, "200"},
		{"without a gate, session", "", "", logged, "200"},
		{"session", login, gate, logged, "200"},
	} {
		b.Run(bc.name, func(b *testing.B) {
			wire := serveWire(b, "{\n\tauto_https off\n"+bc.global+"}\nhttp://localhost:1 {\n"+bc.gate+"\trespond 200\n}\n")
			var requests [][]byte
			for _, header := range bc.headers {
				request := []byte("GET /some/path?x=1 HTTP/1.1\r\nHost: localhost\r\nUser-Agent: bench\r\nAccept: */*\r\n" + header + "\r\n")
				if answer := wire.ask(request); string(answer[9:12]) != bc.status {
					b.Fatalf("%s", answer)
				}
				requests = append(requests, request)
			}
			b.ReportAllocs()
			b.ResetTimer()
			for n := range b.N {
				wire.ask(requests[n%len(requests)])
			}
		})
	}
}

// benchSession returns the cookie of a session that lies in it, of 1.5 KB, as the gate
// of the benchmark makes it.
func benchSession(b *testing.B, secret string) string {
	b.Helper()
	sessions, err := oauth.NewSessions(oauth.SessionConfig{
		Integration: "corp", Issuer: "https://corp.example", ClientID: "bench", Cookie: "__Host-admit-corp",
		Idle: defaultIdle, Max: defaultMax, Store: "cookie", Secrets: [][]byte{[]byte(secret)},
	}, nil, time.Now)
	if err != nil {
		b.Fatal(err)
	}
	set, err := json.Marshal(object{
		"iss": "https://corp.example", "sub": "248289761001", "aud": "bench", "exp": time.Now().Add(time.Hour).Unix(), "iat": time.Now().Unix(),
		"email": "ada@example.com", "email_verified": true, "groups": []string{"dev", "staff", "ops"}, "pad": strings.Repeat("x", 850),
	})
	if err != nil {
		b.Fatal(err)
	}
	w := httptest.NewRecorder()
	if err := sessions.Start(b.Context(), w, httptest.NewRequest("GET", "/", nil), &oauth.Session{User: "248289761001", Claims: set}); err != nil {
		b.Fatal(err)
	}
	cookie := w.Result().Cookies()[0]
	return cookie.Name + "=" + cookie.Value
}
