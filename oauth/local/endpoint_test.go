package local

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/caddy-admit/admit/claims"
	"github.com/caddy-admit/admit/internal/store"
	"github.com/caddy-admit/admit/internal/store/storetest"
)

// people are those of a test's endpoint: what signing in says of them.
type people map[string]error

func newEndpoint(s store.Store, p people) *Endpoint {
	return &Endpoint{
		SignIn: func(_ context.Context, id, password, client string) (Subject, error) {
			err, known := p[id]
			if !known || password != "right" {
				err = ErrBadPassword
			}
			return Subject{ID: id, Stamp: "s1"}, err
		},
		Find: func(id string) (Subject, bool) {
			err, known := p[id]
			return Subject{ID: id, Stamp: "s1"}, known && err == nil
		},
		Tokens:   newTokens(s, time.Now, "home"),
		Families: NewFamilies(s, "home", time.Hour, never, time.Now),
	}
}

func posted(kind, body string) *http.Request {
	r := httptest.NewRequest("POST", "/oauth2/token", strings.NewReader(body))
	r.Header["Content-Type"] = []string{kind}
	return r
}

const formKind = "application/x-www-form-urlencoded"

func (e *Endpoint) post(body string) (*httptest.ResponseRecorder, Outcome) {
	w := httptest.NewRecorder()
	return w, e.Token(w, posted(formKind, body), "192.0.2.1")
}

// TestTokenOutcome: an answer of RFC 6749 section 5.2 for each error, and what the
// log is told, which holds no name that was only tried (threat 94).
func TestTokenOutcome(t *testing.T) {
	e := newEndpoint(new(storetest.Memory), people{
		"ada": nil, "locked": &LockedError{RetryAfter: 1500 * time.Millisecond, New: true}, "again": &LockedError{RetryAfter: time.Second},
		"busy": ErrBusy, "down": fmt.Errorf("x: %w", store.ErrUnavailable), "broken": errors.New("secret text"), "gone": context.Canceled,
	})
	for _, tc := range []struct {
		name, body string
		status     int
		code       string
		outcome    Outcome
		retry      string
	}{
		{"right", "grant_type=password&username=ada&password=right", 200, "", Outcome{Grant: "password", User: "ada"}, ""},
		{"wrong", "grant_type=password&username=ada&password=x", 400, "invalid_grant", Outcome{Grant: "password", Reason: claims.BadPassword}, ""},
		{"unknown", "grant_type=password&username=mallory&password=right", 400, "invalid_grant", Outcome{Grant: "password", Reason: claims.BadPassword}, ""},
		{"locked", "grant_type=password&username=locked&password=right", 429, "slow_down", Outcome{Grant: "password", Reason: claims.LockedOut}, "2"},
		{"still locked", "grant_type=password&username=again&password=right", 429, "slow_down", Outcome{Grant: "password", Reason: claims.LockedOut, Repeated: true}, "1"},
		{"busy", "grant_type=password&username=busy&password=right", 503, "temporarily_unavailable", Outcome{Grant: "password", Reason: claims.SignInUnavailable}, "10"},
		{"gone", "grant_type=password&username=gone&password=right", 503, "temporarily_unavailable", Outcome{Grant: "password", Reason: claims.SignInUnavailable}, "10"},
		{"outage", "grant_type=password&username=down&password=right", 503, "temporarily_unavailable", Outcome{Grant: "password", Reason: claims.StorageUnavailable}, "10"},
		{"broken", "grant_type=password&username=broken&password=right", 500, "server_error", Outcome{Grant: "password"}, ""},
		{"refresh", "grant_type=refresh_token&refresh_token=x", 400, "invalid_grant", Outcome{Grant: "refresh_token", Reason: claims.Revoked}, ""},
		{"no grant", "username=ada", 400, "invalid_request", Outcome{Reason: claims.MalformedCredential}, ""},
		{"a grant of one's own", "grant_type=marked", 400, "unsupported_grant_type", Outcome{Reason: claims.MalformedCredential}, ""},
	} {
		w, o := e.post(tc.body)
		tc.outcome.Status = tc.status
		var answer map[string]any
		if err := json.Unmarshal(w.Body.Bytes(), &answer); err != nil {
			t.Errorf("%s: %v", tc.name, err)
		}
		code, _ := answer["error"].(string)
		if w.Code != tc.status || code != tc.code || o != tc.outcome || w.Header().Get("Retry-After") != tc.retry {
			t.Errorf("%s: %d %s %+v %v", tc.name, w.Code, w.Body, o, w.Header())
		}
		if tc.code != "" && len(answer) != 1 || w.Header().Get("Cache-Control") != "no-store" || w.Header().Get("Content-Type") != "application/json" {
			t.Errorf("%s: %s %v", tc.name, w.Body, w.Header())
		}
	}
}

