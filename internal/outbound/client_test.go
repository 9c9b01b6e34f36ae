package outbound

import (
	"bufio"
	"compress/gzip"
	"context"
	"crypto/tls"
	"encoding/pem"
	"errors"
	"io"
	"log"
	"net"
	"net/http"
	"net/http/httptest"
	"strconv"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"
)

func newClient(t *testing.T, o Options) *Client {
	t.Helper()
	c, err := NewClient(o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(c.Close)
	return c
}

// serve starts an issuer on loopback.
func serve(t *testing.T, h http.HandlerFunc) *httptest.Server {
	t.Helper()
	s := httptest.NewServer(h)
	t.Cleanup(s.Close)
	return s
}

// zeros is a body without end.
type zeros struct{}

func (zeros) Read(p []byte) (int, error) { clear(p); return len(p), nil }

func TestGet(t *testing.T) {
	const marker = "body-of-the-issuer"
	other := serve(t, func(w http.ResponseWriter, _ *http.Request) { io.WriteString(w, marker) })

	mux := http.NewServeMux()
	handle := func(path string, h http.HandlerFunc) { mux.HandleFunc(path, h) }
	redirect := func(path, to string) {
		mux.Handle(path, http.RedirectHandler(to, http.StatusFound))
	}
	handle("/ok", func(w http.ResponseWriter, _ *http.Request) { io.WriteString(w, marker) })
	handle("/full", func(w http.ResponseWriter, _ *http.Request) { w.Write(make([]byte, maxBody)) })
	handle("/larger", func(w http.ResponseWriter, _ *http.Request) { w.Write(make([]byte, maxBody+1)) })
	handle("/endless", func(w http.ResponseWriter, _ *http.Request) { io.CopyN(w, zeros{}, 64<<20) })
	handle("/bomb", func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Encoding", "gzip")
		z := gzip.NewWriter(w)
		defer z.Close()
		io.CopyN(z, zeros{}, 64<<20)
	})
	handle("/gzip", func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Encoding", "gzip")
		z := gzip.NewWriter(w)
		defer z.Close()
		io.WriteString(z, marker)
	})
	handle("/brotli", func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Encoding", "br")
		io.WriteString(w, marker)
	})
	handle("/short", func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Length", "100")
		io.WriteString(w, marker)
	})
	handle("/headers", func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("X-Large", strings.Repeat("x", 2*maxHeader))
	})
	raw := func(path, answer string) {
		handle(path, func(w http.ResponseWriter, _ *http.Request) {
			conn, _, err := w.(http.Hijacker).Hijack()
			if err == nil {
				io.WriteString(conn, answer)
				conn.Close()
			}
		})
	}
	raw("/no-http", marker+"\r\n\r\n")
	raw("/bad-header", "HTTP/1.1 200 OK\r\n "+marker+"\r\n\r\n")
	raw("/bad-status", "HTTP/1.1 "+marker+" OK\r\n\r\n")
	for _, status := range []int{201, 204, 304, 400, 404, 500, 503} {
		handle("/"+strconv.Itoa(status), func(w http.ResponseWriter, _ *http.Request) {
			w.WriteHeader(status)
			if status != 204 && status != 304 {
				io.WriteString(w, marker)
			}
		})
	}
	s := serve(t, mux.ServeHTTP)
	redirect("/r1", "/ok")
	redirect("/r2", "/r1")
	redirect("/r3", s.URL+"/r2?secret=1")
	redirect("/r4", "/r3")
	redirect("/loop", "/loop")
	redirect("/host", other.URL+"/?secret=1")
	redirect("/name", strings.Replace(s.URL, "127.0.0.1", "localhost", 1)+"/ok?secret=1")
	redirect("/scheme", strings.Replace(s.URL, "http:", "https:", 1)+"/ok?secret=1")
	redirect("/file", "file:///etc/passwd")
	redirect("/script", "javascript:alert(1)")
	redirect("/user", strings.Replace(s.URL, "//", "//user:secret@", 1)+"/ok")
	redirect("/link-local", "http://169.254.169.254/latest/meta-data/?secret=1")
	handle("/nowhere", func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusFound) })
	handle("/garbled", func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Location", "http://%zz?secret=1")
		w.WriteHeader(http.StatusFound)
	})

	for _, tc := range []struct {
		path    string
		size    int    // of the body, where there is one
		wantErr string // a part of it
	}{
		{path: "/ok", size: len(marker)},
		{path: "/gzip", size: len(marker)},
		{path: "/full", size: maxBody},
		{path: "/larger", wantErr: "larger than 1 MiB"},
		// threat 19
		{path: "/endless", wantErr: "larger than 1 MiB"},
		{path: "/bomb", wantErr: "larger than 1 MiB"},
		{path: "/headers", wantErr: "headers exceeded"},
		{path: "/brotli", wantErr: "content encoding"},
		{path: "/short", wantErr: "unexpected EOF"},
		{path: "/no-http", wantErr: "malformed HTTP response"},
		{path: "/bad-header", wantErr: "malformed"},
		{path: "/bad-status", wantErr: "malformed HTTP status code"},
		{path: "/201", wantErr: "status 201"},
		{path: "/204", wantErr: "status 204"},
		{path: "/304", wantErr: "status 304"},
		{path: "/400", wantErr: "status 400"},
		{path: "/404", wantErr: "status 404"},
		{path: "/500", wantErr: "status 500"},
		{path: "/503", wantErr: "status 503"},
		// threat 20
		{path: "/r1", size: len(marker)},
		{path: "/r2", size: len(marker)},
		{path: "/r3", size: len(marker)},
		{path: "/r4", wantErr: "more than 3 redirects"},
		{path: "/loop", wantErr: "more than 3 redirects"},
		{path: "/host", wantErr: "redirect to another origin"},
		{path: "/name", wantErr: "redirect to another origin"},
		{path: "/scheme", wantErr: "redirect to another origin"},
		{path: "/file", wantErr: "redirect to another origin"},
		{path: "/script", wantErr: "redirect to another origin"},
		{path: "/link-local", wantErr: "redirect to another origin"},
		{path: "/user", wantErr: "redirect with a user name"},
		{path: "/nowhere", wantErr: "redirect without a valid location"},
		{path: "/garbled", wantErr: "redirect without a valid location"},
	} {
		t.Run(tc.path[1:], func(t *testing.T) {
			r, err := newClient(t, Options{}).Get(t.Context(), s.URL+tc.path+"?secret=1", "application/json")
			if tc.wantErr == "" {
				if err != nil || len(r.Body) != tc.size {
					t.Errorf("got %d bytes and error %v, want %d bytes", len(r.Body), err, tc.size)
				}
				return
			}
			if err == nil || !strings.Contains(err.Error(), tc.wantErr) {
				t.Fatalf("got error %v, want one containing %q", err, tc.wantErr)
			}
			host := strings.TrimPrefix(s.URL, "http://")
			if !strings.HasPrefix(err.Error(), "outbound: "+host+": ") {
				t.Errorf("error %q does not begin with package and host", err)
			}
			if strings.Contains(err.Error(), "secret") || strings.Contains(err.Error(), marker) {
				t.Errorf("error %q shows a query or a part of the response", err)
			}
		})
	}
}

