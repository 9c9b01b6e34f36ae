package admit

import (
	"encoding/json"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"

	"github.com/caddyserver/caddy/v2/modules/caddyhttp"
	"go.uber.org/zap"

	"github.com/caddy-admit/admit/claims"
)

// resourcePath is where the metadata of a protected resource lie, followed by
// the resource's own path (RFC 9728 section 3.1).
const resourcePath = "/.well-known/oauth-protected-resource"

// resource is what the metadata say that is the same for all paths.
type resource struct {
	servers []string // issuers found by discovery
	scopes  []string
	methods []string
}

// readResource gathers the metadata; without an issuer that clients can find by
// discovery there are none.
func readResource(c *checker) (res resource) {
	for _, in := range c.integrations {
		if in.server != "" && !slices.Contains(res.servers, in.server) {
			res.servers = append(res.servers, in.server)
		}
		res.addScopes(&in.rules)
	}
	res.addScopes(&c.rules)
	for i := range c.places {
		switch p := &c.places[i]; {
		case p.Header == "Authorization" && !slices.Contains(res.methods, "header"):
			res.methods = append(res.methods, "header")
		case p.Query != "" && !slices.Contains(res.methods, "query"):
			res.methods = append(res.methods, "query")
		}
	}
	return res
}

func (res *resource) addScopes(rules *claims.Rules) {
	add := func(rule *claims.Rule) {
		for _, scope := range scopesOf(rule) {
			res.scopes = appendNew(res.scopes, scope)
		}
	}
	for i := range rules.Require {
		add(&rules.Require[i].Rule)
	}
	for i := range rules.Any {
		lines := rules.Any[i].Rules()
		for k := range lines {
			add(&lines[k])
		}
	}
}

// warnResources says at start where clients ask for tokens that are refused: those
// that find the authorization server by the metadata name the resource there
// (RFC 8707), and what they get is for that audience.
func warnResources(sites []webSite, log *zap.Logger) {
	for _, site := range sites {
		for _, gate := range site.gates() {
			known := slices.DeleteFunc(site.originsOf(newExpander(), gate), func(origin string) bool {
				return strings.Contains(origin, anyHost) || strings.Contains(origin, "*")
			})
			for _, in := range gate.guard.integrations {
				if in.server == "" || len(known) == 0 || len(in.audience) == 0 || slices.ContainsFunc(known, in.isAudience) {
					continue
				}
				log.Warn("the site is not among the audience of an integration that clients find by its metadata: a client that asks for a token for this resource, as those of MCP do, gets one that is refused",
					zap.String("site", site.String()), zap.String("integration", in.name), zap.Strings("resource", known), zap.Strings("audience", in.audience))
			}
		}
	}
}

// isAudience reports whether tokens for a site, or for something on it, are accepted.
func (in *integration) isAudience(origin string) bool {
	return slices.ContainsFunc(in.audience, func(audience string) bool {
		return audience == origin || strings.HasPrefix(audience, origin+"/")
	})
}

// protects reports whether the gate is one for the resource at this path, so that
// of several gates with different issuers the right one answers. The site itself
// is what any of them protects.
func (g *guard) protects(r *http.Request, path string) bool {
	if g.match == nil || !g.match.onlyPath || path == "" {
		return true
	}
	asked := *r
	asked.URL = &url.URL{Path: path}
	ok, err := g.match.matchers.AnyMatchWithError(&asked)
	return ok && err == nil
}

// serveResource answers with the metadata of one resource. Any origin may read
// them: they are the same for everybody.
func (g *guard) serveResource(w http.ResponseWriter, r *http.Request, path string) (status int) {
	h := w.Header()
	h.Set("Cache-Control", "no-store")
	h.Set("Access-Control-Allow-Origin", "*")
	h.Set("X-Content-Type-Options", "nosniff")
	switch r.Method {
	case http.MethodGet, http.MethodHead:
	case http.MethodOptions:
		h.Set("Access-Control-Allow-Methods", "GET, HEAD")
		h.Set("Access-Control-Allow-Headers", "*")
		w.WriteHeader(http.StatusNoContent)
		return http.StatusNoContent
	default:
		h.Set("Allow", "GET, HEAD, OPTIONS")
		w.WriteHeader(http.StatusMethodNotAllowed)
		return http.StatusMethodNotAllowed
	}
	body, err := json.Marshal(struct {
		Resource string   `json:"resource"`
		Servers  []string `json:"authorization_servers"`
		Scopes   []string `json:"scopes_supported,omitempty"`
		Methods  []string `json:"bearer_methods_supported,omitempty"`
	}{g.publicOrigin(r) + path, g.resource.servers, g.resource.scopes, g.resource.methods})
	if err != nil {
		w.WriteHeader(http.StatusInternalServerError)
		return http.StatusInternalServerError
	}
	h.Set("Content-Type", "application/json")
	h.Set("Content-Length", strconv.Itoa(len(body)))
	if r.Method == http.MethodGet {
		_, _ = w.Write(body) // a client that went away is no fault of ours
	}
	return http.StatusOK
}

// publicOrigin returns the scheme and host that browsers use for this site.
func (g *guard) publicOrigin(r *http.Request) string {
	if g.publicURL != "" {
		return g.publicURL
	}
	trusted, _ := caddyhttp.GetVar(r.Context(), caddyhttp.TrustedProxyVarKey).(bool)
	return publicScheme(r, trusted) + "://" + r.Host
}

// resourceMetadata returns the URL of the metadata about the resource that was
// asked for, for the challenge of a scheme; "" if no gate with these issuers would
// answer there.
func (g *guard) resourceMetadata(r *request, scheme string) string {
	if len(g.resource.servers) == 0 || !strings.EqualFold(scheme, "Bearer") {
		return ""
	}
	answers := func(other *guard) bool {
		return other == g || other.match == nil && slices.Equal(other.resource.servers, g.resource.servers)
	}
	if !g.reachable(r.Request, resourcePath, answers) {
		return ""
	}
	path := ""
	if r.canonical && r.original.Path != "/" {
		path = r.original.EscapedPath()
	}
	return g.publicOrigin(r.Request) + resourcePath + path
}
