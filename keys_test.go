package admit

import (
	"compress/gzip"
	"crypto/x509"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"encoding/pem"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// TestKeysByDiscovery: keys are fetched when the first token asks, once for many.
func TestKeysByDiscovery(t *testing.T) {
	key := newKey("k1", "one")
	is := newIssuer(t, key.jwk(nil))
	s := serve(t, "admit corp {\nissuer "+is.URL+"\naudience api\n}", "admit\nrespond ok")
	if n := is.count("/jwks") + is.count("/.well-known/openid-configuration"); n != 0 {
		t.Errorf("%d fetches at load", n)
	}
	s.get("/").want(t, 401, "missing_credential")
	s.get("/", key.bearer(t, is.URL, map[string]any{"exp": 1})).want(t, 401, "expired")
	if n := is.count("/jwks"); n != 0 {
		t.Errorf("%d fetches for what is refused without keys", n)
	}
	for range 5 {
		s.get("/", key.bearer(t, is.URL, nil)).want(t, 200, "")
	}
	s.get("/", newKey("k1", "other").bearer(t, is.URL, nil)).want(t, 401, "bad_signature")
	// threat 26: the issuer is compared exactly.
	for _, iss := range []any{is.URL + "/", is.URL + "x", strings.ToUpper(is.URL), "", nil, 1, []string{is.URL}} {
		s.get("/", key.bearer(t, "", map[string]any{"iss": iss})).want(t, 401, "unknown_issuer")
	}
	// threat 25
	s.get("/", key.bearer(t, is.URL, map[string]any{"aud": "other"})).want(t, 401, "wrong_audience")
	s.get("/", key.bearer(t, is.URL, map[string]any{"aud": []string{"other", "api"}})).want(t, 200, "")
	if n := is.count("/jwks"); n != 1 {
		t.Errorf("%d fetches, want 1", n)
	}
}

// threat 17: unknown key ids, and keys named by URL (threat 9), make no flood.
func TestUnknownKeyIDs(t *testing.T) {
	key := newKey("k1", "one")
	is := newIssuer(t, key.jwk(nil))
	s := serve(t, "admit corp {\nissuer "+is.URL+"\naudience api\n}", "admit\nrespond ok")
	for _, kid := range []string{"x", "../../jwks", is.URL + "/evil", "' OR 1=1", "{env.HOME}", strings.Repeat("k", 6000)} {
		claims := good(map[string]any{"iss": is.URL})
		s.get("/", "Authorization: Bearer "+newKey(kid, "other").token(t, claims, nil)).want(t, 401, "unknown_key")
	}
	evil := newKey("evil", "evil")
	for _, member := range []map[string]any{
		{"jku": is.URL + "/evil"}, {"x5u": is.URL + "/evil"}, {"jwk": evil.jwk(nil)}, {"x5c": []string{"AAAA"}},
	} {
		claims := good(map[string]any{"iss": is.URL})
		s.get("/", "Authorization: Bearer "+evil.token(t, claims, member)).want(t, 401, "unknown_key")
		s.get("/", "Authorization: Bearer "+key.token(t, claims, member)).want(t, 200, "")
	}
	if n := is.count("/jwks"); n > 2 || is.count("/evil") != 0 {
		t.Errorf("%d fetches of keys, %d of a URL in a token", n, is.count("/evil"))
	}
}

// TestKeysByHand: a JWKS by URL, in a file, and single keys in PEM and JWK files.
func TestKeysByHand(t *testing.T) {
	key, other := newKey("k1", "one"), newKey("k2", "two")
	is := newIssuer(t, key.jwk(nil), map[string]any{"kty": "oct", "kid": "oct", "k": base64.RawURLEncoding.EncodeToString([]byte(testSecret))})
	dir := t.TempDir()
	set := writeTemp(t, dir, "set.json", map[string]any{"keys": []any{key.jwk(nil), map[string]any{"kty": "unknown"}}})
	single := writeTemp(t, dir, "key.json", key.jwk(map[string]any{"kid": nil}))
	der, err := x509.MarshalPKIXPublicKey(key.private.Public())
	if err != nil {
		t.Fatal(err)
	}
	pemFile := filepath.Join(dir, "key.pem")
	if err := os.WriteFile(pemFile, pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: der}), 0o600); err != nil {
		t.Fatal(err)
	}
	second := writeTemp(t, dir, "second.json", other.jwk(nil))
	for _, tc := range []struct {
		name, option string
		second       bool // whether the second key is trusted too
	}{
		{"jwks URL", "jwks " + is.URL + "/jwks", false},
		{"jwks file", "jwks " + set, false},
		{"key JWK", "key " + single, false},
		{"key PEM", "key " + pemFile, false},
		{"two keys", "key " + pemFile + " " + second, true},
	} {
		t.Run(tc.name, func(t *testing.T) {
			s := serve(t, "admit corp {\n"+tc.option+"\naudience api\n}", "admit\nrespond ok")
			s.get("/", key.bearer(t, "anybody", nil)).want(t, 200, "")
			reason := "unknown_key"
			if strings.HasPrefix(tc.option, "key") {
				reason = "bad_signature" // a key without an id fits every token
			}
			if tc.second {
				s.get("/", other.bearer(t, "anybody", nil)).want(t, 200, "")
			} else {
				s.get("/", other.bearer(t, "anybody", nil)).want(t, 401, reason)
			}
			// threat 10: a secret that is published is no key.
			s.get("/", "Authorization: Bearer "+sign(t, testSecret, good(nil))).want(t, 401, "unsupported_algorithm")
		})
	}
	if is.count("/.well-known/openid-configuration") != 0 {
		t.Error("discovery beside a JWKS given by hand")
	}
}

