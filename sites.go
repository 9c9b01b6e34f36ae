package admit

import (
	"maps"
	"net"
	"slices"
	"strconv"
	"strings"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/modules/caddyhttp"
)

// webSite is what one server has for the same hosts.
type webSite struct {
	hosts  []string // none: any
	server *caddyhttp.Server
	ports  ports
	routes caddyhttp.RouteList
}

// ports are how the servers of an app are reached.
type ports struct{ http, https int }

// placedGate is a gate and the hosts that it is for, none for any.
type placedGate struct {
	*Handler
	hosts []string
}

// webSites lists the sites of an app. What is not bound to a host is one site of
// each server.
func webSites(app *caddyhttp.App) (sites []webSite) {
	p := ports{or(app.HTTPPort, caddyhttp.DefaultHTTPPort), or(app.HTTPSPort, caddyhttp.DefaultHTTPSPort)}
	for _, name := range slices.Sorted(maps.Keys(app.Servers)) {
		server := app.Servers[name]
		first := len(sites)
		for _, route := range server.Routes {
			hosts := hostList(route)
			i := slices.IndexFunc(sites[first:], func(s webSite) bool { return slices.Equal(s.hosts, hosts) })
			if i < 0 {
				i = len(sites) - first
				sites = append(sites, webSite{hosts: hosts, server: server, ports: p})
			}
			sites[first+i].routes = append(sites[first+i].routes, route)
		}
	}
	return sites
}

// hostList returns the hosts of a route, without placeholders.
func hostList(route caddyhttp.Route) (hosts []string) {
	repl := caddy.NewReplacer()
	for _, set := range route.MatcherSets {
		for _, matcher := range set {
			if host, ok := matcher.(*caddyhttp.MatchHost); ok {
				for _, name := range *host {
					hosts = append(hosts, repl.ReplaceKnown(name, ""))
				}
			}
		}
	}
	return hosts
}

// gates lists the gates of the site.
func (s *webSite) gates() []placedGate { return placedGates(s.server, s.routes, nil, nil) }

// placedGates lists the gates in routes for some hosts, however deep. called are
// the named routes on the way there.
func placedGates(server *caddyhttp.Server, routes caddyhttp.RouteList, hosts, called []string) (gates []placedGate) {
	for _, route := range routes {
		here := hosts
		if own := hostList(route); len(own) > 0 {
			here = own // of a block inside: narrower
		}
		for _, handler := range route.Handlers {
			switch h := handler.(type) {
			case *Handler:
				gates = append(gates, placedGate{h, here})
			case *caddyhttp.Subroute:
				gates = append(gates, placedGates(server, h.Routes, here, called)...)
			case *caddyhttp.Invoke:
				if named := server.NamedRoutes[h.Name]; named != nil && !slices.Contains(called, h.Name) {
					gates = append(gates, placedGates(server, caddyhttp.RouteList{*named}, here, append(called[:len(called):len(called)], h.Name))...)
				}
			}
		}
	}
	return gates
}

// anyHost stands for a host in a URL of a site that names none.
const anyHost = "<host>"

// addresses returns scheme, host and port at which the server answers for hosts of
// the site.
func (s *webSite) addresses(hosts []string) (addresses []string) {
	if len(hosts) == 0 {
		hosts = []string{anyHost}
	}
	for _, host := range hosts {
		if strings.Contains(host, ":") {
			host = "[" + strings.Trim(host, "[]") + "]"
		}
		own := s.ports
		if isLoopback(host) {
			own = ports{} // no port of this machine leads to another one of it
		}
		for _, port := range s.listenPorts() {
			if s.tls() && port != s.ports.http {
				addresses = appendNew(addresses, "https://"+host+portOf(port, 443, own.https))
			} else {
				addresses = appendNew(addresses, "http://"+host+portOf(port, 80, own.http))
			}
		}
	}
	return addresses
}

// origins returns scheme, host and port under which browsers can log in at hosts of
// the site. Over plain http they can on loopback only: what else listens there is
// behind a proxy that does TLS.
func (s *webSite) origins(hosts []string) (origins []string) {
	for _, address := range s.addresses(hosts) {
		host, plain := strings.CutPrefix(address, "http://")
		if colon := strings.LastIndexByte(host, ':'); colon > strings.LastIndexByte(host, ']') {
			host = host[:colon]
		}
		switch {
		case !plain || isLoopback(host):
			origins = appendNew(origins, address)
		case host == anyHost:
			origins = appendNew(origins, strings.Replace(address, anyHost, "localhost", 1))
			fallthrough
		default:
			origins = appendNew(origins, "https://"+host)
		}
	}
	return origins
}

// portOf writes a port in a URL, unless browsers leave it out: the one of the
// protocol, and the one that Caddy has for it, which clients reach by that of the
// protocol.
func portOf(port, standard, own int) string {
	if port == 0 || port == standard || port == own {
		return ""
	}
	return ":" + strconv.Itoa(port)
}

// listenPorts returns the ports that the site's server listens on, 0 for one that
// has none. Of a long range only the first ones are of use to anybody.
func (s *webSite) listenPorts() (all []int) {
	repl := caddy.NewReplacer()
	for _, text := range s.server.Listen {
		addr, err := caddy.ParseNetworkAddress(repl.ReplaceKnown(text, ""))
		if err != nil {
			continue // Caddy says so
		}
		for offset := range min(addr.PortRangeSize(), 8) {
			if port := int(addr.StartPort + offset); !slices.Contains(all, port) {
				all = append(all, port)
			}
		}
	}
	return all
}

// tls reports whether the site's server does TLS, by configuration or because
// Caddy makes it do so.
func (s *webSite) tls() bool {
	server := s.server
	if len(server.TLSConnPolicies) > 0 {
		return true
	}
	if server.AutoHTTPS != nil && server.AutoHTTPS.Disabled {
		return false
	}
	all := s.listenPorts()
	others := func(standard int) bool {
		return slices.ContainsFunc(all, func(port int) bool { return port != standard })
	}
	if !others(s.ports.http) {
		return false
	}
	return !others(s.ports.https) || slices.ContainsFunc(server.Routes, func(route caddyhttp.Route) bool {
		return slices.ContainsFunc(hostList(route), func(host string) bool {
			return server.AutoHTTPS == nil || !slices.Contains(server.AutoHTTPS.Skip, host)
		})
	})
}

// isLoopback reports whether a host, perhaps in brackets, is this machine.
func isLoopback(host string) bool {
	host = strings.ToLower(strings.Trim(host, "[]"))
	ip := net.ParseIP(host)
	return host == "localhost" || strings.HasSuffix(host, ".localhost") || ip != nil && ip.IsLoopback()
}

// String names the site by its hosts, or by where it listens.
func (s *webSite) String() string {
	if len(s.hosts) == 0 {
		return strings.Join(s.server.Listen, " ")
	}
	return strings.Join(s.hosts, " ")
}

// sitesOfOwn names the sites of the gate whose own integration has this id.
func sitesOfOwn(ctx caddy.Context, id string) (names []string) {
	app, err := ctx.AppIfConfigured("http")
	if err != nil {
		return nil
	}
	for _, site := range webSites(app.(*caddyhttp.App)) {
		for _, gate := range site.gates() {
			if gate.Integration != nil && gate.Integration.ID == id && !slices.Contains(names, site.String()) {
				names = append(names, site.String())
			}
		}
	}
	return names
}
