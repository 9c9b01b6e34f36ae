package e2e

import (
	"strconv"
	"testing"
	"time"
)

// TestProviderStops takes the issuer away: the last good keys go on working.
func TestProviderStops(t *testing.T) {
	t.Parallel()
	p := startProvider(t, "")
	c := startCaddy(t, newUpstream(t), oneIssuer, values{"Issuer": p.URL, "Config": "one"})
	token, reader := p.token(t, grant{}), p.token(t, grant{group: "readers", alg: "EdDSA"})
	c.wantUser(t, request{token: token}, "admins-cli")
	fetched := time.Now()

	p.end(t)
	unknown := request{token: unknownKid(t, token)}
	requests := startLoad(c, 3,
		letIn(request{token: token}, "admins-cli"),
		letIn(request{token: reader}, "readers-cli"),
		refused(request{token: reader, path: "/admin/x"}, 403, "rule"),
		refused(request{token: replaced(t, token, "admins-cli", "owners-cli")}, 401, "bad_signature"),
		refused(unknown, 401, "unknown_key"))
	// After the cool-down the unknown key makes the gate ask again, in vain.
	eventually(t, 2*coolDown, "the cool-down is over", func() bool { return time.Since(fetched) > coolDown+time.Second })
	c.reload(t, oneIssuer, values{"Config": "two"})
	before := requests.sent.Load()
	eventually(t, 10*time.Second, "requests after a reload", func() bool { return requests.sent.Load() > before+100 })
	requests.end(t, 200)
}

// TestCaddyFirst starts Caddy before there is an issuer.
func TestCaddyFirst(t *testing.T) {
	t.Parallel()
	address := "127.0.0.1:" + freePort(t)
	early := startZitadel(t, address)
	old := early.token(t)
	early.stop()

	c := startCaddy(t, newUpstream(t), oneIssuer, values{"Issuer": early.URL, "Config": "one"})
	a := c.wantRefusal(t, request{token: old}, 503, "keys_unavailable")
	if seconds, err := strconv.Atoi(a.header.Get("Retry-After")); err != nil || seconds < 1 || seconds > 60 {
		t.Errorf("Retry-After %q", a.header.Get("Retry-After"))
	}
	c.wantRefusal(t, request{}, 401, "missing_credential")

	late := startZitadel(t, address)
	token := late.token(t)
	began := time.Now()
	eventually(t, 35*time.Second, "the new issuer's token gets in", func() bool {
		a := c.get(t, request{token: token})
		if a.status != 200 && a.isRefusal(503, "keys_unavailable") != nil {
			t.Fatalf("got %d %q", a.status, a.problem.Reason)
		}
		return a.status == 200
	})
	t.Logf("let in %v after the issuer came up", time.Since(began).Round(10*time.Millisecond))
	c.wantUser(t, request{token: token}, "sid1")
	c.wantRefusal(t, request{token: old}, 401, "unknown_key")
}

// TestSlowProvider lets the JWKS hang: who has a known key does not wait for it.
func TestSlowProvider(t *testing.T) {
	t.Parallel()
	z := startZitadel(t, "")
	c := startCaddy(t, newUpstream(t), oneIssuer, values{"Issuer": z.URL, "Config": "one"})
	token := z.token(t)
	c.wantUser(t, request{token: token}, "sid1")

	z.fault(zitadelKeys, z.hang)
	unknown := request{token: unknownKid(t, token)}
	waiting := make(chan error, 1)
	eventually(t, 2*coolDown, "an unknown key makes the gate ask for the JWKS", func() bool {
		go func() {
			a, err := c.send(unknown)
			if err == nil {
				err = a.isRefusal(401, "unknown_key")
			}
			select {
			case waiting <- err:
			default:
			}
		}()
		return z.fetched(zitadelKeys) > 1
	})
	known := startLoad(c, 3, letIn(request{token: token}, "sid1"))
	began := time.Now()
	eventually(t, 10*time.Second, "requests with a known key", func() bool { return known.sent.Load() >= 300 })
	if took := time.Since(began); took > 5*time.Second {
		t.Errorf("300 requests with a known key took %v", took)
	}
	known.end(t, 300)
	select {
	case err := <-waiting:
		if err != nil {
			t.Error("a token of an unknown key: ", err)
		}
	case <-time.After(15 * time.Second):
		t.Error("a token of an unknown key had no answer within 15s")
	}
	if n := z.fetched(zitadelKeys); n != 2 {
		t.Errorf("the JWKS was fetched %d times, want 2: once when it worked and once that hangs", n)
	}
}
