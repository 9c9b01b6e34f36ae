// Package page makes the gate's own pages: small, without scripts, readable in
// light and dark and by a screen reader, under a policy that lets a browser load
// nothing from anywhere.
package page

import (
	"bytes"
	"crypto/sha256"
	_ "embed" // the template and its style
	"encoding/base64"
	"errors"
	"fmt"
	"html/template"
	"net/http"
	"strconv"
	"strings"
)

//go:embed page.html
var source string

//go:embed page.css
var standardStyle string

var tmpl = template.Must(template.New("page").Parse(source))

const (
	maxLogo  = 64 << 10
	maxStyle = 64 << 10
)

// logoTypes are the images that browsers show and that hold no script when they
// are shown as an image.
var logoTypes = map[string]string{
	"image/png": "image/png", "image/jpeg": "image/jpeg", "image/gif": "image/gif", "image/webp": "image/webp",
	"text/xml; charset=utf-8": "image/svg+xml", "text/plain; charset=utf-8": "image/svg+xml",
}

// Look is what all pages of a gate have in common.
type Look struct {
	title  string
	logo   template.URL
	style  template.CSS
	policy string // Content-Security-Policy
}

// NewLook makes a look: a title, the bytes of an image (PNG, JPEG, GIF, WebP or
// SVG, at most 64 KiB) and a style sheet that follows the standard one (at most
// 64 KiB). All may be empty. Images and styles become part of the page, so that
// it needs no other request.
func NewLook(title string, logo []byte, stylesheet string) (*Look, error) {
	l := &Look{title: title}
	if len(logo) > 0 {
		url, err := dataURL(logo)
		if err != nil {
			return nil, err
		}
		l.logo = url
	}
	if len(stylesheet) > maxStyle || strings.Contains(strings.ToLower(stylesheet), "</style") {
		return nil, errors.New("stylesheet: must be CSS of at most 64 KiB")
	}
	style := standardStyle
	if stylesheet != "" {
		style += "\n" + stylesheet
	}
	l.style = template.CSS(style)
	sum := sha256.Sum256([]byte(style))
	l.policy = fmt.Sprintf("default-src 'none'; style-src 'sha256-%s'; img-src data:; base-uri 'none'; frame-ancestors 'none'",
		base64.StdEncoding.EncodeToString(sum[:]))
	return l, nil
}

func dataURL(logo []byte) (template.URL, error) {
	if len(logo) > maxLogo {
		return "", errors.New("logo: larger than 64 KiB")
	}
	kind, ok := logoTypes[http.DetectContentType(logo)]
	if !ok || kind == "image/svg+xml" && !bytes.Contains(logo, []byte("<svg")) {
		return "", errors.New("logo: must be PNG, JPEG, GIF, WebP or SVG")
	}
	return template.URL("data:" + kind + ";base64," + base64.StdEncoding.EncodeToString(logo)), nil
}

// Page is what one page says. Every text is escaped; none of it is markup.
type Page struct {
	Heading string
	Text    string
	// User is who the visitor is known as, if known.
	User string
	// Reason and RequestID help whoever is asked for help.
	Reason    string
	RequestID string
	// SignIn is a form for user name and password, Confirm one that only asks.
	SignIn  *SignIn
	Confirm *Confirm
	// Links lead on.
	Links []Link
}

// SignIn is a form for user name and password.
type SignIn struct {
	Action, ReturnTo, Integration string
	// User is what was typed before, Problem what was wrong with it.
	User, Problem string
}

// Confirm is a form with nothing but a button.
type Confirm struct{ Action, ReturnTo, Button string }

// Link leads to a path of the same site.
type Link struct{ Path, Text string }

func (p *Page) hasForm() bool { return p.SignIn != nil || p.Confirm != nil }

// Write answers with the page. Header fields that were set before stay.
func (l *Look) Write(w http.ResponseWriter, r *http.Request, status int, p Page) error {
	var body bytes.Buffer
	err := tmpl.Execute(&body, struct {
		Page
		Title string
		Logo  template.URL
		Style template.CSS
	}{p, l.title, l.logo, l.style})
	if err != nil {
		return fmt.Errorf("page: %w", err)
	}
	h := w.Header()
	h.Set("Content-Type", "text/html; charset=utf-8")
	h.Set("Content-Length", strconv.Itoa(body.Len()))
	// A form says where it was sent from; nothing else does.
	policy, referrer := l.policy+"; form-action 'none'", "no-referrer"
	if p.hasForm() {
		policy, referrer = l.policy+"; form-action 'self'", "same-origin"
	}
	h.Set("Content-Security-Policy", policy)
	h.Set("X-Content-Type-Options", "nosniff")
	h.Set("X-Frame-Options", "DENY")
	h.Set("Referrer-Policy", referrer)
	w.WriteHeader(status)
	if r.Method != http.MethodHead {
		_, _ = w.Write(body.Bytes()) // a client that went away is no fault of ours
	}
	return nil
}
