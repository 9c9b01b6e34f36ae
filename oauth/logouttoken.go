package oauth

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"strconv"
	"sync"
	"time"

	"github.com/caddy-admit/admit/jwt"
)

// ErrLogoutToken means that a logout token is refused: 400. Any other error of
// [RelyingParty.LogoutToken] means that it cannot be judged now: 503, so that the
// provider sends it again.
var ErrLogoutToken = errors.New("oauth: logout token refused")

var (
	errReplayed = errors.New("it was taken before")
	errReplays  = errors.New("oauth: too many logout tokens at once")
)

// LogoutToken checks a logout token of the provider: all of OpenID Connect
// Back-Channel Logout 1.0 section 2.6, with the keys, issuer and audience of ID
// tokens. Sid or sub, or both, say whose sessions end, see [Sessions.MarkProvider];
// exp is when the token is of no use any more. A token is good for one time, in
// this process: another node may take it again, which ends nothing that it did not
// end before but sessions of a subject that began since, and not for long. See
// [RelyingParty.Backchannel], which gives a token back that came to nothing.
//
// The error is an [ErrLogoutToken], a [jwt.ErrKeysUnavailable], or one that says
// that more tokens were taken than are remembered (threats 73 and 97).
func (p *RelyingParty) LogoutToken(ctx context.Context, raw string) (sid, sub string, exp time.Time, err error) {
	l, err := p.takeLogout(ctx, raw)
	return l.sid, l.sub, l.exp, err
}

// Backchannel does what a logout token says to the sessions of all integrations that
// log in as this client: [RelyingParty.LogoutToken] and [Sessions.MarkProvider].
// Where the storage fails the token is not spent, so that the provider can send it
// again.
func (p *RelyingParty) Backchannel(ctx context.Context, raw string, all ...*Sessions) error {
	l, err := p.takeLogout(ctx, raw)
	if err != nil {
		return err
	}
	for _, s := range all {
		err = errors.Join(err, s.MarkProvider(ctx, l.sid, l.sub, l.exp))
	}
	if err != nil {
		p.replays().remove(l.id)
	}
	return err
}

// MayTakeLogout reports whether a logout token says that it is the provider's and
// for this client. Nothing of it is proven by that: it tells which of several
// relying parties is to be asked.
func (p *RelyingParty) MayTakeLogout(raw string) bool {
	if p.config.IDTokens == nil {
		return false
	}
	t, err := jwt.Parse(raw)
	return err == nil && p.config.IDTokens.Takes(t.Claims) && p.config.IDTokens.HasAudience(t)
}

// logout is a logout token that counts.
type logout struct {
	id       [sha256.Size]byte // for replays
	sid, sub string
	exp      time.Time
}

func (p *RelyingParty) takeLogout(ctx context.Context, raw string) (logout, error) {
	if p.config.IDTokens == nil {
		return logout{}, fmt.Errorf("%w: the provider has no ID tokens", ErrLogoutToken)
	}
	t, err := jwt.Parse(raw)
	if err == nil {
		err = p.config.IDTokens.Logout().Verify(ctx, t)
	}
	switch {
	case errors.Is(err, jwt.ErrKeysUnavailable):
		return logout{}, err
	case err != nil:
		return logout{}, fmt.Errorf("%w: %w", ErrLogoutToken, err)
	}
	text := func(name string) string { return t.Claims.Get(name).String() }
	l := logout{sid: text("sid"), sub: text("sub"), exp: logoutEnd(t)}
	iss := text("iss")
	l.id = sha256.Sum256([]byte(strconv.Itoa(len(iss)) + ":" + iss + text("jti")))
	switch err := p.replays().take(l.id, p.config.Now(), l.exp); {
	case errors.Is(err, errReplayed):
		return logout{}, fmt.Errorf("%w: %w", ErrLogoutToken, err)
	case err != nil:
		return logout{}, err
	}
	return l, nil
}

// logoutEnd returns when nobody takes a verified logout token any more, by whatever
// leeway. Its numbers may be of any size.
func logoutEnd(t *jwt.Token) time.Time {
	exp, _ := t.Claims.Get("exp").Number()
	iat, _ := t.Claims.Get("iat").Number()
	end := min(exp, iat+jwt.LogoutAge.Seconds()) + maxLeeway.Seconds()
	return time.Unix(int64(end)+1, 0)
}

// maxLeeway is the largest that a [jwt.Policy] may have.
const maxLeeway = 5 * time.Minute

// maxReplays bounds the logout tokens of one provider that are remembered, some
// hundred bytes each, for about a quarter of an hour.
const maxReplays = 20_000

// Replays remembers the logout tokens that were taken in this process. The zero
// value is ready for use, by several goroutines too.
type Replays struct {
	mu   sync.Mutex
	seen map[[sha256.Size]byte]time.Time // until when
}

// take notes a token, and refuses one that is noted. One that is forgotten could be
// taken again, so none is forgotten before its time.
func (r *Replays) take(id [sha256.Size]byte, now, until time.Time) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	if end, ok := r.seen[id]; ok && now.Before(end) {
		return errReplayed
	}
	if len(r.seen) >= maxReplays {
		for id, end := range r.seen {
			if !now.Before(end) {
				delete(r.seen, id)
			}
		}
		if len(r.seen) >= maxReplays {
			return errReplays
		}
	}
	if r.seen == nil {
		r.seen = make(map[[sha256.Size]byte]time.Time)
	}
	r.seen[id] = until
	return nil
}

func (r *Replays) remove(id [sha256.Size]byte) {
	r.mu.Lock()
	defer r.mu.Unlock()
	delete(r.seen, id)
}

// replays returns those of the configuration, which outlive it.
func (p *RelyingParty) replays() *Replays {
	if p.config.Replays != nil {
		return p.config.Replays
	}
	return &p.ownReplays
}
