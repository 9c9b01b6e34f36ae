package local

import (
	"context"
	"encoding/base64"
	"errors"
	"fmt"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"golang.org/x/crypto/argon2"
	"golang.org/x/crypto/bcrypt"
)

const (
	// Made by caddy hash-password of "antitiming".
	caddyBcrypt   = "$2a$10$.es6kckHcTf8gV/YOd.ub.nwLrhDMaIcBud7kc5Ot7KcDgCUhWPYq"
	caddyArgon2id = "$argon2id$v=19$m=47104,t=1,p=1$P2nzckEdTZ3bxCiBCkRTyA$xQL3Z32eo5jKl7u5tcIsnEKObYiyNZQQf5/4sAau6Pg"

	bcryptTail = "X3ulqf/iGxnf1k6oMZ.RZeJUoqI9PX2PM4rS5lkIKJXduLGXGPrt6"
)

// cheapBcrypt is a hash of a cost that is not accepted, so that tests are quick.
func cheapBcrypt(t *testing.T, password string) string {
	t.Helper()
	hash, err := bcrypt.GenerateFromPassword([]byte(password), bcrypt.MinCost)
	if err != nil {
		t.Fatal(err)
	}
	return string(hash)
}

// parsed reads a hash, also one of cheapBcrypt.
func parsed(t *testing.T, text string) Hash {
	t.Helper()
	if strings.HasPrefix(text[3:], "$04$") {
		return Hash{&parsedHash{text: text, effort: effort{cost: uint8(bcrypt.MinCost)}}}
	}
	h, err := ParseHash(text)
	if err != nil {
		t.Fatal(err)
	}
	return h
}

func argon2Hash(password string) string {
	salt := []byte("0123456789abcdef")
	sum := argon2.IDKey([]byte(password), salt, 5, 7*1024, 1, 32)
	return fmt.Sprintf("$argon2id$v=19$m=7168,t=5,p=1$%s$%s",
		base64.RawStdEncoding.EncodeToString(salt), base64.RawStdEncoding.EncodeToString(sum))
}

// TestParseHash: costs are bounded on both sides (threat 82), and no error shows
// what was read (threat 94).
func TestParseHash(t *testing.T) {
	argon := func(from, to string) string { return strings.Replace(caddyArgon2id, from, to, 1) }
	for _, tc := range []struct {
		name, text, wantErr string
	}{
		{"bcrypt 2a", "$2a$14$" + bcryptTail, ""},
		{"bcrypt 2b", "$2b$12$" + bcryptTail, ""},
		{"bcrypt 2y", "$2y$10$" + bcryptTail, ""},
		{"bcrypt 2x", "$2x$10$" + bcryptTail, "damaged bcrypt"},
		{"bcrypt without minor", "$2$10$" + bcryptTail, "damaged bcrypt"},
		{"bcrypt cheap", "$2a$09$" + bcryptTail, "at least 10"},
		{"bcrypt cheapest", "$2a$04$" + bcryptTail, "at least 10"},
		{"bcrypt dear", "$2a$15$" + bcryptTail, "at most 14"},
		{"bcrypt dearest", "$2a$31$" + bcryptTail, "at most 14"},
		{"bcrypt cut", "$2a$14$" + bcryptTail[:52], "damaged bcrypt"},
		{"bcrypt and more", "$2a$14$" + bcryptTail + "a", "damaged bcrypt"},
		{"bcrypt and a line break", "$2a$14$" + bcryptTail + "\n", "damaged bcrypt"},
		{"bcrypt with another alphabet", "$2a$14$" + bcryptTail[:52] + "+", "damaged bcrypt"},
		{"argon2id", caddyArgon2id, ""},
		{"argon2id of least memory", argon("m=47104,t=1", "m=7168,t=5"), ""},
		{"argon2id of too little memory", argon("m=47104,t=1", "m=7167,t=10"), "too cheap"},
		{"argon2id of too little work", argon("m=47104,t=1", "m=7168,t=4"), "too cheap"},
		{"argon2id of most memory", argon("m=47104", "m=262144"), ""},
		{"argon2id of too much memory", argon("m=47104", "m=262145"), "too much"},
		{"argon2id of most passes", argon("t=1", "t=10"), ""},
		{"argon2id of too many passes", argon("t=1", "t=11"), "too much"},
		{"argon2id of most lanes", argon("p=1", "p=16"), ""},
		{"argon2id of too many lanes", argon("p=1", "p=17"), "too much"},
		{"argon2id of no lanes", argon("p=1", "p=0"), "damaged"},
		{"argon2id of no passes", argon("t=1", "t=0"), "damaged"},
		{"argon2id with a sign", argon("t=1", "t=+1"), "damaged"},
		{"argon2id with overflow", argon("m=47104", "m=4294967296"), "damaged"},
		{"argon2id of 1.0", argon("v=19", "v=16"), "damaged"},
		{"argon2id with padding", caddyArgon2id + "=", "damaged"},
		{"argon2id with spare bits", argon("kRTyA$", "kRTyB$"), "not base64"},
		{"argon2id with a short salt", argon("P2nzckEdTZ3bxCiBCkRTyA", "P2nzckEdTZ"), "damaged"},
		{"argon2id with a short sum", argon("xQL3Z32eo5jKl7u5tcIsnEKObYiyNZQQf5/4sAau6Pg", "xQL3Z32eo5jKl7u5tcIs"), "damaged"},
		{"argon2i", argon("argon2id", "argon2i"), "not a hash"},
		{"a plain password", "hunter2hunter2", "not a hash"},
		{"nothing", "", "not a hash"},
		{"white space", " " + caddyArgon2id, "not a hash"},
	} {
		_, err := ParseHash(tc.text)
		if got := fmt.Sprint(err); (err == nil) != (tc.wantErr == "") || !strings.Contains(got, tc.wantErr) && err != nil {
			t.Errorf("%s: got error %v, want one with %q", tc.name, err, tc.wantErr)
		} else if strings.Contains(got, "hunter2") || strings.Contains(got, bcryptTail[:20]) || strings.Contains(got, "P2nzck") {
			t.Errorf("%s: the error shows the hash: %v", tc.name, err)
		}
	}
}

