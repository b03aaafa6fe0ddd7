package imapserver

import (
	"github.com/emersion/go-imap/v2"

	"github.com/starling-mail/starling/mailbox"
)

// useCondStore notes that the client knows mod-sequences. When it says so with a mailbox
// selected, it has to learn where that stands (RFC 7162 §3.1).
func (c *conn) useCondStore() {
	if c.enabled&condStore != 0 {
		return
	}
	c.enabled |= condStore
	if c.session != nil {
		c.highestModSeq(c.session.view.Tellable())
	}
}

// highestModSeq tells HIGHESTMODSEQ. It is told again even if nothing has changed: a client
// goes by what came with its latest command (RFC 7162 §3.2).
func (c *conn) highestModSeq(m mailbox.ModSeq) {
	c.enc.NumberCode("", imap.StatusResponseTypeOK, "HIGHESTMODSEQ", uint64(m), "highest mod-sequence")
}

// replyModSeq answers a command that expunged with the HIGHESTMODSEQ after it (RFC 7162 §3.2.7,
// §3.2.9), once the expunges are told.
func (c *conn) replyModSeq(text string) {
	if c.enabled&qResync == 0 {
		return
	}
	c.reply = func(tag string) {
		c.enc.NumberCode(tag, imap.StatusResponseTypeOK, "HIGHESTMODSEQ", uint64(c.session.view.Tellable()), text)
	}
}

// tellsUID reports whether FETCH responses that the client did not ask for carry the
// UID (RFC 7162 §3.2.4; RFC 9051 §7.5.2 recommends it).
func (c *conn) tellsUID() bool { return c.enabled&(condStore|rev2) != 0 }
