package jwt

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/caddy-admit/admit/claims"
)

// threat 1, threat 2, threat 4, threat 5, threat 6, threat 7, threat 96
func TestParse(t *testing.T) {
	h, p, s := b64([]byte(`{"alg":"RS256"}`)), b64([]byte(`{"sub":"ann"}`)), b64([]byte("signature"))
	good := h + "." + p + "." + s
	if h[len(h)-1] == '=' || len(s)%4 != 0 {
		t.Fatal("the rows below need parts of known length")
	}
	header := func(text string) string { return b64([]byte(text)) + "." + p + "." + s }
	payload := func(text string) string { return h + "." + b64([]byte(text)) + "." + s }
	for _, tc := range []struct {
		name, raw string
		want      claims.Reason // "": well-formed
	}{
		{"three parts", good, ""},
		{"nothing", "", claims.MalformedToken},
		{"one part", h, claims.MalformedToken},
		{"two parts", h + "." + p, claims.MalformedToken},
		{"empty signature", h + "." + p + ".", claims.MalformedToken},
		{"empty payload", h + ".." + s, claims.MalformedToken},
		{"empty header", "." + p + "." + s, claims.MalformedToken},
		{"two dots", "..", claims.MalformedToken},
		{"four parts", good + "." + s, claims.MalformedToken},
		{"dot behind", good + ".", claims.MalformedToken},
		{"five parts", good + "." + s + "." + s, claims.Encrypted},
		{"encrypted", "eyJhbGciOiJSU0EtT0FFUCIsImVuYyI6IkEyNTZHQ00ifQ.a.b.c.d", claims.Encrypted},
		{"six parts", good + "." + s + "." + s + "." + s, claims.MalformedToken},
		{"dots only", strings.Repeat(".", MaxTokenSize), claims.MalformedToken},
		{"flood of dots", strings.Repeat(".", 1<<20), claims.MalformedToken},
		{"largest", h + "." + p + "." + strings.Repeat("A", MaxTokenSize-len(h)-len(p)-2), ""},
		{"too large", h + "." + p + "." + strings.Repeat("A", MaxTokenSize-len(h)-len(p)), claims.MalformedToken},
		// JSON serializations.
		{"flattened", `{"protected":"` + h + `","payload":"` + p + `","signature":"` + s + `"}`, claims.MalformedToken},
		{"general", `{"payload":"` + p + `","signatures":[{"protected":"` + h + `","signature":"` + s + `"}]}`, claims.MalformedToken},
		{"dots in JSON", `{"a":"..","payload":"` + p + `"}`, claims.MalformedToken},
		// Spellings of base64url.
		{"line break in header", h[:4] + "\n" + h[4:] + "." + p + "." + s, claims.MalformedToken},
		{"carriage return in payload", h + "." + p[:4] + "\r" + p[4:] + "." + s, claims.MalformedToken},
		{"line break before the payload", h + ".\n" + p + "." + s, claims.MalformedToken},
		{"carriage return before the signature", h + "." + p + ".\r" + s, claims.MalformedToken},
		{"line break behind", good + "\n", claims.MalformedToken},
		{"blank before", " " + good, claims.MalformedToken},
		{"blank within", h + "." + p + ". " + s, claims.MalformedToken},
		{"tab behind", good + "\t", claims.MalformedToken},
		{"NUL", good + "\x00", claims.MalformedToken},
		{"beyond ASCII", h + "." + p + ".é" + s, claims.MalformedToken},
		{"standard alphabet", h + "." + p + ".-_-_", ""},
		{"plus and slash", h + "." + p + ".+/+/", claims.MalformedToken},
		{"two characters", h + "." + p + ".QQ", ""},
		{"two characters, spare bits", h + "." + p + ".QR", claims.MalformedToken},
		{"three characters", h + "." + p + ".QUI", ""},
		{"three characters, spare bits", h + "." + p + ".QUJ", claims.MalformedToken},
		{"one character", h + "." + p + ".Q", claims.MalformedToken},
		{"five characters", h + "." + p + ".QUJDR", claims.MalformedToken},
		{"padding by two", h + "." + p + ".QQ==", ""}, // well-formed; the policy decides
		{"padding by one", h + "." + p + ".QUI=", ""},
		{"padding cut short", h + "." + p + ".QQ=", claims.MalformedToken},
		{"padding too long", h + "." + p + ".QQ===", claims.MalformedToken},
		{"padding of three", h + "." + p + ".Q===", claims.MalformedToken},
		{"padding where none belongs", h + "." + p + ".QUJD====", claims.MalformedToken},
		{"padding within", h + "." + p + ".QQ==QQ==", claims.MalformedToken},
		{"padding and spare bits", h + "." + p + ".QR==", claims.MalformedToken},
		{"padding alone", h + "." + p + ".====", claims.MalformedToken},
		{"percent-encoded padding", h + "." + p + ".QQ%3D%3D", claims.MalformedToken},
		// Header and payload are strict JSON objects.
		{"header with blanks", header(" {\n\t\"alg\" : \"RS256\"}\r "), ""},
		{"header that is a list", header(`["alg"]`), claims.MalformedToken},
		{"header that is text", header(`"RS256"`), claims.MalformedToken},
		{"header twice", header(`{"alg":"RS256"}{}`), claims.MalformedToken},
		{"two algorithms", header(`{"alg":"RS256","alg":"none"}`), claims.MalformedToken},
		{"two algorithms, one escaped", header(`{"alg":"RS256","\u0061lg":"none"}`), claims.MalformedToken},
		{"header not UTF-8", header("{\"alg\":\"RS256\",\"kid\":\"\xff\"}"), claims.MalformedToken},
		{"header nested", header(`{"alg":"RS256","x":` + strings.Repeat("[", 31) + strings.Repeat("]", 31) + `}`), ""},
		{"header nested deeper", header(`{"alg":"RS256","x":` + strings.Repeat("[", 32) + strings.Repeat("]", 32) + `}`), claims.MalformedToken},
		{"header as deep as it gets", header(strings.Repeat(`{"":`, 2900)), claims.MalformedToken},
		{"payload that is a list", payload(`[]`), claims.MalformedToken},
		{"payload that is a number", payload(`1`), claims.MalformedToken},
		{"payload that is nothing", payload(` `), claims.MalformedToken},
		{"payload that is a token", payload(good), claims.MalformedToken},
		{"data after the payload", payload(`{"sub":"ann"}x`), claims.MalformedToken},
		{"two subjects", payload(`{"sub":"ann","sub":"eve"}`), claims.MalformedToken},
		{"two nested members", payload(`{"a":{"b":1,"b":1}}`), claims.MalformedToken},
		{"two names by case", payload(`{"sub":"ann","Sub":"eve"}`), ""},
		{"subject not UTF-8", payload("{\"sub\":\"a\xff\"}"), claims.MalformedToken},
		{"subject with a lone surrogate", payload(`{"sub":"a\ud800"}`), claims.MalformedToken},
		{"byte order mark", payload("\ufeff{}"), claims.MalformedToken},
		{"payload in UTF-16", payload("{\x00}\x00"), claims.MalformedToken},
	} {
		token, err := Parse(tc.raw)
		var got claims.Reason
		if rejected, ok := err.(*RejectedError); ok {
			got = rejected.Reason
		}
		if got != tc.want || (err == nil) != (tc.want == "") || (token == nil) != (err != nil) {
			t.Errorf("%s: got %v, want %q", tc.name, err, tc.want)
		}
	}
}

