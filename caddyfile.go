package admit

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"reflect"
	"slices"
	"strings"

	"github.com/caddyserver/caddy/v2/caddyconfig"
	"github.com/caddyserver/caddy/v2/caddyconfig/caddyfile"
	"github.com/caddyserver/caddy/v2/caddyconfig/httpcaddyfile"
	"github.com/caddyserver/caddy/v2/modules/caddyhttp"
)

func init() {
	httpcaddyfile.RegisterGlobalOption("admit", parseGlobalOption)
	httpcaddyfile.RegisterDirective("admit", parseDirective)
	// Before redir means before everything that changes the path or answers, so
	// that the gate judges the path that the client asked for.
	httpcaddyfile.RegisterDirectiveOrder("admit", httpcaddyfile.Before, "redir")
}

// parseGlobalOption reads one integration and adds it to those before it. Syntax:
//
//	admit <name> {
//	    <option> [<args>...]
//	}
//
// See integrationOptions for the options.
func parseGlobalOption(d *caddyfile.Dispenser, existing any) (any, error) {
	o, err := onlyOption(d)
	if err != nil {
		return nil, err
	}
	if err := o.check("<name> {"); err != nil {
		return nil, err
	}
	name := o.args[0]
	if !nameForm.MatchString(name) {
		return nil, o.Errf("admit %q: expected a name of 1 to 32 of a-z, 0-9, _ and -", name)
	}
	app := appOf(existing)
	if _, taken := app.Integrations[name]; taken {
		return nil, o.Errf("admit %s: given twice: expected another name of 1 to 32 of a-z, 0-9, _ and -", name)
	}
	for _, line := range o.lines() {
		if gateOptions.has(line.word) && (!integrationOptions.has(line.word) || line.word == "login" && !line.block) {
			return nil, line.Errf("%s: it belongs in the admit directive of a site", line.word)
		}
	}
	integration, err := readIntegration(o, o.lines())
	if err != nil {
		return nil, err
	}
	app.Integrations[name] = integration
	return httpcaddyfile.App{Name: "admit", Value: caddyconfig.JSON(app, nil)}, nil
}

// appOf returns the integrations that were read so far.
func appOf(option any) App {
	app := App{}
	if raw, ok := option.(httpcaddyfile.App); ok {
		_ = json.Unmarshal(raw.Value, &app) // written by parseGlobalOption
	}
	if app.Integrations == nil {
		app.Integrations = map[string]*Integration{}
	}
	return app
}

// parseDirective reads a gate. Syntax:
//
//	admit [<matcher>] [<integration>...] {
//	    <option> [<args>...]
//	}
//
// See gateOptions and integrationOptions for the options. The gate becomes one
// route without matchers: the matcher lies in the handler.
func parseDirective(h httpcaddyfile.Helper) ([]httpcaddyfile.ConfigValue, error) {
	o, err := onlyOption(h.Dispenser)
	if err != nil {
		return nil, err
	}
	if slices.Contains(o.args, "") {
		return nil, o.Errf("admit: an argument is empty: expected \"admit [<matcher>] [<integration>...]\"")
	}
	g := &gate{helper: h}
	if g.MatcherSetsRaw, err = g.matcher(&o); err != nil {
		return nil, err
	}
	if slices.ContainsFunc(g.MatcherSetsRaw, holdsClaimMatcher) {
		return nil, o.Errf("admit: a claim matcher looks at the identity that the gate itself finds: expected require lines instead")
	}
	if len(o.args) > 0 && o.args[0] == "*" {
		o.args = o.args[1:] // every request, as without a matcher
	}
	if err := g.read(o.lines()); err != nil {
		return nil, err
	}
	if err := g.chooseIntegrations(o); err != nil {
		return nil, err
	}
	if err := g.check(o); err != nil {
		return nil, err
	}
	handler := caddyconfig.JSONModuleObject(&g.Handler, "handler", "admit", nil)
	route := caddyhttp.Route{HandlersRaw: []json.RawMessage{handler}}
	return []httpcaddyfile.ConfigValue{{Class: "route", Value: route}}, nil
}

