// Package outbound makes the calls to issuers: bounded in time and size, never
// led to another host, and fetched once for all who wait.
//
// Its errors name the host and the cause. They hold no query and no part of a
// response, since they reach logs and error pages.
package outbound

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/netip"
	"net/textproto"
	"net/url"
	"strings"
	"time"
)

const (
	maxBody      = 1 << 20  // bytes, after decompression
	maxHeader    = 64 << 10 // bytes of response headers
	maxRedirects = 3
	callTimeout  = 10 * time.Second
	// maxConns is how many connections there are to one host: anybody can begin a login
	// and bring back a code that is none, which costs a call. More calls wait.
	maxConns = 64
)

// Options configure a [Client].
type Options struct {
	// CAs holds extra root certificates in PEM; the system's stay trusted.
	CAs []byte
	// InsecureHTTP permits plain http to hosts other than loopback.
	InsecureHTTP bool
}

// Client fetches documents, and asks endpoints that want a secret or a token. It
// keeps no cookies. It is safe for concurrent use.
type Client struct {
	transport    *http.Transport
	insecureHTTP bool
}

// Response is a document and how long its server calls it fresh.
type Response struct {
	Body []byte
	// MaxAge is the freshness lifetime left according to Cache-Control (RFC 9111
	// section 4.2.1), valid if HasMaxAge is set. It is zero for no-store, no-cache
	// and a max-age that cannot be read.
	MaxAge    time.Duration
	HasMaxAge bool
}

// NewClient returns a client for one issuer. It makes no call. It returns an
// error if CAs holds no certificate.
func NewClient(o Options) (*Client, error) {
	config := &tls.Config{MinVersion: tls.VersionTLS12}
	if len(o.CAs) > 0 {
		roots, err := x509.SystemCertPool()
		if err != nil {
			return nil, fmt.Errorf("outbound: system certificates: %w", err)
		}
		if !roots.AppendCertsFromPEM(o.CAs) {
			return nil, errors.New("outbound: extra roots: no PEM certificate found")
		}
		config.RootCAs = roots
	}
	return &Client{
		transport: &http.Transport{
			Proxy:                  http.ProxyFromEnvironment,
			DialContext:            (&net.Dialer{Timeout: callTimeout}).DialContext,
			TLSClientConfig:        config,
			TLSHandshakeTimeout:    callTimeout,
			ForceAttemptHTTP2:      true,
			MaxIdleConnsPerHost:    1,
			MaxConnsPerHost:        maxConns,
			IdleConnTimeout:        90 * time.Second,
			MaxResponseHeaderBytes: maxHeader,
		},
		insecureHTTP: o.InsecureHTTP,
	}, nil
}

// Close closes idle connections. A call that is running goes on.
func (c *Client) Close() { c.transport.CloseIdleConnections() }

// Get fetches the document at rawURL, which must pass [CheckURL]. It takes at
// most 10 s in all and 1 MiB of body after decompression, and follows at most
// three redirects, none of them to another scheme, host or port. A status other
// than 200 is an error.
func (c *Client) Get(ctx context.Context, rawURL, accept string) (Response, error) {
	u, err := CheckURL(rawURL, c.insecureHTTP)
	if err != nil {
		return Response{}, err
	}
	ctx, cancel := context.WithTimeout(ctx, callTimeout)
	defer cancel()

	r, err := c.get(ctx, u, accept)
	if err != nil {
		return Response{}, fmt.Errorf("outbound: %s: %w", u.Host, err)
	}
	return r, nil
}

func (c *Client) get(ctx context.Context, u *url.URL, accept string) (Response, error) {
	for range 1 + maxRedirects {
		resp, err := c.roundTrip(ctx, u, accept)
		if err != nil {
			return Response{}, cause(ctx, err)
		}
		switch resp.StatusCode {
		case http.StatusOK:
			r, err := read(resp)
			if err != nil {
				return Response{}, cause(ctx, err)
			}
			return r, nil
		case http.StatusMovedPermanently, http.StatusFound, http.StatusSeeOther,
			http.StatusTemporaryRedirect, http.StatusPermanentRedirect:
			resp.Body.Close()
			if u, err = redirected(u, resp.Header.Get("Location")); err != nil {
				return Response{}, err
			}
		default:
			resp.Body.Close()
			return Response{}, fmt.Errorf("status %d", resp.StatusCode)
		}
	}
	return Response{}, fmt.Errorf("more than %d redirects", maxRedirects)
}

// roundTrip goes to the transport directly. An [http.Client] would add what is
// not wanted here: redirects, a Referer, and whole URLs in its errors.
func (c *Client) roundTrip(ctx context.Context, u *url.URL, accept string) (*http.Response, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, u.String(), nil)
	if err != nil {
		return nil, err
	}
	req.Header.Set("Accept", accept)
	req.Header.Set("User-Agent", "admit")
	return c.transport.RoundTrip(req)
}

