package admit

import (
	"fmt"
	"net/http"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"
)

// An id and a secret become a token, which is checked like any other and is all that
// the application sees.
func TestClientCredentials(t *testing.T) {
	m := newMachineIssuer(t)
	f := m.serveSite(m.block("client_credentials {\nscopes read write\naudience https://api.example.com\n}\nrequire scope read"),
		"handle /metrics {\nmetrics\n}\nhandle {\nadmit {\nrequire /admin/* user admin\nheader_up X-User {http.auth.user.id}\n}\n"+upstream(t)+"\n}")
	who := basicHeader("robot", machineSecret)
	got := f.get("/x", who).seen(t)
	token, ok := strings.CutPrefix(got.Header.Get("Authorization"), "Bearer ")
	if !ok || strings.Count(token, ".") != 2 || len(got.Header["Authorization"]) != 1 || got.Header.Get("X-User") != "robot" {
		t.Errorf("seen %v", got.Header)
	}
	form := m.forms[0]
	if form.Get("scope") != "read write" || form.Get("audience") != "https://api.example.com" || form.Get("resource") != "https://api.example.com" || form.Has("client_secret") {
		t.Errorf("asked %v", form)
	}
	if again := f.get("/x", who).seen(t).Header.Get("Authorization"); again != "Bearer "+token {
		t.Error("asked anew")
	}
	f.get("/x", "Authorization: Bearer "+token).want(t, 200, "")
	f.get("/admin/x", who).want(t, 403, "rule")
	a := f.get("/x", basicHeader("robot", machineSecret+"x"))
	a.want(t, 401, "bad_client")
	if lines := strings.Join(a.Header["Www-Authenticate"], "|"); !strings.Contains(lines, "Basic realm=") || !strings.Contains(lines, "Bearer") {
		t.Errorf("challenges %q", lines)
	}
	for _, header := range []string{basicHeader("robot", ""), basicHeader("nobody", machineSecret), basicHeader("Robot", machineSecret)} {
		f.get("/x", header).want(t, 401, "bad_client")
	}
	f.get("/x", basicHeader("", machineSecret)).want(t, 400, "malformed_credential")
	f.get("/x", who, "Authorization: Bearer "+token).want(t, 400, "several_credentials")
	// threat 46: what a browser has kept counts only for the site's own pages.
	f.ask("POST", "a.example", "/x", who, "Sec-Fetch-Site: cross-site").want(t, 403, "cross_origin")
	// A command line as others write it: standard base64, and a header of its own.
	f.get("/x", who, "X-CDK-CLIENT: CLI/v1").want(t, 200, "")
	f.get("/x").want(t, 401, "missing_credential")
	if n := f.metric(`admit_exchanges_total{integration="corp",outcome="bad_client"}`); n == 0 {
		t.Error("not counted")
	}
}

// What the application sees of a client, by each form of forward.
func TestForwardClientCredentials(t *testing.T) {
	m := newMachineIssuer(t)
	who := basicHeader("robot", machineSecret)
	for line, want := range map[string]string{
		"": "Bearer ", "forward token": "Bearer ", "forward access_token": "Bearer ", "forward token X-Token": "X",
		"forward none": "", "forward id_token": "", "forward client": strings.TrimPrefix(who, "Authorization: "),
	} {
		t.Run(line, func(t *testing.T) {
			f, _ := serveHome(t, m.block("client_credentials"), "admit {\n"+line+"\n}\n"+upstream(t))
			h := f.get("/x", who, "X-Token: forged").seen(t).Header
			got := h.Get("Authorization")
			switch want {
			case "":
				if got != "" {
					t.Errorf("seen %v", h)
				}
			case "X":
				if got != "" || strings.Count(h.Get("X-Token"), ".") != 2 {
					t.Errorf("seen %v", h)
				}
			default:
				if !strings.HasPrefix(got, want) {
					t.Errorf("seen %v", h)
				}
			}
		})
	}
}

