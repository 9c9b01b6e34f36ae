package jwt

import (
	"errors"
	"fmt"
	"regexp"
	"slices"
	"strings"
	"time"

	"github.com/caddy-admit/admit/claims"
)

// Vendors whose tokens need a check that no option expresses.
const (
	VendorEntra    = "entra"    // keys belong to the tenant that their "issuer" names
	VendorCognito  = "cognito"  // "token_use" must be "access"
	VendorKeycloak = "keycloak" // the payload's "typ" must be "Bearer"
)

// tenantTemplate stands in an issuer for the token's own "tid".
const tenantTemplate = "{tenantid}"

// maxLeeway is the largest clock skew that can be allowed.
const maxLeeway = 5 * time.Minute

// Policy says what a token must be.
type Policy struct {
	// Issuers lists the accepted "iss" values, compared exactly; none: "iss" is
	// not looked at. A value may hold {tenantid}, which stands for the token's own
	// "tid"; Tenants lists the accepted ones, GUIDs in lower case.
	Issuers []string
	Tenants []string
	// Audience lists the accepted audiences; none: they are not looked at.
	// AudienceClaims lists the claims that hold them.
	Audience       []string
	AudienceClaims []claims.Path
	// Algorithms lists the accepted "alg" values.
	Algorithms []string
	// Types lists the accepted "typ" headers as media types; "" is an absent one.
	Types []string
	// ExpiryOptional accepts tokens without "exp".
	ExpiryOptional bool
	// Leeway is the clock skew allowed on "exp", "nbf" and "iat".
	Leeway time.Duration
	// MaxAge is the age of the oldest accepted "iat"; 0: no limit.
	MaxAge time.Duration
	// LenientPadding accepts base64url with canonical "=".
	LenientPadding bool
	// Vendor is one of the Vendor constants, or empty.
	Vendor string
}

// DefaultTypes are the accepted "typ" headers of an access token: none, JWT
// (RFC 7519 section 5.1) and at+jwt (RFC 9068 section 2.1).
var DefaultTypes = []string{"", "JWT", "at+jwt"}

var guid = regexp.MustCompile(`^[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}$`)

// Check reports every mistake in the policy at once.
func (p *Policy) Check() error {
	var errs []error
	if len(p.Algorithms) == 0 {
		errs = append(errs, errors.New("algorithms: at least one is needed"))
	}
	for _, name := range p.Algorithms {
		if algorithms[name] == nil {
			errs = append(errs, fmt.Errorf("algorithms: %q is not one of %s %s", name,
				strings.Join(Asymmetric, " "), strings.Join(Symmetric, " ")))
		}
	}
	if slices.Contains(p.Issuers, "") || slices.Contains(p.Audience, "") {
		errs = append(errs, errors.New("issuer, audience: a value must not be empty"))
	}
	templates := slices.ContainsFunc(p.Issuers, hasTenant)
	if templates && len(p.Tenants) == 0 {
		errs = append(errs, errors.New("issuer, tenants: tenants must list whose tokens an issuer with {tenantid} accepts"))
	}
	if !templates && len(p.Tenants) > 0 {
		errs = append(errs, errors.New("tenants, issuer: tenants need an issuer with {tenantid} in it"))
	}
	for _, t := range p.Tenants {
		if !guid.MatchString(t) {
			errs = append(errs, fmt.Errorf("tenants: %q is not a GUID: expected one in lower case", t))
		}
	}
	if p.Leeway < 0 || p.Leeway > maxLeeway {
		errs = append(errs, fmt.Errorf("leeway %v: expected 0s to 5m", p.Leeway))
	}
	if p.MaxAge < 0 {
		errs = append(errs, fmt.Errorf("max_token_age %v: must not be negative", p.MaxAge))
	}
	switch p.Vendor {
	case "", VendorEntra, VendorCognito, VendorKeycloak:
	default:
		errs = append(errs, fmt.Errorf("vendor: %q is not one of entra cognito keycloak", p.Vendor))
	}
	return errors.Join(errs...)
}

func hasTenant(issuer string) bool { return strings.Contains(issuer, tenantTemplate) }

// rules is a policy as the checks read it.
type rules struct {
	Policy
	algorithms []*algorithm
	types      []string // as media types, see mediaType
	templates  bool     // some issuer holds {tenantid}
	logout     bool     // of logout tokens, see [Verifier.Logout]
	vouched    bool     // of claims without a token, see [Verifier.CheckClaims]
}

func newRules(p Policy) (rules, error) {
	if err := p.Check(); err != nil {
		return rules{}, fmt.Errorf("jwt: %w", err)
	}
	r := rules{Policy: p, templates: slices.ContainsFunc(p.Issuers, hasTenant)}
	for _, name := range p.Algorithms {
		r.algorithms = append(r.algorithms, algorithms[name])
	}
	for _, name := range p.Types {
		r.types = append(r.types, mediaType(name))
	}
	return r, nil
}

// mediaType spells a "typ" value in the one form that is compared: case and the
// prefix "application/" do not matter (RFC 7515 section 4.1.9).
func mediaType(typ string) string {
	return strings.TrimPrefix(strings.ToLower(typ), "application/")
}
