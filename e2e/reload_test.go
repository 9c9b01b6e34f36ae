package e2e

import (
	"strconv"
	"testing"
	"time"
)

// TestReload reloads the configuration a dozen times while requests run: not one
// answer may be wrong, and the keys are not fetched anew.
func TestReload(t *testing.T) {
	t.Parallel()
	z := startZitadel(t, "")
	c := startCaddy(t, newUpstream(t), oneIssuer, values{"Issuer": z.URL, "Config": "0"})
	token := z.token(t)
	c.wantUser(t, request{token: token}, "sid1")

	began := time.Now()
	requests := startLoad(c, 6,
		letIn(request{token: token}, "sid1"),
		letIn(request{token: z.token(t), path: "/admin/x"}, "sid1"),
		refused(request{}, 401, "missing_credential"),
		refused(request{token: z.idToken(t)}, 401, "wrong_audience"),
		refused(request{token: replaced(t, token, "sid1", "sid2")}, 401, "bad_signature"),
		refused(request{token: unknownKid(t, token)}, 401, "unknown_key"),
		refused(request{token: "no.jwt"}, 401, "malformed_token"))
	for n := 1; n <= 12; n++ {
		config := strconv.Itoa(n)
		c.reload(t, oneIssuer, values{"Config": config})
		served := requests.sent.Load()
		eventually(t, 10*time.Second, "requests after a reload", func() bool {
			return requests.sent.Load() > served+60
		})
		if a := c.get(t, request{token: token}); a.header.Get("X-Config") != config {
			t.Errorf("configuration %q serves, want %s", a.header.Get("X-Config"), config)
		}
	}
	requests.end(t, 700)

	// The JWKS is fetched at the start, and for the unknown key after each cool-down.
	fetches := func(when string) {
		t.Helper()
		most := 1 + int(time.Since(began)/(10*time.Second))
		if d, k := z.fetched(zitadelDiscovery), z.fetched(zitadelKeys); d > 1 || k > most {
			t.Errorf("%s: discovery was fetched %d times, want 1, the JWKS %d times, want at most %d: %q", when, d, k, most, z.history(zitadelKeys))
		}
	}
	fetches("12 reloads")

	// A rule that a reload brings holds from its end on.
	const stricter = `
{
	{{.Globals}}
	admit corp {
		issuer {{.Issuer}}
		audience https://api.test
		deny user sid1
	}
}
{{.Site}} {
	admit
	reverse_proxy {{.Upstream}}
}
`
	c.reload(t, stricter, nil)
	c.wantRefusal(t, request{token: token}, 403, "denied")
	fetches("a new rule")
}
