package admit

import (
	"errors"
	"fmt"
	"os"
	"strings"

	"github.com/caddyserver/caddy/v2"
)

// expander fills {env.NAME} and {file./path} into configured text. Any other
// brace stays as it is, and what was filled in is not looked at again. It keeps
// the errors, so that every mistake is reported at once. The text of a mistake
// begins with the option that it is about: "secret: empty". If it may be in one of
// several, all are named: "jwks, key, secret: give one of them".
//
// The zero expander leaves text as it is written and reads no file: it is for the
// Caddyfile adapter, see [located].
type expander struct {
	repl *caddy.Replacer
	errs []error
}

func newExpander() *expander { return &expander{repl: caddy.NewReplacer()} }

// text expands one value of an option; "" stays "".
func (e *expander) text(option, value string) string {
	var out strings.Builder
	for {
		start, end := nextPlaceholder(value)
		if start < 0 || e.repl == nil {
			out.WriteString(value)
			return out.String()
		}
		filled, _ := e.repl.Get(value[start+1 : end-1])
		text, _ := filled.(string)
		if text == "" {
			e.fail("%s: %s is empty or not there", option, value[start:end])
		}
		out.WriteString(value[:start])
		out.WriteString(text)
		value = value[end:]
	}
}

// texts expands the values of an option that takes several.
func (e *expander) texts(option string, values []string) []string {
	expanded := make([]string, len(values))
	for i, value := range values {
		if expanded[i] = e.text(option, value); value == "" {
			e.fail("%s: empty value", option)
		}
	}
	return expanded
}

// fail keeps a mistake that is found on the way.
func (e *expander) fail(format string, args ...any) {
	e.errs = append(e.errs, fmt.Errorf(format, args...))
}

// keep keeps an error, if it is one, and each of several by itself.
func (e *expander) keep(err error) {
	if several, ok := err.(interface{ Unwrap() []error }); ok {
		for _, err := range several.Unwrap() {
			e.keep(err)
		}
	} else if err != nil {
		e.errs = append(e.errs, err)
	}
}

// check keeps an error that belongs to an option, if it is one.
func (e *expander) check(option string, err error) {
	if err != nil {
		e.fail("%s: %w", option, err)
	}
}

// err returns all mistakes, headed by whose they are.
func (e *expander) err(whose string) error {
	if len(e.errs) == 0 {
		return nil
	}
	return fmt.Errorf("%s: %w", whose, errors.Join(e.errs...))
}

// maxFile bounds what is read of a file that an option names.
const maxFile = 1 << 20

// readFile reads a file of an option, at most 1 MiB. It returns nil if it cannot.
func (e *expander) readFile(option, name string) []byte {
	if e.repl == nil {
		return nil
	}
	info, err := os.Stat(name)
	if err == nil && (info.IsDir() || info.Size() > maxFile) {
		e.fail("%s %s: not a file of at most 1 MiB", option, name)
		return nil
	}
	data, err := os.ReadFile(name)
	e.check(option, err)
	return data
}

// nextPlaceholder returns where the next placeholder that is expanded begins and
// ends, -1 if there is none.
func nextPlaceholder(value string) (start, end int) {
	for at := 0; ; {
		i := strings.IndexByte(value[at:], '{')
		if i < 0 {
			return -1, -1
		}
		start = at + i
		at = start + 1
		if !strings.HasPrefix(value[at:], "env.") && !strings.HasPrefix(value[at:], "file.") {
			continue
		}
		length := strings.IndexByte(value[at:], '}')
		if length < 0 {
			return -1, -1
		}
		return start, at + length + 1
	}
}
