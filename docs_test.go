package admit

import (
	"context"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"encoding/pem"
	"math/big"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/caddyconfig/caddyfile"

	"github.com/caddy-admit/admit/claims"
	"github.com/caddy-admit/admit/oauth/local"
)

// The reference lists the options that the parser knows, each with its syntax as
// the parser knows it, and no others.
func TestReferenceOptions(t *testing.T) {
	ref := readDoc(t, "docs/reference.md")
	for section, want := range map[string]map[string]string{
		"Options of an integration": usages(integrationOptions),
		"The identity block":        usages(identityOptions),
		"The tokens block":          usages(tokensOptions),
		"The session block":         usages(sessionOptions),
		"The login block":           usages(loginOptions),

		"The client_credentials block": usages(clientCredentialsOptions),
		"The introspection block":      usages(introspectionOptions),
		"Options of a gate":            usages(gateOptions),
		"The any block":                usages(anyOptions),
		"The report_only block":        usages(ruleOptions),
		"The pages block":              usages(pagesOptions),
	} {
		got := map[string]string{}
		for _, sub := range ref.sections(3, section) {
			syntax, _, _ := strings.Cut(strings.TrimPrefix(strings.TrimSpace(sub.text), "`"), "`")
			got[sub.title] = syntax
		}
		for word, usage := range want {
			if syntax, there := got[word]; !there {
				t.Errorf("%s: %s is missing", section, word)
			} else if syntax != usage {
				t.Errorf("%s: %s: its syntax is `%s`, not `%s`", section, word, usage, syntax)
			}
		}
		for word := range got {
			if _, known := want[word]; !known {
				t.Errorf("%s: the parser knows no %s", section, word)
			}
		}
	}
}

func usages[T any](options table[T]) map[string]string {
	all := map[string]string{}
	for word, s := range options {
		block := strings.NewReplacer("[{]", "[{ … }]", "{", "{ … }")
		all[word] = strings.TrimSpace(word + " " + block.Replace(s.usage))
	}
	return all
}

func TestReferencePresets(t *testing.T) {
	var got []string
	for _, row := range readDoc(t, "docs/reference.md").rows("Presets") {
		got = append(got, strings.Trim(row[0], "`"))
	}
	var want []string
	for name, p := range presets {
		want = append(want, strings.TrimSpace(name+" "+p.usage))
	}
	slices.Sort(got)
	slices.Sort(want)
	if !slices.Equal(got, want) {
		t.Errorf("got presets %q, want %q", got, want)
	}
}

// The table of endpoints names each with its methods. HEAD goes with GET.
func TestReferenceEndpoints(t *testing.T) {
	got := map[string][]string{}
	path := ""
	for _, row := range readDoc(t, "docs/reference.md").rows("Endpoints") {
		if name, own := strings.CutPrefix(strings.Trim(row[0], "`"), "/oauth2"); own {
			path = name
		} else if row[0] != "" {
			continue
		}
		got[path] = append(got[path], row[1])
		if row[1] == "GET" {
			got[path] = append(got[path], "HEAD")
		}
	}
	for path, e := range endpoints {
		if !slices.Equal(got[path], e.methods) {
			t.Errorf("%s: got methods %q, want %q", path, got[path], e.methods)
		}
		delete(got, path)
	}
	for path := range got {
		t.Errorf("there is no %s", path)
	}
}

// Each reason has a row with its status and, for those that something in the
// code gives, no row is without a reason.
func TestReasonsDocument(t *testing.T) {
	source, err := os.ReadFile("claims/reason.go")
	if err != nil {
		t.Fatal(err)
	}
	want := map[string]bool{}
	for _, m := range regexp.MustCompile(`Reason\s+=\s+"(\w+)"`).FindAllStringSubmatch(string(source), -1) {
		want[m[1]] = true
	}
	doc := readDoc(t, "docs/reasons.md")
	for _, section := range doc.sections(2, "") {
		for _, row := range doc.rows(section.title) {
			reason := strings.Trim(row[0], "`")
			if !want[reason] {
				t.Errorf("%s: no such reason, or given twice", reason)
			}
			delete(want, reason)
			status := strconv.Itoa(answerTo(&claims.Decision{Reason: claims.Reason(reason)}).status)
			if row[1] != status {
				t.Errorf("%s: its status is %s, not %s", reason, status, row[1])
			}
		}
	}
	for reason := range want {
		t.Errorf("%s is missing", reason)
	}
}

