package admit

import (
	"net/http"
	"strings"
)

// wantsPage reports whether the answer is for somebody's eyes: a navigation, be
// it a link, a typed address or a form. Everything else is a program, also a
// script in a page, and gets JSON.
func wantsPage(r *http.Request) bool {
	if first(r.Header["Upgrade"]) != "" {
		return false
	}
	if mode := first(r.Header["Sec-Fetch-Mode"]); mode != "" {
		return mode == "navigate"
	}
	if first(r.Header["X-Requested-With"]) != "" {
		return false
	}
	for _, line := range r.Header["Accept"] {
		if strings.Contains(strings.ToLower(line), "text/html") {
			return true
		}
	}
	return false
}

// publicScheme returns the scheme that browsers use: https if this connection is
// TLS, or if a proxy that Caddy trusts says so.
func publicScheme(r *http.Request, trusted bool) string {
	if r.TLS != nil || trusted && strings.EqualFold(r.Header.Get("X-Forwarded-Proto"), "https") {
		return "https"
	}
	return "http"
}

// fromScript reports whether a script in a page sends the request: a challenge
// for a password would make the browser ask for one out of nowhere.
func fromScript(r *http.Request) bool {
	mode := r.Header.Get("Sec-Fetch-Mode")
	return mode != "" && mode != "navigate" || r.Header.Get("X-Requested-With") != ""
}

// mayRedirect reports whether somebody looks at a page of the site itself and can
// be sent elsewhere and back: not a frame, a prefetch, a script or a form.
func mayRedirect(r *http.Request) bool {
	if r.Method != http.MethodGet || !wantsPage(r) {
		return false
	}
	dest := r.Header.Get("Sec-Fetch-Dest")
	return (dest == "" || dest == "document") && !isPrefetch(r)
}

// isPrefetch reports whether a browser looks ahead, without being asked to.
func isPrefetch(r *http.Request) bool {
	purpose := r.Header.Get("Sec-Purpose") + r.Header.Get("Purpose") + r.Header.Get("X-Moz")
	return strings.Contains(strings.ToLower(purpose), "prefetch")
}
