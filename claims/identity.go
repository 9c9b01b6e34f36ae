package claims

import (
	"bytes"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"unicode"
	"unsafe"
)

// Mapping says how an identity is read out of the claims of one integration. It
// is not changed after its first use.
type Mapping struct {
	// Integration is the name of the integration, for rules on "integration".
	Integration string
	// User lists the claims of which the first present one is the user id.
	User []Path
	// AnyUser lets in claims that hold no user id; it is empty then.
	AnyUser bool
	// Groups lists the claims whose values are the groups, all together.
	Groups []Path
	// GroupMap replaces groups by others. With MapOnly groups that it does not
	// name are dropped.
	GroupMap map[string][]string
	MapOnly  bool
	// Named gives names to all values of some claims together.
	Named map[string][]Path
	// TrustEmail takes "email" as it stands. Without it an address counts as
	// absent if "email_verified" is there and anything but true, or, with
	// VerifiedDomain, if "xms_edov" is not true: Entra ID lets a tenant's owner
	// write any address there.
	TrustEmail     bool
	VerifiedDomain bool
}

// Identity is who a request comes from.
type Identity struct {
	mapping *Mapping
	claims  *Set
	user    string
	// userValue is user, boxed once.
	userValue any

	once   sync.Once
	groups []string

	remembered atomic.Pointer[remembered]
	judged     memory
}

// remembered is something that was made of an identity, for whoever has the number.
type remembered struct {
	number uint64
	texts  []string
}

// Remember returns the texts that make makes of the identity, which somebody with a
// number of his own asks for again and again. It keeps the last ones only, and none
// that take more than 160 bytes: [Identity.Size] counts them before they are there.
// They must not be changed.
func (id *Identity) Remember(number uint64, make func() []string) []string {
	if known := id.remembered.Load(); known != nil && known.number == number {
		return known.texts
	}
	texts := make()
	size := int(unsafe.Sizeof(remembered{})) + len(texts)*int(unsafe.Sizeof(""))
	for _, text := range texts {
		size += len(text)
	}
	if size <= toRemember {
		id.remembered.Store(&remembered{number, texts})
	}
	return texts
}

// Identify reads the identity out of s. It returns nil if there is no usable
// user id: none of the claims is present, or the first one that is holds
// control characters.
func (m *Mapping) Identify(s *Set) *Identity {
	id := &Identity{mapping: m, claims: s, userValue: ""}
	for _, path := range m.User {
		if user := m.userID(s, path); user != "" {
			if strings.ContainsFunc(user, unicode.IsControl) {
				return nil
			}
			id.user, id.userValue = user, user
			return id
		}
	}
	if m.AnyUser {
		return id
	}
	return nil
}

// userID returns the text of a claim that may be a user id: a string, or a
// number in claims other than "sub", which is always text (RFC 7519 section 4.1.2).
func (m *Mapping) userID(s *Set, path Path) string {
	v, every := path.find(s)
	if every || pointed(s, path) || !v.IsString() && (!v.IsNumber() || path.whole == "sub") {
		return ""
	}
	id, _ := v.scalar()
	if path.email {
		if !m.emailCounts(s) || !isAddress(id) {
			return ""
		}
		id = lowerDomain(id)
	}
	return text(id)
}

// User returns the user id; it is empty only where [Mapping.AnyUser] permits it.
func (id *Identity) User() string { return id.user }

// UserValue returns the user id for places that hold values of any type.
func (id *Identity) UserValue() any { return id.userValue }

// Integration returns the name of the integration that vouches for the identity.
func (id *Identity) Integration() string { return id.mapping.Integration }

// Claims returns the claims that the identity was read from.
func (id *Identity) Claims() *Set { return id.claims }

// Groups returns the groups after mapping, each once, in the order of the
// claims. They are read when first asked for. The list must not be changed.
func (id *Identity) Groups() []string {
	id.once.Do(func() { id.groups = id.mapping.readGroups(id.claims) })
	return id.groups
}

// toRemember is the most that [Identity.Remember] adds later, enough for a few
// headers.
const toRemember = 160

// Size returns about how many bytes of memory the identity takes with everything
// that hangs on it alone, what it may come to remember included. It reads the groups,
// so that none are read later.
func (id *Identity) Size() int {
	groups := id.Groups()
	size := int(unsafe.Sizeof(*id)) + id.claims.size() + len(id.user) + (1+cap(groups))*int(unsafe.Sizeof("")) + toRemember + int(judgedSets*judgedSize.Load())
	for _, group := range groups {
		size += len(group) // more than it is where the text is a part of the claims
	}
	return size
}

func (m *Mapping) readGroups(s *Set) []string {
	var groups distinctTexts
	for _, path := range m.Groups {
		m.readPath(s, path, true, func(name []byte) bool {
			local, mapped := m.GroupMap[string(name)]
			for _, group := range local {
				groups.add(group)
			}
			if !mapped && !m.MapOnly {
				groups.add(text(name))
			}
			return true
		})
	}
	return groups.list
}

// distinctTexts is a list of texts, none of them empty and each there once.
type distinctTexts struct {
	list []string
	seen map[string]struct{} // made when comparing one by one would take long
}

func (d *distinctTexts) add(text string) {
	if text == "" || d.has(text) {
		return
	}
	d.list = append(d.list, text)
	if d.seen != nil {
		d.seen[text] = struct{}{}
	}
}

func (d *distinctTexts) has(text string) bool {
	if len(d.list) < fewNames {
		return slices.Contains(d.list, text)
	}
	if d.seen == nil {
		d.seen = make(map[string]struct{})
		for _, t := range d.list {
			d.seen[t] = struct{}{}
		}
	}
	_, ok := d.seen[text]
	return ok
}

// emailCounts reports whether the source of the claims vouches for "email".
func (m *Mapping) emailCounts(s *Set) bool {
	if m.TrustEmail {
		return true
	}
	// Whatever does not say "yes" where it is said at all is a "no".
	verified := s.Get("email_verified")
	if verified.Exists() && !verified.IsNull() && !isTrue(verified) {
		return false
	}
	return !m.VerifiedDomain || isTrue(s.Get("xms_edov"))
}

func isFalse(v Value) bool {
	text, _ := v.scalar()
	return bytes.EqualFold(text, []byte("false")) || string(text) == "0"
}

func isTrue(v Value) bool {
	text, _ := v.scalar()
	return bytes.EqualFold(text, []byte("true")) || string(text) == "1"
}

// isAddress reports whether text has exactly one "@" with something on both
// sides of it: "a@evil.example@corp.example" is nobody's (CVE-2026-40574).
func isAddress(text []byte) bool {
	at := bytes.IndexByte(text, '@')
	return at > 0 && at < len(text)-1 && bytes.IndexByte(text[at+1:], '@') < 0
}

// The claims by which a token points elsewhere.
const (
	claimNames = "_claim_names"
	hasGroups  = "hasgroups"
)

// pointed reports whether a token leaves a claim out and says where it can be
// had instead (OpenID Connect Core section 5.6.2; the group overage of Entra ID).
// Such a claim is neither present nor absent: nobody here knows its value.
func pointed(s *Set, path Path) bool {
	if s == nil || !s.points {
		return false
	}
	if names := s.Get(claimNames); names.Exists() {
		if !names.IsObject() || names.Member(path.whole).Exists() || names.Member(path.top()).Exists() {
			return true
		}
	}
	if path.top() != "groups" {
		return false
	}
	has := s.Get(hasGroups)
	return has.Exists() && !isFalse(has)
}