// TestVerify: what bcrypt would cut or take for another password is wrong, not an
// error (threat 82).
func TestVerify(t *testing.T) {
	long := strings.Repeat("x", 72)
	for _, tc := range []struct {
		name, hash, password string
		want                 bool
	}{
		{"argon2id of Caddy", caddyArgon2id, "antitiming", true},
		{"argon2id of Caddy, wrong", caddyArgon2id, "antitiminG", false},
		{"argon2id", argon2Hash("pass"), "pass", true},
		{"argon2id, long", argon2Hash(long + "y"), long + "y", true},
		{"argon2id, longer than any", argon2Hash(strings.Repeat("x", 4097)), strings.Repeat("x", 4097), false},
		{"argon2id, empty", argon2Hash(""), "", false},
		{"bcrypt of Caddy", caddyBcrypt, "antitiming", true},
		{"bcrypt of Caddy, wrong", caddyBcrypt, "antitiminG", false},
		{"bcrypt", cheapBcrypt(t, "pass"), "pass", true},
		{"bcrypt 2y", strings.Replace(cheapBcrypt(t, "pass"), "$2a$", "$2y$", 1), "pass", true},
		{"bcrypt, wrong", cheapBcrypt(t, "pass"), "Pass", false},
		{"bcrypt, prefix", cheapBcrypt(t, "pass"), "pas", false},
		{"bcrypt, 72 bytes", cheapBcrypt(t, long), long, true},
		{"bcrypt, 73 bytes", cheapBcrypt(t, long), long + "x", false},
		{"bcrypt, repeated with NUL", cheapBcrypt(t, "pass"), "pass\x00pass", false},
		{"bcrypt, empty", cheapBcrypt(t, ""), "", false},
		{"bcrypt, what stands in", cheapBcrypt(t, "in its place"), "", false},
		{"bcrypt, UTF-8", cheapBcrypt(t, "päß"), "päß", true},
	} {
		if got := parsed(t, tc.hash).Verify(tc.password); got != tc.want {
			t.Errorf("%s: got %v, want %v", tc.name, got, tc.want)
		}
	}
	if (Hash{}).Verify("") || (Hash{}).Verify("x") {
		t.Error("the zero hash fits a password")
	}
}

