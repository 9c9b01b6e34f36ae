package admit

import (
	"encoding/json"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/caddy-admit/admit/claims"
)

// TestOperationsCommands runs the site of docs/operations.md and does what the
// page says, with what the page shows that is printed.
func TestOperationsCommands(t *testing.T) {
	needTools(t, "sh", "openssl", "curl", "jq")
	dir := t.TempDir()
	fences := readDoc(t, "docs/operations.md").fences()
	ports := operationsSite(t, fences, filepath.Join(dir, "decisions.log"))
	var script strings.Builder // the commands so far that print nothing
	answers := 0
	for i, f := range fences {
		if f.info != "sh" || strings.HasPrefix(f.text, "caddy ") {
			continue
		}
		if want := fences[i+1]; want.info == "text" || want.info == "jsonc" {
			answers++
			cmd := exec.Command("sh", "-c", script.String()+ports.Replace(f.text))
			cmd.Dir = dir
			cmd.Env = append(os.Environ(), "NO_PROXY=localhost", "no_proxy=localhost")
			out, err := cmd.Output()
			got := strings.ReplaceAll(string(out), "\r\n", "\n")
			if err != nil || sameEverywhere(got) != sameEverywhere(ports.Replace(want.text)) {
				t.Errorf("%s\ngot %q, %v\nwant %q", f.text, got, err, want.text)
			}
			continue
		}
		script.WriteString(f.text)
	}
	if answers < 10 {
		t.Errorf("found %d commands with what they print", answers)
	}
}

// sameEverywhere takes out of a text what differs from one run to the next.
func sameEverywhere(text string) string {
	for _, differs := range []string{
		`Date: .*`, `Content-Length: .*`, `sha256-[^']*`, `"ts": [0-9.]+`, `[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}`,
		`[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9:]{8}Z`, // times of the log
		`(?m)} [0-9]+$`,                         // counters outlive a test
	} {
		text = regexp.MustCompile(differs).ReplaceAllString(text, "…")
	}
	return strings.TrimRight(text, "\n")
}

func needTools(t *testing.T, tools ...string) {
	t.Helper()
	for _, tool := range tools {
		if _, err := exec.LookPath(tool); err != nil {
			if os.Getenv("CI") == "true" {
				t.Fatal(err)
			}
			t.Skip(err)
		}
	}
}

// operationsSite runs the first Caddyfile of the page with its log in a file, and
// returns what puts the ports into its commands.
func operationsSite(t *testing.T, fences []fence, log string) *strings.Replacer {
	t.Helper()
	t.Setenv("ADMIT_SECRET", "")
	os.Unsetenv("ADMIT_SECRET") // Setenv puts it back after the test
	site := fences[slices.IndexFunc(fences, func(f fence) bool { return f.info == "caddyfile" })].text
	config := adaptTree(t, site)
	eachObject(config, func(o map[string]any) {
		if o["filename"] == "decisions.log" {
			o["filename"] = log
		}
	})
	logs := config["logging"].(map[string]any)
	logs["logs"].(map[string]any)["default"].(map[string]any)["level"] = "ERROR"
	admin := freeAddr(t)
	addr := runPlain(t, config, "", func() {
		config["logging"] = logs
		config["admin"] = map[string]any{"listen": admin, "config": map[string]any{"persist": false}}
	})[""]
	_, port, _ := net.SplitHostPort(addr)
	return strings.NewReplacer("localhost:8080", "localhost:"+port, "http://localhost:2019", "http://"+admin)
}

