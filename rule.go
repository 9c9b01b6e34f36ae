package admit

import "github.com/caddy-admit/admit/claims"

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
