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
		origins, prefix := s.originsOf(e, gate), or(e.text("endpoints", gate.Endpoints), "/oauth2")
		for name, c := range gate.trusted(integrations) {
			if c == nil || c.Login == nil {
				continue
			}
			i := slices.IndexFunc(list, func(r registration) bool { return r.Integration == name })
			if i < 0 {
				i = len(list)
				list = append(list, registration{Integration: name})
			}
			back := parseCallback(e.text("login callback", c.Login.Callback))
			for _, origin := range origins {
				list[i].add(origin, prefix, c, back, gate.logsIn(name))
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

// add adds the URLs of a gate, of which browsers know the origin and the path before
// its own endpoints.
func (r *registration) add(origin, prefix string, c *Integration, back callback, logsIn bool) {
	origin = or(back.origin, origin)
	if logsIn {
		r.Redirect = appendNew(r.Redirect, origin+or(back.path, prefix+"/callback"))
	}
	prefix = back.prefix(prefix)
	r.Logout = appendNew(r.Logout, origin+prefix+"/logged-out")
	// A provider calls one, which ends the sessions of all.
	if c.Session != nil && c.Session.Store == "storage" && r.Backchannel == "" {
		r.Backchannel = origin + prefix + "/backchannel-logout"
	}
}

func appendNew(list []string, text string) []string {
	if slices.Contains(list, text) {
		return list
	}
	return append(list, text)
}

// originsOf returns scheme and host as browsers know them at a gate.
func (s *webSite) originsOf(e *expander, gate placedGate) []string {
	if public := e.text("public_url", gate.PublicURL); public != "" {
		return []string{strings.TrimSuffix(public, "/")}
	}
	return s.origins(gate.hosts)
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