// threat 88: the password of a user that is known here goes to no issuer.
func TestLocalUserBesideClients(t *testing.T) {
	for name, basic := range map[string]string{"with basic": "basic\n", "without": ""} {
		t.Run(name, func(t *testing.T) {
			m := newMachineIssuer(t)
			f := m.serveSite(m.block("client_credentials")+homeIntegration(t, "home", basic), "admit corp home {\nheader_up X-User {http.auth.user.id}\n}\n"+upstream(t))
			m.set(func() { m.secrets["ada"] = adaPassword })
			a := f.get("/x", basicHeader("ada", adaPassword))
			if basic == "" {
				a.want(t, 401, "bad_client")
			} else if h := a.seen(t).Header; h.Get("X-User") != "ada" || h.Get("Authorization") != "" {
				t.Errorf("seen %v", h)
			}
			// Nor does that of one who writes the name another way.
			for _, id := range []string{"Ada", "ADA", "ada ", "\uff41da"} {
				m.set(func() { m.secrets[id] = adaPassword })
				f.get("/x", basicHeader(id, adaPassword)).want(t, 401, "bad_client")
			}
			if len(m.forms) != 0 {
				t.Error("the issuer was asked")
			}
			f.get("/x", basicHeader("robot", machineSecret)).want(t, 200, "")
			m.set(func() { m.secrets["adam"] = "s" })
			f.get("/x", basicHeader("adam", "s")).want(t, 200, "")
		})
	}
	m := newMachineIssuer(t)
	err := loadError(t, m.block("client_credentials")+strings.Replace(m.block("client_credentials"), "corp", "two", 1), "admit corp two")
	if !strings.Contains(err, "client_credentials: corp and two both take HTTP Basic from clients") {
		t.Error(err)
	}
}

// threat 79: who guesses does not learn which names are those of users and which of
// clients, or of nobody: the answers are the same, and so is what is counted.
func TestUsersBesideClientsLookAlike(t *testing.T) {
	for _, basic := range []string{"basic\n", ""} {
		answers := map[string][]string{}
		for _, id := range []string{"nobody", "robot", "ada", "Ada"} {
			t.Run(id+" "+basic, func(t *testing.T) {
				m := newMachineIssuer(t)
				f := m.serveSite(m.block("client_credentials")+homeIntegration(t, "home", basic), "admit corp home\n"+upstream(t))
				for n := range 8 {
					a := f.get("/x", basicHeader(id, fmt.Sprint("wrong-", n)))
					a.Header.Del("Date")
					answers[id] = append(answers[id], fmt.Sprint(a.StatusCode, a.Header, a.body))
				}
				if got := answers[id]; !slices.Equal(got, answers["nobody"]) {
					t.Errorf("got\n%s\nnobody gets\n%s", strings.Join(got, "\n"), strings.Join(answers["nobody"], "\n"))
				}
			})
		}
	}
}

// threats 81, 89: the token of one client is nobody else's, however ids and secrets are
// put together, and it ends with its secret.
func TestClientTokensApart(t *testing.T) {
	m := newMachineIssuer(t)
	f := m.serveSite(m.block("client_credentials"), "admit {\nheader_up X-User {http.auth.user.id}\n}\n"+upstream(t))
	m.set(func() { m.secrets = map[string]string{"a": "bc:d", "ab": "c:d", "abc": "d"} })
	for range 2 {
		for id, secret := range m.secrets {
			if got := f.get("/x", basicHeader(id, secret)).seen(t).Header.Get("X-User"); got != id {
				t.Errorf("%s is %s", id, got)
			}
		}
	}
	if len(m.forms) != 3 {
		t.Errorf("%d questions", len(m.forms))
	}
	f.get("/x", basicHeader("ab", "d")).want(t, 401, "bad_client")
	// A secret that is changed goes on for five minutes at most.
	m.set(func() { m.secrets["a"] = "new" })
	f.get("/x", basicHeader("a", "bc:d")).want(t, 200, "")
	f.get("/x", basicHeader("a", "new")).want(t, 200, "")
	forward(t, 5*time.Minute+time.Second)
	f.get("/x", basicHeader("a", "bc:d")).want(t, 401, "bad_client")
}

