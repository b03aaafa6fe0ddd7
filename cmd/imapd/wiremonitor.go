package main

import (
	"context"
	"errors"
	"fmt"
	"net"

	"github.com/starling-mail/starling/admin/monitor"
	"github.com/starling-mail/starling/blob"
	"github.com/starling-mail/starling/config"
	"github.com/starling-mail/starling/mailstore"
)

// listenMonitor opens the HTTP listener for health checks and metrics, if there is to
// be one.
func (s *server) listenMonitor(ctx context.Context, c *config.Config) (err error) {
	if c.Admin.Listen == "" {
		return nil
	}
	var lc net.ListenConfig
	if s.watched, err = lc.Listen(ctx, "tcp", c.Admin.Listen); err != nil {
		return fmt.Errorf("admin.listen: %w", err)
	}
	s.monitor = monitor.New(monitor.Options{
		Sources: s.sources(),
		State:   s.state,
		Store:   s.store.Ready,

		ProbeTimeout:   c.Admin.ProbeTimeout,
		ProbeLife:      c.Admin.ProbeLife,
		Trusted:        c.Admin.Trusted,
		MaxConnections: c.Admin.MaxConnections,
		Timeout:        c.Admin.Timeout,
		Pprof:          c.Admin.Pprof,
		Log:            s.log,
	})
	log := s.log.Info()
	if !c.Admin.Private() {
		log = s.log.Warn().Str("warning", "not a loopback address: there is no password and no TLS, whoever admin.trusted lets in may read it")
	}
	log.Stringer("address", s.watched.Addr()).Bool("pprof", c.Admin.Pprof).Msg("admin is listening")
	return nil
}

// closeMonitor ends the HTTP listener.
func (s *server) closeMonitor(ctx context.Context) error {
	if s.monitor == nil {
		return nil
	}
	err := s.watched.Close()
	if errors.Is(err, net.ErrClosed) {
		err = nil
	}
	return errors.Join(err, s.monitor.Close(ctx))
}

// sources are what the metrics are made of.
func (s *server) sources() monitor.Sources {
	out := monitor.Sources{
		Version:  version,
		IMAP:     s.imap.Stats,
		LMTP:     s.lmtp.Stats,
		Auth:     s.auth.Stats,
		Bus:      s.bus.Stats,
		Trackers: s.trackers.Stats,
	}
	if m, ok := s.store.(mailstore.Meter); ok {
		out.Store = m.Stats
	}
	if b, ok := s.store.(interface{ Blobs() blob.Stats }); ok {
		out.Blobs = b.Blobs
	}
	if s.member != nil {
		out.Cluster = s.member.Stats
	}
	return out
}

// state says why clients should not be sent here now; empty: they should.
func (s *server) state() string {
	switch {
	case s.stopping.Load():
		return "stopping"
	case s.drainer.draining.Load():
		return "draining"
	case s.member != nil && !s.member.Joined():
		return "joining the cluster"
	}
	return ""
}
