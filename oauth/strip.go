package oauth

import (
	"iter"
	"net/http"
	"net/textproto"
	"slices"
	"strings"
)

// cookies goes through the cookies in the lines of a request: names and values as they
// are, without the blanks around them.
func cookies(lines []string) iter.Seq2[string, string] {
	return func(yield func(name, value string) bool) {
		for _, line := range lines {
			for name, value := "", ""; line != ""; {
				if name, value, line = cutCookie(line); !yield(name, value) {
					return
				}
			}
		}
	}
}

// cutCookie returns the first cookie of a line, and what comes after it.
func cutCookie(line string) (name, value, rest string) {
	pair, rest, _ := strings.Cut(line, ";")
	name, value, _ = strings.Cut(pair, "=")
	return textproto.TrimString(name), textproto.TrimString(value), rest
}

// Strip takes the cookies of these sessions and of logins under way out of a
// request. Other cookies stay byte for byte.
func (s *Sessions) Strip(r *http.Request) { stripCookies(r, s.cookies.owns) }

// StripAll takes out of a request what Strip of each of the sessions does, and all
// cookies with a standard name, whichever gate's they are: no application has a use for
// the sessions of another. It reports whether there was one.
func StripAll(r *http.Request, sessions []*Sessions) bool {
	return stripCookies(r, func(name string) bool {
		return isStandard(name) || slices.ContainsFunc(sessions, func(s *Sessions) bool { return s.cookies.owns(name) })
	})
}

// isStandard reports whether a cookie has the name that one of a session or of a
// login under way has by default.
func isStandard(name string) bool {
	for _, prefix := range []string{"__Host-admit", "__Secure-admit"} {
		if rest, ok := strings.CutPrefix(name, prefix); ok && (rest == "" || rest[0] == '-' || rest[0] == '.') {
			return true
		}
	}
	return false
}

// stripCookies takes cookies out of a request, and reports whether there were any. The
// lines that it had stay as they are, for those who hold them.
func stripCookies(r *http.Request, owns func(name string) bool) (had bool) {
	lines := r.Header["Cookie"]
	var kept []string
	for i, line := range lines {
		left, gone := stripLine(line, owns)
		if gone && !had {
			had, kept = true, append(kept, lines[:i]...)
		}
		if had && left != "" {
			kept = append(kept, left)
		}
	}
	switch {
	case !had:
	case len(kept) == 0:
		delete(r.Header, "Cookie")
	default:
		r.Header["Cookie"] = kept
	}
	return had
}

// stripLine leaves a line without cookies of ours as it is. Of another one all
// pairs stay as they are, and what was between the first and the last of them.
func stripLine(line string, owns func(name string) bool) (left string, gone bool) {
	var room [4]string
	kept, start := room[:0], -1 // where what is kept next begins
	for i := 0; i <= len(line); {
		pair, _, _ := strings.Cut(line[i:], ";")
		name, _, _ := strings.Cut(pair, "=")
		switch ours := owns(textproto.TrimString(name)); {
		case !ours && start < 0:
			start = i
		case ours && start >= 0:
			kept, start = append(kept, line[start:i-len(";")]), -1
			fallthrough
		case ours:
			gone = true
		}
		i += len(pair) + len(";")
	}
	if !gone {
		return line, false
	}
	if start >= 0 {
		kept = append(kept, line[start:])
	}
	return textproto.TrimString(strings.Join(kept, ";")), true
}
