package admit

import (
	"os"
	"regexp"
	"strings"
	"testing"
)

// printed takes out of what a command prints what differs from one run to the next.
func printed(text string) string {
	for _, differs := range []string{`inline-[0-9a-f]+ .*`, `(?m)^[0-9a-f]{8} `, `[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9:]{8}Z`} {
		text = regexp.MustCompile(differs).ReplaceAllString(text, "…")
	}
	return strings.TrimRight(text, "\n")
}

// commandsOf returns the commands of a part of a page and what they print.
func commandsOf(fences []fence) (commands [][2]string) {
	for i, f := range fences {
		if words, ok := strings.CutPrefix(f.text, "caddy admit "); ok && f.info == "sh" {
			commands = append(commands, [2]string{strings.TrimSpace(words), fences[i+1].text})
		}
	}
	return commands
}

// The commands of docs/operations.md about sessions print what the page says.
func TestOperationsSessions(t *testing.T) {
	doc := readDoc(t, "docs/operations.md")
	text := doc.part("## Who is logged in")
	f, _, admin := serveAdmin(t, homeIntegration(t, "people", "tokens\nsession {\nstore storage\n}"),
		"handle /own/* {\nadmit {\nuser eve "+hashOf(t, bobPassword)+"\nlogin\nendpoints /own/oauth2\n}\n}\nadmit people {\nlogin\n}\n"+upstream(t))
	tokenOf(t, f.token("grant_type=password&username=ada&password="+adaPassword))
	f.browser().signIn()
	commands := commandsOf(text.fences())
	if len(commands) != 3 {
		t.Fatalf("found %d commands", len(commands))
	}
	for _, c := range commands {
		if got := command(t, admin, strings.Fields(c[0])...); printed(got) != printed(c[1]) {
			t.Errorf("%s\ngot\n%s\nwant\n%s", c[0], got, c[1])
		}
	}
}

// So does the one about URLs.
func TestOperationsURLs(t *testing.T) {
	fences := readDoc(t, "docs/operations.md").part("## URLs to register, and what is open").fences()
	t.Chdir(t.TempDir())
	if err := os.WriteFile("Caddyfile", []byte(fences[0].text), 0o600); err != nil {
		t.Fatal(err)
	}
	commands := commandsOf(fences)
	if len(commands) != 1 {
		t.Fatalf("found %d commands", len(commands))
	}
	got, _, err := runCommand(strings.Fields(commands[0][0])...)
	if err != nil || strings.TrimSpace(got) != strings.TrimSpace(commands[0][1]) {
		t.Errorf("got\n%s, %v", got, err)
	}
}

// The reference lists the commands that there are, with their arguments.
func TestReferenceCommands(t *testing.T) {
	var listed []string
	for _, m := range regexp.MustCompile("(?m)^\\| `caddy admit ([^`]+)` \\|").FindAllStringSubmatch(readDoc(t, "docs/reference.md").part("## Commands").text, -1) {
		listed = append(listed, m[1])
	}
	stdout, _, err := runCommand("--help")
	if err != nil {
		t.Fatal(err)
	}
	for _, line := range listed {
		name, _, _ := strings.Cut(line, " ")
		help, _, err := runCommand(name, "--help")
		if err != nil || !strings.Contains(help, "caddy admit "+line) || !strings.Contains(stdout, "\n  "+name+" ") {
			t.Errorf("%s: %v\n%s", line, err, help)
		}
	}
	_, available, _ := strings.Cut(stdout, "Available Commands:\n")
	available, _, _ = strings.Cut(available, "\n\n")
	if got := len(strings.Split(available, "\n")); got != len(listed) {
		t.Errorf("%d commands, the reference has %d:\n%s", got, len(listed), available)
	}
}
