package admit

import (
	"slices"
	"strings"

	"go.uber.org/zap"
)

// registration is what to register at the provider of one integration for one
// site: where browsers come back to from a login and from a logout, and what the
// provider itself calls, "" where sessions are not all in the storage.
type registration struct {
	Integration string   `json:"integration"`
	Redirect    []string `json:"redirect"`
	Logout      []string `json:"logout"`
	Backchannel string   `json:"backchannel,omitempty"`
}

// registrations lists what to register for the site. It reads configuration only:
// it is the same whether that runs or not.
func (s *webSite) registrations(integrations map[string]*Integration) (list []registration, err error) {
	e := newExpander()
	for _, gate := range s.gates() {
		endpoints := s.endpointsOf(e, gate)
		for name, c := range gate.trusted(integrations) {
			if c == nil || c.Login == nil {
				continue
			}
			i := slices.IndexFunc(list, func(r registration) bool { return r.Integration == name })
			if i < 0 {
				i = len(list)
				list = append(list, registration{Integration: name})
			}
			for _, prefix := range endpoints {
				list[i].add(prefix, c, e.text("login callback", c.Login.Callback), gate.logsIn(name))
			}
		}
	}
	// A gate that logs nobody in has nothing to register by itself.
	list = slices.DeleteFunc(list, func(r registration) bool { return len(r.Redirect) == 0 })
	slices.SortFunc(list, func(a, b registration) int { return strings.Compare(a.Integration, b.Integration) })
	return list, e.err("urls")
}

// logsIn reports whether the gate sends browsers to log in with an integration.
func (h *Handler) logsIn(name string) bool {
	return h.Login != nil && (len(h.Login.Integrations) == 0 || slices.Contains(h.Login.Integrations, name))
}

// add adds the URLs of a gate whose own endpoints lie below a URL.
func (r *registration) add(prefix string, c *Integration, callback string, logsIn bool) {
	redirect := prefix + "/callback"
	switch {
	case strings.HasPrefix(callback, "/"):
		redirect = originOf(prefix) + callback
	case callback != "": // at the one host where all log in, and come back to from a logout
		redirect = callback
		central, ok := strings.CutSuffix(callback, "/callback")
		if !ok {
			central = originOf(callback) + strings.TrimPrefix(prefix, originOf(prefix))
		}
		prefix = central
	}
	if logsIn {
		r.Redirect = appendNew(r.Redirect, redirect)
	}
	r.Logout = appendNew(r.Logout, prefix+"/logged-out")
	// A provider calls one, which ends the sessions of all.
	if c.Session != nil && c.Session.Store == "storage" && r.Backchannel == "" {
		r.Backchannel = prefix + "/backchannel-logout"
	}
}

// originOf returns scheme and host of a URL.
func originOf(url string) string {
	scheme, rest, _ := strings.Cut(url, "://")
	host, _, _ := strings.Cut(rest, "/")
	return scheme + "://" + host
}

func appendNew(list []string, text string) []string {
	if slices.Contains(list, text) {
		return list
	}
	return append(list, text)
}

// endpointsOf returns where the gate's own endpoints are, as URLs.
func (s *webSite) endpointsOf(e *expander, gate placedGate) (urls []string) {
	origins := s.origins(gate.hosts)
	if public := e.text("public_url", gate.PublicURL); public != "" {
		origins = []string{strings.TrimSuffix(public, "/")}
	}
	for _, origin := range origins {
		urls = append(urls, origin+or(e.text("endpoints", gate.Endpoints), "/oauth2"))
	}
	return urls
}

// trusted returns the integrations of the gate by name.
func (h *Handler) trusted(all map[string]*Integration) map[string]*Integration {
	if h.Integration != nil {
		return map[string]*Integration{h.Integration.ID: h.Integration}
	}
	if len(h.Integrations) == 0 {
		return all // the only one there is
	}
	some := make(map[string]*Integration, len(h.Integrations))
	for _, name := range h.Integrations {
		some[name] = all[name]
	}
	return some
}

// logURLs says at start what to register at providers, in one line a site.
func (a *App) logURLs(sites []webSite) {
	for _, site := range sites {
		list, err := site.registrations(a.Integrations)
		if err != nil || len(list) == 0 {
			continue // mistakes are found before
		}
		a.log.Info("URLs to register at the provider", zap.String("site", site.String()), zap.Any("register", list))
	}
}

// lines writes a registration for people.
func (r *registration) lines() (lines []string) {
	write := func(what string, urls ...string) {
		for _, url := range urls {
			lines = append(lines, r.Integration+": "+what+": "+url)
		}
	}
	write("redirect", r.Redirect...)
	write("logout", r.Logout...)
	if r.Backchannel != "" {
		write("back-channel logout", r.Backchannel)
	}
	return lines
}
