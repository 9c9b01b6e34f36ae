package admit

import (
	"context"
	"encoding/json"
	"errors"
	"strings"
	"time"

	"github.com/caddy-admit/admit/jwt"
)

// mint makes a token that an integration of the gate accepts, or nearly.
func (w *world) mint() {
	in, at := w.configs[w.order[w.rnd.Intn(len(w.order))]], w.now.Unix()
	iss := w.one("https://a.example", "https://b.example", "https://c.example", "https://evil.example")
	if len(in.Issuer) > 0 && !w.often(10) {
		iss = in.Issuer[0]
	}
	set := map[string]any{
		"iss": iss, "aud": []string{w.one("api", "api", "api", "other", "third")}, "sub": w.one("ada", "bob", "mallory", "ann"),
		"exp": at + int64(w.rnd.Intn(20_000)), "nbf": at - int64(w.rnd.Intn(100)), "iat": at - 10, "jti": w.rnd.Int63(),
		"groups": w.one("staff", "staff", "guests"), "email": "ada@a.example", "name": w.one("ann", "mona", ""),
	}
	if w.often(6) {
		delete(set, w.one("iss", "aud", "sub", "exp", "iat", "groups"))
	}
	if w.often(3) {
		set["exp"] = at + 300_000 // outlives the keys in an outage
	}
	if w.often(10) {
		set["nbf"] = at + int64(w.rnd.Intn(300))
	}
	raw := w.sign(in, iss, set)
	if w.often(10) {
		raw = raw[:len(raw)-8] + "AAAAAAAA"
	}
	if w.often(25) {
		raw = w.one(robotKey, robotKey+"x", "a.b.c", "x", raw+".x", raw[:len(raw)/2], "..")
	}
	if w.minted = append(w.minted, raw); len(w.minted) > 40 {
		w.minted = w.minted[1:]
	}
}

// sign signs claims with a key of the integration, or now and then with another.
func (w *world) sign(in *Integration, iss string, set map[string]any) string {
	switch keys := w.keys[iss]; {
	case in.Secret != nil && !w.often(8):
		return sign(w.t, in.Secret.Value, set)
	case len(keys) == 0:
		return sign(w.t, w.one(worldSecrets...), set)
	default:
		key := keys[w.rnd.Intn(len(keys))]
		if w.often(8) {
			key = w.key()
		}
		header := map[string]any{}
		if w.often(4) || key.kid == "" {
			header["kid"] = nil
		}
		return key.token(w.t, set, header)
	}
}

// pick takes a token, a new one more often than an old one.
func (w *world) pick() string {
	n := len(w.minted)
	return w.minted[n-1-min(w.rnd.Intn(n), w.rnd.Intn(n))]
}

// worldKeys are the keys of an issuer as one side knows them. They are fetched as
// those of a real issuer are, but at once.
type worldKeys struct {
	w              *world
	issuer         string
	set            *jwt.KeySet
	generation     uint64
	fetched, tried time.Time
}

func (s *side) source(url string) *worldKeys {
	if s.sources[url] == nil {
		s.sources[url] = &worldKeys{w: s.w, issuer: strings.TrimSuffix(url, "/jwks")}
	}
	return s.sources[url]
}

func (k *worldKeys) fetch() {
	k.tried = k.w.now
	if k.w.down[k.issuer] {
		return
	}
	keys := []any{}
	for _, key := range k.w.keys[k.issuer] {
		keys = append(keys, key.jwk(nil))
	}
	data, err := json.Marshal(object{"keys": keys})
	if err != nil {
		k.w.t.Fatal(err)
	}
	if k.set, _, err = jwt.ParseKeySet(data); err != nil {
		k.w.t.Fatal(err)
	}
	k.generation++
	k.fetched = k.w.now
}

// Keys implements [jwt.KeySource].
func (k *worldKeys) Keys(context.Context) (*jwt.KeySet, uint64, error) {
	if k.set == nil || k.w.now.Sub(k.fetched) > time.Hour {
		k.fetch()
	}
	if k.set == nil || k.w.now.Sub(k.fetched) > 24*time.Hour {
		return nil, 0, errors.New("out of reach")
	}
	return k.set, k.generation, nil
}

// Refresh implements [jwt.KeySource].
func (k *worldKeys) Refresh(ctx context.Context, seen uint64) (*jwt.KeySet, uint64, error) {
	if k.generation == seen && k.w.now.Sub(k.tried) >= 10*time.Second {
		k.fetch()
	}
	return k.Keys(ctx)
}
