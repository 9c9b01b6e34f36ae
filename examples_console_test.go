package admit

import (
	"encoding/base64"
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"regexp"
	"slices"
	"strings"
	"sync"
	"testing"
)

// consoleKey is a key of the console itself.
const consoleKey = "admit_published-so-it-protects-nothing"

// consoleApp stands in for a console that leaves authenticating to the gate: it
// believes the identity headers, and answers nobody without them.
type consoleApp struct {
	*httptest.Server

	mu   sync.Mutex
	seen []*http.Request
}

// consoleUser is who the console was told about.
type consoleUser struct {
	User   string `json:"user"`
	Groups string `json:"groups"`
	From   string `json:"from"`
}

func newConsoleApp(t *testing.T) *consoleApp {
	c := &consoleApp{}
	c.Server = httptest.NewServer(c)
	t.Cleanup(c.Close)
	return c
}

func (c *consoleApp) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	c.mu.Lock()
	c.seen = append(c.seen, r)
	c.mu.Unlock()
	user := r.Header["X-User"]
	if len(user) != 1 || user[0] == "" {
		w.WriteHeader(http.StatusUnauthorized)
		return
	}
	w.Header().Set("Content-Type", "application/json")
	writeJSON(w, consoleUser{user[0], r.Header.Get("X-Groups"), r.Header.Get("X-User-From")})
}

// take returns what came since the last call.
func (c *consoleApp) take() []*http.Request {
	c.mu.Lock()
	defer c.mu.Unlock()
	seen := c.seen
	c.seen = nil
	return seen
}

// consoleRealm has clients that get an e-mail address, a key of the console, or
// neither in their tokens.
func consoleRealm(t *testing.T) *fakeRealm {
	return newRealm(t, map[string]realmClient{
		"deploy":  {secret: "se:cret%2B", claims: object{"scope": "console", "email": "deploy@machines.example.com", "groups": "deployers"}},
		"robot":   {secret: "robot-demo", claims: object{"scope": "console", "apikey": consoleKey}},
		"nobody":  {secret: "nobody-demo", claims: object{"scope": "console"}},
		"reports": {secret: "reports-demo", claims: object{"scope": "reports"}},
	})
}

// consoleTokens makes tokens of the realm by name, as docs/delegated.md has them.
func consoleTokens(r *fakeRealm) map[string]string {
	token := func(more object) string {
		return r.compact(merged(good(nil), object{"iss": r.url, "aud": "https://console.example.com", "sub": "1"}, more))
	}
	return map[string]string{
		"TOKEN":               token(object{"email": "ada@example.com", "groups": []string{"staff", "platform-team"}}),
		"TOKEN_WITHOUT_EMAIL": token(object{"groups": []string{"staff"}}),
		"TOKEN_WITH_KEY":      token(object{"email": "ada@example.com", "apikey": consoleKey}),
	}
}

func visitDelegatedConsole(t *testing.T) {
	realm, console := consoleRealm(t), newConsoleApp(t)
	addr := runBefore(t, adaptFile(t, "examples/delegated-console/Caddyfile"), console.Listener.Addr().String())
	f := &front{t: t, addr: addr}
	const host, bearer = "console.example.com", "Authorization: Bearer "
	token := func(more object) string {
		return realm.bearer(t, object{"aud": "https://console.example.com", "email": "ada@example.com", "groups": "staff"}, more)
	}
	basic := func(id, secret string) string {
		return "Authorization: Basic " + base64.StdEncoding.EncodeToString([]byte(id+":"+secret))
	}
	own := exampleToken(t, addr, host, "admin", "console-demo")
	other := newExampleIssuer(t)
	for _, tc := range []struct {
		name   string
		header string
		want   consoleUser
		reason string
	}{
		{name: "a person", header: token(nil), want: consoleUser{"ada@example.com", "staff", "realm"}},
		{name: "never seen before", header: token(object{"email": "new@example.com", "groups": nil}), want: consoleUser{"new@example.com", "", "realm"}},
		{name: "mapped", header: token(object{"groups": []string{"platform-team"}}), want: consoleUser{"ada@example.com", "admins", "realm"}},
		{name: "not verified", header: token(object{"email_verified": false}), reason: "no_identity"},
		{name: "for another application", header: token(object{"aud": "other"}), reason: "wrong_audience"},
		{name: "of another issuer", header: token(object{"iss": other.url}), reason: "unknown_issuer"},
		{name: "a key inside", header: token(object{"apikey": consoleKey}), want: consoleUser{"ci", "deployers", "console"}},
		{name: "another key inside", header: token(object{"apikey": consoleKey + "x"}), want: consoleUser{"ada@example.com", "staff", "realm"}},
		{name: "another key inside, and no address", header: token(object{"apikey": consoleKey + "x", "email": nil}), reason: "no_identity"},
		{name: "id and secret", header: basic("deploy", "se:cret%2B"), want: consoleUser{"deploy@machines.example.com", "deployers", "realm"}},
		{name: "id and secret, encoded by the client", header: basic("deploy", "se%3Acret%252B"), reason: "bad_client"},
		{name: "id and another secret", header: basic("deploy", "se:cret+"), reason: "bad_client"},
		{name: "an id that is not known", header: basic("somebody", "se:cret%2B"), reason: "bad_client"},
		{name: "id and secret, a key inside", header: basic("robot", "robot-demo"), want: consoleUser{"ci", "deployers", "console"}},
		{name: "id and secret, neither key nor address", header: basic("nobody", "nobody-demo"), reason: "no_identity"},
		{name: "id and secret, without the scope", header: basic("reports", "reports-demo"), reason: "token_endpoint_unavailable"},
		{name: "a user of the console, by Basic", header: basic("admin", "console-demo"), reason: "bad_client"},
		{name: "a token of the console", header: bearer + own, want: consoleUser{"admin", "admins", "console"}},
		{name: "a key of the console", header: bearer + consoleKey, want: consoleUser{"ci", "deployers", "console"}},
		{name: "another key", header: bearer + consoleKey + "x", reason: "bad_api_key"},
		{name: "the realm's keys, the console's name", header: token(object{"iss": "https://console.example.com"}), reason: "unsupported_algorithm"},
		{name: "nothing", header: "X-Nothing: 1", reason: "missing_credential"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			console.take()
			before := realm.count("/token")
			a := f.askWith("", host, "/api/me", tc.header, "X-User: root", "x_user: root")
			seen := console.take()
			ofRealm := strings.HasPrefix(tc.header, "Authorization: Basic ") && !strings.HasSuffix(tc.name, "by Basic")
			if asked := realm.count("/token") > before; asked != ofRealm {
				t.Errorf("the realm was asked: %t", asked)
			}
			if tc.reason != "" {
				status := http.StatusUnauthorized
				if tc.reason == "token_endpoint_unavailable" {
					status = http.StatusServiceUnavailable
				}
				a.want(t, status, tc.reason)
				if len(seen) != 0 {
					t.Errorf("the console got %v", seen)
				}
				return
			}
			var got consoleUser
			if err := json.Unmarshal([]byte(a.body), &got); err != nil || got != tc.want {
				t.Fatalf("got %d %s, want %+v", a.StatusCode, a.body, tc.want)
			}
			if len(seen) != 1 || seen[0].Header.Get("Authorization") != "" || strings.Count(seen[0].Header.Get("X-Assertion"), ".") != 2 {
				t.Errorf("the console got %v", seen)
			}
		})
	}
	t.Run("past the gate", func(t *testing.T) {
		resp, err := http.Get(console.URL + "/api/me")
		if err != nil {
			t.Fatal(err)
		}
		resp.Body.Close()
		if resp.StatusCode != http.StatusUnauthorized {
			t.Errorf("got %d", resp.StatusCode)
		}
	})
	t.Run("Conduktor", func(t *testing.T) { visitConduktor(t, addr, realm, console) })
}

