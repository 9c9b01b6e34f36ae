package admit

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// threat 64.
//
// DESIGN 2: pages instead of JSON for any navigation; everything else is an API
// client.
func TestWantsPage(t *testing.T) {
	f := serveOne(t, secretIntegration, "admit\nrespond ok")
	const html = "Accept: text/html,*/*;q=0.8"
	for _, tc := range []struct {
		name, method string
		headers      []string
		page         bool
	}{
		{"nothing", "GET", nil, false},
		{"a link", "GET", navigation, true},
		{"a form", "POST", navigation, true},
		{"in a frame", "GET", []string{"Sec-Fetch-Mode: navigate", "Sec-Fetch-Dest: iframe", html}, true},
		{"navigation that accepts JSON", "GET", []string{"Sec-Fetch-Mode: navigate", "Accept: application/json"}, true},
		{"prefetch", "GET", []string{"Sec-Fetch-Mode: no-cors", "Sec-Purpose: prefetch", html}, false},
		{"fetch that accepts HTML", "GET", []string{"Sec-Fetch-Mode: cors", html}, false},
		{"image", "GET", []string{"Sec-Fetch-Mode: no-cors", "Sec-Fetch-Dest: image", "Accept: image/*"}, false},
		{"socket", "GET", []string{"Sec-Fetch-Mode: websocket", html, "Connection: Upgrade", "Upgrade: websocket"}, false},
		{"upgrade by navigation", "GET", []string{"Sec-Fetch-Mode: navigate", html, "Connection: Upgrade", "Upgrade: tcp"}, false},
		{"old browser", "GET", []string{html}, true},
		{"old browser, capitals", "GET", []string{"Accept: TEXT/HTML"}, true},
		{"old browser, a form", "POST", []string{html}, true},
		{"old browser, second line", "GET", []string{"Accept: image/png", html}, true},
		{"old browser, XHR", "GET", []string{html, "X-Requested-With: XMLHttpRequest"}, false},
		{"old browser, upgrade", "GET", []string{html, "Connection: Upgrade", "Upgrade: websocket"}, false},
		{"anything accepted", "GET", []string{"Accept: */*"}, false},
		{"JSON accepted", "GET", []string{"Accept: application/json"}, false},
	} {
		t.Run(tc.name, func(t *testing.T) {
			a := f.ask(tc.method, "a.example", "/", tc.headers...)
			if got := strings.HasPrefix(a.Header.Get("Content-Type"), "text/html"); got != tc.page || a.StatusCode != 401 {
				t.Errorf("page %v, want %v; status %d", got, tc.page, a.StatusCode)
			}
		})
	}
}

// threat 93: what comes from a request or a token is text in a page, never markup.
func TestPageEscapes(t *testing.T) {
	f := serveOne(t, secretIntegration, `
		admit {
			require groups none
			realm "<script>realm</script>"
			pages {
				title "<script>title</script>&"
			}
		}
		respond ok`)
	const evil = `"><script>alert(1)</script>'<img src=x onerror=alert(1)>{{.}}`
	a := f.ask("GET", `a.example`, "/<script>alert(2)</script>?<script>alert(3)</script>",
		append(navigation, bearer(t, object{"sub": evil, "groups": evil}), "Referer: http://x/<script>alert(4)</script>")...)
	if a.StatusCode != 403 {
		t.Fatalf("status %d", a.StatusCode)
	}
	checkPage(t, a)
	if strings.Contains(a.body, "alert(2)") || strings.Contains(a.body, "alert(3)") || strings.Contains(a.body, "alert(4)") || strings.Contains(a.body, "<img") {
		t.Errorf("page:\n%s", a.body)
	}
	if !strings.Contains(a.body, "<strong>&#34;&gt;&lt;script&gt;alert(1)&lt;/script&gt;&#39;&lt;img src=x onerror=alert(1)&gt;{{.}}</strong>") {
		t.Errorf("page without the escaped user:\n%s", a.body)
	}
	if !strings.Contains(a.body, `<p class="site">&lt;script&gt;title&lt;/script&gt;&amp;</p>`) {
		t.Errorf("page without the escaped title:\n%s", a.body)
	}
}

