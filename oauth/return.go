package oauth

import (
	"errors"
	"net/url"
	"strings"
)

// MaxReturn is the length in bytes of the longest return target.
const MaxReturn = 2048

// ErrUnsafeReturn means that a return target could lead to another site.
var ErrUnsafeReturn = errors.New("oauth: return target leaves this site")

// ReturnPath checks where the browser asks to go after sign-in. It accepts an
// absolute path with an optional query, at most 2048 bytes long, and returns it
// unchanged. It returns [ErrUnsafeReturn] for anything else: a scheme, "//host",
// a backslash or a control byte, each of which some browser reads as another
// origin (RFC 9700 section 4.11), and dot segments, which a browser takes away
// before it looks.
func ReturnPath(target string) (string, error) {
	if len(target) > MaxReturn || !strings.HasPrefix(target, "/") || strings.HasPrefix(target, "//") {
		return "", ErrUnsafeReturn
	}
	if strings.ContainsAny(target, `\#`) || strings.ContainsFunc(target, func(r rune) bool { return r <= ' ' || r == 0x7f || r > '~' }) {
		return "", ErrUnsafeReturn
	}
	u, err := url.Parse(target)
	if err != nil || u.Scheme != "" || u.Host != "" || u.User != nil || !safePath(u.Path) {
		return "", ErrUnsafeReturn
	}
	return target, nil
}

// ReturnURL reads a return target on another host: an absolute http or https URL of
// a host, with or without a port, and of what [ReturnPath] accepts. Which hosts may
// be returned to is up to the caller. It returns [ErrUnsafeReturn] for anything
// that some browser may read in another way than it is written here.
func ReturnURL(target string) (*url.URL, error) {
	u, err := url.Parse(target)
	if err != nil || u.Scheme != "https" && u.Scheme != "http" || len(target) > MaxReturn {
		return nil, ErrUnsafeReturn
	}
	plain := u.Scheme + "://" + u.Host
	rest, ok := strings.CutPrefix(target, plain)
	if !ok || u.User != nil || !plainHost(u.Host) {
		return nil, ErrUnsafeReturn
	}
	if _, err := ReturnPath(rest); err != nil {
		return nil, ErrUnsafeReturn
	}
	return u, nil
}

// plainHost reports whether a host is a name in lower case, with or without a port.
func plainHost(host string) bool {
	name, port, found := strings.Cut(host, ":")
	letters := strings.Trim(name, "abcdefghijklmnopqrstuvwxyz0123456789-.")
	return name != "" && letters == "" && !strings.HasPrefix(name, ".") && strings.Trim(port, "0123456789") == "" && (port != "") == found
}

// safePath looks at a decoded path: what a server behind may redirect to.
func safePath(path string) bool {
	if strings.HasPrefix(path, "//") || strings.ContainsAny(path, "\\\t\r\n") {
		return false
	}
	for segment := range strings.SplitSeq(path, "/") {
		if segment == "." || segment == ".." {
			return false
		}
	}
	return true
}
