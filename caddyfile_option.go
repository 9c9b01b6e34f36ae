package admit

import (
	"maps"
	"slices"
	"strings"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/caddyconfig/caddyfile"
)

// option is one line of a block: a word, its arguments and maybe its own block.
type option struct {
	*caddyfile.Dispenser // stands on the word, which is where errors point to

	word   string
	args   []string
	tokens []caddyfile.Token // the whole option, from the word to the end of its block
	block  bool              // a block was written, be it an empty one
}

// nextOption takes the option that d stands on.
func nextOption(d *caddyfile.Dispenser) option {
	tokens := d.NextSegment()
	o := option{Dispenser: caddyfile.NewDispenser(tokens), tokens: tokens}
	o.Next()
	o.word = o.Val()
	rest := caddyfile.NewDispenser(tokens)
	rest.Next()
	o.args = rest.RemainingArgs()
	o.block = rest.Next()
	// NextSegment swallows the braces of an empty block without a trace, but for
	// where it leaves the dispenser.
	if last := tokens[len(tokens)-1]; d.Val() == "}" && (last.Text != "}" || last.Line != d.Line()) {
		o.block = true
	}
	return o
}

// onlyOption takes the option that is all that d holds.
func onlyOption(d *caddyfile.Dispenser) (option, error) {
	d.Next()
	o := nextOption(d)
	if d.Next() {
		return o, d.Errf("unexpected %q: expected nothing after the block of %s", d.Val(), o.word)
	}
	return o, nil
}

// lines reads the option's block.
func (o option) lines() []option {
	d := caddyfile.NewDispenser(o.tokens)
	d.Next()
	d.RemainingArgs()
	var lines []option
	for d.NextBlock(0) {
		lines = append(lines, nextOption(d))
	}
	return lines
}

// hasMatcher reports whether the first argument is a matcher: "@name" or a path.
func (o option) hasMatcher() bool {
	return len(o.args) > 0 && (strings.HasPrefix(o.args[0], "@") || strings.HasPrefix(o.args[0], "/"))
}

// check compares the option with its usage: how many arguments, a block or none.
// It shows no argument, because one may be a secret.
func (o option) check(usage string) error {
	form := strings.TrimSpace(o.word + " " + strings.NewReplacer("[{]", "[{ … }]", "{", "{ … }").Replace(usage))
	least, most, block := shape(usage)
	given := len(o.args)
	if strings.HasPrefix(usage, "[<matcher>]") && o.hasMatcher() {
		given--
	}
	switch {
	case given < least || given > most:
		return o.Errf("%s: wrong number of arguments (%d): expected \"%s\"", o.word, given, form)
	case slices.Contains(o.args, ""):
		return o.Errf("%s: an argument is empty: expected \"%s\"", o.word, form)
	case o.block && !block:
		return o.Errf("%s takes no block: expected \"%s\"", o.word, form)
	case block && len(o.lines()) == 0 && (o.block || !strings.HasSuffix(usage, "[{]") && !strings.Contains(usage, " | ")):
		return o.Errf("%s: expected a block that is not empty: \"%s\"", o.word, form)
	}
	return nil
}

// checked returns the first mistake that a check of this one line finds, with file
// and line. The check is that of Provision.
func (o option) checked(check func(e *expander)) error {
	e := new(expander)
	if check(e); len(e.errs) == 0 || o.expands() {
		return nil
	}
	return o.Errf("%w", e.errs[0])
}

// shape reads a usage such as "<name> [<scheme>]": how many arguments it means,
// not counting a matcher, and whether a block follows, or with "[{]" may follow.
// A lone "|" stands between alternatives; from the fewest to the most arguments of
// them all are taken, and a block if one of them has it.
func shape(usage string) (least, most int, block bool) {
	const unlimited = 1 << 30
	least = unlimited
	for form := range strings.SplitSeq(strings.TrimPrefix(usage, "[<matcher>]"), " | ") {
		depth, fewest, all := 0, 0, 0 // depth of square brackets
		for word := range strings.FieldsSeq(form) {
			if word == "{" || word == "[{]" {
				block = true
				break
			}
			depth += strings.Count(word, "[")
			all++
			if depth == 0 {
				fewest++
			}
			if strings.Contains(word, "...") {
				all = unlimited
			}
			depth -= strings.Count(word, "]")
		}
		least, most = min(least, fewest), max(most, min(all, unlimited))
	}
	return least, most, block
}

// table holds the options of one kind of block, by word.
type table[T any] map[string]spec[T]

// spec says how one option is written and what becomes of it.
type spec[T any] struct {
	usage   string // what follows the word; it decides what is accepted, see shape
	repeats bool   // whether the option may be given more than once
	read    func(o option, into *T) error
}

// read reads the options of one block into a value.
func (t table[T]) read(lines []option, into *T) error {
	seen := map[string]bool{}
	for _, o := range lines {
		s, known := t[o.word]
		if !known {
			return unknownOption(o, t.words())
		}
		if err := o.check(s.usage); err != nil {
			return err
		}
		if seen[o.word] && !s.repeats {
			return o.Errf("%s: given twice: expected it once", o.word)
		}
		seen[o.word] = true
		if s.read == nil {
			continue
		}
		if err := s.read(o, into); err != nil {
			return err
		}
	}
	return nil
}

func (t table[T]) has(word string) bool {
	_, ok := t[word]
	return ok
}

func (t table[T]) words() []string { return slices.Sorted(maps.Keys(t)) }

// text is an option with one value.
func text[T any](usage string, dst func(*T) *string) spec[T] {
	return spec[T]{usage: usage, read: func(o option, into *T) error {
		*dst(into) = o.args[0]
		return nil
	}}
}

// word is an option with one of the fixed words that its usage names.
func word[T any](usage string, dst func(*T) *string) spec[T] {
	return spec[T]{usage: usage, read: func(o option, into *T) error {
		if !slices.Contains(strings.Split(usage, "|"), o.args[0]) {
			return o.Errf("%s %q: expected %s", o.word, o.args[0], oneOf(strings.Split(usage, "|")))
		}
		*dst(into) = o.args[0]
		return nil
	}}
}

// list is an option with several values; more of them may follow on another line.
func list[T any](usage string, dst func(*T) *[]string) spec[T] {
	return spec[T]{usage: usage, repeats: true, read: func(o option, into *T) error {
		*dst(into) = append(*dst(into), o.args...)
		return nil
	}}
}

// flag is an option that is a switch.
func flag[T any](dst func(*T) *bool) spec[T] {
	return spec[T]{read: func(o option, into *T) error {
		*dst(into) = true
		return nil
	}}
}

// span is an option that is a duration of more than zero, which in JSON means
// the default.
func span[T any](dst func(*T) *caddy.Duration) spec[T] {
	return spec[T]{usage: "<duration>", read: func(o option, into *T) error {
		d, err := positive(o)
		*dst(into) = d
		return err
	}}
}

// positive reads a duration of more than zero.
func positive(o option) (caddy.Duration, error) {
	d, err := duration(o)
	if err == nil && d <= 0 {
		err = o.Errf("%s %q: expected more than 0s", o.word, o.args[0])
	}
	return d, err
}

// duration reads the only argument of an option.
func duration(o option) (caddy.Duration, error) {
	d, err := caddy.ParseDuration(o.args[0])
	if err != nil {
		return 0, o.Errf("%s %q: expected a duration such as 30s or 5m", o.word, o.args[0])
	}
	return caddy.Duration(d), nil
}
