package oauth

import (
	"cmp"
	"context"
	"errors"
	"time"

	"github.com/caddy-admit/admit/internal/store"
)

// minDue is how far apart two questions about a session are at least, whatever the
// provider says of the life of its tokens.
const minDue = 10 * time.Second

// renewFromProvider asks the provider about a session and keeps the answer. The
// lock of the record is held all the while: of several processes one asks, and the
// others find what it was told (threat 69). Who does not get the lock does not
// ask. What could not be kept is noted in f, and taken up the next time.
func (s *Sessions) renewFromProvider(ctx context.Context, id string, f *failure) (*Session, error) {
	seals, err := s.sealers(ctx)
	if err != nil {
		return nil, s.observed(err)
	}
	record, unlock, err := s.lockRecord(ctx, id)
	if err != nil {
		return nil, s.observed(s.gone(id, err))
	}
	defer unlock()
	if !s.due(record) { // another process has asked
		s.records.put(id, record, s.now())
		return record, nil
	}
	renewed := f.unsaved
	if renewed == nil || f.spent != record.Tokens {
		own := *record
		renewed, err = s.config.Renewer(ctx, &own)
	}
	if err == nil && record.Subject != "" && renewed.Subject != record.Subject {
		err = ErrRefused // somebody else: threat 70
	}
	if err != nil && !errors.Is(err, ErrRefused) {
		if renewed != nil {
			s.keepTokens(ctx, seals, record, renewed.Tokens)
		}
		return nil, s.observed(err)
	}
	refused := err
	if refused != nil {
		renewed = nil
	}
	kept, err := s.keepAnswer(ctx, seals, record, renewed)
	if err == nil || final(err) {
		f.unsaved, f.spent = nil, Tokens{}
	} else {
		f.unsaved, f.spent = renewed, record.Tokens
	}
	if errors.Is(err, ErrSessionRevoked) {
		s.observed(refused)
		return nil, err
	}
	return kept, s.observed(err)
}

// keepAnswer writes what the provider said about a record: a session, or nil that
// it is over. The record is read again. One that is gone, since its user has
// logged out meanwhile, is not written; one that has other tokens by now was
// renewed by a process that thought the lock was lost, and wins.
func (s *Sessions) keepAnswer(ctx context.Context, seals *sessionSeals, asked, renewed *Session) (*Session, error) {
	ctx, cancel := bounded(ctx) // however long the provider took
	defer cancel()
	at := s.now()
	record, err := s.loadRecord(ctx, asked.ID)
	switch {
	case err != nil:
		return nil, s.gone(asked.ID, err)
	case record.Tokens != asked.Tokens:
		s.records.put(asked.ID, record, at)
		return record, nil
	case renewed == nil:
		_ = s.end(ctx, record) // known here at least, and refused anew elsewhere
		return nil, ErrSessionRevoked
	}
	next := *renewed
	next.settle()
	next.IDToken, next.SID = cmp.Or(next.IDToken, record.IDToken), cmp.Or(next.SID, record.SID)
	next.Tokens.Refresh = cmp.Or(next.Tokens.Refresh, record.Tokens.Refresh)
	next.ID, next.Stamp, next.stored = record.ID, record.Stamp, true
	next.Began, next.Seen, next.Ends = record.Began, record.Seen, record.Ends
	if soon := at.Add(minDue); !next.Due.IsZero() && next.Due.Before(soon) {
		next.Due = soon
	}
	if err := s.storeRecord(ctx, seals, &next); err != nil {
		return nil, err
	}
	return &next, nil
}

// keepTokens keeps what a provider gave before it failed: the refresh token that
// was shown to it may be spent, and showing it again would end the session
// (threat 69). All else stays, so that the session is due as before. A storage that
// fails at this moment as well costs the session.
func (s *Sessions) keepTokens(ctx context.Context, seals *sessionSeals, asked *Session, tokens Tokens) {
	ctx, cancel := bounded(ctx)
	defer cancel()
	record, err := s.loadRecord(ctx, asked.ID)
	if err != nil || record.Tokens != asked.Tokens {
		return
	}
	next := *record
	tokens.ID = ""
	next.Tokens = tokens
	_ = s.storeRecord(ctx, seals, &next)
}

// gone turns the absence of a record into the end of its session. Why it is gone,
// if not swept, the marks know.
func (s *Sessions) gone(id string, err error) error {
	if errors.Is(err, store.ErrNotExist) {
		s.records.drop(id)
		return ErrSessionExpired
	}
	return err
}

// observed tells how a renewal ended, unless somebody else asks or the session has
// ended by itself.
func (s *Sessions) observed(err error) error {
	if s.config.Observe != nil && !errors.Is(err, errBusy) && !final(err) {
		s.config.Observe(err)
	}
	return err
}
