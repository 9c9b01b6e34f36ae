package admit

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"sync"
	"testing"
	"time"

	"github.com/caddyserver/caddy/v2"
)

// wires is where servers find the listeners of benchmarks, by host.
var wires sync.Map

func init() {
	caddy.RegisterNetwork("wire", func(_ context.Context, _, host, _ string, _ uint, _ net.ListenConfig) (any, error) {
		l, ok := wires.Load(host)
		if !ok {
			return nil, fmt.Errorf("no wire %s", host)
		}
		return l, nil
	})
}

// serveWire has a Caddyfile served on a connection that is made of memory.
func serveWire(b *testing.B, text string) *wire {
	b.Helper()
	w := &wire{in: make(chan []byte), out: make(chan []byte), interrupt: make(chan struct{}, 1), closed: make(chan struct{})}
	l := &wireListener{conns: make(chan net.Conn, 1), closed: make(chan struct{})}
	l.conns <- w
	wires.Store("bench", l)
	config := adaptTree(b, text)
	quiet(config)
	eachObject(config, func(o map[string]any) {
		if _, ok := o["listen"]; ok {
			o["listen"] = []string{"wire/bench:1"}
		}
	})
	loadTree(b, config)
	return w
}

// wireListener accepts one connection.
type wireListener struct {
	conns  chan net.Conn
	closed chan struct{}
	once   sync.Once
}

func (l *wireListener) Accept() (net.Conn, error) {
	select {
	case c := <-l.conns:
		return c, nil
	case <-l.closed:
		return nil, net.ErrClosed
	}
}

func (l *wireListener) Close() error {
	l.once.Do(func() { close(l.closed) })
	return nil
}

func (l *wireListener) Addr() net.Addr { return &net.TCPAddr{IP: net.IPv4(127, 0, 0, 1), Port: 1} }

// wire is a connection on which one request follows another. An answer is taken to be
// whole as it is written first: those of benchmarks are short.
type wire struct {
	in, out   chan []byte
	rest      []byte        // of the request that is being read
	interrupt chan struct{} // has one once the deadline of a read has passed
	closed    chan struct{}
	once      sync.Once
}

// ask sends a request and returns the answer, which is good until the next one.
func (w *wire) ask(request []byte) []byte {
	w.in <- request
	return <-w.out
}

// Read implements [io.Reader].
func (w *wire) Read(p []byte) (int, error) {
	if len(w.rest) == 0 {
		select {
		case w.rest = <-w.in:
		case <-w.interrupt:
			return 0, os.ErrDeadlineExceeded
		case <-w.closed:
			return 0, net.ErrClosed
		}
	}
	n := copy(p, w.rest)
	w.rest = w.rest[n:]
	return n, nil
}

// Write implements [io.Writer].
func (w *wire) Write(p []byte) (int, error) {
	w.out <- p
	return len(p), nil
}

// SetReadDeadline implements [net.Conn]. The server reads ahead while it answers, and
// stops that with a deadline in the past.
func (w *wire) SetReadDeadline(t time.Time) error {
	switch {
	case t.IsZero():
		select {
		case <-w.interrupt:
		default:
		}
	case t.Before(time.Now()):
		select {
		case w.interrupt <- struct{}{}:
		default:
		}
	}
	return nil
}

// Close implements [net.Conn].
func (w *wire) Close() error {
	w.once.Do(func() { close(w.closed) })
	return nil
}

func (w *wire) LocalAddr() net.Addr { return &net.TCPAddr{IP: net.IPv4(127, 0, 0, 1), Port: 1} }

func (w *wire) RemoteAddr() net.Addr             { return &net.TCPAddr{IP: net.IPv4(127, 0, 0, 1), Port: 2} }
func (w *wire) SetDeadline(time.Time) error      { return errors.ErrUnsupported }
func (w *wire) SetWriteDeadline(time.Time) error { return nil }
