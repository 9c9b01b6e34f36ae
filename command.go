package admit

import (
	"fmt"
	"strings"

	caddycmd "github.com/caddyserver/caddy/v2/cmd"
	"github.com/spf13/cobra"

	"github.com/caddy-admit/admit/oauth/local"
)

func init() {
	caddycmd.RegisterCommand(caddycmd.Command{
		Name:      "admit",
		Short:     "Helps to decide who gets in",
		CobraFunc: addCommands,
	})
}

// addCommands makes the command "caddy admit", which does nothing by itself.
func addCommands(cmd *cobra.Command) {
	cmd.Args = cobra.NoArgs // an unknown command is an error
	cmd.RunE = func(cmd *cobra.Command, _ []string) error { return cmd.Help() }
	cmd.AddCommand(apiKeyCommand(), sessionsCommand(), revokeCommand(), urlsCommand())
}

// apiKeyCommand makes an API key. What the configuration needs goes to stdout, and
// the key itself, which nothing keeps, to stderr: so that a script that collects
// lines does not collect keys.
func apiKeyCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "api-key <id>",
		Short: "Makes an API key and its line for the Caddyfile",
		Long: `
Makes a random API key for whoever the id names. The key is shown once, on
stderr; clients send it as "X-API-Key: <key>" or "Authorization: Bearer <key>".
The line for the Caddyfile, on stdout, belongs in an integration. It holds the
key's SHA-256, from which nobody gets the key back.`,
		Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			key, line, err := newAPIKeyLine(args[0])
			if err != nil {
				return err
			}
			fmt.Fprintf(cmd.ErrOrStderr(), "The key, shown only now:\n\n\t%s\n\nThe line for the Caddyfile:\n\n", key)
			_, err = fmt.Fprintln(cmd.OutOrStdout(), line)
			return err
		},
	}
}

// newAPIKeyLine makes a key and the line of the Caddyfile that takes it.
func newAPIKeyLine(id string) (key, line string, err error) {
	key, hash := local.NewAPIKey()
	if _, err := local.ReadAPIKey(id, hash, nil); err != nil {
		return "", "", err
	}
	// What a Caddyfile cannot hold between quotes, or would replace there.
	if strings.ContainsAny(id, "\"\\`{}") {
		return "", "", fmt.Errorf("api_key %q: expected an id without quotes, braces and \\", id)
	}
	if !isToken(id) || strings.HasPrefix(id, "#") {
		id = `"` + id + `"`
	}
	return key, "api_key " + id + " " + hash, nil
}