// threat 88: the issuer is no oracle. One question for many at once; of wrong secrets
// few get there, and the right one goes on.
func TestGuessedSecrets(t *testing.T) {
	m := newMachineIssuer(t)
	f := m.serveSite(m.block("client_credentials"), "admit\n"+upstream(t))
	var wg sync.WaitGroup
	for range 12 {
		wg.Go(func() { f.get("/x", basicHeader("robot", machineSecret)).want(t, 200, "") })
	}
	wg.Wait()
	if n := m.count("/token"); n != 1 {
		t.Errorf("%d questions for twelve at once", n)
	}
	locked := 0
	for i := range 1000 {
		a := f.get("/x", basicHeader("robot", fmt.Sprint("wrong", i)))
		switch a.StatusCode {
		case 401:
			a.want(t, 401, "bad_client")
		default:
			a.want(t, 429, "locked_out")
			if locked++; a.Header.Get("Retry-After") == "" {
				t.Error("no Retry-After")
			}
		}
	}
	if n := m.count("/token"); n >= 20+1 || locked < 900 {
		t.Errorf("%d questions, %d locked out", n, locked)
	}
	f.get("/x", basicHeader("robot", machineSecret)).want(t, 200, "")
	forward(t, 6*time.Minute) // out of memory, and right from here before
	f.get("/x", basicHeader("robot", machineSecret)).want(t, 200, "")
}

// What a token endpoint may answer, and the status of it: never 500, and never a 401
// for what is not the client's fault.
func TestTokenEndpointAnswers(t *testing.T) {
	m := newMachineIssuer(t)
	f := m.serveSite(m.block("client_credentials"), "admit\n"+upstream(t))
	answer := func(status int, kind, body string) http.HandlerFunc {
		return func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Type", kind)
			w.WriteHeader(status)
			fmt.Fprint(w, body)
		}
	}
	unavailable := "token_endpoint_unavailable"
	for i, tc := range []struct {
		name   string
		fail   http.HandlerFunc
		claims object
		said   object
		status int
		reason string
	}{
		{"401", answer(401, "application/json", `{"error":"invalid_client","error_description":"marked-text"}`), nil, nil, 401, "bad_client"},
		{"401 without a word", answer(401, "text/plain", ""), nil, nil, 401, "bad_client"},
		{"400 invalid_client", answer(400, "application/json", `{"error":"invalid_client"}`), nil, nil, 401, "bad_client"},
		{"scope", answer(400, "application/json", `{"error":"invalid_scope","error_description":"marked-text"}`), nil, nil, 503, unavailable},
		{"500", answer(500, "application/json", `{"error":"invalid_client"}`), nil, nil, 503, unavailable},
		{"429", answer(429, "application/json", `{}`), nil, nil, 503, unavailable},
		{"redirect", func(w http.ResponseWriter, r *http.Request) {
			http.Redirect(w, r, m.URL+"/jwks", http.StatusTemporaryRedirect)
		}, nil, nil, 503, unavailable},
		{"HTML", answer(200, "text/html", "<html>marked-text</html>"), nil, nil, 503, unavailable},
		{"64 MiB", answer(200, "application/json", `{"access_token":"`+strings.Repeat("x", 64<<20)), nil, nil, 503, unavailable},
		{"nothing", answer(200, "application/json", ""), nil, nil, 503, unavailable},
		{"no answer", func(http.ResponseWriter, *http.Request) { panic(http.ErrAbortHandler) }, nil, nil, 503, unavailable},
		{"another audience", nil, object{"aud": "other"}, nil, 401, "wrong_audience"},
		{"another issuer", nil, object{"iss": "https://evil.example"}, nil, 401, "unknown_issuer"},
		{"ended", nil, object{"exp": 1}, nil, 401, "expired"},
		{"bound", nil, object{"cnf": object{"jkt": "x"}}, nil, 401, "bound_token"}, // threat 101
		{"type", nil, nil, object{"token_type": "DPoP"}, 503, unavailable},
		{"expires_in missing", nil, nil, object{"expires_in": nil}, 200, ""},
		{"expires_in negative", nil, nil, object{"expires_in": -5}, 200, ""},
		{"expires_in zero", nil, nil, object{"expires_in": 0}, 200, ""},
		{"right", nil, nil, nil, 200, ""},
	} {
		id, secret := fmt.Sprint("robot", i), "secret"
		m.set(func() { m.secrets[id], m.claims, m.said = secret, tc.claims, tc.said })
		m.failing("/token", tc.fail)
		a := f.get("/x", basicHeader(id, secret))
		a.want(t, tc.status, tc.reason)
		if t.Failed() {
			t.Fatal("with", tc.name)
		}
		if tc.status == 503 && (a.Header.Get("Retry-After") == "" || a.Header.Get("WWW-Authenticate") != "") {
			t.Errorf("%s: header %v", tc.name, a.Header)
		}
		// How long it is used.
		m.failing("/token", nil)
		before := m.count("/token")
		f.get("/x", basicHeader(id, secret))
		once := slices.Contains([]string{"ended", "expires_in negative", "expires_in zero"}, tc.name)
		if asked := m.count("/token") > before; asked != once {
			t.Errorf("%s: asked anew: %v", tc.name, asked)
		}
		forward(t, time.Minute+time.Second)
		before = m.count("/token")
		f.get("/x", basicHeader(id, secret))
		if asked := m.count("/token") > before; tc.status == 200 && asked != (tc.name != "right") {
			t.Errorf("%s: asked anew after a minute: %v", tc.name, asked)
		}
	}
	hints := 0
	for _, e := range f.entries("the issuer gave no answer about a client; said at most every 10 s") {
		if e["hint"] != nil && e["integration"] == "corp" && e["for"] == "client credentials" {
			hints++
		}
	}
	if hints == 0 {
		t.Error("no hint in the log")
	}
}

