package admit

import (
	"cmp"
	"errors"
	"fmt"
	"slices"
	"strings"

	caddycmd "github.com/caddyserver/caddy/v2/cmd"
	"github.com/spf13/cobra"
)

// urlsCommand says what a configuration would do, without running any of it.
func urlsCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "urls [--config <path> [--adapter <name>]]",
		Short: "Prints the URLs to register at providers, and what no gate covers",
		Long: `
Reads a configuration, by default the Caddyfile in the current directory, and prints
for each site the redirect, logout and back-channel logout URLs to register at the
provider of each integration with a login block, and the parts that no gate covers:
sites without a gate, what bypass exempts, and what the matchers of gates leave out.

It runs nothing and asks nobody: client ids, secrets and files need not be there yet.
What an application lets in by itself it cannot know.`,
		Args: cobra.NoArgs,
	}
	file := cmd.Flags().StringP("config", "c", "", "The configuration file")
	adapter := cmd.Flags().StringP("adapter", "a", "", "The name of the adapter of that file")
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		config, found, _, err := caddycmd.LoadConfig(*file, *adapter)
		if err != nil {
			return err
		}
		if found == "" {
			return errors.New("no configuration: expected --config, or a Caddyfile in the current directory")
		}
		lines, err := describe(config)
		if err != nil {
			return fmt.Errorf("%s: %w", found, err)
		}
		return writeLines(cmd.OutOrStdout(), lines)
	}
	return cmd
}

// describe writes for people what a configuration in JSON has for providers and
// leaves open.
func describe(config []byte) (lines []string, err error) {
	sites, integrations, err := readSites(config)
	if err != nil {
		return nil, err
	}
	address := func(s webSite) string { return strings.Join(s.addresses(s.hosts), " ") }
	slices.SortStableFunc(sites, func(a, b webSite) int {
		return cmp.Or(strings.Compare(a.String(), b.String()), strings.Compare(address(a), address(b)))
	})
	for _, site := range sites {
		list, err := site.registrations(integrations)
		if err != nil {
			return nil, err
		}
		lines = append(lines, address(site))
		for _, r := range list {
			for _, line := range r.lines() {
				lines = append(lines, "  "+line)
			}
		}
		open := site.open()
		for _, line := range open {
			lines = append(lines, "  "+line)
		}
		if len(open) == 0 {
			lines = append(lines, "  nothing is open")
		}
	}
	if len(sites) == 0 {
		lines = append(lines, "no site")
	}
	return lines, nil
}
