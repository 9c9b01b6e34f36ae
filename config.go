package admit

import (
	"slices"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/modules/caddyhttp"
)

// Integration is the configuration of one party whose credentials are trusted:
// an issuer of tokens and the keys that prove them, what a token must be, where
// a client may put it, and how an identity is read out of its claims.
//
// Text values may hold {env.NAME} and {file./path}, expanded once at load. A
// value that stays empty is an error; any other brace stays as it is.
type Integration struct {
	// ID names an integration that is written in a gate's own block; it is part
	// of what binds sessions to it. The Caddyfile adapter writes it. Not allowed
	// on a named integration, whose name is its id.
	ID string `json:"id,omitempty"`

	// Vendor switches on behaviour of one vendor that no option expresses: auth0,
	// cognito, entra, github, gitlab, google or keycloak. The Caddyfile's preset
	// writes it.
	Vendor string `json:"vendor,omitempty"`

	// Issuer lists the accepted "iss" values, compared exactly. Discovery is made
	// from the first unless Discovery, JWKS, Key or Secret is given. A value may
	// hold {tenantid}, see Tenants.
	Issuer []string `json:"issuer,omitempty"`
	// Discovery is the URL of the discovery document, if not under the issuer.
	Discovery string `json:"discovery,omitempty"`
	// JWKS is the URL or the file of a key set; no discovery is made for keys then.
	JWKS string `json:"jwks,omitempty"`
	// Key lists files with public keys, PEM or JWK; no discovery is made then.
	Key []string `json:"key,omitempty"`
	// Secret is the key of HS256, HS384 and HS512 tokens.
	Secret *Secret `json:"secret,omitempty"`
	// InsecureWeakSecret permits a secret shorter than the output of its hash
	// (RFC 7518 section 3.2).
	InsecureWeakSecret bool `json:"insecure_weak_secret,omitempty"`
	// InsecureHTTP permits plain http to an issuer that is not on loopback.
	InsecureHTTP bool `json:"insecure_http,omitempty"`
	// CA lists PEM files with extra roots for calls to the issuer.
	CA []string `json:"ca,omitempty"`

	// Audience lists the accepted audiences; one match is enough. Required with
	// Issuer, JWKS and Key, unless there is a Login: without it tokens that clients
	// send are not taken then. The single value "any" switches the check off.
	Audience []string `json:"audience,omitempty"`
	// AudienceClaims lists the claims that hold audiences. Default: aud.
	AudienceClaims []string `json:"audience_claims,omitempty"`
	// Algorithms lists the accepted "alg" values. Default: RS, PS and ES with 256,
	// 384 and 512 bits and EdDSA for public keys, HS256 for a secret.
	Algorithms []string `json:"algorithms,omitempty"`
	// Types lists the accepted "typ" headers, compared as media types. Default:
	// absent, JWT and at+jwt.
	Types []string `json:"types,omitempty"`
	// Tenants lists the accepted "tid" values of an issuer with {tenantid} in it.
	Tenants []string `json:"tenants,omitempty"`
	// Expiry is "required" (default) or "optional".
	Expiry string `json:"expiry,omitempty"`
	// Leeway is the clock skew allowed on "exp", "nbf" and "iat". Default: 60s.
	// Maximum: 5m.
	Leeway *caddy.Duration `json:"leeway,omitempty"`
	// MaxTokenAge is the age of the oldest accepted "iat". Default: no limit.
	MaxTokenAge caddy.Duration `json:"max_token_age,omitempty"`
	// Padding is "strict" (default) or "lenient", which also takes base64url with
	// canonical "=".
	Padding string `json:"padding,omitempty"`
	// Cache bounds the verified tokens that are kept.
	Cache *Cache `json:"cache,omitempty"`

	// From lists the places where a credential is looked for. Default: the header
	// Authorization with the scheme Bearer where tokens are taken, and the session
	// of those who have logged in.
	From []Place `json:"from,omitempty"`

	// Identity says who the claims are about.
	Identity *Identity `json:"identity,omitempty"`
	// TrustEmail takes "email" as it stands, verified or not.
	TrustEmail bool `json:"trust_email,omitempty"`

	// User and Users (a file) are users of one's own, APIKey their API keys. Basic
	// takes passwords by HTTP Basic, Tokens makes access and refresh tokens.
	User   []LocalUser `json:"user,omitempty"`
	Users  string      `json:"users,omitempty"`
	APIKey []LocalKey  `json:"api_key,omitempty"`
	Basic  bool        `json:"basic,omitempty"`
	Tokens *Tokens     `json:"tokens,omitempty"`
	// Login is how browsers log in at a provider.
	Login *LoginClient `json:"login,omitempty"`
	// ClientCredentials takes the id and secret of clients by HTTP Basic.
	ClientCredentials *ClientCredentials `json:"client_credentials,omitempty"`
	// Introspection has the issuer asked about opaque tokens.
	Introspection *Introspection `json:"introspection,omitempty"`
	// Userinfo is "login" if the provider's userinfo endpoint is asked, too, when
	// somebody logs in and when the session is renewed, and "always" if it is asked
	// about tokens as well. Default: it is not.
	Userinfo string `json:"userinfo,omitempty"`
	// Session says how sessions of browsers are kept.
	Session *Session `json:"session,omitempty"`

	// Require and Deny hold at every gate that names this integration.
	Require []Rule `json:"require,omitempty"`
	Deny    []Rule `json:"deny,omitempty"`
}

