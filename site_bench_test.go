package admit

import (
	"testing"
	"time"
)

// BenchmarkSite measures a request on its way through all of Caddy's server, without
// the kernel: with no gate, and with one. The difference is what the gate costs, with
// what it makes the server do.
func BenchmarkSite(b *testing.B) {
	key := newKey("k", "bench")
	global := "\tadmit corp {\n\t\tissuer https://corp.example\n\t\tjwks " + testKeysFile(b, key) + "\n\t\taudience api\n\t}\n"
	gate := "\tadmit corp {\n\t\trequire groups staff\n\t\theader_up X-User {http.auth.user.id}\n\t\theader_up X-Email {http.auth.user.claims.email}\n\t}\n"
	good := "Authorization: Bearer " + benchToken(b, key, object{
		"iss": "https://corp.example", "sub": "248289761001", "aud": "api", "exp": time.Now().Add(time.Hour).Unix(), "iat": time.Now().Unix(),
		"email": "ada@example.com", "email_verified": true, "groups": []string{"dev", "staff", "ops"}, "scope": "openid profile email",
	}) + "\r\n"
	for _, bc := range []struct{ name, global, gate, header, status string }{
		{"without a gate, no credential", "", "", "", "200"},
		{"no credential", global, gate, "", "401"},
		{"without a gate, token", "", "", good, "200"},
		{"hit", global, gate, good, "200"},
	} {
		b.Run(bc.name, func(b *testing.B) {
			wire := serveWire(b, "{\n\tauto_https off\n"+bc.global+"}\nhttp://localhost:1 {\n"+bc.gate+"\trespond 200\n}\n")
			request := []byte("GET /some/path?x=1 HTTP/1.1\r\nHost: localhost\r\nUser-Agent: bench\r\nAccept: */*\r\n" + bc.header + "\r\n")
			if answer := wire.ask(request); string(answer[9:12]) != bc.status {
				b.Fatalf("%s", answer)
			}
			b.ReportAllocs()
			b.ResetTimer()
			for range b.N {
				wire.ask(request)
			}
		})
	}
}
