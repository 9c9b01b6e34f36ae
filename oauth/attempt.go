package oauth

import (
	"crypto/hkdf"
	"crypto/rand"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"strings"
	"time"
)

// ErrStateInvalid means that an answer belongs to no login or logout that this
// browser has under way: the state is missing, forged or another integration's,
// its cookie is gone or does not open, more than ten minutes have passed, or it
// was used before. Which of these it is nobody learns.
var ErrStateInvalid = errors.New("oauth: state is invalid")

// AttemptKind says what an attempt is for.
type AttemptKind byte

const (
	Login  AttemptKind = 1
	Logout AttemptKind = 2
)

// Attempt is a login, or a logout at the provider, that is under way. All its
// secrets come from one random value (RFC 5869), which travels in a sealed cookie;
// none of them is used twice (threats 57 and 58).
type Attempt struct {
	// ReturnTo is where the browser goes afterwards: a local path, or a URL on a
	// host that shares the session. A logout may have none.
	ReturnTo string

	integration string
	kind        AttemptKind
	began       time.Time
	seed        [seedBytes]byte
	stored      bool // ReturnTo is kept in storage
}

const (
	attemptLife    = 10 * time.Minute
	attemptVersion = 1
	seedBytes      = 32
	stateBytes     = 24
	stateIDBytes   = 12
	// maxIntegration is the length of the longest name: 32, after "inline-".
	maxIntegration = 39
)

func newAttempt(integration string, kind AttemptKind, began time.Time) *Attempt {
	a := &Attempt{integration: integration, kind: kind, began: began.Truncate(time.Millisecond)}
	rand.Read(a.seed[:]) // never fails (crypto/rand)
	return a
}

// String says nothing: what an attempt holds is in no log.
func (a *Attempt) String() string { return "oauth.Attempt" }

// derive returns so many bytes for a purpose in base64url.
func (a *Attempt) derive(purpose string, size int) string {
	key, err := hkdf.Key(sha256.New, a.seed[:], nil, "admit/attempt/"+purpose, size)
	if err != nil {
		panic(err) // more than 255 hashes were asked for
	}
	return strict64.EncodeToString(key)
}

// State is the "state" of the request (RFC 6749 section 4.1.1): the name of the
// integration, a dot and 192 bits.
func (a *Attempt) State() string { return a.integration + "." + a.derive("state", stateBytes) }

// Nonce is the "nonce" of the request, which the ID token repeats (OpenID Connect
// Core 1.0 section 3.1.2.1).
func (a *Attempt) Nonce() string { return a.derive("nonce", 32) }

// Verifier is the "code_verifier" for the token endpoint: 256 bits in 43
// characters (RFC 7636 section 4.1).
func (a *Attempt) Verifier() string { return a.derive("verifier", 32) }

// Challenge is the "code_challenge" of the request by S256 (RFC 7636 section 4.2).
func (a *Attempt) Challenge() string {
	sum := sha256.Sum256([]byte(a.Verifier()))
	return strict64.EncodeToString(sum[:])
}

// StateIntegration returns the integration to which a state belongs by its form.
// Whether it is genuine only its cookie tells.
func StateIntegration(state string) (name string, ok bool) {
	name, random, _ := strings.Cut(state, ".")
	if len(random) != strict64.EncodedLen(stateBytes) || !is64(random) || !isIntegration(name) {
		return "", false
	}
	return name, true
}

func isIntegration(name string) bool {
	return name != "" && len(name) <= maxIntegration && is64(name) && name == strings.ToLower(name)
}

// stateID is what the name of the cookie of a state ends with.
func stateID(state string) string {
	sum := sha256.Sum256([]byte(state))
	return strict64.EncodeToString(sum[:stateIDBytes])
}

// over reports whether an attempt is too old, or from the future: else a clock
// that was set back would prolong it.
func (a *Attempt) over(now time.Time) bool {
	return !now.Before(a.began.Add(attemptLife)) || a.began.After(now.Add(leeway))
}

// appendAttempt writes what is sealed: a version, the kind, whether the return
// target is stored, the beginning in Unix milliseconds as varint, the seed, and the
// return target unless it is stored.
func appendAttempt(dst []byte, a *Attempt) []byte {
	dst = append(dst, attemptVersion, byte(a.kind), 0)
	target := a.ReturnTo
	if a.stored {
		dst[len(dst)-1], target = 1, ""
	}
	dst = binary.AppendVarint(dst, a.began.UnixMilli())
	dst = append(dst, a.seed[:]...)
	return appendText(dst, target)
}

// parseAttempt reads what [appendAttempt] wrote, to the last byte.
func parseAttempt(integration string, data []byte) (a *Attempt, ok bool) {
	if len(data) < 3 || data[0] != attemptVersion || data[2] > 1 {
		return nil, false
	}
	a = &Attempt{integration: integration, kind: AttemptKind(data[1]), stored: data[2] == 1}
	p := parser{rest: data[3:], ok: true}
	a.began = p.time()
	if !p.ok || len(p.rest) < seedBytes || a.kind != Login && a.kind != Logout {
		return nil, false
	}
	copy(a.seed[:], p.rest)
	p.rest = p.rest[seedBytes:]
	a.ReturnTo = string(p.text())
	if !p.ok || len(p.rest) != 0 || a.stored && a.ReturnTo != "" {
		return nil, false
	}
	return a, true
}
