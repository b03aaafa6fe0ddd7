package monitor

import (
	"net"
	"net/netip"
	"slices"
	"sync"

	"github.com/rs/zerolog"
)

// A listener accepts only those who may connect, and only so many at a time.
type listener struct {
	net.Listener
	trusted []netip.Prefix
	slots   chan struct{} // one for each connection
	log     zerolog.Logger
}

func newListener(ln net.Listener, o *Options) *listener {
	return &listener{ln, o.Trusted, make(chan struct{}, o.MaxConnections), o.Log}
}

// Accept returns the next connection that is to be served.
func (l *listener) Accept() (net.Conn, error) {
	for {
		c, err := l.Listener.Accept()
		if err != nil {
			return nil, err
		}
		if !l.trusts(c.RemoteAddr()) {
			l.log.Warn().Stringer("remote", c.RemoteAddr()).Msg("admin client is not trusted")
			c.Close()
			continue
		}
		select {
		case l.slots <- struct{}{}:
			return &conn{Conn: c, release: func() { <-l.slots }}, nil
		default:
			l.log.Warn().Stringer("remote", c.RemoteAddr()).Msg("too many admin connections")
			c.Close()
		}
	}
}

func (l *listener) trusts(a net.Addr) bool {
	tcp, ok := a.(*net.TCPAddr)
	if !ok {
		return false
	}
	addr := tcp.AddrPort().Addr().Unmap().WithZone("")
	return slices.ContainsFunc(l.trusted, func(p netip.Prefix) bool { return p.Contains(addr) })
}

type conn struct {
	net.Conn
	once    sync.Once
	release func()
}

// Close closes the connection and gives its slot back.
func (c *conn) Close() error {
	c.once.Do(c.release)
	return c.Conn.Close()
}
