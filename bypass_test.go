package admit

import (
	"net/url"
	"path"
	"strings"
	"testing"
)

// threat 33: whatever a server behind the gate makes of a path that is exempt
// (decodes it again, cleans it, folds its case, cuts parameters off), it stays in
// the tree that is exempt.
func FuzzBypass(f *testing.F) {
	exempt := Bypass{Paths: []string{"/public/*", "/Status", "/a/b/*"}}
	e := newExpander()
	b := exempt.read(e)
	if e.errs != nil {
		f.Fatal(e.errs)
	}
	for _, target := range []string{
		"/public", "/public/", "/public/x", "/Status", "/status", "/a/b/c?d", "/public/../admin", "/public/%2e%2e/admin",
		"/public/%252e%252e/admin", "/public//admin", "/public/..;/admin", "/public/x;/../admin", "/public%2fx",
		"/public/%2f..%2fadmin", "/public/..%5cadmin", `/public\..\admin`, "/publicx", "/PUBLIC/x", "/public/%00", "/public/%u002e",
		"//public/x", "/./public/x", "http://h/public/x", "*", "/public/%c0%ae%c0%ae/", "/public/．．/admin", "/public/ . ./", "/public/.%2e/x",
	} {
		f.Add(target)
	}
	f.Fuzz(func(t *testing.T, target string) {
		if u := (&url.URL{Path: target}); isPlain(target) && !hasOneMeaning(u) {
			t.Errorf("%q is plain, and has several meanings", target)
		}
		u, err := url.ParseRequestURI(target)
		if err != nil || !canonical(u) || !b.covers("GET", u.Path) {
			return
		}
		for _, seen := range readings(u) {
			if !inExempt(seen, exempt.Paths) {
				t.Errorf("%q is exempt, and some server reads it as %q", target, seen)
			}
		}
	})
}

// readings returns what servers may make of a path, three steps far.
func readings(u *url.URL) []string {
	all := []string{u.Path, u.EscapedPath()}
	for from := 0; from < len(all) && len(all) < 200; from++ {
		p := all[from]
		decoded, err := url.PathUnescape(p)
		if err != nil {
			decoded = p
		}
		withoutParameters := p
		if i := strings.IndexByte(p, ';'); i >= 0 {
			_, rest, _ := strings.Cut(p[i:], "/")
			withoutParameters = p[:i] + "/" + rest
		}
		for _, next := range []string{
			decoded, path.Clean(p), strings.ToLower(p), withoutParameters, strings.ReplaceAll(p, `\`, "/"),
			strings.ReplaceAll(p, "\x00", ""), cutAt(p, "?"), cutAt(p, "#"), strings.ReplaceAll(p, "\xc0\xae", "."), "/" + strings.TrimLeft(p, "/"),
		} {
			if !containsText(all, next) {
				all = append(all, next)
			}
		}
	}
	return all
}

func cutAt(p, separator string) string {
	before, _, _ := strings.Cut(p, separator)
	return before
}

func containsText(texts []string, text string) bool {
	for _, t := range texts {
		if t == text {
			return true
		}
	}
	return false
}

// inExempt is another way to say what a bypass covers: segment by segment,
// whatever the case, and only after the path is clean.
func inExempt(p string, exempt []string) bool {
	decoded, err := url.PathUnescape(p)
	if err != nil {
		decoded = p
	}
	have := strings.Split(strings.Trim(path.Clean(decoded), "/"), "/")
	for _, line := range exempt {
		root, tree := strings.CutSuffix(line, "/*")
		want := strings.Split(strings.Trim(root, "/"), "/")
		if len(have) < len(want) || !tree && len(have) > len(want) {
			continue
		}
		if strings.EqualFold(strings.Join(have[:len(want)], "/"), strings.Join(want, "/")) {
			return true
		}
	}
	return false
}

// threat 33: what a bypass covers, each row next to one that it does not.
func TestBypassCovers(t *testing.T) {
	for _, tc := range []struct {
		line   Bypass
		method string
		target string
		want   bool
	}{
		{Bypass{Paths: []string{"/status"}}, "GET", "/status", true},
		{Bypass{Paths: []string{"/status"}}, "GET", "/status/", false},
		{Bypass{Paths: []string{"/status"}}, "GET", "/Status", false},
		{Bypass{Paths: []string{"/status"}}, "GET", "/%73tatus", true}, // one meaning, decoded by every server
		{Bypass{Paths: []string{"/status"}}, "GET", "/%2573tatus", false},
		{Bypass{Paths: []string{"/public/*"}}, "GET", "/public", true},
		{Bypass{Paths: []string{"/public/*"}}, "GET", "/public/", true},
		{Bypass{Paths: []string{"/public/*"}}, "GET", "/publicx", false},
		{Bypass{Paths: []string{"/public/*"}}, "GET", "/public/%2e%2e/x", false},
		{Bypass{Methods: []string{"GET", "OPTIONS"}, Paths: []string{"/*"}}, "GET", "/", true},
		{Bypass{Methods: []string{"GET", "OPTIONS"}, Paths: []string{"/*"}}, "GET", "/x/y", true},
		{Bypass{Methods: []string{"GET", "OPTIONS"}, Paths: []string{"/*"}}, "GET", "/x//y", false},
		{Bypass{Methods: []string{"GET", "OPTIONS"}, Paths: []string{"/*"}}, "OPTIONS", "*", false},
		{Bypass{Methods: []string{"GET"}, Paths: []string{"/x"}}, "GET", "/x", true},
		{Bypass{Methods: []string{"GET"}, Paths: []string{"/x"}}, "HEAD", "/x", false},
		{Bypass{Methods: []string{"GET"}, Paths: []string{"/x"}}, "get", "/x", false},
		{Bypass{Methods: []string{"GET", "HEAD"}, Paths: []string{"/x"}}, "HEAD", "/x", true},
	} {
		e := newExpander()
		b := tc.line.read(e)
		u, err := url.ParseRequestURI(tc.target)
		if tc.target == "*" {
			u, err = &url.URL{Path: "*"}, nil
		}
		if err != nil || e.errs != nil {
			t.Fatal(err, e.errs)
		}
		if got := canonical(u) && b.covers(tc.method, u.Path); got != tc.want {
			t.Errorf("bypass %v %v, %s %s: %v, want %v", tc.line.Methods, tc.line.Paths, tc.method, tc.target, got, tc.want)
		}
	}
}

// A line that exempts everything is a gate that is not there.
func TestBypassOfEverything(t *testing.T) {
	e := newExpander()
	(&Bypass{Paths: []string{"/*"}}).read(e)
	if len(e.errs) != 1 {
		t.Errorf("got errors %v, want one", e.errs)
	}
}
