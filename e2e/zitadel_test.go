package e2e

import (
	"context"
	"crypto/sha256"
	"log/slog"
	"net/http"
	"net/http/cookiejar"
	"net/url"
	"strings"
	"testing"

	"github.com/zitadel/oidc/v3/example/server/storage"
	"github.com/zitadel/oidc/v3/pkg/oidc"
	"github.com/zitadel/oidc/v3/pkg/op"
)

// zitadel is the provider of zitadel/oidc in this process, behind a front.
type zitadel struct {
	*front
	clients map[string]*storage.Client
}

// Where zitadel/oidc publishes its documents.
const (
	zitadelDiscovery = "/.well-known/openid-configuration"
	zitadelKeys      = "/keys"
)

const zitadelCallback = "http://127.0.0.1/callback" // nobody listens; the test reads the Location

// startZitadel starts the provider at an address, "" for a free one.
func startZitadel(t *testing.T, address string) *zitadel {
	t.Helper()
	z := &zitadel{newFront(t, address), make(map[string]*storage.Client)}
	z.register("web", "web-secret-of-the-tests", zitadelCallback)
	store := jwtStorage{storage.NewStorageWithClients(storage.NewUserStore(z.URL), z.clients)}
	server, err := op.NewProvider(&op.Config{CryptoKey: sha256.Sum256([]byte(z.URL))}, store, op.StaticIssuer(z.URL),
		op.WithAllowInsecure(), op.WithLogger(slog.New(slog.DiscardHandler)))
	if err != nil {
		t.Fatal(err)
	}
	// The login page of zitadel's example server; the server itself is not used,
	// since two of them in one process write to one global variable.
	login := op.NewIssuerInterceptor(server.IssuerFromRequest).HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		id := r.PostFormValue("id")
		if err := store.CheckUsernamePassword(r.PostFormValue("username"), r.PostFormValue("password"), id); err != nil {
			http.Error(w, err.Error(), http.StatusForbidden)
			return
		}
		http.Redirect(w, r, op.AuthCallbackURL(server)(r.Context(), id), http.StatusFound)
	})
	mux := http.NewServeMux()
	mux.Handle("POST /login/username", login)
	mux.Handle("/", server)
	z.setIssuer(mux)
	return z
}

// token gets a JWT access token of the service user "sid1".
func (z *zitadel) token(t *testing.T) string {
	t.Helper()
	return clientCredentials(t, z.URL+"/oauth/token", "sid1", "verysecret", url.Values{"scope": {"openid"}})
}

// idToken signs the user "id1" in by the code flow; its audience is "web".
func (z *zitadel) idToken(t *testing.T) string {
	t.Helper()
	jar, _ := cookiejar.New(nil)
	browser := &http.Client{Jar: jar, CheckRedirect: func(r *http.Request, _ []*http.Request) error {
		if strings.HasPrefix(r.URL.String(), zitadelCallback) || strings.HasPrefix(r.URL.Path, "/login/") {
			return http.ErrUseLastResponse
		}
		return nil
	}}
	location := func(resp *http.Response, err error) *url.URL {
		if err != nil {
			t.Fatal(err)
		}
		defer resp.Body.Close()
		to, err := resp.Location()
		if err != nil {
			t.Fatalf("%s from %s: %v", resp.Status, resp.Request.URL, err)
		}
		return to
	}
	authorize := url.Values{
		"client_id": {"web"}, "redirect_uri": {zitadelCallback},
		"response_type": {"code"}, "scope": {"openid email"}, "state": {"some-state"},
	}
	login := location(browser.Get(z.URL + "/authorize?" + authorize.Encode()))
	callback := location(browser.PostForm(z.URL+login.Path, url.Values{
		"id": {login.Query().Get("authRequestID")}, "username": {"test-user@127.0.0.1"}, "password": {"verysecure"},
	}))
	form := url.Values{
		"grant_type": {"authorization_code"}, "redirect_uri": {zitadelCallback}, "code": {callback.Query().Get("code")},
	}
	req, err := http.NewRequest(http.MethodPost, z.URL+"/oauth/token", strings.NewReader(form.Encode()))
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	req.SetBasicAuth("web", "web-secret-of-the-tests")
	var tokens struct {
		IDToken string `json:"id_token"`
	}
	exchange(t, req, &tokens)
	return tokens.IDToken
}

// jwtStorage gives the service user JWT access tokens for our API; the example's
// own are opaque and name the client.
type jwtStorage struct{ *storage.Storage }

func (s jwtStorage) ClientCredentials(ctx context.Context, id, secret string) (op.Client, error) {
	client, err := s.Storage.ClientCredentials(ctx, id, secret)
	return jwtClient{client}, err
}

func (s jwtStorage) ClientCredentialsTokenRequest(_ context.Context, id string, scopes []string) (op.TokenRequest, error) {
	return &oidc.JWTTokenRequest{Subject: id, Audience: []string{apiAudience}, Scopes: scopes}, nil
}

// GetClientByClientID gives JWTs to whoever exchanges a token.
func (s jwtStorage) GetClientByClientID(ctx context.Context, id string) (op.Client, error) {
	client, err := s.Storage.GetClientByClientID(ctx, id)
	return jwtClient{client}, err
}

// ValidateTokenExchangeRequest lets every client exchange tokens; the example's own
// wants users who are administrators.
func (s jwtStorage) ValidateTokenExchangeRequest(_ context.Context, request op.TokenExchangeRequest) error {
	request.SetCurrentScopes(request.GetScopes())
	return nil
}

func (s jwtStorage) GetPrivateClaimsFromScopes(context.Context, string, string, []string) (map[string]any, error) {
	return map[string]any{"groups": []string{"services"}}, nil
}

type jwtClient struct{ op.Client }

func (jwtClient) AccessTokenType() op.AccessTokenType { return op.AccessTokenTypeJWT }