// TestSnippets adapts every Caddyfile in the documents and has Caddy validate it.
// The second word after the fence says what a fragment is part of.
func TestSnippets(t *testing.T) {
	for _, doc := range documents(t) {
		for i, f := range doc.fences() {
			kind, part, _ := strings.Cut(f.info, " ")
			if kind != "caddyfile" && kind != "json" {
				continue
			}
			t.Run(doc.name+"/"+strconv.Itoa(i), func(t *testing.T) {
				if part == "users" {
					if _, err := local.ReadUsers([]byte(f.text)); err != nil {
						t.Error(err)
					}
					return
				}
				config := f.text
				if kind == "caddyfile" {
					if formatted := caddyfile.Format([]byte(f.text)); string(formatted) != f.text {
						t.Errorf("caddy fmt would make this:\n%s", formatted)
					}
					config = wrapSnippet(t, part, f.text)
				}
				if err := validate(t, kind, config); err != nil {
					t.Errorf("%s\n%v", config, err)
				}
			})
		}
	}
}

// Where the reference says "`<line>` gives `<error>`", it does.
func TestReferenceErrors(t *testing.T) {
	gives := regexp.MustCompile("`([^`]+)` gives\\s+`([^`]+)`")
	ref := readDoc(t, "docs/reference.md")
	count := 0
	for section, part := range map[string]string{
		"Options of an integration": "integration",
		"The identity block":        "identity",
		"The tokens block":          "tokens",
		"The session block":         "session",
		"The login block":           "login",

		"The client_credentials block": "client_credentials",
		"The introspection block":      "introspection",
		"Options of a gate":            "gate",
		"The any block":                "any",
		"The report_only block":        "report_only",
		"The pages block":              "pages",
		"Presets":                      "integration",
	} {
		for _, sub := range append(ref.sections(3, section), ref.section(2, section)) {
			for _, m := range gives.FindAllStringSubmatch(sub.text, -1) {
				count++
				line, want := strings.Join(strings.Fields(m[1]), " "), strings.Join(strings.Fields(m[2]), " ")
				config := wrapSnippet(t, part, line+"\n")
				if err := validate(t, "caddyfile", config); err == nil || !strings.Contains(err.Error(), want) {
					t.Errorf("%s: %s: got error\n\t%v\nwant one containing\n\t%s", sub.title, line, err, want)
				}
			}
		}
	}
	if count == 0 {
		t.Error("the reference names no errors")
	}
}

// wrapSnippet makes a whole Caddyfile of a fragment, and gives an integration
// what it cannot be without.
func wrapSnippet(t *testing.T, part, text string) string {
	t.Helper()
	integration := "issuer https://login.example.com\naudience api\n"
	site := "admit\n"
	switch part {
	case "":
		return text
	case "global":
		return "{\n" + text + "}\nexample.com {\n}\n"
	case "site":
		site = text
		if strings.Contains(text, "\tlogin\n") {
			integration = someUser
		}
	case "gate":
		site = "admit {\n" + text + "}\n"
		if strings.Contains(text, "exchange") {
			integration += "introspection {\nclient_id gate\nclient_secret x\n}\n"
		}
		if slices.Contains(firstWords(text), "login") {
			integration = someUser
		}
	case "any", "report_only", "pages":
		site = "admit {\n" + part + " {\n" + text + "}\n}\n"
	case "identity":
		integration += "identity {\n" + text + "}\n"
	case "client_credentials":
		integration += part + " {\n" + text + "}\n"
	case "introspection":
		for _, word := range []string{"client_id", "client_secret"} {
			if !slices.Contains(firstWords(text), word) {
				text += word + " x\n"
			}
		}
		integration += part + " {\n" + text + "}\n"
	case "tokens", "session":
		integration = someUser + part + " {\n" + text + "}\n"
		if slices.Contains(firstWords(text), "refresh") && part == "session" {
			integration = someClient + part + " {\n" + text + "}\n"
		}
	case "login":
		given := firstWords(text)
		if !slices.Contains(given, "client_id") {
			text += "client_id my-app\n"
		}
		if slices.Contains(given, "session_token") {
			integration += "audience https://api.example.com\n"
		}
		integration = strings.Replace(integration, "audience api\n", "", 1) + "login {\n" + text + "}\nsession {\ndomain example.com\n}\n"
	case "integration":
		words := strings.Fields(text)
		integration = text
		if given := firstWords(text); slices.Contains(given, "userinfo") && !slices.Contains(given, "login") {
			integration += "login {\nclient_id my-app\n}\n"
		}
		if given := firstWords(text); slices.ContainsFunc(given, isLocalOption) {
			if !slices.Contains(given, "user") && !slices.Contains(given, "users") {
				integration += someUser
			}
			break
		}
		if !slices.ContainsFunc([]string{"issuer", "preset", "jwks", "key", "secret"}, func(w string) bool { return slices.Contains(words, w) }) {
			integration += "issuer https://login.example.com\n"
		}
		if !slices.Contains(words, "audience") && !slices.Contains(words, "secret") && !slices.Contains(words, "login") {
			integration += "audience api\n"
		}
	default:
		t.Fatalf("unknown part of a Caddyfile %q", part)
	}
	return "{\nadmit corp {\n" + integration + "}\n}\nexample.com {\n" + site + "}\n"
}