// The decoded parts lie in one block and must not run into each other.
func TestParseParts(t *testing.T) {
	raw := b64([]byte(`{"alg":"RS256"}`)) + "." + b64([]byte(`{"sub":"ann"}`)) + "." + b64([]byte("signature"))
	token, err := Parse(raw)
	if err != nil {
		t.Fatal(err)
	}
	if string(token.header.Bytes()) != `{"alg":"RS256"}` || string(token.Claims.Bytes()) != `{"sub":"ann"}` ||
		string(token.signature) != "signature" || string(token.input) != raw[:strings.LastIndexByte(raw, '.')] {
		t.Errorf("got %+v", token)
	}
	_ = append(token.header.Bytes(), "overwritten"...)
	if string(token.Claims.Bytes()) != `{"sub":"ann"}` {
		t.Error("the payload lies in the room behind the header")
	}
}

// threat 2: the most expensive tokens that could be found. The bound is far from
// what is measured (see the log) and from what quadratic time would take.
func TestParseWorstCase(t *testing.T) {
	many := func(format string) string {
		var b strings.Builder
		b.WriteByte('{')
		for i := 0; b.Len() < 5950; i++ {
			fmt.Fprintf(&b, format, i)
		}
		return b.String() + `"":0}`
	}
	for name, part := range map[string]string{
		"members":  many(`"%x":0,`),
		"escapes":  many(`"\u0061%x":0,`),
		"elements": `{"a":[` + strings.Repeat("0,", 2980) + `0]}`,
		"brackets": strings.Repeat("[", 6000),
	} {
		raw := b64([]byte(part)) + "." + b64([]byte(part)) + ".QQ"
		if len(raw) > MaxTokenSize {
			t.Fatalf("%s: %d bytes", name, len(raw))
		}
		best := time.Hour
		for range 5 {
			start := time.Now()
			_, err := Parse(raw)
			best = min(best, time.Since(start))
			if (err == nil) != (name != "brackets") {
				t.Fatalf("%s: got %v", name, err)
			}
		}
		t.Logf("%s: %d bytes in %v", name, len(raw), best)
		if best > 20*time.Millisecond {
			t.Errorf("%s: took %v", name, best)
		}
	}
}