// A reload forgets nothing that is still good, and takes nothing over that was asked
// otherwise.
func TestClientTokensOutliveReload(t *testing.T) {
	m := newMachineIssuer(t)
	f := m.serveSite(m.block("client_credentials"), "admit\n"+upstream(t))
	who := basicHeader("robot", machineSecret)
	f.get("/x", who).want(t, 200, "")
	f.reload(m.block("client_credentials\nleeway 5s"), "admit\n"+upstream(t))
	f.get("/x", who).want(t, 200, "")
	if n := m.count("/token"); n != 1 {
		t.Errorf("%d questions", n)
	}
	// One that fails changes nothing, and takes nothing along.
	uses := func() (uses []int) {
		askerPool.Range(func(key, _ any) bool {
			n, _ := askerPool.References(key)
			uses = append(uses, n)
			return true
		})
		return uses
	}
	for _, broken := range []string{"admit {\nheader_up X-User {env.ADMIT_TEST_NOT_SET}\n}", "admit {\nforward exchange {\naudience a\n}\nheader_up X-User {env.ADMIT_TEST_NOT_SET}\n}"} {
		for _, global := range []string{m.block("client_credentials\n" + m.introspects() + "userinfo always"), m.block(m.introspects() + "require a {env.ADMIT_TEST_NOT_SET}")} {
			if f.load("storage admit_test "+t.Name()+"\n"+global, "http://:PORT {\n"+broken+"\n}") == nil {
				t.Fatal("loaded")
			}
			if got := uses(); !slices.Equal(got, []int{1}) {
				t.Fatalf("uses %v", got)
			}
		}
	}
	f.get("/x", who).want(t, 200, "")
	if n := m.count("/token"); n != 1 {
		t.Errorf("%d questions", n)
	}
	f.reload(m.block("client_credentials {\nscopes read\n}"), "admit\n"+upstream(t))
	f.get("/x", who).want(t, 200, "")
	if n := m.count("/token"); n != 2 {
		t.Errorf("%d questions", n)
	}
}