// someUser makes an integration one of users of one's own.
const someUser = "user somebody $2a$14$LMAONTuaWfVQmCgjED/3HuObSIMcaVjLDD.HMo9qamJKQTqRRoszy\n"

// someClient makes an integration one where people log in at a provider.
const someClient = "issuer https://login.example.com\nlogin {\nclient_id my-app\n}\n"

// isLocalOption reports whether an option is about users, keys, tokens and
// sessions of one's own, beside which no issuer is named.
func isLocalOption(word string) bool {
	return slices.Contains([]string{"user", "users", "api_key", "basic", "tokens", "session"}, word)
}

// firstWords returns the options of a block, not those of blocks in it.
func firstWords(text string) (words []string) {
	depth := 0
	for line := range strings.Lines(text) {
		line = strings.TrimSpace(line)
		if line == "}" {
			depth--
		} else if word, _, _ := strings.Cut(line, " "); depth == 0 {
			words = append(words, word)
		}
		if strings.HasSuffix(line, "{") {
			depth++
		}
	}
	return words
}

// validate does what caddy validate does, with files and variables that the
// documents speak of.
func validate(t *testing.T, kind, config string) error {
	t.Helper()
	dir := t.TempDir()
	is := newExampleIssuer(t)
	for name, data := range map[string][]byte{
		"keys.json": is.keySet(), "issuer.pem": is.pem(t), "ca.pem": is.certificate(t), "secret": []byte(testSecret),
		"users.json": []byte(`{"ada": {"password": "$2a$14$LMAONTuaWfVQmCgjED/3HuObSIMcaVjLDD.HMo9qamJKQTqRRoszy"}}`),
		"logo.svg":   []byte(`<svg xmlns="http://www.w3.org/2000/svg"/>`), "pages.css": []byte("h1 { color: teal }"),
	} {
		if err := os.WriteFile(filepath.Join(dir, name), data, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	t.Setenv("ADMIT_SECRET", testSecret)
	t.Setenv("APP_SECRET", strings.Repeat("ab", 32))
	t.Setenv("TENANT", "11111111-2222-3333-4444-555555555555")
	config = strings.ReplaceAll(config, "/etc/caddy/", dir+"/")
	raw := []byte(config)
	if kind == "caddyfile" {
		var err error
		if raw, err = adapt(config); err != nil {
			return err
		}
	}
	var tree map[string]any
	if err := json.Unmarshal(raw, &tree); err != nil {
		return err
	}
	tree["storage"] = map[string]any{"module": "file_system", "root": dir}
	quiet(tree)
	raw, err := json.Marshal(tree)
	if err != nil {
		return err
	}
	var c *caddy.Config
	if err := caddy.StrictUnmarshalJSON(raw, &c); err != nil {
		return err
	}
	return caddy.Validate(c)
}

// TestLinks checks that links between the documents lead somewhere.
func TestLinks(t *testing.T) {
	link := regexp.MustCompile(`\]\(([^)\s]+)\)`)
	for _, doc := range documents(t) {
		for _, m := range link.FindAllStringSubmatch(doc.text, -1) {
			target, anchor, _ := strings.Cut(m[1], "#")
			if strings.Contains(target, "://") {
				continue
			}
			name := doc.name
			if target != "" {
				name = filepath.Join(filepath.Dir(doc.name), target)
			}
			if _, err := os.Stat(name); err != nil {
				t.Errorf("%s: %s leads nowhere", doc.name, m[1])
				continue
			}
			if anchor != "" && !slices.Contains(readDoc(t, name).anchors(), anchor) {
				t.Errorf("%s: %s: no such heading", doc.name, m[1])
			}
		}
	}
}

// TestReadmeQuickstart starts the quickstart and does what the README says.
func TestReadmeQuickstart(t *testing.T) {
	needShell(t)
	host := startQuickstart(t)
	runCommands(t, readDoc(t, "README.md").part("## Quickstart"), func(command string) string {
		return strings.ReplaceAll(command, "localhost:8443", host)
	})
}

// TestUsersCommands starts the first site of docs/users.md with the users that it
// shows, and does what it says.
func TestUsersCommands(t *testing.T) {
	needShell(t)
	doc := readDoc(t, "docs/users.md")
	file := filepath.Join(t.TempDir(), "Caddyfile")
	users := filepath.Join(t.TempDir(), "users.json")
	site := strings.ReplaceAll(doc.first("caddyfile").text, "/etc/caddy/users.json", users)
	for name, text := range map[string]string{file: site, users: doc.first("json users").text} {
		if err := os.WriteFile(name, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	addr := runExample(t, file)
	runCommands(t, doc, func(command string) string {
		command = strings.ReplaceAll(command, "https://app.example.com", "http://"+addr)
		return strings.ReplaceAll(command, "curl ", "curl -H 'Host: app.example.com' ")
	})
}

func needShell(t *testing.T) {
	t.Helper()
	for _, tool := range []string{"sh", "sed", "curl"} {
		if _, err := exec.LookPath(tool); err != nil {
			if os.Getenv("CI") == "true" {
				t.Fatal(err)
			}
			t.Skip(err)
		}
	}
}

// runCommands runs the commands of a document one after the other in one shell,
// those of Caddy and Go aside, and compares with the answers that it shows. What they
// print is adjusted by all of said.
func runCommands(t *testing.T, doc document, adjust func(string) string, said ...func(string) string) {
	t.Helper()
	const end = "end of the answer\n"
	var script strings.Builder
	var commands, want []string
	fences := doc.fences()
	for i, f := range fences {
		if f.info != "sh" || strings.HasPrefix(f.text, "go ") || strings.HasPrefix(f.text, "caddy ") {
			continue
		}
		answer := ""
		if i+1 < len(fences) && fences[i+1].info == "text" {
			answer = fences[i+1].text
		}
		commands, want = append(commands, f.text), append(want, answer)
		script.WriteString(adjust(f.text) + "echo " + end)
	}
	if len(commands) < 6 {
		t.Fatalf("found %d commands", len(commands))
	}
	cmd := exec.Command("sh", "-c", script.String())
	cmd.Env = append(os.Environ(), "NO_PROXY=localhost,127.0.0.1", "no_proxy=localhost,127.0.0.1")
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	text := string(out)
	for _, adjust := range said {
		text = adjust(text)
	}
	got := strings.Split(text, end)
	for i, command := range commands {
		if !looksLike(got[i], want[i]) {
			t.Errorf("%s\ngot %q, want %q", command, got[i], want[i])
		}
	}
}

// looksLike reports whether a text is as a document shows it, where "…" stands
// for what is different every time.
func looksLike(text, shown string) bool {
	parts := strings.Split(shown, "…")
	for i, part := range parts {
		parts[i] = regexp.QuoteMeta(part)
	}
	return regexp.MustCompile(`^` + strings.Join(parts, `.+`) + `$`).MatchString(text)
}

// startQuickstart runs the quickstart on ports of its own and returns where it is.
func startQuickstart(t *testing.T) (host string) {
	t.Helper()
	text, err := os.ReadFile("examples/quickstart/Caddyfile")
	if err != nil {
		t.Fatal(err)
	}
	port := func() string { _, p, _ := strings.Cut(freeAddr(t), ":"); return p }
	https := port()
	config := adaptTree(t, strings.NewReplacer("8443", https, "8080", port()).Replace(string(text)))
	config["storage"] = map[string]any{"module": "file_system", "root": t.TempDir()}
	quiet(config)
	loadTree(t, config)
	awaitCertificate(t, "127.0.0.1:"+https)
	return "localhost:" + https
}

// awaitCertificate waits until Caddy has made the certificate of localhost, which
// it does in the background.
func awaitCertificate(t *testing.T, addr string) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	again := time.NewTicker(10 * time.Millisecond)
	defer again.Stop()
	dialer := tls.Dialer{Config: &tls.Config{ServerName: "localhost", InsecureSkipVerify: true}}
	for {
		conn, err := dialer.DialContext(ctx, "tcp", addr)
		if err == nil {
			conn.Close()
			return
		}
		select {
		case <-ctx.Done():
			t.Fatal(err)
		case <-again.C:
		}
	}
}

// document is a file in Markdown.
type document struct{ name, text string }

type (
	section struct{ title, text string }
	fence   struct{ info, text string }
)

func documents(t *testing.T) []document {
	t.Helper()
	names, err := filepath.Glob("docs/*.md")
	if err != nil || len(names) == 0 {
		t.Fatalf("no documents: %v", err)
	}
	logins, err := filepath.Glob("docs/login/*.md")
	if err != nil || len(logins) == 0 {
		t.Fatalf("no documents about vendors: %v", err)
	}
	names = append(names, logins...)
	var docs []document
	for _, name := range append(names, "README.md") {
		docs = append(docs, readDoc(t, name))
	}
	return docs
}

func readDoc(t *testing.T, name string) document {
	t.Helper()
	text, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	return document{name, string(text)}
}

// sections returns the sections of a level, those of one section of the level
// above if it is named. Their text ends at the next heading of any level.
func (d document) sections(level int, within string) (found []section) {
	parent, inFence := "", false
	var open *section
	for line := range strings.Lines(d.text) {
		if strings.HasPrefix(line, "```") {
			inFence = !inFence
		}
		if depth := len(line) - len(strings.TrimLeft(line, "#")); depth > 0 && !inFence {
			title := strings.TrimSpace(line[depth:])
			open = nil
			if depth == level-1 {
				parent = title
			}
			if depth == level && (within == "" || within == parent) {
				found = append(found, section{title: title})
				open = &found[len(found)-1]
			}
			continue
		}
		if open != nil {
			open.text += line
		}
	}
	return found
}

// part returns what stands between a heading and the next one of its level.
func (d document) part(heading string) document {
	level, _, _ := strings.Cut(heading, " ")
	_, text, _ := strings.Cut(d.text, "\n"+heading+"\n")
	text, _, _ = strings.Cut(text, "\n"+level+" ")
	return document{d.name, text}
}

func (d document) section(level int, title string) section {
	for _, s := range d.sections(level, "") {
		if s.title == title {
			return s
		}
	}
	return section{}
}

// rows returns the rows of the tables in a section of level 2, without heads.
func (d document) rows(title string) (rows [][]string) {
	body := false
	for line := range strings.Lines(d.section(2, title).text) {
		switch line = strings.TrimSpace(line); {
		case !strings.HasPrefix(line, "|"):
			body = false
		case strings.HasPrefix(line, "| ---"):
			body = true
		case body:
			cells := strings.Split(strings.Trim(line, "|"), "|")
			for i := range cells {
				cells[i] = strings.TrimSpace(cells[i])
			}
			rows = append(rows, cells)
		}
	}
	return rows
}

func (d document) fences() (found []fence) {
	var open *fence
	for line := range strings.Lines(d.text) {
		info, marker := strings.CutPrefix(line, "```")
		switch {
		case marker && open == nil:
			found = append(found, fence{info: strings.TrimSpace(info)})
			open = &found[len(found)-1]
		case marker:
			open = nil
		case open != nil:
			open.text += line
		}
	}
	return found
}

// first returns the first fence of a kind.
func (d document) first(info string) fence {
	for _, f := range d.fences() {
		if f.info == info {
			return f
		}
	}
	return fence{}
}

// anchors returns the names by which headings are linked to, as GitHub makes them.
func (d document) anchors() (names []string) {
	seen := map[string]int{}
	for line := range strings.Lines(d.text) {
		title, heading := strings.CutPrefix(strings.TrimLeft(line, "#"), " ")
		if !heading || !strings.HasPrefix(line, "#") {
			continue
		}
		name := strings.ReplaceAll(strings.ToLower(strings.TrimSpace(title)), " ", "-")
		name = regexp.MustCompile(`[^a-z0-9_-]`).ReplaceAllString(name, "")
		if n := seen[name]; n > 0 {
			names = append(names, name+"-"+strconv.Itoa(n))
		} else {
			names = append(names, name)
		}
		seen[name]++
	}
	return names
}

// pem returns the issuer's key as an operator would keep it in a file.
func (is *exampleIssuer) pem(t *testing.T) []byte {
	t.Helper()
	der, err := x509.MarshalPKIXPublicKey(is.key.Public())
	if err != nil {
		t.Fatal(err)
	}
	return pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: der})
}

// certificate returns a root of its own.
func (is *exampleIssuer) certificate(t *testing.T) []byte {
	t.Helper()
	template := &x509.Certificate{SerialNumber: big.NewInt(1), IsCA: true}
	der, err := x509.CreateCertificate(rand.Reader, template, template, is.key.Public(), is.key)
	if err != nil {
		t.Fatal(err)
	}
	return pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})
}
