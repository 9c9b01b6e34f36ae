package admit

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"net"
	"net/http"
	"net/url"
	"path"
	"slices"
	"strings"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/caddyconfig"
	"github.com/caddyserver/caddy/v2/modules/caddyhttp"

	"github.com/caddy-admit/admit/claims"
	"github.com/caddy-admit/admit/internal/store"
	"github.com/caddy-admit/admit/jwt"
)

// checker decides about requests. The gate and the provider share it.
type checker struct {
	integrations []*integration
	places       []place
	rules        claims.Rules
	trial        claims.Rules // rules that report and do not refuse
	origins      origins
	scopes       []scope // the matchers of rules: scope n of a rule is scopes[n-1]
	optional     bool
}

// scope tells the requests that a rule, or the gate, is about.
type scope struct {
	matchers caddyhttp.MatcherSets
	loose    caddyhttp.MatcherSets // the same without what looks at the path
	paths    bool                  // some set is empty then
	onlyPath bool                  // all sets consist of paths alone
}

// loadScope loads the matchers of the struct pointed to by module, whose field
// MatcherSetsRaw is raw.
func loadScope(ctx caddy.Context, module any, raw []caddy.ModuleMap) (scope, error) {
	s := scope{onlyPath: !slices.ContainsFunc(raw, func(set caddy.ModuleMap) bool { return !pathAlone(set) })}
	var loose struct {
		MatcherSetsRaw caddyhttp.RawMatcherSets `caddy:"namespace=http.matchers"`
	}
	for _, set := range raw {
		if err := checkMatcher(set); err != nil {
			return scope{}, err
		}
		switch other, changed := withoutPath(set); {
		case len(other) == 0:
			s.paths = true
		case changed:
			loose.MatcherSetsRaw = append(loose.MatcherSetsRaw, other)
		}
	}
	loaded, err := ctx.LoadModule(module, "MatcherSetsRaw")
	if err == nil {
		err = s.matchers.FromInterface(loaded)
	}
	if err != nil || len(loose.MatcherSetsRaw) == 0 {
		return s, err
	}
	if loaded, err = ctx.LoadModule(&loose, "MatcherSetsRaw"); err == nil {
		err = s.loose.FromInterface(loaded)
	}
	return s, err
}

// withoutPath leaves out of a matcher set what looks at the path, so that the rest
// says which requests are meant whatever their path is. It reports whether there
// was any.
func withoutPath(set caddy.ModuleMap) (other caddy.ModuleMap, changed bool) {
	other = maps.Clone(set)
	for name, config := range set {
		switch name {
		case "path", "path_regexp", "file":
		case "expression":
			if !bytes.Contains(config, []byte("path")) && !bytes.Contains(config, []byte("uri")) {
				continue
			}
		case "not":
			var not []caddy.ModuleMap
			if json.Unmarshal(config, &not) != nil {
				continue // LoadModule says what is wrong
			}
			kept := slices.DeleteFunc(slices.Clone(not), func(set caddy.ModuleMap) bool {
				_, path := withoutPath(set)
				return path
			})
			if len(kept) == len(not) {
				continue
			}
			if len(kept) > 0 {
				other[name], changed = caddyconfig.JSON(kept, nil), true
				continue
			}
		default:
			continue
		}
		changed = true
		delete(other, name)
	}
	return other, changed
}

