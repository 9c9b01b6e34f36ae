package e2e

import (
	"bytes"
	"image"
	"image/color"
	"image/png"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/chromedp/cdproto/emulation"
	"github.com/chromedp/chromedp"
)

// pagesSite has refusals of each kind, with the standard look and with another.
const pagesSite = `
{
	{{.Globals}}
	admit local {
		secret text {env.BROWSER_SECRET}
		issuer local
		audience api
		from query t
	}
	admit away {
		issuer {{.Away}}
		audience api
		from query t
	}
}
http://plain.localhost:{{.Port}} {
	admit local away {
		require /admin* groups admins
	}
	reverse_proxy {{.Upstream}}
}
http://look.localhost:{{.Port}} {
	admit local {
		pages {
			title "Ünïcode & <b>Sons</b>"
			logo {{.Dir}}/logo.png
			stylesheet {{.Dir}}/look.css
		}
	}
	reverse_proxy {{.Upstream}}
}
`

// shown is what somebody sees, and what a script would have done.
type shown struct {
	Title, Lang, Heading, Text, Ink, Paper string
	Scripts, Images, Headings              int
	Wide                                   bool // wider than the window
	Pwned                                  bool
}

const look = `(() => {
	const style = getComputedStyle(document.querySelector('h1'))
	return {
		Title: document.title, Lang: document.documentElement.lang, Heading: document.querySelector('h1').textContent,
		Text: document.body.innerText, Ink: style.color, Paper: getComputedStyle(document.body).backgroundColor,
		Scripts: document.scripts.length, Images: document.images.length, Headings: document.querySelectorAll('h1').length,
		Wide: document.documentElement.scrollWidth > window.innerWidth, Pwned: 'pwned' in window,
	}
})()`

