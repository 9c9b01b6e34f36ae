package e2e

import (
	"bytes"
	"fmt"
	"io"
	"net/http"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

// fault is one way in which an issuer is broken.
type fault struct {
	name      string
	discovery bool // it is the discovery document, else the JWKS
	noKeys    bool // it is a good answer, but without a key
	answer    func(w http.ResponseWriter, r *http.Request)
}

// refusal tells whether a is right while the gate has no key. An empty set is one.
func (f fault) refusal(a answer) error {
	if f.noKeys && a.status == 401 {
		return a.isRefusal(401, "unknown_key")
	}
	if err := a.isRefusal(503, "keys_unavailable"); err != nil {
		return err
	}
	if n, err := strconv.Atoi(a.header.Get("Retry-After")); err != nil || n < 1 || n > 60 {
		return fmt.Errorf("Retry-After %q", a.header.Get("Retry-After"))
	}
	return nil
}

// TestFaults has an issuer that answers nonsense. Without keys the gate says 503
// and nothing else; when the issuer has recovered, tokens get in; when it breaks
// again, they still do.
func TestFaults(t *testing.T) {
	t.Parallel()
	z := startZitadel(t, "")
	good := document(t, z.URL+zitadelKeys)
	elsewhere := newFront(t, "")
	elsewhere.setIssuer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write(good) }))
	otherHost := strings.Replace(elsewhere.URL, "127.0.0.1", "localhost", 1)
	var streamed atomic.Int64

	faults := []fault{
		{name: "rubbish", answer: says("<html>It works!</html>")},
		{name: "half", answer: says(string(good[:len(good)/2]))},
		{name: "empty", answer: says("")},
		{name: "error", answer: func(w http.ResponseWriter, _ *http.Request) {
			w.WriteHeader(http.StatusInternalServerError)
			_, _ = w.Write(good)
		}},
		{name: "unavailable", answer: func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Retry-After", "86400")
			w.WriteHeader(http.StatusServiceUnavailable)
		}},
		{name: "huge", answer: huge(good, &streamed)},
		{name: "redirect", answer: func(w http.ResponseWriter, r *http.Request) {
			http.Redirect(w, r, otherHost+"/keys", http.StatusFound)
		}},
		{name: "drop", answer: func(http.ResponseWriter, *http.Request) { panic(http.ErrAbortHandler) }},
		{name: "hang", answer: z.hang},
		{name: "trickle", answer: trickle},
		{name: "no-keys", noKeys: true, answer: says(`{"keys": []}`)},
		{name: "other-keys", noKeys: true, answer: says(`{"keys": [{"kty": "oct", "k": "AAAA"}, {"kty": "XYZ"}, {"kty": "RSA", "n": "AQAB", "e": "AQAB"}, 7]}`)},
		{name: "d-rubbish", discovery: true, answer: says("[]")},
		{name: "d-error", discovery: true, answer: says404},
		{name: "d-issuer", discovery: true, answer: discovery("https://issuer.test", z.URL+zitadelKeys)},
		{name: "d-file", discovery: true, answer: discovery(z.URL, "file:///etc/passwd")},
		{name: "d-nothing", discovery: true, answer: discovery(z.URL, "")},
		{name: "d-redirect", discovery: true, answer: func(w http.ResponseWriter, r *http.Request) {
			http.Redirect(w, r, otherHost+zitadelDiscovery, http.StatusFound)
		}},
	}
	c := startCaddy(t, newUpstream(t), faultSites(z.URL, faults), nil)
	token := z.token(t)
	var all sync.WaitGroup
	for _, f := range faults {
		z.fault("/faulty/"+f.name, f.answer)
		all.Go(func() {
			began := time.Now()
			a, err := c.send(request{path: f.name, token: token})
			if err == nil {
				err = f.refusal(a)
			}
			if err != nil {
				t.Errorf("%s: %v", f.name, err)
			}
			if took := time.Since(began); took > 15*time.Second {
				t.Errorf("%s: the answer took %v", f.name, took)
			}
		})
	}
	all.Wait()
	if n := streamed.Load(); n > 16<<20 {
		t.Errorf("the gate read %d MiB of a JWKS of 64", n>>20)
	}

	for _, f := range faults {
		heal := discovery(z.URL, z.URL+zitadelKeys)
		if !f.discovery {
			heal = says(string(good))
		}
		z.fault("/faulty/"+f.name, heal)
	}
	for _, f := range faults {
		all.Go(func() {
			if err := recovers(c, f, token); err != nil {
				t.Errorf("%s: %v", f.name, err)
			}
		})
	}
	all.Wait()
	if t.Failed() {
		return
	}
	stillGood(t, c, z, faults, token)
	if n := elsewhere.fetched("/keys") + elsewhere.fetched(zitadelDiscovery); n != 0 {
		t.Errorf("a redirect to another host was followed %d times", n)
	}
}

