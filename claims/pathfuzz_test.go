package claims

import (
	"bytes"
	"encoding/json"
	"errors"
	"reflect"
	"strings"
	"testing"
	"unicode/utf8"
)

func FuzzPath(f *testing.F) {
	for _, seed := range [][2]string{
		{"a.b", `{"a":{"b":"c"}}`},
		{"a", `{"a":{"b":1,"c":2}}`},
		{"a.*", `{"a":{"b":{"c":1,"d":2},"e":[3,4]}}`},
		{"a.b", `{"a.b":"c","a":{"b":"d"}}`},
		{`a\.b`, `{"a.b":["c",1,null,{"d":2}]}`},
		{"a.*", `{"a":{"b":"c","d":["e"]}}`},
		{"a.*", `{"a":[["b"],{"c":1}]}`},
		{"*", `{}`},
		{"a..b", `{}`},
		{`\`, `{"\\":true}`},
		{"scope", `{"scope":" a  b "}`},
		{"a.permissions.*", `{"a":{"permissions":["b c","d"]}}`},
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
