package outbound

import (
	"net/http"
	"strconv"
	"strings"
	"time"
)

// maxDelta is where RFC 9111 section 1.2.2 lets a recipient stop counting.
const maxDelta = 1<<31 - 1

// freshness returns the lifetime left by Cache-Control and Age, and whether
// there is any. Freshness information that cannot be read, or that contradicts
// itself, counts as stale (RFC 9111 section 4.2.1).
func freshness(h http.Header) (time.Duration, bool) {
	var (
		seconds int64
		found   bool
		stale   bool
	)
	for _, directive := range directives(strings.Join(h.Values("Cache-Control"), ",")) {
		name, value, _ := strings.Cut(directive, "=")
		switch strings.ToLower(strings.TrimSpace(name)) {
		case "no-store", "no-cache":
			stale = true
		case "max-age":
			n, ok := deltaSeconds(unquote(strings.TrimSpace(value)))
			stale = stale || !ok || found && n != seconds
			seconds, found = n, true
		}
	}
	if stale {
		return 0, true
	}
	if !found {
		return 0, false
	}
	if age, ok := deltaSeconds(strings.TrimSpace(h.Get("Age"))); ok {
		seconds = max(0, seconds-age)
	}
	return time.Duration(seconds) * time.Second, true
}

// directives splits a header value at the commas outside of quoted strings.
func directives(s string) []string {
	var list []string
	quoted, start := false, 0
	for i := 0; i < len(s); i++ {
		switch {
		case s[i] == '\\' && quoted:
			i++
		case s[i] == '"':
			quoted = !quoted
		case s[i] == ',' && !quoted:
			list = append(list, s[start:i])
			start = i + 1
		}
	}
	return append(list, s[start:])
}

func unquote(s string) string {
	if len(s) >= 2 && s[0] == '"' && s[len(s)-1] == '"' {
		return s[1 : len(s)-1]
	}
	return s
}

// deltaSeconds reads digits and nothing else; a number too large is [maxDelta].
func deltaSeconds(s string) (int64, bool) {
	if s == "" || strings.Trim(s, "0123456789") != "" {
		return 0, false
	}
	n, err := strconv.ParseInt(s, 10, 64)
	if err != nil {
		return maxDelta, true // out of range is the only error left
	}
	return min(n, maxDelta), true
}
