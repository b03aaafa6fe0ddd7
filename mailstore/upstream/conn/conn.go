package conn

import (
	"context"
	"errors"
	"io"
	"sync"
	"sync/atomic"

	"github.com/emersion/go-imap/v2"
)

// A Conn is one connection to a server. One goroutine at a time may use it; Close may be
// called by any, at any time.
type Conn struct {
	// Updates, if set, gets what the server tells that no command asked for. It is called by
	// whoever uses the Conn, during operations only, and must not use the Conn itself.
	// It may be changed between operations.
	Updates func(Update)

	dialer *Dialer
	socket *socket   // deadlines, and what Close closes
	top    io.Writer // socket, TLS on it, or DEFLATE on top
	r      reader
	w      writer

	caps     imap.CapSet
	told     bool // caps is what the server told since it could last have changed
	utf8     bool // ENABLE UTF8=ACCEPT or IMAP4rev2
	qresync  bool
	loggedIn bool
	selected Selected

	tags     uint64
	pending  []*pending
	messages *Messages // of the Fetch in progress
	bye      *ByeError
	skipped  uint64

	closed atomic.Bool
	mu     sync.Mutex
	err    error // why it was closed
}

// A pending is a command whose reply has not been read.
type pending struct {
	tag  string
	cmd  Command
	done bool
}

// Selected is the mailbox that a connection has selected. Name is empty if there is none.
type Selected struct {
	Name        string
	ReadOnly    bool
	UIDValidity uint32
}

// Caps returns what the server can do, as it told last. Before login it may be less.
// Names are in upper case, IMAP4rev1 and IMAP4rev2 excepted.
func (c *Conn) Caps() imap.CapSet { return c.caps }

// Selected returns the selected mailbox.
func (c *Conn) Selected() Selected { return c.selected }

// QResync reports whether QRESYNC was enabled: expunges come as Vanished.
func (c *Conn) QResync() bool { return c.qresync }

// UTF8 reports whether strings of the server's may hold UTF-8 in quotes (RFC 6855 §3).
func (c *Conn) UTF8() bool { return c.utf8 }

// Skipped counts responses and names that were not understood.
func (c *Conn) Skipped() uint64 { return c.skipped }

// Err returns why the connection has ended, nil if it may be used. Any goroutine may ask.
func (c *Conn) Err() error {
	if !c.closed.Load() {
		return nil
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.err
}

// Close ends the connection without a word; an operation in progress fails. See
// Logout for the polite way.
func (c *Conn) Close() error {
	_ = c.end(&NetworkError{Op: "close", Err: ErrClosed})
	return nil
}

// end closes the connection, of which err is the reason unless there was one before. It
// returns the reason.
func (c *Conn) end(err error) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.err == nil {
		c.err = err
		c.closed.Store(true)
		_ = c.socket.Close() // not TLS's, which waits for the server to take its goodbye
	}
	return c.err
}

// begin begins an operation, which finish ends. When ctx ends, so does the connection.
func (c *Conn) begin(ctx context.Context) (finish func(error) error, err error) {
	if err := c.Err(); err != nil {
		return nil, err
	}
	if err := ctx.Err(); err != nil {
		return nil, context.Cause(ctx) // nothing was done
	}
	c.r.begin()
	stop := context.AfterFunc(ctx, func() {
		_ = c.end(&NetworkError{Op: "wait", Err: context.Cause(ctx)})
	})
	return func(err error) error {
		if !stop() && err == nil {
			// It is being closed. All that was asked for has come.
			_ = c.end(&NetworkError{Op: "wait", Err: context.Cause(ctx)})
		}
		c.pending = nil
		c.w.release()
		c.r.release()
		return err
	}, nil
}

// Do sends commands in one write and waits for all replies. The error is that of the first
// command that failed, or why the connection ended. Commands after one that failed are run by
// the server all the same: behind a Select that may fail, send only what does no harm when no
// mailbox is selected. Nothing is read while commands are written, literals that must wait apart: they
// should be a few, not thousands.
//
// Each command has its own outcome in Reply.Err.
func (c *Conn) Do(ctx context.Context, cmds ...Command) error {
	finish, err := c.begin(ctx)
	if err != nil {
		return err
	}
	return finish(c.run(cmds))
}

func (c *Conn) run(cmds []Command) error {
	err := c.send(cmds)
	if err == nil {
		err = c.wait()
	}
	var first error
	for _, cmd := range cmds {
		r := cmd.reply()
		if r.Err == nil && err != nil && !c.isDone(cmd) {
			r.Err = err
		}
		if first == nil {
			first = r.Err
		}
	}
	if err != nil {
		return err
	}
	return first
}

// isDone reports whether a command's reply has come.
func (c *Conn) isDone(cmd Command) bool {
	for _, p := range c.pending {
		if p.cmd == cmd {
			return p.done
		}
	}
	return false
}

// send writes commands.
func (c *Conn) send(cmds []Command) error {
	for _, cmd := range cmds {
		p := &pending{tag: c.tag(), cmd: cmd}
		c.pending = append(c.pending, p)
		c.w.command(p)
	}
	return c.w.flush()
}

// wait reads until all commands have ended.
func (c *Conn) wait() error {
	for c.current() != nil {
		a, err := c.step()
		if err != nil {
			return err
		}
		switch a {
		case continued:
			return c.end(&ProtocolError{Msg: "continuation that no command waits for"})
		case message:
			return nil
		}
	}
	return nil
}

// await reads until the server lets p go on, or has ended it: then it returns false.
func (c *Conn) await(p *pending) (bool, error) {
	for !p.done {
		a, err := c.step()
		if err != nil {
			return false, err
		}
		switch {
		case a == continued && c.current() == p.cmd:
			return true, nil
		case a == continued:
			return false, c.end(&ProtocolError{Msg: "continuation that no command waits for"})
		case a == message:
			return false, c.end(errors.New("conn: a command with a literal was sent behind a fetch"))
		}
	}
	return false, nil
}
