package admit

import (
	"slices"
	"strings"
)

// notYet lists options that are planned and have their names, but do nothing in
// this version: by word, or with a first argument. A row goes when
// its option comes.
var notYet = []string{
	// Integrations.
	"client_credentials", "introspection", "userinfo always",
	// Gates.
	"forward exchange",
}

// notAvailable is the error for an option of which notYet lists this form.
func notAvailable(o option) error {
	if len(o.args) > 0 && slices.Contains(notYet, o.word+" "+o.args[0]) {
		return o.Errf("%s %s: not available in this version", o.word, o.args[0])
	}
	return nil
}

// wrongWords names the right word for some that are likely to be tried.
var wrongWords = map[string]string{
	"allow":         "did you mean require?",
	"claim":         "did you mean require?",
	"roles":         "did you mean require?",
	"skip":          "did you mean bypass?",
	"public":        "did you mean bypass?",
	"ignore":        "did you mean bypass?",
	"anonymous":     "did you mean optional?",
	"provider":      "did you mean preset?",
	"copy_headers":  "did you mean header_up?",
	"redirect_uri":  "did you mean callback?",
	"cookie_secret": "did you mean session { secret }?",
	"client_id":     "it belongs in login { … }",
	"client_secret": "it belongs in login { … }",
	"scopes":        "it belongs in login { … }",
	"groups":        "it belongs in identity { … }",
	"map":           "it belongs in identity { … }",
	"map_only":      "it belongs in identity { … }",
}

// unknownOption is the error for a word that a block does not take. The words it
// takes are sorted.
func unknownOption(o option, words []string) error {
	if slices.Contains(notYet, o.word) {
		return o.Errf("%s: not available in this version", o.word)
	}
	if hint := wrongWords[o.word]; hint != "" {
		return o.Errf("unknown option %q: %s", o.word, hint)
	}
	return o.Errf("unknown option %q: expected one of %s", o.word, strings.Join(words, ", "))
}
