package lmtp

import (
	"errors"
	"io"
	"net"
	"os"
	"sync"
	"time"

	"github.com/emersion/go-smtp"
)

// maxCommandLine is the longest line that is read as a command, in bytes. It
// is well above RFC 5321's and above what one read beyond a command may take
// in of the chunk that follows it (BDAT), which has no lines.
const maxCommandLine = 64 << 10

// A conn is a client's connection below go-smtp. It does what go-smtp does
// not: it times each read and not only commands, it ends at shutdown when the client is
// idle, and it bounds the lines of commands but not those of messages.
type conn struct {
	net.Conn
	timeout time.Duration
	closed  func() // called once, when the connection is closed
	once    sync.Once

	mu       sync.Mutex
	stopping bool
	// idle: a command is waited for. It is set by go-smtp's SetReadDeadline before
	// each command, and cleared when a message comes.
	idle bool
	line int // bytes since the last line end, while idle
}

// SetReadDeadline is called by go-smtp before it waits for a command. The
// deadline itself is for Read to choose.
func (c *conn) SetReadDeadline(time.Time) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.idle, c.line = true, 0
	return nil
}

// message returns r, the message that go-smtp reads from the connection, such
// that while it is read the connection is not idle.
func (c *conn) message(r io.Reader) io.Reader {
	c.busy()
	return readerFunc(func(p []byte) (int, error) {
		n, err := r.Read(p)
		c.busy() // again in each chunk (BDAT): a command came before it
		return n, err
	})
}

func (c *conn) busy() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.idle = false
}

type readerFunc func([]byte) (int, error)

func (f readerFunc) Read(p []byte) (int, error) { return f(p) }

// stop ends the connection as soon as it is idle.
func (c *conn) stop() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.stopping = true
	if c.idle {
		c.Conn.SetReadDeadline(past) // an error means that it is closed
	}
}

// past is a deadline that is over.
var past = time.Unix(1, 0)

// Read waits for the client no longer than the timeout, and not at all when the
// server stops and no message is under way: then it takes its leave and reports the end.
func (c *conn) Read(p []byte) (int, error) {
	if err := c.arm(); err != nil {
		return 0, err
	}
	n, err := c.Conn.Read(p)
	c.mu.Lock()
	leaving := c.stopping && c.idle && errors.Is(err, os.ErrDeadlineExceeded)
	long := c.idle && c.tooLong(p[:n])
	c.mu.Unlock()
	if leaving {
		c.say("421 4.3.2 Service shutting down\r\n")
		return n, io.EOF
	}
	if long {
		return 0, smtp.ErrTooLongLine
	}
	return n, err
}

func (c *conn) arm() error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.stopping && c.idle {
		return c.Conn.SetReadDeadline(past)
	}
	return c.Conn.SetReadDeadline(time.Now().Add(c.timeout))
}

func (c *conn) tooLong(read []byte) bool {
	for _, b := range read {
		if c.line++; b == '\n' {
			c.line = 0
		}
	}
	return c.line > maxCommandLine
}

// say writes a last line to a client who may not be listening.
func (c *conn) say(line string) {
	c.Conn.SetWriteDeadline(time.Now().Add(time.Second))
	io.WriteString(c.Conn, line)
}

// Close closes the connection.
func (c *conn) Close() error {
	c.once.Do(c.closed)
	return c.Conn.Close()
}
