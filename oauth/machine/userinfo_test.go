package machine

import (
	"fmt"
	"net/http"
	"testing"
	"time"
)

func newUserinfo(t *testing.T, handle http.HandlerFunc) (*Userinfo, *endpoint) {
	t.Helper()
	e := newEndpoint(t, handle)
	u := NewUserinfo(UserinfoConfig{Client: newOutbound(t), URL: e.url, Now: e.clock.now})
	t.Cleanup(u.Close)
	return u, e
}

func TestUserinfoAnswers(t *testing.T) {
	now := (&clock{}).now()
	for _, tc := range []struct {
		name   string
		own    string
		answer http.HandlerFunc
		want   string
		claims string
		life   time.Duration
	}{
		{"more", `{"sub":"ada","aud":"api"}`, says(200, `{"sub":"ada","email":"ada@example.com"}`), "good", `{"sub":"ada","aud":"api","email":"ada@example.com"}`, IntrospectionCap},
		{"the token's own win", `{"sub":"ada","groups":["a"]}`, says(200, `{"sub":"ada","groups":["admin"],"aud":"x"}`), "good", `{"sub":"ada","groups":["a"]}`, IntrospectionCap},
		{"ends soon", fmt.Sprintf(`{"sub":"ada","exp":%d}`, now.Unix()+20), says(200, `{"sub":"ada"}`), "good", fmt.Sprintf(`{"sub":"ada","exp":%d}`, now.Unix()+20), 20 * time.Second},
		{"another user", `{"sub":"ada"}`, says(200, `{"sub":"bob"}`), "401 inactive", "", badFor}, // threat 59
		{"no user", `{"sub":"ada"}`, says(200, `{"email":"ada@example.com"}`), "401 inactive", "", badFor},
		{"token not good", `{"sub":"ada"}`, says(401, marker), "401 inactive", "", badFor},
		{"token without the scope", `{"sub":"ada"}`, says(403, marker), "401 inactive", "", badFor},
		{"no such endpoint", `{"sub":"ada"}`, http.NotFound, "503", "", badFor},
		{"500", `{"sub":"ada"}`, says(500, `{"sub":"ada"}`), "503", "", badFor},
		{"HTML", `{"sub":"ada"}`, page, "503", "", badFor},
		{"nothing at all", `{"sub":"ada"}`, silence, "503", "", badFor},
	} {
		t.Run(tc.name, func(t *testing.T) {
			u, e := newUserinfo(t, tc.answer)
			own := parsedClaims(t, tc.own)
			ask := func() int64 {
				t.Helper()
				s, err := u.Claims(t.Context(), "token-"+marker, own)
				if verdict(err) != tc.want || s != nil && string(s.Bytes()) != tc.claims {
					t.Errorf("got %s, %q", s.Bytes(), verdict(err))
				}
				checkError(t, err)
				return e.calledFor()
			}
			ask()
			e.clock.advance(tc.life - 1)
			if n := ask(); n != 0 {
				t.Errorf("%d calls within its life", n)
			}
			e.clock.advance(1)
			if n := ask(); n == 0 {
				t.Error("no call after its life")
			}
		})
	}
}

// TestUserinfoKey: claims of one token are not taken for another's (threat 89), and
// who has no subject is not asked about.
func TestUserinfoKey(t *testing.T) {
	u, e := newUserinfo(t, func(w http.ResponseWriter, r *http.Request) {
		sub := map[string]string{"Bearer token-1": "ada", "Bearer token-2": "bob"}[r.Header.Get("Authorization")]
		says(200, `{"sub":"`+sub+`","name":"`+sub+`"}`)(w, r)
	})
	for token, sub := range map[string]string{"token-1": "ada", "token-2": "bob"} {
		s, err := u.Claims(t.Context(), token, parsedClaims(t, `{"sub":"`+sub+`"}`))
		if err != nil || !s.Get("name").Equal(sub) {
			t.Errorf("%s: got %v", sub, err)
		}
	}
	if _, err := u.Claims(t.Context(), "token-1", parsedClaims(t, `{"sub":"bob"}`)); verdict(err) != "401 inactive" {
		t.Errorf("got %v", err)
	}
	e.calledFor()
	for _, own := range []string{`{}`, `{"sub":""}`, `{"sub":1}`, `{"sub":null}`} {
		if _, err := u.Claims(t.Context(), "token-1", parsedClaims(t, own)); verdict(err) != "401 inactive" || e.calledFor() != 0 {
			t.Errorf("%s: got %v", own, err)
		}
	}
}
