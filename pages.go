package admit

import (
	"net/http"

	"github.com/caddy-admit/admit/claims"
	"github.com/caddy-admit/admit/internal/page"
)

// Pages is the look of the gate's own pages.
type Pages struct {
	// Title is the name of the site.
	Title string `json:"title,omitempty"`
	// Logo is an image file: PNG, JPEG, GIF, WebP or SVG, at most 64 KiB.
	Logo string `json:"logo,omitempty"`
	// Stylesheet is a CSS file that follows the standard style, at most 64 KiB.
	Stylesheet string `json:"stylesheet,omitempty"`
}

func readPages(e *expander, p *Pages) *page.Look {
	if p == nil {
		p = new(Pages)
	}
	var logo, style []byte
	if p.Logo != "" {
		logo = e.readFile("pages logo", e.text("pages logo", p.Logo))
	}
	if p.Stylesheet != "" {
		style = e.readFile("pages stylesheet", e.text("pages stylesheet", p.Stylesheet))
	}
	look, err := page.NewLook(e.text("pages title", p.Title), logo, string(style))
	e.check("pages", err)
	return look
}

// pageFor says in plain words what a refusal means for whoever sees it.
func pageFor(d *claims.Decision, status int) page.Page {
	switch d.Reason {
	case claims.StateInvalid:
		return page.Page{Heading: "Sign in once more", Text: "Signing in took too long, or was started in another browser. Nothing is wrong with your account."}
	case claims.LoginRefused:
		return page.Page{Heading: "Signing in did not work", Text: "The service that knows you gave no answer that can be accepted here. If it happens again, tell whoever runs this site."}
	}
	switch status {
	case http.StatusBadRequest:
		return page.Page{Heading: "This request cannot be read", Text: "What it brought along to sign in is incomplete or doubled. Try again from the start page."}
	case http.StatusForbidden:
		if d.Reason == claims.CrossOrigin {
			return page.Page{Heading: "Sent from another site", Text: "This request was sent by a page of another site, and such pages may not change anything here."}
		}
		return page.Page{Heading: "No access", Text: "You are known here, but you may not open this page. Ask whoever runs this site if you should."}
	case http.StatusTooManyRequests:
		return page.Page{Heading: "Too many attempts", Text: "Signing in has failed too often. Wait a moment and try again."}
	case http.StatusServiceUnavailable:
		return page.Page{Heading: "Not available right now", Text: "The service that says who you are does not answer. Try again in a moment."}
	}
	if d.Credential == "session" {
		return page.Page{Heading: "Signed out meanwhile", Text: "Your session here is over. If you have just sent a form, it was not passed on: sign in, and send it again."}
	}
	if d.Reason == claims.MissingCredential {
		return page.Page{Heading: "Sign-in needed", Text: "This page is only for people and programs that are known here."}
	}
	return page.Page{Heading: "Sign-in not accepted", Text: "What was sent to sign in is not valid here, or not any more."}
}

// signedIn is a page that leads on by itself.
func signedIn(target string) page.Page {
	return page.Page{Heading: "Signed in", Links: []page.Link{{Path: target, Text: "Go on"}}}
}