// read takes the body. The transport has asked for gzip and undone it already.
func read(resp *http.Response) (Response, error) {
	defer resp.Body.Close()
	if resp.Header.Get("Content-Encoding") != "" {
		return Response{}, errEncoding
	}
	body, err := io.ReadAll(io.LimitReader(resp.Body, maxBody+1))
	if err != nil {
		return Response{}, err
	}
	if len(body) > maxBody {
		return Response{}, errTooLarge
	}
	r := Response{Body: body}
	r.MaxAge, r.HasMaxAge = freshness(resp.Header)
	return r, nil
}

var (
	errEncoding = plainError("content encoding that was not asked for")
	errTooLarge = plainError("document larger than 1 MiB")
)

// plainError is an error whose text holds nothing that a server sent.
type plainError string

func (e plainError) Error() string { return string(e) }

// redirected returns where a redirect leads, if it stays at the same origin.
func redirected(from *url.URL, location string) (*url.URL, error) {
	to, err := from.Parse(location)
	if location == "" || err != nil {
		return nil, errors.New("redirect without a valid location")
	}
	if to.Scheme != from.Scheme || !strings.EqualFold(to.Hostname(), from.Hostname()) || port(to) != port(from) {
		return nil, fmt.Errorf("redirect to another origin %.200q", to.Scheme+"://"+to.Host)
	}
	if to.User != nil {
		return nil, errors.New("redirect with a user name")
	}
	return to, nil
}

func port(u *url.URL) string {
	if p := u.Port(); p != "" || u.Scheme != "https" && u.Scheme != "http" {
		return p
	}
	if u.Scheme == "https" {
		return "443"
	}
	return "80"
}

// cause returns err without what the server may have put into its text. Some
// errors of net/http quote the line that they could not read.
func cause(ctx context.Context, err error) error {
	if ctx.Err() != nil {
		// The transport has several words for it; the context's are known.
		return context.Cause(ctx)
	}
	var (
		own    plainError
		op     *net.OpError
		dns    *net.DNSError
		cert   *tls.CertificateVerificationError
		alert  tls.AlertError
		record tls.RecordHeaderError
		header textproto.ProtocolError
	)
	network := errors.As(err, &op) || errors.As(err, &dns) || errors.As(err, &cert) || errors.As(err, &alert)
	switch {
	case network, errors.As(err, &own), errors.Is(err, io.EOF), errors.Is(err, io.ErrUnexpectedEOF):
		return err
	case errors.As(err, &record):
		return errors.New("no TLS at this port")
	case errors.As(err, &header):
		return errors.New("malformed response header")
	}
	text, _, _ := strings.Cut(err.Error(), `"`) // what follows is quoted from the response
	return fmt.Errorf("%.100s", strings.TrimSpace(text))
}

// CheckURL parses the URL of a call to an issuer. It must be absolute, https,
// with a host and without user name or fragment. Plain http is allowed to
// loopback (localhost, a name below it, 127.0.0.0/8, ::1), or everywhere with
// insecureHTTP. The error shows the URL without its query.
func CheckURL(raw string, insecureHTTP bool) (*url.URL, error) {
	u, err := url.Parse(raw)
	if err != nil {
		return nil, fmt.Errorf("outbound: URL %s: %s", show(raw), parseCause(raw, err))
	}
	fail := func(problem string) (*url.URL, error) {
		return nil, fmt.Errorf("outbound: URL %s: %s", show(raw), problem)
	}
	switch {
	case u.Scheme != "https" && u.Scheme != "http":
		return fail("must be an absolute https URL")
	case u.Hostname() == "":
		return fail("has no host")
	case u.User != nil:
		return fail("must not hold a user name or password")
	case strings.Contains(raw, "#"):
		return fail("must not have a fragment")
	case u.Scheme == "http" && !insecureHTTP && !loopback(u.Hostname()):
		return fail("must be https: plain http is for loopback only, unless insecure_http is set")
	}
	return u, nil
}

// show quotes a URL for an error text, without query and credentials. Where the
// credentials end is not certain in a broken URL, so all before an "@" goes.
func show(raw string) string {
	if i := strings.LastIndexByte(raw, '@'); i >= 0 {
		scheme, _, found := strings.Cut(raw, "://")
		if !found || strings.Contains(scheme, "@") {
			scheme = ""
		}
		raw = scheme + "://..." + raw[i:]
	}
	if i := strings.IndexAny(raw, "?#"); i >= 0 {
		raw = raw[:i]
	}
	return fmt.Sprintf("%.200q", raw)
}

// parseCause says what is wrong with a URL. The parser's words may quote a part
// of it, which could be a password where there is an "@", or a query.
func parseCause(raw string, err error) string {
	var e *url.Error
	if strings.ContainsAny(raw, "@?") || !errors.As(err, &e) {
		return "not a valid URL"
	}
	return fmt.Sprintf("%.200s", e.Err.Error())
}

func loopback(host string) bool {
	host = strings.ToLower(strings.TrimSuffix(host, "."))
	if host == "localhost" || strings.HasSuffix(host, ".localhost") {
		return true
	}
	addr, err := netip.ParseAddr(host)
	return err == nil && addr.Unmap().IsLoopback()
}
