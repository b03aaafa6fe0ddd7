package main

import (
	"context"
	"errors"
	"net"
	"net/http"
	"os"
	"os/signal"
	"sync"
	"sync/atomic"
	"syscall"

	"github.com/rs/zerolog"
	"github.com/spf13/cobra"

	"github.com/starling-mail/starling/admin"
	"github.com/starling-mail/starling/admin/monitor"
	"github.com/starling-mail/starling/config"
	"github.com/starling-mail/starling/imapserver"
	"github.com/starling-mail/starling/imapserver/stream"
	"github.com/starling-mail/starling/tracker"
)

func (a *app) serveCommand() *cobra.Command {
	var quick bool
	var data string
	cmd := &cobra.Command{
		Use:   "serve",
		Short: "Run the server",
		Long: `Run the server in the foreground, until SIGINT or SIGTERM; a second one ends it
at once. SIGHUP reads the configuration and the certificates again.

With --quickstart it makes what is missing in a data folder: a configuration
for this machine alone, a self-signed certificate and a first user, and says
what to type into a mail client. A second run keeps everything.`,
		Example: `  imapd serve --config /etc/imapd/config.toml
  imapd serve --quickstart
  imapd serve --quickstart --data /tmp/mail`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			ctx, stop := signalContext(cmd.Context())
			defer stop()
			if !quick {
				return a.serve(ctx, nil)
			}
			q, err := a.prepare(data)
			if err != nil {
				return err
			}
			return a.serve(ctx, q)
		},
	}
	cmd.Flags().BoolVar(&quick, "quickstart", false, "make what is missing and serve this machine alone")
	cmd.Flags().StringVar(&data, "data", "data", "data `folder` of --quickstart")
	return cmd
}

// signalContext returns a context that ends with the first SIGINT or SIGTERM;
// the second one ends the process.
func signalContext(ctx context.Context) (context.Context, context.CancelFunc) {
	ctx, stop := signal.NotifyContext(ctx, os.Interrupt, syscall.SIGTERM)
	context.AfterFunc(ctx, stop)
	return ctx, stop
}

// serve runs the server until ctx ends. q is nil unless it is a quick start.
func (a *app) serve(ctx context.Context, q *quickstart) (err error) {
	c, err := a.config()
	if err != nil {
		return err
	}
	log, level := newLog(a.stderr, c.Server)
	warnOfDescriptors(log, c.IMAP.MaxConnections)
	for _, w := range config.Exposed(a.configFile) {
		log.Warn().Str("key", w.Key).Msg(w.Problem)
	}
	certs, err := certificates(c)
	if err != nil {
		return err
	}
	n, err := open(ctx, c, log)
	if err != nil {
		return err
	}
	s, err := newServer(ctx, n, c, certs)
	if err != nil {
		return err
	}
	s.level, s.file = level, a.configFile
	defer func() { err = errors.Join(err, s.close()) }()
	if q != nil {
		if err := q.introduce(ctx, n.admin, a.stdout); err != nil {
			return err
		}
	}
	hangup := make(chan os.Signal, 1)
	signal.Notify(hangup, syscall.SIGHUP)
	defer signal.Stop(hangup)
	return s.run(ctx, hangup)
}

// newServer makes a server of an open node: a member of its cluster that listens everywhere, but serves nobody
// yet. If it fails, the node is closed.
func newServer(ctx context.Context, n *node, c *config.Config, certs *stream.Certificates) (_ *server, err error) {
	if err := n.join(ctx, c); err != nil {
		return nil, errors.Join(err, n.close(ctx))
	}
	s := &server{node: n, certs: certs}
	if s.imap, s.trackers, err = n.newIMAP(c, certs); err != nil {
		return nil, errors.Join(err, n.close(ctx))
	}
	if err := s.listen(ctx, c); err != nil {
		return nil, errors.Join(err, s.close())
	}
	return s, nil
}

// A server is a node with its listeners.
type server struct {
	*node
	level    *logLevel            // for reload, as is file
	file     string               // the configuration
	certs    *stream.Certificates // nil: there is no TLS
	imap     *imapserver.Server
	trackers *tracker.Set

	listeners []listener
	control   net.Listener
	watched   net.Listener    // of monitor
	monitor   *monitor.Server // nil: it is not wanted
	drainer   drainer
	keys      keyring
	stopping  atomic.Bool
	shut      bool // the IMAP server has been shut down
}

type listener struct {
	net.Listener
	config.Listen
}

// listen opens all listeners, or reports every one that cannot be.
func (s *server) listen(ctx context.Context, c *config.Config) (err error) {
	if s.control, err = admin.Listen(c.Server.ControlSocket); err != nil {
		return err
	}
	var faults []error
	if err := s.listenMonitor(ctx, c); err != nil {
		faults = append(faults, err)
	}
	for _, l := range c.Listen {
		ln, err := listenOn(ctx, l)
		if err != nil {
			faults = append(faults, listenFault(l, err))
			continue
		}
		s.listeners = append(s.listeners, listener{ln, l})
	}
	return errors.Join(faults...)
}

