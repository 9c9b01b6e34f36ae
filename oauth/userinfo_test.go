package oauth

import (
	"net/http"
	"slices"
	"strings"
	"testing"
)

func withUserinfo(c *RelyingPartyConfig) { c.Userinfo = true }

// TestUserinfo: a row is what the userinfo endpoint says about "ada-1".
func TestUserinfo(t *testing.T) {
	answer := func(kind string, status int, body string) http.HandlerFunc {
		return func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Type", kind)
			w.WriteHeader(status)
			_, _ = w.Write([]byte(body))
		}
	}
	const good = `{"sub":"ada-1","groups":["dev"]}`
	for _, tc := range []struct {
		name string
		page http.HandlerFunc
		want string // "" for in
	}{
		{"good", answer(typeJSON, 200, good), ""},
		{"charset", answer(typeJSON+"; charset=utf-8", 200, good), ""},
		// threat 59, userinfo-invalid-sub
		{"another user", answer(typeJSON, 200, `{"sub":"eve-2"}`), "refused: subject"},
		{"no user", answer(typeJSON, 200, `{"groups":["dev"]}`), "refused: subject"},
		{"user in other case", answer(typeJSON, 200, `{"Sub":"ada-1"}`), "refused: subject"},
		{"user in a list", answer(typeJSON, 200, `{"sub":["ada-1"]}`), "refused: subject"},
		{"two users", answer(typeJSON, 200, `{"sub":"eve-2","sub":"ada-1"}`), "refused: userinfo"},
		{"signed", answer("application/jwt", 200, "a.b.c"), "refused: userinfo"},
		{"page", answer(typeHTML, 200, good), "refused: userinfo"},
		{"no type", answer("", 200, good), "refused: userinfo"},
		{"list", answer(typeJSON, 200, `[`+good+`]`), "refused: userinfo"},
		{"nothing", answer(typeJSON, 200, ``), "refused: userinfo"},
		{"large", answer(typeJSON, 200, `{"sub":"ada-1","x":"`+strings.Repeat("x", maxUserinfo)+`"}`), "refused: userinfo"},
		{"too large", answer(typeJSON, 200, good+strings.Repeat(" ", 2<<20)), "down"},
		{"401", answer(typeJSON, 401, marker), "refused: userinfo"},
		{"403", answer(typeJSON, 403, marker), "refused: userinfo"},
		{"201", answer(typeJSON, 201, good), "refused: userinfo"},
		{"429", answer(typeJSON, 429, good), "down"},
		{"500", answer(typeJSON, 500, good), "down"},
		{"redirect", func(w http.ResponseWriter, r *http.Request) { http.Redirect(w, r, "/elsewhere", http.StatusFound) }, "down"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			p := newIDP(t)
			p.pages["/userinfo"] = func(w http.ResponseWriter, r *http.Request) {
				if r.Header.Get("Authorization") != "Bearer "+accessToken+"1" || r.Header.Get("Accept") != typeJSON {
					t.Errorf("got %v", r.Header)
				}
				tc.page(w, r)
			}
			g, err := login(p.party(t, withUserinfo), "code=code-1")
			got := outcome(t, g, err)
			if tc.want == "" && (err != nil || !strings.Contains(got, `"groups":["dev"]`)) || tc.want != "" && got != tc.want {
				t.Errorf("got %s, want %s", got, tc.want)
			}
			if !slices.Equal(p.calls, []string{"/userinfo"}) {
				t.Errorf("got calls %v", p.calls)
			}
		})
	}
}

// TestUserinfoMissing: who wants userinfo where there is none learns which option
// to set.
func TestUserinfoMissing(t *testing.T) {
	p := newIDP(t)
	p.metadata = claimSet{"userinfo_endpoint": nil}
	_, err := login(p.party(t, withUserinfo), "code=code-1")
	if err == nil || !strings.Contains(err.Error(), "set userinfo_url") {
		t.Errorf("got %v", err)
	}
}
