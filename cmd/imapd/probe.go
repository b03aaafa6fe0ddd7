package main

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
	"time"

	"github.com/spf13/cobra"
	"golang.org/x/term"

	"github.com/starling-mail/starling/probe"
)

// Exit codes of probe, beside 0.
const (
	exitNotTold = 1 // or too late
	exitNoProbe = 2 // as wrong usage: nothing can be said of the nodes
)

// probePassword is the environment's variable for the password.
const probePassword = "IMAPD_PROBE_PASSWORD"

// probeFlags are what the command line says of a probe.
type probeFlags struct {
	nodes              []string
	passwordFile       string
	caFile, serverName string
	json, verbose      bool
}

func (a *app) probeCommand() *cobra.Command {
	o := probe.DefaultOptions()
	var f probeFlags
	cmd := &cobra.Command{
		Use:   "probe --node A --node B --user NAME",
		Short: "Measure how soon one node tells what is changed on another",
		Long: `Log in on two or more IMAP servers that show the same mail, as an ordinary client;
append, flag and expunge a message on one, and wait until another one tells of it, by IDLE,
or by polling (--poll) where the server has no IDLE; in both directions of every
pair. A latency is the time from sending the command until the other node has told.

A node is imaps://host:port (TLS), imap://host:port (STARTTLS, which only a server on
this machine may lack) or plain://host:port (the password goes in the clear). The port may be left out;
a bare host is imaps, or imap if its port is 143. name=imaps://host:port gives it a short name.

All happens in a mailbox of the probe's own, which is deleted at the end. The
password is the first line of --password-file, or of the environment's
` + probePassword + `, or is asked for. Ctrl-C ends the probe with the figures so far.

Exit codes: 0 everything was told in time; 1 something was not told within --wait, or
not within --max-latency; 2 the probe could not be made or could not go on: wrong usage, no
connection, login refused, connection lost.`,
		Example: `  imapd probe --node imap1.example.org --node imap2.example.org --user canary@example.org --password-file /etc/imapd/canary
  imapd probe --node plain://127.0.0.2:1143 --node plain://127.0.0.3:1143 --user alice --count 0 --verbose`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			ctx, stop := signalContext(cmd.Context())
			defer stop()
			if err := a.probeOptions(&o, f); err != nil {
				return &exitError{exitNoProbe, err}
			}
			return a.probe(ctx, o, f)
		},
	}
	flags := cmd.Flags()
	flags.StringArrayVar(&f.nodes, "node", nil, "a `server`; give two or more")
	flags.StringVarP(&o.User, "user", "u", "", "login `name`, the same on all nodes")
	flags.StringVar(&f.passwordFile, "password-file", "", "`file` whose first line is the password")
	flags.StringVar(&o.Mailbox, "mailbox", "", "`name` of the mailbox to make; it must not exist (default: a random name)")
	flags.IntVar(&o.Count, "count", o.Count, "rounds; 0: until Ctrl-C")
	flags.DurationVar(&o.Interval, "interval", o.Interval, "pause between rounds")
	flags.DurationVar(&o.Timeout, "timeout", o.Timeout, "for connecting, and for each answer")
	flags.DurationVar(&o.Wait, "wait", o.Wait, "for being told; after that it is missing")
	flags.DurationVar(&o.MaxLatency, "max-latency", o.MaxLatency, "what is told later is late")
	flags.DurationVar(&o.Poll, "poll", o.Poll, "how often to ask a server that has no IDLE")
	flags.StringVar(&f.caFile, "ca", "", "PEM `file` of certificates to trust instead of the system's")
	flags.StringVar(&f.serverName, "server-name", "", "`name` that the certificates must have, instead of each node's own")
	flags.BoolVar(&f.json, "json", false, "print one JSON object at the end")
	flags.BoolVarP(&f.verbose, "verbose", "v", false, "print a line for each round: the slowest change of each pair")
	return cmd
}

