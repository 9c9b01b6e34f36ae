// Package local is for users of one's own: passwords, API keys, access tokens and
// refresh tokens, with no other service.
package local

import (
	"crypto/sha256"
	"crypto/subtle"
	"encoding/base64"
	"errors"
	"fmt"
	"iter"
	"maps"
	"slices"
	"strings"
	"sync/atomic"
	"unicode"
	"unicode/utf8"

	"github.com/caddy-admit/admit/claims"
)

// ReservedClaims are the names of claims that only Admit itself sets, so that
// nobody's own claims pass for what a token says about itself (CVE-2024-29892).
var ReservedClaims = []string{
	"iss", "sub", "aud", "exp", "nbf", "iat", "jti", "typ", "cnf",
	"events", "act", "nonce", "azp", "client_id", "scope",
}

const (
	maxID = 256
	// maxEfforts bounds the kinds of hashes in one list: each check costs one
	// hash of each.
	maxEfforts = 8
)

// User is somebody who can log in with a password.
type User struct {
	// ID is compared byte by byte.
	ID       string
	Hash     Hash
	Disabled bool
	// Claims are the user's own, an empty object where there are none.
	Claims *claims.Set

	stamp string
}

// NewUser makes a user of configuration: the id, the password's hash as text and
// own claims as the JSON text of an object, nil for none. Errors name the user
// and never hold the hash.
func NewUser(id, hash string, disabled bool, own []byte) (User, error) {
	if err := checkID(id); err != nil {
		return User{}, fmt.Errorf("user %s: %w", shown(id), err)
	}
	h, err := ParseHash(hash)
	if err != nil {
		return User{}, fmt.Errorf("user %s: %w", shown(id), err)
	}
	set, err := ownClaims(own)
	if err != nil {
		return User{}, fmt.Errorf("user %s: %w", shown(id), err)
	}
	u := User{ID: id, Hash: h, Disabled: disabled, Claims: set}
	u.stamp = stampOf(u)
	return u, nil
}

// checkID refuses ids that HTTP Basic cannot carry, that a header cannot, or that
// look like another one.
func checkID(id string) error {
	switch {
	case id == "":
		return errors.New("the id is empty")
	case len(id) > maxID:
		return fmt.Errorf("the id is longer than %d bytes", maxID)
	case !utf8.ValidString(id):
		return errors.New("the id is not UTF-8")
	case strings.Contains(id, ":"):
		return errors.New(`the id holds ":", which ends it in HTTP Basic (RFC 7617 section 2)`)
	case strings.ContainsFunc(id, unicode.IsControl):
		return errors.New("the id holds a control character")
	case strings.TrimSpace(id) != id:
		return errors.New("the id begins or ends with white space")
	}
	return nil
}

// ownClaims reads the claims of a user or an API key.
func ownClaims(text []byte) (*claims.Set, error) {
	if len(text) == 0 {
		text = []byte("{}")
	}
	set, err := claims.Parse(text)
	if err != nil {
		return nil, errors.New("claims: expected a JSON object without duplicate names, nested at most 32 deep")
	}
	for _, name := range ReservedClaims {
		if set.Has(name) {
			return nil, fmt.Errorf("claims: %s is reserved for what Admit says about the token", name)
		}
	}
	return set, nil
}

// shown quotes a name for an error: not whole if it is long, and not at all if
// somebody may have put a hash in its place.
func shown(name string) string {
	if strings.Contains(name, "$") {
		return "(a name with $)"
	}
	if len(name) > 64 {
		name = name[:64] + "..."
	}
	return fmt.Sprintf("%q", name)
}

// Stamp is a short fingerprint of the user's credential: it changes with the
// password and with Disabled, and is the same in every process. Sessions and
// refresh tokens keep it, see [Users.Current].
func (u User) Stamp() string { return u.stamp }

func stampOf(u User) string {
	sum := sha256.New()
	fmt.Fprintf(sum, "admit user %d:%s %t ", len(u.ID), u.ID, u.Disabled)
	if u.Hash.parsed != nil {
		sum.Write([]byte(u.Hash.parsed.text))
	}
	return base64.RawURLEncoding.EncodeToString(sum.Sum(nil)[:12])
}

