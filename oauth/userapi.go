package oauth

import (
	"context"
	"encoding/json"
	"regexp"

	"github.com/caddy-admit/admit/claims"
)

// userAPI lets the user API of a provider without ID tokens say who it is: the
// document at userinfo_url. It gets a "sub" if it has none, so that users have an
// id under the name that they have elsewhere.
func (p *RelyingParty) userAPI(ctx context.Context, tokens *Tokens) (*Grant, error) {
	url, err := p.needed(ctx, userinfoEndpoint)
	if err != nil {
		return nil, err
	}
	github := p.config.Vendor == VendorGitHub
	accept := "application/json"
	if github {
		accept = acceptGitHub
	}
	s, err := askUser(ctx, p.config.Client, url, accept, tokens.Access)
	if err != nil {
		return nil, err
	}
	g := &Grant{Subject: userName(s)}
	if g.Subject == "" {
		return nil, &LoginError{Cause: CauseUserinfo, Hint: "the document at userinfo_url has none of sub, id, login"}
	}
	var o object
	if !s.Has("sub") {
		o.add("sub", text(g.Subject))
	}
	taken := []string{sources}
	if github {
		more, err := p.askGitHub(ctx, url, tokens.Access)
		if err != nil {
			return nil, err
		}
		g.Note = more.note()
		taken = append(taken, more.write(&o)...)
	}
	copyClaims(&o, s, taken)
	g.Claims = o.end()
	return g, nil
}

var wholeNumber = regexp.MustCompile(`^[0-9]{1,20}$`)

// userName returns the id of a user: "sub", else "id", a number or a text, else
// "login". One that is there with another type names nobody.
func userName(s *claims.Set) string {
	if sub := s.Get("sub"); sub.Exists() {
		return sub.String()
	}
	id := s.Get("id")
	switch {
	case id.IsNumber() && wholeNumber.Match(id.JSON()):
		return string(id.JSON())
	case id.Exists():
		return id.String()
	}
	return s.Get("login").String()
}

// text returns a string as JSON.
func text(s string) json.RawMessage {
	data, _ := json.Marshal(s) // a string always can
	return data
}
