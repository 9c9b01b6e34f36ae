// Command caddy is Caddy with its standard modules and Admit: for trying it out and for tests.
package main

import (
	caddycmd "github.com/caddyserver/caddy/v2/cmd"
	_ "github.com/caddyserver/caddy/v2/modules/standard"

	_ "github.com/caddy-admit/admit"
)

func main() { caddycmd.Main() }