// DESIGN 2: a 403 page says who you are and which request it was.
func TestPageSays(t *testing.T) {
	f := serveOne(t, secretIntegration, "admit {\nrequire groups staff\n}\nrespond ok")
	a := f.get("/x", append(navigation, bearer(t, nil))...)
	entry := f.entries("decision")[0]
	id, _ := entry["request_id"].(string)
	if !strings.Contains(a.body, "<strong>ada</strong>") || id == "" || !strings.Contains(a.body, "<code>"+id+"</code>") {
		t.Errorf("request %q, page:\n%s", id, a.body)
	}
	// Who is not let in for another reason is nobody.
	for _, header := range []string{"X: y", bearer(t, object{"exp": 1})} {
		if a := f.get("/x", append(navigation, header)...); strings.Contains(a.body, "signed in") || strings.Contains(a.body, ">ada<") {
			t.Errorf("page:\n%s", a.body)
		}
	}
}

// The pages option: a title, a logo and a style become part of the page.
func TestPagesOption(t *testing.T) {
	dir := t.TempDir()
	file := func(name, data string) string {
		name = filepath.Join(dir, name)
		if err := os.WriteFile(name, []byte(data), 0o600); err != nil {
			t.Fatal(err)
		}
		return name
	}
	logo, style := file("logo.svg", `<svg xmlns="http://www.w3.org/2000/svg"><script>alert(1)</script></svg>`), file("s.css", "h1 { color: teal; }")
	t.Setenv("ADMIT_TEST_TITLE", "By environment")
	pages := func(lines string) string { return "admit {\npages {\n" + lines + "\n}\n}\nrespond ok" }
	f := serveOne(t, secretIntegration, pages("title {env.ADMIT_TEST_TITLE}\nlogo "+logo+"\nstylesheet "+style))
	a := f.get("/", navigation...)
	checkPage(t, a)
	for _, part := range []string{"<p class=\"site\">By environment</p>", " - By environment</title>", "h1 { color: teal; }</style>", `src="data:image/svg&#43;xml;base64,`} {
		if !strings.Contains(a.body, part) && !strings.Contains(a.body, strings.ReplaceAll(part, "&#43;", "+")) {
			t.Errorf("page without %s:\n%s", part, a.body)
		}
	}
	if !strings.Contains(a.Header.Get("Content-Security-Policy"), "img-src data:;") {
		t.Errorf("policy %q", a.Header.Get("Content-Security-Policy"))
	}
	for name, tc := range map[string][2]string{
		"no such logo":            {"logo " + dir + "/none.png", "pages logo"},
		"no such stylesheet":      {"stylesheet " + dir + "/none.css", "pages stylesheet"},
		"a folder":                {"logo " + dir, "not a file"},
		"not an image":            {"logo " + file("logo.html", "<html><body>hi</body></html>"), "logo: must be PNG, JPEG, GIF, WebP or SVG"},
		"text":                    {"logo " + file("logo.txt", "hello"), "logo: must be PNG"},
		"large logo":              {"logo " + file("large.svg", "<svg>"+strings.Repeat(" ", 64<<10)+"</svg>"), "logo: larger than 64 KiB"},
		"large stylesheet":        {"stylesheet " + file("large.css", strings.Repeat("a{}", 30000)), "stylesheet: must be CSS of at most 64 KiB"},
		"stylesheet that ends":    {"stylesheet " + file("evil.css", "</STYLE><script>alert(1)</script>"), "stylesheet: must be CSS"},
		"variable that is not":    {"title {env.ADMIT_TEST_NOTHING}", "pages title: {env.ADMIT_TEST_NOTHING} is empty"},
		"file by a missing place": {"logo {env.ADMIT_TEST_NOTHING}", "pages logo: {env.ADMIT_TEST_NOTHING} is empty"},
	} {
		if err := loadError(t, secretIntegration, pages(tc[0])); !strings.Contains(err, tc[1]) {
			t.Errorf("%s: %s, want %q", name, err, tc[1])
		}
	}
}
