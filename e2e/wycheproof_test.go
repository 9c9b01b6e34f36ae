package e2e

import (
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"maps"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/go-jose/go-jose/v4"
)

// vectors is a group of Wycheproof's tests of JWS: one key, and what must not verify.
type vectors struct {
	Comment         string
	Public, Private json.RawMessage
	Tests           []struct {
		ID           int `json:"tcId"`
		Comment, JWS string
	}
}

// TestWycheproof sends each invalid vector as a credential. What the vectors sign
// is no claims set, so each gate must also let in a token of the same key: this
// shows that the key itself is there.
func TestWycheproof(t *testing.T) {
	t.Parallel()
	data, err := os.ReadFile("testdata/wycheproof/json_web_signature_test.json")
	if err != nil {
		t.Fatal(err)
	}
	var file struct {
		NumberOfTests int
		TestGroups    []vectors
	}
	if err := json.Unmarshal(data, &file); err != nil {
		t.Fatal(err)
	}
	var usable []vectors
	sent := 0
	for _, g := range file.TestGroups {
		if strings.HasSuffix(g.Comment, "_encryption") {
			encryptionKey(t, g)
			sent += len(g.Tests)
			continue
		}
		usable = append(usable, g)
	}

	text, v := vectorSites(t, usable)
	u := newUpstream(t)
	c := startCaddy(t, u, text, v)
	reasons := make(map[string]int)
	for i, g := range usable {
		path := fmt.Sprintf("/g%d", i)
		c.wantUser(t, request{path: path, token: signed(t, g.Private)}, "wycheproof")
		u.take()
		for _, tc := range g.Tests {
			sent++
			a := c.get(t, request{path: path, header: http.Header{"Authorization": {"Bearer " + tc.JWS}}})
			if a.status != 401 && a.status != 400 {
				t.Errorf("%s %d %s: got %d, want a refusal", g.Comment, tc.ID, tc.Comment, a.status)
			}
			reasons[a.problem.Reason]++
		}
		if n := len(u.take()); n != 0 {
			t.Errorf("%s: %d invalid vectors reached the upstream", g.Comment, n)
		}
	}
	t.Logf("%d vectors: %v", sent, reasons)
	if sent != file.NumberOfTests || sent < 300 {
		t.Errorf("%d vectors were tried of %d", sent, file.NumberOfTests)
	}
}

// encryptionKey tries keys that are not for signatures: the configuration is
// refused, or the token is.
func encryptionKey(t *testing.T, g vectors) {
	t.Helper()
	text, v := vectorSites(t, []vectors{g})
	c := prepareCaddy(t, newUpstream(t), v)
	if err := c.start(t, text); err != nil {
		return
	}
	for _, tc := range g.Tests {
		c.wantRefusal(t, request{path: "/g0", token: tc.JWS}, 401, "unknown_key", "bad_signature", "unsupported_algorithm", "malformed_token")
	}
	if a := c.get(t, request{path: "/g0", token: signed(t, g.Private)}); a.status == 200 {
		t.Errorf("%s: a key that is not for signatures verified one", g.Comment)
	}
}

// vectorSites is one site with a gate for the key of each group.
func vectorSites(t *testing.T, groups []vectors) (string, values) {
	t.Helper()
	var integrations, gates strings.Builder
	dir, v := t.TempDir(), values{}
	for i, g := range groups {
		key, option := fmt.Sprintf("key %s", filepath.Join(dir, fmt.Sprint(i, ".jwk"))), fmt.Sprintf("g%d", i)
		if g.Public != nil {
			if err := os.WriteFile(strings.TrimPrefix(key, "key "), g.Public, 0o600); err != nil {
				t.Fatal(err)
			}
		} else {
			var secret struct{ K string }
			if err := json.Unmarshal(g.Private, &secret); err != nil {
				t.Fatal(err)
			}
			raw, err := base64.RawURLEncoding.DecodeString(secret.K)
			if err != nil {
				t.Fatal(err)
			}
			key = "secret hex " + hex.EncodeToString(raw)
		}
		maps.Copy(v, values{option: key})
		fmt.Fprintf(&integrations, "\n\tadmit %s {\n\t\t{{.%s}}\n\t\taudience any\n\t\texpiry optional\n\t}", option, option)
		fmt.Fprintf(&gates, "\n\thandle /%s {\n\t\tadmit %s {\n\t\t\theader_up X-User {http.auth.user.id}\n\t\t}\n\t\treverse_proxy {{.Upstream}}\n\t}", option, option)
	}
	return "{\n\t{{.Globals}}" + integrations.String() + "\n}\n{{.Site}} {" + gates.String() + "\n}\n", v
}

// signed makes a token of a private key, by the algorithm that the key names.
func signed(t *testing.T, private json.RawMessage) string {
	t.Helper()
	var key jose.JSONWebKey
	if err := key.UnmarshalJSON(private); err != nil {
		t.Fatal(err)
	}
	alg := jose.SignatureAlgorithm(key.Algorithm)
	if alg == "" {
		alg = map[bool]jose.SignatureAlgorithm{true: jose.RS256, false: jose.ES256}[strings.Contains(string(private), `"RSA"`)]
	}
	signer, err := jose.NewSigner(jose.SigningKey{Algorithm: alg, Key: key}, nil)
	if err != nil {
		t.Fatal(err)
	}
	object, err := signer.Sign([]byte(`{"sub":"wycheproof"}`))
	if err != nil {
		t.Fatal(err)
	}
	token, err := object.CompactSerialize()
	if err != nil {
		t.Fatal(err)
	}
	return token
}
