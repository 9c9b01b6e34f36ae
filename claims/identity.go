package claims

import (
	"bytes"
	"slices"
	"strings"
	"sync/atomic"
	"unicode"
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

// Identity is who a request comes from. It holds the claims themselves, so that one
// that is kept for long takes few pieces of memory. What a request asks of one that is
// known from before comes first, in two lines of the processor's cache.
type Identity struct {
	judged memory
	texts  fewTexts
	user   string

	further atomic.Pointer[remembered]
	asked   atomic.Uint64 // the number of who has asked for texts last
	mapping *Mapping
	claims  Set
	groups  []string
	reading atomic.Uint32 // how often groups were asked for, then whether they are there
	kept    bool          // see CopyTo
}

const (
	// groupsWorth is how often the groups of an identity that somebody keeps are read
	// before they are kept too: rules and headers, which remember what they find, ask
	// once each.
	groupsWorth = iota + 2
	groupsBeingSet
	groupsRead
)

// Identify reads the identity out of s. It returns nil if there is no usable
// user id: none of the claims is present, or the first one that is holds
// control characters.
func (m *Mapping) Identify(s *Set) *Identity {
	id := &Identity{mapping: m}
	if s != nil {
		id.claims = *s
	}
	if !id.findUser() {
		return nil
	}
	return id
}

func (id *Identity) findUser() bool {
	m := id.mapping
	for i := range m.User {
		if user := m.userID(&id.claims, &m.User[i]); user != "" {
			if strings.ContainsFunc(user, unicode.IsControl) {
				return false
			}
			id.user = user
			return true
		}
	}
	return m.AnyUser
}

// userID returns the text of a claim that may be a user id: a string, or a
// number in claims other than "sub", which is always text (RFC 7519 section 4.1.2).
func (m *Mapping) userID(s *Set, path *Path) string {
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

// Integration returns the name of the integration that vouches for the identity.
func (id *Identity) Integration() string { return id.mapping.Integration }

// Claims returns the claims that the identity was read from.
func (id *Identity) Claims() *Set { return &id.claims }

// Groups returns the groups after mapping, each once, in the order of the
// claims. They are read when first asked for. The list must not be changed.
func (id *Identity) Groups() []string {
	reading := id.reading.Load()
	if reading == groupsRead {
		return id.groups
	}
	// Whoever asks at the same time reads them too and finds the same.
	groups := id.mapping.readGroups(&id.claims)
	switch {
	case reading == groupsBeingSet:
	case id.kept && reading < groupsWorth:
		id.reading.CompareAndSwap(reading, reading+1)
	case id.reading.CompareAndSwap(reading, groupsBeingSet):
		id.groups = slices.Clone(groups) // no longer than they need
		id.reading.Store(groupsRead)
	}
	return groups
}

func (m *Mapping) readGroups(s *Set) []string {
	var groups distinctTexts
	for i := range m.Groups {
		m.readPath(s, &m.Groups[i], true, func(name []byte) bool {
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
	if d.list == nil {
		d.list = make([]string, 0, 4) // two or three are the rule
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
func pointed(s *Set, path *Path) bool {
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
