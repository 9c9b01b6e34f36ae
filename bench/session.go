package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/http/cookiejar"
	"net/url"
	"strings"
	"sync/atomic"
)

// provider is as much of an OpenID provider as a login needs that nobody looks at.
type provider struct {
	signer *signer
	origin string
	nonce  atomic.Pointer[string] // of the login under way
}

// serveProvider starts a provider on a port that is free.
func serveProvider(s *signer) (*provider, error) {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, err
	}
	p := &provider{signer: s, origin: "http://" + listener.Addr().String()}
	answer := func(w http.ResponseWriter, body any) {
		w.Header().Set("Content-Type", "application/json")
		_ = json.NewEncoder(w).Encode(body)
	}
	mux := http.NewServeMux()
	mux.HandleFunc("/.well-known/openid-configuration", func(w http.ResponseWriter, _ *http.Request) {
		answer(w, map[string]any{
			"issuer": p.origin, "jwks_uri": p.origin + "/jwks",
			"authorization_endpoint": p.origin + "/authorize", "token_endpoint": p.origin + "/token",
		})
	})
	mux.HandleFunc("/jwks", func(w http.ResponseWriter, _ *http.Request) {
		answer(w, map[string]any{"keys": []any{p.signer.jwk}})
	})
	mux.HandleFunc("/token", func(w http.ResponseWriter, _ *http.Request) {
		id := p.signer.token(1, map[string]any{"iss": p.origin, "aud": "bench", "nonce": *p.nonce.Load(), "pad": strings.Repeat("x", 150)})
		answer(w, map[string]any{"access_token": "opaque", "token_type": "Bearer", "expires_in": 3600, "id_token": id})
	})
	go func() { _ = http.Serve(listener, mux) }()
	return p, nil
}

// site is one where browsers log in at the provider.
func (p *provider) site() string {
	return site("\tadmit corp {\n\t\tissuer "+p.origin+"\n\t\tlogin {\n\t\t\tclient_id bench\n\t\t\tclient_secret bench\n\t\t}\n\t}\n",
		strings.Replace(gate, "admit corp {", "admit corp {\n\t\tlogin", 1)+respond)
}

// signIn logs in as a browser does, and returns a request with the cookie of the
// session.
func (p *provider) signIn(address string) ([][]byte, error) {
	jar, err := cookiejar.New(nil)
	if err != nil {
		return nil, err
	}
	client := http.Client{Jar: insecure{jar}, CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
	_, port, _ := strings.Cut(address, ":")
	origin := "http://localhost:" + port
	there, _, err := visit(&client, origin+"/oauth2/login?return_to=/")
	if err != nil {
		return nil, err
	}
	query := there.Query()
	nonce := query.Get("nonce")
	p.nonce.Store(&nonce)
	_, cookies, err := visit(&client, query.Get("redirect_uri")+"?"+url.Values{"code": {"code"}, "state": {query.Get("state")}}.Encode())
	if err != nil {
		return nil, err
	}
	for _, cookie := range cookies {
		if cookie.Name == "__Host-admit-corp" {
			return [][]byte{request("Cookie: " + cookie.Name + "=" + cookie.Value)}, nil
		}
	}
	return nil, errors.New("logging in gave no session")
}

// visit opens a page and returns where it leads to, and the cookies that it sets.
func visit(client *http.Client, page string) (*url.URL, []*http.Cookie, error) {
	req, err := http.NewRequest(http.MethodGet, page, nil)
	if err != nil {
		return nil, nil, err
	}
	req.Header.Set("Sec-Fetch-Mode", "navigate")
	req.Header.Set("Sec-Fetch-Dest", "document")
	resp, err := client.Do(req)
	if err != nil {
		return nil, nil, err
	}
	resp.Body.Close()
	there, err := resp.Location()
	if err != nil {
		err = fmt.Errorf("%s leads nowhere: %s", req.URL.Path, resp.Status)
	}
	return there, resp.Cookies(), err
}

// insecure sends secure cookies over plain http, as browsers do to localhost.
type insecure struct{ jar http.CookieJar }

func (i insecure) secure(u *url.URL) *url.URL {
	s := *u
	s.Scheme = "https"
	return &s
}

func (i insecure) SetCookies(u *url.URL, cookies []*http.Cookie) {
	i.jar.SetCookies(i.secure(u), cookies)
}

func (i insecure) Cookies(u *url.URL) []*http.Cookie { return i.jar.Cookies(i.secure(u)) }
