package jwt

import (
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/caddy-admit/admit/claims"
)

// KeySource gives the keys of an issuer.
type KeySource interface {
	// Keys returns the keys at hand, and a number that changes with them. It
	// returns an error if there are none and none can be had now.
	Keys(ctx context.Context) (*KeySet, uint64, error)
	// Refresh is Keys for a caller who misses a key in the set of that number. It
	// asks the issuer anew if the last time is long enough ago.
	Refresh(ctx context.Context, seen uint64) (*KeySet, uint64, error)
}

// Verifier checks tokens of one integration. It is safe for concurrent use.
type Verifier struct {
	rules rules
	keys  KeySource
	now   func() time.Time
}

// NewVerifier makes a verifier. It returns an error for a policy that
// [Policy.Check] refuses.
func NewVerifier(p Policy, keys KeySource, now func() time.Time) (*Verifier, error) {
	r, err := newRules(p)
	if err != nil {
		return nil, err
	}
	return &Verifier{rules: r, keys: keys, now: now}, nil
}

// Takes reports whether the verifier is the one for a token with these claims: its
// issuers name the token's "iss", or it has no issuers and takes any.
func (v *Verifier) Takes(s *claims.Set) bool {
	return len(v.rules.Issuers) == 0 || v.rules.issuerAccepted(s)
}

// HasAudience reports whether the token names an accepted audience, or any will do.
// It proves nothing.
func (v *Verifier) HasAudience(t *Token) bool {
	return len(v.rules.Audience) == 0 || v.rules.audience(t.Claims) == ""
}

// HasIssuer reports whether the verifier looks at "iss".
func (v *Verifier) HasIssuer() bool { return len(v.rules.Issuers) > 0 }

// Overlaps reports whether there may be a token that both verifiers take.
func (v *Verifier) Overlaps(w *Verifier) bool {
	if !v.HasIssuer() || !w.HasIssuer() || v.rules.templates || w.rules.templates {
		return true
	}
	return slices.ContainsFunc(v.rules.Issuers, func(iss string) bool { return slices.Contains(w.rules.Issuers, iss) })
}

// Verify checks everything about a token: its header, its claims and its
// signature. It returns nil only for a token that may be trusted, a
// [RejectedError] for one that may not, and [ErrKeysUnavailable] if that cannot
// be said now.
func (v *Verifier) Verify(ctx context.Context, t *Token) error {
	alg, reason := v.rules.header(t)
	if reason != "" {
		return reject(reason)
	}
	if reason := v.rules.payload(t, v.now()); reason != "" {
		return reject(reason)
	}
	set, seen, err := v.keys.Keys(ctx)
	if err != nil {
		return fmt.Errorf("%w: %w", ErrKeysUnavailable, err)
	}
	result := v.try(set, t, alg)
	if result.missing {
		newer, now, err := v.keys.Refresh(ctx, seen)
		if err != nil {
			return fmt.Errorf("%w: %w", ErrKeysUnavailable, err)
		}
		if now != seen {
			set, result = newer, v.try(newer, t, alg)
		}
	}
	if result.reason != "" {
		return reject(result.reason)
	}
	t.keys = set
	t.rememberHeader()
	return nil
}

// Recheck says of a token that this verifier has accepted before what
// [Verifier.Verify] would say of it now. Only the time and the keys can make a
// difference: the policy of an entry is always the same. sure is false if the keys
// have changed and the signature must be checked anew.
func (v *Verifier) Recheck(ctx context.Context, e *Entry) (sure bool, err error) {
	if now := seconds(v.now()); now < e.from || now >= e.until {
		times, _ := readTimes(e.identity.Claims())
		if reason := v.rules.timely(times, now); reason != "" {
			return true, reject(reason)
		}
	}
	set, _, err := v.keys.Keys(ctx)
	if err != nil {
		return true, fmt.Errorf("%w: %w", ErrKeysUnavailable, err)
	}
	return set.same(e.keys), nil
}

// trial is what came of trying the keys of one set.
type trial struct {
	reason  claims.Reason // "": the signature is good
	missing bool          // the set may lack the key: asking for a newer one may help
}

func (v *Verifier) try(set *KeySet, t *Token, alg *algorithm) trial {
	keys, exact := set.named(t.header.keyID(), t.header.Has("kid"))
	tried := 0
	for _, k := range keys {
		if !k.usable(alg) || !v.rules.keyAccepted(k, t.Claims) {
			continue
		}
		if k.verify(alg, t.input, t.signature) {
			return trial{}
		}
		if tried++; tried == maxTried {
			break
		}
	}
	switch {
	case tried > 0:
		return trial{claims.BadSignature, !exact}
	case exact:
		return trial{claims.UnknownKey, false} // the key is there, but not for this algorithm
	}
	return trial{claims.UnknownKey, true}
}
