package e2e

import (
	"strings"
	"testing"
)

// TestHarness starts Caddy without a gate: everything must reach the upstream, or
// the refusals of the other tests would prove nothing.
func TestHarness(t *testing.T) {
	t.Parallel()
	const caddyfile = `
{
	{{.Globals}}
}
{{.Site}} {
	header X-Config {{.Config}}
	reverse_proxy {{.Upstream}}
}
`
	u := newUpstream(t)
	c := startCaddy(t, u, caddyfile, values{"Config": "one"})
	for _, config := range []string{"one", "two"} {
		c.reload(t, caddyfile, values{"Config": config})
		a := c.get(t, request{path: "/some/path?a=b", token: "not.a.token"})
		if a.status != 200 || a.header.Get("X-Config") != config || a.header.Get("Seen-User") != "" {
			t.Errorf("%s: got %d %v", config, a.status, a.header)
		}
		if got := u.only(t); got.URI != "/some/path?a=b" || got.Header.Get("Authorization") != "Bearer not.a.token" {
			t.Errorf("the upstream got %+v", got)
		}
	}
	if len(c.logs.entries("admin")) == 0 {
		t.Error("no log entries of the admin endpoint")
	}
	said := refusedConfig(t, "{\n\t{{.Globals}}\n}\n{{.Site}} {\n\tno_such_directive\n}\n", nil)
	if !strings.Contains(said, "no_such_directive") {
		t.Errorf("a refused configuration: %s", said)
	}
}

// TestRealIssuers gets a token of each issuer, without Caddy.
func TestRealIssuers(t *testing.T) {
	t.Parallel()
	z := startZitadel(t, "")
	for name, token := range map[string]string{"access": z.token(t), "ID": z.idToken(t)} {
		if strings.Count(token, ".") != 2 {
			t.Errorf("zitadel/oidc: the %s token is no JWT: %q", name, token)
		}
	}
	p := startProvider(t, "")
	old := p.token(t, grant{})
	p.rotate(t, true)
	if header := func(token string) string { h, _, _ := strings.Cut(token, "."); return h }; header(old) == header(p.token(t, grant{})) {
		t.Error("oidc-provider signs with the old key after a rotation")
	}
}
