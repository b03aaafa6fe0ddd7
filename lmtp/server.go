package lmtp

import (
	"context"
	"errors"
	"fmt"
	"net"
	"strings"
	"sync"
	"time"

	"github.com/emersion/go-smtp"
	"github.com/rs/zerolog"
)

// Serve serves the clients that connect to ln until ctx ends; then it closes
// ln, sends idle clients away (421) without waiting for them, lets messages under way
// finish within the grace, and returns nil when all have gone. It returns an error
// if ln fails before.
func (s *Server) Serve(ctx context.Context, ln net.Listener) error {
	// Deliveries outlive ctx: a message that was taken is to be answered for.
	work, abort := context.WithCancel(context.WithoutCancel(ctx))
	defer abort()

	l := &listener{Listener: ln, srv: s, conns: make(map[*conn]struct{})}
	s.mu.Lock()
	s.listeners[l] = struct{}{}
	s.mu.Unlock()
	defer func() {
		s.mu.Lock()
		defer s.mu.Unlock()
		delete(s.listeners, l)
	}()
	server := smtp.NewServer(smtp.BackendFunc(func(c *smtp.Conn) (smtp.Session, error) {
		log := s.o.Log.With().Uint64("conn", s.connected.Add(1)).Logger()
		return &session{srv: s, ctx: work, conn: c.Conn().(*conn), smtp: c, log: log}, nil
	}))
	server.LMTP = true
	server.Domain = s.o.Hostname
	server.MaxRecipients = s.o.MaxRecipients
	// go-smtp refuses a message of exactly its limit.
	server.MaxMessageBytes = s.o.MaxMessage + 1
	server.MaxLineLength = 0 // conn bounds commands; messages may have any lines
	server.ReadTimeout = s.o.Timeout
	server.WriteTimeout = s.o.Timeout
	server.EnableSMTPUTF8 = true
	server.ErrorLog = logger{s.o.Log}

	closeListener := context.AfterFunc(ctx, func() { ln.Close() })
	err := server.Serve(l)
	if closeListener() {
		ln.Close() // it failed by itself
	}

	l.stop()
	grace := time.AfterFunc(s.o.Grace, func() {
		abort()
		l.closeAll()
	})
	defer grace.Stop()
	// Shutdown now only waits: nobody accepts any more, and each connection
	// ends by itself or with the grace.
	if e := server.Shutdown(context.WithoutCancel(ctx)); e != nil && !errors.Is(e, net.ErrClosed) {
		s.o.Log.Error().Err(e).Msg("stopping LMTP")
	}
	if ctx.Err() != nil {
		return nil
	}
	return fmt.Errorf("lmtp: %w", err)
}

// A listener accepts only those who may connect, and knows who is connected.
type listener struct {
	net.Listener
	srv   *Server
	mu    sync.Mutex
	conns map[*conn]struct{}
}

// Accept returns the next connection that is to be served.
func (l *listener) Accept() (net.Conn, error) {
	for {
		nc, err := l.Listener.Accept()
		if err != nil {
			return nil, err
		}
		c := &conn{Conn: nc, timeout: l.srv.o.Timeout, idle: true}
		if !l.srv.trusts(nc.RemoteAddr()) {
			l.srv.o.Log.Warn().Stringer("remote", nc.RemoteAddr()).Msg("LMTP client is not trusted")
			l.refuse(c, "554 5.7.1 Access denied\r\n")
			continue
		}
		select {
		case l.srv.slots <- struct{}{}:
		default:
			l.srv.o.Log.Warn().Stringer("remote", nc.RemoteAddr()).Msg("too many LMTP connections")
			l.refuse(c, "421 4.3.2 Too many connections\r\n")
			continue
		}
		c.closed = func() {
			<-l.srv.slots
			l.mu.Lock()
			defer l.mu.Unlock()
			delete(l.conns, c)
		}
		if !l.admit(c) {
			l.refuse(c, "421 4.3.2 This server is being taken out of service\r\n")
			<-l.srv.slots
			continue
		}
		return c, nil
	}
}

// admit notes a connection that is going to be served, unless there are to be no more.
func (l *listener) admit(c *conn) bool {
	l.srv.mu.Lock()
	defer l.srv.mu.Unlock()
	if l.srv.draining {
		return false
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	l.conns[c] = struct{}{}
	return true
}

// Drain makes the Server refuse new connections, and end those that there are when no message is under way (421); or, with false,
// accept them again.
func (s *Server) Drain(on bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.draining = on
	if !on {
		return
	}
	for l := range s.listeners {
		l.stop()
	}
}

// refuse sends a client away. A line fits the buffer of a new connection, so
// nobody else waits for it.
func (l *listener) refuse(c *conn, line string) {
	l.srv.counters.turned.Add(1)
	c.say(line)
	c.Conn.Close()
}

func (l *listener) stop() {
	l.mu.Lock()
	defer l.mu.Unlock()
	for c := range l.conns {
		c.stop()
	}
}

func (l *listener) closeAll() {
	l.mu.Lock()
	defer l.mu.Unlock()
	for c := range l.conns {
		c.Conn.Close() // go-smtp closes c when it notices
	}
}

// trusts reports whether a client at a may deliver. What is not TCP is local.
func (s *Server) trusts(a net.Addr) bool {
	tcp, ok := a.(*net.TCPAddr)
	if !ok {
		return true
	}
	addr := tcp.AddrPort().Addr().Unmap().WithZone("")
	for _, p := range s.o.Trusted {
		if p.Contains(addr) {
			return true
		}
	}
	return false
}

// A logger takes what go-smtp logs: panics, with their stack, and
// connections that break.
type logger struct{ log zerolog.Logger }

// Printf logs an error.
func (l logger) Printf(format string, v ...any) {
	event := l.log.Debug()
	if strings.HasPrefix(format, "panic") {
		event = l.log.Error()
	}
	event.Msgf(format, v...)
}

// Println logs what cannot be told apart.
func (l logger) Println(v ...any) { l.log.Warn().Msg(fmt.Sprint(v...)) }
