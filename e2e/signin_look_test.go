package e2e

import (
	"bytes"
	"encoding/json"
	"image/color"
	"image/png"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/chromedp/cdproto/accessibility"
	"github.com/chromedp/cdproto/emulation"
	"github.com/chromedp/chromedp"
	"github.com/chromedp/chromedp/kb"
)

// TestSignInKeyboard does everything without a mouse.
func TestSignInKeyboard(t *testing.T) {
	t.Parallel()
	d := startDesk(t)
	page := d.person(t)
	focus := func() string {
		return script[string](t, page, `document.activeElement.id || document.activeElement.textContent`)
	}
	// A browser puts the focus there a moment after the page has loaded.
	begins := func(id string) {
		t.Helper()
		page.arrive(t, `document.activeElement.id == `+quoted(id))
	}
	page.visit(t, d.site+"/admin/")
	begins("username")
	var order []string
	for range 3 {
		order = append(order, focus())
		page.do(t, chromedp.KeyEvent(kb.Tab))
	}
	if got := strings.Join(order, ", "); got != "username, password, Sign in" {
		t.Errorf("Tab goes %s", got)
	}
	page.visit(t, d.site+"/admin/")
	begins("username")
	page.do(t, chromedp.KeyEvent("bob"), chromedp.KeyEvent(kb.Tab), chromedp.KeyEvent("no-such-password-at-all"))
	if status := page.leave(t, chromedp.KeyEvent(kb.Enter)); status != 401 {
		t.Errorf("Enter with a wrong password: %d", status)
	}
	begins("password")
	page.do(t, chromedp.KeyEvent(bobPassword), chromedp.KeyEvent(kb.Tab))
	if ring := script[string](t, page, `getComputedStyle(document.activeElement).outlineStyle`); ring != "solid" {
		t.Errorf("nobody sees where the focus is: outline %s", ring)
	}
	if status := page.leave(t, chromedp.KeyEvent(kb.Enter)); status != 403 {
		t.Errorf("Enter on the button: %d", status)
	}
	page.do(t, chromedp.KeyEvent(kb.Tab))
	if got := focus(); got != "Sign in as someone else" {
		t.Errorf("the focus is on %s", got)
	}
	if status := page.leave(t, chromedp.KeyEvent(kb.Enter)); status != 200 {
		t.Errorf("Enter on the link: %d", status)
	}
	begins("username")
	page.do(t, chromedp.KeyEvent("ada"), chromedp.KeyEvent(kb.Tab), chromedp.KeyEvent(adaPassword))
	if status := page.leave(t, chromedp.KeyEvent(kb.Enter)); status != 200 {
		t.Errorf("signed in: %d", status)
	}
	page.want(t, "/admin/", "Papers of ada")
}

// spoken is what a screen reader says of a page: role and name of each node that
// has a name, without the texts that names are made of.
func (b *tab) spoken(t *testing.T) []string {
	t.Helper()
	tree, err := chromedp.Call(b.ctx, accessibility.GetFullAXTree, accessibility.GetFullAXTreeParams{})
	if err != nil {
		t.Fatal(err)
	}
	text := func(v *accessibility.Value) (s string) {
		if v != nil {
			_ = json.Unmarshal(v.Value, &s)
		}
		return s
	}
	var said []string
	for _, node := range tree.Nodes {
		role, name := text(node.Role), text(node.Name)
		if !node.Ignored && name != "" && role != "InlineTextBox" {
			said = append(said, role+" "+name)
		}
	}
	return said
}

// TestSignInSpoken: fields have labels, what went wrong is an alert, and the title
// says which page it is.
func TestSignInSpoken(t *testing.T) {
	t.Parallel()
	d := startDesk(t)
	page := d.person(t)
	want := func(parts ...string) {
		t.Helper()
		said := page.spoken(t)
		for _, part := range parts {
			if !slices.Contains(said, part) {
				t.Errorf("a screen reader does not say %q: %q", part, said)
			}
		}
	}
	page.visit(t, d.site+"/admin/")
	form := []string{"heading Sign in", "textbox User name", "textbox Password", "button Sign in"}
	want(append(form, "RootWebArea Sign in")...)
	page.signIn(t, "bob", adaPassword)
	want(append(form, "StaticText User name or password is wrong.")...)
	if role := script[string](t, page, `document.querySelector('.problem').getAttribute('role')`); role != "alert" {
		t.Errorf("what went wrong is no alert but %q", role)
	}
	page.signIn(t, "bob", bobPassword)
	want("RootWebArea No access", "heading No access", "link Sign in as someone else")
	page.visit(t, d.site+"/")
	page.signOut(t, chromedp.Click("#out"), "/oauth2/logged-out")
	want("heading Signed out", "link Sign in again")
}

// TestSignInPictures shows every page by day and by night. With ADMIT_SCREENSHOTS
// set they replace those of docs/images.
func TestSignInPictures(t *testing.T) {
	t.Parallel()
	d := startDesk(t)
	app := "http://app.localhost:" + newApp(t)
	for _, scheme := range []string{"light", "dark"} {
		page := d.open(t)
		page.do(t, chromedp.EmulateViewport(640, 440))
		if _, err := chromedp.Call(page.ctx, emulation.SetEmulatedMedia, emulation.SetEmulatedMediaParams{
			Features: []*emulation.MediaFeature{{Name: "prefers-color-scheme", Value: scheme}},
		}); err != nil {
			t.Fatal(err)
		}
		take := func(name string) {
			data := run1(t, page, chromedp.CaptureScreenshot())
			folder := t.ArtifactDir()
			if os.Getenv("ADMIT_SCREENSHOTS") != "" {
				folder = "../docs/images"
			}
			if scheme == "dark" {
				name += "-dark"
			}
			if err := os.WriteFile(filepath.Join(folder, name+".png"), data, 0o644); err != nil {
				t.Fatal(err)
			}
			picture, err := png.Decode(bytes.NewReader(data))
			if err != nil {
				t.Fatal(err)
			}
			if shade := color.GrayModel.Convert(picture.At(5, 5)).(color.Gray).Y; (shade > 128) != (scheme == "light") {
				t.Errorf("%s: the paper has shade %d of 255", name, shade)
			}
			if len(data) > 40<<10 || picture.Bounds().Dx() != 640 {
				t.Errorf("%s: %d bytes, %v", name, len(data), picture.Bounds())
			}
			if script[bool](t, page, `document.documentElement.scrollWidth > innerWidth`) {
				t.Errorf("%s is wider than the window", name)
			}
		}
		page.visit(t, d.site+"/admin/")
		page.do(t, chromedp.SendKeys("#username", "bob"))
		take("sign-in")
		page.signIn(t, "bob", adaPassword)
		take("wrong-password")
		page.signIn(t, "bob", bobPassword)
		take("no-access")
		page.visit(t, d.site+"/")
		page.visit(t, app)
		page.leave(t, chromedp.Evaluate[chromedp.Void](`location = `+quoted(d.site+"/oauth2/logout")))
		take("sign-out")
		page.signOut(t, chromedp.Click("button[type=submit]"), "/oauth2/logged-out")
		take("signed-out")
	}
}
