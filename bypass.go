package admit

import (
	"net/url"
	"slices"
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/caddyserver/caddy/v2"
	"golang.org/x/net/http/httpguts"
)

// canonical reports whether a path has one meaning only: nothing in it that some
// server decodes, cleans or cuts off another way. Only such a path can be exempt
// from a check, and any other counts as covered by every protected one.
func canonical(u *url.URL) bool {
	return u.RawPath == "" && isPlain(u.Path) || hasOneMeaning(u) // most are plain
}

// hasOneMeaning is canonical for any path.
func hasOneMeaning(u *url.URL) bool {
	path := u.Path
	if !strings.HasPrefix(path, "/") || strings.Contains(path, "//") || strings.ContainsAny(path, `\;%?#`) || !utf8.ValidString(path) {
		return false
	}
	for segment := range strings.SplitSeq(path, "/") {
		// Dots alone, and with spaces that Windows cuts off, lead elsewhere.
		if segment != "" && strings.Trim(segment, ". ") == "" {
			return false
		}
	}
	if strings.ContainsFunc(path, func(r rune) bool { return r < 0x20 || r == 0x7f }) {
		return false
	}
	// An encoded slash is a separator to one server and a letter to another.
	return u.RawPath == "" || !strings.Contains(strings.ToLower(u.RawPath), "%2f")
}

// isPlain reports whether a path is canonical by the look of it: its segments consist
// of letters, digits and harmless marks, and none begins with a dot.
func isPlain(path string) bool {
	if path == "" || path[0] != '/' {
		return false
	}
	for i := 1; i < len(path); i++ {
		switch c := path[i]; {
		case c == '/' || c == '.':
			if path[i-1] == '/' {
				return false
			}
		case plainBytes[c] == 0:
			return false
		}
	}
	return true
}

// plainBytes has 1 for what is harmless in a segment of a path.
var plainBytes = byteSet("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_~!$&'()*+,=:@")

// byteSet returns a table with 1 for the bytes of a text.
func byteSet(text string) (set [256]byte) {
	for _, b := range []byte(text) {
		set[b] = 1
	}
	return set
}

// bypass is a [Bypass] that is ready: compared byte by byte.
type bypass struct {
	methods []string
	exact   []string
	trees   []string // with the slash at their end
}

func (b *Bypass) read(e *expander) bypass {
	out := bypass{methods: b.Methods}
	if len(b.Paths) == 0 {
		e.fail("bypass: expected at least one path")
	}
	for _, method := range b.Methods {
		if !httpguts.ValidHeaderFieldName(method) || method != strings.ToUpper(method) {
			e.fail("bypass %q: expected methods in upper case, then paths that start with /", method)
		}
	}
	for _, path := range e.texts("bypass", b.Paths) {
		root, tree := strings.CutSuffix(path, "/*")
		if problem := bypassProblem(path); problem != "" {
			e.fail("bypass %q: %s", path, problem)
		}
		if tree && root == "" && len(b.Methods) == 0 {
			e.fail("bypass /*: exempts every request; leave the gate out")
		}
		if tree {
			out.trees = append(out.trees, root+"/")
		}
		if !tree || root != "" {
			out.exact = append(out.exact, root)
		}
	}
	return out
}

// bypassProblem says why a path can exempt no request, and nothing if it can. A
// request is exempt only if its own path is canonical, so a path that is not
// canonical would be a line without effect.
func bypassProblem(path string) string {
	exact := strings.TrimSuffix(path, "/*")
	segments := strings.Split(path, "/")
	switch {
	case !strings.HasPrefix(path, "/"):
		return "expected a path that starts with /"
	case strings.Contains(exact, "*"):
		return "expected * only at the end, as in /public/*"
	case strings.Contains(path, "//"):
		return "expected a path without //"
	case slices.Contains(segments, ".") || slices.Contains(segments, ".."):
		return "expected a path without the segments . and .."
	case strings.ContainsAny(path, `\;%?#`) || strings.ContainsFunc(path, unicode.IsControl):
		return `expected a decoded path without \ ; % ? # and control characters`
	case !canonical(&url.URL{Path: path}):
		return "expected a path that has one meaning only"
	}
	return ""
}

// covers reports whether the request is exempt. path must be canonical.
func (b *bypass) covers(method, path string) bool {
	if len(b.methods) > 0 && !slices.Contains(b.methods, method) {
		return false
	}
	return slices.Contains(b.exact, path) ||
		slices.ContainsFunc(b.trees, func(tree string) bool { return strings.HasPrefix(path, tree) })
}

// pathAlone reports whether a matcher set looks at nothing but the path.
func pathAlone(set caddy.ModuleMap) bool {
	_, ok := set["path"]
	return ok && len(set) == 1
}