// threat 24: nothing but the document is asked for, on the way of a redirect too.
func TestGetSendsNoCredentials(t *testing.T) {
	s := serve(t, func(w http.ResponseWriter, r *http.Request) {
		for name := range r.Header {
			switch name {
			case "Accept", "Accept-Encoding", "User-Agent":
			default:
				t.Errorf("%s: header %s sent", r.URL.Path, name)
			}
		}
		if got := r.Header.Get("Accept"); got != "application/json" {
			t.Errorf("Accept: got %q", got)
		}
		http.SetCookie(w, &http.Cookie{Name: "a", Value: "b"})
		if r.URL.Path == "/" {
			http.Redirect(w, r, "/next", http.StatusSeeOther)
		}
	})
	c := newClient(t, Options{})
	for range 2 {
		if _, err := c.Get(t.Context(), s.URL, "application/json"); err != nil {
			t.Error(err)
		}
	}
}

func TestGetTLS(t *testing.T) {
	s := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/down" {
			http.Redirect(w, r, "http://"+r.Host+"/", http.StatusFound)
		}
		io.WriteString(w, "ok")
	}))
	s.Config.ErrorLog = log.New(io.Discard, "", 0) // it would tell of failed handshakes
	s.StartTLS()
	t.Cleanup(s.Close)
	root := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: s.Certificate().Raw})

	if _, err := newClient(t, Options{}).Get(t.Context(), s.URL, "*/*"); err == nil || !strings.Contains(err.Error(), "certificate") {
		t.Errorf("unknown root: got error %v", err)
	}
	trusting := newClient(t, Options{CAs: root})
	if r, err := trusting.Get(t.Context(), s.URL, "*/*"); err != nil || string(r.Body) != "ok" {
		t.Errorf("extra root: got %q, %v", r.Body, err)
	}
	// threat 20
	if _, err := trusting.Get(t.Context(), s.URL+"/down", "*/*"); err == nil || !strings.Contains(err.Error(), "another origin") {
		t.Errorf("redirect to plain http: got error %v", err)
	}
	if _, err := trusting.Get(t.Context(), strings.Replace(s.URL, "https", "http", 1), "*/*"); err == nil {
		t.Error("plain http to a TLS port: no error")
	}
	plain := serve(t, func(w http.ResponseWriter, _ *http.Request) { io.WriteString(w, "ok") })
	if _, err := trusting.Get(t.Context(), strings.Replace(plain.URL, "http", "https", 1), "*/*"); err == nil || !strings.Contains(err.Error(), "no TLS") {
		t.Errorf("TLS to a plain port: got error %v", err)
	}
	if _, err := NewClient(Options{CAs: []byte("no certificate")}); err == nil {
		t.Error("roots without a certificate: no error")
	}
}

