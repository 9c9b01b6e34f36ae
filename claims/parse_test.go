package claims

import (
	"bytes"
	"encoding/json"
	"fmt"
	"runtime"
	"strings"
	"testing"
	"time"
)

func parse(t testing.TB, text string) *Set {
	t.Helper()
	s, err := Parse([]byte(text))
	if err != nil {
		t.Fatalf("%s: %v", text, err)
	}
	return s
}

// nested returns n objects around a value, each in the next.
func nested(n int, value string) string {
	return strings.Repeat(`{"a":`, n) + value + strings.Repeat(`}`, n)
}

func TestParse(t *testing.T) {
	for _, tc := range []struct{ accepted, refused string }{
		{`{}`, ``},
		{`{}`, `[]`},
		{`{}`, `null`},
		{`{}`, `"{}"`},
		{" \t\r\n{ } \t\r\n", "\v{}"},
		{`{}`, "\ufeff{}"},
		// threat 3
		{`{"a":1,"b":2}`, `{"a":1,"a":1}`},
		{`{"a":1,"A":2}`, `{"a":1,"\u0061":2}`},
		{`{"a\\u0062":1,"ab":2}`, `{"a\u0062":1,"ab":2}`},
		{`{"a":{"b":1,"c":2}}`, `{"a":{"b":1,"b":2}}`},
		{`{"a":[{"b":1},{"b":2}]}`, `{"a":[{"b":1,"b":2}]}`},
		{`{"a":1,"b":{"a":1}}`, `{"a":1,"b":{"a":1},"a":1}`},
		{`{"":1}`, `{"":1,"":1}`},
		{manyMembers(17, "x"), manyMembers(17, "16")},
		{manyMembers(200, "x"), manyMembers(200, "0")},
		{`{"x":` + manyMembers(40, "x") + `}`, `{"x":` + manyMembers(40, "20") + `}`},
		// threat 5
		{`{"a":1} `, `{"a":1}x`},
		{`{"a":1}`, `{"a":1}{}`},
		{`{"a":1}`, "{\"a\":1}\x00"},
		{`{"sub":"é"}`, "{\"sub\":\"\xe9\"}"},
		{`{"sub":"é"}`, "{\"sub\":\"\xc3\"}"},
		{`{"sub":"` + "\uFFFD" + `"}`, "{\"sub\":\"\xff\"}"},
		{`{"é":1}`, "{\"\xe9\":1}"},
		{`{"sub":"\ud83d\ude00"}`, `{"sub":"\ud83d"}`},
		{`{"sub":"\uD83D\uDE00"}`, `{"sub":"\ude00\ud83d"}`},
		{`{"sub":"\ud83d\ude00"}`, `{"sub":"\ud83dx\ude00"}`},
		{`{"sub":"\ud83d\ude00"}`, `{"sub":"\ud83d\ud83d"}`},
		{`{"\ud83d\ude00":1}`, `{"\ud83d":1}`},
		{`{"a":"` + "\U0001F600" + `"}`, "{\"a\":\"\xed\xa0\xbd\"}"}, // a surrogate in UTF-8
		{`{"a":"/"}`, "{\"a\":\"\xc0\xaf\"}"},                        // overlong
		// threat 6
		{nested(32, `1`), nested(33, `1`)},
		{nested(31, `[1]`), nested(32, `[1]`)},
		{`{"a":` + strings.Repeat(`[`, 31) + strings.Repeat(`]`, 31) + `}`, `{"a":` + strings.Repeat(`[`, 32) + strings.Repeat(`]`, 32) + `}`},
		{`{"a":[]}`, `{"a":` + strings.Repeat(`[`, 16<<10)},
		// The grammar of RFC 8259.
		{`{"a":1,"b":2}`, `{"a":1,"b":2,}`},
		{`{"a":1,"b":2}`, `{"a":1 "b":2}`},
		{`{"a":1}`, `{"a" 1}`},
		{`{"a":1}`, `{a:1}`},
		{`{"a":1}`, `{'a':1}`},
		{`{"a":1}`, `{"a":1`},
		{`{"a":1}`, `{"a":}`},
		{`{"a":1}`, `{"a":`},
		{`{"a":1}`, `{1:1}`},
		{`{"a":[1,2]}`, `{"a":[1,2,]}`},
		{`{"a":[1,2]}`, `{"a":[1 2]}`},
		{`{"a":[1,2]}`, `{"a":[1,2}`},
		{`{"a":1}`, `{"a":1/**/}`},
		{`{"a":true}`, `{"a":True}`},
		{`{"a":false}`, `{"a":fals}`},
		{`{"a":null}`, `{"a":nul`},
		{`{"a":null}`, `{"a":nulll}`},
		{`{"a":0}`, `{"a":00}`},
		{`{"a":-0}`, `{"a":-}`},
		{`{"a":10}`, `{"a":+10}`},
		{`{"a":0.5}`, `{"a":.5}`},
		{`{"a":5.0}`, `{"a":5.}`},
		{`{"a":5e+1}`, `{"a":5e}`},
		{`{"a":5E-1}`, `{"a":5E+-1}`},
		{`{"a":16}`, `{"a":0x10}`},
		{`{"a":1e999}`, `{"a":Infinity}`},
		{`{"a":"\"\\\/\b\f\n\r\t"}`, `{"a":"\a"}`},
		{`{"a":"\u000a"}`, "{\"a\":\"\n\"}"},
		{`{"a":"\u001F"}`, `{"a":"\u001G"}`},
		{`{"a":"\u0000"}`, "{\"a\":\"\x00\"}"},
		{`{"a":"\u0000"}`, `{"a":"\u000"}`},
		{`{"a":"\\"}`, `{"a":"\"}`},
		{`{"a":"\\"}`, `{"a":"\`},
	} {
		if _, err := Parse([]byte(tc.accepted)); err != nil {
			t.Errorf("%.100q: refused", tc.accepted)
		}
		if _, err := Parse([]byte(tc.refused)); err != ErrSyntax {
			t.Errorf("%.100q: got error %v", tc.refused, err)
		}
	}
}

// manyMembers returns an object of n members named by numbers, and one more.
func manyMembers(n int, last string) string {
	var b strings.Builder
	b.WriteByte('{')
	for i := range n {
		fmt.Fprintf(&b, `"%d":%d,`, i, i)
	}
	fmt.Fprintf(&b, `"%s":0}`, last)
	return b.String()
}

// Texts are looked at eight bytes at a time: wherever a byte stands in one it counts as
// it does alone.
func TestParseTextPlaces(t *testing.T) {
	for length := range 20 {
		for place := range length {
			for c := range 256 {
				text := bytes.Repeat([]byte("x"), length)
				text[place] = byte(c)
				for _, format := range []string{`{"%s":1}`, `{"a":"%s"}`, `{"a":["","%s"]}`} {
					data := fmt.Appendf(nil, format, text)
					s, err := Parse(data)
					if ok := c >= 0x20 && c < 0x80 && c != '"' && c != '\\'; (err == nil) != ok && c != '\\' {
						t.Fatalf("%q: got %v", data, err)
					}
					if err == nil != json.Valid(data) && c < 0x80 {
						t.Fatalf("%q: got %v", data, err)
					}
					if v := s.Get("a"); err == nil && v.IsString() && c != '\\' && v.String() != string(text) {
						t.Fatalf("%q: got %q", data, v.String())
					}
				}
			}
		}
	}
}

// threat 2: no number of names makes objects that come after them cost more than as
// many bytes do elsewhere. What a client sends is read before its signature is checked.
func TestParseMemory(t *testing.T) {
	names := []byte("{")
	for n := range 1300 {
		names = fmt.Appendf(names, `"%03x":1,`, n)
		data := append(bytes.Clone(names), `"":[{"":1}`...)
		for len(data) < 16<<10 {
			data = append(data, `,{"":1}`...)
		}
		data = append(data, "]}"...)
		var before, after runtime.MemStats
		runtime.ReadMemStats(&before)
		_, err := Parse(data)
		runtime.ReadMemStats(&after)
		if taken := after.TotalAlloc - before.TotalAlloc; err != nil || taken > 512<<10 {
			t.Errorf("%d names, %d bytes: %d bytes of memory, error %v", n+1, len(data), taken, err)
		}
	}
}

func TestGet(t *testing.T) {
	s := parse(t, `{"iss":"a","Aud":"b","x\u002fy":"\u0041\n","n":-1.5e1,"t":true,"z":null,"l":[],"o":{},"big":1e999}`)
	for name, want := range map[string]string{
		"iss": `"a"`, "Iss": ``, "aud": ``, "Aud": `"b"`, "x/y": `"\u0041\n"`, `x\u002fy`: ``, "n": `-1.5e1`, "is": ``, "": ``,
	} {
		if got := s.Get(name); string(got.JSON()) != want || got.Exists() != (want != "") || s.Has(name) != got.Exists() {
			t.Errorf("%s: got %q, want %q", name, got.JSON(), want)
		}
	}
	if v := s.Get("x/y"); v.String() != "A\n" || !v.Equal("A\n") || v.Equal(`\u0041\n`) {
		t.Errorf("got %q", v.String())
	}
	plain := parse(t, `{"a":"b", "ab" : "c"}`)
	for name, want := range map[string]string{"a": `"b"`, "ab": `"c"`, `a":"b`: ``, `b" : "c`: ``, "b": ``, `"`: ``, "abc": ``, `a":"b", "ab" : "c"}`: ``} {
		if got := plain.Get(name); string(got.JSON()) != want {
			t.Errorf("%s: got %q, want %q", name, got.JSON(), want)
		}
	}
	if n, ok := s.Get("n").Number(); n != -15 || !ok {
		t.Errorf("got %v, %v", n, ok)
	}
	for _, name := range []string{"iss", "t", "z", "l", "o", "big", "absent"} {
		if n, ok := s.Get(name).Number(); ok {
			t.Errorf("%s: taken for the number %v", name, n)
		}
	}
	for _, name := range []string{"n", "t", "z", "l", "o", "absent"} {
		if v := s.Get(name); v.IsString() || v.String() != "" || v.Equal("") {
			t.Errorf("%s: taken for text", name)
		}
	}
	if b, ok := s.Get("t").Bool(); !b || !ok {
		t.Error("true is not true")
	}
	if b, ok := parse(t, `{"f":false}`).Get("f").Bool(); b || !ok {
		t.Error("false is not false")
	}
	if _, ok := s.Get("z").Bool(); ok || !s.Get("z").IsNull() || s.Get("absent").IsNull() {
		t.Error("null is not null")
	}
	if !s.Get("l").IsArray() || !s.Get("o").IsObject() || s.Get("l").IsObject() {
		t.Error("wrong types")
	}
	if (*Set)(nil).Has("iss") || !bytes.HasPrefix(s.Bytes(), []byte(`{"iss"`)) {
		t.Error("Has or Bytes")
	}
}

// worst returns texts of 12 KiB, what fits into the largest token, that are
// expensive to parse.
func worst() map[string]string {
	const size = 12 << 10
	members := func(format string) string {
		var b strings.Builder
		b.WriteByte('{')
		for i := 0; b.Len() < size-40; i++ {
			fmt.Fprintf(&b, format, i)
		}
		b.WriteString(`"":0}`)
		return b.String()
	}
	return map[string]string{
		"short members":   members(`"%x":0,`),
		"escaped members": members(`"\u0061%x":0,`),
		"long prefixes":   members(`"` + strings.Repeat("a", 100) + `%x":0,`),
		"objects":         members(`"%x":{"":0},`),
		"nested":          `{"a":[` + strings.Repeat(nested(30, `0`)+",", size/185) + `0]}`,
		"escapes":         `{"a":"` + strings.Repeat(`\u0061`, size/6) + `"}`,
		"runes":           `{"a":"` + strings.Repeat("é", size/2) + `"}`,
		"digits":          `{"a":` + strings.Repeat("1", size) + `}`,
		"elements":        `{"a":[` + strings.Repeat(`0,`, size/2) + `0]}`,
		"unclosed":        strings.Repeat(`{"":`, size/4),
	}
}

// threat 2, threat 6: no text costs more than its length. The bound is far above
// what any machine needs and far below what quadratic time would take.
func TestParseWorstCase(t *testing.T) {
	for name, text := range worst() {
		best := time.Hour
		for range 5 {
			start := time.Now()
			_, _ = Parse([]byte(text))
			best = min(best, time.Since(start))
		}
		t.Logf("%s: %d bytes in %v", name, len(text), best)
		if best > 20*time.Millisecond {
			t.Errorf("%s: %d bytes took %v", name, len(text), best)
		}
	}
}
