package admit

import (
	"bytes"
	"encoding/json"
	"regexp"
	"strings"
	"testing"

	"github.com/spf13/cobra"

	"github.com/caddy-admit/admit/oauth/local"
)

// runCommand runs "caddy admit" with these arguments.
func runCommand(args ...string) (stdout, stderr string, err error) {
	root := &cobra.Command{Use: "caddy", SilenceUsage: true, SilenceErrors: true}
	admit := &cobra.Command{Use: "admit"}
	addCommands(admit)
	root.AddCommand(admit)
	var out, errs bytes.Buffer
	root.SetOut(&out)
	root.SetErr(&errs)
	root.SetArgs(append([]string{"admit"}, args...))
	err = root.Execute()
	return out.String(), errs.String(), err
}

var keyForm = regexp.MustCompile(`admit_[A-Za-z0-9_-]{43}`)

// The line for the Caddyfile takes the key that is shown, and does not hold it.
func TestAPIKeyCommand(t *testing.T) {
	for _, id := range []string{"build", "ada@example.com", "build server", "#1", "jürgen", "a;b", "it's"} {
		t.Run(id, func(t *testing.T) {
			line, shown, err := runCommand("api-key", id)
			if err != nil {
				t.Fatal(err)
			}
			key := keyForm.FindString(shown)
			if key == "" || strings.Contains(line, key) || strings.Count(shown, key) != 1 {
				t.Fatalf("on stderr\n%s\non stdout\n%s", shown, line)
			}
			if err := validate(t, "caddyfile", "{\n\tadmit corp {\n\t\t"+line+"\t}\n}\n"); err != nil {
				t.Fatal(err)
			}
			out, err := adapt("{\n\tadmit corp {\n\t\t" + line + "\t}\n}\n")
			if err != nil {
				t.Fatal(err)
			}
			var config struct {
				Apps struct {
					Admit App `json:"admit"`
				} `json:"apps"`
			}
			if err := json.Unmarshal(out, &config); err != nil {
				t.Fatal(err)
			}
			k := config.Apps.Admit.Integrations["corp"].APIKey[0]
			made, err := local.ReadAPIKey(k.ID, k.Hash, nil)
			if err != nil {
				t.Fatal(err)
			}
			list, err := local.NewAPIKeys([]local.APIKey{made})
			if err != nil {
				t.Fatal(err)
			}
			if found, ok := list.Lookup(key); !ok || found.ID != id {
				t.Errorf("the key is that of %q, %v", found.ID, ok)
			}
			if again, _, _ := runCommand("api-key", id); again == line {
				t.Error("the same key twice")
			}
		})
	}
}

func TestAPIKeyCommandMistakes(t *testing.T) {
	for _, tc := range []struct {
		name, want string
		args       []string
	}{
		{name: "no id", args: []string{"api-key"}, want: "accepts 1 arg"},
		{name: "two ids", args: []string{"api-key", "a", "b"}, want: "accepts 1 arg"},
		{name: "empty id", args: []string{"api-key", ""}, want: "the id is empty"},
		{name: "colon", args: []string{"api-key", "a:b"}, want: `holds ":"`},
		{name: "line break", args: []string{"api-key", "a\nb"}, want: "control character"},
		{name: "quote", args: []string{"api-key", `a"b`}, want: "without quotes, braces"},
		{name: "backslash", args: []string{"api-key", `a\`}, want: "without quotes, braces"},
		{name: "backtick", args: []string{"api-key", "a`b"}, want: "without quotes, braces"},
		{name: "variable", args: []string{"api-key", "{$USER}"}, want: "without quotes, braces"},
		{name: "unknown command", args: []string{"apikey", "a"}, want: `unknown command "apikey"`},
	} {
		t.Run(tc.name, func(t *testing.T) {
			stdout, stderr, err := runCommand(tc.args...)
			if err == nil || !strings.Contains(err.Error(), tc.want) {
				t.Errorf("got error %v, want one containing %q", err, tc.want)
			}
			if keyForm.MatchString(stdout + stderr) {
				t.Error("a key is shown")
			}
		})
	}
}
