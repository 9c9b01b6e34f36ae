// Command bench compares a gate with Caddy without one, on this machine:
//
//	go run ./bench [-rounds 5] [-seconds 2] [-cases "one token;no credential"]
//
// Both are the same program, built from this checkout, with and without a gate in
// their Caddyfile, and they answer the same requests. In each round the gate is
// measured between two runs of Caddy without it; what is printed are medians over
// rounds of the ratio to the mean of these two: absolute figures say more about the
// machine than about the gate. The server has one core, the client another.
package main

import (
	"errors"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"syscall"
	"time"
)

func main() {
	rounds := flag.Int("rounds", 5, "rounds of each case")
	seconds := flag.Int("seconds", 2, "seconds of each run")
	cases := flag.String("cases", "", "names of cases, separated by semicolons; default: all")
	caddy := flag.String("caddy", "", "a caddy with the plugin; default: built from this checkout")
	flag.Parse()
	if pinned() && os.Getenv("BENCH_PINNED") == "" {
		os.Exit(again())
	}
	if err := run(*rounds, time.Duration(*seconds)*time.Second, *cases, *caddy); err != nil {
		fmt.Fprintln(os.Stderr, "bench:", err)
		os.Exit(1)
	}
}

// pinned reports whether server and client can have a core each.
func pinned() bool {
	_, err := exec.LookPath("taskset")
	return err == nil && (runtime.NumCPU() > 1 || os.Getenv("BENCH_PINNED") != "")
}

// again runs this program on the second core.
func again() int {
	cmd := exec.Command("taskset", append([]string{"-c", "1"}, os.Args...)...)
	cmd.Env = append(os.Environ(), "BENCH_PINNED=1")
	cmd.Stdin, cmd.Stdout, cmd.Stderr = os.Stdin, os.Stdout, os.Stderr
	err := cmd.Run()
	var ended *exec.ExitError
	if errors.As(err, &ended) {
		if status, ok := ended.Sys().(syscall.WaitStatus); ok {
			return status.ExitStatus()
		}
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "bench:", err)
		return 1
	}
	return 0
}

func run(rounds int, lasts time.Duration, chosen, caddy string) error {
	folder, err := os.MkdirTemp("", "admit-bench")
	if err != nil {
		return err
	}
	defer os.RemoveAll(folder)
	if caddy == "" {
		caddy = filepath.Join(folder, "caddy-build") // "caddy" is the folder of its storage
		build := exec.Command("go", "build", "-o", caddy, "./cmd/caddy")
		build.Stderr = os.Stderr
		if err := build.Run(); err != nil {
			return fmt.Errorf("building Caddy: %w", err)
		}
	}
	signers, err := newSigners(folder)
	if err != nil {
		return err
	}
	upstream, err := serveUpstream()
	if err != nil {
		return err
	}
	idp, err := serveProvider(signers["RS256"])
	if err != nil {
		return err
	}
	b := &bench{caddy: caddy, folder: folder, upstream: upstream, rounds: rounds, lasts: lasts}
	fmt.Println("| case | requests/s, ratio | CPU per request, ratio | spread | p99 at 2,000/s, ratio | memory |")
	fmt.Println("| --- | --- | --- | --- | --- | --- |")
	for _, s := range scenarios(folder, signers, idp) {
		if chosen != "" && !slices.Contains(strings.Split(chosen, ";"), s.name) {
			continue
		}
		if err := b.compare(s); err != nil {
			return fmt.Errorf("%s: %w", s.name, err)
		}
	}
	return nil
}

// bench is what all cases have in common.
type bench struct {
	caddy, folder, upstream string
	rounds                  int
	lasts                   time.Duration
}

// compare measures one case and prints its row.
func (b *bench) compare(s scenario) error {
	gate, err := start(b.caddy, b.folder, "gate", s.caddyfile, b.upstream)
	if err != nil {
		return err
	}
	defer gate.stop()
	bare, err := start(b.caddy, b.folder, "bare", s.bare, b.upstream)
	if err != nil {
		return err
	}
	defer bare.stop()
	if s.prepare != nil {
		if s.requests, err = s.prepare(gate.address); err != nil {
			return err
		}
	}
	// Both get to know the requests first: what is kept is kept by then.
	if _, _, err := b.measure(gate, s, s.want); err != nil {
		return err
	}
	var rates, costs, lates []float64
	for range b.rounds {
		rate, cost, err := b.round(gate, bare, s)
		if err != nil {
			return err
		}
		rates, costs = append(rates, rate), append(costs, cost)
		late, err := b.latency(gate, bare, s)
		if err != nil {
			return err
		}
		lates = append(lates, late)
	}
	memory, err := gate.memory()
	if err != nil {
		return err
	}
	slices.Sort(rates)
	slices.Sort(costs)
	slices.Sort(lates)
	fmt.Printf("| %s | %.2f | ×%.2f | %.2f–%.2f | ×%.2f | %d MiB |\n", s.name, rates[len(rates)/2], costs[len(costs)/2],
		rates[0], rates[len(rates)-1], lates[len(lates)/2], memory>>20)
	return nil
}

// round measures the gate between two runs without it.
func (b *bench) round(gate, bare *server, s scenario) (rate, cost float64, err error) {
	var rates, costs [3]float64
	for i, target := range []*server{bare, gate, bare} {
		want := 200
		if target == gate {
			want = s.want
		}
		if rates[i], costs[i], err = b.measure(target, s, want); err != nil {
			return 0, 0, err
		}
	}
	return rates[1] / ((rates[0] + rates[2]) / 2), costs[1] / ((costs[0] + costs[2]) / 2), nil
}

// measure returns requests per second, and seconds of processor time per request.
func (b *bench) measure(target *server, s scenario, want int) (rate, cost float64, err error) {
	before, err := target.cpu()
	if err != nil {
		return 0, 0, err
	}
	o, err := flood(target.address, s.requests, want, b.lasts)
	if err != nil {
		return 0, 0, err
	}
	after, err := target.cpu()
	if err == nil && o.wrong > 0 {
		err = fmt.Errorf("%d of %d answers have another status than %d", o.wrong, o.requests, want)
	}
	return o.rate(), (after - before).Seconds() / float64(o.requests), err
}

// latency returns the ratio of the times that one request of a hundred exceeds.
func (b *bench) latency(gate, bare *server, s scenario) (float64, error) {
	without, err := pace(bare.address, s.requests, 200, 2000, b.lasts)
	if err != nil {
		return 0, err
	}
	with, err := pace(gate.address, s.requests, s.want, 2000, b.lasts)
	return with.p99.Seconds() / without.p99.Seconds(), err
}
