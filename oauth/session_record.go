package oauth

import (
	"bytes"
	"context"
	"errors"
	"net/http"
	"strconv"
	"time"

	"github.com/caddy-admit/admit/internal/store"
)

// Folders of the storage: a record for each session that is kept there, a mark for
// each that was ended, and long return targets of logins under way. A storage knows
// no expiry, so every value begins with its own, in clear: [SweepSessions] needs no
// key to see what is old.
const (
	recordFolder = "sessions"
	markFolder   = "marks"
	targetFolder = "returns"
)

// withExpiry writes until when a value counts before it: Unix seconds in
// decimals, and a line break.
func withExpiry(until time.Time, value []byte) []byte {
	dst := strconv.AppendInt(nil, until.Unix()+1, 10)
	return append(append(dst, '\n'), value...)
}

// cutExpiry reads what [withExpiry] wrote.
func cutExpiry(data []byte) (until time.Time, value []byte, ok bool) {
	head, value, ok := bytes.Cut(data, []byte{'\n'})
	seconds, err := strconv.ParseInt(string(head), 10, 64)
	return time.Unix(seconds, 0), value, ok && err == nil
}

func (s *Sessions) recordKey(id string) string {
	return store.Key(recordFolder, s.config.Integration, id)
}

// storeRecord writes a session to the storage and remembers it.
func (s *Sessions) storeRecord(ctx context.Context, seals *sessionSeals, session *Session) error {
	at := s.now()
	sealed := seals.record.Seal(nil, appendSession(nil, session, formSession))
	if err := s.storage.Store(ctx, s.recordKey(session.ID), withExpiry(s.Expires(session), sealed)); err != nil {
		return err
	}
	record := *session
	record.opened = new(sessionMemo)
	s.records.put(session.ID, &record, at)
	return nil
}

// loadRecord reads a session from the storage. The error is a
// [store.ErrNotExist], [ErrSessionInvalid] or a [store.ErrUnavailable].
func (s *Sessions) loadRecord(ctx context.Context, id string) (*Session, error) {
	seals, err := s.sealers(ctx)
	if err != nil {
		return nil, err
	}
	value, err := s.storage.Load(ctx, s.recordKey(id))
	if err != nil {
		return nil, err
	}
	session, err := openRecord(seals, value)
	if err != nil || session.ID != id { // the record of another session
		return nil, ErrSessionInvalid
	}
	return session, nil
}

// size returns how many bytes the texts of a session take.
func (s *Session) size() int {
	t := &s.Tokens
	return len(s.ID) + len(s.User) + len(s.Claims) + len(s.Stamp) + len(s.Subject) + len(s.SID) + len(s.IDToken) +
		len(t.Access) + len(t.Refresh) + len(t.Type) + len(t.Scope)
}

// openRecord opens what [Sessions.storeRecord] wrote, or returns
// [ErrSessionInvalid].
func openRecord(seals *sessionSeals, value []byte) (*Session, error) {
	_, sealed, _ := cutExpiry(value)
	plain, err := seals.record.Open(nil, sealed)
	if err != nil {
		return nil, ErrSessionInvalid
	}
	session, ok := parseSession(plain)
	if !ok || session.stored { // a reference
		return nil, ErrSessionInvalid
	}
	session.stored, session.opened = true, new(sessionMemo)
	return session, nil
}

// Renew notes that an open session is in use, once a tenth of the idle time has
// passed since that was noted last. A storage that cannot note it is no error:
// the session lives on until its idle time is over.
func (s *Sessions) Renew(ctx context.Context, w http.ResponseWriter, r *http.Request, session *Session) error {
	now := s.now().Truncate(time.Millisecond)
	if s.fresh(session, now) || s.over(session) {
		return nil
	}
	seals, err := s.sealers(ctx)
	if err != nil {
		return err
	}
	renewed := *session
	renewed.Seen = now
	if session.stored {
		if !s.renewRecord(ctx, seals, session.ID, now) {
			return nil
		}
		renewed = *reference(session) // under the first secret from now on
	}
	if value := s.cookies.seal(seals.cookie, &renewed); s.cookies.fits(value) {
		s.cookies.write(w, r, value, session.Ends.Sub(now))
	}
	return nil
}

