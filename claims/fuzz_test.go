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

func FuzzPath(f *testing.F) {
	for _, seed := range [][2]string{
		{"a.b", `{"a":{"b":"c"}}`},
		{"a.b", `{"a.b":"c","a":{"b":"d"}}`},
		{`a\.b`, `{"a.b":["c",1,null,{"d":2}]}`},
		{"a.*", `{"a":{"b":"c","d":["e"]}}`},
		{"a.*", `{"a":[["b"],{"c":1}]}`},
		{"*", `{}`},
		{"a..b", `{}`},
		{`\`, `{"\\":true}`},
		{"scope", `{"scope":" a  b "}`},
		{"a.permissions.*", `{"a":{"permissions":["b c"]}}`},
		{".", `{}`},
		{"a.", `{"a.":1}`},
	} {
		f.Add(seed[0], seed[1])
	}
	f.Fuzz(func(t *testing.T, text, data string) {
		path, err := ParsePath(text)
		if err != nil {
			if !errors.Is(err, ErrPath) {
				t.Errorf("ParsePath(%q): got %v", text, err)
			}
			return
		}
		s, err := Parse([]byte(data))
		if err != nil || !utf8.ValidString(text) {
			return
		}
		var got []string
		path.values(s, func(text []byte) bool {
			got = append(got, string(text))
			return true
		})
		if want := slowValues(text, data); !reflect.DeepEqual(got, want) {
			t.Errorf("%q in %q: got %q, want %q", text, data, got, want)
		}
		for range got[:min(1, len(got))] {
			calls := 0
			path.values(s, func([]byte) bool { calls++; return false })
			if calls != 1 {
				t.Errorf("%q in %q: %d calls after the first was answered false", text, data, calls)
			}
		}
	})
}

// slowValues is what [Path.values] should find, written down in another way: on
// decoded maps, whose order is restored from the text.
func slowValues(text, data string) []string {
	const dot = "\x00" // no part of a name holds it when ParsePath is done
	if strings.Contains(text, dot) || strings.Contains(data, `\u0000`) {
		return fallback(text, data)
	}
	parts := strings.Split(strings.ReplaceAll(text, `\.`, dot), ".")
	for i := range parts {
		parts[i] = strings.ReplaceAll(parts[i], dot, ".")
	}
	every := len(parts) > 1 && parts[len(parts)-1] == "*"
	if every {
		parts = parts[:len(parts)-1]
	}
	split := false
	switch parts[len(parts)-1] {
	case "scope", "scp", "permissions":
		split = true
	}
	v, ok := slowMemberOf([]byte(data), strings.ReplaceAll(text, `\.`, "."))
	if ok {
		every = false
	} else {
		v = []byte(data)
		for _, part := range parts {
			if v, ok = slowMemberOf(v, part); !ok {
				return nil
			}
		}
	}
	if !every {
		return slowOffer(v, split)
	}
	var out []string
	for _, m := range membersOf(v) {
		out = append(out, slowOffer(m.value, split)...)
	}
	return out
}

// fallback leaves names with NUL to the code under test.
func fallback(text, data string) (out []string) {
	path, _ := ParsePath(text)
	s, _ := Parse([]byte(data))
	path.values(s, func(text []byte) bool { out = append(out, string(text)); return true })
	return out
}

type slowMember struct {
	name  string
	value json.RawMessage
}

// membersOf returns the members of an object, or the elements of an array.
func membersOf(raw []byte) (out []slowMember) {
	dec := json.NewDecoder(bytes.NewReader(raw))
	open, _ := dec.Token()
	if open != json.Delim('{') && open != json.Delim('[') {
		return nil
	}
	for dec.More() {
		var m slowMember
		if open == json.Delim('{') {
			name, _ := dec.Token()
			m.name = name.(string)
		}
		_ = dec.Decode(&m.value)
		m.value = bytes.TrimSpace(m.value)
		out = append(out, m)
	}
	return out
}

func slowMemberOf(raw []byte, name string) (json.RawMessage, bool) {
	if !bytes.HasPrefix(bytes.TrimSpace(raw), []byte("{")) {
		return nil, false
	}
	for _, m := range membersOf(raw) {
		if m.name == name {
			return m.value, true
		}
	}
	return nil, false
}

func slowOffer(raw []byte, split bool) (out []string) {
	switch raw = bytes.TrimSpace(raw); raw[0] {
	case '{':
		for _, m := range membersOf(raw) {
			out = append(out, m.name)
		}
	case '[':
		for _, m := range membersOf(raw) {
			if c := m.value[0]; c != '{' && c != '[' {
				out = append(out, slowOffer(m.value, false)...)
			}
		}
	case '"':
		var s string
		_ = json.Unmarshal(raw, &s)
		if !split {
			return []string{s}
		}
		for _, word := range strings.Split(s, " ") {
			if word != "" {
				out = append(out, word)
			}
		}
	case 'n':
	default:
		out = append(out, string(raw))
	}
	return out
}
