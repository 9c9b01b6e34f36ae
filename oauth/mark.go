package oauth

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"time"

	"github.com/caddy-admit/admit/internal/store"
)

// MarkKind says whose sessions a mark ends.
type MarkKind string

const (
	MarkSession MarkKind = "session" // the one of an ID
	MarkUser    MarkKind = "user"    // those of a user that began until now
	MarkAll     MarkKind = "all"     // those of the integration that began until now

	// Marks of the provider, see [Sessions.MarkProvider].
	markSID     MarkKind = "sid"
	markSubject MarkKind = "sub"
	markBoth    MarkKind = "sid and sub"
)

// mark names a mark. Its value is the time until which sessions had to begin for
// it to end them; zero stands for no mark.
type mark struct {
	kind MarkKind
	name string
}

// endOfTime is later than the beginning of any session.
var endOfTime = time.UnixMilli(1<<62 - 1)

// Mark ends sessions everywhere: in this process at once, in others within 10 s.
// The name is a session's ID, a user, or empty for all. Until says when the mark
// may be swept: no session that it ends may last longer. The error is a
// [store.ErrUnavailable].
func (s *Sessions) Mark(ctx context.Context, kind MarkKind, name string, until time.Time) error {
	at := s.now()
	before := at
	if kind == MarkSession {
		before = endOfTime // whenever it began by the clock of another node
	}
	return s.putMark(ctx, mark{kind, name}, at, before, until)
}

// putMark writes a mark that ends what began before a time.
func (s *Sessions) putMark(ctx context.Context, m mark, at, before, until time.Time) error {
	ctx, cancel := bounded(ctx)
	defer cancel()
	// Noted here first: where the storage fails, this process at least knows it.
	s.marks.put(m, before, at)
	defer s.marksMade.Add(1) // when all of it is noted
	s.marksMade.Add(1)
	if m.kind != MarkSession {
		if other, err := s.loadMark(ctx, m); err == nil && other.After(before) && !other.After(before.Add(leeway)) {
			before = other // of a node whose clock is ahead: nobody gets back in
			s.marks.put(m, before, at)
		}
	}
	return s.storage.Store(ctx, s.markKey(m), withExpiry(until, strconv.AppendInt(nil, before.UnixMilli(), 10)))
}

func (s *Sessions) markKey(m mark) string {
	return store.Key(markFolder, s.config.Integration, string(m.kind)+":"+m.name)
}

// loadMark reads a mark. One that cannot be read ends what it names: it is there.
// Marks are not sealed, else a new secret would make them unreadable.
func (s *Sessions) loadMark(ctx context.Context, m mark) (time.Time, error) {
	value, err := s.storage.Load(ctx, s.markKey(m))
	if errors.Is(err, store.ErrNotExist) {
		return time.Time{}, nil
	}
	if err != nil {
		return time.Time{}, err
	}
	_, text, _ := cutExpiry(value)
	millis, err := strconv.ParseInt(string(text), 10, 64)
	if err != nil {
		return endOfTime, nil
	}
	return time.UnixMilli(millis), nil
}

// maxMarksOf is how many marks may end one session.
const maxMarksOf = 6

// marksOf adds the names of the marks that may end a session.
func (s *Sessions) marksOf(names []mark, session *Session) []mark {
	names = append(names, mark{MarkSession, session.ID}, mark{MarkAll, ""})
	if session.User != "" {
		names = append(names, mark{MarkUser, session.User})
	}
	return s.providerMarks(names, session)
}

// revoked returns [ErrSessionRevoked] for a session that a mark ends. Marks that
// are not remembered are asked for all at once; each is asked for at most once in
// 10 s, those of a user or of all for many sessions together.
func (s *Sessions) revoked(ctx context.Context, session *Session) error {
	return s.revokedAt(ctx, session, s.now())
}

// revokedAt is revoked for who has just asked for the time.
func (s *Sessions) revokedAt(ctx context.Context, session *Session, now time.Time) error {
	made := s.marksMade.Load()
	if session.opened != nil {
		if known := session.opened.unmarked.Load(); known != nil && known.marks == made && now.Before(known.until) && !now.Before(known.until.Add(-2*markLife)) {
			return nil
		}
	}
	known, err := s.asked(ctx, session)
	if err != nil {
		return err
	}
	if session.opened != nil {
		session.opened.unmarked.Store(&unmarked{known.Add(markLife), made})
	}
	return nil
}

// asked is revoked for a session about which the marks are asked. It returns when
// the oldest of what it was told was so.
func (s *Sessions) asked(ctx context.Context, session *Session) (oldest time.Time, err error) {
	oldest = s.now()
	var names [maxMarksOf]mark
	var before [maxMarksOf]time.Time
	var asked [maxMarksOf]*lookup[time.Time]
	n := len(s.marksOf(names[:0], session))
	for i, m := range names[:n] {
		var at time.Time
		before[i], at, asked[i] = s.marks.start(ctx, m)
		if at.Before(oldest) {
			oldest = at
		}
	}
	for i, question := range asked[:n] {
		if question != nil {
			if before[i], err = question.wait(ctx); err != nil {
				return oldest, fmt.Errorf("oauth: whether a session was ended: %w", err)
			}
		}
		if !before[i].IsZero() && !session.Began.After(before[i]) {
			return oldest, ErrSessionRevoked
		}
	}
	return oldest, nil
}
