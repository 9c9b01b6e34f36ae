// Package e2e holds the end-to-end tests of Admit: the built Caddy in front of a
// real upstream, with tokens of real issuers. It imports nothing of the plugin.
//
// ADMIT_CADDY names the Caddy binary to test; without it ../cmd/caddy is built.
// Tests with oidc-provider need Node 20 or later, those with glewlwyd and Chromium
// the programs of these names; without them they are skipped,
// and fail if CI is true.
package e2e
