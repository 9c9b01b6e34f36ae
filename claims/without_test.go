package claims

import "testing"

// TestPathWithout: the claim that the path finds is gone, whole, and nothing else.
func TestPathWithout(t *testing.T) {
	for _, tc := range []struct{ path, text, want string }{
		{"apikey", `{"a":1,"apikey":"k","b":[2]}`, `{"a":1,"b":[2]}`},
		{"apikey", `{"apikey":"k"}`, `{}`},
		{"apikey", `{"a":1}`, `{"a":1}`},
		{"apikey", `{"Apikey":"k","api\u006bey":"k"}`, `{"Apikey":"k"}`},
		{"x.key", `{"x":{"key":"k"},"a":"\u003c\n"}`, `{"a":"\u003c\n"}`},
		{"x.key", `{"x.key":"k","x":{"key":"no key: the whole name counts"}}`, `{"x":{"key":"no key: the whole name counts"}}`},
		{"apikey", `{"\"<":1,"apikey":null}`, `{"\"\u003c":1}`},
	} {
		s, err := Parse([]byte(tc.text))
		if err != nil {
			t.Fatal(err)
		}
		got := string(MustPath(tc.path).Without(s))
		if _, err := Parse([]byte(got)); got != tc.want || err != nil {
			t.Errorf("%s of %s: got %s (%v), want %s", tc.path, tc.text, got, err, tc.want)
		}
	}
}
