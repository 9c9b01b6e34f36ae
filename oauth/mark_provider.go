package oauth

import (
	"context"
	"errors"
	"strconv"
	"time"
)

// ErrNoMarks means that sessions are not where a provider could end them: marks of
// the provider count for sessions that are all kept in storage (threat 77).
var ErrNoMarks = errors.New("oauth: the provider can end sessions only with store storage")

// MarkProvider ends sessions that the provider names by its own words for them
// (OpenID Connect Back-Channel Logout 1.0 section 2.4): all of a subject, the one
// of a sid, or of both, and then both must fit (threat 74). In this process they
// end at once, in others within 10 s. Whose subject and sid they are is told by the
// integration. The mark is kept until a time, and as long as any session may last.
// The error is [ErrNoMarks] or a [store.ErrUnavailable].
//
// A subject's sessions end that began until now: the next login counts. A sid is of
// one login and does not come again, so it ends also what begins within a minute:
// a login that was under way, or one by a clock that is ahead.
func (s *Sessions) MarkProvider(ctx context.Context, sid, sub string, until time.Time) error {
	if !s.InStorage() {
		return ErrNoMarks
	}
	at := s.now()
	if end := at.Add(s.config.Max + leeway); until.Before(end) {
		until = end
	}
	switch {
	case sid == "" && sub == "":
		return errors.New("oauth: a mark without sid and sub")
	case sid == "":
		return s.putMark(ctx, mark{markSubject, sub}, at, at, until)
	case sub == "":
		return s.putMark(ctx, mark{markSID, sid}, at, at.Add(leeway), until)
	}
	return s.putMark(ctx, mark{markBoth, bothName(sid, sub)}, at, at.Add(leeway), until)
}

// providerMarks adds the names of the marks by which the provider may end a
// session. Each way of naming it has a mark of its own, so that none replaces
// another.
func (s *Sessions) providerMarks(names []mark, session *Session) []mark {
	if !s.InStorage() {
		return names
	}
	if session.Subject != "" {
		names = append(names, mark{markSubject, session.Subject})
	}
	if session.SID != "" {
		names = append(names, mark{markSID, session.SID})
	}
	if session.Subject != "" && session.SID != "" {
		names = append(names, mark{markBoth, bothName(session.SID, session.Subject)})
	}
	return names
}

// bothName joins a sid and a sub so that no two pairs are one.
func bothName(sid, sub string) string { return strconv.Itoa(len(sid)) + ":" + sid + sub }
