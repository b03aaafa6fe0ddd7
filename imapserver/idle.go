package imapserver

import (
	"strings"
	"time"

	"github.com/emersion/go-imap/v2"

	"github.com/starling-mail/starling/imapserver/wire"
)

// beginIdle is IDLE (RFC 9051 §6.3.13). From here until DONE the connection has
// no command to run: it waits, parked, and tells what wakes it.
func (c *conn) beginIdle() error {
	if err := c.dec.End(); err != nil {
		return err
	}
	c.enc.Continuation("idling")
	c.began = time.Now()
	c.spoke = c.began
	if c.session != nil {
		c.session.idling.Store(true)
	}
	return nil
}

// endIdle reads the line that ends IDLE.
func (c *conn) endIdle() error {
	line, err := c.dec.ReadLine()
	if err != nil {
		return desync(err)
	}
	tag := c.idle
	c.idle = ""
	if c.session != nil {
		c.session.idling.Store(false)
	}
	// Only DONE may come now: the server "will not be able to distinguish
	// a command from a continuation" (RFC 9051 §6.3.13).
	if !strings.EqualFold(string(line), "DONE") {
		c.enc.Status(tag, imap.StatusResponseTypeBad, "", "expected DONE")
		return &byeError{code: imap.ResponseCodeClientBug, text: "expected DONE"}
	}
	if err := c.tell(true); err != nil {
		return err
	}
	c.reply = nil
	return c.answer(wire.Command{Tag: tag, Name: "IDLE"}, nil)
}
