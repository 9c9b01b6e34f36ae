package admit

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/caddy-admit/admit/claims"
	"github.com/caddy-admit/admit/jwt"
)

// asserted checks an assertion as an application does: with the keys of the gate, its
// issuer, its audience.
func (f *front) asserted(raw, issuer, audience string) *claims.Set {
	f.t.Helper()
	set, _, err := jwt.ParseKeySet([]byte(f.ask("GET", "localhost", "/oauth2/jwks").body))
	if err != nil {
		f.t.Fatal(err)
	}
	v, err := jwt.NewVerifier(jwt.Policy{
		Issuers: []string{issuer}, Audience: []string{audience}, AudienceClaims: []claims.Path{claims.MustPath("aud")},
		Algorithms: []string{"ES256"}, Types: []string{"admit-assertion+jwt"}, MaxAge: time.Minute,
	}, jwt.StaticKeys(set), now)
	if err != nil {
		f.t.Fatal(err)
	}
	token, err := jwt.Parse(raw)
	if err != nil {
		f.t.Fatalf("%q: %v", raw, err)
	}
	if err := v.Verify(f.t.Context(), token); err != nil {
		f.t.Fatalf("%s: %v", token.Claims.Bytes(), err)
	}
	return token.Claims
}

const assertionGate = "admit {\noptional\nbypass /free/*\nassertion X-Assertion\n}\n"

// The application can tell from an assertion who it is, and that the gate says so. The
// header is the gate's alone (threat 36).
func TestAssertion(t *testing.T) {
	f, disk := serveHome(t, secretIntegration, assertionGate+upstream(t))
	const site = "http://localhost"
	who := bearer(t, object{"sub": "ädä", "groups": []string{"staff", "a,b"}})
	first := f.ask("GET", "localhost", "/x", who, "X-Assertion: forged").seen(t).Header["X-Assertion"]
	if len(first) != 1 {
		t.Fatalf("seen %q", first)
	}
	set := f.asserted(first[0], site, "localhost")
	var groups []string
	_ = json.Unmarshal(set.Get("groups").JSON(), &groups)
	if !set.Get("sub").Equal("ädä") || !slices.Equal(groups, []string{"staff", "a,b"}) || !set.Get("integration").Equal("local") || set.Get("jti").String() == "" {
		t.Errorf("claims %s", set.Bytes())
	}
	iat, _ := set.Get("iat").Number()
	if exp, _ := set.Get("exp").Number(); exp-iat != 60 {
		t.Errorf("good for %v s", exp-iat)
	}
	// It is signed once for many requests, and anew for others, another host, or later.
	asked := disk.total()
	again := func(host, who string) string { return f.ask("GET", host, "/x", who).seen(t).Header.Get("X-Assertion") }
	if again("localhost", who) != first[0] {
		t.Error("signed anew")
	}
	other := again("localhost", bearer(t, object{"sub": "ädä", "groups": []string{"staff,a", "b"}}))
	if set := f.asserted(other, site, "localhost"); string(set.Get("groups").JSON()) != `["staff,a","b"]` {
		t.Errorf("claims %s", set.Bytes())
	}
	f.asserted(again("LOCALHOST", who), strings.Replace(site, "localhost", "LOCALHOST", 1), "localhost")
	if got := disk.total(); got != asked {
		t.Errorf("the storage was asked %d times more", got-asked)
	}
	forward(t, 31*time.Second)
	later := again("localhost", who)
	if later == first[0] {
		t.Error("an old one")
	}
	f.asserted(later, site, "localhost")
	// Nobody: no header.
	for _, target := range []string{"/x", "/free/x"} {
		if got := f.ask("GET", "localhost", target, "X-Assertion: "+first[0], "X_Assertion: y").seen(t).Header; got["X-Assertion"] != nil || got["X_assertion"] != nil {
			t.Errorf("%s: %v", target, got)
		}
	}
}

