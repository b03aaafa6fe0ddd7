package codec

import (
	"bytes"

	"github.com/emersion/go-imap/v2"
	"github.com/vmihailenco/msgpack/v5"

	"github.com/starling-mail/starling/mailbox"
)

// The arrays of MessagePack frames, in the order of their elements:
//
//	frame  = [origin, first, [event...]]
//	event  = [kind, account, mailbox/nil, name, old name, user/nil, change/nil]
//	change = [line, prev, modseq, added, expunged, [flags...], counts, truncated]
//	flags  = [system, keywords, user/nil, uids]
//	counts = [messages, unseen, deleted, size, deleted size, uidnext]
//	uids   = [start less the last stop, stop less start, ...]
const (
	frameFields  = 3
	eventFields  = 7
	changeFields = 8
	flagsFields  = 4
	countsFields = 6
)

// A packer writes MessagePack. Its target does not fail, so the Encoder's errors mean nothing.
type packer struct{ e *msgpack.Encoder }

func (p packer) list(n int)       { _ = p.e.EncodeArrayLen(n) }
func (p packer) uint(v uint64)    { _ = p.e.EncodeUint(v) }
func (p packer) text(s string)    { _ = p.e.EncodeString(s) }
func (p packer) bool(v bool)      { _ = p.e.EncodeBool(v) }
func (p packer) none()            { _ = p.e.EncodeNil() }
func (p packer) bytes(b [16]byte) { _ = p.e.EncodeBytes(b[:]) }

// id writes an id that may be absent.
func (p packer) id(b [16]byte) {
	if b == [16]byte{} {
		p.none()
		return
	}
	p.bytes(b)
}

// packed appends to dst what write writes.
func packed(dst []byte, write func(packer)) []byte {
	buf := bytes.NewBuffer(dst)
	e := msgpack.GetEncoder()
	defer msgpack.PutEncoder(e)
	e.Reset(buf)
	write(packer{e})
	return buf.Bytes()
}

func appendPackedFrame(dst []byte, origin, first uint64, events [][]byte) []byte {
	dst = packed(dst, func(p packer) {
		p.list(frameFields)
		p.uint(origin)
		p.uint(first)
		p.list(len(events))
	})
	for _, e := range events {
		dst = append(dst, e...)
	}
	return dst
}

func appendPackedEvent(dst []byte, e *mailbox.Event) []byte {
	return packed(dst, func(p packer) {
		p.list(eventFields)
		p.uint(uint64(e.Kind))
		p.bytes(e.Account)
		p.id(e.Mailbox)
		p.text(e.Name)
		p.text(e.OldName)
		p.id(e.User)
		if e.Change == nil {
			p.none()
		} else {
			p.change(e.Change)
		}
	})
}

func (p packer) change(c *mailbox.Change) {
	p.list(changeFields)
	p.uint(c.Line)
	p.uint(uint64(c.Prev))
	p.uint(uint64(c.ModSeq))
	p.uids(c.Added)
	p.uids(c.Expunged)
	p.list(len(c.Flags))
	for i := range c.Flags {
		f := &c.Flags[i]
		p.list(flagsFields)
		p.uint(uint64(f.Flags.System))
		p.text(f.Flags.Keywords)
		p.id(f.User)
		p.uids(f.UIDs)
	}
	n := &c.Counts
	p.list(countsFields)
	for _, v := range [countsFields]uint64{uint64(n.Messages), uint64(n.Unseen), uint64(n.Deleted), uint64(n.Size), uint64(n.DeletedSize), uint64(n.UIDNext)} {
		p.uint(v)
	}
	p.bool(c.Truncated)
}

func (p packer) uids(set imap.UIDSet) {
	p.list(2 * len(set))
	last := imap.UID(0)
	for _, r := range set {
		p.uint(uint64(r.Start - last))
		p.uint(uint64(r.Stop - r.Start))
		last = r.Stop
	}
}
