package admit

import (
	"math"
	"slices"
	"strings"
)

// located returns that one of the mistakes in a block that stands first in the
// file, with file and line: those of the option that the mistake is about, else
// those of the block. What depends on a text that is not known before the
// configuration is loaded is left to Provision, which makes the same checks.
func (o option) located(e *expander) error {
	var found error
	at := math.MaxInt
	for _, err := range e.errs {
		lines := o.about(err.Error())
		if later(err.Error()) || slices.ContainsFunc(lines, option.expands) {
			continue
		}
		if len(lines) > 0 && lines[0].Line() < at {
			found, at = lines[0].Errf("%w", err), lines[0].Line()
		} else if found == nil {
			found = o.Errf("%s: %w", strings.Join(append([]string{o.word}, o.args...), " "), err)
		}
	}
	return found
}

// about returns the lines of a block that a mistake is about, see [expander].
func (o option) about(mistake string) (lines []option) {
	head, _, _ := strings.Cut(mistake, ": ")
	for name := range strings.SplitSeq(head, ", ") {
		lines = append(lines, o.find(strings.Fields(name))...)
	}
	return lines
}

// find returns the lines of a block with an option's name. Words after the name
// tell several of them apart: options in a block of their own, or an argument.
func (o option) find(name []string) (lines []option) {
	if len(name) == 0 {
		return nil
	}
	for _, line := range o.lines() {
		if line.word == name[0] {
			lines = append(lines, line)
		}
	}
	var closer []option
	for _, line := range lines {
		inside := line.find(name[1:])
		if len(inside) == 0 && len(name) > 1 && slices.Contains(line.args, strings.Trim(name[1], `"`)) {
			inside = []option{line}
		}
		closer = append(closer, inside...)
	}
	if len(closer) > 0 {
		return closer
	}
	if len(name) > 1 || name[0] == "login" {
		// The mistake is that something is not there. What else the block holds has
		// nothing to do with it.
		for i := range lines {
			lines[i].tokens = lines[i].tokens[:1+len(lines[i].args)]
		}
	}
	return lines
}

// expands reports whether the option holds text that is not known yet.
func (o option) expands() bool {
	for _, token := range o.tokens {
		if later(token.Text) {
			return true
		}
	}
	return false
}

// later reports whether a text is known only when the configuration is loaded.
func later(text string) bool {
	start, _ := nextPlaceholder(text)
	return start >= 0
}
