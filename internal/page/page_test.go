package page

import (
	"crypto/sha256"
	"encoding/base64"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
)

// write makes a page and returns it.
func write(t *testing.T, l *Look, method string, p Page) *httptest.ResponseRecorder {
	t.Helper()
	w := httptest.NewRecorder()
	if err := l.Write(w, httptest.NewRequest(method, "/", http.NoBody), 403, p); err != nil {
		t.Fatal(err)
	}
	return w
}

// The policy allows the style of the page, as a browser hashes it, and no other.
func TestPolicyAllowsTheStyle(t *testing.T) {
	for name, css := range map[string]string{
		"standard":   "",
		"own":        "h1 { color: teal }",
		"characters": "p::before { content: \"<>&'\\\"é{{.}}<!-- x -->\" } /* <b> */\n",
		"long":       strings.Repeat("a{}\n", 1000),
	} {
		l, err := NewLook("", nil, css)
		if err != nil {
			t.Fatal(name, err)
		}
		w := write(t, l, "GET", Page{Heading: "No"})
		_, rest, _ := strings.Cut(w.Body.String(), "<style>")
		style, _, _ := strings.Cut(rest, "</style>")
		sum := sha256.Sum256([]byte(style))
		want := "style-src 'sha256-" + base64.StdEncoding.EncodeToString(sum[:]) + "';"
		if got := w.Header().Get("Content-Security-Policy"); !strings.Contains(got, want) || !strings.HasSuffix(style, css) {
			t.Errorf("%s: policy %q, want %q in it; style\n%s", name, got, want, style)
		}
	}
}

// threat 93: every text is text.
func TestTextIsEscaped(t *testing.T) {
	const evil = `<script>alert("x")</script>`
	l, err := NewLook(evil, nil, "")
	if err != nil {
		t.Fatal(err)
	}
	body := write(t, l, "GET", Page{Heading: evil, Text: evil, User: evil, Reason: evil, RequestID: evil}).Body.String()
	if strings.Contains(body, "<script") || strings.Count(body, "&lt;script&gt;") != 8 {
		t.Errorf("page:\n%s", body)
	}
	bare := write(t, l, "GET", Page{Heading: "No"}).Body.String()
	if strings.Contains(bare, "signed in") || strings.Contains(bare, "<dl>") || strings.Contains(bare, "<img") {
		t.Errorf("page:\n%s", bare)
	}
}

func TestHeadHasNoBody(t *testing.T) {
	l, err := NewLook("", nil, "")
	if err != nil {
		t.Fatal(err)
	}
	get, head := write(t, l, "GET", Page{Heading: "No"}), write(t, l, "HEAD", Page{Heading: "No"})
	if head.Body.Len() != 0 || head.Code != 403 || head.Header().Get("Content-Length") != get.Header().Get("Content-Length") {
		t.Errorf("%d %v %q", head.Code, head.Header(), head.Body)
	}
}

// A logo is an image by its content, never by its name.
func TestLogo(t *testing.T) {
	for _, tc := range []struct{ name, data, kind string }{
		{"PNG", "\x89PNG\r\n\x1a\n", "image/png"},
		{"JPEG", "\xff\xd8\xff\xe0", "image/jpeg"},
		{"GIF", "GIF89a", "image/gif"},
		{"WebP", "RIFF\x00\x00\x00\x00WEBPVP8 ", "image/webp"},
		{"SVG", "<svg/>", "image/svg+xml"},
		{"SVG with a prologue", "<?xml version=\"1.0\"?><svg/>", "image/svg+xml"},
		{"XML", "<?xml version=\"1.0\"?><x/>", ""},
		{"HTML", "<!DOCTYPE html><svg>", ""},
		{"PDF", "%PDF-1.4", ""},
		{"text", "hello", ""},
	} {
		l, err := NewLook("", []byte(tc.data), "")
		if (err == nil) != (tc.kind != "") {
			t.Errorf("%s: %v", tc.name, err)
			continue
		}
		if err != nil {
			continue
		}
		want := "data:" + tc.kind + ";base64," + base64.StdEncoding.EncodeToString([]byte(tc.data))
		if string(l.logo) != want {
			t.Errorf("%s: %s, want %s", tc.name, l.logo, want)
		}
	}
	if _, err := NewLook("", []byte("<svg>"+strings.Repeat(" ", maxLogo)), ""); err == nil {
		t.Error("a large logo is taken")
	}
	for _, css := range []string{"</style>", "</STYLE >", strings.Repeat(" ", maxStyle+1)} {
		if _, err := NewLook("", nil, css); err == nil {
			t.Errorf("%.20q is taken", css)
		}
	}
}