// Secret is a shared secret and how it is written.
type Secret struct {
	// Encoding is "text" (default), "hex" or "base64".
	Encoding string `json:"encoding,omitempty"`
	Value    string `json:"value,omitempty"`
}

// Cache bounds the verified tokens of one integration.
type Cache struct {
	Entries int   `json:"entries,omitempty"`
	Bytes   int64 `json:"bytes,omitempty"`
	Off     bool  `json:"off,omitempty"`
}

// Place is where a client puts a credential: exactly one of Header, Cookie, Query,
// Basic and Session.
type Place struct {
	Header string `json:"header,omitempty"`
	// Scheme is the authentication scheme before the token; only with Header.
	Scheme string `json:"scheme,omitempty"`
	Cookie string `json:"cookie,omitempty"`
	Query  string `json:"query,omitempty"`
	// Basic is HTTP Basic with a user's password.
	Basic bool `json:"basic,omitempty"`
	// Session is the session of a browser that has logged in.
	Session bool `json:"session,omitempty"`
}

// Identity says how user and groups are read out of claims.
type Identity struct {
	// User lists claims; the first one present is the user id. Default: sub. With
	// "none" as the last one a token without any is let in with an empty id.
	User []string `json:"user,omitempty"`
	// Groups lists claims; all that are present count together. Default: groups.
	Groups []string `json:"groups,omitempty"`
	// Map gives groups of the issuer the names that are used here.
	Map []GroupMap `json:"map,omitempty"`
	// MapOnly drops groups that Map does not name.
	MapOnly bool `json:"map_only,omitempty"`
	// APIKeyClaim is a claim that may hold an API key.
	APIKeyClaim *APIKeyClaim `json:"api_key_claim,omitempty"`
	// Claim makes names for rules and placeholders.
	Claim []NamedClaim `json:"claim,omitempty"`
}

// APIKeyClaim names a claim in which an issuer passes on API keys. At a gate whose
// local integrations know the key, whoever has the token is whom the key stands for.
type APIKeyClaim struct {
	Claim string `json:"claim"`
	// Strict refuses a key that nobody knows. Default: it is as if it were not there.
	Strict bool `json:"strict,omitempty"`
}

// GroupMap replaces one group of the issuer by local ones.
type GroupMap struct {
	External string   `json:"external"`
	Local    []string `json:"local"`
}

// NamedClaim is a name for all values of some claims together.
type NamedClaim struct {
	Name   string   `json:"name"`
	Claims []string `json:"claims"`
}

// Rule is about one claim, or about user, groups or integration: one of its
// patterns must match the whole value; "*" in a pattern matches any run.
type Rule struct {
	// MatcherSetsRaw narrows the rule to some requests; only in a gate.
	MatcherSetsRaw caddyhttp.RawMatcherSets `json:"match,omitempty" caddy:"namespace=http.matchers"`

	Claim    string   `json:"claim"`
	Patterns []string `json:"patterns"`
}

// AnyRule holds if at least one of its lines does.
type AnyRule struct {
	MatcherSetsRaw caddyhttp.RawMatcherSets `json:"match,omitempty" caddy:"namespace=http.matchers"`

	Require []Rule `json:"require"`
}

// Bypass exempts requests from every check: exact paths, or subtrees with /*.
type Bypass struct {
	// Methods narrows it; default: all.
	Methods []string `json:"methods,omitempty"`
	Paths   []string `json:"paths"`
}

// HeaderUp is an identity header for the upstream.
type HeaderUp struct {
	Name  string `json:"name"`
	Value string `json:"value"`
	// Claim and Patterns make a rule: the header is set only if it holds.
	Claim    string   `json:"claim,omitempty"`
	Patterns []string `json:"patterns,omitempty"`
}

// ReportOnly holds rules on trial. Without any, all rules of the gate are.
type ReportOnly struct {
	Require []Rule `json:"require,omitempty"`
	Deny    []Rule `json:"deny,omitempty"`
}

// all reports whether the gate's own rules are on trial.
func (t *ReportOnly) all() bool { return len(t.Require) == 0 && len(t.Deny) == 0 }

func (t *ReportOnly) rules() []Rule {
	if t == nil {
		return nil
	}
	return slices.Concat(t.Require, t.Deny)
}
