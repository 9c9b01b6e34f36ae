package oauth

import (
	"bytes"
	"hash/maphash"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/caddy-admit/admit/claims"
	"github.com/caddy-admit/admit/internal/seal"
)

const (
	// openedShards is into how many parts the memory of opened cookies is divided, so
	// that those who put something in rarely wait for each other.
	openedShards = 16
	// openedPlaces is how many places one part has, each for a chain that is short.
	openedPlaces = 512
	// openedBytes bounds what one part holds.
	openedBytes = 3 << 19
	// openedSize is what an opened cookie takes beside its text and what that holds,
	// about.
	openedSize = 1 << 10
	// openedStart is how much of a text says where it lies: there is the nonce of the
	// seal, which is another one in each.
	openedStart = 32
)

// openedCookies remembers what cookies hold that were opened: browsers send the same
// one with every request. Only what was sealed by us is in it, so nobody can fill it
// with anything else (threat 97). To look something up takes no lock and writes nothing.
//
// It holds the texts and compares all of them, which takes less time than any hash that
// would do: the secret that makes such texts is in the memory of this process too.
type openedCookies struct{ shards [openedShards]openedShard }

type openedShard struct {
	table atomic.Pointer[openedTable] // nil before the first cookie

	mu    sync.Mutex // of those who put something in
	bytes int
	hand  int // the place that is looked at next for something to take out
	_     [64]byte
}

type openedTable [openedPlaces]atomic.Pointer[openedCookie]

// openedCookie is a session in the values of its cookies, of which the second is empty
// if the first is all. It does not change.
type openedCookie struct {
	next          *openedCookie
	first, second string
	session       *Session
}

func (c *openedCookie) size() int { return 2*(len(c.first)+len(c.second)) + openedSize }

var openedSeed = maphash.MakeSeed()

// place returns where a session lies.
func (o *openedCookies) place(first string) (shard *openedShard, place uint64) {
	sum := maphash.String(openedSeed, first[:min(len(first), openedStart)])
	return &o.shards[sum%openedShards], sum / openedShards % openedPlaces
}

// get returns the session of two values, nil if it is not known. It is shared and must
// not be changed. What was sent beside a first value that is all of a session does not
// matter.
func (o *openedCookies) get(first, second string) *Session {
	shard, place := o.place(first)
	table := shard.table.Load()
	if table == nil {
		return nil
	}
	for c := table[place].Load(); c != nil; c = c.next {
		if sameText(c.first, first) && (c.second == "" || sameText(c.second, second)) {
			return c.session
		}
	}
	return nil
}

// put notes the session of two values and returns the one that is known from now on.
func (o *openedCookies) put(first, second string, session *Session) *Session {
	// The values are parts of all that the client sent as cookies.
	c := &openedCookie{first: strings.Clone(first), second: strings.Clone(second), session: session}
	shard, place := o.place(first)
	shard.mu.Lock()
	defer shard.mu.Unlock()
	if known := o.get(first, second); known != nil {
		return known // somebody else was faster
	}
	if shard.table.Load() == nil {
		shard.table.Store(new(openedTable))
	}
	table := shard.table.Load()
	for ; shard.bytes+c.size() > openedBytes; shard.hand++ {
		for old := table[shard.hand%openedPlaces].Swap(nil); old != nil; old = old.next {
			shard.bytes -= old.size()
		}
	}
	shard.bytes += c.size()
	c.next = table[place].Load()
	table[place].Store(c)
	return session
}

// openedAlone is opened for a request with one session, which is remembered. It returns
// nil for one that does not open.
func (s *Sessions) openedAlone(seals *sessionSeals, first, second string) *Session {
	if len(first) != s.cookies.room {
		second = "" // a first chunk that is not full has none, whatever was sent beside it
	}
	if session := s.memory.get(first, second); session != nil {
		return session
	}
	session, second := s.cookies.openPair(seals.cookie, first, second)
	if session == nil {
		return nil
	}
	session.Claims = bytes.Clone(session.Claims) // without what they were opened from
	session.opened = new(sessionMemo)
	return s.memory.put(first, second, session)
}

// openPair opens a first chunk with a second one, and else alone. It returns the second
// one if that was of use.
func (c *sessionCookies) openPair(sealer *seal.Sealer, first, second string) (*Session, string) {
	if !c.plausible(first) {
		return nil, ""
	}
	if c.plausible(second) {
		if session := openText(sealer, first, second); session != nil {
			return session, second
		}
	}
	return openText(sealer, first, ""), ""
}

// sessionMemo is what was worked out about a session that does not change.
type sessionMemo struct {
	identity atomic.Pointer[sessionIdentity]
	unmarked atomic.Pointer[unmarked]
	aged     atomic.Bool // its use is to be noted, see [Sessions.Fresh]
}

type sessionIdentity struct {
	of       any
	identity *claims.Identity
}

// unmarked says that no mark ends a session, until a time or until this process
// makes a mark.
type unmarked struct {
	until time.Time
	marks uint64
}

// Identity returns who the session is, which identify works out of something that
// the session does not hold itself: a list of users, a mapping. For the same
// something it is asked once.
func (s *Session) Identity(of any, identify func() *claims.Identity) *claims.Identity {
	if s.opened == nil {
		return identify()
	}
	if known := s.opened.identity.Load(); known != nil && known.of == of {
		return known.identity
	}
	identity := identify()
	s.opened.identity.Store(&sessionIdentity{of, identity})
	return identity
}

// alone returns the values of the session's cookies in a request that has no two of
// one name, as most do. Nothing but their length is checked.
func (c *sessionCookies) alone(lines []string) (first, second string, ok bool) {
	for _, line := range lines {
		for name, value := "", ""; line != ""; {
			name, value, line = cutCookie(line)
			var found *string
			switch name {
			case c.name:
				found = &first
			case c.second:
				found = &second
			default:
				continue
			}
			if *found != "" || value == "" || len(value) > c.room {
				return "", "", false
			}
			*found = value
		}
	}
	return first, second, first != ""
}
