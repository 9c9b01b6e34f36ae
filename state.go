package admit

import (
	"net/http"
	"strings"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/modules/caddyhttp"

	"github.com/caddy-admit/admit/claims"
	"github.com/caddy-admit/admit/oauth"
)

// stateKey is where the state of a request lies among Caddy's variables.
const stateKey = "admit"

// state is what the gates on the way of one request know together. Placeholders,
// the claim matcher and later gates read it; each gate that decides replaces the
// decision whole, so that two identities never mix.
type state struct {
	decision claims.Decision
	in       *integration // the one that vouches for the identity
	token    string       // the one that was accepted, if the client sent one
	opened   opened
	more     *more // what most requests have nothing of, see state.also
	// sent holds the headers as the client sent them, once a gate changes one in
	// which another may look for a credential; cookies holds the lines of Cookie as
	// the client sent them, once a gate has looked for sessions there and unless sent
	// came before.
	sent    http.Header
	cookies []string
	repl    *caddy.Replacer // of the request, nil outside of Caddy's server
	// headers are the identity headers that gates have set.
	headers []string
	// room is where texts for headers lie, as far as it is not taken.
	room  [4]string
	taken uint8
	named bool // somebody before all gates says who the user is
	// request is the one under decision by the gate that it has come to.
	request request
}

// more is a part of the state that is made when something is put in.
type more struct {
	carrier *carrier          // of the API key that counts, nil if it was sent by itself
	dead    []*oauth.Sessions // whose cookies are no good and are to be deleted
	query   *string           // as the client sent it, once a gate has taken something out
	// trailers says that the client announced some. Out of the gate's copy of the
	// request they are taken, but an error route may have another.
	trailers bool

	// Of the gate under way: the path in lower case, once that was asked for, and the
	// request with the other URLs and methods that it stands for.
	lower string
	asked []*http.Request
}

// also returns what else is in the state, to be changed.
func (s *state) also() *more {
	if s.more == nil {
		s.more = new(more)
	}
	return s.more
}

// carrier returns the carrier of the API key that counts, nil for none.
func (s *state) carrier() *carrier {
	if s.more == nil {
		return nil
	}
	return s.more.carrier
}

// dead returns the sessions whose cookies are no good.
func (s *state) dead() []*oauth.Sessions {
	if s.more == nil {
		return nil
	}
	return s.more.dead
}

// trailers reports whether the client announced some.
func (s *state) trailers() bool { return s.more != nil && s.more.trailers }

// String keeps {http.vars.admit} from printing what is in it.
func (*state) String() string { return "" }

// stateOf returns the state of the request, a new one if no gate has seen it.
func stateOf(r *http.Request) *state {
	vars, _ := r.Context().Value(caddyhttp.VarsCtxKey).(map[string]any)
	if s, ok := vars[stateKey].(*state); ok {
		return s
	}
	s := new(state)
	if vars != nil {
		vars[stateKey] = s
	}
	if repl, ok := r.Context().Value(caddy.ReplacerCtxKey).(*caddy.Replacer); ok {
		s.repl = repl
		_, s.named = repl.Get(userID)
		repl.Map(s.placeholder)
	}
	return s
}

// keepSent keeps the client's headers aside. It is called before a gate takes one
// out; those that gates have set are not the client's.
func (s *state) keepSent(r *http.Request) {
	if s.sent != nil {
		return
	}
	s.sent = r.Header.Clone()
	if s.cookies != nil {
		s.sent["Cookie"] = s.cookies
	}
	for _, name := range s.headers {
		delete(s.sent, name)
	}
}

// texts returns room for n texts that are this request's own: a handler after the gate
// may change the value of a header where it lies.
func (s *state) texts(n int) []string {
	begin := int(s.taken)
	end := begin + n
	if end > len(s.room) {
		return make([]string, n)
	}
	s.taken = uint8(end)
	return s.room[begin:end:end]
}

// text returns the value of a header that has one line.
func (s *state) text(line string) []string {
	value := s.texts(1)
	value[0] = line
	return value
}

// seenState returns the state of the request, nil if no gate has seen it.
func seenState(r *http.Request) *state {
	s, _ := caddyhttp.GetVar(r.Context(), stateKey).(*state)
	return s
}

// decide keeps the decision of a gate.
func (s *state) decide(d claims.Decision) {
	s.decision = d
	switch {
	case s.repl == nil:
	case s.named: // perhaps in a way that cannot be deleted, as the handler map does
		s.repl.Set(userID, identityField(d.Identity, d.LetsIn(), "id"))
	default:
		s.repl.Delete(userID) // as somebody has set it since, which would count before ours
	}
}

const (
	userID          = "http.auth.user.id"
	userPrefix      = "http.auth.user."
	candidatePrefix = "http.auth.candidate."
	admitPrefix     = "http.auth.admit."
)

// placeholder looks up one of the names that the gate makes. Every name of the
// family is known, and empty where there is nothing: an unknown one would be an
// error in an expression, and literal text in a header.
func (s *state) placeholder(name string) (any, bool) {
	if !strings.HasPrefix(name, "http.auth.") {
		return nil, false
	}
	d := &s.decision
	if field, ok := strings.CutPrefix(name, admitPrefix); ok {
		return decisionField(d, field), true
	}
	if field, ok := strings.CutPrefix(name, userPrefix); ok {
		return identityField(d.Identity, d.LetsIn(), field), true
	}
	if field, ok := strings.CutPrefix(name, candidatePrefix); ok {
		return identityField(d.Identity, !d.LetsIn(), field), true
	}
	return nil, false
}

func decisionField(d *claims.Decision, field string) string {
	switch field {
	case "verdict":
		return string(d.Verdict)
	case "reason":
		return string(d.Reason)
	case "rule":
		if d.Rule != nil {
			return d.Rule.String()
		}
	}
	return ""
}

// identityField returns one thing about the identity, if it counts.
func identityField(id *claims.Identity, counts bool, field string) any {
	if id == nil || !counts {
		if field == "groups" {
			return joined(nil) // a list, so that "in" finds nothing in it
		}
		return ""
	}
	switch field {
	case "id":
		return id.User()
	case "groups":
		return joined(id.Groups())
	case "integration":
		return id.Integration()
	}
	name, ok := strings.CutPrefix(field, "claims.")
	if !ok {
		return ""
	}
	texts, isList := id.Claim(name)
	switch {
	case len(texts) == 0:
		return ""
	case isList:
		return joined(texts)
	}
	return texts[0]
}

// joined is a list in expressions ("dev" in {http.auth.user.groups}) that prints
// joined by commas.
type joined []string

func (l joined) String() string { return strings.Join(l, ",") }
