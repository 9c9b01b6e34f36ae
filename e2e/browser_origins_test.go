package e2e

import (
	"context"
	"fmt"
	"strings"
	"testing"

	"github.com/chromedp/cdproto/network"
	"github.com/chromedp/chromedp"
)

const browserSecret = "a-secret-of-32-bytes-or-more-for-browsers"

// originsSite is an API for scripts of one origin, of none and of all.
const originsSite = `
{
	{{.Globals}}
	admit local {
		secret text {env.BROWSER_SECRET}
		issuer local
		audience api
		from header Authorization Bearer
		from cookie session
	}
	admit away {
		issuer {{.Away}}
		audience api
	}
}
(gate) {
	admit local away {
		{args[0]} {args[1]}
		require /admin/* groups admins
		require /write/* scope write
		header_up X-User {http.auth.user.id}
	}
	reverse_proxy {{.API}}
}
http://api.localhost:{{.Port}} {
	import gate origins {{.App}}
}
http://api.site.localhost:{{.Port}} {
	import gate origins {{.Sibling}}
}
http://closed.localhost:{{.Port}} {
	import gate realm closed
}
http://star.localhost:{{.Port}} {
	import gate origins *
}
`

// startOrigins returns Caddy, the origin of the app and what is behind the gate.
func startOrigins(t *testing.T) (c *caddy, u *upstream, port string) {
	t.Helper()
	port = newApp(t)
	origin, sibling := "http://app.localhost:"+port, "http://app.site.localhost:"+port
	u = newUpstream(t)
	c = startCaddy(t, u, originsSite, values{
		"env.BROWSER_SECRET": browserSecret, "App": origin, "Sibling": sibling, "API": newAPI(t, u, origin, sibling),
		"Away": "http://127.0.0.1:" + freePort(t),
	})
	c.sent.add(browserSecret)
	return c, u, port
}

func (c *caddy) browserToken(claims string) string {
	token := hs256Token(`{"iss":"local","aud":"api",`+claims+`}`, []byte(browserSecret))
	c.sent.add(token)
	return token
}

// TestBrowserOrigins calls an API from a page of another origin.
func TestBrowserOrigins(t *testing.T) {
	t.Parallel()
	b := startBrowser(t)
	c, u, port := startOrigins(t)
	ada := c.browserToken(`"sub":"ada","scope":"read","exp":99999999999`)
	away := hs256Token(`{"iss":"`+c.values["Away"]+`","aud":"api","sub":"ada","exp":99999999999}`, []byte(browserSecret))
	away = strings.Replace(away, encoded(`{"alg":"HS256","typ":"JWT"}`, ""), encoded(`{"alg":"RS256","typ":"JWT"}`, ""), 1)
	bearer := func(token string) string { return fmt.Sprintf(`headers: {Authorization: 'Bearer %s'}`, token) }
	const unreadable = "TypeError"

	for _, tc := range []struct {
		name, page, to, options string
		want                    fetched // Challenge: a part of it; Body only where it is given
		seen                    string
	}{
		{name: "listed", page: "app", to: "api /x", options: bearer(ada), want: fetched{Status: 200, Body: "upstream"}, seen: "OPTIONS /x\nGET /x ada"},
		{
			name: "listed, PUT", page: "app", to: "api /x", options: "method: 'PUT', body: '{}', " + bearer(ada),
			want: fetched{Status: 200, Body: "upstream"}, seen: "OPTIONS /x\nPUT /x ada",
		},
		{
			name: "listed, with credentials", page: "app", to: "api /x", options: "credentials: 'include', " + bearer(ada),
			want: fetched{Status: 200, Body: "upstream"}, seen: "OPTIONS /x\nGET /x ada",
		},
		{
			name: "expired", page: "app", to: "api /x", options: bearer(c.browserToken(`"sub":"ada","exp":1`)),
			want: fetched{Status: 401, Problem: problem{Error: "invalid_token", Reason: "expired"}, Challenge: `Bearer realm="api.localhost", error="invalid_token", error_description="expired"`},
			seen: "OPTIONS /x",
		},
		{
			name: "no token, no preflight", page: "app", to: "api /x",
			want: fetched{Status: 401, Problem: problem{Reason: "missing_credential"}, Challenge: `Bearer realm="api.localhost"`},
		},
		{
			name: "no token, with credentials", page: "app", to: "api /x", options: "credentials: 'include'",
			want: fetched{Status: 401, Problem: problem{Reason: "missing_credential"}, Challenge: `Bearer`},
		},
		{
			name: "rule", page: "app", to: "api /admin/x", options: bearer(ada),
			want: fetched{Status: 403, Problem: problem{Error: "access_denied", Reason: "rule"}}, seen: "OPTIONS /admin/x",
		},
		{
			name: "scope", page: "app", to: "api /write/x", options: bearer(ada),
			want: fetched{Status: 403, Problem: problem{Error: "insufficient_scope", Reason: "rule"}, Challenge: `scope="write"`},
			seen: "OPTIONS /write/x",
		},
		{
			name: "malformed", page: "app", to: "api /x", options: bearer("a b"),
			want: fetched{Status: 400, Problem: problem{Error: "invalid_request", Reason: "malformed_credential"}}, seen: "OPTIONS /x",
		},
		{
			name: "keys out of reach", page: "app", to: "api /x", options: bearer(away),
			want: fetched{Status: 503, Problem: problem{Error: "temporarily_unavailable", Reason: "keys_unavailable"}, Retry: "10"}, seen: "OPTIONS /x",
		},
		{name: "not listed", page: "evil", to: "api /x", options: bearer(ada), want: fetched{Error: unreadable}},
		{name: "not listed, no preflight", page: "evil", to: "api /x", want: fetched{Error: unreadable}},
		{name: "another port of the host", page: "api", to: "api /x", options: bearer(ada), want: fetched{Error: unreadable}},
		{name: "no origins", page: "app", to: "closed /x", options: bearer(ada), want: fetched{Error: unreadable}},
		{name: "no origins, no preflight", page: "app", to: "closed /x", want: fetched{Error: unreadable}},
		{name: "all", page: "app", to: "star /x", options: bearer(ada), want: fetched{Status: 200, Body: "upstream"}, seen: "OPTIONS /x\nGET /x ada"},
		{
			name: "all, refused", page: "evil", to: "star /x",
			want: fetched{Status: 401, Problem: problem{Reason: "missing_credential"}, Challenge: "Bearer"},
		},
		// The application does not know the other origin; the gate lets only its preflight pass.
		{name: "all, not the application's", page: "evil", to: "star /x", options: bearer(ada), want: fetched{Error: unreadable}, seen: "OPTIONS /x"},
		{name: "all, with credentials", page: "evil", to: "star /x", options: "credentials: 'include'", want: fetched{Error: unreadable}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			page := b.open(t)
			page.visit(t, "http://"+tc.page+".localhost:"+port+"/")
			host, path, _ := strings.Cut(tc.to, " ")
			got := page.fetch(t, "http://"+host+".localhost:"+c.values["Port"]+path, tc.options)
			if got.Error != tc.want.Error || got.Status != tc.want.Status || got.Retry != tc.want.Retry || !strings.Contains(got.Challenge, tc.want.Challenge) {
				t.Errorf("got %+v, want %+v", got, tc.want)
			}
			if got.Problem.Error != tc.want.Problem.Error || got.Problem.Reason != tc.want.Problem.Reason || tc.want.Body != "" && got.Body != tc.want.Body {
				t.Errorf("got %+v, want %+v", got, tc.want)
			}
			if seen := summary(u.take()); seen != tc.seen {
				t.Errorf("the upstream saw\n%s\nwant\n%s", seen, tc.seen)
			}
		})
	}
}

