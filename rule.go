package admit

import (
	"slices"
	"strings"

	"github.com/caddy-admit/admit/claims"
)

// scopeless reads rules that hold for every request.
func scopeless(e *expander, option string, rules []Rule, deny bool) []claims.ScopedRule {
	read := make([]claims.ScopedRule, 0, len(rules))
	for _, r := range rules {
		if len(r.MatcherSetsRaw) > 0 {
			e.fail("%s %s: a matcher belongs in a gate", option, r.Claim)
		}
		read = append(read, claims.ScopedRule{Rule: r.read(e, deny)})
	}
	return read
}

// read makes a rule of its configuration.
func (r *Rule) read(e *expander, deny bool) claims.Rule {
	rule, err := claims.NewRule(r.Claim, e.texts("rule on "+r.Claim, r.Patterns), deny)
	e.check("rule", err)
	return rule
}

// checkNames refuses rules on an integration that is none of those there are: one
// that denies it would deny nobody. Those of the whole app count, since sites may
// share rules.
func checkNames(e *expander, verb string, rules []Rule, known []string) {
	for _, r := range rules {
		if r.Claim != "integration" {
			continue
		}
		for _, pattern := range r.Patterns {
			name := (&expander{repl: e.repl}).text("", pattern) // what is wrong there is found elsewhere
			if strings.Contains(name, "*") || slices.Contains(known, name) || verb == "deny" && slices.ContainsFunc(known, func(k string) bool { return strings.EqualFold(k, name) }) {
				continue
			}
			e.fail("%s integration %q: there is none of that name: expected one of %s", verb, name, strings.Join(known, ", "))
		}
	}
}
