package admit

import (
	"fmt"
	"net/http"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/caddyconfig"
)

// pooled returns how many uses each key set in the pool has.
func pooled() (uses []int) {
	keyPool.Range(func(key, _ any) bool {
		n, _ := keyPool.References(key)
		uses = append(uses, n)
		return true
	})
	return uses
}

// Keys outlive a reload, whether it succeeds or fails, and go when nothing uses
// them any more.
func TestKeysOutliveReload(t *testing.T) {
	key := newKey("k1", "one")
	is := newIssuer(t, key.jwk(nil))
	corp := "admit corp {\nissuer " + is.URL + "\naudience api\n%s\n}"
	t.Run("running", func(t *testing.T) {
		s := serve(t, fmt.Sprintf(corp, ""), "admit\nrespond ok")
		s.get("/", key.bearer(t, is.URL, nil)).want(t, 200, "")
		if got := fmt.Sprint(pooled()); got != "[1]" {
			t.Fatalf("uses %s", got)
		}
		is.misbehave(func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(500) })

		s.load(fmt.Sprintf(corp, "leeway 30s"), "admit\nrespond again")
		s.get("/", key.bearer(t, is.URL, nil)).want(t, 200, "")
		if n, got := is.count("/jwks"), fmt.Sprint(pooled()); n != 1 || got != "[1]" {
			t.Errorf("%d fetches, uses %s", n, got)
		}

		for name, broken := range map[string][2]string{
			"second integration":  {fmt.Sprintf(corp, "") + "\nadmit second {\nsecret {env.ADMIT_TEST_NOT_SET}\n}", "admit corp\nrespond no"},
			"integration of gate": {fmt.Sprintf(corp, ""), "admit corp\nadmit {\nissuer " + is.URL + "\naudience api\nrequire a {env.ADMIT_TEST_NOT_SET}\n}\nrespond no"},
			"gate":                {fmt.Sprintf(corp, ""), "admit corp {\nheader_up X-User {env.ADMIT_TEST_NOT_SET}\n}\nrespond no"},
			"gate with its own":   {fmt.Sprintf(corp, ""), "admit {\nissuer " + is.URL + "\naudience api\nheader_up X-User {env.ADMIT_TEST_NOT_SET}\n}\nrespond no"},
		} {
			if err := loadText(caddyfileText(s.addr, broken[0], broken[1])); err == nil {
				t.Fatalf("%s: loaded", name)
			}
			a := s.get("/", key.bearer(t, is.URL, nil))
			if got := fmt.Sprint(pooled()); a.body != "again" || got != "[1]" {
				t.Errorf("%s: after a reload that failed: %q, uses %s", name, a.body, got)
			}
		}

		s.load(secretIntegration, "admit\nrespond ok")
		if got := pooled(); got != nil {
			t.Errorf("uses %v of keys that nothing needs", got)
		}
	})
	if got := pooled(); got != nil {
		t.Errorf("uses %v after the end", got)
	}
}

// Two integrations with the same keys share them; others never do.
func TestKeysShared(t *testing.T) {
	key := newKey("k1", "one")
	is := newIssuer(t, key.jwk(nil))
	one := "issuer " + is.URL + "\naudience "
	s := serve(t, "admit a {\n"+one+"api\n}\nadmit b {\n"+one+"other\n}\nadmit c {\n"+one+"api\ninsecure_http\n}", "admit /a a\nadmit /b b\nadmit /c c\nrespond ok")
	for _, path := range []string{"/a", "/c"} {
		s.get(path, key.bearer(t, is.URL, nil)).want(t, 200, "")
	}
	s.get("/b", key.bearer(t, is.URL, nil)).want(t, 401, "wrong_audience")
	s.get("/b", key.bearer(t, is.URL, map[string]any{"aud": "other"})).want(t, 200, "")
	if got := fmt.Sprint(pooled()); got != "[2 1]" && got != "[1 2]" {
		t.Errorf("uses %s", got)
	}
	if n := is.count("/jwks"); n != 2 {
		t.Errorf("%d fetches, want 2", n)
	}
}

// threat 22: a configuration is validated without a call and without anything left
// running, and loads while its issuer is out of reach.
func TestUnreachableIssuer(t *testing.T) {
	key := newKey("k1", "one")
	is := newIssuer(t, key.jwk(nil))
	corp := "admit corp {\nissuer " + is.URL + "\naudience api\n}"
	for _, site := range [][2]string{
		{corp, "admit"},
		{"admit corp {\nissuer " + is.URL + "\nlogin {\nclient_id app\n}\n}", "admit {\nlogin\n}"},
	} {
		adapted, _, err := caddyconfig.GetAdapter("caddyfile").Adapt([]byte(caddyfileText(freeAddr(t), site[0], site[1]+"\nrespond ok")), nil)
		if err != nil {
			t.Fatal(err)
		}
		var config caddy.Config
		if err := caddy.StrictUnmarshalJSON(adapted, &config); err != nil {
			t.Fatal(err)
		}
		if err := caddy.Validate(&config); err != nil {
			t.Fatal(err)
		}
		waitForNoGoroutine(t, "admit/jwt.", "admit/oauth.", "admit/internal/outbound.")
		if got := pooled(); got != nil {
			t.Errorf("uses %v after validation", got)
		}
	}
	if n := is.count("/.well-known/openid-configuration") + is.count("/jwks"); n != 0 {
		t.Errorf("%d calls by validation", n)
	}
	is.CloseClientConnections()
	is.Close()
	s := serve(t, corp, "admit\nrespond ok")
	s.get("/").want(t, 401, "missing_credential")
	s.get("/", key.bearer(t, is.URL, nil)).want(t, 503, "keys_unavailable")
}

// waitForNoGoroutine fails if a goroutine with one of these in its stack goes on.
func waitForNoGoroutine(t *testing.T, parts ...string) {
	t.Helper()
	deadline := time.Now().Add(5 * time.Second)
	for {
		buf := make([]byte, 1<<20)
		left := ""
		for _, stack := range strings.Split(string(buf[:runtime.Stack(buf, true)]), "\n\n") {
			for _, part := range parts {
				if strings.Contains(stack, part) {
					left = stack
				}
			}
		}
		if left == "" {
			return
		}
		if time.Now().After(deadline) {
			t.Errorf("left running:\n%s", left)
			return
		}
		runtime.Gosched()
	}
}