// stillGood breaks what has worked, makes the gate ask again, and expects it to go
// on with the keys it has.
func stillGood(t *testing.T, c *caddy, z *zitadel, faults []fault, token string) {
	t.Helper()
	before := make(map[string]int)
	for _, f := range faults {
		before[f.name] = z.fetched("/faulty/" + f.name)
		z.fault("/faulty/"+f.name, f.answer)
	}
	unknown := unknownKid(t, token)
	asked := func(f fault) bool { return f.discovery || z.fetched("/faulty/"+f.name) > before[f.name] }
	eventually(t, 3*coolDown, "an unknown key makes the gate ask again", func() bool {
		every := true
		for _, f := range faults {
			if asked(f) {
				continue
			}
			every = false
			go func() { _, _ = c.send(request{path: f.name, token: unknown}) }()
		}
		return every
	})
	for _, f := range faults {
		if f.noKeys {
			continue // a set without keys takes them away
		}
		for range 3 {
			if err := c.get(t, request{path: f.name, token: token}).isUser("sid1"); err != nil {
				t.Errorf("%s, when there were keys: %v", f.name, err)
			}
		}
	}
}

// faultSites is one site with an integration for each fault.
func faultSites(issuer string, faults []fault) string {
	var integrations, gates strings.Builder
	for _, f := range faults {
		option := "jwks"
		if f.discovery {
			option = "discovery"
		}
		fmt.Fprintf(&integrations, `
	admit %s {
		issuer %s
		%s %s/faulty/%s
		audience https://api.test
	}`, f.name, issuer, option, issuer, f.name)
		fmt.Fprintf(&gates, `
	handle /%s {
		admit %s {
			header_up X-User {http.auth.user.id}
		}
		reverse_proxy {{.Upstream}}
	}`, f.name, f.name)
	}
	return "{\n\t{{.Globals}}" + integrations.String() + "\n}\n{{.Site}} {\n\tlog" + gates.String() + "\n}\n"
}

// recovers asks until the token gets in; until then every answer must be a refusal.
func recovers(c *caddy, f fault, token string) error {
	ask := time.NewTicker(100 * time.Millisecond)
	defer ask.Stop()
	deadline := time.After(40 * time.Second)
	for {
		a, err := c.send(request{path: f.name, token: token})
		if err != nil {
			return err
		}
		if a.status == 200 {
			return a.isUser("sid1")
		}
		if err := f.refusal(a); err != nil {
			return err
		}
		select {
		case <-ask.C:
		case <-deadline:
			return fmt.Errorf("no recovery within 40s")
		}
	}
}

// document fetches what an issuer publishes.
func document(t *testing.T, url string) []byte {
	t.Helper()
	resp, err := http.Get(url)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	if err != nil || resp.StatusCode != http.StatusOK {
		t.Fatalf("%s: %s %v", url, resp.Status, err)
	}
	return body
}

func says(text string) func(http.ResponseWriter, *http.Request) {
	return func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, text) }
}

func says404(w http.ResponseWriter, r *http.Request) { http.NotFound(w, r) }

func discovery(issuer, jwksURI string) func(http.ResponseWriter, *http.Request) {
	if jwksURI == "" {
		return says(fmt.Sprintf(`{"issuer": %q}`, issuer))
	}
	return says(fmt.Sprintf(`{"issuer": %q, "jwks_uri": %q}`, issuer, jwksURI))
}

// huge writes a JWKS with 64 MiB of white space before its good keys.
func huge(good []byte, streamed *atomic.Int64) func(http.ResponseWriter, *http.Request) {
	return func(w http.ResponseWriter, _ *http.Request) {
		space := bytes.Repeat([]byte(" "), 1<<20)
		for range 64 {
			n, err := w.Write(space)
			streamed.Add(int64(n))
			if err != nil {
				return
			}
		}
		_, _ = w.Write(good)
	}
}

// trickle writes one space after the other and never ends.
func trickle(w http.ResponseWriter, r *http.Request) {
	tick := time.NewTicker(100 * time.Millisecond)
	defer tick.Stop()
	for {
		select {
		case <-tick.C:
			if _, err := io.WriteString(w, " "); err != nil {
				return
			}
			_ = http.NewResponseController(w).Flush()
		case <-r.Context().Done():
			return
		}
	}
}
