package machine

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"time"

	"github.com/caddy-admit/admit/claims"
	"github.com/caddy-admit/admit/internal/outbound"
	"github.com/caddy-admit/admit/oauth"
)

// UserinfoConfig says where the users of tokens are asked about.
type UserinfoConfig struct {
	Client *outbound.Client
	// URL finds the userinfo endpoint, see [oauth.Locator.Userinfo].
	URL func(ctx context.Context) (string, error)
	// Observe, if not nil, is told the outcome of each call: nil for claims.
	Observe func(err error)
	Now     func() time.Time
}

// Userinfo adds what the userinfo endpoint says to the claims of tokens that
// clients send (OpenID Connect Core 1.0 section 5.3).
type Userinfo struct {
	config UserinfoConfig
	asker  *asker[*claims.Set]
}

// NewUserinfo makes a Userinfo. It makes no call.
func NewUserinfo(c UserinfoConfig) *Userinfo {
	return &Userinfo{config: c, asker: newAsker[*claims.Set](c.Now, c.Observe)}
}

// Close ends the calls that are running and forgets all answers.
func (u *Userinfo) Close() { u.asker.Close() }

// Claims returns the claims of a token, which the caller has checked for this
// request, and those of its user that it lacks, see [oauth.Merge]. They are shared
// and must not be changed. An answer is used until the token's end, at most for
// [IntrospectionCap]. It returns
//
//   - [ErrInactive] where the endpoint does not take the token, or speaks of another
//     user than "sub" of the token's claims,
//   - else an error that wraps [oauth.ErrTokenEndpoint] or
//     [outbound.ErrUnavailable], a [*RefusedError] where somebody must change the
//     configuration.
//
// Both are remembered for 10 s. Guesses are not counted: nobody makes up a token
// that has passed its checks.
func (u *Userinfo) Claims(ctx context.Context, token string, own *claims.Set) (*claims.Set, error) {
	subject := own.Get("sub").String()
	if subject == "" {
		return nil, fmt.Errorf("%w: it has no subject to compare with userinfo", ErrInactive)
	}
	got, _ := u.asker.get(ctx, question[*claims.Set]{
		key: u.asker.digest(token, string(own.Bytes())),
		ask: func(ctx context.Context) answer[*claims.Set] { return u.ask(ctx, token, subject, own) },
	})
	return got.value, got.err
}

func (u *Userinfo) ask(ctx context.Context, token, subject string, own *claims.Set) answer[*claims.Set] {
	url, err := u.config.URL(ctx)
	if err != nil {
		return answer[*claims.Set]{err: err}
	}
	more, err := oauth.Userinfo(ctx, u.config.Client, url, token, subject)
	if err != nil {
		return answer[*claims.Set]{err: userinfoRefused(err)}
	}
	all, err := claims.Parse(oauth.Merge(own, more))
	if err != nil {
		return answer[*claims.Set]{err: fmt.Errorf("%w: userinfo: %w", oauth.ErrTokenEndpoint, err)}
	}
	left := min(IntrospectionCap, leftOf(own, u.config.Now()))
	return answer[*claims.Set]{value: all, size: parsed * len(all.Bytes()), life: left}
}

// userinfoRefused says what a refusal means. A 403 is about the token too: its
// scopes do not reach (RFC 6750 section 3.1).
func userinfoRefused(err error) error {
	var refusal *oauth.LoginError
	if !errors.As(err, &refusal) {
		return err
	}
	if refusal.Cause == oauth.CauseSubject {
		return fmt.Errorf("%w: userinfo is about another user", ErrInactive)
	}
	if s := refusal.Status; s == http.StatusUnauthorized || s == http.StatusForbidden {
		return ErrInactive
	}
	return &RefusedError{Endpoint: "userinfo", Status: refusal.Status, Hint: refusal.Hint}
}
