package local

import (
	"crypto/subtle"
	"encoding/base64"
	"errors"
	"fmt"
	"regexp"
	"strconv"
	"strings"

	"golang.org/x/crypto/argon2"
	"golang.org/x/crypto/bcrypt"
)

const (
	// A guess at a bcrypt hash below this cost is too cheap; above it one login
	// costs seconds.
	minBcryptCost = 10
	maxBcryptCost = 14
	// maxBcryptPassword is where bcrypt stops reading.
	maxBcryptPassword = 72
	maxPassword       = 4096

	// The least work is about what OWASP asks for: 46 MiB once, or 7 MiB five
	// times. In KiB, as in the hash.
	minArgon2Memory = 7 * 1024
	maxArgon2Memory = 256 * 1024
	minArgon2Work   = 32 * 1024
	maxArgon2Time   = 10
	maxArgon2Lanes  = 16
)

// Hash is the hash of a password as "caddy hash-password" makes it. The zero Hash
// fits no password. It is never printed: behind a pointer, since fmt calls no
// method on an unexported field.
type Hash struct{ parsed *parsedHash }

// String keeps a hash out of logs.
func (Hash) String() string { return "[redacted]" }

// GoString keeps a hash out of logs.
func (Hash) GoString() string { return "[redacted]" }

type parsedHash struct {
	text string
	effort
	salt, sum []byte // of argon2id
}

// effort is what a verification costs: hashes of one effort take the same time.
type effort struct {
	cost         uint8 // of bcrypt, else 0
	time, memory uint32
	lanes        uint8
}

var bcryptForm = regexp.MustCompile(`^\$2[aby]\$([0-9]{2})\$[./A-Za-z0-9]{53}$`)

// ParseHash reads a bcrypt hash ($2a$, $2b$, $2y$; cost 10 to 14) or an argon2id
// hash in PHC form (version 19; 7 to 256 MiB, at most 10 passes, memory times
// passes at least 32 MiB). Errors hold nothing of the text.
func ParseHash(text string) (Hash, error) {
	switch {
	case strings.HasPrefix(text, "$2"):
		return parseBcrypt(text)
	case strings.HasPrefix(text, "$argon2id$"):
		return parseArgon2id(text)
	}
	return Hash{}, errors.New("password: not a hash as caddy hash-password makes it ($2a$... or $argon2id$...)")
}

func parseBcrypt(text string) (Hash, error) {
	found := bcryptForm.FindStringSubmatch(text)
	if found == nil {
		return Hash{}, errors.New("password: a damaged bcrypt hash: expected $2a$, $2b$ or $2y$, two digits, $ and 53 characters")
	}
	cost, _ := strconv.Atoi(found[1])
	switch {
	case cost < minBcryptCost:
		return Hash{}, fmt.Errorf("password: bcrypt cost %d is too cheap to guess at: at least %d", cost, minBcryptCost)
	case cost > maxBcryptCost:
		return Hash{}, fmt.Errorf("password: bcrypt cost %d would keep the processor busy for seconds: at most %d", cost, maxBcryptCost)
	}
	return Hash{&parsedHash{text: text, effort: effort{cost: uint8(cost)}}}, nil
}

var argon2Form = regexp.MustCompile(`^\$argon2id\$v=19\$m=([1-9][0-9]{0,8}),t=([1-9][0-9]{0,8}),p=([1-9][0-9]{0,2})\$([A-Za-z0-9+/]{11,86})\$([A-Za-z0-9+/]{22,86})$`)

func parseArgon2id(text string) (Hash, error) {
	found := argon2Form.FindStringSubmatch(text)
	if found == nil {
		return Hash{}, errors.New("password: a damaged argon2id hash: expected $argon2id$v=19$m=<KiB>,t=<passes>,p=<lanes>$<salt of 8 to 64 bytes>$<hash of 16 to 64 bytes>, both in base64 without padding")
	}
	memory, _ := strconv.Atoi(found[1])
	passes, _ := strconv.Atoi(found[2])
	lanes, _ := strconv.Atoi(found[3])
	switch {
	case memory > maxArgon2Memory, passes > maxArgon2Time, lanes > maxArgon2Lanes:
		return Hash{}, fmt.Errorf("password: argon2id m=%d,t=%d,p=%d costs too much for a login: at most m=%d,t=%d,p=%d", memory, passes, lanes, maxArgon2Memory, maxArgon2Time, maxArgon2Lanes)
	case memory < minArgon2Memory, memory*passes < minArgon2Work:
		return Hash{}, fmt.Errorf("password: argon2id m=%d,t=%d is too cheap to guess at: m at least %d and m times t at least %d", memory, passes, minArgon2Memory, minArgon2Work)
	}
	salt, err := base64.RawStdEncoding.Strict().DecodeString(found[4])
	if err != nil {
		return Hash{}, errors.New("password: the salt of the argon2id hash is not base64")
	}
	sum, err := base64.RawStdEncoding.Strict().DecodeString(found[5])
	if err != nil {
		return Hash{}, errors.New("password: the last part of the argon2id hash is not base64")
	}
	e := effort{time: uint32(passes), memory: uint32(memory), lanes: uint8(lanes)}
	return Hash{&parsedHash{text: text, effort: e, salt: salt, sum: sum}}, nil
}

// Verify reports whether the hash is that of the password. What cannot be a
// password costs the same and is never one: an empty text, one with a NUL byte (bcrypt
// repeats the password with a NUL between, so that "a" and "a\x00a" are one to
// it), more than 72 bytes with bcrypt, which would cut it, and more than 4,096.
func (h Hash) Verify(password string) bool {
	if h.parsed == nil {
		return false
	}
	can := h.canBe(password)
	if !can {
		password = "in its place"
	}
	return h.matches([]byte(password)) && can
}

func (h Hash) canBe(password string) bool {
	if h.parsed.cost > 0 && len(password) > maxBcryptPassword {
		return false
	}
	return password != "" && len(password) <= maxPassword && strings.IndexByte(password, 0) < 0
}

func (h Hash) matches(password []byte) bool {
	p := h.parsed
	if p.cost > 0 {
		return bcrypt.CompareHashAndPassword([]byte(p.text), password) == nil
	}
	sum := argon2.IDKey(password, p.salt, p.time, p.memory, p.lanes, uint32(len(p.sum)))
	return subtle.ConstantTimeCompare(sum, p.sum) == 1
}
