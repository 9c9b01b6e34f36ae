package admit

import (
	"sync/atomic"
	"time"

	"go.uber.org/zap"
)

// complaint is a kind of log line about what an operator must mend, and which requests
// of anybody bring about.
type complaint int

const (
	plainHTTP complaint = iota
	loginUnreachable
	callbackUnreachable
	callbackElsewhere
	foreignHost
	loginLoop
	noAssertion

	complaints // how many kinds there are
)

// complainAgain is how often a gate says the same.
const complainAgain = time.Minute

// complain writes a line at ERROR, unless the gate has written one of this kind within
// a minute: nobody fills the log by asking (threat 97).
func (g *guard) complain(about complaint, msg string, fields ...zap.Field) {
	if g.complained[about].due(complainAgain) {
		g.log.Error(msg, fields...)
	}
}

// seldom is something that is not done more often than once in a while. Several may ask
// at once.
type seldom struct{ last atomic.Int64 }

// due reports whether that while has passed, and begins another. A clock that was set
// back ends it.
func (s *seldom) due(every time.Duration) bool {
	before, at := s.last.Load(), now().UnixNano()
	return (before == 0 || at-before >= int64(every) || at < before) && s.last.CompareAndSwap(before, at)
}
