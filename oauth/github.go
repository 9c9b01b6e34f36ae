package oauth

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"regexp"
	"strconv"
	"strings"

	"golang.org/x/sync/errgroup"
)

const (
	acceptGitHub = "application/vnd.github+json"

	gitHubPage  = 100 // members of a page, the most that there can be
	gitHubPages = 10
)

// gitHubUser is what GitHub says about a user beside the user's own document.
type gitHubUser struct {
	email  string // primary and verified, empty if there is none
	groups []string
	// hidden says that there may be more groups than these.
	hidden  bool
	missing []string // what could not be had, for the log
}

// gitHubName is the form of logins and of slugs. A "/" in one of them would make a
// team out of an organisation.
var gitHubName = regexp.MustCompile(`^[A-Za-z0-9._-]+$`)

// askGitHub asks for the addresses, the organisations and the teams of the user
// whose document is at user.
func (p *RelyingParty) askGitHub(ctx context.Context, user, access string) (*gitHubUser, error) {
	names := [...]string{"emails", "orgs", "teams"}
	var lists [len(names)]gitHubList
	group, ctx := errgroup.WithContext(ctx)
	for i, name := range names {
		group.Go(func() (err error) {
			lists[i], err = p.gitHubList(ctx, user, name, access)
			return err
		})
	}
	if err := group.Wait(); err != nil {
		return nil, err
	}
	g := new(gitHubUser)
	for i, name := range names {
		if !lists[i].whole {
			g.missing = append(g.missing, name)
		}
	}
	emails, orgs, teams := lists[0], lists[1], lists[2]
	g.hidden = !orgs.whole || !teams.whole
	for _, entry := range emails.entries {
		if isTrue(entry["primary"]) && isTrue(entry["verified"]) {
			g.email = asText(entry["email"])
		}
	}
	for _, entry := range orgs.entries {
		if org := asText(entry["login"]); gitHubName.MatchString(org) {
			g.groups = append(g.groups, org)
		}
	}
	for _, entry := range teams.entries {
		var org map[string]json.RawMessage
		_ = json.Unmarshal(entry["organization"], &org) // else it has no login
		owner, slug := asText(org["login"]), asText(entry["slug"])
		if gitHubName.MatchString(owner) && gitHubName.MatchString(slug) {
			g.groups = append(g.groups, owner+"/"+slug)
		}
	}
	return g, nil
}

// note says what is missing, for the log.
func (g *gitHubUser) note() string {
	if len(g.missing) == 0 {
		return ""
	}
	return "GitHub does not show " + strings.Join(g.missing, ", ") + " of the user: look at scopes"
}

// write adds claims, and returns which of the user's own document they replace. An
// address there is not known to be verified. Where groups may be missing no rule
// on groups is to hold, nor one be evaded that denies them: the claim counts as
// one that is to be had elsewhere (OpenID Connect Core 1.0 section 5.6.2).
func (g *gitHubUser) write(o *object) (replaced []string) {
	if g.email != "" {
		o.add("email", text(g.email))
		o.add("email_verified", []byte("true"))
	}
	groups, _ := json.Marshal(append([]string{}, g.groups...)) // strings always can
	o.add("groups", groups)
	if g.hidden {
		o.add(pointers, []byte(`{"groups":"github"}`))
	}
	return []string{"email", "email_verified", "groups", "hasgroups", pointers}
}

// gitHubList is what could be had of a list. Names are as they are, unlike those of
// a struct, which encoding/json finds in any case.
type gitHubList struct {
	entries []map[string]json.RawMessage
	whole   bool
}

// gitHubList returns a list of GitHub's API, an empty one if the token may not read
// it. Pages are counted here: a "Link" could lead anywhere.
func (p *RelyingParty) gitHubList(ctx context.Context, user, name, access string) (gitHubList, error) {
	u, err := url.Parse(user)
	if err != nil {
		return gitHubList{}, fmt.Errorf("%w: userinfo: not a URL", ErrTokenEndpoint)
	}
	u = u.JoinPath(name)
	var list gitHubList
	for page := 1; page <= gitHubPages; page++ {
		u.RawQuery = url.Values{"per_page": {strconv.Itoa(gitHubPage)}, "page": {strconv.Itoa(page)}}.Encode()
		body, status, err := call(ctx, p.config.Client, u.String(), acceptGitHub, access)
		switch {
		case err != nil:
			return gitHubList{}, err
		case status == http.StatusForbidden, status == http.StatusNotFound:
			return gitHubList{}, nil // a scope that was not asked for, or not granted
		case status != http.StatusOK:
			return gitHubList{}, &LoginError{Cause: CauseUserinfo, Status: status, Hint: userinfoHint(status)}
		}
		var entries []map[string]json.RawMessage
		if json.Unmarshal(body, &entries) != nil {
			return gitHubList{}, &LoginError{Cause: CauseUserinfo, Hint: "GitHub's answer is no list: look at userinfo_url"}
		}
		list.entries = append(list.entries, entries...)
		if list.whole = len(entries) < gitHubPage; list.whole {
			break
		}
	}
	return list, nil
}

func isTrue(raw json.RawMessage) bool { return string(raw) == "true" }

// asText returns a JSON string, "" for any other value.
func asText(raw json.RawMessage) string {
	var s string
	if json.Unmarshal(raw, &s) != nil {
		return ""
	}
	return s
}