// TestRefreshOfSomebodyGone: a user who is disabled or has another password gets
// no token for an old one, and the family ends.
func TestRefreshOfSomebodyGone(t *testing.T) {
	for name, change := range map[string]func(e *Endpoint, p people){
		"removed":  func(_ *Endpoint, p people) { delete(p, "ada") },
		"disabled": func(_ *Endpoint, p people) { p["ada"] = ErrBadPassword },
		"password": func(e *Endpoint, _ people) {
			e.Find = func(id string) (Subject, bool) { return Subject{ID: id, Stamp: "s2"}, true }
		},
	} {
		p := people{"ada": nil}
		e := newEndpoint(new(storetest.Memory), p)
		find := e.Find
		w, _ := e.post("grant_type=password&username=ada&password=right")
		var first answered
		if err := json.Unmarshal(w.Body.Bytes(), &first); err != nil {
			t.Fatal(err)
		}
		change(e, p)
		form := "grant_type=refresh_token&refresh_token=" + first.RefreshToken
		if w, o := e.post(form); w.Code != 400 || o.User != "" || o.Reason != claims.Revoked {
			t.Errorf("%s: %d %+v", name, w.Code, o)
		}
		p["ada"], e.Find = nil, find
		if w, _ := e.post(form); w.Code != 400 {
			t.Errorf("%s: the family lives on", name)
		}
	}
}

// TestTokenAlone: when the token cannot be made, the answer is an error and no
// half of one.
func TestTokenAlone(t *testing.T) {
	down := false
	s := &storetest.Memory{}
	s.Fail = func(_, key string) error {
		if down && strings.HasPrefix(key, "admit/keys") {
			return errors.New("down")
		}
		return nil
	}
	e := newEndpoint(s, people{"ada": nil})
	down = true
	if w, o := e.post("grant_type=password&username=ada&password=right"); w.Code != 503 || strings.Contains(w.Body.String(), "token") || o.Reason != claims.StorageUnavailable {
		t.Errorf("%d %s %+v", w.Code, w.Body, o)
	}
}

// FuzzReadForm: whatever the body, each parameter is there at most once, and what
// comes out of a form is what others read there (threat 85).
func FuzzReadForm(f *testing.F) {
	for _, body := range []string{
		"grant_type=password&username=a&password=b", "a=b&a=c", "a=%zz", "a;b", "&&=&", "grant%5Ftype=x&grant_type=y",
		`{"grant_type":"password","username":"a"}`, `{"a":"b","a":"c"}`, `{"a":"b","\u0061":"c"}`, `{"token":1}`, `{"x":1}`, `[]`, `{}{}`, "{\"a\":\"\xff\"}", `{"a":"\ud800"}`,
	} {
		f.Add(true, body)
		f.Add(false, body)
	}
	f.Fuzz(func(t *testing.T, isJSON bool, body string) {
		kind := formKind
		if isJSON {
			kind = "application/json"
		}
		w := httptest.NewRecorder()
		form, refused := readForm(w, posted(kind, body))
		if refused != nil {
			if form != nil || refused.status != 400 || refused.code != "invalid_request" {
				t.Errorf("%q: %v, %+v", body, form, refused)
			}
			return
		}
		if len(body) > maxForm {
			t.Errorf("read %d bytes", len(body))
		}
		for name, values := range form {
			if len(values) != 1 {
				t.Errorf("%q: %s is %q", body, name, values)
			}
		}
		if !isJSON {
			if other, err := url.ParseQuery(body); err != nil || other.Encode() != form.Encode() {
				t.Errorf("%q: read as %v", body, form)
			}
			return
		}
		var members map[string]any
		if err := json.Unmarshal([]byte(body), &members); err != nil {
			t.Fatalf("%q: read as %v, but %v", body, form, err)
		}
		for _, name := range parameters {
			if text, ok := members[name].(string); members[name] != nil && !ok || text != form.Get(name) {
				t.Errorf("%q: %s is %q, want %v", body, name, form.Get(name), members[name])
			}
		}
	})
}
