package admit

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/caddyserver/caddy/v2"
	caddycmd "github.com/caddyserver/caddy/v2/cmd"
	"github.com/spf13/cobra"
)

// maxAdminAnswer is the size in bytes of the longest answer that is read.
const maxAdminAnswer = 16 << 20

// sessionsCommand lists what lies in the storage of the Caddy that runs.
func sessionsCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "sessions [<integration> [<user>]] [--address <interface>] [--config <path> [--adapter <name>]]",
		Short: "Lists the sessions of an integration's users",
		Long: `
Asks the Caddy that runs, over its admin API, for the sessions and refresh tokens
that an integration has in the storage: of all users, or of the one whose id rules
see as given here. Without an integration it lists those that have sessions, with
the ids of those that are written in a gate's own block.

Sessions in sealed cookies are in browsers only: nobody can list or count them.
"caddy admit revoke" ends them too.`,
		Args: cobra.MaximumNArgs(2),
	}
	ask := adminFlags(cmd)
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		if len(args) == 0 {
			return listIntegrations(cmd.OutOrStdout(), ask)
		}
		return listSessions(cmd.OutOrStdout(), ask, args)
	}
	return cmd
}

// revokeCommand ends sessions and refresh tokens everywhere.
func revokeCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "revoke <integration> [<user>] [--address <interface>] [--config <path> [--adapter <name>]]",
		Short: "Ends the sessions of an integration's users",
		Long: `
Tells the Caddy that runs, over its admin API, to end what the user began until now:
sessions, those in sealed cookies too, and refresh tokens. That holds at once there
and within 10 seconds on every other Caddy with the same storage. Without a user it
is everybody whom the integration has logged in. A user's id is that which rules see.

It keeps nobody from logging in again.`,
		Args: cobra.RangeArgs(1, 2),
	}
	ask := adminFlags(cmd)
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		if err := checkUser(args); err != nil {
			return err
		}
		asked := map[string]string{"integration": args[0]}
		if len(args) == 2 {
			asked["user"] = args[1]
		}
		body, err := json.Marshal(asked)
		if err != nil {
			return err
		}
		var done revocation
		if err := ask(http.MethodPost, revokePath, body, &done); err != nil {
			return err
		}
		return writeLines(cmd.OutOrStdout(), done.lines())
	}
	return cmd
}

// asker sends a request to the admin API and reads the JSON of its answer.
type asker func(method, path string, body []byte, answer any) error

// adminFlags gives a command the flags that say where the admin API is, as Caddy's
// own commands have them.
func adminFlags(cmd *cobra.Command) asker {
	address := cmd.Flags().String("address", "", "The address of the admin API, if it is not the default")
	config := cmd.Flags().StringP("config", "c", "", "The configuration file that says where the admin API is")
	adapter := cmd.Flags().StringP("adapter", "a", "", "The name of the adapter of that file")
	return func(method, path string, body []byte, answer any) error {
		where, err := adminAddress(*address, *config, *adapter)
		if err != nil {
			return err
		}
		return askAdmin(where, method, path, body, answer)
	}
}

func adminAddress(address, file, adapter string) (string, error) {
	if address != "" || file == "" {
		return caddycmd.DetermineAdminAPIAddress(address, nil, "", "")
	}
	config, _, _, err := caddycmd.LoadConfig(file, adapter)
	if err != nil {
		return "", err
	}
	var read struct {
		Admin caddy.AdminConfig `json:"admin"`
	}
	if err := json.Unmarshal(config, &read); err == nil && read.Admin.Disabled {
		return "", fmt.Errorf("%s switches the admin API off (admin off), and nothing else can tell a running Caddy what to do", file)
	}
	return caddycmd.DetermineAdminAPIAddress("", config, file, adapter)
}

func askAdmin(where, method, path string, body []byte, answer any) error {
	var sent io.Reader
	if body != nil {
		sent = bytes.NewReader(body)
	}
	resp, err := caddycmd.AdminAPIRequest(where, method, path, nil, sent)
	if err != nil {
		return adminError(where, err)
	}
	defer resp.Body.Close()
	data, err := io.ReadAll(io.LimitReader(resp.Body, maxAdminAnswer))
	if err != nil {
		return fmt.Errorf("the admin API at %s: %w", where, err)
	}
	if err := json.Unmarshal(data, answer); err != nil {
		return fmt.Errorf("the admin API at %s: its answer is not understood: %w", where, err)
	}
	return nil
}