// userList is all users at one moment.
type userList struct {
	users map[string]User
	// names are the ids as guesses are counted for them.
	names map[string]struct{}
	// efforts holds one hash of each effort in the list, at least one.
	efforts []Hash
}

// standIn is hashed against where there are no users at all.
var standIn = Hash{&parsedHash{
	effort: effort{time: 1, memory: 46 * 1024, lanes: 1},
	salt:   make([]byte, 16), sum: make([]byte, 32),
}}

func newUserList(users ...[]User) (*userList, error) {
	l := &userList{users: make(map[string]User), names: make(map[string]struct{})}
	for _, u := range slices.Concat(users...) {
		if _, twice := l.users[u.ID]; twice {
			return nil, fmt.Errorf("user %s: given twice", shown(u.ID))
		}
		u.stamp = stampOf(u)
		l.users[u.ID], l.names[canonical(u.ID)] = u, struct{}{}
		if u.Hash.parsed == nil {
			return nil, fmt.Errorf("user %s: has no password hash", shown(u.ID))
		}
		if !slices.ContainsFunc(l.efforts, u.Hash.asHardAs) {
			l.efforts = append(l.efforts, u.Hash)
		}
	}
	if len(l.efforts) > maxEfforts {
		return nil, fmt.Errorf("users: %d different costs of password hashes, at most %d: so that nobody learns who exists, each check costs one hash of each", len(l.efforts), maxEfforts)
	}
	if len(l.efforts) == 0 {
		l.efforts = []Hash{standIn}
	}
	return l, nil
}

func (h Hash) asHardAs(other Hash) bool { return h.parsed.effort == other.parsed.effort }

// verify reports whether the password is that of an enabled user with this id.
// The time tells nothing: whoever is asked for, known, disabled or not, one hash
// of each effort in the list is made. Where all hashes are alike that is one.
func (l *userList) verify(id, password string, hash func(Hash, string) bool) bool {
	u, known := l.users[id]
	own := known && !u.Disabled
	good := false
	for _, h := range l.efforts {
		if own && h.asHardAs(u.Hash) {
			good = hash(u.Hash, password)
		} else {
			hash(h, password)
		}
	}
	return good
}

// Users is the list of users, which may change while it is used.
type Users struct {
	list  atomic.Pointer[userList]
	watch *watch // nil without a file
}

// NewUsers makes a list of inline users and those of a file, "" for none, see
// [ReadUsers]. A file that is missing or broken is an error here. Later it is
// looked at every 2 s until Close: a good one is taken over at once and report
// is called with nil; a broken or missing one is reported once until it changes
// again, and the last good list stays.
func NewUsers(inline []User, file string, report func(error)) (*Users, error) {
	u := new(Users)
	if file == "" {
		list, err := newUserList(inline)
		if err != nil {
			return nil, err
		}
		u.list.Store(list)
		return u, nil
	}
	w := &watch{users: u, inline: inline, file: file, report: report, stop: make(chan struct{}), stopped: make(chan struct{})}
	if _, err := w.look(); err != nil {
		return nil, err
	}
	u.watch = w
	go w.run()
	return u, nil
}

// Close ends looking at the file. The list stays as it is. It may be called once.
func (u *Users) Close() {
	if u.watch != nil {
		close(u.watch.stop)
		<-u.watch.stopped
	}
}

// Get returns a user by id, disabled ones too.
func (u *Users) Get(id string) (User, bool) {
	user, ok := u.list.Load().users[id]
	return user, ok
}

// Resembles reports whether an id could be meant for one of the users, disabled ones
// too: it differs from a user's at most as two spellings of one name do, see [Limiter].
func (u *Users) Resembles(id string) bool {
	_, ok := u.list.Load().names[canonical(id)]
	return ok
}

// All returns the users as they are now, disabled ones too, in no order.
func (u *Users) All() iter.Seq[User] { return maps.Values(u.list.Load().users) }

// Current returns the user if it is there, enabled, and its credential is still
// the one that the stamp was taken of: what a session, a cached verification or a
// refresh token asks on every use. Removed, disabled or with a new password,
// somebody is out at once.
func (u *Users) Current(id, stamp string) (User, bool) {
	user, ok := u.Get(id)
	if !ok || user.Disabled || subtle.ConstantTimeCompare([]byte(user.stamp), []byte(stamp)) != 1 {
		return User{}, false
	}
	return user, true
}
