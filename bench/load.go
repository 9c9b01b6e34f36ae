package main

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"net/http"
	"slices"
	"sync"
	"sync/atomic"
	"time"
)

// connections is how many clients ask at the same time, each on a connection that
// it keeps.
const connections = 32

// outcome is what came of a load.
type outcome struct {
	requests int
	took     time.Duration
	wrong    int // answers with another status than the one expected
	p50, p99 time.Duration
}

func (o *outcome) rate() float64 { return float64(o.requests) / o.took.Seconds() }

// client sends requests that were written down before, and reads answers only as far
// as is needed to find the next one: it should cost less than the server.
type client struct {
	conn net.Conn
	in   *bufio.Reader
}

func dial(address string) (*client, error) {
	conn, err := net.Dial("tcp", address)
	if err != nil {
		return nil, err
	}
	return &client{conn, bufio.NewReaderSize(conn, 16<<10)}, nil
}

// ask sends one request and returns the status of its answer.
func (c *client) ask(request []byte) (status int, err error) {
	if _, err := c.conn.Write(request); err != nil {
		return 0, err
	}
	length := 0
	for first := true; ; first = false {
		line, err := c.in.ReadSlice('\n')
		if err != nil {
			return 0, err
		}
		switch {
		case first:
			if len(line) < 12 {
				return 0, fmt.Errorf("not a status line: %q", line)
			}
			status = int(line[9]-'0')*100 + int(line[10]-'0')*10 + int(line[11]-'0')
		case len(line) <= 2:
			_, err := c.in.Discard(length)
			return status, err
		default:
			length += contentLength(line)
		}
	}
}

// contentLength returns the length that a header line gives, 0 for another line.
func contentLength(line []byte) (n int) {
	const name = "Content-Length: "
	if len(line) < len(name) || string(line[:len(name)]) != name {
		return 0
	}
	for _, c := range line[len(name):] {
		if c < '0' || c > '9' {
			break
		}
		n = n*10 + int(c-'0')
	}
	return n
}

// flood asks as fast as answers come, for a while. Requests are taken in turn.
func flood(address string, requests [][]byte, want int, lasts time.Duration) (outcome, error) {
	var next, done, wrong atomic.Int64
	begin := time.Now()
	end := begin.Add(lasts)
	err := eachClient(address, func(c *client) error {
		for time.Now().Before(end) {
			status, err := c.ask(requests[int(next.Add(1))%len(requests)])
			if err != nil {
				return err
			}
			if status != want {
				wrong.Add(1)
			}
			done.Add(1)
		}
		return nil
	})
	return outcome{requests: int(done.Load()), took: time.Since(begin), wrong: int(wrong.Load())}, err
}

// pace asks so many times a second, whether answers come or not, and measures the
// time from when a request was due: a server that stalls makes all that wait late.
func pace(address string, requests [][]byte, want, perSecond int, lasts time.Duration) (outcome, error) {
	var mu sync.Mutex
	var took []time.Duration
	var next, wrong atomic.Int64
	begin := time.Now()
	total := int64(perSecond) * int64(lasts/time.Second)
	err := eachClient(address, func(c *client) error {
		own := make([]time.Duration, 0, total/connections)
		for n := next.Add(1); n <= total; n = next.Add(1) {
			due := begin.Add(time.Duration(n) * time.Second / time.Duration(perSecond))
			time.Sleep(time.Until(due))
			status, err := c.ask(requests[int(n)%len(requests)])
			if err != nil {
				return err
			}
			if status != want {
				wrong.Add(1)
			}
			own = append(own, time.Since(due))
		}
		mu.Lock()
		defer mu.Unlock()
		took = append(took, own...)
		return nil
	})
	if err != nil {
		return outcome{}, err
	}
	slices.Sort(took)
	return outcome{
		requests: len(took), took: time.Since(begin), wrong: int(wrong.Load()),
		p50: took[len(took)/2], p99: took[len(took)*99/100],
	}, nil
}

// eachClient runs all clients to their end.
func eachClient(address string, run func(*client) error) error {
	errs := make(chan error, connections)
	for range connections {
		go func() {
			c, err := dial(address)
			if err == nil {
				err = run(c)
				c.conn.Close()
			}
			errs <- err
		}()
	}
	var first error
	for range connections {
		if err := <-errs; first == nil {
			first = err
		}
	}
	return first
}

// serveUpstream is the application behind a proxy: it answers the least there is.
func serveUpstream() (address string, err error) {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return "", err
	}
	server := &http.Server{Handler: http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		_, _ = io.WriteString(w, "ok")
	})}
	go func() { _ = server.Serve(listener) }()
	return listener.Addr().String(), nil
}
