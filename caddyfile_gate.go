package admit

import (
	"encoding/json"
	"slices"
	"strings"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/caddyconfig/caddyfile"
	"github.com/caddyserver/caddy/v2/caddyconfig/httpcaddyfile"
	"github.com/caddyserver/caddy/v2/modules/caddyhttp"
)

// gate is a handler while its Caddyfile is read.
type gate struct {
	Handler
	helper httpcaddyfile.Helper // resolves matchers
	own    []option             // the options of an integration of its own
}

// gateOptions are the options of a gate. Its block may hold integrationOptions
// beside them, and where a word is in both, the gate's is meant; login with a
// block is both.
var gateOptions = table[gate]{
	"login":       {usage: "[<integration>...] | [{]", read: readGateLogin},
	"optional":    flag(func(g *gate) *bool { return &g.Optional }),
	"bypass":      {usage: "[<METHOD>...] <path>...", repeats: true, read: readBypass},
	"any":         {usage: "[<matcher>] {", repeats: true, read: readAny},
	"report_only": {usage: "[{]", read: readReportOnly},
	"header_up":   {usage: "<Header> <value> [<claim> <pattern>...]", repeats: true, read: readHeaderUp},
	"forward":     {usage: "client|none|token|access_token|id_token [<Header>] | exchange {", read: readForwardLine},
	"assertion": {usage: "<Header> [<audience>]", read: func(o option, g *gate) error {
		g.Assertion = &Assertion{Header: o.args[0]}
		if len(o.args) == 2 {
			g.Assertion.Audience = o.args[1]
		}
		return nil
	}},
	"origins":    list("<origin>... | *", func(g *gate) *[]string { return &g.Origins }),
	"public_url": text("<url>", func(g *gate) *string { return &g.PublicURL }),
	"realm":      text("<text>", func(g *gate) *string { return &g.Realm }),
	"errors":     word("direct|handle_errors", func(g *gate) *string { return &g.Errors }),
	"endpoints":  text("<prefix>", func(g *gate) *string { return &g.Endpoints }),
	"pages": {usage: "{", read: func(o option, g *gate) error {
		g.Pages = new(Pages)
		return pagesOptions.read(o.lines(), g.Pages)
	}},
	"require": ruleOptions["require"],
	"deny":    ruleOptions["deny"],
}

// ruleOptions are rules that a matcher may narrow.
var ruleOptions = table[gate]{
	"require": {usage: "[<matcher>] <claim> <pattern>...", repeats: true, read: func(o option, g *gate) error {
		return g.appendRule(o, &g.Require)
	}},
	"deny": {usage: "[<matcher>] <claim> <pattern>...", repeats: true, read: func(o option, g *gate) error {
		return g.appendRule(o, &g.Deny)
	}},
}

// pagesOptions are the lines of a pages block.
var pagesOptions = table[Pages]{
	"title":      text("<text>", func(p *Pages) *string { return &p.Title }),
	"logo":       text("<file>", func(p *Pages) *string { return &p.Logo }),
	"stylesheet": text("<file>", func(p *Pages) *string { return &p.Stylesheet }),
}

// anyOptions are the lines of an any block.
var anyOptions = table[AnyRule]{
	"require": {usage: "<claim> <pattern>...", repeats: true, read: func(o option, a *AnyRule) error {
		return appendRule(o, &a.Require)
	}},
}

// read reads the block of the gate, and sets the options aside that belong to an
// integration of its own.
func (g *gate) read(lines []option) error {
	words := append(gateOptions.words(), integrationOptions.words()...)
	slices.Sort(words)
	words = slices.Compact(words)
	var ofGate []option
	for _, o := range lines {
		if !slices.Contains(words, o.word) {
			return unknownOption(o, words)
		}
		if gateOptions.has(o.word) {
			ofGate = append(ofGate, o)
		}
		if !gateOptions.has(o.word) || o.isClient() {
			g.own = append(g.own, o)
		}
	}
	return gateOptions.read(ofGate, g)
}

