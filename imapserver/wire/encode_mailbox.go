package wire

import (
	"strconv"
	"strings"

	"github.com/emersion/go-imap/v2"
)

// MailboxNumber appends a whole "* n name" response: EXISTS, RECENT or EXPUNGE.
func (e *Encoder) MailboxNumber(n uint32, name string) {
	e.Raw("* ")
	e.Number(uint64(n))
	e.SP()
	e.Raw(name)
	e.CRLF()
}

// MailboxFlags appends a whole FLAGS response (RFC 9051 §7.3.5).
func (e *Encoder) MailboxFlags(flags []imap.Flag) {
	e.Raw("* FLAGS ")
	e.Flags(flags)
	e.CRLF()
}

// Vanished appends a whole VANISHED response; earlier marks messages that were
// expunged before (RFC 7162 §3.2.10). set must not be empty.
func (e *Encoder) Vanished(earlier bool, set imap.UIDSet) {
	e.Raw("* VANISHED ")
	if earlier {
		e.Raw("(EARLIER) ")
	}
	e.UIDSet(set)
	e.CRLF()
}

// Capability appends "CAPABILITY" and caps, without CRLF, for the response and
// for the response code.
func (e *Encoder) Capability(caps []imap.Cap) {
	e.Raw("CAPABILITY")
	for _, c := range caps {
		e.SP()
		e.Raw(string(c))
	}
}

// List appends a whole LIST response (RFC 9051 §7.3.1). If l.ChildInfo or
// l.OldName is set, so is the extended data. l.Status is not written. A zero
// Delim is NIL: no hierarchy.
func (e *Encoder) List(l *imap.ListData) {
	e.listHead("LIST", l)
	if l.ChildInfo != nil || l.OldName != "" {
		e.Raw(" (")
		if l.ChildInfo != nil {
			e.Raw(`"CHILDINFO" (`)
			if l.ChildInfo.Subscribed {
				e.Raw(`"SUBSCRIBED"`)
			}
			e.Raw(")")
		}
		if l.OldName != "" {
			if l.ChildInfo != nil {
				e.SP()
			}
			e.Raw(`"OLDNAME" (`)
			e.Mailbox(l.OldName)
			e.Raw(")")
		}
		e.Raw(")")
	}
	e.CRLF()
}

// LSub appends a whole LSUB response (RFC 3501 §7.2.3).
func (e *Encoder) LSub(l *imap.ListData) {
	e.listHead("LSUB", l)
	e.CRLF()
}

func (e *Encoder) listHead(name string, l *imap.ListData) {
	e.Raw("* ")
	e.Raw(name)
	e.SP()
	e.Attrs(l.Attrs)
	e.SP()
	e.delim(l.Delim)
	e.SP()
	e.Mailbox(l.Mailbox)
}

func (e *Encoder) delim(r rune) {
	switch {
	case r == 0:
		e.NIL()
	case r == '"' || r == '\\':
		e.Buf = append(e.Buf, '"', '\\', byte(r), '"')
	default:
		e.Buf = append(e.Buf, '"', byte(r), '"')
	}
}

// Namespace appends a whole NAMESPACE response (RFC 9051 §7.3.2).
func (e *Encoder) Namespace(n *imap.NamespaceData) {
	e.Raw("* NAMESPACE")
	for _, class := range [...][]imap.NamespaceDescriptor{n.Personal, n.Other, n.Shared} {
		e.SP()
		if len(class) == 0 {
			e.NIL()
			continue
		}
		e.Raw("(")
		for _, d := range class {
			e.Raw("(")
			e.Mailbox(d.Prefix)
			e.SP()
			e.delim(d.Delim)
			e.Raw(")")
		}
		e.Raw(")")
	}
	e.CRLF()
}

// MailboxStatus appends a whole STATUS response with the items that o names
// (RFC 9051 §7.3.3). A nil pointer in s is 0, or NIL for APPENDLIMIT.
func (e *Encoder) MailboxStatus(o *imap.StatusOptions, s *imap.StatusData) {
	e.Raw("* STATUS ")
	e.Mailbox(s.Mailbox)
	e.Raw(" (")
	start := len(e.Buf)
	item := func(want bool, name string, n uint64) {
		if !want {
			return
		}
		if len(e.Buf) > start {
			e.SP()
		}
		e.Raw(name)
		e.SP()
		e.Number(n)
	}
	item(o.NumMessages, "MESSAGES", uint64(value(s.NumMessages)))
	item(o.NumRecent, "RECENT", uint64(value(s.NumRecent)))
	item(o.UIDNext, "UIDNEXT", uint64(s.UIDNext))
	item(o.UIDValidity, "UIDVALIDITY", uint64(s.UIDValidity))
	item(o.NumUnseen, "UNSEEN", uint64(value(s.NumUnseen)))
	item(o.NumDeleted, "DELETED", uint64(value(s.NumDeleted)))
	item(o.Size, "SIZE", uint64(value(s.Size)))
	item(o.HighestModSeq, "HIGHESTMODSEQ", s.HighestModSeq)
	item(o.DeletedStorage, "DELETED-STORAGE", uint64(value(s.DeletedStorage)))
	if o.AppendLimit && s.AppendLimit == nil {
		if len(e.Buf) > start {
			e.SP()
		}
		e.Raw("APPENDLIMIT NIL")
	} else {
		item(o.AppendLimit, "APPENDLIMIT", uint64(value(s.AppendLimit)))
	}
	e.Raw(")")
	e.CRLF()
}

func value[T uint32 | int64](p *T) T {
	if p == nil {
		return 0
	}
	return *p
}

// Quota is the usage and limit of one resource, in the resource's unit.
type Quota struct {
	Resource     imap.QuotaResourceType
	Usage, Limit int64
}

// Quota appends a whole QUOTA response (RFC 9208 §4.2.1).
func (e *Encoder) Quota(root string, resources []Quota) {
	e.Raw("* QUOTA ")
	e.AString(root)
	e.Raw(" (")
	for i, q := range resources {
		if i > 0 {
			e.SP()
		}
		e.Raw(string(q.Resource))
		e.SP()
		e.Buf = strconv.AppendInt(e.Buf, q.Usage, 10)
		e.SP()
		e.Buf = strconv.AppendInt(e.Buf, q.Limit, 10)
	}
	e.Raw(")")
	e.CRLF()
}

// QuotaRoot appends a whole QUOTAROOT response (RFC 9208 §4.2.2).
func (e *Encoder) QuotaRoot(mailbox string, roots []string) {
	e.Raw("* QUOTAROOT ")
	e.Mailbox(mailbox)
	for _, r := range roots {
		e.SP()
		e.AString(r)
	}
	e.CRLF()
}

// ID appends a whole ID response; no fields are NIL (RFC 2971 §3.2).
func (e *Encoder) ID(fields []IDField) {
	e.Raw("* ID ")
	if len(fields) == 0 {
		e.NIL()
		e.CRLF()
		return
	}
	e.Raw("(")
	for i, f := range fields {
		if i > 0 {
			e.SP()
		}
		e.String(strings.ToLower(f.Name))
		e.SP()
		e.NString(f.Value, !f.Nil)
	}
	e.Raw(")")
	e.CRLF()
}