func TestGetOldTLS(t *testing.T) {
	for version, ok := range map[uint16]bool{tls.VersionTLS11: false, tls.VersionTLS12: true} {
		s := httptest.NewUnstartedServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) {}))
		s.Config.ErrorLog = log.New(io.Discard, "", 0)
		s.TLS = &tls.Config{MinVersion: tls.VersionTLS10, MaxVersion: version}
		s.StartTLS()
		t.Cleanup(s.Close)
		root := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: s.Certificate().Raw})
		if _, err := newClient(t, Options{CAs: root}).Get(t.Context(), s.URL, "*/*"); (err == nil) != ok {
			t.Errorf("%s: got error %v", tls.VersionName(version), err)
		}
	}
}

func TestGetRefusesURL(t *testing.T) {
	c := newClient(t, Options{})
	if _, err := c.Get(t.Context(), "http://idp.example/jwks", "*/*"); err == nil || !strings.Contains(err.Error(), "must be https") {
		t.Errorf("got error %v", err)
	}
}

func TestGetUnreachable(t *testing.T) {
	s := httptest.NewServer(nil)
	s.Close()
	var op *net.OpError
	_, err := newClient(t, Options{}).Get(t.Context(), s.URL, "*/*")
	if !errors.As(err, &op) || !strings.HasPrefix(err.Error(), "outbound: "+s.Listener.Addr().String()) {
		t.Errorf("got error %v", err)
	}
}

// threat 19: the caller's context cuts a slow answer.
func TestGetContext(t *testing.T) {
	arrived := make(chan struct{})
	s := serve(t, func(w http.ResponseWriter, r *http.Request) {
		w.(http.Flusher).Flush()
		close(arrived)
		<-r.Context().Done()
	})
	ctx, cancel := context.WithCancel(t.Context())
	go func() { <-arrived; cancel() }()
	if _, err := newClient(t, Options{}).Get(ctx, s.URL, "*/*"); !errors.Is(err, context.Canceled) {
		t.Errorf("got error %v, want context canceled", err)
	}
}

