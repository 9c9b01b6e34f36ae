package oauth

import (
	"context"
	"net/url"
	"slices"
	"strings"
)

// maxCode is the length in bytes of the longest code that is shown to a token
// endpoint. Those of Entra ID have about 2,000.
const maxCode = 8 << 10

// answerParameters are those of an authorization response that must not come
// twice (RFC 6749 section 3.1, RFC 9207): one reader would take the first of them
// and another the last (threat 61).
var answerParameters = []string{
	"state", "code", "iss", "error", "error_description", "error_uri", "response", "session_state",
	"id_token", "access_token", "token_type", "expires_in", "scope",
}

// Ambiguous reports whether an authorization response has one of its parameters
// twice. Its state, too, is nothing to go by then.
func Ambiguous(answer url.Values) bool {
	return slices.ContainsFunc(answerParameters, func(name string) bool { return len(answer[name]) > 1 })
}

// code reads the provider's answer (RFC 6749 section 4.1.2).
func (p *RelyingParty) code(ctx context.Context, answer url.Values) (string, error) {
	if Ambiguous(answer) {
		return "", &LoginError{Cause: CauseDuplicate}
	}
	if err := p.checkIss(ctx, answer); err != nil {
		return "", err
	}
	if answer.Has("error") {
		code := errorCode(answer.Get("error"))
		return "", &LoginError{Cause: CauseProvider, Code: code, Hint: providerHint(code)}
	}
	code := answer.Get("code")
	visible := func(r rune) bool { return r >= ' ' && r <= '~' } // VSCHAR (RFC 6749 appendix A)
	if code == "" || len(code) > maxCode || strings.ContainsFunc(code, func(r rune) bool { return !visible(r) }) {
		return "", &LoginError{Cause: CauseCode}
	}
	return code, nil
}

// checkIss finds an answer that another issuer gave, errors too (RFC 9207 section
// 2.4, threat 60).
func (p *RelyingParty) checkIss(ctx context.Context, answer url.Values) error {
	if answer.Has("iss") {
		if want := p.config.Issuer; want != "" && !sameIssuer(want, answer.Get("iss")) {
			return &LoginError{Cause: CauseWrongIss, Hint: "the answer is of another issuer: look at issuer"}
		}
		return nil
	}
	if p.config.Discovery == nil {
		return nil
	}
	m, err := p.config.Discovery.Metadata(ctx)
	if err != nil {
		return err
	}
	if m.ResponseIss {
		return &LoginError{Cause: CauseMissingIss, Hint: "the provider announces iss in its answers, and this one has none"}
	}
	return nil
}

// sameIssuer compares exactly. Where the issuer stands for those of several
// tenants, their name may be anything without a slash: the ID token will tell.
func sameIssuer(want, got string) bool {
	before, after, template := strings.Cut(want, "{tenantid}")
	if !template {
		return got == want
	}
	tenant, ok := strings.CutPrefix(got, before)
	if !ok {
		return false
	}
	tenant, ok = strings.CutSuffix(tenant, after)
	return ok && tenant != "" && !strings.Contains(tenant, "/")
}
