package admit

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"testing"
	"time"
)

// testSecret is the key of the integrations of these tests.
const testSecret = "0123456789abcdef0123456789abcdef"

// secretIntegration trusts tokens that sign makes.
const secretIntegration = `admit local {
	secret text ` + testSecret + `
	audience api
}`

// good are the claims of a token that gets in where no rule asks for more.
func good(more map[string]any) map[string]any {
	claims := map[string]any{"sub": "ada", "aud": "api", "exp": time.Now().Add(time.Hour).Unix()}
	for name, value := range more {
		if claims[name] = value; value == nil {
			delete(claims, name)
		}
	}
	return claims
}

// sign makes an HS256 token of claims with the secret.
func sign(t *testing.T, secret string, claims map[string]any) string {
	t.Helper()
	payload, err := json.Marshal(claims)
	if err != nil {
		t.Fatal(err)
	}
	return signText(secret, `{"alg":"HS256","typ":"JWT"}`, string(payload))
}

func signText(secret, header, payload string) string {
	b64 := base64.RawURLEncoding.EncodeToString
	input := b64([]byte(header)) + "." + b64([]byte(payload))
	mac := hmac.New(sha256.New, []byte(secret))
	mac.Write([]byte(input))
	return input + "." + b64(mac.Sum(nil))
}

// bearer returns the header line of a good token with more claims.
func bearer(t *testing.T, more map[string]any) string {
	t.Helper()
	return "Authorization: Bearer " + sign(t, testSecret, good(more))
}