// The filter of the page finds the guesses in a real log, each with the address
// of the client, and nothing else, whatever a client sends.
func TestOperationsFail2ban(t *testing.T) {
	doc := readDoc(t, "docs/operations.md")
	filter := doc.sections(3, "The log")[0].text
	value := func(name string) string {
		_, rest, _ := strings.Cut(filter, name+" = ")
		line, _, _ := strings.Cut(rest, "\n")
		return line
	}
	pattern := strings.Replace(value("failregex"), "<ADDR>", `(?P<addr>[0-9a-fA-F:.]+)`, 1)
	failed := regexp.MustCompile(pattern)
	date := regexp.MustCompile(strings.Replace(value("datepattern"), "{EPOCH}", `[0-9]{10}(?:\.[0-9]{3,6})?[0-9]*`, 1))
	reasons := regexp.MustCompile(`"reason":"\(\?:([a-z_|]+)\)`).FindStringSubmatch(pattern)
	for _, reason := range strings.Split(reasons[1], "|") {
		if answerTo(&claims.Decision{Reason: claims.Reason(reason)}).code == "" || !strings.Contains(readDoc(t, "docs/reasons.md").text, "`"+reason+"`") {
			t.Errorf("%s: no such reason", reason)
		}
	}

	f := serveOne(t, secretIntegration, "admit {\nrequire /admin/* groups admins\n}\nrespond ok")
	fake := `","client_ip":"192.0.2.66","x":"`
	forged := "Authorization: Bearer " + sign(t, "another secret, another secret, 32", good(nil))
	for _, tc := range []struct {
		name    string
		guesses bool
		send    func() answered
	}{
		{"forged", true, func() answered { return f.get("/", forged) }},
		{"no token at all", true, func() answered { return f.get("/", "Authorization: Bearer guess") }},
		{"malformed", true, func() answered { return f.get("/", "Authorization: Bearer") }},
		{"forged, with a path that looks like an entry", true, func() answered { return f.get("/"+fake, forged) }},
		{"nothing sent", false, func() answered { return f.get("/") }},
		{"nothing sent, with a path that looks like an entry", false, func() answered {
			return f.get(`/{"level":"info",,"logger":"http.handlers.admit","msg":"decision","verdict":"refused","status":401,"reason":"bad_signature"` + fake)
		}},
		{"expired", false, func() answered { return f.get("/", bearer(t, object{"exp": 1})) }},
		{"a user that looks like an entry", false, func() answered { return f.get("/admin/", bearer(t, object{"sub": fake})) }},
		{"in", false, func() answered { return f.get("/", bearer(t, nil)) }},
	} {
		before := len(logLines(t, f.log))
		tc.send()
		found := 0
		for _, line := range logLines(t, f.log)[before:] {
			m := failed.FindStringSubmatch(date.ReplaceAllString(line, "")) // it is cut from what fail2ban sees
			if whole := failed.FindStringSubmatch(line); (m == nil) != (whole == nil) {
				t.Errorf("%s: with the time %q, without it %q", tc.name, whole, m)
			}
			if m != nil {
				found++
				if m[1] != "127.0.0.1" {
					t.Errorf("%s: address %q", tc.name, m[1])
				}
			}
		}
		if (found == 1) != tc.guesses || found > 1 {
			t.Errorf("%s: %d entries match", tc.name, found)
		}
	}
	if _, err := exec.LookPath("fail2ban-regex"); err != nil {
		return
	}
	file := filepath.Join(t.TempDir(), "admit.conf")
	_, text, _ := strings.Cut(filter, "```ini\n")
	text, _, _ = strings.Cut(text, "```")
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	out, err := exec.Command("fail2ban-regex", f.log, file).CombinedOutput()
	if err != nil || !strings.Contains(string(out), " 4 matched,") {
		t.Errorf("fail2ban-regex: %v\n%s", err, out)
	}
}

func logLines(t *testing.T, file string) []string {
	t.Helper()
	data, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	return strings.Split(strings.TrimSpace(string(data)), "\n")
}

// The site of the page with error pages shows them to people, and programs get
// the gate's own answer.
func TestOperationsErrorPages(t *testing.T) {
	root := t.TempDir()
	if err := os.WriteFile(filepath.Join(root, "403.html"), []byte("my own page"), 0o600); err != nil {
		t.Fatal(err)
	}
	sites := operationsFences(t, "Error pages")
	corp := newExampleIssuer(t)
	config := adaptTree(t, strings.ReplaceAll(sites[0], "https://login.example.com", corp.url))
	token := func(more map[string]any) string {
		return corp.bearer(t, map[string]any{"aud": "https://app.example.com"}, more)
	}
	eachObject(config, func(o map[string]any) {
		if o["root"] == "/srv/errors" {
			o["root"] = root
		}
	})
	f := &front{t: t, addr: runPlain(t, config, newApplication(t), nil)[""]}
	a := f.ask("GET", "app.example.com", "/admin/x", append(navigation, token(nil))...)
	if a.StatusCode != 403 || a.body != "my own page" {
		t.Errorf("page: %d %q", a.StatusCode, a.body)
	}
	f.ask("GET", "app.example.com", "/admin/x", token(nil)).want(t, 403, "rule")
	f.ask("GET", "app.example.com", "/admin/x", token(object{"groups": "admins"})).want(t, 200, "")

	s := serve(t, secretIntegration, sites[1])
	if a := s.get("/", bearer(t, nil)); a.StatusCode != 403 || a.body != "ada is not of staff." {
		t.Errorf("rule: %d %q", a.StatusCode, a.body)
	}
	if a := s.get("/"); a.StatusCode != 401 || a.body != "401 missing_credential" || a.Header.Get("WWW-Authenticate") == "" {
		t.Errorf("no token: %d %q %v", a.StatusCode, a.body, a.Header)
	}
}

