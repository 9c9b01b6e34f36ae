package admit

import (
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"
)

// opaque is a token that nobody can read.
const opaque = "marked-opaque~token_0123456789"

// threat 90: what introspection says is held to issuer, audience, times and rules on
// every request, also where it is known; only true is active.
func TestIntrospection(t *testing.T) {
	m := newMachineIssuer(t)
	f := m.serveSite(m.block(m.introspects()+"require scope read")+strings.NewReplacer("admit corp", "admit other", "audience api", "audience other").Replace(m.block(m.introspects())),
		"admit /other/* other {\nheader_up X-User {http.auth.user.id}\n}\nadmit /api/* corp {\nrequire /api/admin/* groups admin\nheader_up X-User {http.auth.user.id}\nheader_up X-Groups {http.auth.user.groups}\n}\n"+upstream(t))
	good := object{"active": true, "iss": m.URL, "aud": "api", "sub": "ada", "scope": "read write", "groups": []string{"staff"}, "exp": now().Add(time.Hour).Unix()}
	for i, tc := range []struct {
		name   string
		said   object // over the good one
		status int
		reason string
	}{
		{"active", nil, 200, ""},
		{"for several", object{"aud": []string{"x", "api"}}, 200, ""},
		{"without an issuer", object{"iss": nil}, 200, ""},
		{"inactive", object{"active": false}, 401, "inactive"},
		{"active as text", object{"active": "true"}, 503, "token_endpoint_unavailable"},
		{"active as a number", object{"active": 1}, 503, "token_endpoint_unavailable"},
		{"active is missing", object{"active": nil}, 503, "token_endpoint_unavailable"},
		{"another issuer", object{"iss": "https://evil.example"}, 401, "unknown_issuer"},
		{"another audience", object{"aud": "other"}, 401, "wrong_audience"},
		{"no audience", object{"aud": nil}, 401, "wrong_audience"},
		{"ended", object{"exp": now().Add(-2 * time.Minute).Unix()}, 401, "expired"},
		{"not yet", object{"nbf": now().Add(time.Hour).Unix()}, 401, "not_yet_valid"},
		{"another scope", object{"scope": "write"}, 403, "rule"},
		{"nobody", object{"sub": nil}, 401, "no_identity"},
		{"bound", object{"cnf": object{"jkt": "x"}}, 401, "bound_token"}, // threat 101
		{"bound by type", object{"token_type": "DPoP"}, 401, "bound_token"},
		{"refresh token", object{"token_type": "refresh_token"}, 401, "wrong_type"},
	} {
		token := fmt.Sprint(opaque, i)
		m.set(func() { m.active[token] = put(put(object{}, good), tc.said) })
		for range 2 {
			if f.get("/api/x", "Authorization: Bearer "+token).want(t, tc.status, tc.reason); t.Failed() {
				t.Fatal("where it is", tc.name)
			}
		}
	}
	who := "Authorization: Bearer " + opaque + "0"
	if h := f.get("/api/x", who).seen(t).Header; h.Get("X-User") != "ada" || h.Get("X-Groups") != "staff" || h.Get("Authorization") != "Bearer "+opaque+"0" {
		t.Errorf("seen %v", h)
	}
	f.get("/api/admin/x", who).want(t, 403, "rule")
	f.get("/other/x", who).want(t, 401, "wrong_audience") // each integration asks for itself
	// threat 92: one that is revoked goes on for a minute at most.
	m.set(func() { m.active[opaque+"0"] = object{"active": false} })
	f.get("/api/x", who).want(t, 200, "")
	forward(t, time.Minute+time.Second)
	f.get("/api/x", who).want(t, 401, "inactive")
	// Asked once in ten seconds, and then again.
	before := m.count("/introspect")
	f.get("/api/x", who).want(t, 401, "inactive")
	if m.count("/introspect") != before {
		t.Error("asked again at once")
	}
	m.set(func() { m.active[opaque+"0"] = good })
	forward(t, 11*time.Second)
	f.get("/api/x", who).want(t, 200, "")
	// An end that comes sooner than the minute.
	m.set(func() { m.active[opaque+"short"] = put(object{"exp": now().Add(-30 * time.Second).Unix()}, nil) })
	m.set(func() {
		m.active[opaque+"short"] = put(put(object{}, good), object{"exp": now().Add(-30 * time.Second).Unix()})
	})
	f.get("/api/x", "Authorization: Bearer "+opaque+"short").want(t, 200, "") // within the leeway
	forward(t, 31*time.Second)
	f.get("/api/x", "Authorization: Bearer "+opaque+"short").want(t, 401, "expired")
}

