package jwt

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"sync"
	"testing"
	"time"

	"github.com/caddy-admit/admit/claims"
	"github.com/caddy-admit/admit/internal/store"
	"github.com/caddy-admit/admit/internal/store/storetest"
)

// process is one of several that share a storage.
func process(s store.Store, alg string, now func() time.Time) *SigningKeys {
	return NewSigningKeys(Signing{Store: s, Key: "admit/keys/x", Algorithm: alg, Age: 90 * 24 * time.Hour, Keep: time.Hour, Now: now})
}

// signAt signs a token that is good for five minutes from now.
func signAt(t *testing.T, s *SigningKeys) string {
	t.Helper()
	payload, err := json.Marshal(map[string]any{"iss": "me", "aud": "me", "sub": "ada", "exp": s.Now().Add(5 * time.Minute).Unix()})
	if err != nil {
		t.Fatal(err)
	}
	raw, err := s.Sign(context.Background(), "at+jwt", payload)
	if err != nil {
		t.Fatal(err)
	}
	return raw
}

// verifyBy returns what a gate with these keys says of a token.
func verifyBy(t *testing.T, s *SigningKeys, raw string) error {
	t.Helper()
	v, err := NewVerifier(Policy{
		Issuers: []string{"me"}, Audience: []string{"me"}, AudienceClaims: []claims.Path{claims.MustPath("aud")},
		Algorithms: []string{s.Algorithm}, Types: []string{"at+jwt"}, Leeway: time.Minute,
	}, s, s.Now)
	if err != nil {
		t.Fatal(err)
	}
	token, err := Parse(raw)
	if err != nil {
		t.Fatal(err)
	}
	return v.Verify(context.Background(), token)
}

// published returns the public keys as a JWK set.
func published(t *testing.T, s *SigningKeys) []byte {
	keys, err := s.PublicKeys(context.Background())
	if err != nil {
		t.Error(err)
	}
	if keys == nil {
		keys = []json.RawMessage{}
	}
	jwks, err := json.Marshal(map[string]any{"keys": keys})
	if err != nil {
		t.Error(err)
	}
	return jwks
}

// TestSigning: what one process signs another one accepts, which published keys
// hold nothing private (threat 83), and an edited token is refused.
func TestSigning(t *testing.T) {
	for _, alg := range SigningAlgorithms {
		t.Run(alg, func(t *testing.T) {
			shared := new(storetest.Memory)
			a, b := process(shared, alg, time.Now), process(shared, alg, time.Now)
			raw := signAt(t, a)
			if err := verifyBy(t, b, raw); err != nil {
				t.Errorf("the other process: %v", err)
			}
			if err := verifyBy(t, process(new(storetest.Memory), alg, time.Now), raw); err == nil {
				t.Error("accepted with other keys")
			}
			jwks := published(t, b)
			for _, private := range []string{`"d"`, `"p"`, `"q"`, `"k"`} {
				if bytes.Contains(jwks, []byte(private)) {
					t.Errorf("published %s", private)
				}
			}
			set, dropped, err := ParseKeySet(jwks)
			if want := map[bool]int{true: 0, false: 1}[alg == "HS256"]; err != nil || len(dropped) > 0 || set.Len() != want {
				t.Errorf("published %d keys, dropped %v, %v", set.Len(), dropped, err)
			}
		})
	}
}

// TestSigningFirstUse: many that sign at once share the one key that is made.
func TestSigningFirstUse(t *testing.T) {
	shared := new(storetest.Memory)
	ids, wg := sync.Map{}, sync.WaitGroup{}
	for range 20 {
		s := process(shared, "EdDSA", time.Now)
		wg.Go(func() {
			ids.Store(string(published(t, s)), true)
		})
	}
	wg.Wait()
	n := 0
	ids.Range(func(any, any) bool { n++; return true })
	if n != 1 {
		t.Errorf("%d key sets, want 1", n)
	}
}

// TestSigningRotation: a new key is published before it signs, the old one
// verifies until its tokens have ended, and a change of algorithm is no break.
func TestSigningRotation(t *testing.T) {
	now := time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
	clock := func() time.Time { return now }
	shared := new(storetest.Memory)
	s, other := process(shared, "EdDSA", clock), process(shared, "EdDSA", clock)
	first := kidOf(t, signAt(t, s))
	now = now.Add(90*24*time.Hour - 5*time.Minute)
	if kidOf(t, signAt(t, s)) != first {
		t.Error("the new key signs at once")
	}
	if set, _, err := other.Keys(context.Background()); err != nil || set.Len() != 2 {
		t.Errorf("published %v before it signs, %v", set, err)
	}
	now = now.Add(9 * time.Minute)
	last := signAt(t, s)
	now = now.Add(2 * time.Minute)
	if second := kidOf(t, signAt(t, s)); second == first {
		t.Error("the old key still signs")
	}
	if err := verifyBy(t, other, signAt(t, s)); err != nil {
		t.Errorf("new key in the other process: %v", err)
	}
	if err := verifyBy(t, other, last); err != nil {
		t.Errorf("old key: %v", err)
	}
	now = now.Add(90 * 24 * time.Hour)
	signAt(t, s)
	if set, _, err := s.Keys(context.Background()); err != nil || set.Len() != 2 {
		t.Errorf("kept %d keys, want the last two, %v", set.Len(), err)
	}
	changed := process(shared, "ES256", clock)
	if err := verifyBy(t, changed, signAt(t, changed)); err != nil {
		t.Errorf("another algorithm: %v", err)
	}
}

func kidOf(t *testing.T, raw string) string {
	t.Helper()
	token, err := Parse(raw)
	if err != nil {
		t.Fatal(err)
	}
	return token.header.Get("kid").String()
}

// TestSigningOutage: without the storage nothing is signed by a key that would be
// lost (threat 52); with keys at hand an outage is no matter.
func TestSigningOutage(t *testing.T) {
	now, down := time.Now(), true
	shared := &storetest.Memory{Fail: func(string, string) error {
		if down {
			return errors.New("gone")
		}
		return nil
	}}
	s := process(shared, "EdDSA", func() time.Time { return now })
	if _, err := s.Sign(context.Background(), "at+jwt", []byte("{}")); !errors.Is(err, store.ErrUnavailable) {
		t.Errorf("got error %v, want ErrUnavailable", err)
	}
	down, now = false, now.Add(2*time.Second)
	raw := signAt(t, s)
	down, now = true, now.Add(2*time.Minute)
	if err := verifyBy(t, s, raw); err != nil {
		t.Errorf("keys at hand: %v", err)
	}
	signAt(t, s)
}
