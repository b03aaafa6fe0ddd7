// Package feedcodec is the form in which back ends that keep mail themselves
// write events into their feeds and sets of UIDs into their expunge logs. What
// is written stays: a later version reads what an earlier one wrote. An earlier one reads what a later one wrote, as nodes of both
// run together: what is new has a kind or a flag of its own and comes last in an event.
package feedcodec

import (
	"encoding/binary"

	"github.com/emersion/go-imap/v2"

	"github.com/starling-mail/starling/mailbox"
)

const (
	// eventVersion is the first byte of an event in the feed.
	eventVersion = 1
	// maxEvent is the size up to which the feed tells a Change in full.
	maxEvent = 64 << 10
)

// What of an Event is present.
const (
	eventMailbox = 1 << iota
	eventName
	eventOldName
	eventUser
	eventChange
	eventTruncated
)

// truncated returns e with its sets left out.
func truncated(e mailbox.Event) mailbox.Event {
	c := *e.Change
	c.Added, c.Flags, c.Expunged, c.Truncated = nil, nil, nil, true
	e.Change = &c
	return e
}

// Encode writes an event for a feed. Of a Change that would take more than 64 KiB
// the feed says only that it was (Change.Truncated).
func Encode(e mailbox.Event) []byte {
	b := appendEvent(nil, e)
	if len(b) > maxEvent && e.Change != nil {
		b = appendEvent(nil, truncated(e))
	}
	return nextVersion(b)
}

// appendEvent writes e. The mailbox, account and kind of a Change are the event's.
func appendEvent(dst []byte, e mailbox.Event) []byte {
	var flags byte
	set := func(bit byte, present bool) {
		if present {
			flags |= bit
		}
	}
	set(eventMailbox, !e.Mailbox.IsZero())
	set(eventName, e.Name != "")
	set(eventOldName, e.OldName != "")
	set(eventUser, !e.User.IsZero())
	set(eventChange, e.Change != nil)
	set(eventTruncated, e.Change != nil && e.Change.Truncated)
	dst = append(dst, eventVersion, byte(e.Kind), flags)
	dst = append(dst, e.Account[:]...)
	if flags&eventMailbox != 0 {
		dst = append(dst, e.Mailbox[:]...)
	}
	if flags&eventName != 0 {
		dst = appendText(dst, e.Name)
	}
	if flags&eventOldName != 0 {
		dst = appendText(dst, e.OldName)
	}
	if flags&eventUser != 0 {
		dst = append(dst, e.User[:]...)
	}
	if c := e.Change; c != nil {
		dst = binary.AppendUvarint(dst, c.Line)
		dst = binary.AppendUvarint(dst, uint64(c.Prev))
		dst = binary.AppendUvarint(dst, uint64(c.ModSeq-c.Prev))
		dst = AppendUIDs(dst, c.Added)
		dst = AppendUIDs(dst, c.Expunged)
		dst = binary.AppendUvarint(dst, uint64(len(c.Flags)))
		for _, f := range c.Flags {
			dst = append(dst, byte(f.Flags.System))
			dst = appendText(dst, f.Flags.Keywords)
			if f.User.IsZero() {
				dst = append(dst, 0)
			} else {
				dst = append(append(dst, 1), f.User[:]...)
			}
			dst = AppendUIDs(dst, f.UIDs)
		}
		n := c.Counts
		for _, v := range []uint64{uint64(n.Messages), uint64(n.Unseen), uint64(n.Deleted), uint64(n.Size), uint64(n.DeletedSize), uint64(n.UIDNext)} {
			dst = binary.AppendUvarint(dst, v)
		}
	}
	return dst
}

func appendText(dst []byte, s string) []byte {
	return append(binary.AppendUvarint(dst, uint64(len(s))), s...)
}

// Decode reads what Encode wrote, here or in a later version, whose kinds of events may be others than those that package mailbox
// knows. Its error is ErrEncoding.
func Decode(b []byte) (e mailbox.Event, err error) {
	d := &decoder{b: b}
	if d.octet() != eventVersion {
		return e, ErrEncoding
	}
	e.Kind = mailbox.EventKind(d.octet())
	flags := d.octet()
	d.fill(e.Account[:])
	if flags&eventMailbox != 0 {
		d.fill(e.Mailbox[:])
	}
	if flags&eventName != 0 {
		e.Name = d.text()
	}
	if flags&eventOldName != 0 {
		e.OldName = d.text()
	}
	if flags&eventUser != 0 {
		d.fill(e.User[:])
	}
	if flags&eventChange != 0 {
		e.Change = d.change()
		e.Change.Mailbox, e.Change.Account, e.Change.Truncated = e.Mailbox, e.Account, flags&eventTruncated != 0
	}
	if d.failed { // what is left is of a later version
		return mailbox.Event{}, ErrEncoding
	}
	return e, nil
}

// A decoder reads from b. After a failure it gives zero values.
type decoder struct {
	b      []byte
	failed bool
}

func (d *decoder) change() *mailbox.Change {
	c := &mailbox.Change{Line: d.uvarint(), Prev: mailbox.ModSeq(d.uvarint())}
	c.ModSeq = c.Prev + mailbox.ModSeq(d.uvarint())
	c.Added = d.uids()
	c.Expunged = d.uids()
	n := d.uvarint()
	if n > uint64(len(d.b)/4) { // four bytes a change at least
		d.failed = true
		return c
	}
	for range n {
		f := mailbox.FlagChange{Flags: mailbox.Flags{System: mailbox.SystemFlags(d.octet()), Keywords: d.text()}}
		if d.octet() == 1 {
			d.fill(f.User[:])
		}
		f.UIDs = d.uids()
		c.Flags = append(c.Flags, f)
	}
	c.Counts = mailbox.Counts{
		Messages: uint32(d.uvarint()), Unseen: uint32(d.uvarint()), Deleted: uint32(d.uvarint()),
		Size: int64(d.uvarint()), DeletedSize: int64(d.uvarint()), UIDNext: imap.UID(d.uvarint()),
	}
	return c
}

func (d *decoder) octet() byte {
	if len(d.b) == 0 {
		d.failed = true
		return 0
	}
	v := d.b[0]
	d.b = d.b[1:]
	return v
}

func (d *decoder) uvarint() uint64 {
	v, n := binary.Uvarint(d.b)
	if n <= 0 {
		d.failed = true
		d.b = nil
		return 0
	}
	d.b = d.b[n:]
	return v
}

func (d *decoder) fill(dst []byte) {
	if len(d.b) < len(dst) {
		d.failed = true
		d.b = nil
		return
	}
	copy(dst, d.b)
	d.b = d.b[len(dst):]
}

func (d *decoder) text() string {
	n := d.uvarint()
	if n > uint64(len(d.b)) {
		d.failed = true
		return ""
	}
	s := string(d.b[:n])
	d.b = d.b[n:]
	return s
}
