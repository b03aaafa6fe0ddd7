package conn

import (
	"strings"

	"github.com/emersion/go-imap/v2"
)

// Create is CREATE (RFC 9051 §6.3.4).
type Create struct {
	Reply
	Mailbox string
	// Use asks for special uses (RFC 6154 §3); the server must have CREATE-SPECIAL-USE.
	Use []imap.MailboxAttr

	MailboxID string // RFC 8474 §4.1
}

func (*Create) name() string { return "CREATE" }

func (c *Create) write(w *writer) {
	w.raw("CREATE ")
	w.mailbox(c.Mailbox)
	if len(c.Use) > 0 {
		uses := make([]string, len(c.Use))
		for i, u := range c.Use {
			uses[i] = string(u)
		}
		w.raw(" (USE (" + strings.Join(uses, " ") + "))")
	}
}

func (c *Create) code(_ *Conn, code imap.ResponseCode, arg *reader) bool {
	if code != "MAILBOXID" {
		return false
	}
	c.MailboxID = arg.objectID()
	return true
}

// Delete is DELETE (RFC 9051 §6.3.5).
type Delete struct {
	Reply
	Mailbox string
}

func (*Delete) name() string { return "DELETE" }

func (d *Delete) write(w *writer) {
	w.raw("DELETE ")
	w.mailbox(d.Mailbox)
}

// Rename is RENAME (RFC 9051 §6.3.6).
type Rename struct {
	Reply
	From, To string
}

func (*Rename) name() string { return "RENAME" }

func (n *Rename) write(w *writer) {
	w.raw("RENAME ")
	w.mailbox(n.From)
	w.raw(" ")
	w.mailbox(n.To)
}

// Subscribe is SUBSCRIBE, or UNSUBSCRIBE if Off is set (RFC 9051 §6.3.7, §6.3.8).
type Subscribe struct {
	Reply
	Mailbox string
	Off     bool
}

func (s *Subscribe) name() string {
	if s.Off {
		return "UNSUBSCRIBE"
	}
	return "SUBSCRIBE"
}

func (s *Subscribe) write(w *writer) {
	w.raw(s.name())
	w.raw(" ")
	w.mailbox(s.Mailbox)
}