// threat 19: a server that sends a byte now and then has 10 s in all, across
// redirects. The clock is synctest's.
func TestGetTotalTime(t *testing.T) {
	for _, redirects := range []int{0, 2} {
		synctest.Test(t, func(t *testing.T) {
			c, err := NewClient(Options{})
			if err != nil {
				t.Fatal(err)
			}
			defer c.Close()
			var servers sync.WaitGroup
			left := redirects
			c.transport.DialContext = func(context.Context, string, string) (net.Conn, error) {
				client, server := net.Pipe()
				servers.Go(func() {
					defer server.Close()
					in := bufio.NewReader(server)
					if _, err := http.ReadRequest(in); err != nil {
						return
					}
					if left--; left >= 0 {
						wait(4 * time.Second)
						io.WriteString(server, "HTTP/1.1 302 Found\r\nLocation: /\r\nConnection: close\r\nContent-Length: 0\r\n\r\n")
						return
					}
					io.WriteString(server, "HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\n")
					for {
						if _, err := server.Write([]byte{' '}); err != nil {
							return
						}
						wait(time.Second)
					}
				})
				return client, nil
			}
			start := time.Now()
			_, err = c.Get(t.Context(), "http://localhost/", "*/*")
			if !errors.Is(err, context.DeadlineExceeded) || time.Since(start) != callTimeout {
				t.Errorf("%d redirects: got error %v after %v", redirects, err, time.Since(start))
			}
			servers.Wait()
		})
	}
}

// wait lets the clock of a synctest bubble move on.
func wait(d time.Duration) { <-time.After(d) }

func TestGetFreshness(t *testing.T) {
	s := serve(t, func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Cache-Control", "public, max-age=600")
		w.Header().Set("Age", "100")
	})
	r, err := newClient(t, Options{}).Get(t.Context(), s.URL, "*/*")
	if err != nil || !r.HasMaxAge || r.MaxAge != 500*time.Second {
		t.Errorf("got %v, %v, %v", r.MaxAge, r.HasMaxAge, err)
	}
}

func TestFreshness(t *testing.T) {
	for _, tc := range []struct {
		control []string
		age     string
		want    time.Duration
		wantHas bool
	}{
		{},
		{control: []string{"public, must-revalidate"}},
		{control: []string{"s-maxage=60"}},
		{control: []string{"x-max-age=60"}},
		{control: []string{`private="a, max-age=60"`}},
		{control: []string{`private="\", max-age=60"`}},
		{control: []string{"max-age=60"}, want: time.Minute, wantHas: true},
		{control: []string{"public,MAX-AGE=60 , must-revalidate"}, want: time.Minute, wantHas: true},
		{control: []string{`max-age="60"`}, want: time.Minute, wantHas: true},
		{control: []string{"public", "max-age=60"}, want: time.Minute, wantHas: true},
		{control: []string{"max-age=60, max-age=60"}, want: time.Minute, wantHas: true},
		{control: []string{"max-age=99999999999999999999"}, want: maxDelta * time.Second, wantHas: true},
		{control: []string{"max-age=60"}, age: "20", want: 40 * time.Second, wantHas: true},
		{control: []string{"max-age=60"}, age: "90", wantHas: true},
		{control: []string{"max-age=60"}, age: "-20", want: time.Minute, wantHas: true},
		{control: []string{"max-age=60"}, age: "soon", want: time.Minute, wantHas: true},
		// Unreadable or contradictory is stale.
		{control: []string{"max-age"}, wantHas: true},
		{control: []string{"max-age="}, wantHas: true},
		{control: []string{"max-age=-1"}, wantHas: true},
		{control: []string{"max-age=+60"}, wantHas: true},
		{control: []string{"max-age=1e9"}, wantHas: true},
		{control: []string{"max-age=60.5"}, wantHas: true},
		{control: []string{"max-age=60, max-age=90"}, wantHas: true},
		{control: []string{"max-age=60, no-store"}, wantHas: true},
		{control: []string{"no-cache"}, wantHas: true},
		{control: []string{"No-Store"}, wantHas: true},
	} {
		h := http.Header{"Cache-Control": tc.control}
		if tc.age != "" {
			h.Set("Age", tc.age)
		}
		got, has := freshness(h)
		if got != tc.want || has != tc.wantHas {
			t.Errorf("%q, age %q: got %v, %v, want %v, %v", tc.control, tc.age, got, has, tc.want, tc.wantHas)
		}
	}
}

