package e2e

import (
	"net/http"
	"testing"
	"time"
)

// dueAfter is the life of the access tokens of these tests. Two renewals are further
// apart than that, see overdue.
const dueAfter = 5 * time.Second

// overdue waits until a session is due, whether it has just begun or has just been
// renewed: whatever the provider says, two renewals are ten seconds apart.
func overdue(t *testing.T) { wait(t, 10*time.Second+time.Second/2) }

func wait(t *testing.T, long time.Duration) {
	t.Helper()
	select {
	case <-time.After(long):
	case <-t.Context().Done():
	}
}

// TestLoginRenewalTogether sends fifty requests of one session at once whose access
// token has expired, to one process and to two on one storage: the provider is asked
// once, and everybody is let in. threat 69
func TestLoginRenewalTogether(t *testing.T) {
	t.Parallel()
	for name, processes := range map[string]int{"one process": 1, "two processes": 2} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			p := startProvider(t, "")
			all := startLogin(t, p, newUpstream(t), party{Grants: refreshing, TTL: int(dueAfter.Seconds())}, processes, nil)
			session := all[0].login(t, newPerson(t), "ada")
			for _, c := range all { // each process knows the session
				c.wantUser(t, request{cookie: session}, "ada")
			}
			p.counts(t)
			for round := range 2 {
				overdue(t)
				together(50, func(i int) {
					a, err := all[i%processes].send(request{cookie: session})
					if err == nil {
						err = a.isUser("ada")
					}
					if err != nil {
						t.Errorf("round %d: %v", round, err)
					}
				})
				if got := p.counts(t); got["refresh_token success"] != 1 || len(got) != 1 {
					t.Errorf("round %d: the provider counts %v", round, got)
				}
			}
		})
	}
}

// TestLoginRenewal: the rules judge what the provider says now, not what it said at
// the login; a session ends with the account. An outage of the provider ends none.
// threats 71, 72
func TestLoginRenewal(t *testing.T) {
	t.Parallel()
	p := startProvider(t, "")
	c := startLogin(t, p, newUpstream(t), party{Grants: refreshing, TTL: int(dueAfter.Seconds())}, 1, nil)[0]
	session := c.login(t, newPerson(t), "ada")
	admin := request{cookie: session, path: "/admin/x"}
	c.wantUser(t, admin, "ada")

	p.fault("/token", func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusBadGateway) })
	overdue(t)
	before := p.fetched("/token")
	for range 20 {
		c.wantUser(t, admin, "ada")
	}
	if n := p.fetched("/token") - before; n != 1 {
		t.Errorf("the provider, which is down, was asked %d times for 20 requests", n)
	}
	p.fault("/token", nil)

	p.account(t, "ada", map[string]any{"email": "ada@example.test", "groups": []string{"retired"}})
	eventually(t, 40*time.Second, "the rules see new claims", func() bool { return c.get(t, admin).status == http.StatusForbidden })
	c.wantUser(t, request{cookie: session}, "ada")

	p.account(t, "ada", nil)
	overdue(t)
	c.wantRefusal(t, request{cookie: session}, 401, "session_expired", "session_invalid", "revoked")
	c.wantRefusal(t, request{cookie: session}, 401, "session_expired", "session_invalid", "revoked")
}

// TestLoginWithoutRenewal: a session without a refresh token does not need the
// provider, and outlives the tokens of the login.
func TestLoginWithoutRenewal(t *testing.T) {
	t.Parallel()
	p := startProvider(t, "")
	c := startLogin(t, p, newUpstream(t), party{TTL: 1}, 1, nil)[0]
	session := c.login(t, newPerson(t), "ada")
	before := p.fetched("/token")
	wait(t, 2*time.Second)
	p.stop()
	c.wantUser(t, request{cookie: session, path: "/admin/x"}, "ada")
	if n := p.fetched("/token"); n != before {
		t.Errorf("%d token requests after the login", n-before)
	}
}
