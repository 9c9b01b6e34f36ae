package outbound

import (
	"context"
	"errors"
	"io"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"testing"
	"time"
)

// TestSend: whatever the status, the answer comes whole or not at all, and what
// the call carries goes nowhere else (threats 19 and 24).
func TestSend(t *testing.T) {
	const marker = "body-of-the-provider"
	var elsewhere int
	other := serve(t, func(http.ResponseWriter, *http.Request) { elsewhere++ })
	mux := http.NewServeMux()
	server := serve(t, mux.ServeHTTP)
	handle := func(path string, h http.HandlerFunc) { mux.HandleFunc(path, h) }
	handle("/ok", func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		if r.Method != http.MethodPost || string(body) != "secret" || r.UserAgent() != "admit" || r.Header.Get("Accept") != "application/json" {
			t.Errorf("got %s %q %v", r.Method, body, r.Header)
		}
		io.WriteString(w, marker)
	})
	handle("/refused", func(w http.ResponseWriter, _ *http.Request) {
		w.WriteHeader(http.StatusUnauthorized)
		io.WriteString(w, marker)
	})
	handle("/full", func(w http.ResponseWriter, _ *http.Request) { w.Write(make([]byte, maxBody)) })
	handle("/larger", func(w http.ResponseWriter, _ *http.Request) { w.Write(make([]byte, maxBody+1)) })
	handle("/endless", func(w http.ResponseWriter, _ *http.Request) {
		w.WriteHeader(http.StatusBadRequest)
		io.CopyN(w, zeros{}, 64<<20)
	})
	handle("/encoded", func(w http.ResponseWriter, _ *http.Request) { w.Header().Set("Content-Encoding", "br") })
	handle("/cut", func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Length", "100")
		io.WriteString(w, marker)
	})
	mux.Handle("/here", http.RedirectHandler("/ok", http.StatusTemporaryRedirect))
	mux.Handle("/there", http.RedirectHandler(other.URL, http.StatusPermanentRedirect))
	mux.Handle("/see", http.RedirectHandler(other.URL, http.StatusSeeOther))

	client := newClient(t, Options{})
	for _, tc := range []struct {
		path   string
		status int
		size   int
		want   string // part of the error, "" for none
	}{
		{"/ok", 200, len(marker), ""},
		{"/refused", 401, len(marker), ""},
		{"/full", 200, maxBody, ""},
		{"/larger", 0, 0, "larger than 1 MiB"},
		{"/endless", 0, 0, "larger than 1 MiB"},
		{"/encoded", 0, 0, "content encoding"},
		{"/cut", 0, 0, "unexpected EOF"},
		{"/here", 0, 0, "redirect, which is not followed"},
		{"/there", 0, 0, "redirect, which is not followed"},
		{"/see", 0, 0, "redirect, which is not followed"},
	} {
		t.Run(tc.path, func(t *testing.T) {
			for _, send := range []func(*http.Request) (*http.Response, error){client.Send, client.HTTPClient("application/json").Do} {
				req, err := http.NewRequestWithContext(context.Background(), http.MethodPost, server.URL+tc.path+"?key=in-the-query", strings.NewReader("secret"))
				if err != nil {
					t.Fatal(err)
				}
				req.Header.Set("Accept", "application/json")
				resp, err := send(req)
				var call *url.Error
				if errors.As(err, &call) {
					err = call.Err
				}
				if err != nil {
					if text := err.Error(); tc.want == "" || !strings.Contains(text, tc.want) || strings.Contains(text, marker) || strings.Contains(text, "query") {
						t.Errorf("got error %v, want one with %q", err, tc.want)
					}
					continue
				}
				body, err := io.ReadAll(resp.Body)
				if err != nil || tc.want != "" || resp.StatusCode != tc.status || len(body) != tc.size {
					t.Errorf("got status %d and %d bytes, %v", resp.StatusCode, len(body), err)
				}
			}
		})
	}
	if elsewhere != 0 {
		t.Errorf("%d calls to another host", elsewhere)
	}
}

// TestSendWhere: nothing secret goes over plain http to another host, and a caller
// that goes away takes the call along.
func TestSendWhere(t *testing.T) {
	client := newClient(t, Options{})
	req, _ := http.NewRequest(http.MethodPost, "http://id.example.com/token", strings.NewReader("secret"))
	if _, err := client.HTTPClient("*/*").Do(req); err == nil || !strings.Contains(err.Error(), "must be https") {
		t.Errorf("got %v", err)
	}
	wait := make(chan struct{})
	server := serve(t, func(http.ResponseWriter, *http.Request) { <-wait })
	defer close(wait)
	ctx, cancel := context.WithTimeout(context.Background(), 20*time.Millisecond)
	defer cancel()
	req, _ = http.NewRequestWithContext(ctx, http.MethodGet, server.URL, nil)
	if _, err := client.Send(req); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("got %v", err)
	}
}

// threat 97: however many ask at once, a server sees a bounded number of connections,
// and in the end everybody has an answer.
func TestConnectionsBounded(t *testing.T) {
	const asked = maxConns + 20
	var mu sync.Mutex
	var now, most int
	full := make(chan struct{})
	enough := sync.OnceFunc(func() { close(full) })
	server := serve(t, func(http.ResponseWriter, *http.Request) {
		mu.Lock()
		now++
		if most = max(most, now); most == maxConns {
			enough()
		}
		mu.Unlock()
		<-full
		mu.Lock()
		now--
		mu.Unlock()
	})
	client := newClient(t, Options{})
	var all sync.WaitGroup
	for range asked {
		all.Go(func() {
			req, _ := http.NewRequest(http.MethodPost, server.URL, strings.NewReader("x"))
			if resp, err := client.Send(req); err != nil || resp.StatusCode != http.StatusOK {
				t.Errorf("got %v", err)
			}
		})
	}
	all.Wait()
	enough() // if it never was
	if most != maxConns {
		t.Errorf("%d at once, want %d", most, maxConns)
	}
}