// probeOptions completes the options by the flags.
func (a *app) probeOptions(o *probe.Options, f probeFlags) error {
	if len(f.nodes) < 2 || o.User == "" {
		return errors.New("give --node twice or more, and --user")
	}
	if o.Count < 0 || o.Interval < 0 || min(o.Timeout, o.Wait, o.MaxLatency, o.Poll) <= 0 {
		return errors.New("--count and --interval must not be negative, and the other times must be more than 0")
	}
	for _, s := range f.nodes {
		n, err := probe.ParseNode(s)
		if err != nil {
			return fmt.Errorf("--node %w", err)
		}
		o.Nodes = append(o.Nodes, n)
	}
	o.TLS = &tls.Config{ServerName: f.serverName}
	if f.caFile != "" {
		pem, err := os.ReadFile(f.caFile)
		if err != nil {
			return fmt.Errorf("--ca: %w", err)
		}
		o.TLS.RootCAs = x509.NewCertPool()
		if !o.TLS.RootCAs.AppendCertsFromPEM(pem) {
			return fmt.Errorf("--ca: no certificate in %s", f.caFile)
		}
	}
	var err error
	o.Password, err = a.probePassword(f.passwordFile)
	return err
}

// probePassword gets the password from where it comes. It is no argument: those
// can be seen by everybody on the machine.
func (a *app) probePassword(file string) (string, error) {
	if file != "" {
		b, err := os.ReadFile(file)
		if err != nil {
			return "", fmt.Errorf("--password-file: %w", err)
		}
		line, _, _ := strings.Cut(string(b), "\n")
		return strings.TrimSuffix(line, "\r"), nil
	}
	if p, ok := os.LookupEnv(probePassword); ok {
		return p, nil
	}
	in, ok := a.stdin.(*os.File)
	if !ok || !term.IsTerminal(int(in.Fd())) {
		return "", errors.New("there is no terminal to ask for a password: use --password-file or " + probePassword)
	}
	fmt.Fprint(a.stderr, "Password: ")
	defer fmt.Fprintln(a.stderr)
	b, err := term.ReadPassword(int(in.Fd()))
	return string(b), err
}

// probe probes and prints what it has found.
func (a *app) probe(ctx context.Context, o probe.Options, f probeFlags) error {
	failures := []probeFailure{} // not null in JSON
	p := &roundPrinter{w: a.stdout, nodes: o.Nodes, rounds: f.verbose}
	if f.json {
		p.w = io.Discard
	}
	p.legend()
	o.Each = func(s probe.Sample) {
		if s.Outcome != probe.Told && len(failures) < maxFailures {
			failures = append(failures, failureOf(s))
		}
		p.add(s)
	}
	o.Round = p.round
	report, err := probe.Run(ctx, o)
	show := func() error { return showFigures(a.stdout, report.Figures) }
	if f.json {
		show = func() error { return a.probeJSON(report, failures, err) }
	}
	if serr := show(); serr != nil {
		return serr
	}
	switch {
	case err != nil:
		return &exitError{exitNoProbe, err}
	case !report.InTime():
		return &exitError{code: exitNotTold}
	}
	return nil
}

// maxFailures bounds the list of failures in JSON; all are counted.
const maxFailures = 1000

// A probeFailure is a change that was told late or not at all, in JSON.
type probeFailure struct {
	At      time.Time  `json:"at"`
	From    string     `json:"from"`
	To      string     `json:"to"`
	Kind    probe.Kind `json:"kind"`
	Missing bool       `json:"missing"` // false: it was late
	Latency float64    `json:"latency_ms"`
}

func failureOf(s probe.Sample) probeFailure {
	return probeFailure{s.At, s.From, s.To, s.Kind, s.Outcome == probe.Missing, float64(s.Latency.Microseconds()) / 1e3}
}

func (a *app) probeJSON(r probe.Report, failures []probeFailure, err error) error {
	out := struct {
		InTime bool   `json:"in_time"`
		Error  string `json:"error,omitempty"`
		probe.Report
		Failures []probeFailure `json:"failures"`
	}{r.InTime() && err == nil, "", r, failures}
	if err != nil {
		out.Error = err.Error()
	}
	e := json.NewEncoder(a.stdout)
	e.SetIndent("", "  ")
	return e.Encode(out)
}
