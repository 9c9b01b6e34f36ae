package machine

import (
	"net/http"
	"sync"
	"testing"

	"github.com/caddy-admit/admit/oauth"
)

func newExchanger(t *testing.T, handle http.HandlerFunc) (*Exchanger, *endpoint) {
	t.Helper()
	e := newEndpoint(t, handle)
	x, err := NewExchanger(ExchangerConfig{
		Tokens: oauth.NewTokenEndpoint(newOutbound(t), e.clock.now), URL: e.url,
		Auth: oauth.ClientAuth{ID: "gate", Secret: marker}, Scopes: []string{"read"}, Audience: "orders", Now: e.clock.now,
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(x.Close)
	return x, e
}

func TestExchangerAnswers(t *testing.T) {
	const issued = `"issued_token_type":"urn:ietf:params:oauth:token-type:access_token"`
	for _, tc := range []struct {
		name   string
		answer http.HandlerFunc
		want   string
	}{
		{"token", says(200, `{"access_token":"other-1","token_type":"Bearer","expires_in":60,`+issued+`}`), "good"},
		{"no access token", says(200, `{"access_token":"other-1","token_type":"N_A","expires_in":60}`), "503"},
		{"bound to a key", says(200, `{"access_token":"other-1","token_type":"DPoP"}`), "503"}, // threat 101
		{"token not good", says(400, `{"error":"invalid_grant"}`), "401 inactive"},
		{"token not good, in other words", says(400, `{"error":"invalid_token"}`), "401 inactive"},
		{"request", says(400, `{"error":"invalid_request","error_description":"`+marker+`"}`), "503 invalid_request"},
		{"audience", says(400, `{"error":"invalid_target"}`), "503 invalid_target"},
		{"scope", says(400, `{"error":"invalid_scope"}`), "503 invalid_scope"},
		{"we are refused", says(401, `{"error":"invalid_client"}`), "503 invalid_client"},
		{"500", says(500, ``), "503"},
		{"HTML", page, "503"},
		{"nothing at all", silence, "503"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			x, e := newExchanger(t, tc.answer)
			token, err := x.Token(t.Context(), "subject-"+marker)
			if verdict(err) != tc.want || (token == "other-1") != (err == nil) {
				t.Errorf("got %q, %q", token, verdict(err))
			}
			checkError(t, err)
			e.calledFor()
			if _, err := x.Token(t.Context(), "subject-"+marker); verdict(err) != tc.want || e.calledFor() != 0 {
				t.Errorf("again: got %q", verdict(err))
			}
		})
	}
}

// TestExchangerRequest: the request of RFC 8693 section 2.1; one for 12 who ask at
// once, and another one for another token (threat 89).
func TestExchangerRequest(t *testing.T) {
	x, e := newExchanger(t, func(w http.ResponseWriter, r *http.Request) {
		says(200, `{"access_token":"for-`+r.PostFormValue("subject_token")+`","token_type":"Bearer","expires_in":60}`)(w, r)
	})
	var wg sync.WaitGroup
	for range 12 {
		wg.Go(func() {
			for _, subject := range []string{"ada", "bob"} {
				if token, err := x.Token(t.Context(), subject); token != "for-"+subject {
					t.Errorf("got %q, %v", token, err)
				}
			}
		})
	}
	wg.Wait()
	if n := e.calledFor(); n != 2 {
		t.Errorf("%d calls, want 2", n)
	}
	f := e.forms[0]
	for name, want := range map[string]string{
		"grant_type": exchangeGrant, "subject_token": "ada", "subject_token_type": accessTokenType,
		"requested_token_type": accessTokenType, "audience": "orders", "scope": "read",
	} {
		if f.Get(name) != want {
			t.Errorf("%s: got %q", name, f.Get(name))
		}
	}
	if len(f) != 6 || e.basic[0] != [2]string{"gate", marker} {
		t.Errorf("got %v", f)
	}
}
