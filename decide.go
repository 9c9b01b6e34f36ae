package admit

import (
	"errors"

	"github.com/caddy-admit/admit/claims"
)

// checker decides about requests. The gate and the provider share it.
type checker struct {
	integrations []*integration
	places       []place
	schemes      []string // of the header Authorization
	rules        claims.Rules
	trial        claims.Rules // rules that report and do not refuse
	origins      origins
	scopes       []scope // the matchers of rules: scope n of a rule is scopes[n-1]
	optional     bool
}

// takeFrom looks for credentials where the integrations do.
func (c *checker) takeFrom(integrations []*integration) {
	c.places = joinPlaces(integrations)
	c.schemes = schemesOf(c.places)
}

// decide makes the one decision about a request. An error means that a matcher
// failed and nothing was decided.
func (c *checker) decide(r *request) (claims.Decision, error) {
	d := c.authenticate(r)
	if d.Reason != "" {
		return d, nil
	}
	d.Verdict = claims.Anonymous
	if d.Identity != nil {
		d.Verdict = claims.Allowed
		r.state.in = c.integration(d.Integration)
	}
	r.state.decision = d // a claim matcher on a rule sees who is being judged
	var failed error
	covers := func(n int) bool {
		ok, err := c.scopes[n-1].covers(r)
		if err != nil {
			failed = errors.Join(failed, err)
		}
		return ok
	}
	if d.Identity == nil && !c.optional {
		d.Verdict, d.Reason = claims.Refused, claims.MissingCredential
		return d, nil
	}
	if d.Reason, d.Rule = r.state.carrier().apply(); d.Reason == "" {
		d.Reason, d.Rule = c.apply(&c.rules, &d, covers)
	}
	if d.Reason != "" {
		d.Verdict = claims.Refused
	} else if d.Reason, d.Rule = judge(&c.trial, d.Identity, covers); d.Reason != "" {
		d.Verdict = claims.Trial
	}
	return d, failed
}

// apply judges by the rules of the integration, which hold at every gate, and by
// those of this one.
func (c *checker) apply(rules *claims.Rules, d *claims.Decision, covers func(int) bool) (claims.Reason, *claims.Rule) {
	if in := c.integration(d.Integration); in != nil && d.Identity != nil {
		if reason, rule := in.rules.Judge(d.Identity, nil); reason != "" {
			return reason, rule
		}
	}
	return judge(rules, d.Identity, covers)
}

// judge applies rules to an identity, or to nobody: then a rule that demands
// something asks for a credential.
func judge(rules *claims.Rules, id *claims.Identity, covers func(int) bool) (claims.Reason, *claims.Rule) {
	switch {
	case id != nil:
		return rules.Judge(id, covers)
	case rules.Demand(covers):
		return claims.MissingCredential, nil
	}
	return "", nil
}

func (c *checker) integration(name string) *integration {
	for _, in := range c.integrations {
		if in.name == name {
			return in
		}
	}
	return nil
}