// An assertion is no token, not even for a gate that trusts the keys, the issuer and
// the audience (threat 27).
func TestAssertionIsNoToken(t *testing.T) {
	f, _ := serveHome(t, secretIntegration, assertionGate+upstream(t))
	const site = "http://localhost"
	made := f.ask("GET", "localhost", "/x", bearer(t, nil)).seen(t).Header.Get("X-Assertion")
	f.asserted(made, site, "localhost")
	keys := filepath.Join(t.TempDir(), "keys.json")
	if err := os.WriteFile(keys, []byte(f.ask("GET", "localhost", "/oauth2/jwks").body), 0o600); err != nil {
		t.Fatal(err)
	}
	integration := func(types string) string {
		return secretIntegration + "\nadmit loop {\nissuer " + site + "\njwks " + keys + "\naudience localhost\n" + types + "}\n" +
			homeIntegration(t, "home", "tokens {\nissuer "+site+"/home\naudience localhost\nsign ES256\n}")
	}
	gate := "admit local loop home {\nassertion X-Assertion\n}\n" + upstream(t)
	f.reload(integration(""), gate)
	f.ask("GET", "localhost", "/x", "Authorization: Bearer "+made).want(t, 401, "wrong_type")
	f.reload(integration("types admit-assertion+jwt\n"), gate)
	f.ask("GET", "localhost", "/x", "Authorization: Bearer "+made).want(t, 200, "")
}

// Keys lie in the storage and nowhere else: out of reach is 503.
func TestAssertionStorage(t *testing.T) {
	f, disk := serveHome(t, secretIntegration, "admit {\nassertion X-Assertion https://app.example.com\npublic_url https://www.example.com\n}\n"+upstream(t))
	disk.fail("load", "store")
	a := f.ask("GET", "localhost", "/x", bearer(t, nil))
	a.want(t, 503, "storage_unavailable")
	if a.Header.Get("Retry-After") == "" {
		t.Errorf("header %v", a.Header)
	}
	f.ask("GET", "localhost", "/oauth2/jwks").want(t, 503, "storage_unavailable")
	f.ask("GET", "localhost", "/x").want(t, 401, "missing_credential")
	disk.fail()
	forward(t, 2*time.Second)
	made := f.ask("GET", "localhost", "/x", bearer(t, nil)).seen(t).Header.Get("X-Assertion")
	f.asserted(made, "https://www.example.com", "https://app.example.com")
}

func TestAssertionAtLoad(t *testing.T) {
	for gate, want := range map[string]string{
		"assertion X-A\nheader_up X-A {http.auth.user.id}": "assertion X-A: header_up or forward sets that header",
		"forward token X-A\nassertion x-a":                 "assertion X-A: header_up or forward sets that header",
		"assertion Authorization":                          `assertion "Authorization": not the name of a header for an assertion`,
		"assertion Cookie":                                 `assertion "Cookie": not the name of a header for an assertion`,
		"assertion X-Key":                                  "assertion X-Key: clients send their credential in that header",
	} {
		if err := loadError(t, everywhere, "admit {\n"+gate+"\n}"); !strings.Contains(err, want) {
			t.Errorf("%s: %v", gate, err)
		}
	}
}

// What is remembered is bounded, and not for long.
func TestAssertionsRemembered(t *testing.T) {
	var a assertions
	at := time.Unix(1_700_000_000, 0)
	remember := func(key string) {
		if _, ok := a.get(key, at); !ok {
			a.put(key, "made "+key)
		}
	}
	knows := func(key string) bool { made, ok := a.get(key, at); return ok && made == "made "+key }
	remember("a")
	for _, tc := range []struct {
		later time.Duration
		knows bool
	}{{14 * time.Second, true}, {15 * time.Second, true}, {15 * time.Second, false}} {
		at = at.Add(tc.later)
		if knows("a") != tc.knows {
			t.Errorf("%v later: %v", tc.later, !tc.knows)
		}
	}
	remember("b")
	at = at.Add(-time.Second)
	if knows("b") {
		t.Error("one from the future")
	}
	for i := range 3 * maxAssertions {
		remember(fmt.Sprint(i))
	}
	if !knows(fmt.Sprint(3*maxAssertions-1)) || knows("0") {
		t.Error("not bounded")
	}
}
