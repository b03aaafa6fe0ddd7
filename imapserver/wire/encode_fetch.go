package wire

import (
	"strconv"
	"time"

	"github.com/emersion/go-imap/v2"
)

// A FETCH response (RFC 9051 §7.5.2) is written item by item:
//
//	e.FetchBegin(n)
//	e.FetchUID(uid)
//	e.FetchFlags(flags)
//	e.FetchEnd()
//
// The spaces between items are put in by the methods.

// FetchBegin begins the response for message n.
func (e *Encoder) FetchBegin(n uint32) {
	e.Buf = append(e.Buf, "* "...)
	e.Buf = strconv.AppendUint(e.Buf, uint64(n), 10)
	e.Buf = append(e.Buf, " FETCH ("...)
	e.inFetch = false
}

// FetchEnd ends the response.
func (e *Encoder) FetchEnd() { e.Buf = append(e.Buf, ")\r\n"...) }

// FetchItem appends the name of an item and a space, and a space before it
// unless it is the first. Its value is appended next.
func (e *Encoder) FetchItem(name string) {
	e.itemSpace()
	e.Buf = append(e.Buf, name...)
	e.SP()
}

// itemSpace appends the space between two items. It does not look at Buf,
// which may have been written out or end with octets of a message.
func (e *Encoder) itemSpace() {
	if e.inFetch {
		e.SP()
	}
	e.inFetch = true
}

// FetchUID appends UID.
func (e *Encoder) FetchUID(uid imap.UID) {
	e.FetchItem("UID")
	e.Number(uint64(uid))
}

// FetchFlags appends FLAGS.
func (e *Encoder) FetchFlags(flags []imap.Flag) {
	e.FetchItem("FLAGS")
	e.Flags(flags)
}

// FetchModSeq appends MODSEQ (RFC 7162 §3.1.4.2).
func (e *Encoder) FetchModSeq(modSeq uint64) {
	e.FetchItem("MODSEQ")
	e.Buf = append(e.Buf, '(')
	e.Number(modSeq)
	e.Buf = append(e.Buf, ')')
}

// FetchSize appends RFC822.SIZE, in octets.
func (e *Encoder) FetchSize(size int64) {
	e.FetchItem("RFC822.SIZE")
	e.Buf = strconv.AppendInt(e.Buf, size, 10)
}

// FetchInternalDate appends INTERNALDATE.
func (e *Encoder) FetchInternalDate(t time.Time) {
	e.FetchItem("INTERNALDATE")
	e.DateTime(t)
}

// FetchSectionLiteral appends the name of a section and the header of the
// literal with its n octets, which the caller appends or writes next. A
// binary literal is for decoded content that holds NUL (RFC 3516 §4.3).
func (e *Encoder) FetchSectionLiteral(s *FetchSection, n int64, binary bool) {
	e.itemSpace()
	e.SectionName(s)
	e.SP()
	e.LiteralHeader(n, binary)
}

// FetchSectionNIL appends the name of a section that the message does not have.
func (e *Encoder) FetchSectionNIL(s *FetchSection) {
	e.itemSpace()
	e.SectionName(s)
	e.Raw(" NIL")
}

// FetchBinarySize appends the name of a BINARY.SIZE section and n.
func (e *Encoder) FetchBinarySize(s *FetchSection, n int64) {
	e.itemSpace()
	e.SectionName(s)
	e.SP()
	e.Buf = strconv.AppendInt(e.Buf, n, 10)
}

// SectionName appends the name under which a section is answered: that of the
// request without ".PEEK" and without the size of a partial.
func (e *Encoder) SectionName(s *FetchSection) {
	switch s.Kind {
	case SectionRFC822:
		e.Raw("RFC822")
		return
	case SectionRFC822Header:
		e.Raw("RFC822.HEADER")
		return
	case SectionRFC822Text:
		e.Raw("RFC822.TEXT")
		return
	case SectionBinary:
		e.Raw("BINARY[")
	case SectionBinarySize:
		e.Raw("BINARY.SIZE[")
	default:
		e.Raw("BODY[")
	}
	for i, n := range s.Part {
		if i > 0 {
			e.Buf = append(e.Buf, '.')
		}
		e.Buf = strconv.AppendInt(e.Buf, int64(n), 10)
	}
	if s.Specifier != imap.PartSpecifierNone {
		if len(s.Part) > 0 {
			e.Buf = append(e.Buf, '.')
		}
		e.Raw(string(s.Specifier))
	}
	if len(s.HeaderFields) > 0 {
		e.headerFields(".FIELDS (", s.HeaderFields)
	} else if len(s.HeaderFieldsNot) > 0 {
		e.headerFields(".FIELDS.NOT (", s.HeaderFieldsNot)
	}
	e.Buf = append(e.Buf, ']')
	if s.Partial != nil {
		e.Buf = append(e.Buf, '<')
		e.Buf = strconv.AppendInt(e.Buf, s.Partial.Offset, 10)
		e.Buf = append(e.Buf, '>')
	}
}

func (e *Encoder) headerFields(open string, fields []string) {
	e.Raw(open)
	for i, f := range fields {
		if i > 0 {
			e.SP()
		}
		e.AString(f)
	}
	e.Buf = append(e.Buf, ')')
}
