package imapserver

import (
	"context"
	"net"
	"net/netip"
	"runtime/debug"
	"time"

	"github.com/emersion/go-imap/v2"

	"github.com/starling-mail/starling/imapserver/park"
	"github.com/starling-mail/starling/imapserver/stream"
	"github.com/starling-mail/starling/mailstore"
)

// accept begins a connection on a goroutine of its own: PROXY header and TLS
// handshake wait for the client.
func (s *Server) accept(nc net.Conn, l *ListenerOptions) {
	if !s.add(nil) {
		s.counters.refused.Add(1)
		nc.Close()
		return
	}
	s.arriving.Add(1)
	go func() {
		defer s.serving.Done()
		defer func() {
			if p := recover(); p != nil {
				s.opts.Log.Error().Interface("panic", p).Bytes("stack", debug.Stack()).Msg("connection not accepted")
				nc.Close()
			}
		}()
		if c := s.arrive(nc, l); c != nil {
			c.own(park.Readable, (*conn).greet)
		}
	}()
}

// arrive makes a connection one of the Server's, or returns nil if there is no place for it.
func (s *Server) arrive(nc net.Conn, l *ListenerOptions) *conn {
	defer s.arriving.Add(-1)
	settings := s.settings.Load()
	stop := context.AfterFunc(s.closing, func() { nc.Close() })
	st, err := stream.Accept(nc, &stream.Options{
		WriteTimeout: settings.WriteTimeout, HandshakeTimeout: settings.LoginTimeout,
		Proxies: l.ProxyFrom, HeaderTimeout: settings.LoginTimeout,
	})
	stop()
	if err != nil {
		s.opts.Log.Info().Err(err).Stringer("remote", nc.RemoteAddr()).Msg("connection refused")
		s.counters.refused.Add(1)
		nc.Close()
		return nil
	}
	c := &conn{srv: s, listener: l, stream: st, remote: addressOf(st.RemoteAddr()), state: notAuthenticated, began: time.Now(),
		traits: mailstore.Traits{Lacks: s.opts.Lacks}}
	if ok, limit := s.census.enter(c.remote, settings); !ok {
		c.refuse(limit)
		return nil
	}
	c.spot = s.lot.Spot(st, c.wake)
	if !s.add(c) {
		s.census.leave(c.remote)
		c.spot.Close()
		c.refuse("server is shutting down")
		return nil
	}
	s.counters.accepted.Add(1)
	c.count()
	return c
}

// greet does what comes before the first command.
func (c *conn) greet(why park.Reason) error {
	if c.listener.ImplicitTLS {
		if err := c.stream.StartTLS(c.srv.closing, c.srv.opts.TLS, c.spot.Buffered()); err != nil {
			return &handshakeError{err}
		}
	}
	c.enc.Begin("", imap.StatusResponseTypeOK)
	c.enc.Raw("[")
	c.enc.Capability(c.capabilities())
	c.enc.Raw("] ")
	c.enc.Text("Starling ready")
	return c.serve(why)
}

// refuse ends a connection that there is no place for. TLS is not worth its price
// for that: then the client sees the connection close.
func (c *conn) refuse(why string) {
	c.srv.counters.refused.Add(1)
	c.srv.opts.Log.Warn().Stringer("remote", c.remote).Str("reason", why).Msg("connection refused")
	if !c.listener.ImplicitTLS {
		c.stream.Write([]byte("* BYE [UNAVAILABLE] " + why + "\r\n"))
	}
	c.stream.Close()
}

// addressOf returns the IP address in a, or the zero Addr where there is none (a
// Unix socket, a test).
func addressOf(a net.Addr) netip.Addr {
	if t, ok := a.(*net.TCPAddr); ok {
		return t.AddrPort().Addr().Unmap()
	}
	return netip.Addr{}
}
