package local

import (
	"context"
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"golang.org/x/sync/singleflight"

	"github.com/caddy-admit/admit/internal/seal"
	"github.com/caddy-admit/admit/internal/store"
)

const (
	familyFolder = "refresh"
	// grace is how long the last spent token gets the same successor again: two
	// tabs, or an answer that was lost on its way (RFC 9700 section 4.14.2).
	grace = 10 * time.Second

	familyIDSize = 16
	tokenSize    = familyIDSize + 4 + sha256.Size
)

// ErrInvalidGrant means that a refresh token is not good, or not any more. It
// does not say why.
var ErrInvalidGrant = errors.New("local: refresh token not valid")

// Families are refresh tokens that rotate (RFC 9700 section 4.14.2). All tokens
// that follow from one sign-in are a family, of which only the last is good; who
// shows an older one ends it. A family lies in the storage, so that all processes
// agree. They are safe for concurrent use.
type Families struct {
	store       store.Store
	integration string
	life        time.Duration
	ended       Ended
	now         func() time.Time

	secret secretOnce
	flight singleflight.Group
}

// Ended reports whether what a user began at a time was ended by whoever runs the
// site. The error is a [store.ErrUnavailable].
type Ended func(ctx context.Context, user string, began time.Time) (bool, error)

// NewFamilies makes the refresh tokens of an integration; one lives for life
// after it was last used, unless it is one that has ended. It does not touch the
// storage.
func NewFamilies(s store.Store, integration string, life time.Duration, ended Ended, now func() time.Time) *Families {
	return &Families{
		store: s, integration: integration, life: life, ended: ended, now: now,
		secret: secretOnce{store: s, key: store.Key("secrets", integration, "refresh")},
	}
}

// Member is whose family it is, and the state of the credential that it began
// with.
type Member struct {
	User  string `json:"user"`
	Stamp string `json:"stamp"`
}

// family is one family as it lies in the storage. No token is in it: they are
// made of the seed and the number.
type family struct {
	Member
	Seed    []byte    `json:"seed"`
	Number  uint32    `json:"number"` // of the good token
	Began   time.Time `json:"began"`  // the sign-in
	Spent   time.Time `json:"spent"`  // when the token before was
	Expires time.Time `json:"expires"`
}

// token returns the token of a number: the family's id, the number, and a code
// over both that only this family has.
func (f *family) token(id []byte, number uint32) []byte {
	head := binary.BigEndian.AppendUint32(append([]byte(nil), id...), number)
	mac := hmac.New(sha256.New, f.Seed)
	mac.Write(head)
	return mac.Sum(head)
}

// Begin makes a family and returns its first token.
func (fs *Families) Begin(ctx context.Context, m Member) (string, error) {
	id := make([]byte, familyIDSize)
	now := fs.now()
	f := &family{Member: m, Seed: make([]byte, 32), Began: now, Expires: now.Add(fs.life)}
	rand.Read(id) // never fails (crypto/rand)
	rand.Read(f.Seed)
	if err := fs.put(ctx, id, f); err != nil {
		return "", err
	}
	return encode(f.token(id, 0)), nil
}

// Rotate spends a token. It returns its successor and whose it is, once valid
// has agreed that the member is still good. It returns [ErrInvalidGrant] for a
// token that is not good, after which the family may have ended, and an error
// that wraps [store.ErrUnavailable] if nothing could be said; then nothing was
// spent.
func (fs *Families) Rotate(ctx context.Context, token string, valid func(Member) bool) (next string, m Member, err error) {
	raw, ok := decode(token)
	if !ok {
		return "", Member{}, ErrInvalidGrant
	}
	type result struct {
		next string
		m    Member
	}
	arrived := fs.now()
	// Callers with the same token share one way to the storage, which may be slow
	// to give a lock away.
	shared, err, _ := fs.flight.Do(token, func() (any, error) {
		ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), rotateTimeout)
		defer cancel()
		next, m, err := fs.rotate(ctx, raw, arrived, valid)
		return result{next, m}, err
	})
	if err != nil {
		return "", Member{}, err
	}
	r := shared.(result)
	return r.next, r.m, nil
}

// rotateTimeout bounds a rotation. A lock that a dead process holds becomes free
// after ten seconds or so, with Caddy's file storage.
const rotateTimeout = 25 * time.Second

