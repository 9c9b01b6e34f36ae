package admit

import "strings"

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
	"client_id":     "it belongs in login or introspection { … }",
	"client_secret": "it belongs in login or introspection { … }",
	"token_url":     "it belongs in login or client_credentials { … }",
	"scopes":        "it belongs in login, client_credentials or forward exchange { … }",
	"groups":        "it belongs in identity { … }",
	"map":           "it belongs in identity { … }",
	"map_only":      "it belongs in identity { … }",
}

// unknownOption is the error for a word that a block does not take. The words it
// takes are sorted.
func unknownOption(o option, words []string) error {
	if hint := wrongWords[o.word]; hint != "" {
		return o.Errf("unknown option %q: %s", o.word, hint)
	}
	for _, word := range words {
		if bare(word) == bare(o.word) {
			return o.Errf("unknown option %q: did you mean %s?", o.word, word)
		}
	}
	return o.Errf("unknown option %q: expected one of %s", o.word, strings.Join(words, ", "))
}

// bare is a word without what is easily confused: capitals, the sign between its
// parts, and a plural.
func bare(word string) string {
	word = strings.NewReplacer("-", "", "_", "").Replace(strings.ToLower(word))
	return strings.TrimSuffix(word, "s")
}
