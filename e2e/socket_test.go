package e2e

import (
	"slices"
	"strings"
	"testing"
)

const socketSecret = "a-secret-of-32-bytes-or-more-for-sockets"

// socketSite has every way in which a request can reach an application: let in,
// let in without a credential, not checked, and as an error.
const socketSite = `
{
	{{.Globals}}
	{{.Servers}}
	admit local {
		secret text {env.SOCKET_SECRET}
		issuer local
		audience api
	}
}
http://gate:{{.Port}} {
	@guarded not path /unmatched
	admit @guarded local {
		optional
		bypass /public/*
		origins http://app.test
		require /protected/* user *
		require /admin/* groups admins
		header_up X-User {http.auth.user.id}
		header_up X-Auth-Groups {http.auth.user.groups}
	}
	error /protected/boom 418
	reverse_proxy /protected/down {{.Down}}
	reverse_proxy {{.Wire}} {
		transport http {
			compression off
		}
	}
	handle_errors {
		rewrite * /error/{err.status_code}
		reverse_proxy {{.Wire}} {
			transport http {
				compression off
			}
		}
	}
}
http://open:{{.Port}} {
	reverse_proxy {{.Wire}} {
		transport http {
			compression off
		}
	}
}
`

// strangeNames makes Caddy let in what it drops by itself since v2.11.5.
const strangeNames = `servers {
		expected_underscore_headers x_user x_auth_groups x_auth-groups x-auth_groups x_auth.groups
		expected_dot_headers x.user x.auth.groups x.auth-groups x-auth.groups x.auth_groups
	}`

// way is one way of a request to the application.
type way struct {
	name, target, headers string // of the request; GET if the target has no method
	authorized            bool
	seen                  string // the request line that the application gets
	identified            bool   // whether it is told who it is
	stripped              bool   // whether it does not get the client's credential
}

var ways = []way{
	{name: "protected", target: "/protected/x", authorized: true, identified: true},
	{name: "protected without a credential", target: "/protected/x", seen: "/error/401"},
	{name: "protected by a rule", target: "/admin/x", authorized: true, seen: "/error/403"},
	{name: "optional", target: "/x", authorized: true, identified: true},
	{name: "optional without a credential", target: "/x"},
	{name: "public", target: "/public/x", authorized: true},
	{name: "public without a credential", target: "/public/x"},
	{name: "unmatched", target: "/unmatched", authorized: true},
	{name: "unmatched without a credential", target: "/unmatched"},
	{
		name: "preflight", target: "OPTIONS /protected/x", authorized: true, stripped: true,
		headers: "Origin: http://app.test\nAccess-Control-Request-Method: GET\n",
	},
	{
		name: "preflight of another origin", target: "OPTIONS /protected/x", seen: "/error/401",
		headers: "Origin: http://evil.test\nAccess-Control-Request-Method: GET\n",
	},
	{name: "error after the gate", target: "/protected/boom", authorized: true, identified: true, seen: "/error/418"},
	{name: "proxy error after the gate", target: "/protected/down", authorized: true, identified: true, seen: "/error/502"},
}

// methodAndPath returns them of the request and of what the application gets.
func (w way) methodAndPath(method string) (sent, seen string) {
	path := w.target
	if m, p, ok := strings.Cut(w.target, " "); ok {
		method, path = m, p
	}
	return method + " " + path, method + " " + or(w.seen, path)
}

// refused reports whether the gate leaves the request to the error application,
// which gets no credential.
func (w way) refused() bool { return strings.HasPrefix(w.seen, "/error/4") && w.seen != "/error/418" }

// lines are the header lines that the application gets besides those of the
// attack, if the client sent this credential.
func (w way) lines(credential ...string) []string {
	lines := strings.Split(strings.TrimSuffix(w.headers, "\n"), "\n")
	if w.authorized && !w.stripped && !w.refused() {
		lines = append(lines, credential...)
	}
	if w.identified {
		lines = append(lines, "X-Auth-Groups: dev,ops", "X-User: ada")
	}
	return lines
}

// startSocketSite returns Caddy, what is behind it and a good Authorization line.
func startSocketSite(t *testing.T, servers string) (*caddy, *wire, string) {
	t.Helper()
	w := newWire(t)
	c := startCaddy(t, newUpstream(t), socketSite, values{
		"env.SOCKET_SECRET": socketSecret, "Servers": servers,
		"Wire": w.address, "Down": "127.0.0.1:" + freePort(t),
	})
	token := hs256Token(`{"iss":"local","aud":"api","sub":"ada","groups":["dev","ops"],"exp":99999999999}`, []byte(socketSecret))
	c.sent.add(socketSecret, token)
	return c, w, "Authorization: Bearer " + token
}

// attack is what a client adds to its request, and those lines of it that belong
// to the application.
type attack struct {
	name, headers string
	kept          []string
	notPreflight  bool // with it a preflight is a request as any other
}

