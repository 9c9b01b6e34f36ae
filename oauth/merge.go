package oauth

import (
	"encoding/json"
	"slices"

	"github.com/caddy-admit/admit/claims"
)

// passing are claims that say something about one login or one token. They do not
// belong in a session.
var passing = []string{"nonce", "at_hash", "c_hash", "s_hash"}

// sources is where access tokens for other providers lie, which nobody is to see
// and nobody here uses (OpenID Connect Core 1.0 section 5.6.2).
const sources = "_claim_sources"

// pointers names the claims that are to be had elsewhere.
const pointers = "_claim_names"

// protocol are claims of a token about itself. Nobody else can say them.
var protocol = []string{
	"iss", "sub", "aud", "exp", "nbf", "iat", "jti", "azp", "typ", "auth_time", "sid", "cnf", "events", "act", "may_act",
}

// together are claims that mean something only if one source says them all.
var together = [][]string{
	{"email", "email_verified", "xms_edov"},
	{"phone_number", "phone_number_verified"},
}

// Merge returns the claims of a token, and those of userinfo, which may be nil,
// that the token lacks. Whether somebody vouches for an address is said by the
// source that has the address. Neither is changed.
func Merge(token, userinfo *claims.Set) json.RawMessage {
	var o object
	dropped := slices.Concat(passing, []string{sources, pointers})
	refused := slices.Concat(dropped, protocol)
	if userinfo != nil {
		for _, group := range together {
			switch {
			case token.Has(group[0]):
				refused = append(refused, group...)
			case userinfo.Has(group[0]):
				dropped = append(dropped, group...)
			}
		}
	}
	copyClaims(&o, token, dropped)
	if userinfo != nil {
		if token.Has("groups") {
			refused = append(refused, "hasgroups") // a pointer to "groups" (Entra ID)
		}
		for name, value := range userinfo.All() {
			free := !token.Has(name) || slices.Contains(dropped, name)
			if free && !slices.Contains(refused, name) {
				o.add(name, value.JSON())
			}
		}
	}
	if names := mergePointers(token, userinfo); names != nil {
		o.add(pointers, names)
	}
	return o.end()
}

// mergePointers puts together which claims are to be had elsewhere: all that the
// token says, and what userinfo says about claims that the token lacks. Rules on
// such a claim are refused, so that nothing of it may get lost.
func mergePointers(token, userinfo *claims.Set) json.RawMessage {
	own := token.Get(pointers)
	more := claims.Value{}
	if userinfo != nil {
		more = userinfo.Get(pointers)
	}
	switch {
	case !more.Exists(), own.Exists() && !own.IsObject():
		return own.JSON()
	case !more.IsObject():
		return more.JSON() // no object: every claim is
	}
	var o object
	var first *claims.Set
	if own.Exists() {
		first, _ = claims.Parse(own.JSON()) // a part of what was parsed
		copyClaims(&o, first, nil)
	}
	second, _ := claims.Parse(more.JSON())
	for name, value := range second.All() {
		if !token.Has(name) && !first.Has(name) {
			o.add(name, value.JSON())
		}
	}
	return o.end()
}

// object is a JSON object that is being written. The names differ, the values are
// JSON texts.
type object struct{ text []byte }

func (o *object) add(name string, value []byte) {
	o.text = append(o.text, ',')
	o.text = append(o.text, text(name)...)
	o.text = append(o.text, ':')
	o.text = append(o.text, value...)
}

// copyClaims adds the claims of s but for some.
func copyClaims(o *object, s *claims.Set, but []string) {
	for name, value := range s.All() {
		if !slices.Contains(but, name) {
			o.add(name, value.JSON())
		}
	}
}

// end returns the whole text.
func (o *object) end() json.RawMessage {
	if len(o.text) == 0 {
		return json.RawMessage("{}")
	}
	o.text[0] = '{'
	return append(o.text, '}')
}
