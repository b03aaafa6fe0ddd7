package main

import (
	"context"
	"crypto/rand"
	_ "embed"
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strings"
	"text/template"
	"time"

	"github.com/rs/zerolog"
	"github.com/spf13/cobra"

	"github.com/starling-mail/starling/admin"
	"github.com/starling-mail/starling/cluster"
	"github.com/starling-mail/starling/config"
	"github.com/starling-mail/starling/probe"
)

// demoText is what a demonstration prints when it has started.
//
//go:embed demo.txt
var demoText string

// Users of a demonstration.
const (
	demoUser   = "alice@localhost"
	demoProber = "bob@localhost" // the probe's
)

// joinTime is how long the nodes of a demonstration may take to find each other.
const joinTime = 30 * time.Second

// probePause is how long a probe that has ended waits until it begins again.
const probePause = time.Second

// demoOptions are what the command line says of a demonstration.
type demoOptions struct {
	data     string // empty: a temporary folder
	anyPort  bool
	logLevel string
	interval time.Duration
}

func (a *app) demoCommand() *cobra.Command {
	var o demoOptions
	cmd := &cobra.Command{
		Use:   "demo",
		Short: "Try a cluster: three nodes on this machine, and a probe",
		Long: `Run three whole nodes in one process, each on an address of its own (127.0.0.11 to
127.0.0.13), that find each other and tell each other what changes, as they would
on three machines. They share one embedded store instead of a database. Two users are made, and a
probe shows how soon each node tells what is changed on the others.

Everything is in a temporary folder, which is removed at the end, unless --data says where. Ctrl-C stops
the probe, prints its figures and stops the nodes one after the other.

Exit codes: 0 it was ended by Ctrl-C and all was told; 1 a node could not be started or has failed, or
something was not told; 2 wrong usage.`,
		Example: `  imapd demo
  imapd demo --data /tmp/cluster`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if _, err := zerolog.ParseLevel(o.logLevel); err != nil || o.interval < 0 {
				return &exitError{exitUsage, errors.New("--log-level must be debug, info, warn or error, and --interval not negative")}
			}
			ctx, stop := signalContext(cmd.Context())
			defer stop()
			return a.demo(ctx, o)
		},
	}
	flags := cmd.Flags()
	flags.StringVar(&o.data, "data", "", "`folder` to keep (default: a temporary one)")
	flags.BoolVar(&o.anyPort, "any-port", false, "listen on free ports instead of 1143, 1993 and so on")
	flags.StringVar(&o.logLevel, "log-level", "warn", "of the nodes: debug, info, warn or error")
	flags.DurationVar(&o.interval, "interval", 2*time.Second, "pause between the probe's rounds")
	return cmd
}

// demo runs until ctx ends or a node fails.
func (a *app) demo(ctx context.Context, o demoOptions) (err error) {
	folder, remove, err := demoFolder(o.data)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, remove()) }()
	d, err := a.startDemo(ctx, folder, o)
	if err != nil {
		return err
	}
	watched, cancel := d.run(ctx)
	defer cancel()
	if err = a.showDemo(watched, d, o); errors.Is(err, context.Canceled) {
		err = nil // by Ctrl-C, or by a node, which says why
	}
	return errors.Join(err, d.stop())
}

// showDemo says how to use the nodes, and probes until ctx ends.
func (a *app) showDemo(ctx context.Context, d *demo, o demoOptions) error {
	if err := d.awaitStreams(ctx); err != nil {
		return err
	}
	passwords, err := d.makeUsers(ctx)
	if err != nil {
		return err
	}
	if err := d.introduce(a, passwords); err != nil {
		return err
	}
	p := probe.DefaultOptions()
	p.User, p.Password, p.Count, p.Interval = demoProber, passwords[demoProber], 0, o.interval
	p.MaxLatency = p.Wait // it shows, it does not judge
	for _, s := range d.servers {
		p.Nodes = append(p.Nodes, probe.Node{Name: s.name, Addr: s.listeners[0].Addr().String(), Security: probe.Plain})
	}
	return a.probeAgain(ctx, p)
}

