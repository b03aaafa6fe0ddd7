package imapserver

import (
	"errors"
	"io"
	"net"
	"net/netip"
	"os"
	"runtime/debug"
	"sync/atomic"
	"time"

	"github.com/emersion/go-imap/v2"
	"github.com/rs/zerolog"

	"github.com/starling-mail/starling/imapserver/park"
	"github.com/starling-mail/starling/imapserver/stream"
	"github.com/starling-mail/starling/mailbox"
	"github.com/starling-mail/starling/mailstore"
)

// A conn is one client's connection. Its fields belong to the goroutine that
// owns it, which is the one that park.Spot woke, or the first one.
type conn struct {
	srv      *Server
	listener *ListenerOptions
	stream   *stream.Conn
	spot     *park.Spot
	remote   netip.Addr

	*workspace               // nil while parked
	linger     time.Duration // not 0: how long Read waits between commands

	state   state
	user    mailbox.User // zero before login
	traits  mailstore.Traits
	enabled extension
	session *session // nil unless selected
	idle    string   // tag of the IDLE in progress, or empty
	bad     int      // commands answered with BAD before login
	ended   bool
	counted standing    // in the Server's counters
	leaving atomic.Bool // set by Server.Drain: end before the next command

	// began is when the connection began or the last command was complete; spoke is when
	// something was last written in IDLE. The timers count from them.
	began, spoke time.Time
	// retry is when news that could not be told in IDLE is tried again; zero: there is none.
	retry time.Time
}

// state is where a connection stands (RFC 9051 §3).
type state uint8

const (
	notAuthenticated state = 1 << iota
	authenticated
	selected

	loggedIn = authenticated | selected
	anyState = notAuthenticated | authenticated | selected
)

// log returns an event with what identifies the connection.
func (c *conn) log(e *zerolog.Event) *zerolog.Event {
	e = e.Stringer("remote", c.remote)
	if c.user.Name != "" {
		e = e.Str("user", c.user.Name)
	}
	return e
}

// wake is what the Spot calls: the connection has an owner again.
func (c *conn) wake(why park.Reason) { c.own(why, (*conn).serve) }

// own does work until the connection is parked again or has ended. A panic, which is
// a fault of ours, ends this connection only (P5).
func (c *conn) own(why park.Reason, work func(*conn, park.Reason) error) {
	defer func() {
		if p := recover(); p != nil {
			c.log(c.srv.opts.Log.Error()).Interface("panic", p).Bytes("stack", debug.Stack()).Msg("connection ended by a fault")
			c.end(errFault)
		}
	}()
	c.workspace = c.srv.lend(c)
	if err := work(c, why); err != errParked {
		c.end(err)
	}
}

// errClosing ends connections when the server stops.
var errClosing = &byeError{code: imap.ResponseCodeUnavailable, text: "server is shutting down"}

// errFault ends a connection after a panic. The client is told nothing: it may have been in
// the middle of a literal.
var errFault = errors.New("internal fault")

// errParked says that the connection has no owner any more: nothing of it may be touched.
var errParked = errors.New("parked")

// serve tells the client what it waits for and runs its commands, until there are no more.
func (c *conn) serve(why park.Reason) error {
	// Only a read can leave bytes in a layer above the socket.
	drained := why != park.Readable
	fresh := !drained
	for {
		c.spot.Pending() // what comes from now on wakes again
		if c.srv.closing.Err() != nil {
			return errClosing
		}
		if c.leaving.Load() {
			return errDrained
		}
		if err := c.timers(); err != nil {
			return err
		}
		if c.idle != "" {
			if err := c.tell(true); err != nil {
				return err
			}
		}
		if err := c.flush(); err != nil {
			return err
		}
		if !drained {
			ready, err := c.await(fresh)
			fresh = false
			if err != nil {
				return err
			}
			if ready {
				if err := c.next(); err != nil {
					return err
				}
				continue
			}
		}
		deadline := c.deadline()
		c.srv.takeBack(c)
		if !c.spot.Park(deadline) {
			c.workspace = c.srv.lend(c)
			return net.ErrClosed
		}
		return errParked
	}
}

