package stream

import (
	"context"
	"crypto/tls"
	"errors"
	"net"
	"net/netip"
	"sync/atomic"
	"time"
)

// pace is how many bytes have one write timeout between them. A client that takes
// them within it is slow, not stuck.
const pace = 32 << 10

// ErrPipelined is returned when the client sent more before the new layer stood. On
// STARTTLS such bytes could have been slipped in by anybody (RFC 9051 §6.2.1), and
// COMPRESS forbids them (RFC 4978 §3).
var ErrPipelined = errors.New("stream: client did not wait for the new layer")

// Options are what the connections of a listener have in common. They are not to be
// changed while connections use them.
type Options struct {
	// WriteTimeout bounds how long a client may take over 32 KiB of what is
	// written to it; 0 means for ever.
	WriteTimeout time.Duration
	// HandshakeTimeout bounds a TLS handshake; 0 means for ever.
	HandshakeTimeout time.Duration
	// Proxies are the addresses whose connections begin with a PROXY header,
	// which must come within HeaderTimeout; 0 means for ever. Nobody else's is
	// looked at.
	Proxies       []netip.Prefix
	HeaderTimeout time.Duration
}

// A Conn is a client's byte stream. It is a net.Conn whose writes have deadlines.
//
// After a Write has failed, nothing else can be written: on TLS by its nature, for
// part of a record may have gone out, and without TLS because part of a line may
// have. Close the Conn then.
//
// One goroutine at a time may read and one may write, StartTLS and StartDeflate
// count as both; Close may be called by any.
type Conn struct {
	socket  net.Conn
	remote  net.Addr
	options *Options
	tls     atomic.Pointer[tls.Conn] // nil without TLS
	failed  atomic.Bool              // a Write failed
	deflate *Deflate                 // nil without COMPRESS
	inflate *inflater
}

// Accept begins the stream of a connection that was accepted, and reads the PROXY
// header if the peer is one of o.Proxies. It may take o.HeaderTimeout: call it on the
// connection's own goroutine. After an error c is still to be closed by the caller.
func Accept(c net.Conn, o *Options) (*Conn, error) {
	remote, err := remoteAddr(c, o)
	if err != nil {
		return nil, err
	}
	return &Conn{socket: c, remote: remote, options: o}, nil
}

// StartTLS puts TLS on the connection, as the server. unread is how many bytes the
// caller has got, from Read or below, beyond the STARTTLS line; there must be none.
// After an error the connection is of no use but to be closed.
func (c *Conn) StartTLS(ctx context.Context, config *tls.Config, unread int) error {
	if unread > 0 {
		return ErrPipelined
	}
	if t := c.options.HandshakeTimeout; t > 0 {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(ctx, t)
		defer cancel()
	}
	// A write deadline left by an earlier Write must not end the handshake.
	if err := c.socket.SetDeadline(time.Time{}); err != nil {
		return err
	}
	t := tls.Server(c.socket, config)
	if err := t.HandshakeContext(ctx); err != nil {
		c.failed.Store(true)
		return err
	}
	c.tls.Store(t)
	return nil
}

// TLS returns what was negotiated, and false without TLS.
func (c *Conn) TLS() (tls.ConnectionState, bool) {
	if t := c.tls.Load(); t != nil {
		return t.ConnectionState(), true
	}
	return tls.ConnectionState{}, false
}

// StartDeflate compresses everything from here on, both ways (RFC 4978). unread is as
// for StartTLS. Whoever waits for the connection by its socket must be told, since
// an uncompressing reader keeps bytes back and has to be blocked in Read to get on.
func (c *Conn) StartDeflate(d *Deflate, unread int) error {
	if unread > 0 {
		return ErrPipelined
	}
	// A read deadline left by the caller must not meet the uncompressing reader.
	if err := c.socket.SetReadDeadline(time.Time{}); err != nil {
		return err
	}
	c.deflate, c.inflate = d, newInflater(c.top())
	return nil
}

// Compressed reports whether StartDeflate was called.
func (c *Conn) Compressed() bool { return c.deflate != nil }

// top returns the stream below compression.
func (c *Conn) top() net.Conn {
	if t := c.tls.Load(); t != nil {
		return t
	}
	return c.socket
}

// NetConn returns the socket if waiting for it is waiting for the client, else nil.
func (c *Conn) NetConn() net.Conn {
	if c.inflate != nil {
		return nil
	}
	return c.socket
}

func (c *Conn) Read(p []byte) (int, error) {
	if c.inflate != nil {
		return c.inflate.Read(p)
	}
	return c.top().Read(p)
}

// Write writes all of p, within the time that Options give it. Compressed, each
// Write is flushed to the client: write whole responses.
func (c *Conn) Write(p []byte) (int, error) {
	if c.deflate != nil {
		return c.deflate.write(c, p)
	}
	return c.write(p)
}

// write writes below compression.
func (c *Conn) write(p []byte) (int, error) {
	if c.failed.Load() {
		return 0, net.ErrClosed
	}
	top := c.top()
	written := 0
	for {
		if t := c.options.WriteTimeout; t > 0 {
			if err := c.socket.SetWriteDeadline(time.Now().Add(t)); err != nil {
				return written, err
			}
		}
		n, err := top.Write(p[written:min(written+pace, len(p))])
		written += n
		if err != nil {
			c.failed.Store(true)
			return written, err
		}
		if written == len(p) {
			return written, nil
		}
	}
}

// Close ends the connection. On TLS the client is told, unless a Write has failed: it
// would have to wait behind what the client does not take.
func (c *Conn) Close() error {
	if t := c.tls.Load(); t != nil && !c.failed.Load() {
		return t.Close()
	}
	return c.socket.Close()
}

// LocalAddr returns the socket's address.
func (c *Conn) LocalAddr() net.Addr { return c.socket.LocalAddr() }

// RemoteAddr returns the client's address: the one that a trusted proxy told, if one did.
func (c *Conn) RemoteAddr() net.Addr { return c.remote }

// SetReadDeadline is that of net.Conn. Compressed it fails, for an uncompressing
// reader does not survive a time-out.
func (c *Conn) SetReadDeadline(t time.Time) error {
	if c.inflate != nil {
		return errors.ErrUnsupported
	}
	return c.socket.SetReadDeadline(t)
}

// SetWriteDeadline fails: each Write sets its own.
func (c *Conn) SetWriteDeadline(time.Time) error { return errors.ErrUnsupported }

// SetDeadline fails, see SetWriteDeadline.
func (c *Conn) SetDeadline(time.Time) error { return errors.ErrUnsupported }
