package admit

import (
	"cmp"
	"fmt"
	"maps"
	"regexp"
	"slices"
	"strings"
)

// preset is what is known about one vendor's tokens, as plain options.
type preset struct {
	usage string // its arguments, as in a spec
	make  func(args []string) (Integration, error)
}

// presets lists the vendors by name.
var presets = map[string]preset{
	"google": {"", func([]string) (Integration, error) {
		return Integration{
			// Google's own documents name both spellings.
			Issuer:   []string{"https://accounts.google.com", "accounts.google.com"},
			Identity: &Identity{User: []string{"email", "sub"}},
		}, nil
	}},
	"entra":    {"<tenant-id>...", entra},
	"okta":     {"<domain> [<server>]", okta},
	"cognito":  {"<region> <pool> [<domain>]", cognito},
	"auth0":    {"<domain>", auth0},
	"keycloak": {"<base-url> <realm>", keycloak},
	"gitlab":   {"[<url>]", gitlab},
	"flama": {"", func([]string) (Integration, error) {
		return Integration{
			Algorithms: []string{"HS256", "HS384", "HS512"},
			Padding:    "lenient",
			Expiry:     "optional",
			Identity: &Identity{
				User:  []string{"data.id", "sub", "none"},
				Claim: []NamedClaim{{Name: "permissions", Claims: []string{"data.permissions", "data.roles.*"}}},
			},
		}, nil
	}},
}

// applyPreset fills what the other options of an integration left out.
func applyPreset(o option, c *Integration) error {
	name, args := o.args[0], o.args[1:]
	p, known := presets[name]
	if !known {
		return o.Errf("preset %q: expected one of %s", name, strings.Join(slices.Sorted(maps.Keys(presets)), ", "))
	}
	if least, most, _ := shape(p.usage); len(args) < least || len(args) > most {
		return o.Errf("preset %s: wrong number of arguments (%d): expected \"%s\"",
			name, len(args), strings.TrimSpace("preset "+name+" "+p.usage))
	}
	defaults, err := p.make(args)
	if err != nil {
		return o.Errf("preset %s %w", name, err)
	}
	c.fill(defaults)
	return nil
}

// fill takes from a preset what c leaves out. Discovery goes with the issuer that
// the preset knows, and is not made where the keys are given.
func (c *Integration) fill(p Integration) {
	c.Vendor = p.Vendor
	if len(c.Issuer) == 0 {
		c.Issuer = p.Issuer
		if c.JWKS == "" && len(c.Key) == 0 && c.Secret == nil {
			c.Discovery = cmp.Or(c.Discovery, p.Discovery)
		}
	}
	isTemplate := func(issuer string) bool { return strings.Contains(issuer, "{tenantid}") }
	if len(c.Tenants) == 0 && slices.ContainsFunc(c.Issuer, isTemplate) {
		c.Tenants = p.Tenants
	}
	fillList(&c.AudienceClaims, p.AudienceClaims)
	fillList(&c.Algorithms, p.Algorithms)
	c.Padding = cmp.Or(c.Padding, p.Padding)
	c.Expiry = cmp.Or(c.Expiry, p.Expiry)
	if c.Identity == nil || p.Identity == nil {
		c.Identity = cmp.Or(c.Identity, p.Identity)
		return
	}
	fillList(&c.Identity.User, p.Identity.User)
	fillList(&c.Identity.Groups, p.Identity.Groups)
	for _, claim := range p.Identity.Claim {
		same := func(own NamedClaim) bool { return own.Name == claim.Name }
		if !slices.ContainsFunc(c.Identity.Claim, same) {
			c.Identity.Claim = append(c.Identity.Claim, claim)
		}
	}
}

func fillList(list *[]string, defaults []string) {
	if len(*list) == 0 {
		*list = defaults
	}
}

