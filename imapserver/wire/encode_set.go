package wire

import (
	"strconv"

	"github.com/emersion/go-imap/v2"
)

// Flags appends a list of flags in parentheses.
func (e *Encoder) Flags(flags []imap.Flag) {
	e.Buf = append(e.Buf, '(')
	for i, f := range flags {
		if i > 0 {
			e.SP()
		}
		e.Buf = append(e.Buf, f...)
	}
	e.Buf = append(e.Buf, ')')
}

// Attrs appends a list of mailbox attributes in parentheses.
func (e *Encoder) Attrs(attrs []imap.MailboxAttr) {
	e.Buf = append(e.Buf, '(')
	for i, a := range attrs {
		if i > 0 {
			e.SP()
		}
		e.Buf = append(e.Buf, a...)
	}
	e.Buf = append(e.Buf, ')')
}

// UIDSet appends a set of UIDs, which must not be empty unless it is imap.SearchRes().
func (e *Encoder) UIDSet(set imap.UIDSet) {
	// IsSearchRes allocates, and the marker is a certain empty set.
	if len(set) == 0 && imap.IsSearchRes(set) {
		e.Buf = append(e.Buf, '$')
		return
	}
	for i, r := range set {
		e.setRange(i, uint32(r.Start), uint32(r.Stop))
	}
}

// SeqSet appends a set of sequence numbers, which must not be empty.
func (e *Encoder) SeqSet(set imap.SeqSet) {
	for i, r := range set {
		e.setRange(i, r.Start, r.Stop)
	}
}

// NumSet appends an imap.UIDSet or imap.SeqSet, which must not be empty.
func (e *Encoder) NumSet(set imap.NumSet) {
	switch s := set.(type) {
	case imap.UIDSet:
		e.UIDSet(s)
	case imap.SeqSet:
		e.SeqSet(s)
	}
}

func (e *Encoder) setRange(i int, start, stop uint32) {
	if i > 0 {
		e.Buf = append(e.Buf, ',')
	}
	e.setNumber(start)
	if stop != start {
		e.Buf = append(e.Buf, ':')
		e.setNumber(stop)
	}
}

func (e *Encoder) setNumber(n uint32) {
	if n == 0 {
		e.Buf = append(e.Buf, '*')
		return
	}
	e.Buf = strconv.AppendUint(e.Buf, uint64(n), 10)
}