// checkMatcher refuses paths and hosts that no request has: what they are meant to
// protect would be open.
func checkMatcher(set caddy.ModuleMap) error {
	var paths, hosts []string
	if json.Unmarshal(set["path"], &paths) == nil && len(paths) == 0 {
		return errors.New("a path matcher without a path matches nothing")
	}
	for _, p := range paths {
		if p == "" || strings.IndexByte(`/*?[{\`, p[0]) < 0 {
			return fmt.Errorf("path %q: matches nothing, because every path begins with /", p)
		}
		if _, err := path.Match(p, ""); err != nil && !strings.ContainsAny(p, "{%") && strings.Contains(strings.Trim(p, "*"), "*") {
			return fmt.Errorf("path %q: matches nothing, because it is no valid pattern", p)
		}
	}
	_ = json.Unmarshal(set["host"], &hosts) // absent, or not ours to judge
	for _, host := range hosts {
		if _, _, err := net.SplitHostPort(host); err == nil && !strings.Contains(host, "{") {
			return fmt.Errorf("host %q: matches nothing, because hosts are compared without their port", host)
		}
	}
	return nil
}

// covers reports whether the request is one of the scope: as the client sent it,
// as it was rewritten since, as PHP would divide its path, or with the method that
// a header puts in place of its own. A path with more than one meaning counts as
// any path that a matcher asks for.
func (s *scope) covers(r *request) (bool, error) {
	if !r.canonical {
		if s.paths {
			return true, nil
		}
		if len(s.loose) > 0 {
			if ok, err := r.matches(s.loose); ok || err != nil {
				return ok, err
			}
		}
	}
	return r.matches(s.matchers)
}

// matches reports whether the request matches, or one that it stands for.
func (r *request) matches(sets caddyhttp.MatcherSets) (bool, error) {
	ok, err := sets.AnyMatchWithError(r.Request)
	for i := 0; i < len(r.asked) && !ok && err == nil; i++ {
		ok, err = sets.AnyMatchWithError(r.asked[i])
	}
	return ok, err
}

// request is a request under decision.
type request struct {
	*http.Request
	state     *state
	original  *url.URL        // as the client sent it
	canonical bool            // its path has one meaning, see canonical
	asked     []*http.Request // with the other URLs and methods that this one stands for
}

func newRequest(r *http.Request, original *url.URL, s *state) *request {
	req := &request{Request: r, state: s, original: original, canonical: canonical(original)}
	if !s.kept {
		s.query, s.kept = original.RawQuery, true
	}
	if r.URL.Path != original.Path {
		req.ask(original)
	}
	for _, name := range methodOverrides {
		if lines := r.Header[name]; len(lines) > 0 {
			asked := *r
			asked.Method = strings.ToUpper(lines[0])
			req.asked = append(req.asked, &asked)
		}
	}
	if script, info, ok := splitScript(original.Path); ok {
		req.ask(&url.URL{Path: script, RawQuery: original.RawQuery})
		req.ask(&url.URL{Path: info, RawQuery: original.RawQuery})
	}
	return req
}

// ask adds a URL that the request stands for.
func (r *request) ask(u *url.URL) {
	asked := *r.Request
	asked.URL = u
	r.asked = append(r.asked, &asked)
}

// splitScript divides a path as php_fastcgi does: /index.php/admin runs the script
// /index.php, for which the rest is the path (RFC 3875 section 4.1.5).
func splitScript(path string) (script, info string, ok bool) {
	const php = ".php"
	for i := 0; i+len(php) < len(path); i++ {
		if end := i + len(php); path[end] == '/' && strings.EqualFold(path[i:end], php) {
			return path[:end], path[end:], true
		}
	}
	return "", "", false
}

// sentRequest returns the request with the headers that the client sent.
func (r *request) sentRequest() *http.Request {
	s := r.state
	if s.sent == nil && len(s.headers) == 0 {
		return r.Request // no gate has changed any
	}
	s.keepSent(r.Request)
	sent := *r.Request
	sent.Header = s.sent
	return &sent
}

// decide makes the one decision about a request. An error means that a matcher
// failed and nothing was decided.
func (c *checker) decide(r *request) (claims.Decision, error) {
	d := c.authenticate(r)
	if d.Reason != "" {
		return d, nil
	}
	d.Verdict = claims.Anonymous
	if d.Identity != nil {
		d.Verdict = claims.Allowed
		r.state.in = c.integration(d.Integration)
	}
	r.state.decision = d // a claim matcher on a rule sees who is being judged
	var failed error
	covers := func(n int) bool {
		ok, err := c.scopes[n-1].covers(r)
		failed = errors.Join(failed, err)
		return ok
	}
	if d.Identity == nil && !c.optional {
		d.Verdict, d.Reason = claims.Refused, claims.MissingCredential
		return d, nil
	}
	if d.Reason, d.Rule = c.apply(&c.rules, &d, covers); d.Reason != "" {
		d.Verdict = claims.Refused
	} else if d.Reason, d.Rule = judge(&c.trial, d.Identity, covers); d.Reason != "" {
		d.Verdict = claims.Trial
	}
	return d, failed
}

// apply judges by the rules of the integration, which hold at every gate, and by
// those of this one.
func (c *checker) apply(rules *claims.Rules, d *claims.Decision, covers func(int) bool) (claims.Reason, *claims.Rule) {
	if in := c.integration(d.Integration); in != nil && d.Identity != nil {
		if reason, rule := in.rules.Judge(d.Identity, nil); reason != "" {
			return reason, rule
		}
	}
	return judge(rules, d.Identity, covers)
}

// judge applies rules to an identity, or to nobody: then a rule that demands
// something asks for a credential.
func judge(rules *claims.Rules, id *claims.Identity, covers func(int) bool) (claims.Reason, *claims.Rule) {
	switch {
	case id != nil:
		return rules.Judge(id, covers)
	case rules.Demand(covers):
		return claims.MissingCredential, nil
	}
	return "", nil
}

func (c *checker) integration(name string) *integration {
	for _, in := range c.integrations {
		if in.name == name {
			return in
		}
	}
	return nil
}

// authenticate finds out who the request comes from. The decision that it
// returns has an identity, or a reason for refusing, or neither if the client
// brought no credential.
func (c *checker) authenticate(r *request) claims.Decision {
	if known := &r.state.decision; known.Identity != nil && known.LetsIn() && slices.Contains(c.integrations, r.state.in) {
		// A gate before this one has checked it and let it in.
		return c.guardCookie(r.Request, claims.Decision{Identity: known.Identity, Integration: known.Integration, Credential: known.Credential})
	}
	r.state.token, r.state.opened, r.state.in = "", nil, nil // of an earlier gate
	sent := r.sentRequest()
	found, reason := findCredential(sent, r.state.query, c.places)
	switch {
	case reason != "":
		return claims.Decision{Verdict: claims.Refused, Reason: reason, Credential: found.place.kind()}
	case found.place == nil:
		return c.fromBrowser(r, sent)
	case found.place.Basic:
		return found.place.signIn(r, found.user, found.password)
	}
	return found.place.checkAll(r, found.tokens)
}

// fromBrowser looks at what browsers send by themselves, in the order of the
// places: tokens in cookies, and sessions.
func (c *checker) fromBrowser(r *request, sent *http.Request) claims.Decision {
	for i := range c.places {
		p := &c.places[i]
		if p.Session {
			if d := p.openSession(r, sent); d.Identity != nil || d.Reason != "" {
				return c.guardCookie(r.Request, d)
			}
		}
		if p.Cookie == "" {
			continue
		}
		if tokens := p.inCookies(sent); len(tokens) > 0 {
			return c.guardCookie(r.Request, p.checkAll(r, tokens))
		}
	}
	return claims.Decision{}
}

// checkAll checks tokens, of which one is enough: several are only there where a
// neighbour domain may have planted a cookie.
func (p *place) checkAll(r *request, tokens []string) (first claims.Decision) {
	for i, token := range tokens {
		d := p.check(r.Context(), token)
		d.Credential = or(d.Credential, p.kind())
		if d.Reason == "" {
			if d.Credential != "api_key" {
				r.state.token = token
			}
			return d
		}
		if i == 0 {
			first = d
		}
	}
	return first
}

// guardCookie refuses what a page of another site sends with a cookie.
func (c *checker) guardCookie(r *http.Request, d claims.Decision) claims.Decision {
	if d.Reason == "" && (d.Credential == "cookie" || d.Credential == "session") && crossOrigin(r) && !c.origins.trusts(r) {
		d.Verdict, d.Reason = claims.Refused, claims.CrossOrigin
	}
	return d
}

// check finds the integration that a token belongs to and has it verified there.
// A token goes to those whose issuer it names; only if there is none, to those
// that do not look at the issuer. Keys of one never vouch for another.
func (p *place) check(ctx context.Context, raw string) claims.Decision {
	if p.apiKeys() || strings.Count(raw, ".") != 2 {
		if d := p.checkAPIKey(raw); d.Identity != nil || d.Reason != "" {
			return d
		}
	}
	token, err := jwt.Parse(raw)
	if err != nil {
		return refused(err)
	}
	candidates := p.integrations
	if len(candidates) > 1 || candidates[0].verifier == nil {
		candidates = takers(candidates, token)
	}
	first := claims.Decision{Verdict: claims.Refused, Reason: claims.UnknownIssuer}
	for i, in := range candidates {
		d := in.verify(ctx, token)
		if d.Reason == "" {
			return d
		}
		// What one cannot say now weighs more than what another denies.
		if i == 0 || d.Reason == claims.KeysUnavailable {
			first = d
		}
	}
	return first
}

func takers(all []*integration, token *jwt.Token) (some []*integration) {
	for _, issuers := range []bool{true, false} {
		for _, in := range all {
			if in.verifier != nil && in.verifier.HasIssuer() == issuers && in.verifier.Takes(token) {
				some = append(some, in)
			}
		}
		if len(some) > 0 {
			return some
		}
	}
	return nil
}

func (in *integration) verify(ctx context.Context, token *jwt.Token) claims.Decision {
	d := claims.Decision{Integration: in.name}
	if err := in.verifier.Verify(ctx, token); err != nil {
		d = refused(err)
		d.Integration = in.name
		return d
	}
	if d.Identity = in.mapping.Identify(token.Claims); d.Identity == nil {
		d.Verdict, d.Reason = claims.Refused, claims.NoIdentity
	}
	return d
}

// refused makes a decision of an error of package jwt. What is no rejection
// means that the token could not be judged.
func refused(err error) claims.Decision {
	d := claims.Decision{Verdict: claims.Refused, Reason: claims.KeysUnavailable}
	if errors.Is(err, store.ErrUnavailable) {
		d.Reason = claims.StorageUnavailable
	}
	var rejected *jwt.RejectedError
	if errors.As(err, &rejected) {
		d.Reason = rejected.Reason
	}
	return d
}
