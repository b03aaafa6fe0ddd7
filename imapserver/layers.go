package imapserver

import (
	"github.com/emersion/go-imap/v2"
)

// handshakeError is a TLS handshake that failed; there is no way to tell the client.
type handshakeError struct{ err error }

func (e *handshakeError) Error() string { return "TLS handshake: " + e.err.Error() }
func (e *handshakeError) Unwrap() error { return e.err }

func (c *conn) secure() bool {
	_, ok := c.stream.TLS()
	return ok
}

func (c *conn) mayStartTLS() bool { return c.srv.opts.TLS != nil && !c.secure() }

// mayLogin reports whether credentials may be sent over this connection.
func (c *conn) mayLogin() bool {
	return c.secure() || c.listener.PlaintextAuth.allows(c.remote)
}

func (c *conn) mayCompress() bool {
	return c.srv.settings.Load().Compress && !c.stream.Compressed()
}

// unread is how many bytes of the client's have been read beyond the command.
func (c *conn) unread() int { return c.in.Buffered() + c.spot.Buffered() }

// errPipelined ends a connection whose client did not wait for the new layer: nobody knows
// on which side of the change what it sent belongs (RFC 9051 §6.2.1, RFC 4978 §3).
var errPipelined = &byeError{code: imap.ResponseCodeClientBug, text: "wait for the answer before you go on"}

// startTLS is STARTTLS (RFC 9051 §6.2.1). What was sent in clear behind the
// command is not from the client for sure: the connection ends.
func (c *conn) startTLS() error {
	if err := c.dec.End(); err != nil {
		return err
	}
	if !c.mayStartTLS() {
		return bad("TLS is not available here")
	}
	if c.unread() > 0 {
		return errPipelined
	}
	c.reply = func(tag string) {
		c.enc.Status(tag, imap.StatusResponseTypeOK, "", "Begin TLS negotiation now")
	}
	c.after = func(c *conn) error {
		if err := c.flush(); err != nil {
			return err
		}
		if err := c.stream.StartTLS(c.srv.closing, c.srv.opts.TLS, c.unread()); err != nil {
			return &handshakeError{err}
		}
		return nil
	}
	return nil
}

// compress is COMPRESS (RFC 4978).
func (c *conn) compress() error {
	algorithm, err := c.dec.Compress()
	if err != nil {
		return err
	}
	switch {
	case algorithm != "DEFLATE":
		return bad("only DEFLATE is known")
	case c.stream.Compressed():
		return bad("compression is active already")
	case !c.srv.settings.Load().Compress:
		return no(imap.ResponseCodeCannot, "compression is switched off")
	case c.unread() > 0:
		return errPipelined
	}
	c.after = func(c *conn) error {
		if err := c.flush(); err != nil {
			return err
		}
		if err := c.stream.StartDeflate(c.srv.deflate, c.unread()); err != nil {
			return err
		}
		return c.spot.Switch(c.stream)
	}
	return nil
}
