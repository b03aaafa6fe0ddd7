package probe

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"log"
	"net"
	"sync"
	"time"

	"github.com/emersion/go-imap"
	"github.com/emersion/go-imap/client"
	"github.com/emersion/go-imap/responses"
	"github.com/emersion/go-sasl"
)

// A conn is one login on one node. One goroutine uses it at a time.
type conn struct {
	node    Node
	timeout time.Duration // for each answer
	poll    time.Duration
	wire    *socket
	client  *client.Client
	view    *view
	idles   bool // the server has IDLE
}

// A socket keeps the first error of a connection, and shows the client an end of
// the stream instead: what else it reads it would print.
type socket struct {
	net.Conn
	mu    sync.Mutex
	cause error
}

// Read implements net.Conn.
func (s *socket) Read(b []byte) (int, error) {
	n, err := s.Conn.Read(b)
	if err == nil {
		return n, nil
	}
	s.note(err)
	return n, io.EOF
}

// note keeps the first cause.
func (s *socket) note(err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.cause == nil {
		s.cause = err
	}
}

// cut ends the connection for a reason of ours.
func (s *socket) cut(cause error) {
	s.note(cause)
	s.Close()
}

func (s *socket) why() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.cause
}

// dial connects and logs in. The caller closes the conn.
func dial(ctx context.Context, o *Options, n Node) (_ *conn, err error) {
	c := &conn{node: n, timeout: o.Timeout, poll: o.Poll, view: newView()}
	defer func() {
		if err != nil {
			err = fmt.Errorf("%s: %w", n.Name, err)
		}
	}()
	ctx, cancel := context.WithTimeoutCause(ctx, o.Timeout, noAnswer(o.Timeout))
	defer cancel()
	var d net.Dialer
	raw, err := d.DialContext(ctx, "tcp", n.Addr)
	if err != nil {
		return nil, err
	}
	c.wire = &socket{Conn: raw}
	// All that follows ends with ctx: the client itself knows no context.
	defer context.AfterFunc(ctx, func() { c.wire.cut(context.Cause(ctx)) })()
	if err := c.open(ctx, o); err != nil {
		if lost := c.wire.why(); lost != nil && !errors.Is(lost, io.EOF) && !errors.Is(lost, net.ErrClosed) {
			err = lost // what go-imap makes of it says less
		}
		c.close()
		return nil, err
	}
	return c, nil
}

// open brings a new connection to the login.
func (c *conn) open(ctx context.Context, o *Options) (err error) {
	conf := tlsConfig(o.TLS, c.node.Addr)
	var stream net.Conn = c.wire
	if c.node.Security == ImplicitTLS {
		t := tls.Client(c.wire, conf)
		if err := t.HandshakeContext(ctx); err != nil {
			return fmt.Errorf("TLS: %w", err)
		}
		stream = t
	}
	cl, err := client.New(stream)
	if err != nil {
		return fmt.Errorf("no greeting: %w", err)
	}
	cl.ErrorLog = log.New(io.Discard, "", 0)
	c.client = cl
	if c.node.Security == StartTLS {
		if err := c.startTLS(conf); err != nil {
			return err
		}
	}
	if err := c.login(o.User, o.Password); err != nil {
		return fmt.Errorf("login of %s: %w", o.User, err)
	}
	c.idles, err = cl.Support("IDLE")
	return err
}

// tlsConfig is that of the options, with the node's own name if they have none.
func tlsConfig(t *tls.Config, addr string) *tls.Config {
	if t == nil {
		t = new(tls.Config)
	}
	t = t.Clone()
	if t.ServerName == "" {
		t.ServerName, _, _ = net.SplitHostPort(addr)
	}
	return t
}

// startTLS begins TLS. A server without it is accepted on this machine only.
func (c *conn) startTLS(conf *tls.Config) error {
	ok, err := c.client.SupportStartTLS()
	if err != nil {
		return err
	}
	if ok {
		if err := c.client.StartTLS(conf); err != nil {
			return fmt.Errorf("STARTTLS: %w", err)
		}
		return nil
	}
	if peer, ok := c.wire.RemoteAddr().(*net.TCPAddr); ok && peer.IP.IsLoopback() {
		return nil
	}
	return errors.New("the server has no STARTTLS; plain:// would send the password in the clear")
}

func (c *conn) login(user, password string) error {
	ok, err := c.client.SupportAuth(sasl.Plain)
	switch {
	case err != nil:
		return err
	case ok:
		return c.client.Authenticate(sasl.NewPlainClient("", user, password))
	case !ascii(user) || !ascii(password):
		return errors.New("the server has no AUTHENTICATE PLAIN, and LOGIN takes ASCII only")
	}
	return c.client.Login(user, password)
}

func ascii(s string) bool {
	for i := range len(s) {
		if s[i] < ' ' || s[i] > '~' {
			return false
		}
	}
	return true
}

// close ends the connection at once, and waits for the client's reader.
func (c *conn) close() {
	c.wire.Close()
	if c.client != nil {
		<-c.client.LoggedOut()
	}
}

// do runs one command. An error that is not a refusal means that the connection is
// gone.
func (c *conn) do(cmd imap.Commander, h responses.Handler) error {
	return c.guard(func() error { return c.execute(cmd, h) })
}

// execute runs one command, however long it takes.
func (c *conn) execute(cmd imap.Commander, h responses.Handler) error {
	status, err := c.client.Execute(cmd, tee{c.view, h})
	if err != nil {
		return c.lost(err)
	}
	if err := status.Err(); err != nil {
		return &refusal{c.node.Name, cmd.Command().Name, err.Error()}
	}
	return nil
}

// guard runs f, which waits for the server, and ends the connection if it
// takes too long.
func (c *conn) guard(f func() error) error {
	t := time.AfterFunc(c.timeout, func() { c.wire.cut(noAnswer(c.timeout)) })
	defer t.Stop()
	return f()
}

func noAnswer(after time.Duration) error { return fmt.Errorf("no answer in %v", after) }

// lost makes the error of a connection that has ended.
func (c *conn) lost(err error) error {
	if text := c.view.farewell(); text != "" {
		return fmt.Errorf("%s: the server ended the connection: %q", c.node.Name, text)
	}
	if c.client.State() == imap.LogoutState { // BYE came between two commands
		return fmt.Errorf("%s: the server ended the connection", c.node.Name)
	}
	if cause := c.wire.why(); cause != nil && !errors.Is(cause, io.EOF) {
		err = cause
	}
	return fmt.Errorf("%s: connection lost: %w", c.node.Name, err)
}

// A refusal is a command's NO or BAD; the connection goes on.
type refusal struct{ node, command, text string }

func (r *refusal) Error() string {
	return fmt.Sprintf("%s: %s refused: %q", r.node, r.command, r.text)
}
