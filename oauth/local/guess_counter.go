package local

import "time"

const (
	// maxCounters bounds each of the four lists of counters.
	maxCounters = 16384
	// forgiveAfter is how long nobody may fail until failures are forgotten: long
	// enough that waiting for it and the free failures after it is no quicker
	// than guessing once in longestLock.
	forgiveAfter = time.Hour
	longestLock  = 5 * time.Minute
)

// guessKey is a keyed hash of a name or address: of one size whatever was sent.
type guessKey [16]byte

// guessCounter counts failures for one name or one address.
type guessCounter struct {
	failures int
	pending  int // attempts that have begun and not ended
	last     time.Time
	until    time.Time // no attempt before
	told     bool      // a lock was reported since the failures began
}

// guessCounters are the counters of all names, or of all addresses. Those within
// the free failures and those beyond lie in lists of their own: a flood of made-up
// names, or of addresses, throws out others like it, but no counter that locks.
// To throw one out of those takes as many counters that lock, each worth more
// guesses than the one thrown out gives back.
type guessCounters struct {
	free   int
	within *recent[guessKey, *guessCounter]
	beyond *recent[guessKey, *guessCounter]
}

func newGuessCounters(free int) *guessCounters {
	return &guessCounters{
		free:   free,
		within: newRecent[guessKey, *guessCounter](maxCounters),
		beyond: newRecent[guessKey, *guessCounter](maxCounters),
	}
}

// find returns the counter of a key, nil if there is none or it is forgiven.
func (g *guessCounters) find(key guessKey, now time.Time) *guessCounter {
	c, ok := g.beyond.get(key)
	if !ok {
		c, ok = g.within.get(key)
	}
	if ok && c.pending == 0 && now.Sub(c.last) >= forgiveAfter {
		g.drop(key)
		return nil
	}
	return c
}

func (g *guessCounters) drop(key guessKey) {
	g.within.drop(key)
	g.beyond.drop(key)
}

// wait returns how long a key is locked; full, if not at all but as many attempts
// are pending as may still fail before a lock: others wait for their ends, else
// all guesses made at once would be free.
func (g *guessCounters) wait(key guessKey, now time.Time) (locked time.Duration, full bool) {
	c := g.find(key, now)
	if c == nil {
		return 0, false
	}
	if locked = c.until.Sub(now); locked > 0 {
		return locked, false
	}
	return 0, c.pending >= max(1, g.free+1-c.failures)
}

// tell reports whether the key is locked and that is told for the first time.
func (g *guessCounters) tell(key guessKey, now time.Time) bool {
	c := g.find(key, now)
	if c == nil || c.told || !c.until.After(now) {
		return false
	}
	c.told = true
	return true
}

func (g *guessCounters) begin(key guessKey, now time.Time) {
	c := g.find(key, now)
	if c == nil {
		c = &guessCounter{last: now}
		g.within.put(key, c)
	}
	c.pending++
}

func (g *guessCounters) end(key guessKey, now time.Time, failed bool) {
	c := g.find(key, now)
	if c == nil { // thrown out meanwhile
		if !failed {
			return
		}
		c = new(guessCounter)
		g.within.put(key, c)
	}
	c.pending = max(0, c.pending-1)
	if failed {
		g.fail(key, c, now)
	}
	if c.failures == 0 && c.pending == 0 {
		g.drop(key)
	}
}

func (g *guessCounters) fail(key guessKey, c *guessCounter, now time.Time) {
	c.failures++
	c.last = now
	if c.failures > g.free {
		c.until = now.Add(lockFor(c.failures - g.free))
		g.within.drop(key)
		g.beyond.put(key, c)
	}
}

// lockFor returns how long the n-th failure beyond the free ones locks: 1 s,
// doubling, at most 5 min.
func lockFor(n int) time.Duration {
	if n > 9 {
		return longestLock
	}
	return min(time.Second<<(n-1), longestLock)
}
