package e2e

import (
	"net/http"
	"net/url"
	"strings"
	"sync"
	"testing"
	"time"
)

// machineSite takes the ids and secrets of the provider's clients, its JWTs and its
// opaque tokens.
const machineSite = `
{
	{{.Globals}}
	admit corp {
		issuer {{.Issuer}}
		audience https://api.test
		leeway 0s
		identity {
			user sub client_id
		}
		client_credentials {
			scopes read
			audience "{{.Resource}}"
		}
		introspection {
			client_id gate
			client_secret {env.CLIENT_SECRET}
		}
	}
}
{{.Site}} {
	log
	header X-Config {{.Config}}
	admit {
		require /admin/* groups admins
		header_up X-User {http.auth.user.id}
	}
	reverse_proxy {{.Upstream}}
}
`

// machineResource is for what clients want their tokens (RFC 8707). The provider
// makes JWTs of it whose audience is its origin.
const machineResource = apiAudience + "/?alg=ES256&ttl=3600"

// machine is a client of the provider that gets tokens for itself.
type machine struct {
	ID     string         `json:"client_id"`
	Secret string         `json:"client_secret"`
	Claims map[string]any `json:"claims"` // of its tokens; must not be nil
}

// enroll makes a machine known, or gives it another secret.
func (p *provider) enroll(t *testing.T, m machine) {
	t.Helper()
	p.control(t, "client", m, nil)
}

// startMachines starts a Caddy with machineSite, and the client as which it asks
// about opaque tokens.
func startMachines(t *testing.T, p *provider, u *upstream, resource string) *caddy {
	t.Helper()
	c := startCaddy(t, u, machineSite, values{"Issuer": p.issuer, "Resource": resource, "Config": "one", "env.CLIENT_SECRET": partySecret})
	p.confide(t, c)
	p.enroll(t, machine{ID: "gate", Secret: partySecret, Claims: map[string]any{}})
	return c
}

// robot is a machine whose secret needs encoding at the token endpoint (RFC 6749
// section 2.3.1), and none here.
var robot = machine{ID: "robot", Secret: "marked:secret+of%20the%2Brobot=", Claims: map[string]any{"groups": []string{"admins"}}}

// TestClientCredentials: whoever knows the id and the secret of a client of the
// provider gets in, as the client; the provider is asked once.
func TestClientCredentials(t *testing.T) {
	t.Parallel()
	p := startProvider(t, "")
	u := newUpstream(t)
	c := startMachines(t, p, u, machineResource)
	p.enroll(t, robot)
	p.enroll(t, machine{ID: "reader", Secret: "marked-secret-of-the-reader", Claims: map[string]any{}})
	in := basicRequest(robot.ID, robot.Secret)
	p.counts(t)

	t.Run("twelve at once", func(t *testing.T) {
		var wg sync.WaitGroup
		for range 12 {
			wg.Go(func() {
				a, err := c.send(in)
				if err == nil {
					err = a.isUser("robot")
				}
				if err != nil {
					t.Error(err)
				}
			})
		}
		wg.Wait()
		if got := p.counts(t); got["client_credentials success"] != 1 || len(got) != 1 {
			t.Errorf("the provider counts %v", got)
		}
		for _, seen := range u.take() {
			if token, bearer := strings.CutPrefix(seen.Header.Get("Authorization"), "Bearer "); !bearer || strings.Count(token, ".") != 2 {
				t.Error("the upstream does not see the token as Bearer")
			}
		}
	})
	t.Run("after a reload", func(t *testing.T) {
		c.reload(t, machineSite, values{"Config": "two"})
		a := c.get(t, in)
		if err := a.isUser("robot"); err != nil || a.header.Get("X-Config") != "two" {
			t.Errorf("%v, configuration %s", err, a.header.Get("X-Config"))
		}
		if got := p.counts(t); len(got) != 0 {
			t.Errorf("the provider counts %v", got)
		}
	})
	t.Run("rules", func(t *testing.T) {
		admin := in
		admin.path = "/admin/x"
		c.wantUser(t, admin, "robot")
		admin.header = basicRequest("reader", "marked-secret-of-the-reader").header
		c.wantRefusal(t, admin, 403, "rule")
	})
	t.Run("wrong", func(t *testing.T) {
		for _, secret := range []string{robot.Secret + "x", url.QueryEscape(robot.Secret), strings.ToUpper(robot.Secret)} {
			a := c.wantRefusal(t, basicRequest(robot.ID, secret), 401, "bad_client")
			if challenges := strings.Join(a.header["Www-Authenticate"], "\n"); !strings.Contains(challenges, "Basic realm=") {
				t.Errorf("challenges %q", challenges)
			}
		}
		c.wantRefusal(t, basicRequest("nobody", robot.Secret), 401, "bad_client")
		c.wantUser(t, in, "robot")
	})
	t.Run("the provider is down", func(t *testing.T) {
		p.fault("/token", func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusInternalServerError) })
		defer p.fault("/token", nil)
		c.wantUser(t, in, "robot")
		a := c.wantRefusal(t, basicRequest(robot.ID, robot.Secret+"y"), 503, "token_endpoint_unavailable")
		if a.header.Get("Retry-After") == "" {
			t.Error("no Retry-After")
		}
	})
}

