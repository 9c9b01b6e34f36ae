package admit

import (
	"testing"
)

// ruleRow is one request and what became of it.
type ruleRow struct {
	name, method, target string
	claims               map[string]any
	status               int
	reason               string
}

func (s *site) judge(t *testing.T, rows []ruleRow) {
	t.Helper()
	for _, tc := range rows {
		t.Run(tc.name, func(t *testing.T) {
			s.send(tc.method, tc.target, bearer(t, tc.claims)).want(t, tc.status, tc.reason)
		})
	}
}

type object = map[string]any

// DESIGN 1.2, "Claims" and "Patterns", and "email".
//
// threats 32, 34: what rules say, and that nothing holds for a claim that is not
// there.
func TestRules(t *testing.T) {
	s := serve(t, `admit local {
		secret `+testSecret+`
		require tenant acme
		deny groups banned
		identity {
			groups groups roles
			map ext-admins admin ops
			claim perms data.permissions data.roles.*
		}
	}`, `
		@write method POST PUT DELETE
		@beta header X-Beta 1
		admit {
			require @write scope write
			require /dev/* groups dev* lead
			require /dev/ops/* groups ops
			deny /dev/* level intern
			deny @beta dept sales
			any /any/* {
				require level 5
				require admin true
				require email *@example.com
			}
			require /raw/* claims.groups ext-admins
			require /mapped/* groups admin
			require /present/* dept *
			require /me/* integration local
			require /perms/* perms read:*
			require /object/* realm admin
			require /literal/* dept a*c
		}
		respond ok`)
	acme := func(more object) object {
		all := object{"tenant": "acme"}
		for name, value := range more {
			all[name] = value
		}
		return all
	}
	s.judge(t, []ruleRow{
		{"rule of the integration", "GET", "/", acme(nil), 200, ""},
		{"it fails", "GET", "/", object{"tenant": "acme2"}, 403, "rule"},
		{"its claim is absent", "GET", "/", nil, 403, "rule"},
		{"its claim is null", "GET", "/", object{"tenant": nil}, 403, "rule"},
		{"its claim is an empty list", "GET", "/", object{"tenant": []string{}}, 403, "rule"},
		{"its claim is a list", "GET", "/", object{"tenant": []string{"x", "acme"}}, 200, ""},
		{"case counts", "GET", "/", object{"tenant": "Acme"}, 403, "rule"},
		{"deny of the integration", "GET", "/", acme(object{"groups": []string{"dev", "banned"}}), 403, "denied"},
		{"deny ignores case", "GET", "/", acme(object{"groups": "BANNED"}), 403, "denied"},

		{"another method", "GET", "/", acme(object{"scope": "read"}), 200, ""},
		{"that method", "POST", "/", acme(object{"scope": "read"}), 403, "rule"},
		{"scope holds", "POST", "/", acme(object{"scope": "read write"}), 200, ""},
		{"part of a scope", "POST", "/", acme(object{"scope": "writes"}), 403, "rule"},

		{"pattern", "GET", "/dev/x", acme(object{"groups": "developers"}), 200, ""},
		{"second pattern", "GET", "/dev/x", acme(object{"groups": "lead"}), 200, ""},
		{"second pattern is a whole value", "GET", "/dev/x", acme(object{"groups": "leader"}), 403, "rule"},
		{"a star in the claim is a letter", "GET", "/dev/x", acme(object{"groups": "*"}), 403, "rule"},
		{"every rule must hold", "GET", "/dev/ops/x", acme(object{"groups": "dev"}), 403, "rule"},
		{"every rule holds", "GET", "/dev/ops/x", acme(object{"groups": []string{"dev", "ops"}}), 200, ""},
		{"deny wins", "GET", "/dev/x", acme(object{"groups": "dev", "level": "intern"}), 403, "denied"},
		{"deny has its own paths", "GET", "/", acme(object{"level": "intern"}), 200, ""},

		{"any, number", "GET", "/any/x", acme(object{"level": 5}), 200, ""},
		{"any, text of the number", "GET", "/any/x", acme(object{"level": "5"}), 200, ""},
		{"any, another number", "GET", "/any/x", acme(object{"level": 55}), 403, "rule"},
		{"any, boolean", "GET", "/any/x", acme(object{"admin": true}), 200, ""},
		{"any, e-mail", "GET", "/any/x", acme(object{"email": "a@EXAMPLE.com"}), 200, ""},
		{"any, e-mail with two @", "GET", "/any/x", acme(object{"email": "a@evil.example@example.com"}), 403, "rule"},
		{"any, e-mail that is not verified", "GET", "/any/x", acme(object{"email": "a@example.com", "email_verified": false}), 403, "rule"},
		{"any, nothing", "GET", "/any/x", acme(nil), 403, "rule"},

		{"raw claim", "GET", "/raw/x", acme(object{"groups": "ext-admins"}), 200, ""},
		{"raw claim is not mapped", "GET", "/raw/x", acme(object{"groups": "admin"}), 403, "rule"},
		{"mapped group", "GET", "/mapped/x", acme(object{"roles": []string{"ext-admins"}}), 200, ""},
		{"local name from outside", "GET", "/mapped/x", acme(object{"roles": []string{"Admin"}}), 403, "rule"},

		{"present", "GET", "/present/x", acme(object{"dept": "x"}), 200, ""},
		{"present and empty", "GET", "/present/x", acme(object{"dept": ""}), 403, "rule"},
		{"integration", "GET", "/me/x", acme(object{"integration": "other"}), 200, ""},
		{"named claims", "GET", "/perms/x", acme(object{"data": object{"roles": object{"r": []string{"read:a"}}}}), 200, ""},
		{"named claims without it", "GET", "/perms/x", acme(object{"data": object{"permissions": "write:a"}}), 403, "rule"},
		{"an object offers its names", "GET", "/object/x", acme(object{"realm": object{"admin": 1}}), 200, ""},
		{"not what stands below them", "GET", "/object/x", acme(object{"realm": object{"x": "admin"}}), 403, "rule"},
		{"wildcard between", "GET", "/literal/x", acme(object{"dept": "abbc"}), 200, ""},
		{"wildcard between, more behind", "GET", "/literal/x", acme(object{"dept": "abcd"}), 403, "rule"},
	})
	got := s.get("/", bearer(t, acme(object{"dept": "sales"})), "X-Beta: 1")
	got.want(t, 403, "denied")
	s.get("/", bearer(t, acme(object{"dept": "sales"}))).want(t, 200, "")
}

