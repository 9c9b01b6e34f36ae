package jwt

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/caddy-admit/admit/internal/outbound"
)

// fakeIssuer publishes a key set and counts who asks for it.
type fakeIssuer struct {
	mu      sync.Mutex
	body    string
	control string
	status  int

	fetches atomic.Int32
}

func (f *fakeIssuer) publish(body string) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.body, f.status = body, http.StatusOK
}

func (f *fakeIssuer) fail(status int) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.status = status
}

func (f *fakeIssuer) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	f.fetches.Add(1)
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.control != "" {
		w.Header().Set("Cache-Control", f.control)
	}
	w.WriteHeader(f.status)
	_, _ = io.WriteString(w, f.body)
}

// movingClock is a clock that a test moves. It may be read by a fetch meanwhile.
type movingClock struct{ ahead atomic.Int64 }

func (c *movingClock) now() time.Time          { return noon.Add(time.Duration(c.ahead.Load())) }
func (c *movingClock) advance(d time.Duration) { c.ahead.Add(int64(d)) }

// remote is a verifier whose keys come from a fake issuer over HTTP.
type remote struct {
	*Verifier
	issuer  *fakeIssuer
	clock   movingClock
	keys    *RemoteKeys
	fetched chan error
	dropped chan []string
}

func newRemote(t *testing.T, body string) *remote {
	t.Helper()
	r := &remote{issuer: &fakeIssuer{}, fetched: make(chan error, 100), dropped: make(chan []string, 100)}
	r.issuer.publish(body)
	server := httptest.NewServer(r.issuer)
	t.Cleanup(server.Close)
	client, err := outbound.NewClient(outbound.Options{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(client.Close)
	r.keys = NewRemoteKeys(Remote{
		Client:  client,
		Locate:  func(context.Context) (string, error) { return server.URL, nil },
		Now:     r.clock.now,
		Fetched: func(err error) { r.fetched <- err },
		Dropped: func(keys []string) { r.dropped <- keys },
	})
	t.Cleanup(r.keys.Close)
	p := basePolicy()
	p.ExpiryOptional = true // the clock moves by days
	if r.Verifier, err = NewVerifier(p, r.keys, r.clock.now); err != nil {
		t.Fatal(err)
	}
	return r
}

// token is one for [remote]: without a time in it.
func token(kid string) string {
	header := `{"alg":"ES256"}`
	if kid != "" {
		header = `{"alg":"ES256","kid":"` + kid + `"}`
	}
	return sign("ES256", ec256(), header, goodClaims("exp", "", "iat", ""))
}

func (r *remote) expect(t *testing.T, step, raw, want string, fetches int) {
	t.Helper()
	got := check(t, r.Verifier, raw)
	if want == "unavailable" {
		parsed := must(Parse(raw))
		if err := r.Verify(t.Context(), parsed); !errors.Is(err, ErrKeysUnavailable) || errors.As(err, new(*RejectedError)) {
			t.Errorf("%s: got %v, want %v", step, err, ErrKeysUnavailable)
		}
	} else if got != want {
		t.Errorf("%s: got %q, want %q", step, got, want)
	}
	if n := int(r.issuer.fetches.Load()); n != fetches {
		t.Errorf("%s: %d fetches, want %d", step, n, fetches)
	}
}

// threat 10: what is of no use is dropped and told once a fetch.
// threat 97: however often the same keys are fetched, tokens that are kept hold on to one
// set of them. Another key makes another set, and the old one back again a third.
func TestRemoteSameKeys(t *testing.T) {
	one, two := jwks(jwkOf(edTest(), "kid", "a")), jwks(jwkOf(edTest(), "kid", "a"), jwkOf(ec256(), "kid", "b"))
	r := newRemote(t, one)
	sets := map[*KeySet]bool{}
	for i, step := range []struct {
		body string
		want int // different sets until now
	}{{one, 1}, {one, 1}, {two, 2}, {two, 2}, {one, 3}} {
		r.issuer.publish(step.body)
		_, seen, _ := r.keys.doc.Get(t.Context())
		r.clock.advance(time.Minute)
		set, _, err := r.keys.Refresh(t.Context(), seen)
		if err != nil {
			t.Fatal(err)
		}
		if sets[set] = true; len(sets) != step.want {
			t.Errorf("step %d: %d sets, want %d", i, len(sets), step.want)
		}
	}
}

func TestRemoteDropsKeys(t *testing.T) {
	r := newRemote(t, jwks(jwkOf(secret, "kid", "a", "alg", "HS256"), jwkOf(ec256(), "kid", "a"), `{"kty":"new"}`, jwkOf(rsaKeys[0](), "use", "enc")))
	r.expect(t, "good key", token("a"), "", 1)
	dropped := <-r.dropped
	if len(dropped) != 3 || len(r.dropped) != 0 {
		t.Errorf("got %q", dropped)
	}
	p := basePolicy()
	p.Algorithms = append(slices.Clone(Symmetric), Asymmetric...)
	v := must(NewVerifier(p, r.keys, r.clock.now))
	if got := check(t, v, sign("HS256", secret, `{"alg":"HS256","kid":"a"}`, goodClaims())); got != "unknown_key" {
		t.Errorf("secret of the set: got %q", got)
	}
}

// threat 17: unknown kids fetch once in ten seconds, whoever sends them.
func TestRemoteUnknownKid(t *testing.T) {
	r := newRemote(t, jwks(jwkOf(ec256(), "kid", "a")))
	r.expect(t, "first", token("a"), "", 1)
	for i := range 20 {
		r.expect(t, "flood", token(fmt.Sprint("x", i)), "unknown_key", 1)
	}
	r.clock.advance(9 * time.Second)
	r.expect(t, "after 9 s", token("x"), "unknown_key", 1)
	r.clock.advance(time.Second)
	r.expect(t, "after 10 s", token("x"), "unknown_key", 2)
	r.expect(t, "flood", token("y"), "unknown_key", 2)
	r.clock.advance(10 * time.Second)
	r.expect(t, "known kid", token("a"), "", 2)
	// What another key could not mend fetches nothing.
	forged := strings.TrimSuffix(token("a"), token("a")[len(token("a"))-8:]) + "AAAAAAAA"
	r.expect(t, "forged", forged, "bad_signature", 2)
	r.expect(t, "another algorithm", sign("ES384", ec384(), `{"alg":"ES384","kid":"a"}`, goodClaims()), "unknown_key", 2)
	r.expect(t, "expired", sign("ES256", ec256(), `{"alg":"ES256","kid":"x"}`, goodClaims("exp", "1")), "expired", 2)
	r.expect(t, "unsigned", sign("ES256", ec256(), `{"alg":"none","kid":"x"}`, goodClaims()), "unsupported_algorithm", 2)
}

// threat 23: a new key is found at first sight, a removed one is refused as soon
// as the set is fetched anew.
func TestRemoteRotation(t *testing.T) {
	r := newRemote(t, jwks(jwkOf(ec256(), "kid", "old")))
	r.expect(t, "old key", token("old"), "", 1)
	r.issuer.publish(jwks(jwkOf(ec256(), "kid", "old"), jwkOf(ec256(), "kid", "new")))
	r.clock.advance(10 * time.Second)
	r.expect(t, "new key", token("new"), "", 2)
	r.issuer.publish(jwks(jwkOf(ec256(), "kid", "new")))
	r.expect(t, "old key, not yet fetched", token("old"), "", 2)
	r.clock.advance(10 * time.Second)
	r.expect(t, "unknown key", token("x"), "unknown_key", 3)
	r.expect(t, "removed key", token("old"), "unknown_key", 3)
	r.expect(t, "new key", token("new"), "", 3)

	// A key without a kid may have been replaced too.
	r.issuer.publish(jwks(jwkOf(ec256())))
	r.clock.advance(10 * time.Second)
	r.expect(t, "no kid", token("newer"), "", 4)
	r.issuer.publish(jwks(jwkOf(ec384())))
	r.clock.advance(10 * time.Second)
	r.expect(t, "replaced, not yet fetched", token(""), "", 4)
	r.expect(t, "replaced", sign("ES384", ec384(), `{"alg":"ES384"}`, goodClaims("exp", "", "iat", "")), "", 5)
	r.expect(t, "removed", token(""), "unknown_key", 5)
}

// threat 23: the set's life ends by Cache-Control, within 5 minutes and 24 hours.
func TestRemoteLife(t *testing.T) {
	for _, tc := range []struct {
		control string
		life    time.Duration
	}{
		{"", time.Hour},
		{"max-age=1200", 20 * time.Minute},
		{"max-age=1", 5 * time.Minute},
		{"no-store", 5 * time.Minute},
		{"max-age=31536000", 24 * time.Hour},
	} {
		r := newRemote(t, jwks(jwkOf(ec256(), "kid", "a")))
		r.issuer.control = tc.control
		r.expect(t, tc.control, token("a"), "", 1)
		<-r.fetched
		r.clock.advance(tc.life - time.Second)
		r.expect(t, tc.control+", fresh", token("a"), "", 1)
		r.issuer.publish(jwks(jwkOf(ec384(), "kid", "b")))
		r.clock.advance(time.Second)
		// The old set may serve while the new one is on its way.
		_ = check(t, r.Verifier, token("a"))
		if err := <-r.fetched; err != nil {
			t.Errorf("%q: %v", tc.control, err)
		}
		r.expect(t, tc.control+", fetched anew", token("a"), "unknown_key", 2)
	}
}

// threat 18, threat 19, threat 22: whatever the issuer answers, nothing gets in
// that should not, and the last good keys live on for a day.
func TestRemoteOutage(t *testing.T) {
	good := jwks(jwkOf(ec256(), "kid", "a"))
	for name, breakIt := range map[string]func(*fakeIssuer){
		"500":      func(f *fakeIssuer) { f.fail(500) },
		"404":      func(f *fakeIssuer) { f.fail(404) },
		"nothing":  func(f *fakeIssuer) { f.publish("") },
		"a page":   func(f *fakeIssuer) { f.publish("<html>") },
		"no keys":  func(f *fakeIssuer) { f.publish(`{"error":"x"}`) },
		"cut":      func(f *fakeIssuer) { f.publish(good[:len(good)/2]) },
		"too long": func(f *fakeIssuer) { f.publish(good + strings.Repeat(" ", 1<<20)) },
	} {
		r := newRemote(t, good)
		breakIt(r.issuer)
		r.expect(t, name+": never had keys", token("a"), "unavailable", 1)
		if err := <-r.fetched; err == nil {
			t.Errorf("%s: no error told", name)
		}
		r.expect(t, name+": expired, keys or not", sign("ES256", ec256(), `{"alg":"ES256"}`, goodClaims("exp", "1")), "expired", 1)
		r.clock.advance(time.Second)
		r.issuer.publish(good)
		r.expect(t, name+": back", token("a"), "", 2)
		<-r.fetched
		breakIt(r.issuer)
		r.clock.advance(time.Minute)
		r.expect(t, name+": down, known key", token("a"), "", 2)
		r.expect(t, name+": down, unknown key", token("x"), "unknown_key", 3)
		r.expect(t, name+": down, known key again", token("a"), "", 3)
		r.clock.advance(25 * time.Hour)
		parsed := must(Parse(token("a")))
		if err := r.Verify(t.Context(), parsed); !errors.Is(err, ErrKeysUnavailable) {
			t.Errorf("%s: down for a day: got %v", name, err)
		}
	}
}

// threat 18, threat 23: a token that was verified before is no better off than one
// that comes for the first time.
func TestRemoteRecheck(t *testing.T) {
	r := newRemote(t, jwks(jwkOf(ec256(), "kid", "a")))
	s := NewCache(0, 1<<20).NewSpace()
	e := s.Cache().Find(keep(t, s, r.Verifier, token("a")))
	<-r.fetched
	expect := func(step string, wantSure bool, want error) {
		t.Helper()
		if sure, err := r.Recheck(t.Context(), e); sure != wantSure || !errors.Is(err, want) {
			t.Errorf("%s: %v, %v", step, sure, err)
		}
	}
	expect("at once", true, nil)
	r.clock.advance(2 * time.Hour)
	expect("stale", true, nil)
	if err := <-r.fetched; err != nil {
		t.Fatal(err)
	}
	expect("the same keys fetched again", true, nil)
	r.issuer.fail(500)
	r.clock.advance(24 * time.Hour)
	expect("down for a day", true, nil)
	<-r.fetched
	r.clock.advance(time.Second)
	expect("down for longer", true, ErrKeysUnavailable)
	<-r.fetched
	r.issuer.publish(jwks(jwkOf(ec256(), "kid", "b")))
	r.clock.advance(time.Minute)
	expect("back, without the key", false, nil)
}

// threat 17, threat 18: many callers, one fetch.
func TestRemoteConcurrent(t *testing.T) {
	r := newRemote(t, jwks(jwkOf(ec256(), "kid", "a")))
	var wg sync.WaitGroup
	good, unknown := token("a"), token("x")
	for range 8 {
		wg.Go(func() {
			if got := check(t, r.Verifier, good); got != "" {
				t.Errorf("got %q", got)
			}
			if got := check(t, r.Verifier, unknown); got != "unknown_key" {
				t.Errorf("got %q", got)
			}
		})
	}
	wg.Wait()
	r.expect(t, "all", good, "", 1)
}

// A caller waits no longer than its own context; the keys come all the same.
func TestRemoteContext(t *testing.T) {
	r := newRemote(t, jwks(jwkOf(ec256(), "kid", "a")))
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := r.Verify(ctx, must(Parse(token("a")))); err != nil && !errors.Is(err, ErrKeysUnavailable) {
		t.Errorf("got %v", err)
	}
	<-r.fetched
	r.expect(t, "next", token("a"), "", 1)
	r.keys.Close()
	r.expect(t, "closed", token("a"), "unavailable", 1)
}

func TestRemoteLocate(t *testing.T) {
	failed := errors.New("no discovery")
	keys := NewRemoteKeys(Remote{Locate: func(context.Context) (string, error) { return "", failed }, Now: clock})
	t.Cleanup(keys.Close)
	v := newTestVerifier(t, basePolicy(), keys)
	if err := v.Verify(t.Context(), must(Parse(sign("ES256", ec256(), `{"alg":"ES256"}`, goodClaims())))); !errors.Is(err, ErrKeysUnavailable) || !errors.Is(err, failed) {
		t.Errorf("got %v", err)
	}
}

// threat 20: keys are not taken from where a redirect leads.
func TestRemoteRedirect(t *testing.T) {
	good := &fakeIssuer{}
	good.publish(jwks(jwkOf(ec256(), "kid", "a")))
	elsewhere := httptest.NewServer(good)
	t.Cleanup(elsewhere.Close)
	var target atomic.Pointer[string]
	mux := http.NewServeMux()
	mux.Handle("/keys", good)
	mux.HandleFunc("/", func(w http.ResponseWriter, r *http.Request) { http.Redirect(w, r, *target.Load(), http.StatusFound) })
	issuer := httptest.NewServer(mux)
	t.Cleanup(issuer.Close)
	client := must(outbound.NewClient(outbound.Options{}))
	t.Cleanup(client.Close)
	for to, want := range map[string]string{
		"/keys":                  "",
		elsewhere.URL:            "unavailable",
		"file:///etc/passwd":     "unavailable",
		"http://169.254.169.254": "unavailable",
	} {
		target.Store(&to)
		keys := NewRemoteKeys(Remote{
			Client: client,
			Locate: func(context.Context) (string, error) { return issuer.URL + "/", nil },
			Now:    clock,
		})
		t.Cleanup(keys.Close)
		err := newTestVerifier(t, basePolicy(), keys).Verify(t.Context(), must(Parse(sign("ES256", ec256(), `{"alg":"ES256","kid":"a"}`, goodClaims()))))
		if errors.Is(err, ErrKeysUnavailable) != (want != "") || want == "" && err != nil {
			t.Errorf("%s: got %v", to, err)
		}
	}
}

// lostKeys has keys at first and none later.
type lostKeys struct{ static }

func (lostKeys) Refresh(context.Context, uint64) (*KeySet, uint64, error) {
	return nil, 0, outbound.ErrUnavailable
}

// threat 18: keys that are lost between two looks are no reason to accept.
func TestKeysLost(t *testing.T) {
	v := newTestVerifier(t, basePolicy(), lostKeys{static{keySet(t, jwkOf(ec256(), "kid", "a"))}})
	for kid, lost := range map[string]bool{"a": false, "b": true} {
		err := v.Verify(t.Context(), must(Parse(sign("ES256", ec256(), `{"alg":"ES256","kid":"`+kid+`"}`, goodClaims()))))
		if errors.Is(err, ErrKeysUnavailable) != lost || !lost && err != nil {
			t.Errorf("%s: got %v", kid, err)
		}
	}
}
