package conn

import (
	"context"
	"crypto/tls"
	"errors"
	"net"

	"github.com/emersion/go-imap/v2"

	"github.com/starling-mail/starling/imapserver/stream"
)

// A Security says how a connection is protected.
type Security uint8

// The kinds of protection.
const (
	TLS      Security = iota // from the first octet: port 993
	StartTLS                 // begun by STARTTLS, without which nothing is sent: port 143
	Plain                    // none
)

// A Dialer makes connections to one server. It must not be copied or changed after its
// first use; any number of goroutines may use it.
type Dialer struct {
	Addr     string // host:port
	Security Security
	// TLS is the configuration for TLS; nil is the system's. ServerName is taken from Addr if it is
	// empty.
	TLS      *tls.Config
	Limits   Limits
	Timeouts Timeouts
	// Deflate compresses for Conn.Compress, which needs it.
	Deflate *stream.Deflate
	// Connect makes the network connection in the place of a net.Dialer.
	Connect func(ctx context.Context, network, addr string) (net.Conn, error)

	buffers buffers
}

// Dial connects, begins TLS, and reads the greeting. If the server did not tell its
// capabilities, they are asked for.
func (d *Dialer) Dial(ctx context.Context) (*Conn, error) {
	nc, err := d.connect(ctx)
	if err != nil {
		return nil, &NetworkError{Op: "dial", Err: err}
	}
	c := &Conn{dialer: d, socket: &socket{Conn: nc, write: d.Timeouts.Write, wait: d.Timeouts.Response}}
	c.top = c.socket
	c.r = reader{src: c.socket, pool: &d.buffers, limits: &d.Limits}
	c.w.c = c
	finish, err := c.begin(ctx)
	if err != nil {
		nc.Close()
		return nil, err
	}
	if err := finish(c.open(ctx)); err != nil {
		return nil, c.end(err)
	}
	return c, nil
}

func (d *Dialer) connect(ctx context.Context) (net.Conn, error) {
	if t := d.Timeouts.Dial; t > 0 {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(ctx, t)
		defer cancel()
	}
	if d.Connect != nil {
		return d.Connect(ctx, "tcp", d.Addr)
	}
	return new(net.Dialer).DialContext(ctx, "tcp", d.Addr)
}

// open brings a new connection to where commands can be sent.
func (c *Conn) open(ctx context.Context) error {
	if c.dialer.Security == TLS {
		if err := c.handshake(ctx); err != nil {
			return err
		}
	}
	if err := c.greeting(); err != nil {
		return err
	}
	if c.dialer.Security == StartTLS {
		if err := c.startTLS(ctx); err != nil {
			return err
		}
	}
	return c.learn()
}

// learn asks for the capabilities unless the server has told them.
func (c *Conn) learn() error {
	if c.told {
		return nil
	}
	return c.run([]Command{&Capability{}})
}

// handshake puts TLS on the connection.
func (c *Conn) handshake(ctx context.Context) error {
	config := &tls.Config{}
	if c.dialer.TLS != nil {
		config = c.dialer.TLS.Clone()
	}
	if config.ServerName == "" {
		host, _, err := net.SplitHostPort(c.dialer.Addr)
		if err != nil {
			host = c.dialer.Addr
		}
		config.ServerName = host
	}
	if t := c.dialer.Timeouts.TLS; t > 0 {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(ctx, t)
		defer cancel()
	}
	t := tls.Client(c.socket, config)
	if err := t.HandshakeContext(ctx); err != nil {
		return c.end(&NetworkError{Op: "TLS", Err: err})
	}
	c.top, c.r.src = t, t
	return nil
}

// greeting reads the server's first response (RFC 9051 §7.1).
func (c *Conn) greeting() error {
	r := &c.r
	r.response()
	r.expect('*')
	r.space()
	kind := r.keyword()
	s := r.status(kind)
	if r.err != nil {
		return c.broken(r.err)
	}
	switch kind {
	case "OK":
	case "PREAUTH":
		// Whoever sits in between could forge it to keep TLS away (RFC 9051 §11.1).
		if c.dialer.Security == StartTLS {
			return c.end(&ProtocolError{Msg: "PREAUTH where TLS is still to be begun"})
		}
		c.loggedIn = true
	case "BYE":
		return c.end(&ByeError{Code: s.code, Text: s.text})
	default:
		return c.end(&ProtocolError{Msg: "no greeting"})
	}
	if s.code == "CAPABILITY" {
		c.able(r.text(s.arg))
	}
	return nil
}

// errNoTLS is a server that cannot begin TLS.
var errNoTLS = errors.New("server does not offer STARTTLS")

// startTLS begins TLS (RFC 9051 §6.2.1).
func (c *Conn) startTLS(ctx context.Context) error {
	if err := c.learn(); err != nil {
		return err
	}
	if !c.caps.Has(imap.CapStartTLS) {
		return c.end(&NetworkError{Op: "TLS", Err: errNoTLS})
	}
	if err := c.run([]Command{&simple{line: "STARTTLS"}}); err != nil {
		return err
	}
	// What came in clear behind the reply is not from the server for sure, and what the
	// server is said to be able to do neither.
	if c.r.pos != c.r.end {
		return c.end(&ProtocolError{Msg: "data between STARTTLS and TLS"})
	}
	c.told = false
	return c.handshake(ctx)
}
