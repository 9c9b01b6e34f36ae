package admit

import (
	"encoding/json"
	"maps"
	"slices"
	"strings"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/modules/caddyhttp"
)

// condition is what a matcher asks of a request: one of some paths, or something
// else, as it is written in JSON.
type condition struct {
	paths []string
	text  string
	stage int // how it was rewritten before; the same words mean something else then
}

// covering is a gate on the way of a request, and what must hold for the request to
// be checked there.
type covering struct {
	conditions []condition
	gate       *Handler // nil for a provider of Caddy's authentication
}

// answering is a handler that answers, what must hold for a request to come there,
// and the gates before it.
type answeringHandler struct {
	conditions []condition
	gates      []covering
}

// openings walks along the routes of a site that was read by [readSites].
type openings struct {
	server  *caddyhttp.Server
	site    caddyhttp.RouteList
	stage   int // see condition
	stages  int
	answers []answeringHandler
}

// open says what of the site no gate checks, one line for each part. What is not
// part of the configuration it cannot know: that an application answers to some of
// it only, for instance.
func (s *webSite) open() (lines []string) {
	o := openings{server: s.server, site: s.routes}
	gates := o.walk(s.routes, nil, nil, nil)
	for _, a := range o.answers {
		if line, open := a.open(); open {
			lines = appendNew(lines, line)
		}
	}
	for _, g := range gates {
		if g.gate == nil {
			continue
		}
		for _, b := range g.gate.Bypass {
			lines = appendNew(lines, "open: "+strings.Join(slices.Concat(b.Methods, b.Paths), " ")+" (bypass)")
		}
		if g.gate.Optional {
			lines = appendNew(lines, "open: without a credential, what no require or any covers (optional)")
		}
	}
	if len(gates) == 0 && len(o.answers) > 0 {
		return []string{"open: everything (no gate)"}
	}
	return lines
}

// walk follows all requests through routes at once. It returns the gates that it
// has come by, those before included.
func (o *openings) walk(routes caddyhttp.RouteList, on []condition, before []covering, called []string) []covering {
	all := before
	groups := map[string]*group{}
	for _, route := range routes {
		g := groups[route.Group]
		others := g != nil && route.Group != ""
		if !others {
			g = &group{stage: o.stage}
			groups[route.Group] = g
		}
		o.stage = g.stage
		here := slices.Concat(on, o.conditions(route.MatcherSetsRaw, &routes[0] == &o.site[0]))
		if others && len(route.MatcherSetsRaw) == 0 {
			here = append(here, condition{text: "everything else", stage: o.stage})
		}
		gates := slices.DeleteFunc(slices.Clone(all), func(c covering) bool { return slices.ContainsFunc(g.gates, c.same) })
		known := len(gates)
		for _, handler := range route.Handlers {
			gates = o.handle(handler, here, gates, called)
		}
		all = slices.Concat(all, gates[known:])
		g.gates = append(g.gates, gates[known:]...)
	}
	return all
}

// group is what is known of routes of which a request takes one: their gates, which
// whoever takes another route has not come by, and how it was rewritten before.
type group struct {
	gates []covering
	stage int
}

func (o *openings) handle(handler caddyhttp.MiddlewareHandler, here []condition, gates []covering, called []string) []covering {
	switch h := handler.(type) {
	case *Handler:
		return append(gates, covering{slices.Concat(here, o.conditions(h.MatcherSetsRaw, false)), h})
	case *caddyhttp.Subroute:
		return o.walk(h.Routes, here, gates, called)
	case *caddyhttp.Invoke:
		if named := o.server.NamedRoutes[h.Name]; named != nil && !slices.Contains(called, h.Name) {
			return o.walk(caddyhttp.RouteList{*named}, here, gates, append(called[:len(called):len(called)], h.Name))
		}
	case *otherHandler:
		switch {
		case h.gate:
			return append(gates, covering{here, nil})
		case h.name == "rewrite":
			o.stages++
			o.stage = o.stages
		case h.shows:
			o.answers = append(o.answers, answeringHandler{here, slices.Clone(gates)})
		}
	}
	return gates
}

func (c covering) same(other covering) bool {
	return c.gate == other.gate && slices.EqualFunc(c.conditions, other.conditions, condition.same)
}

func (c condition) same(other condition) bool { return c.text == other.text && c.stage == other.stage }

// open says which requests for the handler no gate checks, if there are any.
func (a *answeringHandler) open() (line string, open bool) {
	where := "everything"
	if len(a.conditions) > 0 {
		where = textOf(a.conditions)
	}
	var parts []string
	for _, g := range a.gates {
		rest := slices.DeleteFunc(slices.Clone(g.conditions), a.implies)
		if len(rest) == 0 {
			return "", false
		}
		parts = appendNew(parts, textOf(rest))
	}
	if len(parts) == 0 {
		return "open: " + where + " (no gate)", true
	}
	return "open: " + where + " except " + strings.Join(parts, ", ") + " (what no gate's matcher covers)", true
}

// implies reports whether all requests for the handler meet a condition.
func (a *answeringHandler) implies(c condition) bool {
	return slices.ContainsFunc(a.conditions, func(own condition) bool {
		if own.same(c) {
			return true
		}
		return own.stage == c.stage && len(own.paths) > 0 && len(c.paths) > 0 &&
			!slices.ContainsFunc(own.paths, func(path string) bool { return !pathIn(c.paths, path) })
	})
}

// pathIn reports whether patterns of paths cover another one, as far as one sees
// from how they are written.
func pathIn(patterns []string, path string) bool {
	return slices.ContainsFunc(patterns, func(pattern string) bool {
		tree, subtree := strings.CutSuffix(pattern, "/*")
		return pattern == path || pattern == "*" || subtree && !strings.Contains(tree, "*") && strings.HasPrefix(path, tree+"/")
	})
}

func textOf(conditions []condition) string {
	var texts []string
	for _, c := range conditions {
		texts = append(texts, c.text)
	}
	return strings.Join(texts, " and ")
}

// conditions returns what matcher sets ask, one of which must match; none if all
// requests do. At the top of a site hosts are left out: that the site is meant is
// known.
func (o *openings) conditions(sets []caddy.ModuleMap, top bool) []condition {
	c := condition{stage: o.stage}
	var others []caddy.ModuleMap
	for _, set := range sets {
		if set = maps.Clone(set); top {
			delete(set, "host")
		}
		if len(set) == 0 {
			return nil
		}
		var paths []string
		if pathAlone(set) && json.Unmarshal(set["path"], &paths) == nil {
			c.paths = append(c.paths, paths...)
			continue
		}
		others = append(others, set)
	}
	texts := slices.Clone(c.paths)
	for _, set := range others {
		text, err := json.Marshal(set)
		if err != nil {
			continue // was read from JSON
		}
		texts = append(texts, string(text))
	}
	if len(texts) == 0 {
		return nil
	}
	c.text = strings.Join(texts, " ")
	if len(others) > 0 {
		c.paths = nil
	}
	return []condition{c}
}
