package e2e

import (
	"encoding/base64"
	"io"
	"net/http"
	"strings"
	"testing"
)

// TestLogHygiene puts credentials wherever a client may, with every log level on.
// The end of each test looks for them in all logs and answers; here the secrets of
// the configuration and the admin endpoint are added.
func TestLogHygiene(t *testing.T) {
	t.Parallel()
	const caddyfile = `
{
	{{.Globals}}
	admit local {
		secret text {env.HYGIENE_SECRET}
		issuer local
		audience api
		from header Authorization Bearer
		from cookie session
		from query access_token
	}
	admit away {
		issuer {{.Away}}
		audience api
	}
}
{{.Site}} {
	log
	admit local away {
		require /admin/* groups admins
		header_up X-User {http.auth.user.id}
	}
	reverse_proxy {{.Upstream}}
}
`
	const secret = "a-secret-of-32-bytes-or-more-for-hygiene"
	u := newUpstream(t)
	away := "http://127.0.0.1:" + freePort(t)
	c := startCaddy(t, u, caddyfile, values{"env.HYGIENE_SECRET": secret, "Away": away})
	c.sent.add(secret, hexOf(secret))
	sign := func(claims string) string { return hs256Token(claims, []byte(secret)) }
	good := sign(`{"sub":"ada","iss":"local","aud":"api","exp":99999999999}`)
	for _, token := range []string{
		good,
		sign(`{"sub":"old","iss":"local","aud":"api","exp":1}`),
		sign(`{"sub":"far","iss":"` + away + `","aud":"api","exp":99999999999}`),
		sign(`{"sub":"who","iss":"nobody-at-all","aud":"api","exp":99999999999}`),
		sign(`{"sub":"who","iss":"local`),
		hs256Token(`{"sub":"eve","iss":"local","aud":"api","exp":99999999999}`, []byte("another-secret-of-32-bytes-or-more")),
		"not-a-token-but-a-long-opaque-text",
		"e30.this-part-is-no-base64url=.signature-part-here",
		strings.Repeat("x", 17<<10),
	} {
		for _, r := range []request{
			{token: token},
			{token: token, path: "/admin/x"},
			{cookie: "session=" + token},
			{header: http.Header{"Authorization": {"Basic " + token}}},
			{header: http.Header{"Authorization": {"Bearer " + token, "Bearer " + token}}},
			{header: http.Header{"Authorization": {"Bearer " + token + " " + token}}},
		} {
			if a, err := c.send(r); err == nil && a.status == 200 && token != good {
				t.Errorf("let in: %+v", r)
			}
		}
	}
	c.wantUser(t, request{token: good}, "ada")

	// Caddy's access log prints the query; the gate's own must not, nor the upstream see it.
	u.take()
	input := encoded(`{"typ":"at+jwt","alg":"HS256"}`, `{"sub":"query","iss":"local","aud":"api","exp":99999999998}`)
	inQuery := input + "." + base64.RawURLEncoding.EncodeToString(hs256(input, []byte(secret)))
	resp, err := c.client.Get(c.URL + "/q?a=1&access_token=" + inQuery + "&b=2")
	if err != nil {
		t.Fatal(err)
	}
	_ = resp.Body.Close()
	if got := u.only(t); resp.StatusCode != 200 || got.URI != "/q?a=1&b=2" {
		t.Errorf("a token in the query: %s, the upstream got %s", resp.Status, got.URI)
	}
	for line := range strings.Lines(c.logs.String()) {
		if strings.Contains(line, inQuery) && !strings.Contains(line, `"logger":"http.log.access`) {
			t.Errorf("another log than Caddy's access log has the token of the query: %s", line)
		}
	}

	for _, path := range []string{"/config/", "/config/apps/admit"} {
		resp, err := http.Get("http://" + c.admin + path)
		if err != nil {
			t.Fatal(err)
		}
		config, _ := io.ReadAll(resp.Body)
		_ = resp.Body.Close()
		if !strings.Contains(string(config), "{env.HYGIENE_SECRET}") {
			t.Errorf("%s does not show the placeholder: %s", path, config)
		}
		_, _ = c.answers.Write(config)
	}
	if n := len(c.logs.entries("http.handlers.admit")); n < 20 {
		t.Errorf("only %d log entries of the gate: there was little to look through", n)
	}
}

func hexOf(text string) string {
	const digits = "0123456789abcdef"
	var out strings.Builder
	for i := range len(text) {
		out.WriteByte(digits[text[i]>>4])
		out.WriteByte(digits[text[i]&15])
	}
	return out.String()
}
