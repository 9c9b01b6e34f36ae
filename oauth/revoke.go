package oauth

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/caddy-admit/admit/internal/store"
)

// revokedFor is how long a mark of [Sessions.Revoke] stays at least: a limit of
// sessions that is lowered now may be raised again.
const revokedFor = 720 * time.Hour

// Revoke ends what a user began until now, or for "" what anybody did: sessions,
// those in cookies too, and whatever asks [Sessions.Ended]. In this process that
// is at once, in others within 10 s by the clock of this one. lasts is how long
// anything that asks may last without being used. The error is a
// [store.ErrUnavailable].
func (s *Sessions) Revoke(ctx context.Context, user string, lasts time.Duration) error {
	kind := MarkUser
	if user == "" {
		kind = MarkAll
	}
	return s.Mark(ctx, kind, user, s.now().Add(max(lasts, s.config.Max, revokedFor)))
}

// Ended reports whether [Sessions.Revoke] has ended what a user began at a time, as
// far as was known 10 s ago. It is for what is no session, such as refresh tokens.
// The error is a [store.ErrUnavailable].
func (s *Sessions) Ended(ctx context.Context, user string, began time.Time) (bool, error) {
	for _, m := range []mark{{MarkAll, ""}, {MarkUser, user}} {
		before, err := s.marks.get(ctx, m)
		if err != nil {
			return false, fmt.Errorf("oauth: whether a user was revoked: %w", err)
		}
		if !before.IsZero() && !began.Truncate(time.Millisecond).After(before) {
			return true, nil
		}
	}
	return false, nil
}

// Stored is what there is to say of a session in the storage. Nothing of it opens
// the session.
type Stored struct {
	// Key is where it lies in the storage.
	Key string
	// User is the session's, see [Session].
	User string
	// Began is the login, Seen the last use that was noted, Ends when it ends if it
	// is not used again.
	Began, Seen, Ends time.Time
}

// List returns the sessions in the storage that count, the latest login first. It
// reads all of the storage's sessions; those in sealed cookies are in no place
// where they could be counted. The error is a [store.ErrUnavailable].
func (s *Sessions) List(ctx context.Context) ([]Stored, error) {
	var all []Stored
	err := s.eachRecord(ctx, func(key string, session *Session) error {
		if s.over(session) {
			return nil
		}
		switch err := s.revoked(ctx, session); {
		case errors.Is(err, ErrSessionRevoked):
			return nil
		case err != nil:
			return err
		}
		all = append(all, Stored{Key: key, User: session.User, Began: session.Began, Seen: session.Seen, Ends: s.Expires(session)})
		return nil
	})
	slices.SortFunc(all, func(a, b Stored) int { return b.Began.Compare(a.Began) })
	return all, err
}

// DeleteRevoked deletes the sessions in the storage that a mark has ended, and with
// them what the provider gave. It returns how many there were. They count no more
// in any case; an error, a [store.ErrUnavailable], leaves them to be swept.
func (s *Sessions) DeleteRevoked(ctx context.Context) (n int, err error) {
	err = s.eachRecord(ctx, func(key string, session *Session) error {
		err := s.revoked(ctx, session)
		if !errors.Is(err, ErrSessionRevoked) {
			return err
		}
		ctx, cancel := bounded(ctx)
		defer cancel()
		if err := s.storage.Delete(ctx, key); err != nil && !errors.Is(err, store.ErrNotExist) {
			return err
		}
		s.records.drop(session.ID)
		if !s.over(session) {
			n++
		}
		return nil
	})
	return n, err
}

// eachRecord calls a function with each session in the storage that is one of
// these, those that are over too.
func (s *Sessions) eachRecord(ctx context.Context, call func(key string, session *Session) error) error {
	seals, err := s.sealers(ctx)
	if err != nil {
		return err
	}
	return store.Each(ctx, s.storage, recordFolder, func(key string, value []byte) error {
		// What does not open is another integration's.
		if session, err := openRecord(seals, value); err == nil && key == s.recordKey(session.ID) {
			return call(key, session)
		}
		return nil
	})
}
