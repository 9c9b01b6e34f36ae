package admit

import (
	"cmp"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"slices"
	"strings"
	"time"

	"go.uber.org/zap"

	"github.com/caddy-admit/admit/claims"
	"github.com/caddy-admit/admit/oauth/local"
)

// storedEntry is what an operator sees of a session, or of a refresh token and
// those that follow from it. Nothing of it opens anything.
type storedEntry struct {
	ID    string    `json:"id"`   // a short hash, to tell one from another
	Kind  string    `json:"kind"` // session or refresh_token
	User  string    `json:"user"`
	Began time.Time `json:"began"`
	Used  time.Time `json:"used"`
	Ends  time.Time `json:"ends"`
}

func newEntry(kind, key, user string, began, used, ends time.Time) storedEntry {
	sum := sha256.Sum256([]byte(key))
	utc := func(t time.Time) time.Time { return t.UTC().Truncate(time.Millisecond) } // as sessions have it
	return storedEntry{hex.EncodeToString(sum[:4]), kind, user, utc(began), utc(used), utc(ends)}
}

// families reports whether the integration makes refresh tokens.
func (in *integration) families() bool { return in.local != nil && in.local.endpoint != nil }

// stored lists what of the integration's users lies in the storage, the latest
// login first; for "" of all of them. A user is the id that rules see.
func (in *integration) stored(ctx context.Context, user string) (list []storedEntry, err error) {
	add := func(kind, key, id string, began, used, ends time.Time) {
		if name := in.ruleName(id); user == "" || name == user || id == user {
			list = append(list, newEntry(kind, key, name, began, used, ends))
		}
	}
	sessions, err := in.sessions.List(ctx)
	if err != nil {
		return nil, err
	}
	for _, s := range sessions {
		add("session", s.Key, s.User, s.Began, s.Seen, s.Ends)
	}
	if in.families() {
		families, err := in.local.endpoint.Families.List(ctx)
		if err != nil {
			return nil, err
		}
		for _, f := range families {
			add("refresh_token", f.Key, f.User, f.Began, f.Used, f.Ends)
		}
	}
	slices.SortStableFunc(list, func(a, b storedEntry) int {
		return cmp.Or(b.Began.Compare(a.Began), strings.Compare(b.Kind, a.Kind))
	})
	return list, nil
}

// revocation is what came of a revocation.
type revocation struct {
	Integration string    `json:"integration"`
	User        string    `json:"user,omitempty"` // "" for all
	Before      time.Time `json:"before"`         // what began until then is out
	// Sessions and RefreshTokens are how many lay in the storage.
	Sessions      int `json:"sessions"`
	RefreshTokens int `json:"refresh_tokens"`
	// Sealed says that sessions may lie in cookies, where nobody counts them.
	Sealed bool `json:"sealed_cookies"`
	// AccessTokens is how long access tokens last that were made before, in seconds.
	AccessTokens int64 `json:"access_tokens,omitempty"`
	// Left says that not all of it could be deleted from the storage. It counts no
	// more all the same.
	Left bool `json:"left,omitempty"`
}

// revoke ends what a user began until now, or for "" what anybody did.
func (in *integration) revoke(ctx context.Context, user string, log *zap.Logger) (revocation, error) {
	r := revocation{Integration: in.name, User: user, Before: now().UTC(), Sealed: in.sealed()}
	var lasts time.Duration
	if in.families() {
		lasts = in.local.endpoint.Families.Life()
		r.AccessTokens = int64(in.local.endpoint.Tokens.Access.Seconds())
	}
	var errs []error
	for _, id := range in.idsOf(user) {
		errs = append(errs, in.sessions.Revoke(ctx, id, lasts))
	}
	if err := errors.Join(errs...); err != nil {
		return r, err
	}
	var err error
	if r.Sessions, err = in.sessions.DeleteRevoked(ctx); err == nil && in.families() {
		r.RefreshTokens, err = in.local.endpoint.Families.DeleteEnded(ctx)
	}
	if r.Left = err != nil; r.Left {
		log.Warn("what was revoked could not all be deleted from the storage; it counts no more", zap.String("integration", in.name), zap.Error(err))
	}
	return r, nil
}

// sealed reports whether sessions may lie in cookies.
func (in *integration) sealed() bool { return !in.sessions.InStorage() }

// ruleName returns the user id that rules see for the one that a session has. They
// differ for users of one's own only, by the option identity.
func (in *integration) ruleName(id string) string {
	if in.local == nil || in.local.users == nil {
		return id
	}
	user, ok := in.local.users.Get(id)
	if !ok {
		return id
	}
	return in.nameOf(user)
}

// idsOf returns the ids that sessions may have of a user whom rules know by a name.
func (in *integration) idsOf(name string) []string {
	ids := []string{name}
	if name == "" || in.local == nil || in.local.users == nil {
		return ids
	}
	for user := range in.local.users.All() {
		if user.ID != name && in.nameOf(user) == name {
			ids = append(ids, user.ID)
		}
	}
	return ids
}

// nameOf returns the id by which rules know a user of one's own.
func (in *integration) nameOf(user local.User) string {
	d := in.known(claims.Decision{}, user.ID, user.Claims)
	if d.Identity == nil {
		return user.ID
	}
	return d.Identity.User()
}
