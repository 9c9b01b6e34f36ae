package admit

import (
	"encoding/json"
	"slices"
	"strings"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/modules/caddyhttp"
	"github.com/caddyserver/caddy/v2/modules/caddyhttp/fileserver"
	"github.com/caddyserver/caddy/v2/modules/caddyhttp/reverseproxy"
	"go.uber.org/zap"
)

// warnRules says at load which rules may not mean what they say.
func (g *guard) warnRules(h *Handler) {
	rules := h.rules()
	tells := func(r Rule) bool { return r.Claim == "integration" }
	if len(h.Integrations) > 1 && !slices.ContainsFunc(rules, tells) {
		for _, r := range rules {
			if slices.Contains([]string{"user", "sub", "email", "groups"}, r.Claim) {
				g.log.Warn("several integrations may call different people the same: a rule on integration tells them apart",
					zap.String("rule_on", r.Claim), zap.Strings("integrations", h.Integrations))
				break
			}
		}
	}
	for _, r := range rules {
		for _, pattern := range r.Patterns {
			if r.Claim == "email" && matchesNoAddress(pattern) {
				g.log.Warn("a rule on email has a pattern that no address matches: *@example.com stands for all of a domain", zap.String("pattern", pattern))
			}
		}
	}
	for _, raw := range h.matchers() {
		for _, path := range openRoots(raw) {
			g.log.Warn("a named matcher covers what is below a path but not the path itself: add it, if it is to be covered",
				zap.String("matches", path), zap.String("open", strings.TrimSuffix(path, "/*")))
		}
	}
}

// matchesNoAddress reports whether a pattern lacks what every address has: an "@" with
// something before it. A placeholder may hold anything.
func matchesNoAddress(pattern string) bool {
	return !strings.Contains(pattern, "*") && strings.Index(pattern, "@") <= 0 && !placeholder.MatchString(pattern)
}

// rules lists all rules of the gate, those on trial and those in an any too.
func (h *Handler) rules() []Rule { return slices.Concat(h.demands(), h.denials()) }

// demands lists the rules of which some must hold.
func (h *Handler) demands() []Rule {
	all := slices.Clone(h.Require)
	if h.ReportOnly != nil {
		all = append(all, h.ReportOnly.Require...)
	}
	for _, a := range h.Any {
		all = append(all, a.Require...)
	}
	return all
}

// denials lists the rules of which none may hold.
func (h *Handler) denials() []Rule {
	if h.ReportOnly == nil {
		return h.Deny
	}
	return slices.Concat(h.Deny, h.ReportOnly.Deny)
}

// matchers lists the matchers of the gate and its rules.
func (h *Handler) matchers() [][]caddy.ModuleMap {
	all := [][]caddy.ModuleMap{h.MatcherSetsRaw}
	for _, r := range slices.Concat(h.Require, h.Deny, h.ReportOnly.rules()) {
		all = append(all, r.MatcherSetsRaw)
	}
	for _, a := range h.Any {
		all = append(all, a.MatcherSetsRaw)
	}
	return all
}

// openRoots returns the paths of a matcher that cover a subtree without its root.
func openRoots(raw []caddy.ModuleMap) (open []string) {
	for _, set := range raw {
		var paths []string
		if json.Unmarshal(set["path"], &paths) != nil {
			continue
		}
		for _, path := range paths {
			root, subtree := strings.CutSuffix(path, "/*")
			if subtree && root != "" && !slices.Contains(paths, root) && !slices.Contains(paths, root+"*") {
				open = append(open, path)
			}
		}
	}
	return open
}

// warnOpen says at start which sites have a gate whose matcher looks at more than
// the path, and none without a matcher: a client may choose not to match.
func warnOpen(app *caddyhttp.App, log *zap.Logger) {
	for _, server := range app.Servers {
		if len(hiddenGates(server, server.Routes)) > 0 {
			log.Warn("no request gets to a gate of this server: something before it in a route answers all of them",
				zap.Strings("listen", server.Listen))
		}
	}
	for _, site := range webSites(app) {
		gates := gatesOf(site.server, site.routes)
		bare := slices.ContainsFunc(gates, func(g *guard) bool { return g.match == nil })
		narrow := slices.ContainsFunc(gates, func(g *guard) bool { return g.match != nil && !g.match.onlyPath })
		if narrow && !bare {
			log.Warn("a gate of this site tells requests apart by more than the path, and no other covers the rest: what its matcher leaves out is open to anybody",
				zap.String("site", strings.Join(site.hosts, " ")), zap.Strings("listen", site.server.Listen))
		}
	}
}

// warnCookies says at start which integrations have one name for the cookies of their
// sessions on one host: each takes the other's for forged, and deletes it (threat 98).
func warnCookies(app *caddyhttp.App, log *zap.Logger) {
	for _, site := range webSites(app) {
		gates := site.gates()
		for i, gate := range gates {
			for _, other := range gates[:i+1] {
				one, another := sameCookie(gate, other)
				if one == nil || !meet(gate.hosts, other.hosts) {
					continue
				}
				log.Warn("two integrations have the same session cookie: whoever logs in with one is logged out of the other; write \"session { cookie … }\" in one of them",
					zap.String("site", site.String()), zap.String("cookie", one.sessions.CookieName()), zap.Strings("integrations", []string{another.name, one.name}))
			}
		}
	}
}

// sameCookie returns an integration of each of two gates whose sessions have one name,
// nil for none.
func sameCookie(a, b placedGate) (one, another *integration) {
	for _, one := range a.guard.integrations {
		for _, another := range b.guard.integrations {
			if one.sessions != nil && another.sessions != nil && one.name != another.name && one.sessions.CookieName() == another.sessions.CookieName() {
				return one, another
			}
		}
	}
	return nil, nil
}

// meet reports whether two lists may have a host in common. None are all.
func meet(a, b []string) bool {
	all := func(host string) bool { return strings.ContainsAny(host, "*{") }
	return len(a) == 0 || len(b) == 0 || slices.ContainsFunc(a, func(host string) bool { return all(host) || slices.Contains(b, host) }) || slices.ContainsFunc(b, all)
}

// gatesOf lists the gates in routes, however deep.
func gatesOf(server *caddyhttp.Server, routes caddyhttp.RouteList) (gates []*guard) {
	for _, gate := range placedGates(server, routes, nil, nil) {
		gates = append(gates, gate.guard)
	}
	return gates
}

// hiddenGates lists gates that no request gets to, because a handler before them
// in the same routes answers every request.
func hiddenGates(server *caddyhttp.Server, routes caddyhttp.RouteList) (hidden []*guard) {
	for i, route := range routes {
		for k, handler := range route.Handlers {
			if sub, ok := handler.(*caddyhttp.Subroute); ok {
				hidden = append(hidden, hiddenGates(server, sub.Routes)...)
			}
			if !answersAll(handler) {
				continue
			}
			rest := caddyhttp.RouteList{{Handlers: route.Handlers[k+1:]}}
			if len(route.MatcherSets) == 0 && route.Group == "" {
				rest = append(rest, routes[i+1:]...)
				return append(hidden, gatesOf(server, rest)...)
			}
			hidden = append(hidden, gatesOf(server, rest)...)
			break
		}
	}
	return hidden
}

// answersAll reports whether a handler answers every request that gets to it.
func answersAll(handler caddyhttp.MiddlewareHandler) bool {
	switch h := handler.(type) {
	case *caddyhttp.StaticResponse, *reverseproxy.Handler:
		return true
	case *fileserver.FileServer:
		return !h.PassThru
	}
	return false
}
