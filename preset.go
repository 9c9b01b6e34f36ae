package admit

import (
	"cmp"
	"fmt"
	"maps"
	"regexp"
	"slices"
	"strings"
	"time"

	"github.com/caddyserver/caddy/v2"

	"github.com/caddy-admit/admit/jwt"
	"github.com/caddy-admit/admit/oauth"
)

// preset is what is known about one vendor's tokens, as plain options.
type preset struct {
	usage string // its arguments, as in a spec
	make  func(args []string) (Integration, error)
}

// presets lists the vendors by name.
var presets = map[string]preset{
	"google":   {"", google},
	"github":   {"", github},
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
		if c.Login != nil || c.JWKS == "" && len(c.Key) == 0 && c.Secret == nil {
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
	if c.Login != nil {
		c.fillLogin(p)
	}
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

// fillLogin takes from a preset what is about logging in.
func (c *Integration) fillLogin(p Integration) {
	c.Userinfo = cmp.Or(c.Userinfo, p.Userinfo)
	if p.Session != nil {
		c.Session = cmp.Or(c.Session, new(Session))
		c.Session.Refresh = cmp.Or(c.Session.Refresh, p.Session.Refresh)
	}
	if p.Login == nil {
		return
	}
	l := c.Login
	fillList(&l.Scopes, p.Login.Scopes)
	l.SessionToken = cmp.Or(l.SessionToken, p.Login.SessionToken)
	l.AuthorizationURL = cmp.Or(l.AuthorizationURL, p.Login.AuthorizationURL)
	l.TokenURL = cmp.Or(l.TokenURL, p.Login.TokenURL)
	l.UserinfoURL = cmp.Or(l.UserinfoURL, p.Login.UserinfoURL)
	l.EndSessionURL = cmp.Or(l.EndSessionURL, p.Login.EndSessionURL)
	for _, param := range p.Login.Param {
		same := func(own LoginParam) bool { return own.Name == param.Name }
		if !slices.ContainsFunc(l.Param, same) {
			l.Param = append(l.Param, param)
		}
	}
}

func fillList(list *[]string, defaults []string) {
	if len(*list) == 0 {
		*list = defaults
	}
}

// google asks for a refresh token by a parameter, not by a scope.
func google([]string) (Integration, error) {
	return Integration{
		Vendor: vendorGoogle,
		// Google's own documents name both spellings.
		Issuer:   []string{"https://accounts.google.com", "accounts.google.com"},
		Identity: &Identity{User: []string{"email", "sub"}},
		Login: &LoginClient{
			SessionToken: oauth.SessionTokenID,
			Param:        []LoginParam{{Name: "access_type", Value: "offline"}},
		},
	}, nil
}

// github has no ID tokens: its API says who somebody is, and is asked each hour
// whether that is still so, since its tokens do not end.
func github([]string) (Integration, error) {
	hourly := caddy.Duration(time.Hour)
	return Integration{
		Vendor:   oauth.VendorGitHub,
		Identity: &Identity{User: []string{"login"}, Groups: []string{"groups"}},
		Login: &LoginClient{
			Scopes:           []string{"read:user", "user:email", "read:org"},
			AuthorizationURL: "https://github.com/login/oauth/authorize",
			TokenURL:         "https://github.com/login/oauth/access_token",
			UserinfoURL:      "https://api.github.com/user",
		},
		Session: &Session{Refresh: &hourly},
	}, nil
}

// entra accepts tokens of both versions, since the manifest of the API that a
// token is for decides which one arrives, not the endpoint. A refresh token has to
// be asked for.
func entra(tenants []string) (Integration, error) {
	c := Integration{
		Vendor:   jwt.VendorEntra,
		Identity: &Identity{User: []string{"oid"}, Groups: []string{"groups", "roles"}},
		Login:    &LoginClient{Scopes: []string{"openid", "profile", "email", "offline_access"}},
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

// okta means access tokens of its organisation's own server for itself.
func okta(args []string) (Integration, error) {
	c := Integration{Issuer: []string{"https://" + args[0]}, Login: &LoginClient{SessionToken: oauth.SessionTokenID}}
	if len(args) == 1 {
		return c, isDomain(args[0])
	}
	c.Issuer[0] += "/oauth2/" + args[1]
	c.Login.SessionToken = oauth.SessionTokenAccess
	return c, cmp.Or(isDomain(args[0]), isSegment(args[1]))
}

// cognito takes audiences from two claims: access tokens have no "aud" and name
// the client in "client_id". The domain is where users log in; tokens name the pool.
// A domain without a dot is one of Amazon's.
func cognito(args []string) (Integration, error) {
	c := Integration{
		Vendor:         jwt.VendorCognito,
		Issuer:         []string{"https://cognito-idp." + args[0] + ".amazonaws.com/" + args[1]},
		AudienceClaims: []string{"aud", "client_id"},
		Identity:       &Identity{Groups: []string{"cognito:groups"}},
		Login:          &LoginClient{SessionToken: oauth.SessionTokenAccess},
	}
	err := cmp.Or(isSegment(args[0]), isSegment(args[1]))
	if len(args) < 3 {
		return c, err
	}
	base := "https://" + args[2]
	if !strings.ContainsAny(args[2], ".{") {
		base += ".auth." + args[0] + ".amazoncognito.com"
	}
	c.Login.AuthorizationURL, c.Login.TokenURL = base+"/oauth2/authorize", base+"/oauth2/token"
	c.Login.UserinfoURL, c.Login.EndSessionURL = base+"/oauth2/userInfo", base+"/logout"
	return c, cmp.Or(err, isDomain(args[2]))
}

// auth0 ends its issuer with a slash.
func auth0(args []string) (Integration, error) {
	return Integration{Vendor: oauth.VendorAuth0, Issuer: []string{"https://" + args[0] + "/"}}, isDomain(args[0])
}

func keycloak(args []string) (Integration, error) {
	base, err := baseURL(args[0])
	return Integration{
		Vendor: jwt.VendorKeycloak,
		Issuer: []string{base + "/realms/" + args[1]},
		Identity: &Identity{
			User:   []string{"preferred_username", "sub"},
			Groups: []string{"groups", "realm_access.roles"},
		},
	}, cmp.Or(err, isSegment(args[1]))
}

// gitlab tells all groups of a user at its userinfo endpoint only.
func gitlab(args []string) (Integration, error) {
	base, err := "https://gitlab.com", error(nil)
	if len(args) == 1 {
		base, err = baseURL(args[0])
	}
	return Integration{
		Vendor:   vendorGitLab,
		Issuer:   []string{base},
		Identity: &Identity{Groups: []string{"groups_direct", "groups"}},
		Userinfo: "login",
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
