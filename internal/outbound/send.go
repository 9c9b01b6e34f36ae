package outbound

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"net/http"
)

// Send makes one call that carries a secret or a token. The URL must pass
// [CheckURL]. The call takes at most 10 s in all, and the answer, whatever its
// status, comes with its whole body of at most 1 MiB. A redirect is an error: what
// the call carries is for the one it was sent to (threat 24).
func (c *Client) Send(req *http.Request) (*http.Response, error) {
	u, err := CheckURL(req.URL.String(), c.insecureHTTP)
	if err != nil {
		return nil, err
	}
	ctx, cancel := context.WithTimeout(req.Context(), callTimeout)
	defer cancel()
	resp, err := c.send(req.Clone(ctx))
	if err != nil {
		return nil, fmt.Errorf("outbound: %s: %w", u.Host, cause(ctx, err))
	}
	return resp, nil
}

func (c *Client) send(req *http.Request) (*http.Response, error) {
	req.Header.Set("User-Agent", "admit")
	resp, err := c.transport.RoundTrip(req)
	if err != nil {
		return nil, err
	}
	if resp.StatusCode >= 300 && resp.StatusCode < 400 {
		resp.Body.Close()
		return nil, errRedirect
	}
	r, err := read(resp)
	if err != nil {
		return nil, err
	}
	resp.Body = io.NopCloser(bytes.NewReader(r.Body))
	return resp, nil
}

const errRedirect = plainError("redirect, which is not followed")

// HTTPClient returns a client for libraries that want one. It makes its calls with
// [Client.Send] and asks for accept. As usual, the errors of Send come inside a
// [net/url.Error], whose own text holds the whole URL.
func (c *Client) HTTPClient(accept string) *http.Client {
	return &http.Client{Transport: sender{c, accept}}
}

type sender struct {
	client *Client
	accept string
}

func (s sender) RoundTrip(req *http.Request) (*http.Response, error) {
	if req.Body != nil {
		defer req.Body.Close() // also where no call is made
	}
	req = req.Clone(req.Context())
	req.Header.Set("Accept", s.accept)
	return s.client.Send(req)
}
