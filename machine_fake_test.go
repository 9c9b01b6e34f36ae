package admit

import (
	"fmt"
	"net/http"
	"net/url"
	"os"
	"strings"
	"sync"
	"testing"
	"time"
)

// machineIssuer is a provider as clients that are no browsers see it.
type machineIssuer struct {
	*fakeProvider

	guard   sync.Mutex
	secrets map[string]string           // of clients, by id
	claims  object                      // of the tokens of clients, over the usual ones
	said    object                      // members of the token endpoint's answers, over the usual ones
	active  map[string]object           // what introspection says, by token
	fail    map[string]http.HandlerFunc // in place of an endpoint, by path
	forms   []url.Values                // what the token endpoint was asked
}

const (
	gateSecret    = "marked gate:secret%"
	machineSecret = "marked:%41 secret+&="
)

func newMachineIssuer(t *testing.T) *machineIssuer {
	m := &machineIssuer{fakeProvider: newProvider(t), secrets: map[string]string{"robot:1": "", "robot": machineSecret, "gate": gateSecret}, active: map[string]object{}, fail: map[string]http.HandlerFunc{}}
	m.change(func() {
		m.discovery = func(document object) { document["introspection_endpoint"] = m.URL + "/introspect" }
		m.instead["/token"] = m.handle(m.serveMachines)
		m.instead["/introspect"] = m.handle(m.serveIntrospection)
		m.instead["/userinfo"] = m.handle(func(w http.ResponseWriter, r *http.Request) { m.serve(w, r) })
	})
	return m
}

// set changes what the issuer does from now on.
func (m *machineIssuer) set(how func()) {
	m.guard.Lock()
	defer m.guard.Unlock()
	how()
}

// failing has an endpoint answer otherwise from now on, nil for as it should.
func (m *machineIssuer) failing(path string, with http.HandlerFunc) {
	m.set(func() { m.fail[path] = with })
}

func (m *machineIssuer) handle(serve http.HandlerFunc) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		m.guard.Lock()
		fail := m.fail[r.URL.Path]
		m.guard.Unlock()
		if fail != nil {
			fail(w, r)
			return
		}
		serve(w, r)
	}
}

// client returns the id of a client whose secret is right, as RFC 6749 section 2.3.1
// encodes them.
func (m *machineIssuer) client(r *http.Request) (id string, ok bool) {
	user, password, _ := r.BasicAuth()
	id, err1 := url.QueryUnescape(user)
	secret, err2 := url.QueryUnescape(password)
	m.guard.Lock()
	defer m.guard.Unlock()
	want := m.secrets[id]
	return id, err1 == nil && err2 == nil && want != "" && want == secret
}

func (m *machineIssuer) serveMachines(w http.ResponseWriter, r *http.Request) {
	_ = r.ParseForm()
	if grant := r.PostForm.Get("grant_type"); grant != "client_credentials" && !strings.HasSuffix(grant, ":token-exchange") {
		m.serve(w, r)
		return
	}
	m.set(func() { m.forms = append(m.forms, r.PostForm) })
	id, ok := m.client(r)
	if !ok && !(id == clientID) {
		m.refuseToken(w, http.StatusUnauthorized, "invalid_client")
		return
	}
	claims := object{"iss": m.URL, "aud": "api", "sub": id, "exp": now().Add(time.Hour).Unix(), "scope": r.PostForm.Get("scope")}
	if subject := r.PostForm.Get("subject_token"); subject != "" {
		claims["aud"], claims["sub"] = r.PostForm.Get("audience"), "of "+subject[max(0, len(subject)-8):]
	}
	m.guard.Lock()
	defer m.guard.Unlock()
	put(claims, m.claims)
	token := m.key.token(claims, object{"typ": "at+jwt"})
	m.change(func() { m.issued = append(m.issued, token) })
	writeJSON(w, put(object{"access_token": token, "token_type": "Bearer", "expires_in": 3600}, m.said))
}

func (m *machineIssuer) serveIntrospection(w http.ResponseWriter, r *http.Request) {
	_ = r.ParseForm()
	if _, ok := m.client(r); !ok || r.Method != http.MethodPost || r.URL.RawQuery != "" {
		w.WriteHeader(http.StatusUnauthorized)
		return
	}
	m.guard.Lock()
	defer m.guard.Unlock()
	said, known := m.active[r.PostForm.Get("token")]
	if !known {
		said = object{"active": false}
	}
	writeJSON(w, said)
}

// block is the issuer as an integration named corp.
func (m *machineIssuer) block(more string) string {
	return fmt.Sprintf("admit corp {\nissuer %s\naudience api\n%s\n}\n", m.URL, more)
}

// introspects is the block that asks about opaque tokens.
func (m *machineIssuer) introspects() string {
	return fmt.Sprintf("introspection {\nclient_id gate\nclient_secret %q\n}\n", gateSecret)
}

// serveSite runs a site. At the end nothing that is secret may be in Caddy's log
// (threat 94), and nothing may be left of what was asked.
func (m *machineIssuer) serveSite(global, body string) *front {
	m.t.Helper()
	m.t.Cleanup(func() {
		askerPool.Range(func(key, _ any) bool { m.t.Errorf("asker %v is left", key); return true })
	})
	f, _ := serveHome(m.t, global, body)
	m.t.Cleanup(func() {
		m.keptSecret(f)
		log, err := os.ReadFile(f.log)
		if err != nil {
			m.t.Error(err)
		}
		for line := range strings.Lines(string(log)) {
			// Caddy's access log shows a header of one's own.
			if strings.Contains(line, "marked") && !strings.Contains(line, `"X-Api-Key"`) {
				m.t.Errorf("the log holds a secret: %s", line)
			}
		}
	})
	return f
}
