package admit

import (
	"strings"
	"testing"
)

// DESIGN 1.2, "Several integrations", the choice among them.
//
// threat 26: a token goes to the integration whose issuer it names, and the keys
// of one never vouch for another, whatever the key ids are.
func TestSeveralIntegrations(t *testing.T) {
	one, two := newKey("same", "one"), newKey("same", "two")
	a, b := newIssuer(t, one.jwk(nil)), newIssuer(t, two.jwk(nil))
	secretOnly := "0123456789abcdef0123456789abcde2"
	s := serve(t, `
		admit a {
			issuer `+a.URL+`
			audience api
			deny user mallory
		}
		admit b {
			issuer `+b.URL+`
			audience api
			identity {
				user name
			}
		}
		admit c {
			secret `+testSecret+`
			issuer local
		}
		admit d {
			secret `+secretOnly+`
		}`, `
		admit a b c d {
			require /only-a integration a
		}
		respond "{http.auth.user.integration} {http.auth.user.id}"`)
	hs := func(secret string, more map[string]any) string {
		return "Authorization: Bearer " + sign(t, secret, good(more))
	}
	for _, tc := range []struct {
		name, path, header string
		status             int
		want               string // the integration and the user, or the reason
	}{
		{"of a", "/", one.bearer(t, a.URL, nil), 200, "a ada"},
		{"of b", "/", two.bearer(t, b.URL, map[string]any{"name": "bea"}), 200, "b bea"},
		{"of b, without the claim of its user", "/", two.bearer(t, b.URL, nil), 401, "no_identity"},
		{"b's key in the name of a", "/", two.bearer(t, a.URL, nil), 401, "bad_signature"},
		{"a's key in the name of b", "/", one.bearer(t, b.URL, map[string]any{"name": "bea"}), 401, "bad_signature"},
		{"a's key, unknown issuer", "/", one.bearer(t, "https://evil.example", nil), 401, "unsupported_algorithm"},
		{"a's key, no issuer", "/", one.bearer(t, "", map[string]any{"iss": nil}), 401, "unsupported_algorithm"},
		{"secret with an issuer", "/", hs(testSecret, map[string]any{"iss": "local"}), 200, "c ada"},
		{"that secret, another issuer", "/", hs(testSecret, map[string]any{"iss": "x"}), 401, "bad_signature"},
		{"that secret in the name of a", "/", hs(testSecret, map[string]any{"iss": a.URL}), 401, "unsupported_algorithm"},
		{"secret without an issuer", "/", hs(secretOnly, nil), 200, "d ada"},
		{"any issuer that nobody has", "/", hs(secretOnly, map[string]any{"iss": "x"}), 200, "d ada"},
		{"never for one that somebody has", "/", hs(secretOnly, map[string]any{"iss": "local"}), 401, "bad_signature"},
		{"nor for a", "/", hs(secretOnly, map[string]any{"iss": a.URL}), 401, "unsupported_algorithm"},
		{"rule on the integration", "/only-a", one.bearer(t, a.URL, nil), 200, "a ada"},
		{"another integration", "/only-a", two.bearer(t, b.URL, map[string]any{"name": "bea"}), 403, "rule"},
		{"denied at a", "/", one.bearer(t, a.URL, map[string]any{"sub": "mallory"}), 403, "denied"},
		{"not denied at b", "/", two.bearer(t, b.URL, map[string]any{"name": "mallory"}), 200, "b mallory"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			got := s.get(tc.path, tc.header)
			if tc.status == 200 {
				got.want(t, 200, "")
				if got.body != tc.want {
					t.Errorf("got %q, want %q", got.body, tc.want)
				}
				return
			}
			got.want(t, tc.status, tc.want)
		})
	}
}