// conduktor calls as the Conduktor command line does in the mode "external".
type conduktor struct {
	apiKey, user, password string // CDK_API_KEY, or CDK_USER and CDK_PASSWORD
}

// authorization is the header that it sends, with what stands in its environment as
// it is.
func (c conduktor) authorization() string {
	if c.apiKey != "" {
		return "Bearer " + c.apiKey
	}
	return "Basic " + base64.StdEncoding.EncodeToString([]byte(c.user+":"+c.password))
}

// run sends what "conduktor get topic" does: the description of the API first, then
// the call. There is no call to log in.
func (c conduktor) run(t *testing.T, addr, baseURL string) (last answered) {
	t.Helper()
	base := regexp.MustCompile(`(/api)?/?$`).ReplaceAllString(baseURL, "/api")
	for _, path := range []string{"/public/docs/docs.yaml", "/public/kafka/v2/cluster/local/topic"} {
		r, err := http.NewRequest("GET", base+path, nil)
		if err != nil {
			t.Fatal(err)
		}
		r.Host, r.URL.Scheme, r.URL.Host = r.URL.Host, "http", addr
		r.Header.Set("Authorization", c.authorization())
		r.Header.Set("X-CDK-CLIENT", "CLI/unknown")
		r.Header.Set("X-Forwarded-Proto", "https")
		resp, err := http.DefaultClient.Do(r)
		if err != nil {
			t.Fatal(err)
		}
		last = readBody(t, resp)
	}
	return last
}

func visitConduktor(t *testing.T, addr string, realm *fakeRealm, console *consoleApp) {
	tokens := consoleTokens(realm)
	for _, tc := range []struct {
		name   string
		client conduktor
		user   string // "" for a refusal
		status int
	}{
		{"token", conduktor{apiKey: tokens["TOKEN"]}, "ada@example.com", 200},
		{"token with a key", conduktor{apiKey: tokens["TOKEN_WITH_KEY"]}, "ci", 200},
		{"token and a word behind it", conduktor{apiKey: tokens["TOKEN"] + " x"}, "", 400},
		{"key", conduktor{apiKey: consoleKey}, "ci", 200},
		{"user and password", conduktor{user: "deploy", password: "se:cret%2B"}, "deploy@machines.example.com", 200},
		{"user and wrong password", conduktor{user: "deploy", password: "se:cret"}, "", 401},
	} {
		t.Run(tc.name, func(t *testing.T) {
			before := realm.count("/token")
			console.take()
			for range 3 {
				a := tc.client.run(t, addr, "https://console.example.com/")
				var got consoleUser
				_ = json.Unmarshal([]byte(a.body), &got)
				if a.StatusCode != tc.status || got.User != tc.user {
					t.Errorf("got %d %s", a.StatusCode, a.body)
				}
			}
			var paths []string
			for _, r := range console.take() {
				paths = append(paths, r.Method+" "+r.URL.Path)
				if r.Header.Get("X-Cdk-Client") != "CLI/unknown" || r.Header.Get("Authorization") != "" {
					t.Errorf("the console got %v", r.Header)
				}
			}
			if tc.user != "" && (len(paths) != 6 || !slices.Contains(paths, "GET /api/public/docs/docs.yaml")) || tc.user == "" && paths != nil {
				t.Errorf("the console got %q", paths)
			}
			if asked := realm.count("/token") - before; asked > 1 {
				t.Errorf("%d tokens were asked for", asked)
			}
		})
	}
}
