package local

import (
	"context"
	"net/netip"
)

// LockedAddress is [Limiter.Locked] for what nobody's name is on, such as a token:
// it is counted by address alone.
func (l *Limiter) LockedAddress(address netip.Addr) error {
	return l.locked(l.nobody(address))
}

// BeginAddress is [Limiter.Begin] for what is counted by address alone.
func (l *Limiter) BeginAddress(ctx context.Context, address netip.Addr) (*Attempt, error) {
	return l.wait(ctx, &Attempt{limiter: l, guess: l.nobody(address)})
}

func (l *Limiter) nobody(address netip.Addr) guess {
	return guess{address: l.hash("address", Network(address)), nobody: true}
}
