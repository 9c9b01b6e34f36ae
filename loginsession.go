package admit

import (
	"errors"
	"time"

	"github.com/caddy-admit/admit/claims"
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
// never be renewed are not kept: without them a session may fit into a cookie.
func (in *integration) take(session *oauth.Session, g *oauth.Grant) error {
	set, err := claims.Parse(g.Claims)
	if err != nil {
		return err
	}
	identity := in.mapping.Identify(set)
	if identity == nil {
		return errNoIdentity
	}
	session.User = identity.User()
	session.Take(g)
	if !in.renews || g.Due.IsZero() {
		session.Tokens, session.Due = oauth.Tokens{}, time.Time{}
	}
	return nil
}
