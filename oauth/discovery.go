// Package oauth is the relying party: it finds an issuer's endpoints and speaks
// OAuth 2.0 and OpenID Connect with them.
package oauth

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/caddy-admit/admit/internal/outbound"
)

// Metadata is what an issuer says about itself (OpenID Connect Discovery 1.0
// section 3, RFC 8414 section 2). What it does not name is empty. It is shared
// and must not be changed.
type Metadata struct {
	Issuer                string `json:"issuer"`
	JWKSURI               string `json:"jwks_uri"`
	AuthorizationEndpoint string `json:"authorization_endpoint"`
	TokenEndpoint         string `json:"token_endpoint"`
	UserinfoEndpoint      string `json:"userinfo_endpoint"`
	IntrospectionEndpoint string `json:"introspection_endpoint"`
	EndSessionEndpoint    string `json:"end_session_endpoint"`
	RevocationEndpoint    string `json:"revocation_endpoint"`

	ScopesSupported               []string `json:"scopes_supported"`
	ResponseTypesSupported        []string `json:"response_types_supported"`
	ResponseModesSupported        []string `json:"response_modes_supported"`
	GrantTypesSupported           []string `json:"grant_types_supported"`
	CodeChallengeMethodsSupported []string `json:"code_challenge_methods_supported"`
	TokenEndpointAuthMethods      []string `json:"token_endpoint_auth_methods_supported"`
	TokenEndpointAuthAlgorithms   []string `json:"token_endpoint_auth_signing_alg_values_supported"`
	IDTokenAlgorithms             []string `json:"id_token_signing_alg_values_supported"`
	// ResponseIss announces "iss" in authorization responses (RFC 9207).
	ResponseIss         bool `json:"authorization_response_iss_parameter_supported"`
	BackchannelLogout   bool `json:"backchannel_logout_supported"`
	BackchannelLogoutID bool `json:"backchannel_logout_session_supported"`
}

// DiscoveryURL returns where the metadata of an issuer is (OpenID Connect
// Discovery 1.0 section 4.1). The slash that it drops counts elsewhere: an
// issuer is compared as it is written.
func DiscoveryURL(issuer string) string {
	return strings.TrimSuffix(issuer, "/") + "/.well-known/openid-configuration"
}

// ParseMetadata reads a discovery document. Its issuer must be one of issuers,
// character by character, else keys and endpoints of one issuer would be taken
// for another's. Each endpoint that it names must be an absolute http or https
// URL; whether plain http may be used is up to the caller, see
// [outbound.CheckURL]. Unknown members and optional ones of a wrong type are
// ignored.
func ParseMetadata(data []byte, issuers []string) (*Metadata, error) {
	m := new(Metadata)
	var wrongType *json.UnmarshalTypeError
	switch err := json.Unmarshal(data, m); {
	case errors.As(err, &wrongType) && wrongType.Field != "":
		// The member stays empty; an empty issuer is refused below.
	case err != nil:
		return nil, errors.New("oauth: discovery document is not a JSON object") // err may quote it
	}
	if m.Issuer == "" {
		return nil, errors.New("oauth: discovery document names no issuer")
	}
	if !slices.Contains(issuers, m.Issuer) {
		return nil, &otherIssuerError{m.Issuer, issuers}
	}
	for _, endpoint := range []struct{ name, url string }{
		{"jwks_uri", m.JWKSURI},
		{"authorization_endpoint", m.AuthorizationEndpoint},
		{"token_endpoint", m.TokenEndpoint},
		{"userinfo_endpoint", m.UserinfoEndpoint},
		{"introspection_endpoint", m.IntrospectionEndpoint},
		{"end_session_endpoint", m.EndSessionEndpoint},
		{"revocation_endpoint", m.RevocationEndpoint},
	} {
		if endpoint.url == "" {
			continue
		}
		if _, err := outbound.CheckURL(endpoint.url, true); err != nil {
			return nil, fmt.Errorf("oauth: discovery document: %s: %w", endpoint.name, err)
		}
	}
	return m, nil
}

// otherIssuerError means that a discovery document is not of the issuer that was
// asked for.
type otherIssuerError struct {
	issuer   string
	expected []string
}

func (e *otherIssuerError) Error() string {
	return fmt.Sprintf("oauth: discovery document is of issuer %s, expected %s", quote(e.issuer), quote(e.expected...))
}

// quote shows texts in an error, at most 200 bytes of them.
func quote(texts ...string) string {
	list := strings.Join(texts, " ")
	if len(list) > 200 {
		list = list[:200] + "..."
	}
	return fmt.Sprintf("%q", list)
}

// Discovery is the metadata of one issuer, kept fresh. It is safe for concurrent
// use.
type Discovery struct {
	document *outbound.Document[*Metadata]
}

// NewDiscovery returns the discovery at url, see [DiscoveryURL]. It makes no
// call. A document that [ParseMetadata] refuses, or whose jwks_uri may not be
// called, counts as a failed fetch. The jwks_uri may be on another host, but is
// https if url is, unless insecureHTTP is set. After each fetch observe, if not
// nil, is told its outcome.
func NewDiscovery(client *outbound.Client, url string, issuers []string, insecureHTTP bool, now func() time.Time, observe func(error)) *Discovery {
	fetch := func(ctx context.Context) (*Metadata, time.Duration, bool, error) {
		r, err := client.Get(ctx, url, "application/json")
		if err != nil {
			return nil, 0, false, err
		}
		m, err := ParseMetadata(r.Body, issuers)
		if err != nil {
			return nil, 0, false, err
		}
		if err := checkEndpoint("jwks_uri", m.JWKSURI, url, insecureHTTP); err != nil {
			return nil, 0, false, err
		}
		return m, r.MaxAge, r.HasMaxAge, nil
	}
	return &Discovery{document: outbound.NewDocument(fetch, now, observe)}
}

// checkEndpoint checks an endpoint that the document at discovery names. That it
// is missing is for those to report who need it.
func checkEndpoint(name, uri, discovery string, insecureHTTP bool) error {
	if uri == "" {
		return nil
	}
	u, err := outbound.CheckURL(uri, insecureHTTP)
	if err != nil {
		return fmt.Errorf("oauth: discovery document: %s: %w", name, err)
	}
	from, err := outbound.CheckURL(discovery, insecureHTTP)
	if err != nil {
		return err
	}
	// Loopback may be plain http by itself, not on the word of a remote host.
	if from.Scheme == "https" && u.Scheme != "https" && !insecureHTTP {
		return fmt.Errorf("oauth: discovery document: %s at %s must be https, as discovery is", name, quote(u.Host))
	}
	return nil
}

// Metadata returns the issuer's metadata, fetched when none is at hand; it waits
// no longer than ctx. The error is an [outbound.ErrUnavailable].
func (d *Discovery) Metadata(ctx context.Context) (*Metadata, error) {
	m, _, err := d.document.Get(ctx)
	return m, err
}

// JWKSURI returns where the issuer's keys are. A document that does not say so is
// fetched again, at most once in 10 s: an issuer that is being set up should not
// have to wait for the end of its document's life.
func (d *Discovery) JWKSURI(ctx context.Context) (string, error) {
	m, generation, err := d.document.Get(ctx)
	if err == nil && m.JWKSURI == "" {
		m, _, err = d.document.Refresh(ctx, generation)
	}
	if err != nil {
		return "", err
	}
	if m.JWKSURI == "" {
		return "", errors.New("oauth: discovery document names no jwks_uri")
	}
	return m.JWKSURI, nil
}

// Close ends a fetch that is running. After that there is no metadata.
func (d *Discovery) Close() { d.document.Close() }