func (fs *Families) rotate(ctx context.Context, raw []byte, arrived time.Time, valid func(Member) bool) (string, Member, error) {
	id, number := raw[:familyIDSize], binary.BigEndian.Uint32(raw[familyIDSize:])
	unlock, err := fs.store.Lock(ctx, fs.key(id))
	if err != nil {
		return "", Member{}, err
	}
	defer unlock()
	f, err := fs.get(ctx, id)
	if err != nil {
		return "", Member{}, err
	}
	if !hmac.Equal(f.token(id, number), raw) {
		return "", Member{}, ErrInvalidGrant // made up: no reason to end anything
	}
	ended, err := fs.ended(ctx, f.User, f.Began)
	if err != nil {
		return "", Member{}, err
	}
	switch {
	case ended, !arrived.Before(f.Expires), !valid(f.Member):
		return "", Member{}, fs.end(ctx, id)
	case number+1 == f.Number && arrived.Sub(f.Spent) <= grace:
		return encode(f.token(id, f.Number)), f.Member, nil
	case number != f.Number:
		return "", Member{}, fs.end(ctx, id) // an old one: somebody has a copy
	}
	f.Number++
	f.Spent, f.Expires = arrived, arrived.Add(fs.life)
	if err := fs.put(ctx, id, f); err != nil {
		return "", Member{}, err
	}
	return encode(f.token(id, f.Number)), f.Member, nil
}

// End ends the family of a token, whichever of its tokens that is. What is no
// token of a family is none of its business (RFC 7009 section 2.2).
func (fs *Families) End(ctx context.Context, token string) error {
	raw, ok := decode(token)
	if !ok {
		return nil
	}
	id, number := raw[:familyIDSize], binary.BigEndian.Uint32(raw[familyIDSize:])
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), rotateTimeout)
	defer cancel()
	unlock, err := fs.store.Lock(ctx, fs.key(id)) // else a rotation under way would put it back
	if err != nil {
		return err
	}
	defer unlock()
	f, err := fs.get(ctx, id)
	if err == nil && hmac.Equal(f.token(id, number), raw) {
		err = fs.end(ctx, id)
	}
	if errors.Is(err, ErrInvalidGrant) {
		return nil
	}
	return err
}

// end deletes a family. It returns [ErrInvalidGrant], or why it could not.
func (fs *Families) end(ctx context.Context, id []byte) error {
	if err := fs.store.Delete(ctx, fs.key(id)); err != nil && !errors.Is(err, store.ErrNotExist) {
		return err
	}
	return ErrInvalidGrant
}

// Sweep deletes families that have ended. One process at a time does it.
func (fs *Families) Sweep(ctx context.Context) error {
	sealer, err := fs.sealer(ctx)
	if err != nil {
		return err
	}
	now := fs.now()
	return store.Sweep(ctx, fs.store, familyFolder, func(value []byte) bool {
		f, err := openFamily(sealer, value)
		return err == nil && !now.Before(f.Expires) // what does not open is another integration's
	})
}

func (fs *Families) key(id []byte) string { return store.Key(familyFolder, fs.integration, string(id)) }

func (fs *Families) get(ctx context.Context, id []byte) (*family, error) {
	sealer, err := fs.sealer(ctx)
	if err != nil {
		return nil, err
	}
	value, err := fs.store.Load(ctx, fs.key(id))
	if errors.Is(err, store.ErrNotExist) {
		return nil, ErrInvalidGrant
	}
	if err != nil {
		return nil, err
	}
	return openFamily(sealer, value)
}

func openFamily(sealer *seal.Sealer, value []byte) (*family, error) {
	plain, err := sealer.Open(nil, value)
	if err != nil {
		return nil, ErrInvalidGrant
	}
	f := new(family)
	if err := json.Unmarshal(plain, f); err != nil {
		return nil, ErrInvalidGrant
	}
	return f, nil
}

func (fs *Families) put(ctx context.Context, id []byte, f *family) error {
	sealer, err := fs.sealer(ctx)
	if err != nil {
		return err
	}
	plain, err := json.Marshal(f)
	if err != nil {
		return fmt.Errorf("local: %w", err)
	}
	return fs.store.Store(ctx, fs.key(id), sealer.Seal(nil, plain))
}

func (fs *Families) sealer(ctx context.Context) (*seal.Sealer, error) {
	secret, err := fs.secret.get(ctx)
	if err != nil {
		return nil, err
	}
	return seal.New([][]byte{secret}, "refresh", fs.integration)
}

func encode(raw []byte) string { return base64.RawURLEncoding.EncodeToString(raw) }

func decode(token string) ([]byte, bool) {
	raw, err := base64.RawURLEncoding.Strict().DecodeString(token)
	return raw, err == nil && len(raw) == tokenSize && encode(raw) == token
}