// DESIGN 1.1, "Who it is", and 3, the user id.
//
// threat 31: who has no user id is nobody, unless that is asked for.
func TestIdentity(t *testing.T) {
	body := "admit\nrespond \"[{http.auth.user.id}]\""
	s := serve(t, secretIntegration, body)
	for _, sub := range []any{nil, "", 5, true, []string{"ada"}, object{"a": 1}, "a\nb", "a\x00", "a\u0085b", "\u007f"} {
		s.get("/", bearer(t, object{"sub": sub})).want(t, 401, "no_identity")
	}
	s.get("/", bearer(t, object{"sub": "ünï"})).want(t, 200, "")
	s.load("admit local {\nsecret "+testSecret+"\nidentity {\nuser data.id sub none\n}\n}", body)
	for _, tc := range []struct {
		claims object
		want   string
	}{
		{object{"data": object{"id": "x"}}, "[x]"},
		{object{"data": object{"id": 7}}, "[7]"},
		{object{"data": object{"id": ""}}, "[ada]"},
		{object{"sub": nil}, "[]"},
	} {
		if got := s.get("/", bearer(t, tc.claims)); got.body != tc.want {
			t.Errorf("%v: %d %q, want %q", tc.claims, got.StatusCode, got.body, tc.want)
		}
	}
	s.get("/", bearer(t, object{"sub": "a\nb"})).want(t, 401, "no_identity")
}

// DESIGN 1.2, "One route", several gates.
//
// Gates that overlap all apply; a later one reuses the identity if it knows the
// integration, and looks at what the client sent if not.
func TestSeveralGates(t *testing.T) {
	other := "0123456789abcdef0123456789abcde2"
	s := serve(t, "admit a {\nsecret "+testSecret+"\nfrom header Authorization Bearer\nfrom query t\n}\nadmit b {\nsecret "+other+"\nfrom header X-B\n}", `
		route {
			admit a {
				optional
				deny user mallory
			}
			admit /b/* b
			admit /both/* a b {
				require groups dev
			}
			admit /public/* b {
				bypass /public/free
				header_up X-User {http.auth.user.id}
			}
			`+upstream(t)+`
		}`)
	b := "X-B: " + sign(t, other, good(object{"sub": "bea"}))
	for _, tc := range []struct {
		name, target string
		headers      []string
		status       int
		reason       string
	}{
		{"first only", "/", []string{bearer(t, nil)}, 200, ""},
		{"first only, nobody", "/", nil, 200, ""},
		{"the second wants its own", "/b/x", []string{bearer(t, nil)}, 401, "missing_credential"},
		{"the second has its own", "/b/x", []string{b}, 200, ""},
		{"both have theirs", "/b/x", []string{bearer(t, nil), b}, 200, ""},
		{"the first refuses", "/b/x", []string{bearer(t, object{"sub": "mallory"}), b}, 403, "denied"},
		{"reused, its rule fails", "/both/x", []string{bearer(t, nil)}, 403, "rule"},
		{"reused, its rule holds", "/both/x", []string{bearer(t, object{"groups": "dev"})}, 200, ""},
		{"reused from the query", "/both/x?t=" + sign(t, testSecret, good(object{"groups": "dev"})), nil, 200, ""},
		{"nobody to reuse", "/both/x", nil, 401, "missing_credential"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			got := s.get(tc.target, tc.headers...)
			if tc.status == 200 && got.reached() {
				return
			}
			got.want(t, tc.status, tc.reason)
		})
	}
	// What a gate did not check says nothing in its headers.
	if got := s.get("/public/free", bearer(t, nil)).seen(t).Header.Get("X-User"); got != "" {
		t.Errorf("bypassed: X-User %q of another integration", got)
	}
	if got := s.get("/public/x", bearer(t, nil), b).seen(t).Header.Get("X-User"); got != "bea" {
		t.Errorf("X-User %q, want bea", got)
	}
}