// run serves until ctx ends or a listener fails, and then ends cleanly. What comes
// by hangup has it reload; nil: nothing does.
func (s *server) run(ctx context.Context, hangup <-chan os.Signal) error {
	ctx, fail := context.WithCancelCause(ctx)
	defer fail(nil)

	var serving sync.WaitGroup
	serve := func(f func() error) {
		serving.Go(func() {
			if err := f(); err != nil {
				fail(err)
			}
		})
	}
	for _, l := range s.listeners {
		if l.Protocol == config.ProtocolLMTP {
			serve(func() error { return s.lmtp.Serve(ctx, l) })
			s.log.Info().Str("protocol", l.Protocol).Str("address", l.Address).Msg("listening")
		}
	}
	s.drainer.begin(ctx, fail, s)
	s.keys.server = s
	s.admin.Running = &running{&s.drainer, &s.keys}
	control := &http.Server{
		Handler:     admin.NewHandler(s.admin),
		BaseContext: func(net.Listener) context.Context { return ctx },
	}
	serve(func() error {
		if err := control.Serve(s.control); !errors.Is(err, http.ErrServerClosed) {
			return err
		}
		return nil
	})
	serving.Go(func() { trim(ctx) })
	var watching sync.WaitGroup
	if s.monitor != nil {
		watching.Go(func() {
			if err := s.monitor.Serve(s.watched); err != nil {
				fail(err)
			}
		})
	}
	notify("READY=1")
	s.log.Info().Str("version", version).Msg("serving")
	for ctx.Err() == nil {
		select {
		case <-hangup:
			s.reload()
		case <-ctx.Done():
		}
	}
	s.stopping.Store(true)
	notify("STOPPING=1")
	s.log.Info().Msg("stopping")
	grace, cancel := context.WithTimeout(context.WithoutCancel(ctx), s.config.Load().Server.ShutdownTimeout)
	defer cancel()
	serving.Go(func() {
		if err := control.Shutdown(grace); err != nil {
			control.Close()
		}
	})
	s.shut = true
	s.drainer.end()
	if err := s.imap.Shutdown(grace); err != nil {
		s.log.Warn().Err(err).Msg("some clients did not take their BYE in time")
	}
	serving.Wait()                                // LMTP has a grace of its own for mail that is under way
	if err := s.closeMonitor(grace); err != nil { // the last: it says that the node is stopping
		s.log.Warn().Err(err).Msg("stopping the admin listener")
	}
	watching.Wait()
	if err := context.Cause(ctx); !errors.Is(err, context.Canceled) {
		return err
	}
	return nil
}

// serveClients serves the IMAP clients of a listener.
func (s *server) serveClients(ctx context.Context, l listener) error {
	return s.imap.Serve(ctx, l, imapserver.ListenerOptions{
		ImplicitTLS:   l.Protocol == config.ProtocolIMAPS,
		ProxyFrom:     l.ProxyFrom,
		PlaintextAuth: plaintextAuth(s.config.Load()),
	})
}

// close frees everything; clients are gone, unless serving never began.
func (s *server) close() error {
	var errs []error
	for _, l := range s.listeners {
		if err := l.Listener.Close(); !errors.Is(err, net.ErrClosed) {
			errs = append(errs, err)
		}
	}
	if s.control != nil {
		if err := s.control.Close(); !errors.Is(err, net.ErrClosed) {
			errs = append(errs, err)
		}
	}
	grace, cancel := context.WithTimeout(context.Background(), s.config.Load().Server.ShutdownTimeout)
	defer cancel()
	errs = append(errs, s.closeMonitor(grace)) // of a server that never ran
	if !s.shut {
		errs = append(errs, s.imap.Shutdown(grace))
	}
	s.trackers.Close()
	errs = append(errs, s.node.close(grace))
	s.log.Info().Msg("stopped")
	return errors.Join(errs...)
}

// warnOfDescriptors says when the system allows fewer open files than the
// configuration needs. Go has raised the limit as far as it may go.
func warnOfDescriptors(log zerolog.Logger, connections int) {
	const others = 1000 // the store, LMTP, blobs
	var limit syscall.Rlimit
	if err := syscall.Getrlimit(syscall.RLIMIT_NOFILE, &limit); err == nil && limit.Cur < uint64(connections)+others {
		log.Warn().Uint64("open_files", limit.Cur).Int("max_connections", connections).
			Msg("the system allows fewer open files than imap.max_connections needs (ulimit -n, LimitNOFILE=)")
	}
}