// TestVerifyEven: what cannot be a password is hashed like one (threats 79 and
// 82). What is allocated tells that the work was done.
func TestVerifyEven(t *testing.T) {
	for _, text := range []string{cheapBcrypt(t, "pass"), caddyArgon2id} {
		h := parsed(t, text)
		work := func(password string) float64 {
			return testing.AllocsPerRun(3, func() { h.Verify(password) })
		}
		want := work("wrong")
		for _, password := range []string{"", "a\x00b", strings.Repeat("x", 73), strings.Repeat("x", 5000)} {
			if got := work(password); got == 0 || got < want-2 || got > want+2 {
				t.Errorf("%.10q: %v allocations, want %v", password, got, want)
			}
		}
	}
}

// TestHashHidden: no format prints a hash (threat 94).
func TestHashHidden(t *testing.T) {
	h, err := ParseHash(caddyArgon2id)
	if err != nil {
		t.Fatal(err)
	}
	for _, format := range []string{"%v", "%+v", "%#v", "%s", "%q", "%x", "%d"} {
		for _, value := range []any{h, &h, User{ID: "ada", Hash: h}, &User{ID: "ada", Hash: h}, []User{{Hash: h}}} {
			if got := fmt.Sprintf(format, value); strings.Contains(got, "xQL3Z32e") || strings.Contains(got, fmt.Sprintf("%x", "xQL3Z32e")) {
				t.Errorf("%s of a %T: %s", format, value, got)
			}
		}
	}
}

// TestTurns: strangers never take the last turn, and whoever gets none in time
// hears that it is busy (threat 82).
func TestTurns(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		turns := newTurns(2)
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		giveStranger, err := turns.take(ctx, true)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := turns.take(ctx, true); !errors.Is(err, ErrBusy) {
			t.Errorf("second stranger: got error %v, want ErrBusy", err)
		}
		giveFriend, err := turns.take(t.Context(), false)
		if err != nil {
			t.Errorf("somebody known beside a stranger: %v", err)
		}
		if _, err := turns.take(ctx, false); !errors.Is(err, ErrBusy) {
			t.Errorf("third at once: got error %v, want ErrBusy", err)
		}
		giveStranger()
		giveFriend()
		if give, err := turns.take(t.Context(), true); err != nil {
			t.Errorf("after all have ended: %v", err)
		} else {
			give()
		}
		if len(turns.all) != 0 || len(turns.strangers) != 0 {
			t.Errorf("turns left over: %d, %d", len(turns.all), len(turns.strangers))
		}
	})
}

func FuzzParseHash(f *testing.F) {
	f.Add(caddyArgon2id)
	f.Add("$2a$14$" + bcryptTail)
	f.Add("$2a$31$" + bcryptTail)
	f.Add("$argon2id$v=19$m=4294967295,t=4294967295,p=255$AAAAAAAAAAA$AAAAAAAAAAAAAAAAAAAAAA")
	f.Add("hunter2")
	f.Fuzz(func(t *testing.T, text string) {
		h, err := ParseHash(text)
		if err != nil {
			if len(text) > 24 && strings.Contains(err.Error(), text[len(text)-24:]) {
				t.Errorf("the error shows the text: %v", err)
			}
			return
		}
		p := h.parsed
		bcryptFits := p.cost >= minBcryptCost && p.cost <= maxBcryptCost && len(text) == 60 && p.memory == 0
		argon2Fits := p.cost == 0 && p.memory >= minArgon2Memory && p.memory <= maxArgon2Memory &&
			p.time >= 1 && p.time <= maxArgon2Time && p.lanes >= 1 && p.lanes <= maxArgon2Lanes &&
			len(p.salt) >= 8 && len(p.salt) <= 64 && len(p.sum) >= 16 && len(p.sum) <= 64
		if p.text != text || bcryptFits == argon2Fits {
			t.Errorf("accepted %q as %+v", text, p.effort)
		}
		if bcryptFits {
			if cost, err := bcrypt.Cost([]byte(text)); err != nil || cost != int(p.cost) {
				t.Errorf("accepted %q, to bcrypt of cost %d: %v", text, cost, err)
			}
		}
	})
}
