package admit

import (
	"slices"
	"strings"
	"testing"
)

// Scopes of an any are among the metadata, and the answer to a request that lacks all
// of them names one that would do.
func TestScopesOfAny(t *testing.T) {
	f := serveOne(t, byDiscovery, `
		@local path /one/* /other/* /both/*
		admit @local local {
			any /one/* {
				require scope read
				require scope write admin
			}
			any /other/* {
				require scope read
				require groups staff
			}
			any /both/* {
				require scope read
				require scp read
			}
		}
		admit /meta/* corp {
			any {
				require scope files:read files:*
				require groups staff
			}
			require /meta/x/* scp deep
		}
		respond ok`)
	if m := f.get(wellKnown + "/meta/x").metadata(t); !slices.Equal(m.Scopes, []string{"base", "deep", "files:read"}) || !strings.HasSuffix(m.Resource, "/meta/x") {
		t.Errorf("metadata %+v", m)
	}
	for path, want := range map[string]string{"/one/x": `error="insufficient_scope", error_description="rule", scope="read"`, "/other/x": "", "/both/x": ""} {
		a := f.get(path, bearer(t, object{"scope": "none"}))
		a.want(t, 403, "rule")
		if got := a.Header.Get("WWW-Authenticate"); (got != "") != (want != "") || !strings.Contains(got, want) {
			t.Errorf("%s: challenge %q", path, got)
		}
		f.get(path, bearer(t, object{"scope": "a read"})).want(t, 200, "")
	}
}