// chooseIntegrations settles whose credentials the gate takes: those it names, or
// the one in its own block, or the only one there is.
func (g *gate) chooseIntegrations(o option) error {
	app := appOf(g.helper.Option("admit"))
	known := app.names()
	switch {
	case len(o.args) > 0 && len(g.own) > 0:
		first := g.own[0]
		return first.Errf("%s: the gate names integrations already: expected it in their global options, or no name here", first.word)
	case len(o.args) > 0:
		return g.nameIntegrations(o, known)
	case len(g.own) > 0:
		var err error
		if g.Integration, err = readIntegration(o, g.own); err == nil {
			g.Integration.ID = inlineID(g.helper)
		}
		return err
	case len(known) == 1:
		g.Integrations = known
		return nil
	case len(known) > 1:
		return o.Errf("admit: several integrations: expected one or more of %s", strings.Join(known, ", "))
	}
	return o.Errf("admit: no integration: expected one in the global options or in the gate's own block, for example\n" +
		"\tadmit {\n\t\tissuer https://login.example.com\n\t\taudience my-api\n\t}")
}

func (g *gate) nameIntegrations(o option, known []string) error {
	for i, name := range o.args {
		switch {
		case strings.HasPrefix(name, "@") || strings.HasPrefix(name, "/"):
			return o.Errf("admit %s: expected the matcher first: \"admit [<matcher>] [<integration>...]\"", name)
		case len(known) == 0:
			return o.Errf("admit: unknown integration %q: expected it in the global options", name)
		case !slices.Contains(known, name):
			return o.Errf("admit: unknown integration %q: expected one or more of %s", name, strings.Join(known, ", "))
		case slices.Contains(o.args[:i], name):
			return o.Errf("admit: integration %q given twice: expected it once", name)
		}
	}
	g.Integrations = o.args
	return nil
}

// check makes the checks of Provision that need nothing but what is written.
func (g *gate) check(o option) error {
	app := appOf(g.helper.Option("admit"))
	ready := &guard{named: app.names(), closed: g.demandsOfAll()}
	for _, name := range g.Integrations {
		ready.integrations = append(ready.integrations, app.Integrations[name].read(new(expander), name).integration)
	}
	if g.Integration != nil {
		ready.integrations = append(ready.integrations, g.Integration.read(new(expander), g.Integration.ID).integration)
	}
	e := new(expander)
	g.Handler.read(e, ready)
	return o.located(e)
}

// inlineID makes the id of an integration in a gate's own block. It must stay the
// same when the file is edited elsewhere, so it comes from the addresses of the
// site and how many such gates stand before this one there.
func inlineID(h httpcaddyfile.Helper) string {
	const key = "admit.inline"
	site := siteAddresses(h)
	before, _ := h.State[key].(map[string]int)
	if before == nil {
		before = map[string]int{}
		h.State[key] = before
	}
	place := before[site]
	before[site]++
	sum := sha256.Sum256(fmt.Appendf(nil, "%q %d", site, place))
	return "inline-" + hex.EncodeToString(sum[:16])
}

// siteAddresses returns the addresses of the site that a directive stands in, or
// the name of a named route, for telling them apart. The helper keeps them in an
// unexported field, hence the reflection; without that field all sites count
// as one, which still gives every gate an id of its own.
func siteAddresses(h httpcaddyfile.Helper) string {
	addresses := []string{}
	block := reflect.ValueOf(h).FieldByName("parentBlock")
	if sb := reflect.TypeFor[caddyfile.ServerBlock](); block.IsValid() && block.Type() == sb {
		keys := block.FieldByName("Keys")
		for i := range keys.Len() {
			addresses = append(addresses, keys.Index(i).FieldByName("Text").String())
		}
	}
	slices.Sort(addresses)
	if h.IsNamedRoute() {
		addresses = append(addresses, "&")
	}
	return strings.Join(addresses, " ")
}

// UnmarshalCaddyfile reads the matcher from Caddyfile tokens. Several lines in one
// named matcher must all hold. Syntax:
//
//	claim <claim> <pattern>...
func (m *MatchClaim) UnmarshalCaddyfile(d *caddyfile.Dispenser) error {
	for d.Next() {
		o := nextOption(d)
		if err := o.check("<claim> <pattern>..."); err != nil {
			return err
		}
		test := ClaimTest{Claim: o.args[0], Patterns: o.args[1:]}
		if err := o.checked(func(e *expander) { test.read(e) }); err != nil {
			return err
		}
		*m = append(*m, test)
	}
	return nil
}

// Interface guards
var _ caddyfile.Unmarshaler = (*MatchClaim)(nil)
