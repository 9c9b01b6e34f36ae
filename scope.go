package admit

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"net"
	"path"
	"slices"
	"strings"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/caddyconfig"
	"github.com/caddyserver/caddy/v2/modules/caddyhttp"
)

// scope tells the requests that a rule, or the gate, is about.
type scope struct {
	plain    []plainPath // its paths, if they are so plain that one look tells: see plainPaths
	matchers caddyhttp.MatcherSets
	loose    caddyhttp.MatcherSets // the same without what looks at the path
	paths    bool                  // some set is empty then
	onlyPath bool                  // all sets consist of paths alone
}

// loadScope loads the matchers of the struct pointed to by module, whose field
// MatcherSetsRaw is raw.
func loadScope(ctx caddy.Context, module any, raw []caddy.ModuleMap) (scope, error) {
	s := scope{onlyPath: !slices.ContainsFunc(raw, func(set caddy.ModuleMap) bool { return !pathAlone(set) })}
	if s.onlyPath {
		s.plain = plainPaths(raw)
	}
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
	if s.plain != nil {
		if path := r.plainPath(); path != "" {
			return s.coversPlain(path), nil
		}
	}
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
	for asked := r.asked(); len(asked) > 0 && !ok && err == nil; asked = asked[1:] {
		ok, err = sets.AnyMatchWithError(asked[0])
	}
	return ok, err
}