// The site of the page that answers CORS for an application that does not.
func TestOperationsCORS(t *testing.T) {
	corp := newExampleIssuer(t)
	config := adaptTree(t, strings.ReplaceAll(operationsFences(t, "Other origins")[0], "https://login.example.com", corp.url))
	token := corp.bearer(t, map[string]any{"aud": "https://api.example.com"})
	f := &front{t: t, addr: runPlain(t, config, newApplication(t), nil)[""]}
	const host, allowed = "api.example.com", "https://app.example.com"
	for _, tc := range []struct {
		name, method string
		headers      []string
		status       int
		allowed      string
	}{
		{"preflight", "OPTIONS", []string{listedOrigin, asksPost}, 204, allowed},
		{"preflight of another origin", "OPTIONS", []string{otherOrigin, asksPost}, 401, ""},
		{"no preflight", "OPTIONS", []string{listedOrigin}, 401, allowed},
		{"call", "POST", []string{listedOrigin, token}, 200, allowed},
		{"call from another origin", "POST", []string{otherOrigin, token}, 200, ""},
		{"refused", "POST", []string{listedOrigin}, 401, allowed},
		{"refused, another origin", "POST", []string{otherOrigin}, 401, ""},
	} {
		t.Run(tc.name, func(t *testing.T) {
			a := f.ask(tc.method, host, "/x", tc.headers...)
			got := a.Header["Access-Control-Allow-Origin"]
			if a.StatusCode != tc.status || strings.Join(got, "|") != tc.allowed || a.Header.Get("Vary") != "Origin" {
				t.Errorf("got %d, header %v", a.StatusCode, a.Header)
			}
			if a.StatusCode == http.StatusNoContent && !strings.Contains(a.Header.Get("Access-Control-Allow-Headers"), "authorization") {
				t.Errorf("header %v", a.Header)
			}
		})
	}
}

// operationsFences returns the Caddyfiles of a section.
func operationsFences(t *testing.T, title string) (texts []string) {
	t.Helper()
	for _, f := range (document{text: readDoc(t, "docs/operations.md").section(2, title).text}).fences() {
		if strings.HasPrefix(f.info, "caddyfile") {
			texts = append(texts, f.text)
		}
	}
	return texts
}

// The fields that the page lists are those of an entry, and its metrics those
// that there are.
func TestOperationsTables(t *testing.T) {
	doc := readDoc(t, "docs/operations.md")
	var fields []string
	for _, row := range doc.rows("The log") {
		for _, name := range strings.Split(row[0], ",") {
			fields = append(fields, strings.Trim(strings.TrimSpace(name), "`"))
		}
	}
	f := serveOne(t, secretIntegration, "admit\nrespond ok")
	f.get("/")
	var names []string
	for _, entry := range f.entries("decision") {
		for name := range entry {
			if !slices.Contains([]string{"level", "ts", "logger", "msg"}, name) {
				names = append(names, name)
			}
		}
	}
	slices.Sort(fields)
	slices.Sort(names)
	if !slices.Equal(fields, names) {
		t.Errorf("the page lists %q, an entry has %q", fields, names)
	}
	for _, row := range doc.rows("Metrics") {
		name := strings.Trim(row[0], "`")
		if known := strings.Contains(metricNames(), `"`+name+`"`); !known {
			t.Errorf("%s: no such metric", name)
		}
	}
}

// metricNames returns a text with the names of all metrics, each in quotes.
func metricNames() string {
	names := `"admit_decisions_total" "admit_logins_total" "admit_refreshes_total" "admit_exchanges_total"`
	for _, desc := range []*prometheus.Desc{fetchesDesc, keysAgeDesc, cacheHitsDesc, cacheMissesDesc, cacheEvictionsDesc} {
		names += desc.String()
	}
	return names
}

// The rules of the page name metrics and reasons that there are.
func TestOperationsQueries(t *testing.T) {
	known, err := json.Marshal(metricNames())
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range readDoc(t, "docs/operations.md").fences() {
		if f.info != "promql" && f.info != "yaml" {
			continue
		}
		for _, name := range regexp.MustCompile(`admit_\w+`).FindAllString(f.text, -1) {
			if !strings.Contains(string(known), name) {
				t.Errorf("%s: no such metric", name)
			}
		}
		for _, m := range regexp.MustCompile(`reason="(\w+)"`).FindAllStringSubmatch(f.text, -1) {
			if !strings.Contains(readDoc(t, "docs/reasons.md").text, "`"+m[1]+"`") {
				t.Errorf("%s: no such reason", m[1])
			}
		}
	}
}
