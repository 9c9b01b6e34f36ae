package oauth

import (
	"encoding/base64"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"time"
)

// assertionType is that of private_key_jwt (RFC 7523 section 2.2).
const assertionType = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer"

// Methods of client authentication at the token endpoint (RFC 6749 section 2.3,
// OpenID Connect Core 1.0 section 9).
const (
	AuthBasic = "basic"
	AuthPost  = "post"
	AuthKey   = "private_key_jwt"
	AuthNone  = "none"
)

// ClientAuth is how a client proves who it is at the token endpoint.
type ClientAuth struct {
	ID, Secret string
	// Method is one of the Auth constants. Default: basic with a secret, else
	// private_key_jwt with a key, else none.
	Method string
	// Key is that of private_key_jwt.
	Key *ClientKey
}

// method returns the method with its default.
func (a *ClientAuth) method() string {
	switch {
	case a.Method != "":
		return a.Method
	case a.Secret != "":
		return AuthBasic
	case a.Key != nil:
		return AuthKey
	}
	return AuthNone
}

// prove adds to the form and the header of a request what proves the client to
// the endpoint at rawURL. Id and secret are encoded before they become Basic
// credentials (RFC 6749 section 2.3.1).
func (a *ClientAuth) prove(form url.Values, header http.Header, rawURL string, now time.Time) error {
	method := a.method()
	if method == AuthBasic {
		pair := url.QueryEscape(a.ID) + ":" + url.QueryEscape(a.Secret)
		header.Set("Authorization", "Basic "+base64.StdEncoding.EncodeToString([]byte(pair)))
		return nil
	}
	form.Set("client_id", a.ID)
	switch method {
	case AuthPost:
		form.Set("client_secret", a.Secret)
	case AuthKey:
		assertion, err := a.Key.assertion(a.ID, rawURL, now)
		if err != nil {
			return err
		}
		form.Set("client_assertion_type", assertionType)
		form.Set("client_assertion", assertion)
	}
	return nil
}

// Check reports what is missing.
func (a *ClientAuth) Check() error {
	var errs []error
	if a.ID == "" {
		errs = append(errs, errors.New("oauth: client_id is needed"))
	}
	switch method := a.method(); method {
	case AuthBasic, AuthPost:
		if a.Secret == "" {
			errs = append(errs, fmt.Errorf("oauth: client_auth %s needs a client_secret", method))
		}
	case AuthKey:
		if a.Key == nil {
			errs = append(errs, errors.New("oauth: client_auth private_key_jwt needs a key file"))
		}
	case AuthNone:
	default:
		errs = append(errs, fmt.Errorf("oauth: client_auth %q: expected basic, post, private_key_jwt or none", method))
	}
	return errors.Join(errs...)
}
