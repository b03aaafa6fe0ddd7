package conn

import (
	"github.com/emersion/go-imap/v2"

	"github.com/starling-mail/starling/mailbox"
)

// Store is UID STORE (RFC 9051 §6.4.6, RFC 7162 §3.1.3).
type Store struct {
	Reply
	UIDs   imap.UIDSet // not empty
	Op     imap.StoreFlagsOp
	Flags  []imap.Flag
	Silent bool
	// UnchangedSince, if set, leaves messages with a higher mod-sequence alone.
	UnchangedSince *mailbox.ModSeq

	// Rows are what the server told of messages meanwhile, others' too. Where several commands
	// were sent at once, those of a Store may be in the one before, or in a Fetch's messages.
	Rows      []Row
	Truncated bool        // Rows are not all, for they took too much memory
	Modified  imap.UIDSet // left alone because of UnchangedSince
}

func (*Store) name() string { return "UID STORE" }

func (s *Store) write(w *writer) {
	w.raw("UID STORE ")
	w.uids(s.UIDs)
	if s.UnchangedSince != nil {
		w.raw(" (UNCHANGEDSINCE ")
		w.number(uint64(*s.UnchangedSince))
		w.raw(")")
	}
	w.raw(" " + [...]string{imap.StoreFlagsSet: "", imap.StoreFlagsAdd: "+", imap.StoreFlagsDel: "-"}[s.Op] + "FLAGS")
	if s.Silent {
		w.raw(".SILENT")
	}
	w.raw(" ")
	w.flags(s.Flags)
}

func (s *Store) update(r *reader, u *Update) bool {
	if u.Kind != Fetched {
		return false
	}
	if s.Truncated = s.Truncated || !r.hold(rowSize); !s.Truncated {
		s.Rows = append(s.Rows, u.Row)
	}
	return true
}

func (s *Store) code(_ *Conn, code imap.ResponseCode, arg *reader) bool {
	if code != "MODIFIED" {
		return false
	}
	s.Modified, _ = arg.uids()
	return true
}

// Copy is UID COPY, or UID MOVE (RFC 9051 §6.4.7, §6.4.8).
type Copy struct {
	Reply
	UIDs    imap.UIDSet // not empty
	Mailbox string
	Move    bool // the server must have MOVE

	// COPYUID (RFC 4315 §3), if the server told it: which UIDs became which in the mailbox. The
	// sets correspond in order and need not ascend.
	UIDValidity  uint32
	Source, Dest imap.UIDSet
}

func (c *Copy) name() string {
	if c.Move {
		return "UID MOVE"
	}
	return "UID COPY"
}

func (c *Copy) write(w *writer) {
	w.raw(c.name())
	w.raw(" ")
	w.uids(c.UIDs)
	w.raw(" ")
	w.mailbox(c.Mailbox)
}

func (c *Copy) code(_ *Conn, code imap.ResponseCode, arg *reader) bool {
	if code != "COPYUID" {
		return false
	}
	c.UIDValidity = arg.number()
	arg.space()
	// Empty sets are not in the grammar, but in the world.
	if isDigit(arg.peek()) {
		c.Source, _ = arg.ranges()
		arg.space()
		c.Dest, _ = arg.ranges()
	}
	return true
}

// Expunge is UID EXPUNGE (RFC 4315 §2.1), for which the server must have UIDPLUS, or EXPUNGE if
// there are no UIDs (RFC 9051 §6.4.3). What is gone comes as updates.
type Expunge struct {
	Reply
	UIDs imap.UIDSet
}

func (e *Expunge) name() string {
	if len(e.UIDs) > 0 {
		return "UID EXPUNGE"
	}
	return "EXPUNGE"
}

func (e *Expunge) write(w *writer) {
	w.raw(e.name())
	if len(e.UIDs) > 0 {
		w.raw(" ")
		w.uids(e.UIDs)
	}
}
