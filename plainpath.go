package admit

import (
	"encoding/json"
	"runtime"
	"strings"

	"github.com/caddyserver/caddy/v2"
)

// plainPaths returns the paths of matcher sets that consist of paths alone, in lower
// case, if all are so plain that Caddy's matcher does nothing with them but compare: a
// whole path, or the beginning of one before a "*". For a canonical path that can be
// done without the matcher, which cleans the path anew each time. Else nil.
func plainPaths(sets []caddy.ModuleMap) (plain []plainPath) {
	if runtime.GOOS == "windows" {
		return nil // where the matcher also cuts off dots and blanks
	}
	for _, set := range sets {
		var paths []string
		if json.Unmarshal(set["path"], &paths) != nil {
			return nil
		}
		for _, path := range paths {
			if !isPlainPath(path) {
				return nil
			}
			begin, open := strings.CutSuffix(strings.ToLower(path), "*")
			plain = append(plain, plainPath{begin, open})
		}
	}
	return plain
}

// isPlainPath reports whether a pattern is plain, see plainPaths.
func isPlainPath(path string) bool {
	begin, _ := strings.CutSuffix(path, "*")
	for i := range len(begin) {
		if c := begin[i]; c <= ' ' || c > '~' || strings.IndexByte(`*?[]{}\%`, c) >= 0 {
			return false
		}
	}
	return strings.HasPrefix(begin, "/") && !strings.Contains(begin, "//") && !strings.Contains(begin, "/.")
}

// plainPath is a whole path, or if it is open the beginning of one. It is never empty.
type plainPath struct {
	begin string
	open  bool
}

func (p *plainPath) covers(path string) bool {
	n := len(p.begin)
	if len(path) < n || !p.open && len(path) > n {
		return false
	}
	return path[n-1] == p.begin[n-1] && path[:n] == p.begin
}

// coversPlain compares a canonical path in lower case.
func (s *scope) coversPlain(path string) bool {
	for i := range s.plain {
		if s.plain[i].covers(path) {
			return true
		}
	}
	return false
}

// packPlain moves the plain paths of all scopes to one piece of memory, and their texts
// to another: with many rules each request looks at most of them.
func packPlain(scopes []scope) {
	var all []plainPath
	var texts strings.Builder
	for i := range scopes {
		all = append(all, scopes[i].plain...)
	}
	for i := range all {
		texts.WriteString(all[i].begin)
	}
	text := texts.String()
	for i := range all {
		n := len(all[i].begin)
		all[i].begin, text = text[:n], text[n:]
	}
	for i := range scopes {
		if n := len(scopes[i].plain); n > 0 {
			scopes[i].plain, all = all[:n:n], all[n:]
		}
	}
}

// plainPath returns the path as matchers compare it, "" if that does not say what the
// request is for: the path has several meanings, or the request stands for others.
func (r *request) plainPath() string {
	if more := r.state.more; more != nil && more.lower != "" {
		return more.lower // nothing else changes while a gate decides
	}
	if !r.canonical || len(r.asked()) > 0 {
		return ""
	}
	more := r.state.also()
	more.lower = strings.ToLower(r.URL.Path)
	return more.lower
}
