// Package imaptest has what tests of IMAP servers share: connections without sockets, for bubbles of testing/synctest, and the picture of a
// mailbox that a client makes of what it is told.
package imaptest

import (
	"io"
	"net"
	"os"
	"sync"
	"time"
)

// A Conn is the server's end of a connection without a socket, so that it can live in a bubble. The client's end is Send, Received
// and HangUp.
type Conn struct {
	// Tap, if it is set before the server has the Conn, takes what the server writes, instead of Received. It is called by Write, which
	// waits for it, and must not keep the bytes.
	Tap func(b []byte)
	// Ended, if it is set, is called when the server closes the connection.
	Ended func()

	mu       sync.Mutex
	cond     *sync.Cond
	toServer []byte
	toClient []byte
	stuck    bool // the client does not read
	hungUp   bool // the client is gone
	closed   bool // the server closed
	readBy   time.Time
	writeBy  time.Time
}

// NewConn returns an open connection on which nothing was said yet.
func NewConn() *Conn {
	c := &Conn{}
	c.cond = sync.NewCond(&c.mu)
	return c
}

// Send gives the server bytes from the client.
func (c *Conn) Send(s string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.toServer = append(c.toServer, s...)
	c.cond.Broadcast()
}

// Received takes what the server has written.
func (c *Conn) Received() string {
	c.mu.Lock()
	defer c.mu.Unlock()
	s := string(c.toClient)
	c.toClient = nil
	return s
}

// HangUp ends the client's side.
func (c *Conn) HangUp() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.hungUp = true
	c.cond.Broadcast()
}

// SetStuck makes the client stop, or go on, reading.
func (c *Conn) SetStuck(stuck bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.stuck = stuck
	c.cond.Broadcast()
}

// Closed reports whether the server has closed the connection.
func (c *Conn) Closed() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.closed
}

func past(t time.Time) bool { return !t.IsZero() && !time.Now().Before(t) }

// wait waits until something happens, or until the deadline. The caller holds mu.
func (c *Conn) wait(deadline time.Time) {
	if !deadline.IsZero() {
		defer time.AfterFunc(time.Until(deadline), c.cond.Broadcast).Stop()
	}
	c.cond.Wait()
}

func (c *Conn) Read(p []byte) (int, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for {
		switch {
		case c.closed:
			return 0, net.ErrClosed
		case past(c.readBy):
			return 0, os.ErrDeadlineExceeded
		case len(c.toServer) > 0:
			n := copy(p, c.toServer)
			c.toServer = c.toServer[n:]
			return n, nil
		case c.hungUp:
			return 0, io.EOF
		}
		c.wait(c.readBy)
	}
}

func (c *Conn) Write(p []byte) (int, error) {
	c.mu.Lock()
	for c.stuck && !c.closed && !past(c.writeBy) {
		c.wait(c.writeBy)
	}
	gone, stuck := c.closed || c.hungUp, c.stuck
	if !gone && !stuck && c.Tap == nil {
		c.toClient = append(c.toClient, p...)
	}
	c.mu.Unlock()
	switch {
	case gone:
		return 0, net.ErrClosed
	case stuck:
		return 0, os.ErrDeadlineExceeded
	case c.Tap != nil:
		c.Tap(p)
	}
	return len(p), nil
}

// Close is the server's.
func (c *Conn) Close() error {
	c.mu.Lock()
	first := !c.closed
	c.closed = true
	c.cond.Broadcast()
	c.mu.Unlock()
	if first && c.Ended != nil {
		c.Ended()
	}
	return nil
}

// LocalAddr is on the loopback interface, as RemoteAddr is.
func (c *Conn) LocalAddr() net.Addr { return &net.TCPAddr{IP: net.IPv4(127, 0, 0, 1), Port: 143} }

// RemoteAddr is on the loopback interface.
func (c *Conn) RemoteAddr() net.Addr { return &net.TCPAddr{IP: net.IPv4(127, 0, 0, 1), Port: 4000} }

// SetDeadline sets both deadlines.
func (c *Conn) SetDeadline(t time.Time) error {
	c.SetReadDeadline(t)
	return c.SetWriteDeadline(t)
}

// SetReadDeadline bounds Reads, those in progress too.
func (c *Conn) SetReadDeadline(t time.Time) error { return c.setDeadline(&c.readBy, t) }

// SetWriteDeadline bounds Writes, those in progress too.
func (c *Conn) SetWriteDeadline(t time.Time) error { return c.setDeadline(&c.writeBy, t) }

func (c *Conn) setDeadline(at *time.Time, t time.Time) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.closed {
		return net.ErrClosed
	}
	*at = t
	c.cond.Broadcast()
	return nil
}

// A Listener accepts Conns.
type Listener struct {
	conns chan net.Conn
	once  sync.Once
	done  chan struct{}
}

// NewListener returns a Listener that nobody has connected to.
func NewListener() *Listener {
	return &Listener{conns: make(chan net.Conn), done: make(chan struct{})}
}

// Connect waits until the server accepts a Conn, which it returns.
func (l *Listener) Connect() *Conn {
	c := NewConn()
	l.Offer(c)
	return c
}

// Offer waits until the server accepts c, and returns false if it does not any more.
func (l *Listener) Offer(c net.Conn) bool {
	select {
	case l.conns <- c:
		return true
	case <-l.done:
		return false
	}
}

// Accept implements net.Listener.
func (l *Listener) Accept() (net.Conn, error) {
	select {
	case c := <-l.conns:
		return c, nil
	case <-l.done:
		return nil, net.ErrClosed
	}
}

// Close implements net.Listener.
func (l *Listener) Close() error {
	l.once.Do(func() { close(l.done) })
	return nil
}

// Addr implements net.Listener.
func (l *Listener) Addr() net.Addr { return &net.TCPAddr{IP: net.IPv4(127, 0, 0, 1), Port: 143} }
