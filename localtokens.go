package admit

import (
	"slices"
	"time"

	"github.com/caddy-admit/admit/claims"
	"github.com/caddy-admit/admit/internal/store"
	"github.com/caddy-admit/admit/jwt"
	"github.com/caddy-admit/admit/oauth/local"
)

const (
	defaultAccess  = 5 * time.Minute
	defaultRefresh = 720 * time.Hour
	defaultKeyAge  = 2160 * time.Hour
)

// tokensDraft is [Tokens] that was read, with the defaults filled in.
type tokensDraft struct {
	issuer               string
	audience             []string
	algorithm            string
	access, refresh, age time.Duration
}

// read reads how tokens are made by the integration of that name.
func (t *Tokens) read(e *expander, name string) *tokensDraft {
	if t == nil {
		return nil
	}
	d := &tokensDraft{
		issuer:    or(e.text("tokens issuer", t.Issuer), name),
		audience:  e.texts("tokens audience", t.Audience),
		algorithm: or(t.Sign, "EdDSA"),
		access:    or(time.Duration(t.Access), defaultAccess),
		refresh:   or(time.Duration(t.Refresh), defaultRefresh),
		age:       or(time.Duration(t.KeyAge), defaultKeyAge),
	}
	if len(d.audience) == 0 {
		d.audience = []string{d.issuer}
	}
	switch {
	case !slices.Contains(jwt.SigningAlgorithms, d.algorithm):
		e.fail("tokens sign %q: expected one of EdDSA, ES256, RS256 and HS256", t.Sign)
	case d.access < time.Second:
		e.fail("tokens access %v: expected at least 1s", d.access)
	case d.refresh < d.access:
		e.fail("tokens refresh %v: expected no less than access, which is %v", d.refresh, d.access)
	case d.age < time.Hour:
		e.fail("tokens key_age %v: expected at least 1h", d.age)
	}
	return d
}

// openTokens prepares the token endpoint, and the gate for its tokens.
func (d *draft) openTokens(kept store.Store) (err error) {
	t := d.own.tokens
	d.local.signing = jwt.NewSigningKeys(jwt.Signing{
		Store: kept, Key: store.Key("keys", d.name, t.algorithm), Algorithm: t.algorithm,
		Age: t.age, Keep: t.access + 2*defaultLeeway, Now: now,
	})
	d.local.endpoint = &local.Endpoint{
		SignIn:   d.local.signIn,
		Find:     d.local.find,
		Tokens:   &local.Tokens{Issuer: t.issuer, Audience: t.audience, Access: t.access, Keys: d.local.signing, Now: now},
		Families: local.NewFamilies(kept, d.name, t.refresh, d.sessions.Ended, now),
	}
	d.policy = jwt.Policy{
		Issuers: []string{t.issuer}, Audience: t.audience, AudienceClaims: []claims.Path{claims.MustPath("aud")},
		Algorithms: []string{t.algorithm}, Types: []string{local.AccessTokenType}, Leeway: defaultLeeway,
	}
	d.verifier, err = jwt.NewVerifier(d.policy, d.local.signing, now)
	return err
}
