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
func plainPaths(sets []caddy.ModuleMap) (plain []string) {
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
			plain = append(plain, strings.ToLower(path))
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

// coversPlain compares a canonical path in lower case.
func (s *scope) coversPlain(path string) bool {
	for _, plain := range s.plain {
		if begin, open := strings.CutSuffix(plain, "*"); path == begin || open && strings.HasPrefix(path, begin) {
			return true
		}
	}
	return false
}

// lowerPath returns the path as matchers compare it.
func (r *request) lowerPath() string {
	more := r.state.also()
	if more.lower == "" {
		more.lower = strings.ToLower(r.URL.Path)
	}
	return more.lower
}