// Fresh reports whether Renew had nothing to note about a session when that was opened,
// as most often.
func (s *Sessions) Fresh(session *Session) bool {
	if session.opened == nil {
		return s.fresh(session, s.now())
	}
	return !session.opened.aged.Load()
}

// noteAge notes for Fresh whether a session is still fresh, for who has just asked for
// the time.
func (s *Sessions) noteAge(session *Session, now time.Time) {
	if session.opened != nil && !s.fresh(session, now) {
		session.opened.aged.Store(true)
	}
}

// fresh reports whether a session needs no renewal at a time.
func (s *Sessions) fresh(session *Session, now time.Time) bool {
	return s.config.Idle == 0 || now.Sub(session.Seen) < s.config.Idle/10
}

const (
	renewWait  = 2 * time.Second  // for the lock of a record
	renewPause = 10 * time.Second // after a failure
)

// renewRecord notes in the storage that a session is in use, and reports whether
// it did. One request of a session does so at a time, and none for a while after
// the storage refused: a request waits for nothing that it does not need.
func (s *Sessions) renewRecord(ctx context.Context, seals *sessionSeals, id string, now time.Time) bool {
	if now.UnixMilli() < s.paused.Load() || s.refreshes.under(id) {
		return false
	}
	if _, busy := s.renewing.LoadOrStore(id, nil); busy {
		return false
	}
	defer s.renewing.Delete(id)
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), renewWait)
	defer cancel()
	done, err := s.renewLocked(ctx, seals, id, now)
	if errors.Is(err, store.ErrUnavailable) {
		s.paused.Store(now.Add(renewPause).UnixMilli())
	}
	return done
}

func (s *Sessions) renewLocked(ctx context.Context, seals *sessionSeals, id string, now time.Time) (done bool, err error) {
	record, unlock, err := s.lockRecord(ctx, id)
	if err != nil {
		return false, err
	}
	defer unlock()
	if s.fresh(record, now) {
		s.records.put(id, record, now)
		return false, nil
	}
	record.Seen = now
	err = s.storeRecord(ctx, seals, record)
	return err == nil, err
}

// lockRecord waits for the lock of a record, at most 2 s, and reads the record as
// it is then, not as it was remembered: another node may have changed it. A record
// that is gone is not to be written again. The error is an [errBusy] where the lock
// was not to be had in time, else what [Sessions.loadRecord] returns.
func (s *Sessions) lockRecord(ctx context.Context, id string) (record *Session, unlock func(), err error) {
	// The context of a lock lives as long as the lock, whatever a storage does
	// with it.
	ctx, cancel := context.WithCancel(ctx)
	timer := time.AfterFunc(s.lockWait, cancel)
	release, err := s.storage.Lock(ctx, s.recordKey(id))
	timer.Stop()
	if err != nil {
		if ctx.Err() != nil {
			err = errBusy
		}
		cancel()
		return nil, nil, err
	}
	unlock = func() {
		release()
		cancel()
	}
	if record, err = s.loadRecord(ctx, id); err != nil {
		unlock()
		return nil, nil, err
	}
	return record, unlock, nil
}

// sweepSlack is how long something old is left alone, for clocks that differ.
const sweepSlack = 10 * time.Minute

// SweepSessions deletes the records and marks of sessions that have ended by
// themselves, and return targets of logins that never came back, of all
// integrations that share a storage. It reads all of them, so it is for every hour
// or so; one process at a time does it. What cannot be read stays: as a mark it still
// keeps somebody out. Errors are as those of [store.Sweep].
func SweepSessions(ctx context.Context, storage store.Store, now time.Time) error {
	before := now.Add(-sweepSlack)
	var errs []error
	for _, folder := range []string{recordFolder, markFolder, targetFolder} {
		errs = append(errs, store.Sweep(ctx, storage, folder, func(value []byte) bool {
			until, _, ok := cutExpiry(value)
			return ok && until.Before(before)
		}))
	}
	return errors.Join(errs...)
}
