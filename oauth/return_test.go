package oauth

import (
	"errors"
	"net/url"
	"os"
	"strings"
	"testing"
)

// TestReturnPath: next to each target that is taken stands one that is not
// (threats 56, 63).
func TestReturnPath(t *testing.T) {
	for _, tc := range []struct {
		target string
		ok     bool
	}{
		{"/", true},
		{"", false},
		{" /", false},
		{"?x", false},
		{"x", false},
		{".", false},
		{"/x", true},
		{"//x", false},
		{"///x", false},
		{"/%2fx", false},
		{"/%2Fx", false},
		{"/x//y", true},
		{"/x/%2fy", true},
		{`/x\y`, false},
		{`/\x`, false},
		{`\\x`, false},
		{"/%5cx", false},
		{"/x%5Cy", false},
		{"/x y", false},
		{"/x%20y", true},
		{"/x\ty", false},
		{"/%09/x", false},
		{"/x\ny", false},
		{"/%0a/x", false},
		{"/x%0d%0aSet-Cookie:a", false},
		{"/\x00", false},
		{"/\x7f", false},
		{"/é", false},
		{"/%C3%A9", true},
		{"/／x", false},
		{"/。x", false},
		{"/..", false},
		{"/../x", false},
		{"/x/../y", false},
		{"/x/.", false},
		{"/%2e%2e/x", false},
		{"/.%2e/x", false},
		{"/..x", true},
		{"/x..", true},
		{"/.well-known/x", true},
		{"/%zz", false},
		{"/%", false},
		{"/%25", true},
		{"/x?a=1&b=%2F%2Fevil.example", true},
		{"/?//evil.example", true},
		{"/?x=https://evil.example", true},
		{`/?x=\`, false},
		{"/?x=%5C", true},
		{"/?%zz", true},
		{"/x#y", false},
		{"/#//evil.example", false},
		{"/x#", false},
		{"https://evil.example", false},
		{"https:/x", false},
		{"https:x", false},
		{"javascript:alert(1)", false},
		{"data:text/html,x", false},
		{"/https://evil.example", true},
		{"/@evil.example", true},
		{"/:80", true},
		{"/x:y@z", true},
		{"http:///x", false},
		{"/;x", true},
		{"/" + strings.Repeat("x", MaxReturn-1), true},
		{"/" + strings.Repeat("x", MaxReturn), false},
	} {
		got, err := ReturnPath(tc.target)
		if (err == nil) != tc.ok || err != nil && (!errors.Is(err, ErrUnsafeReturn) || got != "") || err == nil && got != tc.target {
			t.Errorf("%.80q: got %q, %v; want it taken: %v", tc.target, got, err, tc.ok)
		}
	}
}

// TestOpenRedirects: what others were led astray by. None of the list is a path
// with a query alone, so none of it passes as it stands.
func TestOpenRedirects(t *testing.T) {
	data, err := os.ReadFile("../testdata/open-redirect/oauth2-proxy-openredirects.txt")
	if err != nil {
		t.Fatal(err)
	}
	lines := strings.Split(strings.TrimRight(string(data), "\n"), "\n")
	if len(lines) != 559 {
		t.Errorf("%d lines", len(lines))
	}
	for _, line := range lines {
		decoded, err := url.QueryUnescape(line)
		if err != nil {
			decoded = line
		}
		for _, target := range []string{line, decoded} {
			if got, err := ReturnPath(target); err == nil && strays(got) {
				t.Errorf("%q leads astray", got)
			}
		}
	}
}

// strays reports whether a browser on this site leaves it by a target, or a server
// that decodes the path once more sends it away.
func strays(target string) bool {
	// A browser drops tab and newline and reads "\" as "/" before it looks for a host.
	seen := strings.NewReplacer("\t", "", "\n", "", "\r", "", `\`, "/").Replace(target)
	base := &url.URL{Scheme: "https", Host: "app.example"}
	u, err := base.Parse(seen)
	return err != nil || strings.TrimLeft(seen, " \x00") != seen || !strings.HasPrefix(seen, "/") || strings.HasPrefix(seen, "//") ||
		u.Host != base.Host || u.Scheme != base.Scheme || u.User != nil || strings.HasPrefix(u.Path, "//")
}

func FuzzReturnPath(f *testing.F) {
	for _, target := range []string{"/", "/x?y=z", "//evil.example", `/\evil.example`, "/\t/evil.example", "/%2f/x", "/%5cx", "/..//x", "/.%2e/x", "/?\\", "/#", "https://x", "/%e2%80%a8", "/x\x00"} {
		f.Add(target)
	}
	f.Fuzz(func(t *testing.T, target string) {
		got, err := ReturnPath(target)
		if err != nil {
			if got != "" || !errors.Is(err, ErrUnsafeReturn) {
				t.Errorf("%q: got %q, %v", target, got, err)
			}
			return
		}
		if got != target || len(got) > MaxReturn || strays(got) {
			t.Errorf("accepted %q", target)
		}
		// It is a value of a header, and what a browser asks for is what was meant.
		if strings.ContainsFunc(got, func(r rune) bool { return r <= ' ' || r >= 0x7f }) {
			t.Errorf("accepted %q, no text for Location", got)
		}
		u, err := url.Parse(got)
		if err != nil || (&url.URL{Scheme: "https", Host: "app.example"}).ResolveReference(u).Path != u.Path {
			t.Errorf("accepted %q, which a browser changes", got)
		}
	})
}

// TestReturnURL: a target on another host is what every browser reads in the same
// way; whether its host may be returned to is not asked here (threat 56).
func TestReturnURL(t *testing.T) {
	for _, tc := range []struct {
		target string
		ok     bool
	}{
		{"https://app.example.com/", true},
		{"https://app.example.com", false},
		{"https://app.example.com?x", false},
		{"https://app.example.com/x?y=1&z=//a", true},
		{"https://app.example.com:8443/x", true},
		{"https://app.example.com:/x", false},
		{"https://app.example.com:x/x", false},
		{"http://a.localhost:8080/x", true},
		{"HTTPS://app.example.com/x", false},
		{"https://APP.example.com/x", false},
		{"https:/app.example.com/x", false},
		{"https:///app.example.com/x", false},
		{"https:app.example.com/x", false},
		{"//app.example.com/x", false},
		{"ftp://app.example.com/x", false},
		{"javascript://app.example.com/%0aalert(1)", false},
		{"https://user@app.example.com/x", false},
		{"https://app.example.com@evil.example/x", false},
		{`https://app.example.com\@evil.example/x`, false},
		{`https://evil.example\.example.com/x`, false},
		{"https://app.example.com%2f.evil.example/x", false},
		{"https://app.example.com /x", false},
		{"https://app.example.com\t/x", false},
		{"https://äpp.example.com/x", false},
		{"https://[::1]/x", false},
		{"https://.example.com/x", false},
		{"https://app.example.com//evil.example", false},
		{"https://app.example.com/x#y", false},
		{"https://app.example.com/../x", false},
		{"https://app.example.com/" + strings.Repeat("x", MaxReturn), false},
		{"/x", false},
		{"", false},
	} {
		got, err := ReturnURL(tc.target)
		if (err == nil) != tc.ok || err != nil && !errors.Is(err, ErrUnsafeReturn) || err == nil && got.String() != tc.target {
			t.Errorf("%.80q: got %v, %v; want it taken: %v", tc.target, got, err, tc.ok)
		}
	}
}
