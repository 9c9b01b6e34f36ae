package admit

import (
	"crypto/sha256"
	"encoding/base64"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"
)

// serveToken is the token endpoint, for codes and refresh tokens.
func (p *fakeProvider) serveToken(w http.ResponseWriter, r *http.Request) {
	asked := r.PostForm
	if r.Method != http.MethodPost || r.URL.RawQuery != "" || r.Header.Get("Content-Type") != "application/x-www-form-urlencoded" {
		p.t.Errorf("token request %s %s %v", r.Method, r.URL, r.Header)
	}
	if !p.authenticated(r) {
		p.refuseToken(w, http.StatusUnauthorized, "invalid_client")
		return
	}
	login := p.granted(asked)
	if login == nil {
		p.refuseToken(w, http.StatusBadRequest, "invalid_grant")
		return
	}
	access := p.random("access")
	if p.access != nil {
		claims := object{"iss": p.issuer, "sub": login.user + "-1", "aud": "api", "client_id": clientID, "iat": now().Unix(), "exp": now().Add(time.Hour).Unix(), "jti": access}
		p.access(claims)
		access = p.key.token(put(claims, nil), object{"typ": "at+jwt"})
		p.issued = append(p.issued, access)
	}
	login.access = append(login.access, access)
	answer := object{"access_token": access, "token_type": "Bearer", "scope": login.asked.Get("scope")}
	if p.lifetime != 0 {
		answer["expires_in"] = p.lifetime
	}
	if !p.plain {
		answer["id_token"] = p.idToken(login, asked, access)
	}
	if p.offline && (login.refresh == "" || !p.keepOld) {
		if login.refresh != "" {
			login.spentRefreshes = append(login.spentRefreshes, login.refresh)
		}
		login.refresh = p.random("refresh")
		answer["refresh_token"] = login.refresh
	}
	if p.tokens != nil {
		p.tokens(asked, answer)
	}
	w.Header().Set("Cache-Control", "no-store")
	writeJSON(w, put(answer, nil))
}

// refuseToken refuses as RFC 6749 section 5.2 says, with a text that is to be shown
// to nobody.
func (p *fakeProvider) refuseToken(w http.ResponseWriter, status int, code string) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	writeJSON(w, object{"error": code, "error_description": hostileText})
}

// hostileText is what a provider says and nobody may see.
const hostileText = `marked-text"><script>alert(1)</script>{env.HOME}{{.}}` + "\r\nSet-Cookie: evil=1"

// authenticated reports whether the client is who it says, in the one way that the
// provider takes.
func (p *fakeProvider) authenticated(r *http.Request) bool {
	user, password, basic := r.BasicAuth()
	form := r.PostForm
	switch p.auth {
	case "basic":
		id, err1 := url.QueryUnescape(user)
		secret, err2 := url.QueryUnescape(password)
		return basic && err1 == nil && err2 == nil && id == clientID && secret == clientSecret && !form.Has("client_secret")
	case "post":
		return !basic && form.Get("client_id") == clientID && form.Get("client_secret") == clientSecret
	case "none":
		return !basic && form.Get("client_id") == clientID && !form.Has("client_secret")
	case "private_key_jwt":
		p.issued = append(p.issued, form.Get("client_assertion"))
		return !basic && form.Get("client_assertion_type") == "urn:ietf:params:oauth:client-assertion-type:jwt-bearer" && form.Get("client_assertion") != ""
	}
	return p.auth == "any"
}