// TestBrowserCookie has the token in a cookie, which Chromium sends by itself for
// pages of the same site, and for forms of any: those that are not listed can
// change nothing with it.
func TestBrowserCookie(t *testing.T) {
	t.Parallel()
	b := startBrowser(t)
	c, u, port := startOrigins(t)
	api := "http://api.site.localhost:" + c.values["Port"]
	token := c.browserToken(`"sub":"ada","exp":99999999999`)
	open := func(t *testing.T, name string) *tab {
		t.Helper()
		page := b.open(t)
		yes := true
		if _, err := chromedp.Call(page.ctx, network.SetCookie, network.SetCookieParams{
			Name: "session", Value: token, URL: api, Secure: &yes, HTTPOnly: &yes, SameSite: network.CookieSameSiteNone,
		}); err != nil {
			t.Fatal(err)
		}
		page.visit(t, "http://"+name+".localhost:"+port+"/")
		return page
	}
	const post = "method: 'POST', body: 'a=b', credentials: 'include', headers: {'Content-Type': 'application/x-www-form-urlencoded'}"
	for _, tc := range []struct {
		name, page, options string
		want                fetched
		seen                string
	}{
		{"listed, GET", "app.site", "credentials: 'include'", fetched{Status: 200, Type: "cors"}, "GET /x ada"},
		{"listed, POST", "app.site", post, fetched{Status: 200, Type: "cors"}, "POST /x ada"},
		{"not listed, GET", "evil.site", "mode: 'no-cors', credentials: 'include'", fetched{Type: "opaque"}, "GET /x ada"},
		{"not listed, POST", "evil.site", "mode: 'no-cors', " + post, fetched{Type: "opaque"}, ""},
		{"not listed, readable POST", "evil.site", post, fetched{Error: "TypeError"}, ""},
	} {
		t.Run(tc.name, func(t *testing.T) {
			got := open(t, tc.page).fetch(t, api+"/x", tc.options)
			if got.Error != tc.want.Error || got.Type != tc.want.Type || got.Status != tc.want.Status {
				t.Errorf("got %+v, want %+v", got, tc.want)
			}
			if seen := summary(u.take()); seen != tc.seen {
				t.Errorf("the upstream saw %q, want %q", seen, tc.seen)
			}
		})
	}
	for _, name := range []string{"evil", "evil.site"} {
		t.Run("form of "+name, func(t *testing.T) {
			page := open(t, name)
			code := fmt.Sprintf(`document.body.innerHTML = '<form method=post action=%q><button>'; document.forms[0].submit()`, api+"/form")
			answer, err := chromedp.RunResponse(page.ctx, chromedp.Func(func(ctx context.Context, target *chromedp.Target) error {
				_, err := chromedp.Evaluate[any](code)(ctx, target)
				return err
			}))
			if err != nil {
				t.Fatal(err)
			}
			if heading := script[string](t, page, `document.querySelector('h1').textContent`); answer.Status != 403 || heading != "Sent from another site" {
				t.Errorf("got %d %q", answer.Status, heading)
			}
			if seen := summary(u.take()); seen != "" {
				t.Errorf("the upstream saw %q", seen)
			}
		})
	}
	for name, seen := range map[string]string{"app.site": "GET /socket ada", "evil.site": ""} {
		t.Run("WebSocket of "+name, func(t *testing.T) {
			script[string](t, open(t, name), fmt.Sprintf(`new Promise(end => { new WebSocket(%q).onerror = () => end('refused') })`,
				strings.Replace(api, "http", "ws", 1)+"/socket"))
			if got := summary(u.take()); got != seen {
				t.Errorf("the upstream saw %q, want %q", got, seen)
			}
		})
	}
}
