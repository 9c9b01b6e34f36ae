package jwt

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"errors"
	"io"
	"strings"
	"testing"
)

// strictObject reports whether data is one JSON object without members that
// appear twice, read by the tokens of encoding/json.
func strictObject(data []byte) bool {
	dec := json.NewDecoder(bytes.NewReader(data))
	dec.UseNumber()
	var open []map[string]bool // names seen; nil in a list
	name := false              // a name comes next
	for first := true; ; first = false {
		tok, err := dec.Token()
		if err != nil {
			return errors.Is(err, io.EOF) && len(open) == 0 && !first
		}
		if first && tok != json.Delim('{') || !first && len(open) == 0 {
			return false
		}
		switch {
		case tok == json.Delim('{'):
			open, name = append(open, map[string]bool{}), true
		case tok == json.Delim('['):
			open, name = append(open, nil), false
		case tok == json.Delim('}') || tok == json.Delim(']'):
			open = open[:len(open)-1]
			name = len(open) > 0 && open[len(open)-1] != nil
		case name:
			seen := open[len(open)-1]
			if seen[tok.(string)] {
				return false
			}
			seen[tok.(string)], name = true, false
		default:
			name = len(open) > 0 && open[len(open)-1] != nil
		}
	}
}

// threat 1 to 7: what is accepted has one spelling and one meaning.
func FuzzParse(f *testing.F) {
	part := func(s string) string { return b64([]byte(s)) }
	for _, seed := range []string{
		part(`{"alg":"RS256"}`) + "." + part(`{"sub":"ann"}`) + ".QQ",
		part(`{"alg":"RS256","alg":"none"}`) + "." + part(`{"a":[{"b":1},{"b":{"c":1,"c":2}}]}`) + ".QQ",
		"eyJhbGciOiAiSFMyNTYiLCAidHlwIjogIkpXVCJ9.eyJkYXRhIjogeyJmb28iOiAiYmFyIn0sICJpYXQiOiAwfQ==.J3zdedMZSFNOimstjJat0V28rM_b1UU62XCp9dg_5kg=",
		"e30.e30.QR", "e30.e30.QQ==", "e30.e30.QUI=", "e30=.e30=.QQ=", "e30.e30.", "..", "....", "e\n30.e30.QQ", "e30.e31.QQ", "e30.W10.QQ",
		part(`{"a":"\ud83d\ude00"}`) + "." + part("{\"a\":\"\xff\"}") + ".-_-_", `{"payload":"e30","protected":"e30","signature":"QQ"}`,
	} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, raw string) {
		token, err := Parse(raw)
		if err != nil {
			if token != nil || !errors.As(err, new(*RejectedError)) {
				t.Errorf("%q: got %v, %v", raw, token, err)
			}
			return
		}
		parts := strings.Split(raw, ".")
		if len(parts) != 3 || len(raw) > MaxTokenSize || string(token.input) != parts[0]+"."+parts[1] {
			t.Fatalf("%q: accepted", raw)
		}
		padded := false
		for i, decoded := range [][]byte{token.header.Bytes(), token.Claims.Bytes(), token.signature} {
			bare, full := base64.RawURLEncoding.EncodeToString(decoded), base64.URLEncoding.EncodeToString(decoded)
			if parts[i] != bare && parts[i] != full || len(decoded) == 0 {
				t.Errorf("%q: part %d is not %q", raw, i, bare)
			}
			padded = padded || parts[i] != bare
			if i < 2 && (!json.Valid(decoded) || !strictObject(decoded)) {
				t.Errorf("%q: %q is no strict JSON object", raw, decoded)
			}
		}
		if padded != token.padded {
			t.Errorf("%q: padded %v", raw, token.padded)
		}
	})
}