// granted returns the login that a code or refresh token is of. A code or refresh
// token that was used before ends what came of it (RFC 9700 sections 4.5 and 4.14).
func (p *fakeProvider) granted(asked url.Values) *providerLogin {
	for _, login := range p.logins {
		switch asked.Get("grant_type") {
		case "authorization_code":
			if login.code != asked.Get("code") {
				continue
			}
			verifier := asked.Get("code_verifier")
			p.issued = append(p.issued, verifier)
			if login.spent || challengeOf(verifier) != login.asked.Get("code_challenge") || asked.Get("redirect_uri") != login.asked.Get("redirect_uri") {
				login.revoked = true
				return nil
			}
			login.spent = true
			return login
		case "refresh_token":
			token := asked.Get("refresh_token")
			if slices.Contains(login.spentRefreshes, token) {
				p.reused++
				login.revoked = true
			}
			if token != "" && token == login.refresh && !login.revoked {
				return login
			}
		}
	}
	return nil
}

// challengeOf is the S256 challenge of a verifier (RFC 7636 section 4.2).
func challengeOf(verifier string) string {
	sum := sha256.Sum256([]byte(verifier))
	return base64.RawURLEncoding.EncodeToString(sum[:])
}

// idToken makes the ID token of a login.
func (p *fakeProvider) idToken(login *providerLogin, asked url.Values, access string) string {
	at := now()
	half := sha256.Sum256([]byte(access))
	claims := object{
		"iss": p.issuer, "sub": login.user + "-1", "aud": clientID, "exp": at.Add(5 * time.Minute).Unix(), "iat": at.Unix(),
		"auth_time": at.Unix(), "sid": login.sid, "at_hash": base64.RawURLEncoding.EncodeToString(half[:16]),
		"email": login.user + "@example.com", "email_verified": true, "groups": []string{"staff"},
	}
	if asked.Get("grant_type") == "authorization_code" {
		claims["nonce"] = login.asked.Get("nonce")
	}
	if p.idClaims != nil {
		p.idClaims(asked, claims)
	}
	header := object{}
	if p.idHeader != nil {
		p.idHeader(header)
	}
	raw := p.key.token(put(claims, nil), header)
	p.issued = append(p.issued, raw)
	return raw
}

// ofToken returns the login of a request with an access token in its header.
func (p *fakeProvider) ofToken(r *http.Request) *providerLogin {
	token, ok := strings.CutPrefix(r.Header.Get("Authorization"), "Bearer ")
	for _, login := range p.logins {
		if ok && !login.revoked && slices.Contains(login.access, token) {
			return login
		}
	}
	return nil
}

func (p *fakeProvider) serveUserinfo(w http.ResponseWriter, r *http.Request) {
	login := p.ofToken(r)
	if login == nil || r.URL.RawQuery != "" || len(r.PostForm) > 0 {
		w.Header().Set("WWW-Authenticate", `Bearer error="invalid_token"`)
		w.WriteHeader(http.StatusUnauthorized)
		return
	}
	claims := object{"sub": login.user + "-1"}
	for scope, more := range map[string]object{
		"profile": {"name": "Ada of the userinfo endpoint", "preferred_username": login.user},
		"email":   {"email": login.user + "@userinfo.example", "email_verified": true},
		"phone":   {"phone_number": "+1 555 0100"},
		"address": {"address": object{"locality": "London"}},
	} {
		if slices.Contains(strings.Fields(login.asked.Get("scope")), scope) {
			put(claims, more)
		}
	}
	if p.userinfo != nil {
		p.userinfo(claims)
	}
	writeJSON(w, put(claims, nil))
}

// logoutToken makes a logout token (OpenID Connect Back-Channel Logout 1.0 section
// 2.4) about the last login, with other members of header and claims.
func (p *fakeProvider) logoutToken(claims, header object) string {
	login := p.login()
	p.mu.Lock()
	defer p.mu.Unlock()
	at := now()
	return p.key.token(put(object{
		"iss": p.issuer, "sub": login.user + "-1", "sid": login.sid, "aud": clientID, "iat": at.Unix(), "exp": at.Add(2 * time.Minute).Unix(),
		"jti": p.random("jti"), "events": object{"http://schemas.openid.net/event/backchannel-logout": object{}},
	}, claims), put(object{"typ": "logout+jwt"}, header))
}