// threat 91: what has not the form of a token reaches nobody, and who makes tokens up
// is stopped, while good ones go on.
func TestMadeUpTokens(t *testing.T) {
	m := newMachineIssuer(t)
	f := m.serveSite(m.block(m.introspects())+"admit keys {\napi_key robot "+sha256Hex(robotKey)+"\n}\n", "admit corp keys {\nheader_up X-User {http.auth.user.id}\n}\n"+upstream(t))
	m.set(func() {
		m.active[opaque] = object{"active": true, "aud": "api", "sub": "ada", "exp": now().Add(time.Hour).Unix()}
	})
	jwt := bearer(t, object{"iss": m.URL})
	for _, tc := range []struct {
		header, reason string
		status         int
	}{
		{"Authorization: Bearer x", "malformed_token", 401},
		{"Authorization: Bearer " + strings.Repeat("x", 12<<10), "inactive", 401},
		{"Authorization: Bearer ====", "malformed_token", 401},
		{"Authorization: Bearer " + opaque + "\x80", "malformed_credential", 400},
		{"Authorization: Bearer a b", "malformed_credential", 400},
		{"X-API-Key: " + opaque, "bad_api_key", 401},
		{jwt, "unsupported_algorithm", 401},
		{jwt + "x.", "inactive", 401}, // four parts: none that is read here
		{"Authorization: Bearer eyJ.x.y", "malformed_token", 401},
	} {
		before := m.count("/introspect")
		f.get("/x", tc.header).want(t, tc.status, tc.reason)
		if asked := m.count("/introspect") > before; asked != (tc.reason == "inactive") {
			t.Errorf("%.60q: asked %v", tc.header, asked)
		}
	}
	for token, user := range map[string]string{robotKey: "robot", opaque: "ada"} {
		before := m.count("/introspect")
		if got := f.get("/x", "Authorization: Bearer "+token).seen(t).Header.Get("X-User"); got != user {
			t.Errorf("%s, want %s", got, user)
		}
		if asked := m.count("/introspect") > before; asked != (user == "ada") {
			t.Errorf("%s: asked %v", user, asked)
		}
	}
	locked := 0
	for i := range 200 {
		a := f.get("/x", fmt.Sprint("Authorization: Bearer made-up-", i))
		if a.StatusCode == 429 {
			a.want(t, 429, "locked_out")
			locked++
			continue
		}
		a.want(t, 401, "inactive")
	}
	if n := m.count("/introspect"); n > 30 || locked < 150 {
		t.Errorf("%d questions, %d locked out", n, locked)
	}
	f.get("/x", "Authorization: Bearer "+opaque).want(t, 200, "")
	f.get("/x", "Authorization: Bearer "+robotKey).want(t, 200, "")
}

// A gate takes JWTs and opaque tokens of one issuer. Who cannot be asked is 503.
func TestOpaqueBesideJWT(t *testing.T) {
	m := newMachineIssuer(t)
	f := m.serveSite(m.block(m.introspects()+"client_credentials"), "admit {\nheader_up X-User {http.auth.user.id}\n}\n"+upstream(t))
	m.set(func() {
		m.active[opaque] = object{"active": true, "aud": "api", "sub": "opaque", "exp": now().Add(time.Hour).Unix()}
		m.said = object{"access_token": opaque} // a client's token may be opaque as well
	})
	jwt := "Authorization: Bearer " + m.key.token(good(object{"iss": m.URL, "sub": "jwt"}), object{"typ": "at+jwt"})
	for header, want := range map[string]string{jwt: "jwt", "Authorization: Bearer " + opaque: "opaque", basicHeader("robot", machineSecret): "opaque"} {
		if h := f.get("/x", header).seen(t).Header; h.Get("X-User") != want {
			t.Errorf("%s, want %s", h.Get("X-User"), want)
		}
	}
	for name, fail := range map[string]http.HandlerFunc{
		"500":  func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(500) },
		"401":  func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(401) },
		"HTML": func(w http.ResponseWriter, _ *http.Request) { fmt.Fprint(w, "<html>") },
		"none": func(http.ResponseWriter, *http.Request) { panic(http.ErrAbortHandler) },
	} {
		m.failing("/introspect", fail)
		f.get("/x", "Authorization: Bearer "+opaque+name).want(t, 503, "token_endpoint_unavailable")
		f.get("/x", "Authorization: Bearer "+opaque).want(t, 200, "")
	}
}