// await reports whether the client has sent something, after waiting a little. fresh says
// that nothing was read since the connection was woken because there is something to read.
//
// In IDLE there is nothing to wait for: whoever idles sends nothing soon. But a deadline in the
// past brings out only what the layers above the socket hold, so a fresh owner needs one that is not.
func (c *conn) await(fresh bool) (bool, error) {
	if c.in.Buffered() > 0 {
		return true, nil
	}
	c.linger = c.srv.settings.Load().ParkAfter
	if c.idle != "" && !fresh {
		c.linger = -time.Second
	}
	_, err := c.in.Peek(1)
	c.linger = 0
	if errors.Is(err, os.ErrDeadlineExceeded) {
		return false, nil
	}
	return true, err
}

// Read reads for c.in, and gives the client as long as is due.
func (c *conn) Read(p []byte) (int, error) {
	st, now := c.srv.settings.Load(), time.Now()
	wait := st.CommandTimeout // in the middle of a command
	if c.linger != 0 {
		wait = c.linger
	}
	if c.state == notAuthenticated {
		wait = min(wait, c.began.Add(st.LoginTimeout).Sub(now))
	}
	if err := c.spot.SetReadDeadline(now.Add(wait)); err != nil {
		return 0, &clientError{err}
	}
	n, err := c.spot.Read(p)
	c.srv.counters.received.Add(uint64(n))
	switch {
	case err == nil || err == io.EOF:
	case c.linger == 0 && errors.Is(err, os.ErrDeadlineExceeded):
		err = &byeError{text: "the command did not come to its end in time"}
	default:
		err = &clientError{err}
	}
	return n, err
}

// deadline is when the connection is to be woken if nothing else happens.
func (c *conn) deadline() time.Time {
	st := c.srv.settings.Load()
	if c.state == notAuthenticated {
		return c.began.Add(st.LoginTimeout)
	}
	d := c.began.Add(st.Autologout)
	if c.idle != "" && st.KeepAlive > 0 {
		d = earlier(d, c.spoke.Add(st.KeepAlive))
	}
	if c.idle != "" && !c.retry.IsZero() {
		d = earlier(d, c.retry)
	}
	return d
}

func earlier(a, b time.Time) time.Time {
	if b.Before(a) {
		return b
	}
	return a
}

// timers does what is due.
func (c *conn) timers() error {
	st, now := c.srv.settings.Load(), time.Now()
	switch {
	case c.state == notAuthenticated:
		if now.Sub(c.began) >= st.LoginTimeout {
			return &byeError{text: "no login in time"}
		}
	case now.Sub(c.began) >= st.Autologout:
		return &byeError{text: "idle too long"} // RFC 9051 §5.4
	case c.idle != "" && st.KeepAlive > 0 && now.Sub(c.spoke) >= st.KeepAlive:
		c.untagged(imap.StatusResponseTypeOK, "", "Still here")
	}
	return nil
}

// end closes the connection, with a BYE if err asks for it. The caller is the owner.
func (c *conn) end(err error) {
	if c.ended {
		return // it was ending that failed
	}
	c.ended = true
	c.count()
	defer c.srv.remove(c)
	if bye, ok := errors.AsType[*byeError](err); ok {
		c.untagged(imap.StatusResponseTypeBye, bye.code, bye.text)
		_ = c.flush() // the client may be gone already
	} else if err != errLogout && err != errFault && !gone(err) {
		c.log(c.srv.opts.Log.Info()).Err(err).Msg("connection ended")
	}
	c.unselect()
	if c.state != notAuthenticated {
		c.srv.census.logout(c.user.Account)
		c.endLogin(c.user.Account)
	}
	c.srv.census.leave(c.remote)
	c.srv.takeBack(c)
	c.spot.Close()
	c.stream.Close()
}

// A clientError is a failure of the client's stream: the client is gone, or does not take
// what is written to it.
type clientError struct{ err error }

func (e *clientError) Error() string { return "client: " + e.err.Error() }
func (e *clientError) Unwrap() error { return e.err }

// gone reports whether err says that the client's stream has come to its end. Only what
// Read and flush return is meant: a store may fail with the like.
func gone(err error) bool {
	_, failed := errors.AsType[*clientError](err)
	return failed || err == io.EOF || err == io.ErrUnexpectedEOF || err == net.ErrClosed
}
