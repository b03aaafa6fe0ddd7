package conn

import (
	"strings"

	"github.com/emersion/go-imap/v2"

	"github.com/starling-mail/starling/mailbox"
)

// Select is SELECT or EXAMINE (RFC 9051 §6.3.2, §6.3.3). If it fails, no mailbox is selected.
type Select struct {
	Reply
	Mailbox   string // UTF-8
	ReadOnly  bool   // EXAMINE
	CondStore bool   // ask for mod-sequences (RFC 7162 §3.1.8)
	// Since, if set, asks for what has changed since, by QRESYNC (RFC 7162 §3.2.5), which must
	// have been enabled.
	Since *Since

	// What the server told.
	Exists         uint32
	FirstUnseen    uint32 // sequence number, 0 if not told
	UIDValidity    uint32
	UIDNext        imap.UID // 0 if not told: Courier does not
	HighestModSeq  mailbox.ModSeq
	NoModSeq       bool // the mailbox has no mod-sequences
	Permanent      []imap.Flag
	MailboxID      string // RFC 8474 §4.1
	UIDNotSticky   bool
	ServerReadOnly bool // the server let us in to read only

	// Vanished and Changed are what Since asked for. They count only if UIDValidity is still
	// Since.UIDValidity. Truncated says that they are not all, for there were too many.
	Vanished  imap.UIDSet
	Changed   []Row
	Truncated bool
}

// Since is what a client knows of a mailbox.
type Since struct {
	UIDValidity uint32
	ModSeq      mailbox.ModSeq
	Known       imap.UIDSet // may be empty: all up to UIDNEXT
}

func (s *Select) name() string {
	if s.ReadOnly {
		return "EXAMINE"
	}
	return "SELECT"
}

func (s *Select) write(w *writer) {
	w.raw(s.name())
	w.raw(" ")
	w.mailbox(s.Mailbox)
	switch {
	case s.Since != nil:
		w.raw(" (QRESYNC (")
		w.number(uint64(s.Since.UIDValidity))
		w.raw(" ")
		w.number(uint64(s.Since.ModSeq))
		if len(s.Since.Known) > 0 {
			w.raw(" ")
			w.uids(s.Since.Known)
		}
		w.raw("))")
	case s.CondStore:
		w.raw(" (CONDSTORE)")
	}
}

func (s *Select) update(r *reader, u *Update) bool {
	switch u.Kind {
	case Exists:
		s.Exists = u.Num
	case Fetched:
		if s.Since == nil {
			return false
		}
		if s.Truncated = s.Truncated || !r.hold(rowSize); !s.Truncated {
			s.Changed = append(s.Changed, u.Row)
		}
	case Vanished:
		if !u.Earlier || s.Since == nil {
			return false
		}
		s.Truncated = s.Truncated || u.Truncated
		s.Vanished = append(s.Vanished, u.UIDs...)
	case Flags:
	default:
		return false
	}
	return true
}

func (s *Select) code(_ *Conn, code imap.ResponseCode, arg *reader) bool {
	switch code {
	case "CLOSED":
		// What came before belongs to the mailbox that was selected (RFC 7162 §3.2.11).
		s.Exists, s.Vanished, s.Changed, s.Truncated = 0, nil, nil, false
	case "UIDVALIDITY":
		s.UIDValidity = arg.number()
	case "UIDNEXT":
		s.UIDNext = imap.UID(arg.number())
	case "UNSEEN":
		s.FirstUnseen = arg.number()
	case "HIGHESTMODSEQ":
		s.HighestModSeq = arg.modSeq()
	case "NOMODSEQ":
		s.NoModSeq = true
	case "PERMANENTFLAGS":
		s.Permanent = nil
		arg.list(func() { s.Permanent = append(s.Permanent, imap.Flag(arg.atom())) })
	case "MAILBOXID":
		s.MailboxID = arg.objectID()
	case "UIDNOTSTICKY":
		s.UIDNotSticky = true
	case "READ-ONLY":
		s.ServerReadOnly = true
	case "READ-WRITE":
		s.ServerReadOnly = false
	default:
		return false
	}
	return true
}

func (s *Select) ended(c *Conn) {
	s.Vanished = tidy(s.Vanished)
	c.selected = Selected{}
	if s.Err == nil {
		c.selected = Selected{Name: s.Mailbox, ReadOnly: s.ReadOnly, UIDValidity: s.UIDValidity}
	}
}

// objectID reads an object ID in its parentheses (RFC 8474).
func (r *reader) objectID() string {
	r.expect('(')
	r.spaces()
	id := strings.Clone(string(r.atom()))
	r.spaces()
	r.expect(')')
	return id
}