// userinfo always: claims that a token lacks come from the userinfo endpoint, about
// the same user.
func TestUserinfoOfTokens(t *testing.T) {
	m := newMachineIssuer(t)
	f := m.serveSite(m.block("userinfo always\nidentity {\nuser email\n}"), "admit {\nrequire /staff/* groups staff\nheader_up X-User {http.auth.user.id}\n}\n"+upstream(t))
	says := object{"sub": "ada", "email": "ada@example.com", "groups": []string{"staff"}}
	m.failing("/userinfo", func(w http.ResponseWriter, r *http.Request) {
		if !strings.HasPrefix(r.Header.Get("Authorization"), "Bearer ey") {
			w.WriteHeader(401)
			return
		}
		writeJSON(w, says)
	})
	token := func(more object) string {
		return "Authorization: Bearer " + m.key.token(good(put(object{"iss": m.URL}, more)), object{"typ": "at+jwt"})
	}
	who := token(nil)
	for range 2 {
		if got := f.get("/staff/x", who).seen(t).Header.Get("X-User"); got != "ada@example.com" {
			t.Errorf("user %q", got)
		}
	}
	if n := m.count("/userinfo"); n != 1 {
		t.Errorf("%d questions", n)
	}
	f.get("/staff/x", token(object{"groups": []string{"guests"}})).want(t, 403, "rule") // the token's own claims win
	f.get("/x", token(object{"sub": "eve"})).want(t, 401, "inactive")
	f.get("/x", token(object{"aud": "other"})).want(t, 401, "wrong_audience")
	says = object{"sub": "ada", "email": "ada@example.com", "email_verified": false}
	f.get("/x", token(object{"jti": "2"})).want(t, 401, "no_identity")
	m.failing("/userinfo", func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(403) })
	f.get("/x", token(object{"jti": "3"})).want(t, 401, "inactive")
	m.failing("/userinfo", func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(500) })
	f.get("/x", token(object{"jti": "4"})).want(t, 503, "token_endpoint_unavailable")
	forward(t, 30*time.Second)
	f.get("/x", who).want(t, 200, "")
	forward(t, 31*time.Second)
	f.get("/x", who).want(t, 503, "token_endpoint_unavailable")
}

// forward exchange: the application gets a token that is meant for it, made once for
// many requests.
func TestForwardExchange(t *testing.T) {
	m := newMachineIssuer(t)
	gate := "admit corp keys {\nlogin\nforward exchange {\naudience https://orders.internal\nscopes orders.read\n}\n}\n" + upstream(t)
	block := m.block(m.introspects()+"client_credentials\nlogin {\nclient_id "+clientID+"\nclient_secret \""+clientSecret+"\"\n}") +
		"admit keys {\napi_key robot " + sha256Hex(robotKey) + "\n}\n"
	f := m.serveSite(block, gate)
	jwt := m.key.token(good(object{"iss": m.URL}), object{"typ": "at+jwt"})
	exchanged := func(got seen, subject string) {
		t.Helper()
		token, ok := strings.CutPrefix(got.Header.Get("Authorization"), "Bearer ")
		form := m.forms[len(m.forms)-1]
		if !ok || token == subject || form.Get("subject_token") != subject || form.Get("grant_type") != "urn:ietf:params:oauth:grant-type:token-exchange" ||
			form.Get("audience") != "https://orders.internal" || form.Get("resource") != "https://orders.internal" || form.Get("scope") != "orders.read" {
			t.Errorf("seen %v for %v", got.Header, form)
		}
	}
	exchanged(f.get("/x", "Authorization: Bearer "+jwt).seen(t), jwt)
	exchanged(f.get("/x", "Authorization: Bearer "+jwt).seen(t), jwt)
	if len(m.forms) != 1 {
		t.Errorf("%d questions", len(m.forms))
	}
	got := f.get("/x", basicHeader("robot", machineSecret)).seen(t)
	exchanged(got, m.forms[len(m.forms)-1].Get("subject_token"))
	if h := f.get("/x", "X-API-Key: "+robotKey).seen(t).Header; h.Get("Authorization") != "" || h.Get("X-Api-Key") != "" {
		t.Errorf("an API key: seen %v", h)
	}
	b := f.web()
	got = b.open("/x").seen(t)
	exchanged(got, m.login().access[0])
	// A reload that leaves it as it is asks for nothing.
	n := len(m.forms)
	f.reload(block, gate)
	exchanged(b.open("/x").seen(t), m.login().access[0])
	if len(m.forms) != n {
		t.Error("asked anew after a reload")
	}
	refuse := func(code string) {
		m.failing("/token", func(w http.ResponseWriter, _ *http.Request) { m.refuseToken(w, 400, code) })
	}
	for code, tc := range map[string]struct {
		status int
		reason string
	}{"invalid_grant": {401, "inactive"}, "invalid_target": {503, "token_endpoint_unavailable"}, "unauthorized_client": {503, "token_endpoint_unavailable"}} {
		refuse(code)
		other := m.key.token(good(object{"iss": m.URL, "jti": code}), object{"typ": "at+jwt"})
		f.get("/x", "Authorization: Bearer "+other).want(t, tc.status, tc.reason)
	}
	f.get("/x", "Authorization: Bearer "+jwt).want(t, 200, "")
}
