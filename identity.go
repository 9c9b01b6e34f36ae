package admit

import (
	"slices"
	"strings"

	"github.com/caddy-admit/admit/claims"
	"github.com/caddy-admit/admit/jwt"
)

// mapping reads who the claims are about.
func (c *Integration) mapping(e *expander, name string, issuers []string) *claims.Mapping {
	identity := c.Identity
	if identity == nil {
		identity = new(Identity)
	}
	m := &claims.Mapping{
		Integration:    name,
		Groups:         paths(e, "identity groups", identity.Groups, "groups"),
		MapOnly:        identity.MapOnly,
		TrustEmail:     c.TrustEmail,
		VerifiedDomain: c.Vendor == jwt.VendorEntra || slices.ContainsFunc(issuers, fromEntra),
	}
	user := identity.User
	if n := len(user); n > 0 && user[n-1] == "none" {
		m.AnyUser, user = true, user[:n-1]
	}
	if slices.Contains(user, "none") || m.AnyUser && len(user) == 0 {
		e.fail("identity user: none in the wrong place: expected it after the claims, as the last one")
	}
	m.User = paths(e, "identity user", user, "sub")
	m.GroupMap = groupMap(e, identity.Map)
	m.Named = namedClaims(e, identity.Claim)
	if m.MapOnly && len(m.GroupMap) == 0 {
		e.fail("identity map_only: without a map it drops every group: expected a map")
	}
	return m
}

// fromEntra reports whether an issuer is one of Microsoft's login services.
func fromEntra(issuer string) bool {
	for _, host := range []string{
		"login.microsoftonline.com", "sts.windows.net", "login.microsoftonline.us",
		"sts.microsoftonline.us", "login.partner.microsoftonline.cn", "sts.chinacloudapi.cn",
	} {
		if strings.HasPrefix(strings.ToLower(issuer), "https://"+host+"/") {
			return true
		}
	}
	return false
}

func groupMap(e *expander, lines []GroupMap) map[string][]string {
	m := make(map[string][]string)
	for _, line := range lines {
		external, local := e.text("identity map", line.External), e.texts("identity map", line.Local)
		if external == "" || len(local) == 0 {
			e.fail("identity map: expected a group of the issuer and at least one local group")
		}
		m[external] = append(m[external], local...)
	}
	return m
}

func namedClaims(e *expander, lines []NamedClaim) map[string][]claims.Path {
	m := make(map[string][]claims.Path)
	for _, line := range lines {
		switch {
		case line.Name == "" || len(line.Claims) == 0:
			e.fail("identity claim: expected a name and at least one claim")
		case line.Name == "user", line.Name == "groups", line.Name == "integration", strings.HasPrefix(line.Name, "claims."):
			e.fail("identity claim %s: that name is taken: expected another", line.Name)
		case m[line.Name] != nil:
			e.fail("identity claim %s: given twice: expected it once", line.Name)
		default:
			m[line.Name] = paths(e, "identity claim "+line.Name, line.Claims)
		}
	}
	return m
}

// paths reads claim names; standard holds those that count if none are given.
func paths(e *expander, option string, names []string, standard ...string) []claims.Path {
	if len(names) == 0 {
		names = standard
	}
	read := make([]claims.Path, 0, len(names))
	for _, name := range names {
		path, err := claims.ParsePath(name)
		e.check(option+" "+name, err)
		read = append(read, path)
	}
	return read
}
