package admit

import (
	"crypto/rand"
	"encoding/base64"
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"net/url"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"
)

// fakeRealm stands in for an authorization server that has machines for clients: it
// gives them tokens (RFC 6749 section 4.4), JWTs for a resource and opaque ones
// without, and says of opaque ones whose they are (RFC 7662).
type fakeRealm struct {
	*exampleIssuer
	t *testing.T

	mu      sync.Mutex
	clients map[string]realmClient // by id
	opaque  map[string]object      // what is said about a token
	asked   map[string]int         // requests by path
	last    url.Values             // the last form that the token endpoint got
}

type realmClient struct {
	secret string
	claims object // of its tokens; "scope" is what it may have
}

// newRealm starts a realm that is the issuer at ISSUER.
func newRealm(t *testing.T, clients map[string]realmClient) *fakeRealm {
	t.Helper()
	r := &fakeRealm{exampleIssuer: newExampleIssuer(t), t: t, clients: clients, opaque: map[string]object{}, asked: map[string]int{}}
	mux := http.NewServeMux()
	mux.HandleFunc("GET /.well-known/openid-configuration", func(w http.ResponseWriter, _ *http.Request) {
		writeJSON(w, object{
			"issuer": r.url, "jwks_uri": r.url + "/keys.json", "authorization_endpoint": r.url + "/authorize",
			"token_endpoint": r.url + "/token", "introspection_endpoint": r.url + "/introspect",
			"grant_types_supported": []string{"authorization_code", "client_credentials"}, "code_challenge_methods_supported": []string{"S256"},
		})
	})
	mux.HandleFunc("GET /keys.json", func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write(r.keySet()) })
	mux.HandleFunc("POST /token", r.serveToken)
	mux.HandleFunc("POST /introspect", r.serveIntrospection)
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, q *http.Request) {
		r.mu.Lock()
		defer r.mu.Unlock()
		r.asked[q.URL.Path]++
		mux.ServeHTTP(w, q)
	}))
	t.Cleanup(server.Close)
	r.url = server.URL
	t.Setenv("ISSUER", r.url)
	return r
}

// count returns how often a path was asked for.
func (r *fakeRealm) count(path string) int {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.asked[path]
}

// client returns who asks, by HTTP Basic with id and secret form-encoded (RFC 6749
// section 2.3.1).
func (r *fakeRealm) client(q *http.Request) (id string, known bool) {
	user, password, _ := q.BasicAuth()
	id, err1 := url.QueryUnescape(user)
	secret, err2 := url.QueryUnescape(password)
	c, known := r.clients[id]
	return id, known && err1 == nil && err2 == nil && secret == c.secret
}

func (r *fakeRealm) serveToken(w http.ResponseWriter, q *http.Request) {
	w.Header().Set("Content-Type", "application/json")
	w.Header().Set("Cache-Control", "no-store")
	id, known := r.client(q)
	refuse := func(status int, code string) {
		w.WriteHeader(status)
		writeJSON(w, object{"error": code, "error_description": hostileText})
	}
	_ = q.ParseForm()
	r.last = q.PostForm
	if !known {
		refuse(http.StatusUnauthorized, "invalid_client")
		return
	}
	claims := r.clients[id].claims
	switch q.PostForm.Get("grant_type") {
	case "client_credentials":
	case "urn:ietf:params:oauth:grant-type:token-exchange":
		claims = merged(claims, r.about(q.PostForm.Get("subject_token")))
	default:
		refuse(http.StatusBadRequest, "unsupported_grant_type")
		return
	}
	scope := q.PostForm.Get("scope")
	may, _ := claims["scope"].(string)
	for _, s := range strings.Fields(scope) {
		if !slices.Contains(strings.Fields(may), s) {
			refuse(http.StatusBadRequest, "invalid_scope")
			return
		}
	}
	audience := q.PostForm.Get("audience")
	if audience == "" {
		audience = q.PostForm.Get("resource")
	}
	said := merged(object{
		"iss": r.url, "sub": "service-" + id, "client_id": id, "iat": now().Unix(), "exp": now().Add(time.Hour).Unix(),
	}, claims, object{"scope": scope})
	answer := object{"token_type": "Bearer", "expires_in": 3600, "scope": scope}
	if audience != "" {
		said["aud"] = audience
		answer["access_token"] = r.compact(said)
	} else {
		answer["access_token"] = r.token(said)
	}
	writeJSON(w, answer)
}

// about returns the subject of a token of this realm, which nobody forges here.
func (r *fakeRealm) about(token string) object {
	_, payload, _ := strings.Cut(token, ".")
	payload, _, _ = strings.Cut(payload, ".")
	raw, err := base64.RawURLEncoding.DecodeString(payload)
	var said struct{ Sub string }
	if err == nil {
		err = json.Unmarshal(raw, &said)
	}
	if err != nil {
		r.t.Errorf("subject token: %v", err)
	}
	return object{"sub": said.Sub}
}

// token makes an opaque token. The lock is held.
func (r *fakeRealm) token(said object) string {
	token := "opaque_" + rand.Text()
	r.opaque[token] = merged(said, object{"active": true, "token_type": "Bearer"})
	return token
}

func (r *fakeRealm) serveIntrospection(w http.ResponseWriter, q *http.Request) {
	w.Header().Set("Content-Type", "application/json")
	if _, known := r.client(q); !known {
		w.WriteHeader(http.StatusUnauthorized)
		return
	}
	_ = q.ParseForm()
	said, known := r.opaque[q.PostForm.Get("token")]
	if !known {
		said = object{"active": false}
	}
	raw, err := json.Marshal(said)
	if err != nil {
		r.t.Error(err)
	}
	_, _ = w.Write(raw)
}
