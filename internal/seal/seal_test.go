package seal

import (
	"bytes"
	"errors"
	"testing"
)

func secret(b byte) []byte { return bytes.Repeat([]byte{b}, MinSecret) }

func sealer(t *testing.T, purpose string, context []string, secrets ...[]byte) *Sealer {
	t.Helper()
	s, err := New(secrets, purpose, context...)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// TestOpen: what was sealed opens for the same purpose and context with one of
// the secrets, and for nobody else (threats 44 and 50).
func TestOpen(t *testing.T) {
	sealed := sealer(t, "session", []string{"corp", "ab"}, secret(1)).Seal(nil, []byte("hello"))
	for _, tc := range []struct {
		name string
		by   *Sealer
		ok   bool
	}{
		{"the same", sealer(t, "session", []string{"corp", "ab"}, secret(1)), true},
		{"rotated", sealer(t, "session", []string{"corp", "ab"}, secret(2), secret(1)), true},
		{"another secret", sealer(t, "session", []string{"corp", "ab"}, secret(2)), false},
		{"another purpose", sealer(t, "state", []string{"corp", "ab"}, secret(1)), false},
		{"another context", sealer(t, "session", []string{"corp", "ac"}, secret(1)), false},
		{"a context cut elsewhere", sealer(t, "session", []string{"corpa", "b"}, secret(1)), false},
	} {
		plain, err := tc.by.Open(nil, sealed)
		if ok := err == nil && string(plain) == "hello"; ok != tc.ok {
			t.Errorf("%s: got %q, %v", tc.name, plain, err)
		}
		if err != nil && !errors.Is(err, ErrOpen) {
			t.Errorf("%s: got error %v, want ErrOpen", tc.name, err)
		}
	}
}

// TestEdited flips every bit and cuts at every length.
func TestEdited(t *testing.T) {
	s := sealer(t, "session", nil, secret(1))
	sealed := s.Seal(nil, []byte("hello"))
	for i := range sealed {
		for bit := range 8 {
			edited := bytes.Clone(sealed)
			edited[i] ^= 1 << bit
			if _, err := s.Open(nil, edited); err == nil {
				t.Fatalf("opened with bit %d of byte %d changed", bit, i)
			}
		}
		if _, err := s.Open(nil, sealed[:i]); err == nil {
			t.Fatalf("opened the first %d bytes", i)
		}
	}
	if _, err := s.Open(nil, append(sealed, 0)); err == nil {
		t.Fatal("opened with a byte more")
	}
}

// TestFresh: the same text never looks the same twice.
func TestFresh(t *testing.T) {
	s := sealer(t, "session", nil, secret(1))
	if a, b := s.Seal(nil, []byte("x")), s.Seal(nil, []byte("x")); bytes.Equal(a, b) {
		t.Error("sealed twice to the same bytes")
	}
}

func TestSecrets(t *testing.T) {
	for _, secrets := range [][][]byte{nil, {}, {nil}, {secret(1)[:31]}, {secret(1), {}}} {
		if _, err := New(secrets, "session"); !errors.Is(err, ErrSecret) {
			t.Errorf("%d secrets: got error %v, want ErrSecret", len(secrets), err)
		}
	}
}

func BenchmarkOpen(b *testing.B) {
	s, err := New([][]byte{secret(1)}, "session", "corp")
	if err != nil {
		b.Fatal(err)
	}
	sealed := s.Seal(nil, make([]byte, 1500))
	room := make([]byte, 0, 2000)
	b.ReportAllocs()
	for b.Loop() {
		if _, err := s.Open(room, sealed); err != nil {
			b.Fatal(err)
		}
	}
}
