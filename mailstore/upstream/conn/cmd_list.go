package conn

import (
	"strings"

	"github.com/emersion/go-imap/v2"

	"github.com/starling-mail/starling/mailbox"
)

// List is LIST, with the options of LIST-EXTENDED where the server has them, or LSUB
// (RFC 9051 §6.3.9, RFC 5258 §3, RFC 3501 §6.3.9).
type List struct {
	Reply
	LSub      bool
	Reference string
	Patterns  []string    // one, or several with LIST-EXTENDED; none is "*"
	Select    []string    // selection options, such as SUBSCRIBED or SPECIAL-USE
	Return    []string    // return options, such as SUBSCRIBED, SPECIAL-USE, CHILDREN
	Status    StatusItems // of each mailbox (RFC 5819 §2)

	Entries []Entry
	// Truncated says that Entries are not all, for they took too much memory.
	Truncated bool
	byName    map[string]int // of Entries, with Status only
}

// An Entry is one answer of LIST. Names that could not be sent back, for they are not what
// the encoding allows, are left out (and counted in Conn.Skipped).
type Entry struct {
	Name      string // UTF-8, with the server's delimiter
	Delimiter string // one octet, or empty
	Attrs     []imap.MailboxAttr
	Status    *StatusData // nil if not asked for, or not told
}

func (l *List) name() string {
	if l.LSub {
		return "LSUB"
	}
	return "LIST"
}

func (l *List) write(w *writer) {
	w.raw(l.name())
	w.raw(" ")
	if len(l.Select) > 0 {
		w.raw("(" + strings.Join(l.Select, " ") + ") ")
	}
	w.mailbox(l.Reference)
	w.raw(" ")
	switch len(l.Patterns) {
	case 0:
		w.raw("*")
	case 1:
		w.mailbox(l.Patterns[0])
	default:
		w.raw("(")
		for i, p := range l.Patterns {
			if i > 0 {
				w.raw(" ")
			}
			w.mailbox(p)
		}
		w.raw(")")
	}
	returns := l.Return
	if l.Status != 0 {
		returns = append(returns[:len(returns):len(returns)], "STATUS ("+l.Status.String()+")")
		l.byName = map[string]int{}
	}
	if len(returns) > 0 {
		w.raw(" RETURN (" + strings.Join(returns, " ") + ")")
	}
}

func (l *List) data(c *Conn, kind string, r *reader) bool {
	switch {
	case kind == "STATUS" && l.Status != 0:
		name, s := r.statusData(c)
		if i, ok := l.byName[name]; ok && r.hold(96) {
			l.Entries[i].Status = s
		}
		return true
	case kind != l.name():
		return false
	}
	var e Entry
	size := 96
	r.space()
	r.list(func() {
		a := imap.MailboxAttr(r.words.string(r.atom()))
		size += 16 + len(a)
		e.Attrs = append(e.Attrs, a)
	})
	r.space()
	d, _ := r.nstring()
	e.Delimiter = delimiter(d)
	r.space()
	var ok bool
	e.Name, ok = r.mailbox(c.utf8)
	for r.spaces(); r.peek() == '('; r.spaces() {
		r.ignore() // extended data, such as CHILDINFO
	}
	switch {
	case r.err != nil:
	case !ok:
		c.skipped++
	case l.Truncated || !r.hold(size+2*len(e.Name)):
		l.Truncated = true
	default:
		if l.byName != nil {
			l.byName[e.Name] = len(l.Entries)
		}
		l.Entries = append(l.Entries, e)
	}
	return true
}

// StatusItems is a set of what STATUS tells.
type StatusItems uint16

// The items of STATUS (RFC 9051 §6.3.11, RFC 7162 §3.1.7, RFC 8474 §4.3).
const (
	StatusMessages StatusItems = 1 << iota
	StatusUIDNext
	StatusUIDValidity
	StatusUnseen
	StatusRecent        // IMAP4rev1
	StatusDeleted       // IMAP4rev2, QUOTA=RES-STORAGE
	StatusSize          // IMAP4rev2, STATUS=SIZE
	StatusHighestModSeq // CONDSTORE
	StatusMailboxID     // OBJECTID
)

var statusNames = [...]string{"MESSAGES", "UIDNEXT", "UIDVALIDITY", "UNSEEN", "RECENT", "DELETED", "SIZE",
	"HIGHESTMODSEQ", "MAILBOXID"}

// String names the items, with spaces in between.
func (i StatusItems) String() string {
	var names []string
	for bit, name := range statusNames {
		if i&(1<<bit) != 0 {
			names = append(names, name)
		}
	}
	return strings.Join(names, " ")
}

// StatusData is what STATUS told.
type StatusData struct {
	Has           StatusItems // what was told
	Messages      uint32
	UIDNext       imap.UID
	UIDValidity   uint32
	Unseen        uint32
	Recent        uint32
	Deleted       uint32
	Size          int64
	HighestModSeq mailbox.ModSeq
	MailboxID     string
}

// statusData reads a STATUS response. The name is empty if it is not for our ears.
func (r *reader) statusData(c *Conn) (string, *StatusData) {
	s := &StatusData{}
	r.space()
	name, ok := r.mailbox(c.utf8)
	if !ok {
		name = ""
	}
	r.space()
	r.list(func() {
		item := r.keyword()
		r.space()
		has := StatusItems(0)
		for bit, known := range statusNames {
			if item == known {
				has = 1 << bit
			}
		}
		s.Has |= has
		switch has {
		case StatusMessages:
			s.Messages = r.number()
		case StatusUIDNext:
			s.UIDNext = imap.UID(r.number())
		case StatusUIDValidity:
			s.UIDValidity = r.number()
		case StatusUnseen:
			s.Unseen = r.number()
		case StatusRecent:
			s.Recent = r.number()
		case StatusDeleted:
			s.Deleted = r.number()
		case StatusSize:
			s.Size = r.number64()
		case StatusHighestModSeq:
			s.HighestModSeq = r.modSeq()
		case StatusMailboxID:
			s.MailboxID = r.objectID()
		default:
			r.ignore()
		}
	})
	return name, s
}

// Status is STATUS (RFC 9051 §6.3.11).
type Status struct {
	Reply
	Mailbox string
	Items   StatusItems

	Data StatusData
}

func (*Status) name() string { return "STATUS" }

func (s *Status) write(w *writer) {
	w.raw("STATUS ")
	w.mailbox(s.Mailbox)
	w.raw(" (" + s.Items.String() + ")")
}

func (s *Status) data(c *Conn, kind string, r *reader) bool {
	if kind != "STATUS" {
		return false
	}
	name, d := r.statusData(c)
	if name == s.Mailbox || strings.EqualFold(name, mailbox.Inbox) && strings.EqualFold(s.Mailbox, mailbox.Inbox) {
		s.Data = *d
	}
	return true
}
