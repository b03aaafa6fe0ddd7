package main

import (
	"context"
	"errors"
	"fmt"
	"net"
	"path/filepath"
	"syscall"
	"time"

	"github.com/rs/zerolog"

	"github.com/starling-mail/starling/config"
	"github.com/starling-mail/starling/mailstore"
	"github.com/starling-mail/starling/mailstore/sqlite"
)

// demoNodes is how many nodes a demonstration has.
const demoNodes = 3

// demoHost is the address of a node.
func demoHost(i int) string { return fmt.Sprint("127.0.0.", 11+i) }

// A demo is nodes in one process over one embedded store.
type demo struct {
	folder  string
	store   *sqlite.Store // the first node's way to it
	servers []*demoServer
}

// A demoServer is one node.
type demoServer struct {
	*server
	name string
	end  context.CancelFunc // stops it
	done chan struct{}      // closed when it has stopped
	err  error              // then
}

// startDemo starts the nodes; they serve nobody yet.
func (a *app) startDemo(ctx context.Context, folder string, o demoOptions) (_ *demo, err error) {
	if err := prepareDemo(folder); err != nil {
		return nil, err
	}
	d := &demo{folder: folder}
	defer func() {
		if err != nil {
			for _, s := range d.servers {
				err = errors.Join(err, s.close())
			}
		}
	}()
	var join []string
	for i := range demoNodes {
		name := fmt.Sprint("n", i+1)
		c := demoConfig(folder, name, demoHost(i), join, o)
		log, level := newLog(a.stderr, c.Server)
		s, err := d.newServer(ctx, c, log)
		if errors.Is(err, syscall.EADDRINUSE) && !o.anyPort {
			err = fmt.Errorf("%w; --any-port takes free ones", err)
		}
		if err != nil {
			return nil, fmt.Errorf("node %s: %w", name, err)
		}
		s.level = level
		d.servers = append(d.servers, &demoServer{server: s, name: name})
		if i == 0 {
			join = []string{s.member.Members()[0].Gossip.String()}
		}
	}
	return d, nil
}

// newServer makes a node with a way of its own to the store, which the first one opens: so a
// node's bus publishes what is changed through that node.
func (d *demo) newServer(ctx context.Context, c *config.Config, log zerolog.Logger) (*server, error) {
	certs, err := certificates(c)
	if err != nil {
		return nil, err
	}
	n, err := openOn(c, log, func(n *node) (mailstore.Store, error) {
		if d.store != nil {
			return d.store.Share(n.bus.Publish), nil
		}
		s, err := n.openSQLite(ctx, c)
		if err != nil {
			return nil, err
		}
		d.store = s
		return s, nil
	})
	if err != nil {
		return nil, err
	}
	s, err := newServer(ctx, n, c, certs)
	if err != nil {
		return nil, err
	}
	for i := range s.listeners { // the same ports after a drain
		s.listeners[i].Address = s.listeners[i].Addr().String()
	}
	return s, nil
}

// demoConfig is a node's configuration. No file could have it: a cluster over the embedded store
// works in one process only.
func demoConfig(folder, name, host string, join []string, o demoOptions) *config.Config {
	port := func(number string) string {
		if o.anyPort {
			number = "0"
		}
		return net.JoinHostPort(host, number)
	}
	c := config.Default()
	c.Server.Hostname = "localhost"
	c.Server.DataDir = folder
	c.Server.ControlSocket = filepath.Join(folder, name+".sock")
	c.Server.LogLevel = o.logLevel
	c.TLS.Certificates = []config.Certificate{{Cert: filepath.Join(folder, "tls.crt"), Key: filepath.Join(folder, "tls.key")}}
	c.Listen = []config.Listen{ // the probe takes the first
		{Address: port("1143"), Protocol: config.ProtocolIMAP},
		{Address: port("1993"), Protocol: config.ProtocolIMAPS},
		{Address: port("1024"), Protocol: config.ProtocolLMTP},
	}
	c.IMAP.PlaintextAuth = config.PlaintextLoopback
	c.IMAP.MaxConnections = 500
	c.Auth.DefaultDomain = "localhost"
	c.Cluster.Enabled = true
	c.Cluster.Name = name
	c.Cluster.ClusterName = "demo"
	c.Cluster.KeysFile = filepath.Join(folder, "cluster.keys")
	c.Cluster.Gossip, c.Cluster.Stream = port("7946"), port("7947")
	c.Cluster.Join = join
	c.Cluster.Profile = "local"
	return c
}

// run has the nodes serve until stop. The context that it returns ends with ctx, and
// when a node fails.
func (d *demo) run(ctx context.Context) (context.Context, context.CancelFunc) {
	watched, fail := context.WithCancelCause(ctx)
	for _, s := range d.servers {
		// The probe's end comes first: it needs the nodes to clean up.
		serving, end := context.WithCancel(context.WithoutCancel(ctx))
		s.end, s.done = end, make(chan struct{})
		go func() {
			defer close(s.done)
			if s.err = s.server.run(serving, nil); s.err != nil {
				fail(s.err)
			}
		}()
	}
	return watched, func() { fail(nil) }
}

// stop stops the nodes one after the other, the last first. What they log of each
// other's end is of no interest.
func (d *demo) stop() error {
	var errs []error
	for _, s := range d.servers {
		s.level.set(zerolog.LevelFatalValue)
	}
	for i := len(d.servers) - 1; i >= 0; i-- {
		s := d.servers[i]
		s.end()
		<-s.done
		errs = append(errs, s.err, s.close())
	}
	return errors.Join(errs...)
}

// awaitStreams waits until each node has streams to and from all others.
func (d *demo) awaitStreams(ctx context.Context) error {
	ctx, cancel := context.WithTimeoutCause(ctx, joinTime, errors.New("the nodes did not find each other in time"))
	defer cancel()
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for !d.connected() {
		select {
		case <-tick.C:
		case <-ctx.Done():
			return context.Cause(ctx)
		}
	}
	return nil
}

func (d *demo) connected() bool {
	for _, s := range d.servers {
		streams := 0
		for _, p := range s.member.Stats().Peers {
			if p.Connected && p.Receiving {
				streams++
			}
		}
		if streams != len(d.servers)-1 {
			return false
		}
	}
	return true
}
