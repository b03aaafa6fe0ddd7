package imapserver_test

import (
	"io"
	"net"
	"os"
	"sync"
	"time"
)

// A fakeConn is the server's end of a connection without a socket, so that it can live
// in a synctest bubble: the client's end is Send, Received and HangUp.
type fakeConn struct {
	mu       sync.Mutex
	cond     *sync.Cond
	toServer []byte
	toClient []byte
	stuck    bool // the client does not read
	hungUp   bool // the client is gone
	closed   bool // the server closed
	readBy   time.Time
	writeBy  time.Time
	timer    [2]*time.Timer
}

func newFakeConn() *fakeConn {
	c := &fakeConn{}
	c.cond = sync.NewCond(&c.mu)
	return c
}

// Send gives the server bytes from the client.
func (c *fakeConn) Send(s string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.toServer = append(c.toServer, s...)
	c.cond.Broadcast()
}

// Received takes what the server has written.
func (c *fakeConn) Received() string {
	c.mu.Lock()
	defer c.mu.Unlock()
	s := string(c.toClient)
	c.toClient = nil
	return s
}

// HangUp ends the client's side.
func (c *fakeConn) HangUp() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.hungUp = true
	c.cond.Broadcast()
}

// SetStuck makes the client stop, or go on, reading.
func (c *fakeConn) SetStuck(stuck bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.stuck = stuck
	c.cond.Broadcast()
}

// Closed reports whether the server has closed the connection.
func (c *fakeConn) Closed() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.closed
}

func past(t time.Time) bool { return !t.IsZero() && !time.Now().Before(t) }

func (c *fakeConn) Read(p []byte) (int, error) {
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
		c.cond.Wait()
	}
}

func (c *fakeConn) Write(p []byte) (int, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for c.stuck && !c.closed && !past(c.writeBy) {
		c.cond.Wait()
	}
	switch {
	case c.closed || c.hungUp:
		return 0, net.ErrClosed
	case c.stuck:
		return 0, os.ErrDeadlineExceeded
	}
	c.toClient = append(c.toClient, p...)
	return len(p), nil
}

func (c *fakeConn) Close() error {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.closed = true
	c.cond.Broadcast()
	for _, t := range c.timer {
		if t != nil {
			t.Stop()
		}
	}
	return nil
}

func (c *fakeConn) LocalAddr() net.Addr  { return &net.TCPAddr{IP: net.IPv4(127, 0, 0, 1), Port: 143} }
func (c *fakeConn) RemoteAddr() net.Addr { return &net.TCPAddr{IP: net.IPv4(127, 0, 0, 1), Port: 4000} }

func (c *fakeConn) SetDeadline(t time.Time) error {
	c.SetReadDeadline(t)
	return c.SetWriteDeadline(t)
}

func (c *fakeConn) SetReadDeadline(t time.Time) error  { return c.setDeadline(0, &c.readBy, t) }
func (c *fakeConn) SetWriteDeadline(t time.Time) error { return c.setDeadline(1, &c.writeBy, t) }

func (c *fakeConn) setDeadline(i int, at *time.Time, t time.Time) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.closed {
		return net.ErrClosed
	}
	*at = t
	if c.timer[i] != nil {
		c.timer[i].Stop()
	}
	if !t.IsZero() {
		c.timer[i] = time.AfterFunc(time.Until(t), c.cond.Broadcast)
	}
	c.cond.Broadcast()
	return nil
}

// A fakeListener accepts fakeConns.
type fakeListener struct {
	conns chan net.Conn
	once  sync.Once
	done  chan struct{}
}

func newFakeListener() *fakeListener {
	return &fakeListener{conns: make(chan net.Conn), done: make(chan struct{})}
}

func (l *fakeListener) Connect() *fakeConn {
	c := newFakeConn()
	l.conns <- c
	return c
}

func (l *fakeListener) Accept() (net.Conn, error) {
	select {
	case c := <-l.conns:
		return c, nil
	case <-l.done:
		return nil, net.ErrClosed
	}
}

func (l *fakeListener) Close() error {
	l.once.Do(func() { close(l.done) })
	return nil
}

func (l *fakeListener) Addr() net.Addr { return &net.TCPAddr{IP: net.IPv4(127, 0, 0, 1), Port: 143} }
