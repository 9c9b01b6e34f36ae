package oauth

import (
	"crypto/x509"
	"errors"
	"net/http"

	"github.com/caddy-admit/admit/claims"
	"github.com/caddy-admit/admit/jwt"
)

// providerHint says what to look at after the authorization endpoint has refused
// (RFC 6749 section 4.1.2.1, OpenID Connect Core 1.0 section 3.1.2.6).
func providerHint(code string) string {
	switch code {
	case "access_denied":
		return "the user or the provider said no: look at who may use the client, at the provider"
	case "login_required", "interaction_required", "consent_required", "account_selection_required":
		return "the provider wants to ask the user: look at param prompt"
	case "unauthorized_client", "invalid_client":
		return "the provider does not let this client log in users: look at client_id"
	case "invalid_scope":
		return "the provider does not grant these scopes: look at scopes"
	case "unsupported_response_type", "unsupported_response_mode":
		return "the client may not use the authorization code flow: look at the client at the provider, and at param response_mode"
	case "invalid_request", "invalid_target":
		return "the provider does not understand the request: look at param"
	case "redirect_uri_mismatch", "invalid_redirect_uri":
		return "register the callback URL at the provider, exactly as it is"
	case "server_error", "temporarily_unavailable":
		return "the provider has a problem of its own"
	}
	return ""
}

// tokenHint says what to look at after the token endpoint has refused
// (RFC 6749 section 5.2).
func tokenHint(e *TokenError) string {
	switch e.Code {
	case "invalid_client", "incorrect_client_credentials":
		return "look at client_id, client_secret and client_auth"
	case "unauthorized_client", "unsupported_grant_type":
		return "the client may not use this grant: look at the client at the provider, and at client_auth"
	case "redirect_uri_mismatch":
		return "register the callback URL at the provider, exactly as it is"
	case "invalid_grant", "bad_verification_code":
		return "the code is spent or too old, or the callback URL is not the one that it was made for"
	case "invalid_scope":
		return "the provider does not grant these scopes: look at scopes"
	case "invalid_target":
		return "the provider does not know this audience"
	}
	switch e.Status {
	case http.StatusUnauthorized, http.StatusForbidden:
		return "look at client_id, client_secret and client_auth"
	case http.StatusNotFound, http.StatusMethodNotAllowed, http.StatusGone:
		return "this is no token endpoint: look at token_url"
	}
	return ""
}

// UnavailableHint says what to look at where a provider cannot be asked, and asking
// again will not help; "" where nothing but the error can tell.
func UnavailableHint(err error) string {
	var other *otherIssuerError
	var authority x509.UnknownAuthorityError
	switch {
	case errors.As(err, &other):
		return "write issuer as its discovery document does, character by character; for a preset look at its arguments"
	case errors.As(err, &authority):
		return "nobody whom this machine trusts has signed the provider's certificate: look at ca"
	}
	return ""
}

// rejected makes a [LoginError] of a token that does not pass. Any other error,
// such as [jwt.ErrKeysUnavailable], stays what it is.
func rejected(cause string, err error) error {
	var e *jwt.RejectedError
	if !errors.As(err, &e) {
		return err
	}
	return &LoginError{Cause: cause, Reason: string(e.Reason), Hint: reasonHint(cause, e.Reason)}
}

func reasonHint(cause string, reason claims.Reason) string {
	switch reason {
	case claims.Expired, claims.NotYetValid, claims.TooOld:
		return "look at the clocks, here and at the provider"
	case claims.UnknownIssuer:
		return "the token is of another issuer or tenant: look at issuer and tenants"
	case claims.WrongAudience:
		if cause == CauseIDToken {
			return "the ID token is for another client: look at client_id"
		}
		return "the access token is for something else: look at audience, and at param"
	case claims.UnsupportedAlgorithm:
		return "look at algorithms"
	case claims.UnknownKey, claims.BadSignature:
		return "the keys are not those that sign: look at jwks and discovery"
	case claims.MalformedToken:
		if cause == CauseAccessToken {
			return "the access token is no JWT: session_token access needs one"
		}
	case claims.Encrypted:
		return "encrypted tokens are not supported: look at the client at the provider"
	}
	return ""
}