func writeTemp(t *testing.T, dir, name string, v any) string {
	t.Helper()
	text, err := json.Marshal(v)
	if err != nil {
		t.Fatal(err)
	}
	file := filepath.Join(dir, name)
	if err := os.WriteFile(file, text, 0o600); err != nil {
		t.Fatal(err)
	}
	return file
}

// threat 16: a secret is the same bytes however it is written, and only those.
func TestSecretEncodings(t *testing.T) {
	raw := string([]byte{0xfb, 0xff, 0xfe}) + "0123456789abcdef0123456789abc"
	hexed := hex.EncodeToString([]byte(raw))
	t.Setenv("ADMIT_TEST_SECRET", testSecret)
	file := filepath.Join(t.TempDir(), "secret")
	if err := os.WriteFile(file, []byte(testSecret+"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, tc := range []struct{ name, option, secret string }{
		{"text", "secret text " + testSecret, testSecret},
		{"text by default", "secret " + testSecret, testSecret},
		{"hexadecimal digits as text", "secret text " + hexed, hexed},
		{"hex", "secret hex " + hexed, raw},
		{"hex in capitals", "secret hex " + strings.ToUpper(hexed), raw},
		{"base64", "secret base64 " + base64.StdEncoding.EncodeToString([]byte(raw)), raw},
		{"base64url", "secret base64 " + base64.RawURLEncoding.EncodeToString([]byte(raw)), raw},
		{"variable", "secret {env.ADMIT_TEST_SECRET}", testSecret},
		{"file with a line break at its end", "secret {file." + file + "}", testSecret},
	} {
		t.Run(tc.name, func(t *testing.T) {
			s := serve(t, "admit local {\n"+tc.option+"\n}", "admit\nrespond ok")
			s.get("/", "Authorization: Bearer "+sign(t, tc.secret, good(nil))).want(t, 200, "")
			for _, other := range []string{tc.secret + "\x01", tc.secret[:len(tc.secret)-1], hex.EncodeToString([]byte(tc.secret))} {
				s.get("/", "Authorization: Bearer "+sign(t, other, good(nil))).want(t, 401, "bad_signature")
			}
		})
	}
}

// threats 18, 19, 20, 21, 22: an issuer that misbehaves never lets anybody in:
// 503 with Retry-After, and a refusal where no key is needed for it.
func TestKeysUnavailable(t *testing.T) {
	key := newKey("k1", "one")
	evil := newIssuer(t, key.jwk(nil))
	for _, tc := range []struct {
		name string
		with http.HandlerFunc
	}{
		{"500", func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(500) }},
		{"not JSON", func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write([]byte("<html>")) }},
		{"no members", func(w http.ResponseWriter, _ *http.Request) { writeJSON(w, map[string]any{}) }},
		{"another issuer", func(w http.ResponseWriter, _ *http.Request) {
			writeJSON(w, map[string]any{"issuer": evil.URL, "jwks_uri": evil.URL + "/jwks"})
		}},
		{"keys in a file", func(w http.ResponseWriter, r *http.Request) {
			writeJSON(w, map[string]any{"issuer": "http://" + r.Host, "jwks_uri": "file:///etc/passwd"})
		}},
		{"keys over plain http elsewhere", func(w http.ResponseWriter, r *http.Request) {
			writeJSON(w, map[string]any{"issuer": "http://" + r.Host, "jwks_uri": "http://192.0.2.1/jwks"})
		}},
		{"redirect to another host", func(w http.ResponseWriter, r *http.Request) {
			http.Redirect(w, r, strings.Replace(evil.URL, "127.0.0.1", "localhost", 1)+r.URL.Path, http.StatusFound)
		}},
		{"too long", func(w http.ResponseWriter, _ *http.Request) {
			_, _ = w.Write([]byte(`{"issuer":"` + strings.Repeat("x", 2<<20)))
		}},
		{"too long once unpacked", func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Encoding", "gzip")
			z := gzip.NewWriter(w)
			_, _ = z.Write([]byte(`{"issuer":"` + strings.Repeat("x", 2<<20)))
			_ = z.Close()
		}},
		{"gone", func(http.ResponseWriter, *http.Request) { panic(http.ErrAbortHandler) }},
	} {
		t.Run(tc.name, func(t *testing.T) {
			is := newIssuer(t, key.jwk(nil))
			is.misbehave(tc.with)
			s := serve(t, "admit corp {\nissuer "+is.URL+"\naudience api\n}", "admit\nrespond ok")
			for range 3 {
				a := s.get("/", key.bearer(t, is.URL, nil))
				a.want(t, 503, "keys_unavailable")
				if a.Header.Get("Retry-After") == "" || a.Header.Get("WWW-Authenticate") != "" {
					t.Errorf("headers %v", a.Header)
				}
			}
			s.get("/").want(t, 401, "missing_credential")
			s.get("/", "Authorization: Bearer a.b").want(t, 401, "malformed_token")
			s.get("/", key.bearer(t, evil.URL, nil)).want(t, 401, "unknown_issuer")
			s.get("/", key.bearer(t, is.URL, map[string]any{"exp": 1})).want(t, 401, "expired")
			if n := is.count("/.well-known/openid-configuration"); n > 2 {
				t.Errorf("%d fetches without a pause", n)
			}
		})
	}
	if n := evil.count("/jwks"); n != 0 {
		t.Errorf("keys of another issuer were fetched %d times", n)
	}
}
