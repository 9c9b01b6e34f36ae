package oauth

import (
	"bytes"
	"encoding/json"
	"slices"
	"testing"

	"github.com/caddy-admit/admit/claims"
)

// TestMerge: a row is the claims of a token, those of userinfo, and all together.
func TestMerge(t *testing.T) {
	for _, tc := range []struct{ name, token, userinfo, want string }{
		{"nothing", `{}`, `{}`, `{}`},
		{"no userinfo", `{"sub":"a","x":1}`, ``, `{"sub":"a","x":1}`},
		{"what is missing", `{"sub":"a"}`, `{"sub":"a","name":"Ada","groups":["dev"]}`, `{"sub":"a","name":"Ada","groups":["dev"]}`},
		{"the token wins", `{"sub":"a","groups":["dev"]}`, `{"sub":"a","groups":["admin"]}`, `{"sub":"a","groups":["dev"]}`},
		{"null wins too", `{"groups":null}`, `{"groups":["admin"]}`, `{"groups":null}`},
		{"another case is another claim", `{"Groups":1}`, `{"groups":2}`, `{"Groups":1,"groups":2}`},
		// threat 84
		{"claims of the protocol", `{"sub":"a"}`, `{"iss":"x","aud":"x","exp":1,"nbf":1,"iat":1,"jti":"x","azp":"x","sid":"x","cnf":{},"events":{},"typ":"x","nonce":"x","auth_time":1,"act":{}}`, `{"sub":"a"}`},
		{"claims about the login", `{"sub":"a","nonce":"n","at_hash":"h","c_hash":"h","s_hash":"h"}`, `{}`, `{"sub":"a"}`},
		{"escaped names", `{"a\"b":1}`, `{"c\\d":2,"\u00e9":3}`, `{"a\"b":1,"c\\d":2,"é":3}`},

		// threat 30: who has the address says whether it is verified
		{"address of userinfo", `{}`, `{"email":"a@x","email_verified":true}`, `{"email":"a@x","email_verified":true}`},
		{"address of the token", `{"email":"a@x"}`, `{"email":"b@x","email_verified":true}`, `{"email":"a@x"}`},
		{"verified in the token", `{"email":"a@x","email_verified":false}`, `{"email":"a@x","email_verified":true}`, `{"email":"a@x","email_verified":false}`},
		{"address of userinfo, verified of the token", `{"email_verified":true,"xms_edov":true}`, `{"email":"b@x"}`, `{"email":"b@x"}`},
		{"address of userinfo, both verified", `{"email_verified":true}`, `{"email":"b@x","email_verified":false}`, `{"email":"b@x","email_verified":false}`},
		{"Entra ID", `{"email":"a@x"}`, `{"xms_edov":true}`, `{"email":"a@x"}`},
		{"telephone", `{"phone_number":"1"}`, `{"phone_number":"2","phone_number_verified":true}`, `{"phone_number":"1"}`},

		// threat 20: claims of others are not fetched, and not forgotten
		{"pointers of the token", `{"_claim_names":{"groups":"s"},"_claim_sources":{"s":{"access_token":"t"}}}`, ``, `{"_claim_names":{"groups":"s"}}`},
		{"pointers of userinfo", `{}`, `{"_claim_names":{"groups":"s"},"_claim_sources":{"s":{"access_token":"t"}}}`, `{"_claim_names":{"groups":"s"}}`},
		{"pointers of both", `{"_claim_names":{"a":"s"}}`, `{"_claim_names":{"a":"t","b":"t"}}`, `{"_claim_names":{"a":"s","b":"t"}}`},
		{"pointer to what the token has", `{"groups":["dev"]}`, `{"_claim_names":{"groups":"s","b":"s"}}`, `{"groups":["dev"],"_claim_names":{"b":"s"}}`},
		{"value for a pointer", `{"_claim_names":{"groups":"s"}}`, `{"groups":["dev"]}`, `{"groups":["dev"],"_claim_names":{"groups":"s"}}`},
		{"pointers of no type", `{"_claim_names":{"a":"s"}}`, `{"_claim_names":1}`, `{"_claim_names":1}`},
		{"pointers of no type in the token", `{"_claim_names":1}`, `{"_claim_names":{"a":"s"}}`, `{"_claim_names":1}`},
		{"overage", `{}`, `{"hasgroups":true}`, `{"hasgroups":true}`},
		{"overage of what the token has", `{"groups":["dev"]}`, `{"hasgroups":true}`, `{"groups":["dev"]}`},
	} {
		t.Run(tc.name, func(t *testing.T) {
			var userinfo *claims.Set
			if tc.userinfo != "" {
				userinfo = parsed(t, tc.userinfo)
			}
			if got := string(Merge(parsed(t, tc.token), userinfo)); got != tc.want {
				t.Errorf("got %s, want %s", got, tc.want)
			}
		})
	}
}

func parsed(t *testing.T, text string) *claims.Set {
	t.Helper()
	s, err := claims.Parse([]byte(text))
	if err != nil {
		t.Fatalf("%s: %v", text, err)
	}
	return s
}

// FuzzMerge: whatever a provider says, all that comes of it is an object that is
// read strictly, with every claim of the token that belongs in a session, and
// nothing that only the token may say.
func FuzzMerge(f *testing.F) {
	f.Add([]byte(`{"sub":"a","email":"x"}`), []byte(`{"sub":"a","email_verified":true,"iss":"x"}`))
	f.Add([]byte(`{"_claim_names":{"g":"s"}}`), []byte(`{"_claim_names":{"h":"s"},"_claim_sources":{}}`))
	f.Add([]byte(`{"a\u0041":[{"b":1}]}`), []byte(` { "aA" : null } `))
	f.Fuzz(func(t *testing.T, token, userinfo []byte) {
		first, err := claims.Parse(token)
		if err != nil {
			return
		}
		second, err := claims.Parse(userinfo)
		if err != nil {
			return
		}
		merged, err := claims.Parse(Merge(first, second))
		if err != nil {
			t.Fatalf("%s and %s: %s: %v", token, userinfo, Merge(first, second), err)
		}
		for name, value := range merged.All() {
			own, others := first.Get(name), second.Get(name)
			if name != pointers && !bytes.Equal(value.JSON(), own.JSON()) && !bytes.Equal(value.JSON(), others.JSON()) {
				t.Errorf("%q is nobody's: %s", name, value.JSON())
			}
			if slices.Contains(protocol, name) && !own.Exists() || name == sources {
				t.Errorf("%q does not belong here", name)
			}
		}
		verified, from := merged.Get("email_verified"), second
		if first.Has("email") {
			from = first
		}
		if merged.Has("email") && !bytes.Equal(verified.JSON(), from.Get("email_verified").JSON()) {
			t.Errorf("%s and %s: %s", token, userinfo, merged.Bytes())
		}
	})
}

// FuzzUserName: a name is one of three claims, and never made of another type.
func FuzzUserName(f *testing.F) {
	f.Add([]byte(`{"id":583231,"login":"octocat"}`))
	f.Add([]byte(`{"sub":null,"id":1e5}`))
	f.Fuzz(func(t *testing.T, data []byte) {
		s, err := claims.Parse(data)
		if err != nil {
			return
		}
		name := userName(s)
		if name == "" {
			return
		}
		for _, claim := range []string{"sub", "id", "login"} {
			var value any
			if json.Unmarshal(s.Get(claim).JSON(), &value) == nil && (value == name || string(s.Get(claim).JSON()) == name) {
				return
			}
		}
		t.Errorf("%s: %q", data, name)
	})
}
