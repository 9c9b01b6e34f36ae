package admit

import (
	"net/http"
	"net/url"
	"reflect"
	"strings"
	"testing"
)

// threat 42: whatever a client sends, what is taken for a token is one text
// without blanks from elsewhere, and taking it out of the query leaves the rest.
func FuzzCredential(f *testing.F) {
	for _, seed := range [][4]string{
		{"Bearer abc", "", "", ""},
		{"bearer  a.b.c", "x", "sid=a; sid=b", "token=a"},
		{"Bearer", "", `sid="a b"`, "a=1&token=%61&b"},
		{"Bearer a,b", "\t", "sid=a\x00", "tok%65n=a"},
		{"Bearer\ta", "=", "sid", "token=a&token=b"},
		{"Basic Zm9v", "..", "sid=;sid==", "token;token=%zz&to+ken=1"},
		{" Bearer a", "a=", "a=b;sid=c", "&&token&&=&"},
	} {
		f.Add(seed[0], seed[1], seed[2], seed[3])
	}
	places := []place{
		{Place: Place{Header: "Authorization", Scheme: "Bearer"}},
		{Place: Place{Header: "X-Token"}},
		{Place: Place{Query: "token"}},
		{Place: Place{Cookie: "sid"}},
	}
	f.Fuzz(func(t *testing.T, authorization, header, cookie, query string) {
		r := &http.Request{Method: "GET", Header: http.Header{
			"Authorization": {authorization}, "X-Token": {header}, "Cookie": {cookie},
		}}
		for i := range places {
			found, reason := findCredential(r.Header, query, places[i:i+1])
			checkCredential(t, &places[i], found, string(reason))
		}
		findCredential(r.Header, query, places)
		rest := withoutParameter(query, "token")
		want, _ := url.ParseQuery(query)
		got, _ := url.ParseQuery(rest)
		if want.Del("token"); !reflect.DeepEqual(got, want) {
			t.Errorf("%q without token became %q", query, rest)
		}
	})
}

func checkCredential(t *testing.T, p *place, found credential, reason string) {
	t.Helper()
	switch {
	case found.place != nil && !found.readable(): // is refused before anything is done with it
	case reason != "" && found.token != "":
		t.Errorf("%s: a token and a reason to refuse it", p.kind())
	case (found.place == nil) != (found.token == "") && reason == "":
		t.Errorf("%s: a place without a token", p.kind())
	case strings.ContainsFunc(found.token, func(c rune) bool { return c < ' ' || c > '~' }):
		t.Errorf("%s: token %q", p.kind(), found.token)
	}
}

// A byte that no token has is found wherever it is.
func TestTokenText(t *testing.T) {
	for n := 1; n < 40; n++ {
		good := strings.Repeat("a", n)
		if !isTokenText(good) {
			t.Errorf("%d: refused", n)
		}
		for i := range n {
			for _, c := range []byte{0, ' ', '"', ',', ':', 0x7f, 0x80, 0xff} {
				if bad := good[:i] + string([]byte{c}) + good[i+1:]; isTokenText(bad) {
					t.Errorf("%q passes", bad)
				}
			}
		}
	}
	if isTokenText("") {
		t.Error("nothing passes")
	}
}
