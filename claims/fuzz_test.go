package claims

import (
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"reflect"
	"regexp"
	"strings"
	"testing"
	"unicode/utf8"
)

// plain reads one JSON value by the tokens of encoding/json. It reports what
// that package lets pass and Admit refuses: members that appear twice, and
// nesting deeper than max.
func plain(dec *json.Decoder, depth, max int) (fault bool, err error) {
	tok, err := dec.Token()
	delim, ok := tok.(json.Delim)
	if err != nil || !ok {
		return false, err
	}
	fault = depth > max
	names := make(map[string]bool)
	for dec.More() {
		if delim == '{' {
			name, err := dec.Token()
			if err != nil {
				return fault, err
			}
			fault = fault || names[name.(string)]
			names[name.(string)] = true
		}
		inner, err := plain(dec, depth+1, max)
		if err != nil {
			return fault, err
		}
		fault = fault || inner
	}
	_, err = dec.Token() // the closing one
	return fault, err
}

// loneSurrogate finds an escape that encoding/json folds into U+FFFD.
func loneSurrogate(data []byte) bool {
	escape := regexp.MustCompile(`\\(?:u[0-9a-fA-F]{4}|.)`)
	folded := false
	pairs := regexp.MustCompile(`(?i)^\\ud[89ab][0-9a-f]{2}\\ud[c-f][0-9a-f]{2}`)
	for i := 0; i < len(data); {
		at := escape.FindIndex(data[i:])
		if at == nil {
			break
		}
		i += at[0]
		switch text := strings.ToLower(string(data[i : i+at[1]-at[0]])); {
		case pairs.Match(data[i:]):
			i += 12
			continue
		case len(text) == 6 && text[2] == 'd' && strings.IndexByte("89abcdef", text[3]) >= 0:
			folded = true
		}
		i += at[1] - at[0]
	}
	return folded
}

// threat 3, threat 5, threat 6
func FuzzSet(f *testing.F) {
	for _, seed := range []string{
		`{}`, ` { "a" : [ 1 , {"b":null} ] } `, `{"a":1,"a":2}`, `{"a":1,"\u0061":2}`, `{"a":{"b":1,"b":2}}`,
		`{"a":"\ud83d\ude00"}`, `{"a":"\ud83d"}`, `{"a":"\ude00\ud83d"}`, `{"a":"\\ud83d"}`, "{\"a\":\"\xff\"}", "{\"\xc3\":1}",
		`{"a":-0.5e+10}`, `{"a":01}`, `{"a":1.}`, `{"a":.5}`, `{"a":+1}`, `{"a":1e400}`, `{"a":NaN}`, `{"a":tru}`, `{"a":"` + "\t" + `"}`,
		`{"a":1}x`, `{"a":1} {}`, `[]`, `"a"`, ``, `{"a":1,}`, `{,}`, `{"a"}`, `{"a":"\x"}`, `{"a":"\`, `{"a":"\u12`, "\ufeff{}",
		strings.Repeat(`{"a":`, 32) + `1` + strings.Repeat(`}`, 32), strings.Repeat(`{"a":`, 33) + `1` + strings.Repeat(`}`, 33),
		`{"0":1,"1":1,"2":1,"3":1,"4":1,"5":1,"6":1,"7":1,"8":1,"9":1,"a":1,"b":1,"c":1,"d":1,"e":1,"f":1,"g":1,"0":1}`,
	} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		s, err := Parse(data)
		want := utf8.Valid(data) && json.Valid(data) && !loneSurrogate(data) &&
			bytes.HasPrefix(bytes.TrimLeft(data, " \t\r\n"), []byte("{"))
		if want {
			dec := json.NewDecoder(bytes.NewReader(data))
			dec.UseNumber()
			fault, err := plain(dec, 1, maxDepth)
			_, end := dec.Token()
			want = !fault && err == nil && errors.Is(end, io.EOF)
		}
		if (err == nil) != want {
			t.Fatalf("Parse(%q): got error %v, want accepted %v", data, err, want)
		}
		if err == nil {
			compareMembers(t, s, data)
		}
	})
}

