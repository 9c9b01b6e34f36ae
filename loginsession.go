package admit

import (
	"context"
	"errors"
	"fmt"
	"time"

	"go.uber.org/zap"

	"github.com/caddy-admit/admit/claims"
	"github.com/caddy-admit/admit/internal/store"
	"github.com/caddy-admit/admit/oauth"
)

// errNoIdentity means that somebody has logged in of whom the provider says
// nothing that could be a user id.
var errNoIdentity = errors.New("admit: none of the claims that may hold the user id is there: see \"user\" in the identity block")

// sessionOf makes a session of what a provider has granted. The error is
// [errNoIdentity], or means that the claims cannot be read.
func (in *integration) sessionOf(g *oauth.Grant) (*oauth.Session, error) {
	session := new(oauth.Session)
	if err := in.take(session, g); err != nil {
		return nil, err
	}
	return session, nil
}

// take notes in a session what its provider says now. Tokens by which it will
// never be renewed are not kept, without them a session may fit into a cookie, but
// for access tokens that some gate forwards.
func (in *integration) take(session *oauth.Session, g *oauth.Grant) error {
	set, err := claims.Parse(g.Claims)
	if err != nil {
		return err
	}
	identity := in.mapping.Identify(set)
	if _, key := in.keyClaim.find(set); identity == nil || identity.User() == "" && !in.nobody && !key {
		return errNoIdentity
	}
	session.User = identity.User()
	session.Take(g)
	if !in.renews || g.Due.IsZero() {
		kept := session.Tokens
		if kept.Refresh = ""; !in.forwards {
			kept = oauth.Tokens{}
		}
		session.Tokens, session.Due = kept, time.Time{}
	}
	return nil
}

// renewSession asks the provider about a session that is due. Somebody who is
// nobody any more is out. Tokens that were renewed before an error come with it:
// the refresh token before them may be spent.
func (in *integration) renewSession(ctx context.Context, session *oauth.Session, log *zap.Logger) (*oauth.Session, error) {
	user := session.User
	grant, err := in.party.Renew(ctx, session.Grant())
	if err == nil {
		if err = in.take(session, grant); errors.Is(err, errNoIdentity) {
			err = fmt.Errorf("%w: %w", oauth.ErrRefused, err)
		}
	}
	switch {
	case err == nil:
		return session, nil
	case errors.Is(err, oauth.ErrRefused):
		log.Info("session ended: the provider no longer stands by it", zap.String("integration", in.name), zap.String("user", user), zap.Error(err))
		return nil, err
	}
	log.Warn("session could not be renewed; it lives for at most an hour more", zap.String("integration", in.name), zap.String("user", user), zap.Error(err))
	if grant == nil {
		return nil, err
	}
	session.Take(grant)
	return session, err
}

// countRefresh counts a renewal of a session; the outcome is success or a reason.
func countRefresh(integration string, err error) {
	outcome := "success"
	switch {
	case errors.Is(err, oauth.ErrRefused):
		outcome = string(claims.LoginRefused)
	case errors.Is(err, store.ErrUnavailable):
		outcome = string(claims.StorageUnavailable)
	case err != nil:
		outcome = string(claims.SignInUnavailable)
	}
	refreshes.WithLabelValues(integration, outcome).Inc()
}
