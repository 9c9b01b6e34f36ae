package e2e

import (
	"fmt"
	"testing"
	"time"
)

// coolDown is how long after a fetch an unknown kid causes no other, and some.
const coolDown = 10*time.Second + 500*time.Millisecond

// TestRotation rotates the issuer's keys while requests run. Once the cool-down of
// the first fetch is over, a token of a new key is right at its first use.
func TestRotation(t *testing.T) {
	t.Parallel()
	for _, keep := range []bool{true, false} {
		t.Run(fmt.Sprintf("keep=%t", keep), func(t *testing.T) {
			t.Parallel()
			p := startProvider(t, "")
			c := startCaddy(t, newUpstream(t), oneIssuer, values{"Issuer": p.URL, "Config": "one"})
			oldRSA, oldEC := p.token(t, grant{}), p.token(t, grant{alg: "ES256", group: "readers"})
			c.wantUser(t, request{token: oldRSA}, "admins-cli")
			fetched := time.Now()

			old := startLoad(c, 2, letIn(request{token: oldRSA}, "admins-cli"), letIn(request{token: oldEC}, "readers-cli"))
			eventually(t, 2*coolDown, "the cool-down is over", func() bool { return time.Since(fetched) > coolDown })
			p.rotate(t, keep)
			if !keep {
				old.end(t, 100) // they are good only until the new keys are there
			}
			newRSA, newEC := p.token(t, grant{}), p.token(t, grant{alg: "ES256", group: "readers"})
			fresh := startLoad(c, 4, letIn(request{token: newRSA}, "admins-cli"), letIn(request{token: newEC}, "readers-cli"))
			eventually(t, 10*time.Second, "requests with new keys", func() bool { return fresh.sent.Load() > 400 })
			fresh.end(t, 400)
			if keep {
				old.end(t, 100)
			} else {
				c.wantRefusal(t, request{token: oldRSA}, 401, "unknown_key")
				c.wantRefusal(t, request{token: oldEC}, 401, "unknown_key")
			}

			// A flood of unknown keys does not become a flood of fetches.
			before := p.fetched(providerKeys)
			unknown := request{token: unknownKid(t, newRSA)}
			flood := startLoad(c, 4, refused(unknown, 401, "unknown_key"))
			eventually(t, 10*time.Second, "requests with an unknown key", func() bool { return flood.sent.Load() > 300 })
			flood.end(t, 300)
			if n := p.fetched(providerKeys); before != 2 || n > before+1 {
				t.Errorf("the JWKS was fetched %d times, then %d for unknown keys; want 2, then at most one", before, n-before)
			}
		})
	}
}
