package admit

import (
	"bytes"
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/caddyserver/caddy/v2/caddyconfig"
	"github.com/caddyserver/caddy/v2/caddytest"
)

// Each file holds a Caddyfile, a line of dashes, then its JSON or a part of its
// error. DESIGN 1.2, "No integration named": gate_only_one, gate_inline and
// error_gate_none, error_gate_several.
func TestAdapt(t *testing.T) {
	files, err := filepath.Glob("testdata/adapt/*.txt")
	if err != nil || len(files) == 0 {
		t.Fatalf("no cases: %v", err)
	}
	for _, name := range files {
		t.Run(filepath.Base(name), func(t *testing.T) {
			data, err := os.ReadFile(name)
			if err != nil {
				t.Fatal(err)
			}
			in, want, _ := strings.Cut(string(data), "\n----------\n")
			if want = strings.TrimSpace(want); strings.HasPrefix(want, "{") {
				caddytest.AssertAdapt(t, in+"\n", "caddyfile", want)
				return
			}
			_, err = adapt(in + "\n")
			if want == "" || err == nil || !strings.Contains(err.Error(), want) {
				t.Errorf("got error %v, want one containing %q", err, want)
			}
		})
	}
}

// threat 99.
//
// FuzzCaddyfile feeds whole Caddyfiles to the adapter: it must not panic, and what
// it accepts must be JSON that the modules read.
func FuzzCaddyfile(f *testing.F) {
	files, _ := filepath.Glob("testdata/adapt/*.txt")
	for _, name := range files {
		data, err := os.ReadFile(name)
		if err != nil {
			f.Fatal(err)
		}
		in, _, _ := strings.Cut(string(data), "\n----------\n")
		f.Add(in + "\n")
	}
	f.Fuzz(func(t *testing.T, in string) {
		if strings.Contains(in, "import") {
			t.Skip("would read files")
		}
		out, err := adapt(in)
		if err != nil {
			return
		}
		var config struct {
			Apps struct {
				Admit App `json:"admit"`
			} `json:"apps"`
		}
		if err := json.Unmarshal(out, &config); err != nil {
			t.Errorf("%q became unreadable JSON: %v", in, err)
		}
		for _, handler := range gates(t, out) {
			d := json.NewDecoder(bytes.NewReader(handler))
			d.DisallowUnknownFields()
			if err := d.Decode(&struct {
				Handler
				Name string `json:"handler"`
			}{}); err != nil {
				t.Errorf("%q became a gate that cannot be read: %v", in, err)
			}
		}
	})
}

// adapt turns a Caddyfile into JSON.
func adapt(in string) ([]byte, error) {
	out, _, err := caddyconfig.GetAdapter("caddyfile").Adapt([]byte(in), nil)
	return out, err
}

// gates returns all objects in a config that are a gate's, wherever they lie.
func gates(t *testing.T, config []byte) []json.RawMessage {
	t.Helper()
	var tree any
	if err := json.Unmarshal(config, &tree); err != nil {
		t.Fatal(err)
	}
	var found []json.RawMessage
	var walk func(any)
	walk = func(node any) {
		switch node := node.(type) {
		case []any:
			for _, child := range node {
				walk(child)
			}
		case map[string]any:
			if node["handler"] == "admit" {
				raw, _ := json.Marshal(node)
				found = append(found, raw)
			}
			for _, child := range node {
				walk(child)
			}
		}
	}
	walk(tree)
	return found
}

// The id of a gate's own integration binds sessions to it: it must differ between
// gates and survive edits elsewhere in the file.
func TestInlineID(t *testing.T) {
	ids := func(in string) []string {
		t.Helper()
		out, err := adapt(in)
		if err != nil {
			t.Fatal(err)
		}
		var ids []string
		for _, raw := range gates(t, out) {
			var h Handler
			if err := json.Unmarshal(raw, &h); err != nil {
				t.Fatal(err)
			}
			ids = append(ids, h.Integration.ID)
		}
		return ids
	}
	const gate = "admit {\nissuer https://a.example\naudience api\n}\n"
	before := ids("a.example {\n" + gate + "}\n")
	for _, tc := range []struct {
		name, in string
		same     bool // the first gate keeps its id
		gates    int
	}{
		{name: "comment, other directives", in: "# new\na.example {\nencode\n" + gate + "}\n", same: true, gates: 1},
		{name: "other options", in: "a.example {\nadmit /x {\nissuer https://b.example\naudience api\n}\n}\n", same: true, gates: 1},
		{name: "gate of a named integration before", in: "{\nadmit corp {\nissuer https://c.example\naudience api\n}\n}\na.example {\nhandle {\n" + gate + "}\n}\n", same: true, gates: 1},
		{name: "in a handle block", in: "a.example {\nhandle /x {\n" + gate + "}\n}\n", same: true, gates: 1},
		{name: "second gate", in: "a.example {\n" + gate + gate + "}\n", same: true, gates: 2},
		{name: "second site", in: "a.example {\n" + gate + "}\nb.example {\n" + gate + "}\n", same: true, gates: 2},
		{name: "snippet", in: "(s) {\n" + gate + "}\na.example {\nimport s\n}\nb.example {\nimport s\n}\n", same: true, gates: 2},
		{name: "other address", in: "b.example {\n" + gate + "}\n", gates: 1},
		{name: "named route of the same name", in: "&(a.example) {\n" + gate + "}\nb.example {\ninvoke a.example\n}\n", gates: 1},
	} {
		t.Run(tc.name, func(t *testing.T) {
			got := ids(tc.in)
			if len(got) != tc.gates {
				t.Fatalf("got %d gates, want %d", len(got), tc.gates)
			}
			if same := got[0] == before[0]; same != tc.same {
				t.Errorf("same id: %v, want %v", same, tc.same)
			}
			if len(got) == 2 && got[0] == got[1] {
				t.Errorf("two gates share the id %s", got[0])
			}
		})
	}
}