// compareMembers compares what a Set says with what encoding/json decodes.
func compareMembers(t *testing.T, s *Set, data []byte) {
	var members map[string]json.RawMessage
	if err := json.Unmarshal(data, &members); err != nil {
		t.Fatal(err)
	}
	if len(members) != len(s.members) {
		t.Fatalf("%q: got %d members, want %d", data, len(s.members), len(members))
	}
	for name, raw := range members {
		v := s.Get(name)
		if !bytes.Equal(v.JSON(), bytes.TrimSpace(raw)) {
			t.Errorf("%q: Get(%q) is %q, want %q", data, name, v.JSON(), raw)
		}
		compareValue(t, v, raw)
	}
}

func compareValue(t *testing.T, v Value, raw []byte) {
	var want any
	if json.Unmarshal(raw, &want) != nil {
		return // a number beyond float64
	}
	switch want := want.(type) {
	case nil:
		if !v.IsNull() || !v.Exists() {
			t.Errorf("%q: not null", raw)
		}
	case bool:
		if got, ok := v.Bool(); !ok || got != want {
			t.Errorf("%q: got %v, %v", raw, got, ok)
		}
	case float64:
		if got, ok := v.Number(); !ok || got != want {
			t.Errorf("%q: got %v, %v, want %v", raw, got, ok, want)
		}
	case string:
		if got := v.String(); got != want || !v.Equal(want) {
			t.Errorf("%q: got %q, want %q", raw, got, want)
		}
	case []any:
		got := []any{}
		v.elements(func(e Value) bool {
			var decoded any
			if json.Unmarshal(e.JSON(), &decoded) != nil {
				t.Errorf("%q: element %q is no JSON", raw, e.JSON())
			}
			got = append(got, decoded)
			return true
		})
		if !reflect.DeepEqual(got, want) {
			t.Errorf("%q: got %v", raw, got)
		}
	case map[string]any:
		got := map[string]any{}
		v.fields(func(name, value Value) bool {
			var decoded any
			if json.Unmarshal(value.JSON(), &decoded) != nil {
				t.Errorf("%q: member %q is no JSON", raw, value.JSON())
			}
			got[name.String()] = decoded
			return true
		})
		if !reflect.DeepEqual(got, want) {
			t.Errorf("%q: got %v", raw, got)
		}
	}
}

// threat 34, threat 35
func FuzzPattern(f *testing.F) {
	for _, seed := range [][2]string{
		{"*", ""},
		{"*", "x"},
		{"**", ""},
		{"a*", "a"},
		{"a*a", "a"},
		{"*a*", "bab"},
		{"ab*ba", "aba"},
		{"a*b*c", "aXbYbZc"},
		{"a", "*"},
		{"K", "\u212a"},
		{"*@corp.example", "a\n@corp.example"},
		{"é*", "\xc3"},
		{"a*\xff", "a\xff"},
		{"A*Z", "amz"},
	} {
		f.Add(seed[0], seed[1], false)
		f.Add(seed[0], seed[1], true)
	}
	f.Fuzz(func(t *testing.T, pattern, value string, fold bool) {
		if pattern == "" || !utf8.ValidString(pattern) || !utf8.ValidString(value) {
			return // patterns come from a configuration, values from a Set
		}
		if len(pattern) > 100 || len(value) > 1000 {
			return // the other matcher takes too long
		}
		expr := strings.ReplaceAll(regexp.QuoteMeta(pattern), `\*`, `.*`)
		want := regexp.MustCompile(`(?s)\A` + expr + `\z`).MatchString(value)
		if fold {
			want = regexp.MustCompile(`(?s)\A` + asciiLower(expr) + `\z`).MatchString(asciiLower(value))
		}
		if strings.Trim(pattern, "*") == "" {
			want = value != ""
		}
		before := value + "." // a copy
		if got := NewPattern(pattern, fold).Match([]byte(value)); got != want || before != value+"." {
			t.Errorf("%q on %q, fold %v: got %v", pattern, value, fold, got)
		}
	})
}

func asciiLower(s string) string {
	return strings.Map(func(r rune) rune {
		if 'A' <= r && r <= 'Z' {
			return r + 'a' - 'A'
		}
		return r
	}, s)
}
