package imapserver

import (
	"context"
	"errors"
	"fmt"
	"net"
	"sync"
	"sync/atomic"
	"time"

	"github.com/starling-mail/starling/imapserver/park"
	"github.com/starling-mail/starling/imapserver/stream"
)

// A Server serves IMAP clients. Several may run in one process.
type Server struct {
	opts       Options
	settings   atomic.Pointer[Settings]
	lot        *park.Lot
	census     *census
	counters   *counters
	workspaces sync.Pool // of *workspace
	deflate    *stream.Deflate

	// commands is the context of all commands. It ends when Shutdown gives up
	// waiting; closing ends when Shutdown begins.
	commands, closing       context.Context
	endCommands, beginClose context.CancelFunc

	mu      sync.Mutex
	conns   map[*conn]struct{} // nil once closing
	serving sync.WaitGroup     // Serve calls and connections, parked ones included
	// arriving counts connections that are accepted, and may become one of conns.
	arriving atomic.Int64
}

// deflateLevel is a middle way between time and size.
const deflateLevel = 5

// New makes a Server. It serves nobody until Serve is called; Shutdown frees
// what it holds.
func New(o Options) (*Server, error) {
	deflate, err := stream.NewDeflate(deflateLevel)
	if err != nil {
		return nil, err
	}
	s := &Server{opts: o, lot: park.NewLot(0), census: newCensus(), counters: newCounters(), deflate: deflate, conns: map[*conn]struct{}{}}
	s.commands, s.endCommands = context.WithCancel(context.Background())
	s.closing, s.beginClose = context.WithCancel(s.commands)
	s.SetSettings(o.Settings)
	return s, nil
}

// SetSettings replaces the limits and times for what begins from now on.
func (s *Server) SetSettings(new Settings) { s.settings.Store(&new) }

// Serve accepts clients from ln until ctx ends or Shutdown is called; then it
// closes ln and returns nil. The connections go on until Shutdown.
func (s *Server) Serve(ctx context.Context, ln net.Listener, lo ListenerOptions) error {
	defer ln.Close()
	if lo.ImplicitTLS && s.opts.TLS == nil {
		return errors.New("imapserver: a listener with implicit TLS needs certificates")
	}
	if !s.add(nil) {
		return nil
	}
	defer s.serving.Done()
	defer context.AfterFunc(ctx, func() { ln.Close() })()
	defer context.AfterFunc(s.closing, func() { ln.Close() })()
	var delay time.Duration
	for {
		nc, err := ln.Accept()
		switch {
		case err == nil:
			delay = 0
			s.accept(nc, &lo)
		case ctx.Err() != nil || s.closing.Err() != nil:
			return nil
		case errors.Is(err, net.ErrClosed):
			return fmt.Errorf("imapserver: listener %v: %w", ln.Addr(), err)
		default:
			// Out of descriptors, most likely: wait for some to come back.
			delay = min(max(2*delay, 5*time.Millisecond), time.Second)
			s.opts.Log.Error().Err(err).Dur("delay", delay).Msg("accept failed")
			select {
			case <-time.After(delay):
			case <-ctx.Done():
			case <-s.closing.Done():
			}
		}
	}
}

// add counts a connection, or with nil a Serve call, unless the Server is
// closing.
func (s *Server) add(c *conn) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.conns == nil {
		return false
	}
	if c != nil {
		s.conns[c] = struct{}{}
	}
	s.serving.Add(1)
	return true
}

// remove forgets a connection that has ended.
func (s *Server) remove(c *conn) {
	s.mu.Lock()
	delete(s.conns, c)
	s.mu.Unlock()
	s.serving.Done()
}

// Shutdown stops accepting, says BYE to every client and returns nil when all
// connections have ended. Clients that do not take their BYE and commands that
// do not end are cut off when ctx ends; then its error is returned.
func (s *Server) Shutdown(ctx context.Context) error {
	s.beginClose()
	s.mu.Lock()
	conns := s.conns
	s.conns = nil
	s.mu.Unlock()
	for c := range conns {
		c.spot.Wake()
	}
	cutOff := context.AfterFunc(ctx, func() {
		s.endCommands()
		for c := range conns {
			c.stream.Close()
		}
	})
	s.serving.Wait()
	s.endCommands()
	s.lot.Close()
	if !cutOff() {
		return ctx.Err()
	}
	return nil
}
