package local

import (
	"context"
	"errors"
	"runtime"
	"time"
)

// ErrBusy means that no password could be checked now: too many others wait. It
// is an answer of the kind 503, to be tried again.
var ErrBusy = errors.New("local: too many passwords to check at once")

// patience is how long a login waits for its turn.
const patience = 5 * time.Second

// turns bounds how many passwords are hashed at once. Who waits is served in
// order of arrival. One turn is kept for logins by users from where they logged in
// before, so that a flood of guesses does not shut them out.
type turns struct{ all, strangers chan struct{} }

func newTurns(n int) turns {
	return turns{all: make(chan struct{}, n), strangers: make(chan struct{}, n-1)}
}

// allTurns are those of the process: integrations share its processors. Half of
// them, so that a flood of logins leaves the others to other traffic; at least 2,
// and at most 8, since an argon2id hash may take 256 MiB.
var allTurns = newTurns(min(max(runtime.GOMAXPROCS(0)/2, 2), 8))

// take waits for a turn, which the caller gives back. It returns [ErrBusy] when
// the context ends first.
func (t turns) take(ctx context.Context, stranger bool) (give func(), err error) {
	if !stranger {
		if !enter(ctx, t.all) {
			return nil, ErrBusy
		}
		return func() { <-t.all }, nil
	}
	if !enter(ctx, t.strangers) {
		return nil, ErrBusy
	}
	if !enter(ctx, t.all) {
		<-t.strangers
		return nil, ErrBusy
	}
	return func() { <-t.all; <-t.strangers }, nil
}

func enter(ctx context.Context, room chan struct{}) bool {
	select {
	case room <- struct{}{}:
		return true
	case <-ctx.Done():
		return false
	}
}
