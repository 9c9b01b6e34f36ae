package local

import (
	"crypto/sha256"
	"encoding/hex"
	"regexp"
	"strings"
	"testing"
)

func digestOf(key string) string {
	sum := sha256.Sum256([]byte(key))
	return hex.EncodeToString(sum[:])
}

func TestReadAPIKey(t *testing.T) {
	good := digestOf("admit_0123456789")
	for _, tc := range []struct{ name, id, digest, claims, wantErr string }{
		{"plain", "robot", good, "", ""},
		{"with claims", "robot", good, `{"groups":["ci"]}`, ""},
		{"reserved claim", "robot", good, `{"sub":"root"}`, "sub is reserved"},
		{"claims of another type", "robot", good, `["ci"]`, "JSON object"},
		{"upper-case digits", "robot", strings.ToUpper(good), "", "64 digits"},
		{"short", "robot", good[1:], "", "64 digits"},
		{"long", "robot", good + "0", "", "64 digits"},
		{"line break", "robot", good + "\n", "", "64 digits"},
		{"the key itself", "robot", "admit_0123456789", "", "64 digits"},
		{"no digest", "robot", "", "", "64 digits"},
		{"digest of nothing", "robot", digestOf(""), "", "empty key"}, // threat 86
		{"no id", "", good, "", "id is empty"},
		{"id with a colon", "a:b", good, "", `":"`},
	} {
		_, err := ReadAPIKey(tc.id, tc.digest, []byte(tc.claims))
		if (err == nil) != (tc.wantErr == "") || err != nil && !strings.Contains(err.Error(), tc.wantErr) {
			t.Errorf("%s: got error %v, want one with %q", tc.name, err, tc.wantErr)
		}
		if err != nil && strings.Contains(err.Error(), "admit_0123456789") {
			t.Errorf("%s: the error shows the key", tc.name)
		}
	}
}

func apiKey(t *testing.T, id, key string) APIKey {
	t.Helper()
	k, err := ReadAPIKey(id, digestOf(key), nil)
	if err != nil {
		t.Fatal(err)
	}
	return k
}

// TestLookup: the whole key as it is, and no other (threats 86 and 87).
func TestLookup(t *testing.T) {
	made, digest := NewAPIKey()
	if digest != digestOf(made) {
		t.Fatal("the hash is not that of the key")
	}
	list, err := NewAPIKeys([]APIKey{
		apiKey(t, "robot", made), apiKey(t, "sixteen", "0123456789abcdef"), apiKey(t, "fifteen", "0123456789abcde"),
		apiKey(t, "long", strings.Repeat("x", 1024)), apiKey(t, "longer", strings.Repeat("x", 1025)),
	})
	if err != nil {
		t.Fatal(err)
	}
	for _, tc := range []struct{ name, key, want string }{
		{"made", made, "robot"},
		{"cut", made[:len(made)-1], ""},
		{"without its prefix", strings.TrimPrefix(made, "admit_"), ""},
		{"and more", made + "A", ""},
		{"in other case", strings.ToUpper(made), ""},
		{"with a blank", made + " ", ""},
		{"its hash", digest, ""},
		{"16 bytes", "0123456789abcdef", "sixteen"},
		{"15 bytes", "0123456789abcde", ""},
		{"1,024 bytes", strings.Repeat("x", 1024), "long"},
		{"1,025 bytes", strings.Repeat("x", 1025), ""},
		{"none", "", ""},
	} {
		if k, ok := list.Lookup(tc.key); k.ID != tc.want || ok != (tc.want != "") {
			t.Errorf("%s: got %q, %v, want %q", tc.name, k.ID, ok, tc.want)
		}
	}
	if _, ok := (*APIKeys)(nil).Lookup(made); ok {
		t.Error("found in no list")
	}
}

func TestAPIKeysTwice(t *testing.T) {
	one, other := strings.Repeat("a", 20), strings.Repeat("b", 20)
	for _, tc := range []struct {
		name, wantErr string
		keys          []APIKey
	}{
		{"two", "", []APIKey{apiKey(t, "a", one), apiKey(t, "b", other)}},
		{"one id", "given twice", []APIKey{apiKey(t, "a", one), apiKey(t, "a", other)}},
		{"one key", "the same key", []APIKey{apiKey(t, "a", one), apiKey(t, "b", one)}},
		{"none", "", nil},
	} {
		_, err := NewAPIKeys(tc.keys)
		if (err == nil) != (tc.wantErr == "") || err != nil && !strings.Contains(err.Error(), tc.wantErr) {
			t.Errorf("%s: got error %v, want one with %q", tc.name, err, tc.wantErr)
		}
	}
}

// TestNewAPIKey: 256 bits that never come again (threat 100).
func TestNewAPIKey(t *testing.T) {
	form, seen := regexp.MustCompile(`^admit_[A-Za-z0-9_-]{43}$`), map[string]bool{}
	for range 100 {
		key, digest := NewAPIKey()
		if !form.MatchString(key) || seen[key] || !digestForm.MatchString(digest) {
			t.Fatalf("got %q, %q", key, digest)
		}
		seen[key] = true
	}
}
