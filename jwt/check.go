package jwt

import (
	"math"
	"slices"
	"strings"
	"time"

	"github.com/caddy-admit/admit/claims"
)

// header checks what stands before the payload and finds the algorithm. What
// would name a key (jku, x5u, jwk, x5c) is never looked at.
func (r *rules) header(t *Token) (*algorithm, claims.Reason) {
	if t.padded && !r.LenientPadding {
		return nil, claims.MalformedToken
	}
	if t.header.Has("crit") || t.header.Has("b64") {
		// No extension is understood here (RFC 7515 section 4.1.11, RFC 7797).
		return nil, claims.CriticalHeader
	}
	if t.header.Has("enc") {
		return nil, claims.Encrypted
	}
	if kid := t.header.Get("kid"); kid.Exists() && !kid.IsString() {
		return nil, claims.MalformedToken
	}
	alg := r.algorithm(t.header.Get("alg"))
	if alg == nil {
		return nil, claims.UnsupportedAlgorithm
	}
	if typ := t.header.Get("typ"); typ.Exists() && !typ.IsString() || !r.typeAccepted(t.header) {
		return nil, claims.WrongType
	}
	return alg, ""
}

func (r *rules) algorithm(name claims.Value) *algorithm {
	for _, a := range r.algorithms {
		if name.Equal(a.name) {
			return a
		}
	}
	return nil
}

func (r *rules) typeAccepted(h *header) bool {
	if !h.Has("typ") {
		return slices.Contains(r.types, "")
	}
	name := h.mediaType()
	return name != "" && slices.Contains(r.types, name)
}

// payload checks the claims that say whose token it is, whom it is for and when.
// The cheapest come first, and all of them come before the signature: nothing
// here costs more than reading the bytes.
func (r *rules) payload(t *Token, now time.Time) claims.Reason {
	s := t.Claims
	times, ok := readTimes(s)
	if !ok {
		return claims.MalformedToken
	}
	t.checked = seconds(now)
	if reason := r.timely(times, t.checked); reason != "" {
		return reason
	}
	t.from, t.until = r.window(times)
	unsaid := r.vouched && !r.templates && !s.Has("iss") // of several tenants it must be said which
	if len(r.Issuers) > 0 && !unsaid && !r.issuerAccepted(s) {
		return claims.UnknownIssuer
	}
	if len(r.Audience) > 0 {
		if reason := r.audience(s); reason != "" {
			return reason
		}
	}
	if s.Has("cnf") {
		return claims.BoundToken // RFC 9449 section 7.2, RFC 8705 section 3: whoever shows it must prove more
	}
	if r.logout {
		return logoutAccepted(s)
	}
	if s.Has("events") || !r.vendorAccepted(s) {
		return claims.WrongType // "events": a logout or security event token
	}
	return ""
}

// times are the claims that say when a token is good, in seconds since 1970.
type times struct {
	exp, nbf, iat          float64
	hasExp, hasNbf, hasIat bool
}

// readTimes reads them. ok is false if one of them is no number.
func readTimes(s *claims.Set) (t times, ok bool) {
	exp, nbf, iat := s.Get("exp"), s.Get("nbf"), s.Get("iat")
	t.exp, t.hasExp = exp.Number()
	t.nbf, t.hasNbf = nbf.Number()
	t.iat, t.hasIat = iat.Number()
	return t, t.hasExp == exp.Exists() && t.hasNbf == nbf.Exists() && t.hasIat == iat.Exists()
}

// seconds returns a time as claims hold it.
func seconds(t time.Time) float64 { return float64(t.UnixNano()) / 1e9 }

// timely says what is wrong with the times at a moment. It compares as float64, in
// which no token can make a sum wrap around.
func (r *rules) timely(t times, now float64) claims.Reason {
	leeway := r.Leeway.Seconds()
	switch {
	case !t.hasExp && !r.ExpiryOptional && !r.vouched:
		return claims.MissingExpiry
	case t.hasExp && now >= t.exp+leeway:
		return claims.Expired
	case t.hasNbf && now < t.nbf-leeway:
		return claims.NotYetValid
	case r.MaxAge == 0:
		return ""
	case !t.hasIat || now >= t.iat+r.MaxAge.Seconds()+leeway:
		return claims.TooOld
	case now < t.iat-leeway:
		// A token from the future would outlive the limit.
		return claims.NotYetValid
	}
	return ""
}

// window returns from when on and until when timely has nothing against a token that
// it has accepted once.
func (r *rules) window(t times) (from, until float64) {
	leeway := r.Leeway.Seconds()
	from, until = math.Inf(-1), math.Inf(1)
	if t.hasExp {
		until = t.exp + leeway
	}
	if t.hasNbf {
		from = t.nbf - leeway
	}
	if r.MaxAge != 0 {
		from, until = max(from, t.iat-leeway), min(until, t.iat+r.MaxAge.Seconds()+leeway)
	}
	return from, until
}

func (r *rules) issuerAccepted(s *claims.Set) bool {
	iss := s.Get("iss")
	for _, issuer := range r.Issuers {
		if r.templates && hasTenant(issuer) {
			continue
		}
		if iss.Equal(issuer) {
			return true
		}
	}
	if !r.templates {
		return false
	}
	tid := s.Get("tid").String()
	return slices.Contains(r.Tenants, tid) && r.issuedBy(iss.String(), tid)
}

// issuedBy reports whether iss is an accepted issuer for the tenant. The tenants
// of the policy are GUIDs, so that what is filled in cannot change the URL.
func (r *rules) issuedBy(iss, tid string) bool {
	for _, issuer := range r.Issuers {
		if strings.ReplaceAll(issuer, tenantTemplate, tid) == iss {
			return true
		}
	}
	return false
}

// keyAccepted reports whether a key may vouch for the issuer of these claims. Keys
// that Entra ID publishes for several tenants say in "issuer" whose they are: that
// must be an accepted issuer, of the tenant that the token itself is from. It need
// not be the very "iss", for the same keys sign tokens of both versions.
func (r *rules) keyAccepted(k *key, s *claims.Set) bool {
	if k.issuer == "" || r.Vendor != VendorEntra && !r.templates {
		return true
	}
	tid, iss := s.Get("tid").String(), s.Get("iss").String()
	owner := strings.ReplaceAll(k.issuer, tenantTemplate, tid)
	return guid.MatchString(tid) && strings.Contains(iss, tid) && strings.Contains(owner, tid) && r.issuedBy(owner, tid)
}

func (r *rules) audience(s *claims.Set) claims.Reason {
	reason := claims.WrongAudience
	for _, path := range r.AudienceClaims {
		ok := path.Strings(s, func(aud string) bool {
			if slices.Contains(r.Audience, aud) {
				reason = ""
			}
			return true
		})
		if !ok {
			return claims.MalformedToken
		}
	}
	return reason
}

func (r *rules) vendorAccepted(s *claims.Set) bool {
	switch r.Vendor {
	case VendorCognito:
		return s.Get("token_use").Equal("access")
	case VendorKeycloak:
		return s.Get("typ").Equal("Bearer")
	}
	return true
}
