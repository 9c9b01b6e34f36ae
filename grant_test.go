package admit

import (
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"testing"
)

const robotKey = "marked-api-key-of-the-robot"

func sha256Hex(text string) string {
	sum := sha256.Sum256([]byte(text))
	return hex.EncodeToString(sum[:])
}

func basicHeader(user, password string) string {
	return "Authorization: Basic " + base64.StdEncoding.EncodeToString([]byte(user+":"+password))
}

// token posts a form to the token endpoint.
func (f *front) token(form string, headers ...string) answered {
	f.t.Helper()
	return f.ask("POST", "localhost", "/oauth2/token", append(headers, formType, "body:"+form)...)
}

// tokenAnswer is the answer of RFC 6749 section 5.1.
type tokenAnswer struct {
	Access  string `json:"access_token"`
	Type    string `json:"token_type"`
	Expires int    `json:"expires_in"`
	Refresh string `json:"refresh_token"`
}

func tokenOf(t *testing.T, a answered) (got tokenAnswer) {
	t.Helper()
	if err := json.Unmarshal([]byte(a.body), &got); err != nil || a.StatusCode != 200 || got.Access == "" || got.Refresh == "" || got.Type != "Bearer" {
		t.Fatalf("token endpoint: %d %s", a.StatusCode, a.body)
	}
	return got
}
