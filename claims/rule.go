package claims

import (
	"errors"
	"fmt"
	"strings"
)

// Outcome is what a rule says about an identity.
type Outcome int

// A rule holds, or does not, or cannot be judged because the token points
// elsewhere for the claim. The zero Outcome is the one that lets nobody in.
const (
	Fails Outcome = iota
	Holds
	Unknown
)

// Rule is a test of one claim, or of user, groups or integration: it holds if
// one of its patterns matches one of the values.
type Rule struct {
	reader
	text     string
	written  []string
	patterns []Pattern
	deny     bool
}

// NewRule makes a rule. claim is "user", "groups", "integration" (those of the
// identity, after mapping), a name of the mapping, or a claim; "claims.groups"
// is the raw claim of that name. Rules that deny ignore the case of ASCII
// letters and see an e-mail address even if nobody vouches for it, so that no
// spelling and no flag of the claims escapes them. It returns an error for a
// name that can name nothing and for missing or empty patterns.
func NewRule(claim string, patterns []string, deny bool) (Rule, error) {
	verb := "require"
	if deny {
		verb = "deny"
	}
	r := Rule{text: strings.Join(append([]string{verb, claim}, patterns...), " "), written: patterns, deny: deny}
	var err error
	if r.reader, err = newReader(claim); err != nil {
		return Rule{}, fmt.Errorf("%s %s: %w", verb, claim, err)
	}
	if len(patterns) == 0 {
		return Rule{}, fmt.Errorf("%s %s: at least one pattern is needed", verb, claim)
	}
	for _, text := range patterns {
		if text == "" {
			return Rule{}, fmt.Errorf("%s %s: empty pattern", verb, claim)
		}
		r.patterns = append(r.patterns, r.pattern(text, deny))
	}
	return r, nil
}

// String returns the rule as it stands in a Caddyfile.
func (r *Rule) String() string { return r.text }

// Claim returns what the rule is about, as it was written. Of a rule that stands for
// several it is what all of them are about, or empty.
func (r *Rule) Claim() string { return r.name }

// Patterns returns the patterns as they were written.
func (r *Rule) Patterns() []string { return r.written }

// Judge says whether the rule holds for id. No rule holds for nobody.
func (r *Rule) Judge(id *Identity) Outcome {
	if id == nil {
		return Fails
	}
	found := false
	known := r.read(id, !r.deny, func(text []byte) bool {
		for i := range r.patterns {
			if r.patterns[i].Match(text) {
				found = true
				return false
			}
		}
		return true
	})
	switch {
	case !known:
		return Unknown
	case found:
		return Holds
	}
	return Fails
}

// reader finds the values that a name stands for.
type reader struct {
	name string
	kind readerKind
	path Path
}

type readerKind int

const (
	readClaim readerKind = iota
	readRaw              // a claim by its own name, whatever the mapping calls so
	readUser
	readGroups
	readIntegration
)

var errName = errors.New("claims: empty claim name")

func newReader(name string) (reader, error) {
	r := reader{name: name}
	switch name {
	case "":
		return reader{}, errName
	case "user":
		r.kind = readUser
		return r, nil
	case "groups":
		r.kind = readGroups
		return r, nil
	case "integration":
		r.kind = readIntegration
		return r, nil
	}
	if raw, ok := strings.CutPrefix(name, "claims."); ok {
		r.kind, name = readRaw, raw
	}
	var err error
	r.path, err = ParsePath(name)
	return r, err
}

// pattern makes a pattern for the values that the reader finds.
func (r *reader) pattern(text string, fold bool) Pattern {
	if r.path.email {
		return emailPattern(text, fold)
	}
	return NewPattern(text, fold)
}

// read calls yield with each value until it returns false. It reports whether
// the values are known; if the token points elsewhere for them none is offered.
// With vouched an e-mail address counts only as [Mapping.TrustEmail] says.
func (r *reader) read(id *Identity, vouched bool, yield func([]byte) bool) (known bool) {
	m := id.mapping
	switch r.kind {
	case readUser:
		if anyPointed(&id.claims, m.User) {
			return false
		}
		if id.user != "" {
			yield(view(id.user))
		}
		return true
	case readIntegration:
		yield(view(m.Integration))
		return true
	case readGroups:
		if anyPointed(&id.claims, m.Groups) {
			return false
		}
		for _, group := range id.Groups() {
			if !yield(view(group)) {
				break
			}
		}
		return true
	case readClaim:
		if paths, ok := m.Named[r.name]; ok {
			return m.readAll(&id.claims, paths, vouched, yield)
		}
	}
	return m.readPath(&id.claims, &r.path, vouched, yield)
}

func (m *Mapping) readAll(s *Set, paths []Path, vouched bool, yield func([]byte) bool) (known bool) {
	if anyPointed(s, paths) {
		return false
	}
	more := true
	for i := range paths {
		m.readPath(s, &paths[i], vouched, func(text []byte) bool {
			more = yield(text)
			return more
		})
		if !more {
			break
		}
	}
	return true
}

func (m *Mapping) readPath(s *Set, path *Path, vouched bool, yield func([]byte) bool) (known bool) {
	if pointed(s, path) {
		return false
	}
	if !path.email {
		path.values(s, yield)
		return true
	}
	if vouched && !m.emailCounts(s) {
		return true
	}
	path.values(s, func(text []byte) bool {
		if vouched && !isAddress(text) {
			return true
		}
		return yield(lowerDomain(text))
	})
	return true
}

func anyPointed(s *Set, paths []Path) bool {
	if s == nil || !s.points { // nor does any of many
		return false
	}
	for i := range paths {
		if pointed(s, &paths[i]) {
			return true
		}
	}
	return false
}
