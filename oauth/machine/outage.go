package machine

import (
	"errors"
	"sync"
	"time"

	"github.com/caddy-admit/admit/internal/outbound"
	"github.com/caddy-admit/admit/oauth"
)

// maxProbes is how many questions a second are put to an endpoint that gave no answer
// of late, those about credentials that were right before not counted. It may be
// overloaded, by what is made up perhaps, of which nothing counts as a guess then
// (threats 88, 91).
const maxProbes = 16

// outage is what is known of an endpoint that gives no answer. The zero outage is
// none.
type outage struct {
	mu     sync.Mutex
	last   time.Time // that it gave none, zero if it gave one since
	second time.Time // in which probes are counted
	probes int
}

// ask reports whether a question may be put to the endpoint now, and counts it.
func (o *outage) ask(now time.Time) bool {
	o.mu.Lock()
	defer o.mu.Unlock()
	over := func(since time.Time) bool { return now.Sub(since).Abs() >= time.Second } // of a clock set back too
	if o.last.IsZero() || over(o.last) {
		return true
	}
	if over(o.second) {
		o.second, o.probes = now, 0
	}
	o.probes++
	return o.probes <= maxProbes
}

// note keeps how a call has ended.
func (o *outage) note(err error, now time.Time) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.last = time.Time{}
	if errors.Is(err, oauth.ErrTokenEndpoint) || errors.Is(err, outbound.ErrUnavailable) {
		o.last = now
	}
}