func startPages(t *testing.T) *caddy {
	t.Helper()
	dir := t.TempDir()
	logo := image.NewRGBA(image.Rect(0, 0, 8, 8))
	logo.Set(1, 1, color.RGBA{200, 0, 0, 255})
	var file bytes.Buffer
	if err := png.Encode(&file, logo); err != nil {
		t.Fatal(err)
	}
	for name, data := range map[string][]byte{"logo.png": file.Bytes(), "look.css": []byte("h1 { color: rgb(1, 2, 3) }")} {
		if err := os.WriteFile(filepath.Join(dir, name), data, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	c := startCaddy(t, newUpstream(t), pagesSite, values{
		"env.BROWSER_SECRET": browserSecret, "Away": "http://127.0.0.1:" + freePort(t), "Dir": dir,
	})
	c.sent.add(browserSecret)
	return c
}

// TestBrowserPages goes to what is refused: a page that says why, and that runs
// nothing, whatever the address and the user's name are.
func TestBrowserPages(t *testing.T) {
	t.Parallel()
	b := startBrowser(t)
	c := startPages(t)
	const markup = `<img src=x onerror=pwned=1><script>pwned=1</script>"'--><svg onload=pwned=1>`
	token := func(claims string) string { return "?t=" + c.browserToken(claims) }
	away := hs256Token(`{"iss":"`+c.values["Away"]+`","aud":"api","sub":"ada","exp":99999999999}`, []byte(browserSecret))
	away = strings.Replace(away, encoded(`{"alg":"HS256","typ":"JWT"}`, ""), encoded(`{"alg":"RS256","typ":"JWT"}`, ""), 1)
	c.sent.add(away)

	for _, tc := range []struct {
		name, at      string
		status        int
		heading, text string // text: a part
	}{
		{"no credential", "plain /", 401, "Sign-in needed", "missing_credential"},
		{"refused token", "plain /" + token(`"sub":"ada","exp":1`), 401, "Sign-in not accepted", "expired"},
		{"malformed", "plain /?t=a%20b", 400, "This request cannot be read", "malformed_credential"},
		{"two", "plain /?t=a.b.c&t=a.b.c", 400, "This request cannot be read", "_credential"},
		{"rule", "plain /admin" + token(`"sub":"ada","exp":99999999999`), 403, "No access", "signed in as ada"},
		{"keys out of reach", "plain /?t=" + away, 503, "Not available right now", "keys_unavailable"},
		{"markup in the path", "plain /" + markup, 401, "Sign-in needed", "missing_credential"},
		{"markup in the query", "plain /?" + markup, 401, "Sign-in needed", "missing_credential"},
		{"markup in the name", "plain /admin" + token(`"sub":"<img src=x onerror=pwned=1><script>pwned=1</script>","exp":99999999999`), 403, "No access", "signed in as <img src=x onerror=pwned=1><script>pwned=1</script>."},
		{"a long name", "plain /admin" + token(`"sub":"`+strings.Repeat("ada", 80)+`","exp":99999999999`), 403, "No access", strings.Repeat("ada", 80)},
		{"look", "look /", 401, "Sign-in needed", "Ünïcode & <b>Sons</b>"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			page := b.open(t)
			page.do(t, chromedp.EmulateViewport(320, 480))
			said := page.complaints(t)
			host, path, _ := strings.Cut(tc.at, " ")
			status := page.visit(t, "http://"+host+".localhost:"+c.values["Port"]+path)
			got := script[shown](t, page, look)
			if status != tc.status || got.Heading != tc.heading || !strings.Contains(got.Text, tc.text) {
				t.Errorf("got %d %q: %s", status, got.Heading, got.Text)
			}
			images, ink := 0, "rgb(28, 32, 36)"
			if host == "look" {
				images, ink = 1, "rgb(1, 2, 3)"
			}
			if got.Scripts != 0 || got.Pwned || got.Images != images || got.Headings != 1 || got.Lang != "en" || !strings.HasPrefix(got.Title, tc.heading) {
				t.Errorf("got %+v", got)
			}
			if got.Ink != ink || got.Wide {
				t.Errorf("the style is not applied: %+v", got)
			}
			if text := said.String(); text != "" {
				t.Errorf("the browser says %q", text)
			}
			// The policy stops even a script that somehow got into the page.
			script[any](t, page, `document.body.append(Object.assign(document.createElement('script'), {textContent: 'pwned=1'}))`)
			eventually(t, 5*time.Second, "the browser says what the policy stopped", func() bool {
				return strings.Contains(said.String(), "Content Security Policy")
			})
			if script[shown](t, page, look).Pwned {
				t.Error("the script ran")
			}
		})
	}
}

// TestBrowserScreenshots shows a page by day and by night. The pictures stay with
// go test -artifacts.
func TestBrowserScreenshots(t *testing.T) {
	t.Parallel()
	b := startBrowser(t)
	c := startPages(t)
	site := "http://plain.localhost:" + c.values["Port"]
	forbidden := site + "/admin?t=" + c.browserToken(`"sub":"ada@example.com","exp":99999999999`)
	for name, url := range map[string]string{"401": site + "/", "403": forbidden, "look": "http://look.localhost:" + c.values["Port"]} {
		for _, scheme := range []string{"light", "dark"} {
			t.Run(name+" "+scheme, func(t *testing.T) {
				page := b.open(t)
				page.do(t, chromedp.EmulateViewport(800, 500))
				if _, err := chromedp.Call(page.ctx, emulation.SetEmulatedMedia, emulation.SetEmulatedMediaParams{
					Features: []*emulation.MediaFeature{{Name: "prefers-color-scheme", Value: scheme}},
				}); err != nil {
					t.Fatal(err)
				}
				page.visit(t, url)
				data := run1(t, page, chromedp.CaptureScreenshot())
				if err := os.WriteFile(filepath.Join(t.ArtifactDir(), name+"-"+scheme+".png"), data, 0o600); err != nil {
					t.Fatal(err)
				}
				picture, err := png.Decode(bytes.NewReader(data))
				if err != nil {
					t.Fatal(err)
				}
				// In the corner there is nothing but paper.
				if shade := color.GrayModel.Convert(picture.At(5, 5)).(color.Gray).Y; (shade > 128) != (scheme == "light") {
					t.Errorf("the paper has shade %d of 255", shade)
				}
			})
		}
	}
}
