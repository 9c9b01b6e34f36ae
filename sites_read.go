package admit

import (
	"encoding/json"
	"errors"
	"net/http"
	"strings"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/modules/caddyhttp"
)

// readSites reads the sites and the named integrations of a configuration as it is
// written, in JSON. Nothing of it is provisioned: it needs no secret and no file.
func readSites(config []byte) (sites []webSite, integrations map[string]*Integration, err error) {
	var read struct {
		Apps struct {
			HTTP  caddyhttp.App `json:"http"`
			Admit App           `json:"admit"`
		} `json:"apps"`
	}
	if err := json.Unmarshal(config, &read); err != nil {
		return nil, nil, err
	}
	for _, server := range read.Apps.HTTP.Servers {
		errs := []error{fillRoutes(server.Routes)}
		for _, named := range server.NamedRoutes {
			errs = append(errs, fillRoute(named))
		}
		if err := errors.Join(errs...); err != nil {
			return nil, nil, err
		}
	}
	return webSites(&read.Apps.HTTP), read.Apps.Admit.Integrations, nil
}

// fillRoutes puts hosts and handlers into routes, as far as gates are concerned.
func fillRoutes(routes caddyhttp.RouteList) error {
	for i := range routes {
		if err := fillRoute(&routes[i]); err != nil {
			return err
		}
	}
	return nil
}

func fillRoute(route *caddyhttp.Route) error {
	for _, raw := range route.MatcherSetsRaw {
		hosts := new(caddyhttp.MatchHost)
		if raw["host"] == nil {
			continue
		}
		if err := json.Unmarshal(raw["host"], hosts); err != nil {
			return err
		}
		if err := hosts.Provision(caddy.Context{}); err != nil {
			return err
		}
		route.MatcherSets = append(route.MatcherSets, caddyhttp.MatcherSet{hosts})
	}
	for _, raw := range route.HandlersRaw {
		var name struct {
			Handler string `json:"handler"`
		}
		if err := json.Unmarshal(raw, &name); err != nil {
			return err
		}
		var handler caddyhttp.MiddlewareHandler = &otherHandler{name: name.Handler}
		switch name.Handler {
		case "admit":
			handler = new(Handler)
		case "subroute":
			handler = new(caddyhttp.Subroute)
		case "invoke":
			handler = new(caddyhttp.Invoke)
		}
		if err := json.Unmarshal(raw, handler); err != nil {
			return err
		}
		if sub, ok := handler.(*caddyhttp.Subroute); ok {
			if err := fillRoutes(sub.Routes); err != nil {
				return err
			}
		}
		route.Handlers = append(route.Handlers, handler)
	}
	return nil
}

// otherHandler is a handler that holds no other.
type otherHandler struct {
	name  string
	gate  bool // a provider of Caddy's authentication is one
	shows bool // something is there to be seen: it answers, and not by a redirect
}

// UnmarshalJSON implements [json.Unmarshaler].
func (h *otherHandler) UnmarshalJSON(data []byte) error {
	var read struct {
		Providers map[string]json.RawMessage `json:"providers"`
		Status    json.RawMessage            `json:"status_code"`
	}
	if h.name == "authentication" || h.name == "static_response" {
		if err := json.Unmarshal(data, &read); err != nil {
			return err
		}
	}
	_, h.gate = read.Providers["admit"]
	switch h.name {
	case "static_response":
		h.shows = !strings.HasPrefix(strings.Trim(string(read.Status), `"`), "3")
	case "file_server", "metrics", "php", "reverse_proxy":
		h.shows = true
	}
	return nil
}

// ServeHTTP implements [caddyhttp.MiddlewareHandler]. It is never called.
func (*otherHandler) ServeHTTP(http.ResponseWriter, *http.Request, caddyhttp.Handler) error {
	return errors.New("admit: not a handler")
}
