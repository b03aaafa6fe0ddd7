package conn

import (
	"strings"
	"time"

	"github.com/emersion/go-imap/v2"

	"github.com/starling-mail/starling/imapserver/wire"
	"github.com/starling-mail/starling/mailbox"
)

// Search is UID SEARCH (RFC 9051 §6.4.4), with ESEARCH's answer where the server has it.
type Search struct {
	Reply
	Key wire.SearchKey // SearchSet in it must be of UIDs

	UIDs imap.UIDSet // ascending, disjoint
	// Truncated says that UIDs are not all, for they took too much memory.
	Truncated bool
	// ModSeq is the highest of the messages found, if Key has a SearchModSeq.
	ModSeq mailbox.ModSeq
	// answered is set once a SEARCH response has come: another is the next command's.
	answered bool
}

func (*Search) name() string { return "UID SEARCH" }

func (s *Search) write(w *writer) {
	w.raw("UID SEARCH ")
	if w.c.caps.Has(imap.CapESearch) {
		w.raw("RETURN (ALL) ")
	}
	// A server that has UTF8=ACCEPT enabled refuses CHARSET (RFC 6855 §3).
	if !isASCII(s.Key) && !w.c.utf8 {
		w.raw("CHARSET UTF-8 ")
	}
	w.key(s.Key, false)
}

func (s *Search) data(_ *Conn, kind string, r *reader) bool {
	if kind != "SEARCH" || s.answered {
		return false
	}
	s.answered = true
	s.plain(r)
	return true
}

// plain reads SEARCH (RFC 3501 §7.2.5).
func (s *Search) plain(r *reader) {
	for r.spaces(); r.err == nil; r.spaces() {
		switch c := r.peek(); {
		case isDigit(c):
			uid := r.uid()
			n := len(s.UIDs)
			if s.Truncated {
				continue
			}
			if s.UIDs = grow(s.UIDs, uid); len(s.UIDs) > n && !r.hold(rangeSize) {
				s.UIDs, s.Truncated = s.UIDs[:n], true
			}
		case c == '(': // (MODSEQ n), RFC 7162 §3.1.5
			r.list(func() {
				if r.keyword() != "MODSEQ" {
					return
				}
				r.space()
				s.ModSeq = r.modSeq()
			})
		default:
			return
		}
	}
}

// extended reads ESEARCH behind the tag (RFC 4731 §3.1).
func (s *Search) extended(r *reader) {
	for r.spaces(); r.err == nil && isAtom(r.peek()); r.spaces() {
		item := r.keyword()
		if item == "UID" {
			continue
		}
		r.space()
		switch item {
		case "ALL":
			set, whole := r.ranges()
			s.UIDs, s.Truncated = append(s.UIDs, set...), s.Truncated || !whole
		case "MODSEQ":
			s.ModSeq = r.modSeq()
		default:
			r.ignore()
		}
	}
}

func (s *Search) ended(*Conn) { s.UIDs = tidy(s.UIDs) }

// key writes a search key; nested where it must be one.
func (w *writer) key(k wire.SearchKey, nested bool) {
	switch k := k.(type) {
	case wire.SearchAnd:
		switch {
		case len(k) == 0:
			w.raw("ALL")
		case len(k) == 1:
			w.key(k[0], nested)
		default:
			w.and(k, nested)
		}
	case wire.SearchOr:
		for i, alt := range k {
			if i < len(k)-1 {
				w.raw("OR ")
			}
			w.key(alt, true)
			if i < len(k)-1 {
				w.raw(" ")
			}
		}
	case wire.SearchNot:
		w.raw("NOT ")
		w.key(k.Key, true)
	case wire.SearchSet:
		set, _ := k.Set.(imap.UIDSet)
		if len(set) == 0 {
			w.raw("NOT ALL")
			return
		}
		w.raw("UID ")
		w.uids(set)
	case wire.SearchFlag:
		w.raw(flagKey(imap.Flag(k)))
	case wire.SearchText:
		switch k.In {
		case wire.InHeader:
			w.raw("HEADER ")
			w.string(k.Field)
			w.raw(" ")
		case wire.InBody:
			w.raw("BODY ")
		case wire.InText:
			w.raw("TEXT ")
		}
		w.string(k.Text)
	case wire.SearchDate:
		if k.Of == wire.DateSent {
			w.raw("SENT")
		}
		w.raw([...]string{wire.Before: "BEFORE ", wire.On: "ON ", wire.Since: "SINCE "}[k.When])
		w.raw(k.Date.Format("2-Jan-2006"))
	case wire.SearchSize:
		if k.Larger {
			w.raw("LARGER ")
		} else {
			w.raw("SMALLER ")
		}
		w.number(uint64(max(k.Size, 0)))
	case wire.SearchModSeq:
		w.raw("MODSEQ ")
		w.number(k.ModSeq)
	}
}

func (w *writer) and(keys wire.SearchAnd, nested bool) {
	if nested {
		w.raw("(")
	}
	for i, k := range keys {
		if i > 0 {
			w.raw(" ")
		}
		w.key(k, true)
	}
	if nested {
		w.raw(")")
	}
}

// flagKey is the key for a flag that is set.
func flagKey(f imap.Flag) string {
	if strings.HasPrefix(string(f), `\`) {
		return strings.ToUpper(string(f[1:]))
	}
	return "KEYWORD " + string(f)
}

// isASCII reports whether all texts in k are.
func isASCII(k wire.SearchKey) bool {
	all := func(keys []wire.SearchKey) bool {
		for _, k := range keys {
			if !isASCII(k) {
				return false
			}
		}
		return true
	}
	switch k := k.(type) {
	case wire.SearchAnd:
		return all(k)
	case wire.SearchOr:
		return all(k)
	case wire.SearchNot:
		return isASCII(k.Key)
	case wire.SearchText:
		return strings.IndexFunc(k.Text, func(r rune) bool { return r >= 0x80 }) < 0
	}
	return true
}

// dateTime reads INTERNALDATE's value; zero if it is no date.
func dateTime(b []byte) time.Time {
	t, _ := time.Parse("_2-Jan-2006 15:04:05 -0700", string(b))
	return t
}
