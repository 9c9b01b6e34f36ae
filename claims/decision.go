package claims

import (
	"errors"
	"strings"
	"time"
)

// Verdict is the outcome of a decision.
type Verdict string

// The verdicts. The empty one, which no decision should have, lets nobody in.
const (
	Allowed   Verdict = "allowed"
	Anonymous Verdict = "anonymous" // let in without an identity
	Bypassed  Verdict = "bypassed"  // not checked at all
	Trial     Verdict = "trial"     // let in, though a rule on trial would refuse
	Refused   Verdict = "refused"
)

// Decision is what the gate decided about one request. The answer, the log line,
// the metrics and the headers all read this value and nothing else.
type Decision struct {
	Verdict Verdict
	// Reason says why a request was refused, or would be; it is empty otherwise.
	Reason Reason
	// RetryAfter is when a client that is locked out may try again.
	RetryAfter time.Duration
	// Repeated says that this refusal is one of many that were told of already.
	Repeated bool
	// Rule is the rule that decided, where one did.
	Rule *Rule
	// Identity is who asked; nil if nobody is known. It is also there when rules
	// refuse somebody who is known.
	Identity *Identity
	// Integration is the one whose credential was looked at; empty if none was.
	Integration string
	// Credential is the kind of credential: header, cookie, query, basic, api_key
	// or session.
	Credential string
}

// LetsIn reports whether the request may go on.
func (d *Decision) LetsIn() bool {
	return d.Verdict == Allowed || d.Verdict == Trial || d.Verdict == Anonymous || d.Verdict == Bypassed
}

// Rules are the rules of a gate, or those that an integration brings along.
type Rules struct {
	Deny    []ScopedRule
	Require []ScopedRule
	Any     []AnyRule

	number uint32 // by which identities remember them, see Remember
	scopes []int  // of the rules in their order, side by side
}

// ScopedRule is a rule for some requests: Scope is a number that the caller
// gives them, 0 stands for all requests.
type ScopedRule struct {
	Rule  Rule
	Scope int
}

// AnyRule holds if at least one of its rules does.
type AnyRule struct {
	rules []Rule
	whole Rule // stands for all of them in a decision
	scope int
}

// NewAnyRule makes one for the requests of a scope. It returns an error if there
// are no rules: nothing could ever hold.
func NewAnyRule(rules []Rule, scope int) (AnyRule, error) {
	if len(rules) == 0 {
		return AnyRule{}, errors.New("any: at least one require is needed")
	}
	lines := make([]string, len(rules))
	whole := Rule{reader: reader{name: rules[0].name}}
	for i := range rules {
		lines[i] = rules[i].text
		if whole.written = append(whole.written, rules[i].written...); rules[i].name != whole.name {
			whole.name = ""
		}
	}
	whole.text = "any { " + strings.Join(lines, "; ") + " }"
	return AnyRule{rules: rules, whole: whole, scope: scope}, nil
}

// Rules returns the rules of which one has to hold.
func (a *AnyRule) Rules() []Rule { return a.rules }

// Judge applies the rules whose scope covers the request to an identity: first
// those that deny, then those that require. It returns the reason for refusing,
// "" for none, and the rule that decided. Of a rule that has no objection to the
// identity the scope may not be asked for.
func (rs *Rules) Judge(id *Identity, covers func(scope int) bool) (Reason, *Rule) {
	var room [1]uint64
	if objects := rs.objections(id, &room); objects != nil {
		return rs.object(objects, covers)
	}
	for i := range rs.Deny {
		if r := &rs.Deny[i]; (r.Scope == 0 || covers(r.Scope)) && r.Rule.Judge(id) != Fails {
			return Denied, &r.Rule
		}
	}
	for i := range rs.Require {
		if r := &rs.Require[i]; (r.Scope == 0 || covers(r.Scope)) && r.Rule.Judge(id) != Holds {
			return RuleFailed, &r.Rule
		}
	}
	for i := range rs.Any {
		if a := &rs.Any[i]; (a.scope == 0 || covers(a.scope)) && !a.holds(id) {
			return RuleFailed, &a.whole
		}
	}
	return "", nil
}

// Demand reports whether a rule that requires something covers the request, so
// that nobody without an identity may pass.
func (rs *Rules) Demand(covers func(scope int) bool) bool {
	for i := range rs.Require {
		if s := rs.Require[i].Scope; s == 0 || covers(s) {
			return true
		}
	}
	for i := range rs.Any {
		if s := rs.Any[i].scope; s == 0 || covers(s) {
			return true
		}
	}
	return false
}

func (a *AnyRule) holds(id *Identity) bool {
	for i := range a.rules {
		if a.rules[i].Judge(id) == Holds {
			return true
		}
	}
	return false
}