// matcher takes the matcher off the arguments of an option, if there is one. A
// path that is written inline covers its root.
func (g *gate) matcher(o *option) (caddyhttp.RawMatcherSets, error) {
	if !o.hasMatcher() {
		return nil, nil
	}
	d := caddyfile.NewDispenser([]caddyfile.Token{o.tokens[1]})
	set, err := g.helper.WithDispenser(d).ExtractMatcherSet()
	if err != nil {
		return nil, o.Errf("%s: %w: expected a path or a matcher that the site defines", o.word, err)
	}
	path := o.args[0]
	if root, subtree := strings.CutSuffix(path, "/*"); subtree && root != "" {
		set = caddy.ModuleMap{"path": g.helper.JSON(caddyhttp.MatchPath{path, root})}
	}
	o.args = o.args[1:]
	return caddyhttp.RawMatcherSets{set}, nil
}

// appendRule reads a rule that may have a matcher.
func (g *gate) appendRule(o option, rules *[]Rule) error {
	match, err := g.matcher(&o)
	if err != nil {
		return err
	}
	if err := appendRule(o, rules); err != nil {
		return err
	}
	(*rules)[len(*rules)-1].MatcherSetsRaw = match
	return nil
}

func readAny(o option, g *gate) error {
	match, err := g.matcher(&o)
	if err != nil {
		return err
	}
	rule := AnyRule{MatcherSetsRaw: match}
	if err := anyOptions.read(o.lines(), &rule); err != nil {
		return err
	}
	g.Any = append(g.Any, rule)
	return nil
}

func readReportOnly(o option, g *gate) error {
	trial := gate{helper: g.helper}
	if err := ruleOptions.read(o.lines(), &trial); err != nil {
		return err
	}
	g.ReportOnly = &ReportOnly{Require: trial.Require, Deny: trial.Deny}
	return nil
}

func readForwardLine(o option, g *gate) error {
	g.Forward = &Forward{What: o.args[0]}
	switch exchange := o.args[0] == "exchange"; {
	case o.block && !exchange:
		return o.Errf("forward %s: takes no block: expected one only after exchange", o.args[0])
	case !o.block && exchange:
		return o.Errf("forward exchange: expected a block with the audience: \"forward exchange { … }\"")
	case exchange:
		if err := exchangeOptions.read(o.lines(), g.Forward); err != nil {
			return err
		}
	}
	if len(o.args) == 2 {
		g.Forward.Header = o.args[1]
	}
	return nil
}

func readHeaderUp(o option, g *gate) error {
	h := HeaderUp{Name: o.args[0], Value: o.args[1]}
	if len(o.args) == 3 {
		return o.Errf("header_up: no pattern after %s: expected \"header_up <Header> <value> [<claim> <pattern>...]\"", o.args[2])
	}
	if len(o.args) > 3 {
		h.Claim, h.Patterns = o.args[2], o.args[3:]
	}
	g.HeaderUp = append(g.HeaderUp, h)
	return o.checked(func(e *expander) { readHeaders(e, []HeaderUp{h}) })
}

func readBypass(o option, g *gate) error {
	isPath := func(arg string) bool { return strings.HasPrefix(arg, "/") || placeholder.MatchString(arg) }
	first := slices.IndexFunc(o.args, isPath)
	if first < 0 {
		return o.Errf("bypass %q: expected a path that starts with /", o.args[len(o.args)-1])
	}
	b := Bypass{Methods: o.args[:first], Paths: o.args[first:]}
	g.Bypass = append(g.Bypass, b)
	return o.checked(func(e *expander) { b.read(e) })
}

// holdsClaimMatcher reports whether a matcher set asks for the identity, by itself
// or inside "not".
func holdsClaimMatcher(set caddy.ModuleMap) bool {
	if _, ok := set["claim"]; ok {
		return true
	}
	var not []caddy.ModuleMap
	_ = json.Unmarshal(set["not"], &not) // absent or not ours to judge
	return slices.ContainsFunc(not, holdsClaimMatcher)
}