// adminError makes an error for people of what [caddycmd.AdminAPIRequest] returns,
// which holds the answer only as text.
func adminError(where string, err error) error {
	text, answered := err.Error(), false
	if answered = strings.Contains(text, "caddy responded with error: HTTP "); !answered {
		return fmt.Errorf("the admin API does not answer at %s: is Caddy running, with the admin API on? --address or --config says where it is: %w", where, err)
	}
	var said struct {
		Error string `json:"error"`
	}
	if start := strings.IndexByte(text, '{'); start >= 0 && json.Unmarshal([]byte(text[start:]), &said) == nil && said.Error != "" {
		return errors.New(said.Error)
	}
	if strings.Contains(text, "HTTP 404") {
		return fmt.Errorf("the Caddy at %s does not know this command: it has no Admit, or an older one", where)
	}
	return err
}

// checkUser refuses an empty user: a variable that is not set must not mean all.
func checkUser(args []string) error {
	if len(args) == 2 && args[1] == "" {
		return errors.New("the user is empty: expected an id, or nothing for all users")
	}
	return nil
}

func listIntegrations(w io.Writer, ask asker) error {
	var answer struct {
		Integrations []knownIntegration `json:"integrations"`
	}
	if err := ask(http.MethodGet, sessionsPath, nil, &answer); err != nil {
		return err
	}
	lines := []string{}
	for _, known := range answer.Integrations {
		lines = append(lines, known.String())
	}
	if len(lines) == 0 {
		lines = append(lines, "No integration has sessions.")
	}
	return writeLines(w, lines)
}

func listSessions(w io.Writer, ask asker, args []string) error {
	if err := checkUser(args); err != nil {
		return err
	}
	path := sessionsPath + "/" + url.PathEscape(args[0])
	if len(args) == 2 {
		path += "?" + url.Values{"user": {args[1]}}.Encode()
	}
	var answer sessionsAnswer
	if err := ask(http.MethodGet, path, nil, &answer); err != nil {
		return err
	}
	if len(answer.Sessions) > 0 {
		table := tabwriter.NewWriter(w, 0, 8, 2, ' ', 0)
		fmt.Fprintln(table, "ID\tKIND\tINTEGRATION\tUSER\tBEGAN\tLAST USED\tENDS")
		for _, e := range answer.Sessions {
			fmt.Fprintf(table, "%s\t%s\t%s\t%s\t%s\t%s\t%s\n", e.ID, strings.ReplaceAll(e.Kind, "_", " "),
				answer.Integration, shown(e.User), stamp(e.Began), stamp(e.Used), stamp(e.Ends))
		}
		if err := table.Flush(); err != nil {
			return err
		}
	}
	return writeLines(w, answer.notes())
}

// notes says what the list does not show.
func (a *sessionsAnswer) notes() (lines []string) {
	if a.Total == 0 {
		lines = append(lines, "Nothing in the storage.")
	}
	if more := a.Total - len(a.Sessions); more > 0 {
		lines = append(lines, fmt.Sprintf("... and %d that began earlier.", more))
	}
	if a.Sealed {
		lines = append(lines, "Sessions in sealed cookies are in browsers only and cannot be counted.")
	}
	return lines
}

// lines says what came of a revocation.
func (r *revocation) lines() []string {
	whose := "everybody"
	if r.User != "" {
		whose = shown(r.User)
	}
	lines := []string{
		fmt.Sprintf("Revoked: what %s began with %s until %s. It counts no more here, and within 10 s on every node.", whose, r.Integration, stamp(r.Before)),
		fmt.Sprintf("In the storage: %s, %s.", count(r.Sessions, "session"), count(r.RefreshTokens, "refresh token")),
	}
	if r.User != "" && r.Sessions+r.RefreshTokens == 0 {
		lines = append(lines, "Nothing was there under this id. It has to be the one that rules and the log have; an e-mail address is that only where the integration takes it for the id.")
	}
	if r.Sealed {
		lines = append(lines, "Sealed cookies have ended too; nobody can count them.")
	}
	if r.AccessTokens > 0 {
		lines = append(lines, fmt.Sprintf("Access tokens that were made before are good until they expire, for %v at most.", time.Duration(r.AccessTokens)*time.Second))
	}
	if r.Left {
		lines = append(lines, "Not all of it could be deleted from the storage, see the log. It counts no more all the same.")
	}
	return append(lines, "This keeps nobody from logging in again.")
}

func count(n int, what string) string {
	if n == 1 {
		return "1 " + what
	}
	return strconv.Itoa(n) + " " + what + "s"
}

// shown writes a user's id so that it does nothing to a terminal.
func shown(user string) string {
	if quoted := strconv.QuoteToGraphic(user); user == "" || quoted != `"`+user+`"` {
		return quoted
	}
	return user
}

func stamp(t time.Time) string { return t.UTC().Format(time.RFC3339) }

func writeLines(w io.Writer, lines []string) error {
	for _, line := range lines {
		if _, err := fmt.Fprintln(w, line); err != nil {
			return err
		}
	}
	return nil
}
