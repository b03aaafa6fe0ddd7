// Nodes measures what a change takes from the node where it is made to clients of other nodes: whole nodes as processes of their own over a
// throw-away PostgreSQL, and bench/imapload for clients. See docs/performance.md.
package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"syscall"
	"text/tabwriter"
	"time"
)

type options struct {
	imapd    string
	nodes    int
	sessions int
	rounds   int
	rate     int
	t        time.Duration
	codec    string
	mode     string
	lanes    string
}

func main() {
	var o options
	flag.StringVar(&o.imapd, "imapd", "bin/imapd", "`binary` of Starling")
	flag.IntVar(&o.nodes, "nodes", 3, "nodes")
	flag.IntVar(&o.sessions, "sessions", 5000, "sessions that one APPEND is told to, on all nodes together")
	flag.IntVar(&o.rounds, "rounds", 10, "number of those APPENDs")
	flag.IntVar(&o.rate, "rate", 1000, "changes a second, besides those that are measured; 0: such a measurement is left out")
	flag.DurationVar(&o.t, "t", 10*time.Second, "length of each measurement of latency")
	flag.StringVar(&o.codec, "codec", "msgpack", "cluster.codec")
	flag.StringVar(&o.mode, "mode", "broadcast", "cluster.mode")
	flag.StringVar(&o.lanes, "lanes", "streams,broadcast", "cluster.lanes, with commas")
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	if err := run(ctx, o); err != nil {
		stop()
		fmt.Fprintln(os.Stderr, "nodes:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context, o options) (err error) {
	c, err := start(ctx, o)
	if err != nil {
		return err
	}
	defer func() {
		if e := c.close(); err == nil {
			err = e
		}
	}()
	imapload := filepath.Join(c.dir, "imapload")
	if out, err := exec.CommandContext(ctx, "go", "build", "-o", imapload, "./bench/imapload").CombinedOutput(); err != nil {
		return fmt.Errorf("build imapload: %w\n%s", err, out)
	}
	load := func(ctx context.Context, args ...string) (report, error) {
		common := []string{args[0], "-addr", strings.Join(c.addrs(), ","), "-pass", password, "-pids", c.pids(), "-json"}
		return runLoad(ctx, imapload, append(common, args[1:]...))
	}
	version, err := exec.CommandContext(ctx, o.imapd, "version").Output()
	if err != nil {
		return fmt.Errorf("imapd version: %w", err)
	}
	fmt.Printf("%s. %d cores, %s. %d nodes, %s, %s, %s.\n", strings.TrimSpace(string(version)), runtime.NumCPU(), runtime.Version(), o.nodes, o.mode, o.lanes, o.codec)
	w := tabwriter.NewWriter(os.Stdout, 0, 0, 2, ' ', 0)
	fmt.Fprintln(w, "figure\tp50 ms\tp99 ms\tmax ms\tlost\tothers' cores")
	if err := latencies(ctx, o, w, load); err != nil {
		return err
	}
	if err := w.Flush(); err != nil {
		return err
	}
	return fanout(ctx, o, load)
}

// A loader runs imapload with the nodes' addresses and returns its report.
type loader func(ctx context.Context, args ...string) (report, error)

// latencies measures the time from the OK that a writer on the first node gets to the response that clients of the others get.
func latencies(ctx context.Context, o options, w *tabwriter.Writer, load loader) error {
	others := func(rate int, t time.Duration) []string {
		return []string{"mix", "-op", "store", "-mailbox", "other", "-fill", "100", "-user", otherPattern, "-users", strconv.Itoa(others),
			"-n", strconv.Itoa(others), "-rate", strconv.Itoa(rate), "-t", t.String()}
	}
	if err := latency(ctx, o, w, load, 0); err != nil || o.rate == 0 {
		return err
	}
	if _, err := load(ctx, others(o.rate, time.Millisecond)...); err != nil { // fills their mailboxes
		return err
	}
	ctx, stop := context.WithCancel(ctx)
	defer stop()
	type result struct {
		report
		error
	}
	done := make(chan result, 1)
	go func() {
		// As long as two measurements take, with their beginnings.
		r, err := load(ctx, others(o.rate, 2*(o.t+2*time.Second))...)
		done <- result{r, err}
	}()
	err := latency(ctx, o, w, load, o.rate)
	if err != nil {
		stop()
	}
	did := <-done
	if err := errors.Join(err, did.error); err != nil {
		return err
	}
	fmt.Fprintf(w, "(other changes: %.0f/s)\n", did.number("ops_per_s"))
	return nil
}

// latency is latencies at one rate of other changes, which is for the table.
func latency(ctx context.Context, o options, w *tabwriter.Writer, load loader, rate int) error {
	for _, op := range []struct{ name, what string }{{"store", "STORE -> FETCH"}, {"append", "APPEND -> EXISTS"}} {
		r, err := load(ctx, "latency", "-op", op.name, "-closed", "-n", "10", "-every", "50ms", "-t", o.t.String(), "-mailbox", op.name, "-user", userPattern)
		if err != nil {
			return err
		}
		fmt.Fprintf(w, "%s, %d other changes/s\t%.3f\t%.3f\t%.3f\t%.0f\t%.2f\n", op.what, rate, r.number("from_ok_ms_p50"), r.number("from_ok_ms_p99"),
			r.number("from_ok_ms_max"), r.number("missed"), r.number("others_cores"))
	}
	return nil
}

// fanout measures how long it takes until the last of many sessions has been told of one message.
func fanout(ctx context.Context, o options, load loader) error {
	r, err := load(ctx, "fanout", "-n", strconv.Itoa(o.sessions), "-rounds", strconv.Itoa(o.rounds), "-mailbox", "fanout", "-user", userPattern, "-settle", "5s")
	if err != nil {
		return err
	}
	fmt.Printf("one APPEND to %d sessions, ms from its sending: OK %.1f, first %.1f, half of them %.1f, last %.1f (medians of %d), worst last %.1f; %.0f not told\n", o.sessions,
		r.number("append_ok_ms"), r.number("first_ms"), r.number("median_ms"), r.number("last_ms"), o.rounds, r.number("worst_last_ms"), r.number("missed"))
	return nil
}

// A report is what imapload prints.
type report map[string]any

func (r report) number(key string) float64 {
	f, _ := r[key].(float64)
	return f
}

func runLoad(ctx context.Context, imapload string, args []string) (report, error) {
	cmd := exec.CommandContext(ctx, imapload, args...)
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	if err != nil {
		return nil, fmt.Errorf("imapload %s: %w: %s", args[0], err, bytes.TrimSpace(stderr.Bytes()))
	}
	lines := bytes.Split(bytes.TrimSpace(out), []byte("\n"))
	var r report
	if err := json.Unmarshal(lines[len(lines)-1], &r); err != nil {
		return nil, fmt.Errorf("imapload %s: report: %w", args[0], err)
	}
	if fault, _ := r["first_error"].(string); fault != "" {
		return nil, fmt.Errorf("imapload %s: %s", args[0], fault)
	}
	return r, nil
}