// DESIGN 1.2, "Several integrations".
//
// threat 26: those without an issuer are tried in their order; one that is out of
// reach weighs more than what another denies.
func TestIntegrationsInOrder(t *testing.T) {
	one, two, three := newKey("1", "one"), newKey("2", "two"), newKey("3", "three")
	a, b := newIssuer(t, one.jwk(nil)), newIssuer(t, two.jwk(nil))
	s := serve(t, "admit a {\njwks "+a.URL+"/jwks\naudience api\n}\nadmit b {\njwks "+b.URL+"/jwks\naudience api\n}",
		"admit b a\nrespond {http.auth.user.integration}")
	for key, want := range map[*testKey]string{&one: "a", &two: "b"} {
		if got := s.get("/", key.bearer(t, "x", nil)); got.body != want {
			t.Errorf("got %d %q, want %s", got.StatusCode, got.body, want)
		}
	}
	s.get("/", three.bearer(t, "x", nil)).want(t, 401, "unknown_key")
	a.Close()
	s.load(secretIntegration, "admit\nrespond ok") // forgets the keys
	s.load("admit a {\njwks "+a.URL+"/jwks\naudience api\n}\nadmit b {\njwks "+b.URL+"/jwks\naudience api\n}",
		"admit b a\nrespond {http.auth.user.integration}")
	s.get("/", one.bearer(t, "x", nil)).want(t, 503, "keys_unavailable")
	s.get("/", two.bearer(t, "x", nil)).want(t, 200, "")
}

// DESIGN 2: of several cookies of one name, what cannot be judged now weighs more
// than what is refused: the one that is out of reach may well be good.
func TestSeveralCookiesOutOfReach(t *testing.T) {
	key, down := newKey("k", "k"), "http://"+freeAddr(t)
	s := serve(t, "admit near {\nsecret "+testSecret+"\nfrom cookie sid\n}\nadmit far {\njwks "+down+"/jwks\naudience api\nfrom cookie sid\n}",
		"admit near far\nrespond ok")
	expired := "sid=" + sign(t, testSecret, good(object{"exp": 1}))
	ok := "sid=" + sign(t, testSecret, good(nil))
	far := "sid=" + strings.TrimPrefix(key.bearer(t, down, nil), "Authorization: Bearer ")
	for _, tc := range []struct {
		name, cookies string
		status        int
		reason        string
	}{
		{"refused", expired, 401, "expired"},
		{"refused twice", expired + "; sid=x", 401, "expired"},
		{"out of reach", far, 503, "keys_unavailable"},
		{"refused, out of reach", expired + "; " + far, 503, "keys_unavailable"},
		{"out of reach, refused", far + "; " + expired, 503, "keys_unavailable"},
		{"out of reach, good", far + "; " + ok, 200, ""},
	} {
		t.Run(tc.name, func(t *testing.T) {
			s.get("/", "Cookie: "+tc.cookies).want(t, tc.status, tc.reason)
		})
	}
}

// DESIGN 1.2, "Several integrations".
//
// threat 26: an integration looks only into its own places.
func TestPlacesOfIntegrations(t *testing.T) {
	other := "0123456789abcdef0123456789abcde2"
	s := serve(t, "admit a {\nsecret "+testSecret+"\n}\nadmit b {\nsecret "+other+"\nfrom header X-Token\n}", "admit a b\nrespond {http.auth.user.integration}")
	for _, tc := range []struct{ name, header, want string }{
		{"a in its place", "Authorization: Bearer " + sign(t, testSecret, good(nil)), "a"},
		{"b in its place", "X-Token: " + sign(t, other, good(nil)), "b"},
		{"a in b's place", "X-Token: " + sign(t, testSecret, good(nil)), "bad_signature"},
		{"b in a's place", "Authorization: Bearer " + sign(t, other, good(nil)), "bad_signature"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			if got := s.get("/", tc.header); got.StatusCode == 200 {
				if got.body != tc.want {
					t.Errorf("got %q", got.body)
				}
			} else {
				got.want(t, 401, tc.want)
			}
		})
	}
}