// TestClientCredentialsRotated: a new secret counts at once, the old one until the
// token that it has got ends.
func TestClientCredentialsRotated(t *testing.T) {
	t.Parallel()
	p := startProvider(t, "")
	c := startMachines(t, p, newUpstream(t), apiAudience+"/?alg=ES256&ttl=4")
	p.enroll(t, robot)
	old, next := robot, robot
	next.Secret = "marked-and-new-secret-of-the-robot"
	c.wantUser(t, basicRequest(old.ID, old.Secret), "robot")
	p.enroll(t, next)
	c.wantUser(t, basicRequest(next.ID, next.Secret), "robot")
	eventually(t, 15*time.Second, "the old secret is refused", func() bool {
		a, err := c.send(basicRequest(old.ID, old.Secret))
		return err == nil && a.isRefusal(401, "bad_client") == nil
	})
	c.wantUser(t, basicRequest(next.ID, next.Secret), "robot")
}

// TestClientCredentialsResource: a token that the provider made for something else
// is worth nothing, nor is one of the wrong kind.
func TestClientCredentialsResource(t *testing.T) {
	t.Parallel()
	p := startProvider(t, "")
	c := startMachines(t, p, newUpstream(t), "https://other.test/?alg=ES256&ttl=3600")
	p.enroll(t, robot)
	c.wantRefusal(t, basicRequest(robot.ID, robot.Secret), 401, "wrong_audience")

	// What it gets may be opaque as well.
	opaque := startMachines(t, p, newUpstream(t), machineResource+"&format=opaque")
	opaque.wantUser(t, basicRequest(robot.ID, robot.Secret), "robot")
	if n := p.fetched("/token/introspection"); n != 1 {
		t.Errorf("the provider was asked about %d tokens", n)
	}
}

// TestIntrospection: opaque tokens get in as long as the provider stands by them.
func TestIntrospection(t *testing.T) {
	t.Parallel()
	p := startProvider(t, "")
	u := newUpstream(t)
	c := startMachines(t, p, u, machineResource)
	token := p.token(t, grant{opaque: true})
	if strings.Contains(token, ".") {
		t.Fatal("the token is not opaque")
	}
	asked := func() int { return p.fetched("/token/introspection") }
	for range 5 {
		c.wantUser(t, request{token: token}, "admins-cli")
	}
	c.wantUser(t, request{token: token, path: "/admin/x"}, "admins-cli")
	if asked() != 1 {
		t.Errorf("asked %d times", asked())
	}
	c.wantUser(t, request{token: p.token(t, grant{alg: "RS256"})}, "admins-cli") // a JWT of the same issuer
	if asked() != 1 {
		t.Error("asked about a JWT")
	}
	c.wantRefusal(t, request{token: p.token(t, grant{opaque: true, audience: "https://other.test"})}, 401, "wrong_audience")
	c.wantRefusal(t, request{token: p.token(t, grant{opaque: true, group: "readers"}), path: "/admin/x"}, 403, "rule")
	before := asked()
	for range 3 {
		c.wantRefusal(t, request{token: token[:len(token)-4] + "AAAA"}, 401, "inactive")
	}
	if asked() != before+1 {
		t.Errorf("asked %d times about a token that is not there", asked()-before)
	}
	before = asked()
	for _, garbage := range []string{"short", "to ken-with-a-space", strings.Repeat("A", 20_000)} {
		c.get(t, request{token: garbage})
	}
	if asked() != before {
		t.Error("asked about what cannot be a token") // threat 91
	}

	// A revoked token is remembered for a minute at most, and by this process alone.
	form := url.Values{"token": {token}, "client_id": {"admins-cli"}, "client_secret": {"admins-cli-secret-of-the-tests"}}
	resp, err := http.PostForm(p.node+"/token/revocation", form)
	if err != nil {
		t.Fatal(err)
	}
	_ = resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		t.Fatalf("revocation: %s", resp.Status)
	}
	startMachines(t, p, u, machineResource).wantRefusal(t, request{token: token}, 401, "inactive")

	p.fault("/token/introspection", func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusBadGateway) })
	c.wantRefusal(t, request{token: p.token(t, grant{opaque: true})}, 503, "token_endpoint_unavailable")
}