// probeAgain probes until ctx ends, anew each time that a node sends the probe
// away: it may be drained.
func (a *app) probeAgain(ctx context.Context, o probe.Options) error {
	for {
		err := a.probe(ctx, o, probeFlags{verbose: true})
		if e, ok := errors.AsType[*exitError](err); !ok || e.code != exitNoProbe || ctx.Err() != nil {
			return err
		}
		fmt.Fprintf(a.stdout, "The probe has ended: %v. It begins again.\n", err)
		select {
		case <-time.After(probePause):
		case <-ctx.Done():
			return context.Cause(ctx)
		}
	}
}

// demoFolder returns a new temporary folder, or the one that is to be kept, and
// what to do with it at the end.
func demoFolder(data string) (folder string, remove func() error, err error) {
	if data != "" {
		folder, err = filepath.Abs(data)
		return folder, func() error { return nil }, err
	}
	folder, err = os.MkdirTemp("", "starling-demo-")
	return folder, func() error { return os.RemoveAll(folder) }, err
}

// prepareDemo makes what the nodes share: the keys and the certificate.
func prepareDemo(folder string) error {
	if err := os.MkdirAll(folder, 0o700); err != nil {
		return err
	}
	keys := []byte(cluster.NewKey().String() + "\n")
	if err := os.WriteFile(filepath.Join(folder, "cluster.keys"), keys, 0o600); err != nil {
		return err
	}
	var addresses []net.IP
	for i := range demoNodes {
		addresses = append(addresses, net.ParseIP(demoHost(i)))
	}
	return selfSigned(filepath.Join(folder, "tls.crt"), filepath.Join(folder, "tls.key"), addresses...)
}

// makeUsers makes the users, or gives those that are there new passwords.
func (d *demo) makeUsers(ctx context.Context) (map[string]string, error) {
	passwords := map[string]string{}
	control := d.servers[0].admin
	there, err := control.Users(ctx)
	if err != nil {
		return nil, err
	}
	known := map[string]bool{}
	for _, u := range there {
		known[u.Name] = true
	}
	for _, name := range []string{demoUser, demoProber} {
		passwords[name] = strings.ToLower(rand.Text()[:12])
		if known[name] {
			err = control.SetPassword(ctx, name, passwords[name])
		} else {
			_, err = control.AddUser(ctx, admin.NewUser{Name: name, Password: passwords[name]})
		}
		if err != nil {
			return nil, fmt.Errorf("user %s: %w", name, err)
		}
	}
	return passwords, nil
}

// introduce says where the nodes are, and writes files by which the subcommands
// reach them.
func (d *demo) introduce(a *app, passwords map[string]string) error {
	type node struct{ Name, Host, IMAPS, IMAP, LMTP string }
	about := struct {
		Nodes                                  []node
		User, Password, Prober, ProberPassword string
		Program, Folder                        string
	}{nil, demoUser, passwords[demoUser], demoProber, passwords[demoProber], os.Args[0], d.folder}
	for _, s := range d.servers {
		n := node{Name: s.name}
		ports := map[string]*string{config.ProtocolIMAP: &n.IMAP, config.ProtocolIMAPS: &n.IMAPS, config.ProtocolLMTP: &n.LMTP}
		for _, l := range s.listeners {
			n.Host, *ports[l.Protocol], _ = net.SplitHostPort(l.Addr().String())
		}
		about.Nodes = append(about.Nodes, n)
		text := fmt.Sprintf("# For subcommands, which reach the node by its control socket.\n[server]\ndata_dir = %q\ncontrol_socket = %q\n",
			d.folder, s.config.Load().Server.ControlSocket)
		if err := os.WriteFile(filepath.Join(d.folder, s.name+".toml"), []byte(text), 0o600); err != nil {
			return err
		}
	}
	t, err := template.New("demo").Parse(demoText)
	if err != nil {
		return err
	}
	return t.Execute(a.stdout, about)
}
