// Demo runs three nodes of Starling, each a process, over a PostgreSQL server of its own in a
// temporary folder, and a probe. `make demo-postgres` calls it. `imapd demo` is the same in one
// process, without PostgreSQL.
package main

import (
	"context"
	"crypto/rand"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	"github.com/starling-mail/starling/e2e/node"
	"github.com/starling-mail/starling/e2e/testhost"
	"github.com/starling-mail/starling/mailstore/postgres/pgtest"
)

const (
	size   = 3
	user   = "alice@localhost"
	prober = "bob@localhost" // the probe's user

	joinTime = 30 * time.Second
	stopTime = 30 * time.Second
)

func main() {
	imapd := flag.String("imapd", "bin/imapd", "the built `program`")
	interval := flag.Duration("interval", 2*time.Second, "pause between the probe's rounds")
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	context.AfterFunc(ctx, stop) // the second one ends us at once, and with us PostgreSQL
	err := run(ctx, *imapd, *interval)
	if err != nil && !errors.Is(err, context.Canceled) {
		fmt.Fprintln(os.Stderr, "demo:", err)
		os.Exit(1)
	}
}

// A demo is what runs.
type demo struct {
	imapd     string
	folder    string
	nodes     []*node.Node
	passwords map[string]string
}

// run runs until ctx ends. What it has started is stopped when it returns, in the
// opposite order.
func run(ctx context.Context, imapd string, interval time.Duration) (err error) {
	if imapd, err = filepath.Abs(imapd); err != nil {
		return err
	}
	folder, err := os.MkdirTemp("", "starling-demo-")
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(folder)) }()
	db, err := pgtest.Start()
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, db.Stop(), db.Close()) }()
	d := &demo{imapd: imapd, folder: folder, passwords: map[string]string{}}
	defer func() { err = errors.Join(err, d.stop()) }()
	if err := d.start(ctx, db.URL("postgres")); err != nil {
		return err
	}
	for _, name := range []string{user, prober} {
		d.passwords[name] = strings.ToLower(rand.Text()[:12])
		if err := d.nodes[0].AddUser(ctx, name, d.passwords[name]); err != nil {
			return err
		}
	}
	if err := d.awaitStreams(ctx); err != nil {
		return err
	}
	d.introduce(os.Stdout, db.Addr())
	return d.probe(ctx, interval)
}

// start starts the nodes.
func (d *demo) start(ctx context.Context, dsn string) error {
	key, err := exec.CommandContext(ctx, d.imapd, "cluster", "keys", "new").Output()
	if err != nil {
		return err
	}
	keys := filepath.Join(d.folder, "cluster.keys")
	if err := os.WriteFile(keys, key, 0o600); err != nil {
		return err
	}
	var gossip []string
	for range size {
		addr, err := testhost.FreeAddr()
		if err != nil {
			return err
		}
		gossip = append(gossip, addr)
	}
	for i := range size {
		stream, err := testhost.FreeAddr()
		if err != nil {
			return err
		}
		folder := filepath.Join(d.folder, fmt.Sprint("n", i+1))
		if err := os.Mkdir(folder, 0o700); err != nil {
			return err
		}
		n, err := node.New(d.imapd, folder, node.Settings{
			"server": {"log_level": "error"},
			"auth":   {"default_domain": "localhost"},
			"imap":   {"plaintext_auth": "loopback", "max_connections": 500},
			"store":  {"kind": "postgres", "postgres": map[string]any{"dsn": dsn, "blobs": filepath.Join(d.folder, "blobs")}},
			"cluster": {
				"enabled": true, "name": fmt.Sprint("n", i+1), "keys_file": keys, "gossip": gossip[i], "stream": stream,
				"join": gossip, "profile": "local",
			},
		})
		if err != nil {
			return err
		}
		d.nodes = append(d.nodes, n)
		if err := n.Start(ctx); err != nil {
			return err
		}
	}
	return nil
}

// awaitStreams waits until the nodes have streams to and from each other.
func (d *demo) awaitStreams(ctx context.Context) error {
	ctx, cancel := context.WithTimeoutCause(ctx, joinTime, errors.New("the nodes did not find each other in time"))
	defer cancel()
	for _, n := range d.nodes {
		for {
			out, err := n.Run(ctx, "", "cluster", "members")
			if err != nil {
				return err
			}
			if strings.Count(out, "out+in") == size-1 {
				break
			}
			select {
			case <-time.After(100 * time.Millisecond):
			case <-ctx.Done():
				return context.Cause(ctx)
			}
		}
	}
	return nil
}

// introduce says where the nodes are.
func (d *demo) introduce(w io.Writer, db string) {
	fmt.Fprintf(w, "\nThree nodes of Starling are running, each a process, over PostgreSQL on %s:\n\n", db)
	fmt.Fprint(w, "  NODE  HOSTNAME   SSL/TLS  STARTTLS  LMTP   PROCESS\n")
	port := func(addr string) string { return addr[strings.LastIndexByte(addr, ':')+1:] }
	for i, n := range d.nodes {
		fmt.Fprintf(w, "  n%d    127.0.0.1  %-7s  %-8s  %-5s  %d\n", i+1, port(n.IMAPS), port(n.IMAP), port(n.LMTP), n.PID())
	}
	fmt.Fprintf(w, `
In Thunderbird: New Account > Email, then Configure manually: IMAP, hostname and a port
from the table, SSL/TLS (accept the self-signed certificate), Normal password, username
%s, password %s. Deliver a message on node 3, and look at the cluster from
node 2, in another terminal:

  printf 'Subject: Hello\n\nIt works.\n' | %[3]s deliver %[1]s -c %[4]s
  %[3]s cluster members -c %[5]s

Meanwhile a probe, logged in on each node as %[6]s, appends, flags and expunges a
message on one node and waits until another one tells. n1>n2 is a change on n1 that n2
tells, the slowest of the three. Ctrl-C stops everything.

`, user, d.passwords[user], d.imapd, d.nodes[2].ConfigFile, d.nodes[1].ConfigFile, prober)
}

// probe runs "imapd probe" until ctx ends.
func (d *demo) probe(ctx context.Context, interval time.Duration) error {
	args := []string{"probe", "--user", prober, "--count", "0", "--verbose", "--interval", interval.String(), "--max-latency", "10s"}
	for i, n := range d.nodes {
		args = append(args, "--node", fmt.Sprintf("n%d=plain://%s", i+1, n.IMAP))
	}
	cmd := exec.CommandContext(ctx, d.imapd, args...)
	cmd.Env = append(os.Environ(), "IMAPD_PROBE_PASSWORD="+d.passwords[prober])
	cmd.Stdout, cmd.Stderr = os.Stdout, os.Stderr
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true} // a terminal's Ctrl-C comes to us alone
	cmd.Cancel = func() error { return cmd.Process.Signal(os.Interrupt) }
	cmd.WaitDelay = stopTime
	return cmd.Run()
}

// stop stops the nodes one after the other, the last first.
func (d *demo) stop() error {
	var errs []error
	for i := len(d.nodes) - 1; i >= 0; i-- {
		errs = append(errs, d.nodes[i].Close())
	}
	return errors.Join(errs...)
}