// threat 20
func TestCheckURL(t *testing.T) {
	for _, tc := range []struct {
		raw          string
		insecureHTTP bool
		wantErr      string // empty: accepted
	}{
		{raw: "https://idp.example"},
		{raw: "HTTPS://IDP.example:8443/realms/x/?a=b"},
		{raw: "https://[2001:db8::1]:8443/jwks"},
		{raw: "https://idp.example/@x"},
		{raw: "http://idp.example", wantErr: `"http://idp.example": must be https`},
		{raw: "http://idp.example", insecureHTTP: true},
		{raw: "http://localhost:8080/x"},
		{raw: "http://LOCALHOST/x"},
		{raw: "http://idp.localhost/x"},
		{raw: "http://localhost./x"},
		{raw: "http://127.0.0.1/x"},
		{raw: "http://127.255.0.9:1/x"},
		{raw: "http://[::1]:9/x"},
		{raw: "http://[::ffff:127.0.0.1]/x"},
		{raw: "http://xlocalhost/x", wantErr: "must be https"},
		{raw: "http://localhost.example/x", wantErr: "must be https"},
		{raw: "http://127.0.0.1.example/x", wantErr: "must be https"},
		{raw: "http://128.0.0.1/x", wantErr: "must be https"},
		{raw: "http://169.254.169.254/x", wantErr: "must be https"},
		{raw: "http://[::2]/x", wantErr: "must be https"},
		{raw: "http://0.0.0.0/x", wantErr: "must be https"},
		{raw: "", wantErr: "absolute https URL"},
		{raw: "idp.example", wantErr: "absolute https URL"},
		{raw: "//idp.example/x", wantErr: "absolute https URL"},
		{raw: "/jwks", wantErr: "absolute https URL"},
		{raw: "file:///etc/passwd", insecureHTTP: true, wantErr: "absolute https URL"},
		{raw: "javascript:alert(1)", insecureHTTP: true, wantErr: "absolute https URL"},
		{raw: "ftp://idp.example/", insecureHTTP: true, wantErr: "absolute https URL"},
		{raw: "https:idp.example", wantErr: "has no host"},
		{raw: "https:///jwks", wantErr: "has no host"},
		{raw: "https://:8443/jwks", wantErr: "has no host"},
		{raw: "https://ann:hunter2@idp.example/x?secret=1", wantErr: `"https://...@idp.example/x": must not hold a user name`},
		{raw: "https://ann@idp.example/", wantErr: "must not hold a user name"},
		{raw: "https://idp.example/x#y", wantErr: "must not have a fragment"},
		{raw: "https://idp.example/x#", wantErr: "must not have a fragment"},
		{raw: "http://idp.example/x?secret=1", wantErr: `"http://idp.example/x": must be https`},
		{raw: "https://idp.example:port/x?secret=1", wantErr: `"https://idp.example:port/x": not a valid URL`},
		{raw: "https://ann:hunter2?secret=1@idp.example/", wantErr: `"https://...@idp.example/": not a valid URL`},
		{raw: "https://idp.example:port/x", wantErr: "invalid port"},
		{raw: `https://idp.example\x`, wantErr: "invalid character"},
		{raw: "https://idp.example/\x7f", wantErr: "invalid control character"},
		{raw: " https://idp.example/", wantErr: "URL"},
	} {
		u, err := CheckURL(tc.raw, tc.insecureHTTP)
		if tc.wantErr == "" {
			if err != nil || u == nil {
				t.Errorf("%s: got %v, %v", tc.raw, u, err)
			}
			continue
		}
		if err == nil || u != nil || !strings.HasPrefix(err.Error(), "outbound: ") || !strings.Contains(err.Error(), tc.wantErr) {
			t.Errorf("%s: got %v, %v, want an error containing %q", tc.raw, u, err, tc.wantErr)
			continue
		}
		if strings.Contains(err.Error(), "hunter2") || strings.Contains(err.Error(), "secret") {
			t.Errorf("%s: error %q shows a password or a query", tc.raw, err)
		}
	}
}

// Whatever is asked for, a query stays out of errors, and what passes is a URL
// that may be called.
func FuzzCheckURL(f *testing.F) {
	f.Add("https://idp.example/x?y=z")
	f.Add("http://127.0.0.1:1/")
	f.Add("https://ann:hunter2@idp.example/#x")
	f.Fuzz(func(t *testing.T, raw string) {
		u, err := CheckURL(raw, false)
		if err != nil {
			if strings.Contains(err.Error(), "?") {
				t.Errorf("error %q shows the query", err)
			}
			return
		}
		if u.User != nil || u.Fragment != "" || u.Hostname() == "" || u.Scheme != "https" && !loopback(u.Hostname()) {
			t.Errorf("accepted %q", raw)
		}
	})
}
