package e2e

import (
	"encoding/base64"
	"strings"
	"testing"
)

// TestFlama takes the padded tokens that the Flama framework issues.
func TestFlama(t *testing.T) {
	t.Parallel()
	const caddyfile = `
{
	{{.Globals}}
	admit flama {
		preset flama
		secret hex 00000000000000000000000000000000
		insecure_weak_secret
	}
	admit strict {
		secret hex 00000000000000000000000000000000
		insecure_weak_secret
		expiry optional
		identity {
			user sub none
		}
	}
	admit other {
		preset flama
		secret text {{.Other}}
	}
}
{{.Site}} {
	log
	handle /strict {
		admit strict
		reverse_proxy {{.Upstream}}
	}
	handle /other {
		admit other
		reverse_proxy {{.Upstream}}
	}
	handle {
		admit flama {
			require /deploy permissions app.deploy
			header_up X-User {http.auth.user.id}
			header_up X-Foo {http.auth.user.claims.data.foo}
		}
		reverse_proxy {{.Upstream}}
	}
}
`
	const padded = "eyJhbGciOiAiSFMyNTYiLCAidHlwIjogIkpXVCJ9.eyJkYXRhIjogeyJmb28iOiAiYmFyIn0sICJpYXQiOiAwfQ==.J3zdedMZSFNOimstjJat0V28rM_b1UU62XCp9dg_5kg="
	key := make([]byte, 16)
	claims := `{"data": {"foo": "bar"}, "iat": 0}`
	unpadded := hs256Token(claims, key)

	u := newUpstream(t)
	c := startCaddy(t, u, caddyfile, values{"Other": strings.Repeat("long", 16)})
	for name, token := range map[string]string{"padded": padded, "unpadded": unpadded} {
		c.wantUser(t, request{token: token}, "")
		got := u.only(t).Header
		if foo := got.Get("X-Foo"); foo != "bar" || len(got.Values("X-User")) != 0 {
			t.Errorf("%s: the upstream got X-Foo %q, X-User %q", name, foo, got.Values("X-User"))
		}
	}
	// The MAC covers the padding: without it this is another token.
	c.wantRefusal(t, request{token: strings.ReplaceAll(padded, "=", "")}, 401, "bad_signature")
	c.wantRefusal(t, request{token: strings.TrimSuffix(padded, "=") + "A"}, 401, "bad_signature", "malformed_token")
	c.wantRefusal(t, request{token: padded + "="}, 401, "malformed_token")
	c.wantRefusal(t, request{token: padded, path: "/strict"}, 401, "malformed_token")
	c.wantUser(t, request{token: unpadded, path: "/strict"}, "")
	c.wantRefusal(t, request{token: padded, path: "/other"}, 401, "bad_signature")

	// Users and permissions as Flama writes them, signed over padded text.
	ada := flamaToken(`{"data": {"id": "ada", "roles": {"ops": ["app.deploy"]}}, "iat": 0}`, key)
	c.wantUser(t, request{token: ada, path: "/deploy"}, "ada")
	bob := flamaToken(`{"data": {"id": "bob", "roles": {"dev": ["app.read"]}}, "iat": 0}`, key)
	c.wantUser(t, request{token: bob}, "bob")
	c.wantRefusal(t, request{token: bob, path: "/deploy"}, 403, "rule")
	c.wantRefusal(t, request{token: flamaToken(`{"data": {"id": "bob"}, "exp": 1}`, key)}, 401, "expired")

	said := refusedConfig(t, strings.Replace(caddyfile, "\t\tinsecure_weak_secret\n", "", 1), c.values)
	if !strings.Contains(said, "insecure_weak_secret") {
		t.Errorf("a weak secret without insecure_weak_secret: %s", said)
	}
}

// flamaToken pads each part with "=" and signs what it has padded.
func flamaToken(claims string, key []byte) string {
	b64 := base64.URLEncoding.EncodeToString
	input := b64([]byte(`{"alg": "HS256", "typ": "JWT"}`)) + "." + b64([]byte(claims))
	return input + "." + b64(hs256(input, key))
}