// attacks forge an identity header or make a proxy drop one.
func attacks() []attack {
	var all []attack
	for _, name := range slices.Concat(spellings("x-user"), spellings("x-auth-groups")) {
		all = append(
			all, attack{name: name, headers: name + ": mallory\n"},
			attack{name: name + " empty", headers: name + ":\n"},
			attack{name: name + " doubled", headers: name + ": mallory\n" + name + ": eve\n"},
			attack{name: name + " and the right one", headers: "X-User: eve\nX-Auth-Groups: root\n" + name + ": mallory\n"},
			attack{name: "Connection: " + name, headers: "Connection: " + name + "\n"},
		)
	}
	return append(
		all,
		attack{name: "none"},
		attack{
			name: "all spellings at once", headers: strings.Join(spellings("x-user"), ": mallory\n") + ": mallory\n" +
				strings.Join(spellings("x-auth-groups"), ": root\n") + ": root\n",
		},
		attack{name: "padded", headers: "X-User: \t mallory \t\n"},
		attack{name: "another name", headers: "X-Users: eve\nXUser: eve\n", kept: []string{"X-Users: eve", "Xuser: eve"}},
		attack{name: "folded line", headers: "X-Other: a\n X-User: mallory\n", kept: []string{"X-Other: a X-User: mallory"}},
		attack{name: "list", headers: "Connection: keep-alive, X-User, x-auth-groups\nX-User: mallory\n"},
		attack{name: "tight list", headers: "Connection: X-User,X-Auth-Groups,close\n"},
		attack{name: "ragged list", headers: "Connection: ,, x-user\t,  ,X-AUTH-GROUPS ,\n"},
		attack{name: "repeated", headers: "Connection: X-User\nconnection: keep-alive\nCONNECTION: x-auth-groups\n"},
		attack{name: "with others", headers: "Connection: X-Hop, X-User\nX-Hop: 1\nX-Stays: 2\n", kept: []string{"X-Stays: 2"}},
		attack{name: "the credential", headers: "Connection: Authorization, authorization\nConnection: AUTHORIZATION\n"},
		attack{name: "the cookies", headers: "Connection: cookie\nCookie: a=\"b\"; c=d;e\n", kept: []string{`Cookie: a="b"; c=d;e`}},
		attack{
			name: "upgrade", headers: "Connection: Upgrade, X-User\nUpgrade: websocket\nX-User: mallory\n",
			kept: []string{"Connection: Upgrade", "Upgrade: websocket"}, notPreflight: true,
		},
		attack{name: "upgrade to HTTP/2", headers: "Connection: Upgrade, HTTP2-Settings, X-User\nUpgrade: h2c\nHTTP2-Settings: AAMAAABk\n"},
		attack{name: "upgrade to TLS", headers: "Connection: Upgrade\nUpgrade: TLS/1.3, HTTP/2.0\n"},
		attack{name: "trailers", headers: "TE: trailers\nConnection: X-User\n", kept: []string{"Te: trailers"}},
		attack{name: "old ways", headers: "Proxy-Connection: X-User\nKeep-Alive: X-User\n"},
	)
}

// spellings returns what a server behind may take for one name.
func spellings(name string) []string {
	all := []string{name, strings.ToUpper(name), strings.ToUpper(name[:3]) + name[3:]}
	for _, dash := range []string{"_", "."} {
		all = append(all, strings.ReplaceAll(name, "-", dash), strings.ToUpper(strings.ReplaceAll(name, "-", dash)))
	}
	if first, second, ok := strings.Cut(strings.TrimPrefix(name, "x-"), "-"); ok {
		for _, dashes := range []string{"_-", "-_", ".-", "-.", "_.", "._"} {
			all = append(all, "x"+dashes[:1]+first+dashes[1:]+second)
		}
	}
	return all
}

// TestSocketHeaders forges identity headers on every way to the application.
func TestSocketHeaders(t *testing.T) {
	t.Parallel()
	for servers, options := range map[string]string{"standard": "", "strange names": strangeNames} {
		t.Run(servers, func(t *testing.T) {
			t.Parallel()
			c, w, credential := startSocketSite(t, options)
			for _, attack := range attacks() {
				for _, way := range ways {
					if way.stripped && attack.notPreflight {
						way.stripped, way.identified = false, true
					}
					sent, seen := way.methodAndPath("GET")
					headers := attack.headers + way.headers
					if way.authorized {
						headers += credential + "\n"
					}
					c.raw(t, sent+" HTTP/1.1\nHost: gate\n"+headers+"\n")
					wantWire(t, way.name+", "+attack.name, w, seen, "", slices.Concat(way.lines(credential), keptBy(attack.kept, way.stripped)))
				}
			}
		})
	}
}

// keptBy leaves the cookies out where a browser sends none.
func keptBy(lines []string, bare bool) []string {
	return slices.DeleteFunc(slices.Clone(lines), func(line string) bool { return bare && strings.HasPrefix(line, "Cookie:") })
}

func wantWire(t *testing.T, what string, w *wire, line, body string, headers []string) {
	t.Helper()
	if got, want := w.only(t), proxied(line, body, headers...); got != want {
		t.Errorf("%s: the upstream got\n%s\nwant\n%s", what, got, want)
	}
}