// entra accepts tokens of both versions, since the manifest of the API that a
// token is for decides which one arrives, not the endpoint.
func entra(tenants []string) (Integration, error) {
	c := Integration{
		Vendor:   "entra",
		Identity: &Identity{User: []string{"oid"}, Groups: []string{"groups", "roles"}},
	}
	ids := make([]string, 0, len(tenants))
	for _, tenant := range tenants {
		switch {
		case tenant == "common" || tenant == "organizations" || tenant == "consumers":
			return c, fmt.Errorf("%q: that would let in everybody whom Microsoft knows: expected the ids of the tenants you trust", tenant)
		case !guid.MatchString(tenant) && !placeholder.MatchString(tenant):
			return c, fmt.Errorf("%q: expected the id of a tenant as in 11111111-2222-3333-4444-555555555555", tenant)
		case !placeholder.MatchString(tenant):
			tenant = strings.ToLower(tenant) // as it stands in tokens
		}
		ids = append(ids, tenant)
	}
	tenant := ids[0]
	if len(ids) > 1 {
		tenant = "{tenantid}"
		c.Tenants = ids
		c.Discovery = "https://login.microsoftonline.com/organizations/v2.0/.well-known/openid-configuration"
	}
	c.Issuer = []string{"https://login.microsoftonline.com/" + tenant + "/v2.0", "https://sts.windows.net/" + tenant + "/"}
	return c, nil
}

func okta(args []string) (Integration, error) {
	c := Integration{Issuer: []string{"https://" + args[0]}}
	if len(args) == 1 {
		return c, isDomain(args[0])
	}
	c.Issuer[0] += "/oauth2/" + args[1]
	return c, cmp.Or(isDomain(args[0]), isSegment(args[1]))
}

// cognito takes audiences from two claims: access tokens have no "aud" and name
// the client in "client_id". The domain is where users log in; tokens name the pool.
func cognito(args []string) (Integration, error) {
	c := Integration{
		Vendor:         "cognito",
		Issuer:         []string{"https://cognito-idp." + args[0] + ".amazonaws.com/" + args[1]},
		AudienceClaims: []string{"aud", "client_id"},
		Identity:       &Identity{Groups: []string{"cognito:groups"}},
	}
	err := cmp.Or(isSegment(args[0]), isSegment(args[1]))
	if len(args) == 3 {
		err = cmp.Or(err, isDomain(args[2]))
	}
	return c, err
}

// auth0 ends its issuer with a slash.
func auth0(args []string) (Integration, error) {
	return Integration{Issuer: []string{"https://" + args[0] + "/"}}, isDomain(args[0])
}

func keycloak(args []string) (Integration, error) {
	base, err := baseURL(args[0])
	return Integration{
		Vendor: "keycloak",
		Issuer: []string{base + "/realms/" + args[1]},
		Identity: &Identity{
			User:   []string{"preferred_username", "sub"},
			Groups: []string{"groups", "realm_access.roles"},
		},
	}, cmp.Or(err, isSegment(args[1]))
}

func gitlab(args []string) (Integration, error) {
	base, err := "https://gitlab.com", error(nil)
	if len(args) == 1 {
		base, err = baseURL(args[0])
	}
	return Integration{
		Issuer:   []string{base},
		Identity: &Identity{Groups: []string{"groups_direct", "groups"}},
	}, err
}

var (
	guid    = regexp.MustCompile(`^[0-9A-Fa-f]{8}(-[0-9A-Fa-f]{4}){3}-[0-9A-Fa-f]{12}$`)
	domain  = regexp.MustCompile(`^[0-9A-Za-z]([0-9A-Za-z.-]*[0-9A-Za-z])?(:[0-9]+)?$`)
	segment = regexp.MustCompile(`^[0-9A-Za-z._~-]+$`)
)

func isDomain(arg string) error {
	if domain.MatchString(placeholder.ReplaceAllLiteralString(arg, "x")) {
		return nil
	}
	return fmt.Errorf("%q: expected a domain as in login.example.com, without https:// and without a path", arg)
}

func isSegment(arg string) error {
	if segment.MatchString(placeholder.ReplaceAllLiteralString(arg, "x")) {
		return nil
	}
	return fmt.Errorf("%q: expected one name without slashes and spaces", arg)
}

// baseURL checks an URL that paths are added to, and cuts its last slash off.
func baseURL(arg string) (string, error) {
	scheme := strings.HasPrefix(arg, "https://") || strings.HasPrefix(arg, "http://")
	if !scheme && !placeholder.MatchString(arg) || strings.ContainsAny(arg, "?#") {
		return "", fmt.Errorf("%q: expected a URL as in https://login.example.com", arg)
	}
	return strings.TrimSuffix(arg, "/"), nil
}
