package imapserver

import (
	"errors"
	"io"
	"net"
	"net/netip"
	"os"
	"runtime/debug"
	"time"

	"github.com/emersion/go-imap/v2"
	"github.com/rs/zerolog"

	"github.com/starling-mail/starling/imapserver/park"
	"github.com/starling-mail/starling/imapserver/stream"
	"github.com/starling-mail/starling/mailbox"
)

// A conn is one client's connection. Its fields belong to the goroutine that
// owns it, which is the one that park.Spot woke, or the first one.
type conn struct {
	srv      *Server
	listener *listener
	stream   *stream.Conn
	spot     *park.Spot
	remote   netip.Addr

	*workspace               // nil while parked
	linger     time.Duration // not 0: how long Read waits between commands

	state   state
	user    mailbox.User // zero before login
	enabled extension
	session *session // nil unless selected
	idle    string   // tag of the IDLE in progress, or empty
	bad     int      // commands answered with BAD before login

	// began is when the connection began or the last command was complete; spoke is when
	// something was last written in IDLE. The timers count from them.
	began, spoke time.Time
	// retry is when news that could not be told in IDLE is tried again; zero: there is none.
	retry time.Time
}

// A listener is what the connections of one Serve call share.
type listener struct {
	ListenerOptions
	stream stream.Options
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
			c.end(&byeError{code: "SERVERBUG", text: "internal error"})
		}
	}()
	c.workspace = c.srv.lend(c)
	if err := work(c, why); err != errParked {
		c.end(err)
	}
}

// errParked says that the connection has no owner any more: nothing of it may be touched.
var errParked = errors.New("parked")

// serve tells the client what it waits for and runs its commands, until there are no more.
func (c *conn) serve(why park.Reason) error {
	// Only a read can leave bytes in a layer above the socket.
	drained := why != park.Readable
	for {
		if c.srv.closing.Err() != nil {
			return &byeError{code: "UNAVAILABLE", text: "server is shutting down"}
		}
		if err := c.timers(); err != nil {
			return err
		}
		if c.idle != "" {
			c.spot.Pending() // what comes from now on wakes again
			if err := c.tell(true); err != nil {
				return err
			}
		}
		if err := c.flush(); err != nil {
			return err
		}
		if !drained {
			ready, err := c.await()
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
		c.spot.Park(deadline)
		return errParked
	}
}

// await reports whether the client has sent something, after waiting a little.
// In IDLE it waits hardly at all: whoever idles sends nothing soon. A deadline in the past
// would not do: on a socket even what has come cannot be read after it.
func (c *conn) await() (bool, error) {
	if c.in.Buffered() > 0 {
		return true, nil
	}
	c.linger = c.srv.settings.Load().ParkAfter
	if c.idle != "" {
		c.linger = time.Millisecond
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
		return 0, err
	}
	return c.spot.Read(p)
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
	defer c.srv.remove(c)
	if bye, ok := errors.AsType[*byeError](err); ok {
		c.untagged(imap.StatusResponseTypeBye, bye.code, bye.text)
		_ = c.flush() // the client may be gone already
	} else if err != nil && err != errLogout && !gone(err) {
		c.log(c.srv.opts.Log.Info()).Err(err).Msg("connection ended")
	}
	c.unselect()
	if c.state != notAuthenticated {
		c.srv.census.logout(c.user.Account)
	}
	c.srv.census.leave(c.remote)
	c.srv.takeBack(c)
	c.spot.Close()
	c.stream.Close()
}

// gone reports whether err says no more than that the client is no longer there.
func gone(err error) bool {
	return err == io.EOF || errors.Is(err, io.ErrUnexpectedEOF) || errors.Is(err, net.ErrClosed) ||
		errors.Is(err, os.ErrDeadlineExceeded) || isReset(err)
}
