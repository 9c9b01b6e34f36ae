package admit

import (
	"testing"
)

// DESIGN 3, "header_up".
//
// threats 36, 39: what a claim becomes in a header, each beside one that may not
// stand there.
func TestHeaderValues(t *testing.T) {
	s := serve(t, secretIntegration, `
		admit {
			header_up X-User "{http.auth.user.id}"
			header_up X-Groups {http.auth.user.groups}
			header_up X-Claim {http.auth.user.claims.c}
			header_up X-Sub {http.auth.user.claims.o.inner}
			header_up X-Text "id={http.auth.user.id}; in={http.auth.user.integration}; c={http.auth.user.claims.c}"
		}
		`+upstream(t))
	for _, tc := range []struct {
		name   string
		claims object
		header string
		want   string // "": the header is absent
	}{
		{"user", nil, "X-User", "ada"},
		{"user, not ASCII", object{"sub": "ünï"}, "X-User", "ünï"},
		{"user with blanks around", object{"sub": " ada"}, "X-User", ""},
		{"user with a blank inside", object{"sub": "a b"}, "X-User", "a b"},
		{"user as header injection", object{"sub": "a, b; c: d"}, "X-User", "a, b; c: d"},
		{"one group", object{"groups": "dev"}, "X-Groups", "dev"},
		{"groups", object{"groups": []string{"dev", "ops"}}, "X-Groups", "dev,ops"},
		{"no groups", nil, "X-Groups", ""},
		{"empty groups", object{"groups": []string{}}, "X-Groups", ""},
		{"comma in a group", object{"groups": []string{"a,admins", "b"}}, "X-Groups", "a%2Cadmins,b"},
		{"percent in a group", object{"groups": []string{"100%2C", "b"}}, "X-Groups", "100%252C,b"},
		{"line break in a group", object{"groups": []string{"a\r\nX-Role: admin"}}, "X-Groups", ""},
		{"blank before a group", object{"groups": []string{"dev", " admins"}}, "X-Groups", ""},
		{"tab behind a group", object{"groups": []string{"dev", "admins\t"}}, "X-Groups", ""},
		{"claim", object{"c": "x"}, "X-Claim", "x"},
		{"claim with a comma", object{"c": "x,y"}, "X-Claim", "x,y"},
		{"claim, list with a comma", object{"c": []string{"x,y", "z"}}, "X-Claim", "x%2Cy,z"},
		{"claim, list of one with a comma", object{"c": []string{"x,y"}}, "X-Claim", "x%2Cy"},
		{"claim, number", object{"c": 1e3}, "X-Claim", "1000"},
		{"claim, boolean", object{"c": false}, "X-Claim", "false"},
		{"claim, null", object{"c": nil}, "X-Claim", ""},
		{"claim, empty", object{"c": ""}, "X-Claim", ""},
		{"claim, carriage return", object{"c": "a\rb"}, "X-Claim", ""},
		{"claim, line feed", object{"c": "a\nb"}, "X-Claim", ""},
		{"claim, NUL", object{"c": "a\x00b"}, "X-Claim", ""},
		{"claim, escape", object{"c": "a\x1bb"}, "X-Claim", ""},
		{"claim, delete", object{"c": "a\x7fb"}, "X-Claim", ""},
		{"claim, a placeholder", object{"c": "{env.HOME}"}, "X-Claim", "{env.HOME}"},
		{"claim inside an object", object{"o": object{"inner": "i"}}, "X-Sub", "i"},
		{"composed", object{"c": "x"}, "X-Text", "id=ada; in=local; c=x"},
		{"composed, one part absent", nil, "X-Text", ""},
	} {
		t.Run(tc.name, func(t *testing.T) {
			got := s.get("/", bearer(t, tc.claims), "X-Role: root").seen(t).Header
			if got.Get(tc.header) != tc.want || tc.want == "" && got[tc.header] != nil {
				t.Errorf("%s: %q, want %q", tc.header, got[tc.header], tc.want)
			}
		})
	}
}

// threat 36: of several lines for one header the first whose rule holds counts.
func TestHeaderRules(t *testing.T) {
	s := serve(t, secretIntegration, `
		admit {
			header_up X-Role admin groups admins
			header_up X-Role editor groups eds*
			header_up x-role {http.auth.user.claims.role} user *
			header_up X-Never yes integration other*
		}
		`+upstream(t))
	for _, tc := range []struct {
		name   string
		claims object
		want   string
	}{
		{"first", object{"groups": []string{"eds", "admins"}}, "admin"},
		{"second", object{"groups": "eds-1"}, "editor"},
		{"case counts", object{"groups": "Admins", "role": "r"}, "r"},
		{"third, claim absent", nil, ""},
		{"third", object{"role": "r"}, "r"},
		{"first in spite of the claim", object{"groups": "admins", "role": "r"}, "admin"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			got := s.get("/", bearer(t, tc.claims), "X-Role: root", "X-Never: yes").seen(t).Header
			if got.Get("X-Role") != tc.want || got["X-Never"] != nil {
				t.Errorf("got %q, want %q; %v", got["X-Role"], tc.want, got["X-Never"])
			}
		})
	}
}
